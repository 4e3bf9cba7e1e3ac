//! What is built: Dockerfiles and contexts that are the same for every builder, because everything in them comes from a seed.

use std::process::Command;

use anyhow::{Context as _, Result};
use kigumi_tests::{Context, Lab, run};

use super::app;
use super::target::Target;

/// Which images a workload has to have on disk: the limit is measured with their layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ground {
    /// The small base is unpacked.
    Small,
    /// The large base is unpacked.
    Big,
    /// Both are.
    Both,
    /// Nothing need be unpacked, so that there is no limit but what is sent.
    Nothing,
}

/// What is in the registry's cache when a workload is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cache {
    /// There is no cache.
    None,
    /// A cache that is empty and is filled.
    Empty,
    /// The same was built before.
    Same,
    /// The same was built before, of another [edition](Workload::context) of the context: so many of the first RUNs are kept.
    Other { runs: usize },
}

/// References of the bases in the lab's registry.
#[derive(Debug, Clone)]
pub(super) struct Bases {
    pub(super) small: String,
    pub(super) big: String,
}

/// Which of the contexts that differ in one file: what changes between two builds.
pub(super) type Edition = usize;

/// One workload of the table in `docs/benchmarks.md`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Workload {
    pub(super) name: &'static str,
    pub(super) ground: Ground,
    pub(super) cache: Cache,
    pub(super) target: Target,
    dockerfile: fn(&Bases) -> String,
    files: fn(&Lab, Context, Edition) -> Result<Context>,
}

impl Workload {
    /// Whether the large base is used at all: it takes minutes to make.
    pub(super) fn needs_big(&self) -> bool {
        let marks = Bases {
            small: "small".to_owned(),
            big: "the-large-base".to_owned(),
        };
        self.dockerfile(&marks).contains(&marks.big)
    }

    pub(super) fn dockerfile(&self, bases: &Bases) -> String {
        (self.dockerfile)(bases)
    }

    /// Dockerfile and files, made anew. All have the same time, whenever they were made: nobody's cache shall miss for that.
    pub(super) fn context(&self, lab: &Lab, dockerfile: &str, edition: Edition) -> Result<Context> {
        let context = Context::new(lab)?.file("Dockerfile", dockerfile)?;
        let context = (self.files)(lab, context, edition)?;
        let mut touch = Command::new("find");
        touch.arg(context.path()).args([
            "-exec",
            "touch",
            "--no-dereference",
            "--date=@1700000000",
            "{}",
            "+",
        ]);
        run(&mut touch).context("give a context its times")?;
        Ok(context)
    }
}

const NO_FILES: fn(&Lab, Context, Edition) -> Result<Context> = |_, context, _| Ok(context);

const TINY: Workload = Workload {
    name: "tiny",
    ground: Ground::Small,
    cache: Cache::None,
    target: Target::wall(1, 2),
    dockerfile: |bases| format!("FROM {}\nRUN true\n", bases.small),
    files: NO_FILES,
};

const COPY1: Workload = Workload {
    name: "copy1",
    ground: Ground::Nothing,
    cache: Cache::None,
    target: Target::wall(1, 5),
    dockerfile: |bases| format!("FROM {}\nCOPY one /one\n", bases.big),
    files: |_, context, edition| context.file("one", format!("small file number {edition}\n")),
};

const CACHEHIT: Workload = Workload {
    name: "cachehit",
    ground: Ground::Big,
    cache: Cache::Empty,
    target: Target::wall(1, 2),
    dockerfile: |bases| format!("FROM {}\n{CACHED}", bases.big),
    files: two_copies,
};

pub(super) const ALL: &[Workload] = &[
    TINY,
    Workload {
        name: "meta",
        ground: Ground::Nothing,
        target: Target::wall(1, 1),
        dockerfile: |bases| {
            format!(
                "FROM {}\nENV A=b\nLABEL c=d\nEXPOSE 80\nCMD [\"true\"]\n",
                bases.big
            )
        },
        ..TINY
    },
    COPY1,
    Workload {
        name: "copy1-known",
        cache: Cache::Other { runs: 0 },
        target: Target::wall(1, 20).without_layers(),
        ..COPY1
    },
    Workload {
        name: "run10",
        ground: Ground::Big,
        dockerfile: |bases| {
            let runs = (0..10).map(|number| format!("RUN echo {number} > /written-{number}\n"));
            format!("FROM {}\n{}", bases.big, runs.collect::<String>())
        },
        ..TINY
    },
    Workload {
        name: "gig",
        target: Target::overhead(3),
        dockerfile: |bases| format!("FROM {}\n{GIG}", bases.small),
        ..TINY
    },
    Workload {
        name: "files50k",
        target: Target::overhead(3),
        dockerfile: |bases| format!("FROM {}\n{FILES}", bases.small),
        ..TINY
    },
    Workload {
        name: "multi",
        ground: Ground::Both,
        dockerfile: |bases| {
            format!(
                "FROM {} AS program\n\
                 RUN echo 'int main(void) {{ return 0; }}' > /main.c && gcc -static -o /program /main.c\n\
                 FROM {} AS data\nRUN {NOISE} > /data\n\
                 FROM scratch\nCOPY --from=program /program /program\nCOPY --from=data /data /data\n",
                bases.big, bases.small
            )
        },
        ..TINY
    },
    CACHEHIT,
    Workload {
        name: "cachehit-rebuilt",
        ground: Ground::Nothing,
        cache: Cache::Same,
        target: Target::wall(1, 1).without_layers(),
        ..CACHEHIT
    },
    Workload {
        name: "cachelast",
        cache: Cache::Other { runs: 1 },
        ..CACHEHIT
    },
    Workload {
        name: "app",
        dockerfile: |bases| format!("FROM {}\n{}", bases.small, app::DOCKERFILE),
        files: |lab, context, _| app::files(lab, context),
        ..TINY
    },
    Workload {
        name: "ctx100k",
        ground: Ground::Nothing,
        target: Target::wall(1, 3),
        dockerfile: |bases| format!("FROM {}\nCOPY . /app/\n", bases.small),
        files: |_, context, _| large_context(context),
        ..TINY
    },
];

