//! The mutation matrix of supply-chain.md § 4.6: whoever may write everything in the registry gets no entry used.

use serde_json::Value;

use super::super::entry::{self, LAYER};
use super::super::keys::SignKey;
use super::super::record::{Record, Time};
use super::trust::image;
use super::*;
use crate::secrets::Redactor;

const REPOSITORY: &str = "app/cache";

/// An honest entry, and the tag it is at.
struct Victim {
    lab: Lab,
    tag: String,
    manifest: Value,
    record: Vec<u8>,
}

impl Victim {
    async fn new() -> Self {
        let lab = Lab::new();
        lab.store(&lab.signed(), &wanted(1), b"honest").await;
        Self::at(lab, 1).await
    }

    async fn at(lab: Lab, number: u64) -> Self {
        let cache = lab.cache(&lab.signed()).await;
        let signing = judge::Signing::Signed;
        let tag = cache.places[0]
            .rules
            .tag(shared::SUBJECT, &wanted(number).key, signing);
        let (_, manifest) = lab.registry.manifest(REPOSITORY, &tag).unwrap();
        let manifest: Value = serde_json::from_slice(&manifest).unwrap();
        let digest = manifest["config"]["digest"].as_str().unwrap();
        let record = lab.registry.blob(REPOSITORY, digest.parse().unwrap());
        Self {
            lab,
            tag,
            record: record.unwrap(),
            manifest,
        }
    }

    fn signer(&self) -> SignKey {
        let path = self.lab.key("main-1", 1, true);
        SignKey::read(&path, &Redactor::default()).unwrap()
    }

    fn put(&self, manifest: &Value) {
        self.put_bytes(&serde_json::to_vec(manifest).unwrap());
    }

    fn put_bytes(&self, manifest: &[u8]) {
        let registry = &self.lab.registry;
        let media_type = MediaType::ImageManifest.to_string();
        registry.put_manifest(REPOSITORY, Some(&self.tag), &media_type, manifest);
    }

    /// Stores this record, signed by `signer`, with the layers of the manifest.
    fn put_record(&self, record: &[u8], signer: Option<&SignKey>) {
        let layers = serde_json::from_value(self.manifest["layers"].clone());
        let layers: Vec<Descriptor> = layers.unwrap();
        self.lab.registry.put_blob(REPOSITORY, record);
        self.put_bytes(&entry::write(LAYER, record, &layers, signer).unwrap());
    }

    /// The manifest with this record and the signatures that it had.
    fn put_record_unsigned(&self, record: &[u8], inline: bool) {
        self.lab.registry.put_blob(REPOSITORY, record);
        let layers = serde_json::from_value(self.manifest["layers"].clone());
        let layers: Vec<Descriptor> = layers.unwrap();
        let written = entry::write(LAYER, record, &layers, None).unwrap();
        let mut manifest: Value = serde_json::from_slice(&written).unwrap();
        manifest["annotations"] = self.manifest["annotations"].clone();
        if !inline && let Some(config) = manifest["config"].as_object_mut() {
            config.remove("data");
        }
        self.put(&manifest);
    }

    fn changed(&self, change: impl FnOnce(&mut Record)) -> Vec<u8> {
        let mut record: Record = record::parse(&self.record).unwrap();
        change(&mut record);
        record::write(&record).unwrap()
    }

