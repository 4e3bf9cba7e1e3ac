//! The same inputs give the same image, byte for byte, whatever else is different.

use std::fs::{File, FileTimes};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, ensure};
use kigumi_tests::image::{Entry, Layer};
use kigumi_tests::{Built, Context, Image, Lab, Pod};

/// 2023-11-14T22:13:20Z
const EPOCH: i64 = 1_700_000_000;

/// What differs between two builds of the same inputs.
struct Circumstances {
    /// The order in which the files of the context are made, and so that of a directory listing.
    order: fn(&mut Vec<(&'static str, &'static str)>),
    /// When they were last changed, in seconds after the epoch.
    changed: u64,
    /// Where in the pod the context is.
    place: &'static str,
    /// Of the container.
    options: &'static [&'static str],
    variables: &'static [(&'static str, &'static str)],
}

const ONE: Circumstances = Circumstances {
    order: |_| {},
    changed: 1_000,
    place: "a",
    options: &["--hostname=one", "--umask=0077", "--cpus=1"],
    variables: &[("TZ", "UTC"), ("LANG", "C")],
};

const ANOTHER: Circumstances = Circumstances {
    order: |files| files.reverse(),
    changed: 20_000_000,
    place: "another/directory",
    options: &["--hostname=another", "--umask=0000"],
    variables: &[("TZ", "Asia/Kolkata"), ("LANG", "de_DE.UTF-8")],
};

impl Circumstances {
    fn context(&self, lab: &Lab, dockerfile: &str) -> Result<Context> {
        let mut files: Vec<(&str, &str)> = vec![
            ("src/main", "main"),
            ("src/a/one", "1"),
            ("src/b/two", "2"),
            ("src/z", "z"),
            ("src/zz", "zz"),
        ];
        (self.order)(&mut files);
        let within = |name: &str| format!("{}/{name}", self.place);
        let mut context = Context::new(lab)?.file(&within("Dockerfile"), dockerfile)?;
        for (name, content) in files {
            context = context.file(&within(name), content)?;
        }
        context = context
            .hard_link(&within("src/b/link-of-main"), &within("src/main"))?
            .symlink(&within("src/link"), "main")?;
        let time =
            SystemTime::UNIX_EPOCH + Duration::from_secs(EPOCH.unsigned_abs() + self.changed);
        for name in ["src/a/one", "src/main", "src/z", "src/a", "src/b", "src"] {
            let path = context.path().join(within(name));
            let file = File::open(&path).with_context(|| path.display().to_string())?;
            file.set_times(FileTimes::new().set_modified(time))?;
        }
        Ok(context)
    }

    fn build(&self, lab: &Lab, dockerfile: &str, arguments: &[&str]) -> Result<Image> {
        let mut pod = Pod::new(lab);
        for option in self.options {
            pod = pod.podman_option(option);
        }
        for (name, value) in self.variables {
            pod = pod.env(name, value);
        }
        let context = format!("--context=dir:///workspace/{}", self.place);
        let arguments = [&[context.as_str()], arguments].concat();
        Ok(Built::by(pod, lab, self.context(lab, dockerfile)?, &arguments)?.image)
    }
}

/// Builds under both circumstances and gives the image, which is one.
fn the_same(dockerfile: &str, arguments: &[&str]) -> Result<Image> {
    let lab = Lab::get()?;
    let first = ONE.build(lab, dockerfile, arguments)?;
    let second = ANOTHER.build(lab, dockerfile, arguments)?;
    for (number, (left, right)) in first.layers.iter().zip(&second.layers).enumerate() {
        for (left, right) in left.entries.iter().zip(&right.entries) {
            ensure!(left == right, "layer {number}:\n{left:?}\n{right:?}");
        }
        ensure!(left.diff_id == right.diff_id, "the tar of layer {number}");
        ensure!(
            left.digest == right.digest,
            "the compression of layer {number}"
        );
    }
    let config = |image: &Image| String::from_utf8_lossy(&image.config.bytes).into_owned();
    ensure!(
        config(&first) == config(&second),
        "{}\n{}",
        config(&first),
        config(&second)
    );
    ensure!(first.digest() == second.digest(), "the manifests");
    Ok(first)
}