/// 4 MiB that do not compress, the same every time. No compressor at its default looks back as far.
const NOISE: &str = r"perl -e 'srand 7; print pack(q(N*), map { rand 4294967296 } 1..1048576)'";

/// 768 MiB of system files in tar form and 256 MiB that do not compress.
const GIG: &str = r"RUN for i in 1 2 3 4 5 6 7 8 9 10 11 12; do tar cf - /usr; done 2>/dev/null | head -c 805306368 > /system && \
    perl -e 'srand 7; $block = pack(q(N*), map { rand 4294967296 } 1..1048576); print $block for 1..64' > /noise
";

/// 50 000 text files in 500 directories, exponential sizes with a mean of 1.5 kB.
const FILES: &str = r"RUN perl -e 'srand 7; for $d (0..499) { mkdir qq(/many$d); for $f (0..99) { \
    open $o, q(>), qq(/many$d/$f.txt); $n = int(-1500 * log(1 - rand)); \
    print $o substr(qq(line $d $f ) x (1 + $n / 9), 0, $n); close $o } }'
";

/// Two COPYs and two RUNs: 5000 files of hexadecimal digits in 50 directories, exponential sizes with a mean of 30 kB; then all in one.
const CACHED: &str = r#"WORKDIR /work
COPY first first
RUN perl -e 'srand 7; $hex = unpack(q(H*), pack(q(N*), map { rand 4294967296 } 1..1048576)); \
    mkdir q(made); for $d (0..49) { mkdir qq(made/$d); for $f (0..99) { open $o, q(>), qq(made/$d/$f); \
    $n = int(-30000 * log(1 - rand)); print $o substr($hex, int(rand 4194304), $n); close $o } }'
COPY second second
RUN cat first/* second/* made/*/* > all
ENV A=b
CMD ["cat", "/work/all"]
"#;

/// Twenty files each; the edition says what one of the second twenty holds.
fn two_copies(_: &Lab, mut context: Context, edition: Edition) -> Result<Context> {
    for number in 0..20 {
        let content = format!("file {number}\n").repeat(100);
        context = context
            .file(&format!("first/{number}"), &content)?
            .file(&format!("second/{number}"), &content)?;
    }
    context.file("second/changed", format!("edition {edition}\n"))
}

/// 100 000 files, of which the ignore file leaves a thousand.
fn large_context(mut context: Context) -> Result<Context> {
    context = context.file(".dockerignore", "node_modules\n")?;
    for directory in 0..990 {
        for number in 0..100 {
            let name = format!("node_modules/package-{directory}/file-{number}.js");
            context = context.file(&name, "module.exports = 1;\n")?;
        }
    }
    for number in 0..1000 {
        let name = format!("src/part-{}/file-{number}.js", number % 10);
        context = context.file(&name, format!("module.exports = {number};\n"))?;
    }
    Ok(context)
}

#[cfg(test)]
mod tests {
    use super::super::alone;
    use super::*;

    #[test]
    fn every_workload_has_a_name_of_its_own_and_runs_that_can_be_taken_by_themselves() {
        let bases = Bases {
            small: "small".to_owned(),
            big: "big".to_owned(),
        };
        let mut names: Vec<_> = ALL.iter().map(|workload| workload.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
        for workload in ALL {
            let runs = alone::stages(&workload.dockerfile(&bases)).unwrap();
            let runs: usize = runs.iter().map(|stage| stage.commands.len()).sum();
            let expected = match workload.name {
                "meta" | "copy1" | "copy1-known" | "ctx100k" => 0,
                "run10" => 10,
                "multi" | "app" | "cachehit" | "cachehit-rebuilt" | "cachelast" => 2,
                _ => 1,
            };
            assert_eq!(runs, expected, "{}", workload.name);
        }
    }
}