    /// Nothing of it is used, for this reason, and nothing of a layer was fetched.
    async fn assert_rejected(&self, reason: Reason) {
        let cache = self.lab.cache(&self.lab.reader()).await;
        self.lab.registry.clear_log();
        let found = look(&cache, &wanted(1)).await;
        assert!(found.is_none(), "{reason:?}: {found:?}");
        assert_eq!(cache.rejected(), BTreeMap::from([(reason, 1)]));
        let layer = self.manifest["layers"][0]["digest"].as_str().unwrap();
        let log = self.lab.registry.log();
        assert!(!log.iter().any(|request| request.path.contains(layer)));
        let told = self.lab.told();
        assert!(
            told.contains(&self.tag) || reason == Reason::Expired,
            "{told}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn row_1_another_layer_in_the_manifest() {
    let victim = Victim::new().await;
    let mut manifest = victim.manifest.clone();
    let evil = victim.lab.registry.put_blob(REPOSITORY, b"evil..");
    manifest["layers"][0]["digest"] = evil.to_string().into();
    victim.put(&manifest);
    victim.assert_rejected(Reason::Descriptor).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_1_one_layer_more_or_less_in_the_manifest() {
    let victim = Victim::new().await;
    let mut manifest = victim.manifest.clone();
    let layer = manifest["layers"][0].clone();
    manifest["layers"] = Value::Array(vec![layer.clone(), layer]);
    victim.put(&manifest);
    victim.assert_rejected(Reason::Descriptor).await;
    manifest["layers"] = Value::Array(Vec::new());
    victim.put(&manifest);
    victim.assert_rejected(Reason::Descriptor).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_2_the_entry_of_another_key() {
    let victim = Victim::new().await;
    victim
        .lab
        .store(&victim.lab.signed(), &wanted(2), b"other")
        .await;
    let Victim { lab, manifest, .. } = Victim::at(victim.lab, 2).await;
    let victim = Victim::at(lab, 1).await;
    victim.put(&manifest);
    victim.assert_rejected(Reason::Key).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_3_an_older_record() {
    let victim = Victim::new().await;
    let signer = victim.signer();
    let other_base = victim.changed(|record| record.base_digest = Digest::of(b"older base"));
    victim.put_record(&other_base, Some(&signer));
    victim.assert_rejected(Reason::Base).await;
    let other = victim.changed(|record| record.instruction_digest = Digest::of(b"RUN evil"));
    victim.put_record(&other, Some(&signer));
    victim.assert_rejected(Reason::Instruction).await;
    let old = victim.changed(|record| record.created = Time(NOW - 337 * HOUR));
    victim.put_record(&old, Some(&signer));
    victim.assert_rejected(Reason::Expired).await;
    let ended = victim.changed(|record| record.not_after = Time(NOW - 1));
    victim.put_record(&ended, Some(&signer));
    victim.assert_rejected(Reason::Expired).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_4_no_signature() {
    let victim = Victim::new().await;
    let mut manifest = victim.manifest.clone();
    manifest.as_object_mut().unwrap().remove("annotations");
    victim.put(&manifest);
    victim.assert_rejected(Reason::Unsigned).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_5_a_signature_of_another_key() {
    let victim = Victim::new().await;
    for (name, seed) in [("main-1", 2), ("evil-1", 2)] {
        let path = victim.lab.key(name, seed, true);
        let evil = SignKey::read(&path, &Redactor::default()).unwrap();
        victim.put_record(&victim.record, Some(&evil));
        victim.assert_rejected(Reason::Signature).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn row_5_a_signature_of_the_right_key_for_something_else() {
    let victim = Victim::new().await;
    let mut manifest = victim.manifest.clone();
    let other = victim.signer().sign("KXCACHE2", &victim.record);
    manifest["annotations"]["dev.kigumi.cache.sig/main-1"] = other.into();
    victim.put(&manifest);
    victim.assert_rejected(Reason::Signature).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_6_another_media_type_or_size() {
    let victim = Victim::new().await;
    let mut manifest = victim.manifest.clone();
    let plain = "application/vnd.oci.image.layer.v1.tar";
    manifest["layers"][0]["mediaType"] = plain.into();
    victim.put(&manifest);
    victim.assert_rejected(Reason::Descriptor).await;
    let mut manifest = victim.manifest.clone();
    manifest["layers"][0]["size"] = 1.into();
    victim.put(&manifest);
    victim.assert_rejected(Reason::Descriptor).await;
}

/// Row 7: found when the layer is read, before anybody uses it.
#[tokio::test(flavor = "multi_thread")]
async fn row_7_a_layer_of_another_content() {
    let lab = Lab::new();
    let mut cache = lab.cache(&lab.open()).await;
    let (mut layer, bytes) = layer(b"made");
    layer.diff_id = DiffId(Digest::of(b"something else"));
    cache.store(NewEntry {
        wanted: wanted(1),
        lineage: Vec::new(),
        layer: Some((layer, bytes)),
    });
    cache.finish().await;
    let hit = look(&cache, &wanted(1)).await.unwrap();
    let work = lab.directory.path();
    let fetched = cache.fetch(&wanted(1).key, &hit, work).await.unwrap();
    assert!(fetched.is_none());
    assert_eq!(cache.rejected(), BTreeMap::from([(Reason::DiffId, 1)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn row_8_a_record_without_end() {
    let victim = Victim::new().await;
    let size = usize::try_from(record::LIMIT).unwrap();
    let large = victim.changed(|record| record.builder = "x".repeat(size));
    victim.put_record(&large, Some(&victim.signer()));
    victim.assert_rejected(Reason::Record).await;
    // One that says that it is small.
    let mut manifest = victim.manifest.clone();
    manifest["config"].as_object_mut().unwrap().remove("data");
    manifest["config"]["digest"] = Digest::of(&large).to_string().into();
    victim.put(&manifest);
    victim.assert_rejected(Reason::Record).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_9_an_entry_of_another_domain() {
    let victim = Victim::new().await;
    let fork = victim.changed(|record| record.domain = "fork".to_owned());
    victim.put_record(&fork, Some(&victim.signer()));
    victim.assert_rejected(Reason::Domain).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_10_an_unsigned_entry_where_signed_ones_are() {
    let victim = Victim::new().await;
    victim.put_record(&victim.record, None);
    victim.assert_rejected(Reason::Unsigned).await;
}

/// Row 11.
#[tokio::test(flavor = "multi_thread")]
async fn row_11_a_layer_that_is_cut_off_changed_or_gone() {
    use kigumi_testkit::{Action, Fault, When};
    let whole = |body: &[u8]| Action::Answer {
        status: 200,
        headers: Vec::new(),
        body: body.to_vec(),
    };
    for (action, expected) in [
        // Nobody can tell a network that breaks from a registry that cuts.
        (Action::DropAfter(3), Reason::Unreachable),
        (Action::Flip(3), Reason::Digest),
        (whole(b"short"), Reason::Digest),
        (Action::error(404, "BLOB_UNKNOWN", "gone"), Reason::Digest),
    ] {
        let victim = Victim::new().await;
        let cache = victim.lab.cache(&victim.lab.reader()).await;
        let hit = look(&cache, &wanted(1)).await.unwrap();
        let fault = Fault::new(When::next("GET", "/blobs/").always(), action.clone());
        victim.lab.registry.fail(fault);
        let work = victim.lab.directory.path();
        let fetched = cache.fetch(&wanted(1).key, &hit, work).await.unwrap();
        assert!(fetched.is_none(), "{action:?}");
        assert_eq!(cache.rejected(), BTreeMap::from([(expected, 1)]));
    }
}

/// Row 12, of somebody who can sign.
#[tokio::test(flavor = "multi_thread")]
async fn row_12_a_record_that_can_be_read_in_two_ways() {
    let victim = Victim::new().await;
    let text = String::from_utf8(victim.record.clone()).unwrap();
    for changed in [
        text.replace(r#""v":1"#, r#""v":1,"v":1"#),
        text.replace(r#""v":1"#, r#""v":1,"extra":true"#),
        text.replace(r#""v":1"#, r#""v":2"#),
        format!("{text} "),
        format!("{text}{text}"),
    ] {
        victim.put_record(changed.as_bytes(), Some(&victim.signer()));
        victim.assert_rejected(Reason::Record).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn row_13_an_image_or_anything_else_at_the_tag() {
    let victim = Victim::new().await;
    let image = image(&victim.lab.registry, REPOSITORY);
    let mut index = victim.manifest.clone();
    index["artifactType"] = "application/vnd.kigumi.cache.v2+json".into();
    for bytes in [
        image.as_slice(),
        b"{}",
        b"",
        b"null",
        &serde_json::to_vec(&index).unwrap(),
    ] {
        victim.put_bytes(bytes);
        victim.assert_rejected(Reason::Type).await;
    }
}

/// Row 14.
#[tokio::test(flavor = "multi_thread")]
async fn row_14_a_bit_flipped_at_every_byte_of_the_record() {
    let victim = Victim::new().await;
    let cache = victim.lab.cache(&victim.lab.reader()).await;
    for position in 0..victim.record.len() {
        let mut record = victim.record.clone();
        record[position] ^= 1 << (position % 8);
        victim.put_record_unsigned(&record, position % 2 == 0);
        assert!(look(&cache, &wanted(1)).await.is_none(), "{position}");
    }
    let all = u64::try_from(victim.record.len()).unwrap();
    assert_eq!(cache.rejected(), BTreeMap::from([(Reason::Signature, all)]));
}

/// Every byte of the signature, too, and of the record inside the manifest where it is not what its digest says.
#[tokio::test(flavor = "multi_thread")]
async fn row_14_a_changed_signature_or_a_record_that_its_digest_does_not_name() {
    let victim = Victim::new().await;
    let name = "dev.kigumi.cache.sig/main-1";
    let signature = victim.manifest["annotations"][name].as_str().unwrap();
    for position in 0..signature.len() {
        let mut changed = signature.as_bytes().to_vec();
        changed[position] = if changed[position] == b'A' {
            b'B'
        } else {
            b'A'
        };
        let mut manifest = victim.manifest.clone();
        manifest["annotations"][name] = String::from_utf8(changed).unwrap().into();
        victim.put(&manifest);
        victim.assert_rejected(Reason::Signature).await;
    }
    let mut manifest = victim.manifest.clone();
    manifest["config"]["data"] = "e30=".into();
    victim.put(&manifest);
    victim.assert_rejected(Reason::Record).await;
}