/// The entries of the layers that are not of the base, which has to be below them as it was.
fn new_entries<'a>(image: &'a Image, base: &str) -> Result<Vec<&'a Entry>> {
    let (_, name) = base.split_once('/').context("a name with a registry")?;
    let base = Image::pull(Lab::get()?.plain(), name)?;
    let (below, above) = image
        .layers
        .split_at_checked(base.layers.len())
        .context("fewer layers than the base")?;
    for (kept, original) in below.iter().zip(&base.layers) {
        ensure!(kept.digest == original.digest, "a layer of the base");
    }
    let entries = above.iter().flat_map(|layer| &layer.entries);
    // A deletion has no time of its own.
    Ok(entries
        .filter(|entry| !entry.name.contains(".wh."))
        .collect())
}

/// T-PUSH-07, T-FMT-05, T-FMT-06
#[test]
fn two_builds_with_run_are_one_image() -> Result<()> {
    let lab = Lab::get()?;
    let busybox = lab.busybox()?;
    let dockerfile = format!(
        "FROM {busybox} AS build
        WORKDIR /work
        RUN for i in 9 3 7 1; do echo $i > f$i; done; ln f7 f0; mkfifo pipe; ln -s f1 link
        FROM {busybox}
        ARG SOURCE_DATE_EPOCH
        RUN mkdir -p /d/e /cache/x && touch /d/b /d/a /cache/x/y && ln /d/b /d/aa && rm -r /cache /etc/group
        RUN rm -r /d && mkdir /d && echo $SOURCE_DATE_EPOCH > /d/epoch && touch -d @1000 /d/old
        COPY src /src
        COPY --from=build /work /work
        WORKDIR /new/directory
        COPY <<here /inline
        text
here
        ENV A=b
        USER 7:7"
    );
    let image = the_same(&dockerfile, &[&format!("--source-date-epoch={EPOCH}")])?;
    ensure!(
        image.config.value["created"] == "2023-11-14T22:13:20Z",
        "created"
    );
    for entry in new_entries(&image, &busybox)? {
        let expected = if entry.name == "d/old" { 1_000 } else { EPOCH };
        ensure!(entry.mtime == expected, "{entry:?}");
    }
    Ok(())
}

/// T-PUSH-03, T-PUSH-07
#[test]
fn two_builds_without_run_are_one_image_in_every_compression() -> Result<()> {
    for compression in ["gzip", "zstd"] {
        let image = the_same(
            "FROM scratch AS one
            WORKDIR /x/y
            COPY src/a /x/
            FROM scratch
            COPY --from=one / /one/
            ADD src /two
            COPY --chown=5:6 --chmod=u=rwX,go=rX src/main src/zz /three/
            LABEL b=1 a=2 c=3
            EXPOSE 9 8",
            &["--reproducible", &format!("--compression={compression}")],
        )?;
        ensure!(
            image.config.value["created"] == "1970-01-01T00:00:00Z",
            "created"
        );
        let entries = image.layers.iter().flat_map(|layer| &layer.entries);
        for entry in entries {
            ensure!(entry.mtime == 0, "{entry:?}");
        }
        let same = |layer: &Layer| layer.compression == compression;
        ensure!(image.layers.iter().all(same), "the compression is kept");
    }
    Ok(())
}

/// What a package manager does, whose database and logs are the user's to clean.
#[test]
fn two_builds_that_install_a_package_are_one_image() -> Result<()> {
    let debian = Lab::get()?.debian()?;
    let dockerfile = format!(
        "FROM {debian}
        ARG SOURCE_DATE_EPOCH
        WORKDIR /package
        RUN mkdir -p root/DEBIAN root/usr/share/thing && echo data > root/usr/share/thing/data \\
            && printf 'Package: thing\\nVersion: 1\\nArchitecture: all\\nMaintainer: a <a@example.org>\\nDescription: d\\n' \\
                > root/DEBIAN/control \\
            && dpkg-deb --build root thing.deb && dpkg -i thing.deb && useradd --system thing \\
            && dpkg --purge --force-all logsave && rm -rf /var/log/* /var/cache/ldconfig root
        RUN dpkg -r thing && rm /var/log/dpkg.log"
    );
    let image = the_same(&dockerfile, &[&format!("--timestamp={EPOCH}")])?;
    for entry in new_entries(&image, &debian)? {
        ensure!(entry.mtime <= EPOCH, "{entry:?}");
    }
    Ok(())
}
