//! The last step of a push: names are given to what is there.

use kigumi_oci::{Digest, MediaType, Reference};
use kigumi_registry::Client;
use tokio::runtime::Handle;

use super::push::{failed, join};
use crate::error::{BuildError, chain};
use crate::report::{BuildEvent, Events};

/// Gives names, all at once.
#[derive(Clone)]
pub(crate) struct Tags {
    pub(crate) client: Client,
    pub(crate) handle: Handle,
    pub(crate) events: Events,
    /// `--push-ignore-immutable-tag-errors`
    pub(crate) ignore_immutable: bool,
}

impl Tags {
    /// Puts a manifest at every destination. One that fails does not keep the others back: the first failure is the error, the others are
    /// told.
    pub(crate) async fn push(
        &self,
        destinations: &[Reference],
        media_type: &MediaType,
        bytes: &[u8],
    ) -> Result<(), BuildError> {
        let start = |destination: &Reference| {
            let (tags, destination) = (self.clone(), destination.clone());
            let (media_type, bytes) = (media_type.clone(), bytes.to_vec());
            self.handle
                .spawn(async move { tags.push_one(&destination, &media_type, &bytes).await })
        };
        let running: Vec<_> = destinations.iter().map(start).collect();
        let mut first = Ok(());
        for task in running {
            match (join(vec![task]).await, &first) {
                (Ok(()), _) => {}
                (failed, Ok(())) => first = failed,
                (Err(error), Err(_)) => self.events.warn(chain(&error)),
            }
        }
        first
    }

    async fn push_one(
        &self,
        destination: &Reference,
        media_type: &MediaType,
        bytes: &[u8],
    ) -> Result<(), BuildError> {
        let reference = destination.to_string();
        let pushing = self.client.push_manifest(destination, media_type, bytes);
        match pushing.await {
            Ok(digest) => self
                .events
                .emit(BuildEvent::ImagePushed { reference, digest }),
            Err(error) if self.ignore_immutable && error.is_immutable_tag() => {
                self.events.warn(format!(
                    "`{reference}` names another image than {}, and --push-ignore-immutable-tag-errors lets that pass: {}",
                    Digest::of(bytes),
                    chain(&error)
                ));
            }
            Err(error) => return Err(failed("push the image")(error)),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use kigumi_registry::{ClientConfig, RetryPolicy, Spool};
    use kigumi_testkit::{Action, FakeRegistry, Fault, PublishedImage, TestImage, When};

    use super::*;
    use crate::build::push::Uploads;

    /// Pushes an image to all destinations, as a build does.
    fn push(
        image: &PublishedImage,
        destinations: &[String],
        ignore_immutable: bool,
    ) -> (Result<(), String>, Vec<BuildEvent>) {
        let runtime = crate::build::runtime().unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&heard);
        let events = Events::new(move |event| sink.lock().unwrap().push(event));
        let destinations: Vec<Reference> = destinations
            .iter()
            .map(|text| text.parse().unwrap())
            .collect();
        let outcome = runtime.block_on(async {
            let client = Client::start(ClientConfig {
                retry: RetryPolicy::immediate(2),
                ..ClientConfig::default()
            });
            let mut uploads = Uploads::new(
                client.await.unwrap(),
                runtime.handle().clone(),
                events,
                std::env::temp_dir(),
                &destinations,
                ignore_immutable,
            );
            for blob in &image.blobs {
                uploads.start(&Spool::of_bytes(blob.clone()));
            }
            uploads.finish().await?;
            uploads.push_config(image.config.bytes()).await?;
            let media_type = image.descriptor().media_type;
            let bytes = image.manifest.bytes();
            uploads
                .push_manifests(&destinations, &media_type, bytes)
                .await
        });
        let heard = heard.lock().unwrap().clone();
        (outcome.map_err(|error| chain(&error)), heard)
    }

    fn immutable(registry: &FakeRegistry) {
        let words = "The repository has enabled tag immutability";
        let always = When::next("PUT", "/manifests/").always();
        registry.fail(Fault::new(always, Action::error(400, "DENIED", words)));
    }

    #[test]
    fn several_destinations_get_the_image_and_each_registry_the_bytes_once() {
        let (one, two) = (FakeRegistry::start(), FakeRegistry::start());
        let image = TestImage::new().file("a", b"1").build();
        let destinations = [
            one.reference("app:1"),
            one.reference("app:2"),
            one.reference("other:1"),
            two.reference("app:1"),
        ];
        assert_eq!(push(&image, &destinations, false).0, Ok(()));
        for (registry, repository, tag) in [
            (&one, "app", "1"),
            (&one, "app", "2"),
            (&one, "other", "1"),
            (&two, "app", "1"),
        ] {
            let (_, stored) = registry.manifest(repository, tag).unwrap();
            assert_eq!(stored, image.manifest.bytes());
        }
        // A layer and a config each.
        for registry in [&one, &two] {
            assert_eq!(registry.requests("PATCH").len(), 2);
        }
    }

    #[test]
    fn a_destination_that_fails_does_not_keep_the_others_back() {
        let (open, closed) = (FakeRegistry::start(), FakeRegistry::start());
        immutable(&closed);
        let image = TestImage::new().file("a", b"1").build();
        let destinations = [closed.reference("app:1"), open.reference("app:1")];
        let error = push(&image, &destinations, false).0.unwrap_err();
        assert!(error.contains("tag immutability"), "{error}");
        assert!(open.manifest("app", "1").is_some());
    }

    #[test]
    fn a_tag_that_may_not_be_moved_passes_where_that_was_asked_for_and_is_told() {
        let registry = FakeRegistry::start();
        TestImage::new()
            .file("old", b"0")
            .publish(&registry, "app", "1");
        immutable(&registry);
        let image = TestImage::new().file("a", b"1").build();
        let (outcome, heard) = push(&image, &[registry.reference("app:1")], true);
        assert_eq!(outcome, Ok(()));
        let told = |event: &BuildEvent| matches!(event, BuildEvent::Warning { message } if message.contains("names another image"));
        assert!(heard.iter().any(told), "{heard:?}");
    }
}
