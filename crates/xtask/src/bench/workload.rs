//! What is built: Dockerfiles and contexts that are the same for every builder, because everything in them comes from a seed.

use anyhow::Result;
use kigumi_tests::{Context, Lab};

/// Which image a workload is mostly about: the limit is measured with its layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ground {
    /// The small base is unpacked.
    Small,
    /// The large base is unpacked.
    Big,
    /// Nothing need be unpacked, so that there is no limit but what is sent.
    Nothing,
}

/// References of the bases in the lab's registry.
#[derive(Debug, Clone)]
pub(super) struct Bases {
    pub(super) small: String,
    pub(super) big: String,
}

/// One workload of the table in `docs/benchmarks.md`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Workload {
    pub(super) name: &'static str,
    pub(super) ground: Ground,
    dockerfile: fn(&Bases) -> String,
    files: fn(Context) -> Result<Context>,
}

impl Workload {
    /// Whether the large base is used at all: it takes minutes to make.
    pub(super) fn needs_big(&self) -> bool {
        let marks = Bases {
            small: "small".to_owned(),
            big: "the-large-base".to_owned(),
        };
        (self.dockerfile)(&marks).contains(&marks.big)
    }

    /// Dockerfile and files, made anew.
    pub(super) fn context(&self, lab: &Lab, bases: &Bases) -> Result<Context> {
        let context = Context::new(lab)?.file("Dockerfile", (self.dockerfile)(bases))?;
        (self.files)(context)
    }
}

pub(super) const ALL: &[Workload] = &[
    Workload {
        name: "tiny",
        ground: Ground::Small,
        dockerfile: |bases| format!("FROM {}\nRUN true\n", bases.small),
        files: Ok,
    },
    Workload {
        name: "meta",
        ground: Ground::Nothing,
        dockerfile: |bases| {
            format!(
                "FROM {}\nENV A=b\nLABEL c=d\nEXPOSE 80\nCMD [\"true\"]\n",
                bases.big
            )
        },
        files: Ok,
    },
    Workload {
        name: "copy1",
        ground: Ground::Nothing,
        dockerfile: |bases| format!("FROM {}\nCOPY one /one\n", bases.big),
        files: |context| context.file("one", "one small file\n"),
    },
    Workload {
        name: "run10",
        ground: Ground::Big,
        dockerfile: |bases| {
            let runs = (0..10).map(|number| format!("RUN echo {number} > /written-{number}\n"));
            format!("FROM {}\n{}", bases.big, runs.collect::<String>())
        },
        files: Ok,
    },
    Workload {
        name: "gig",
        ground: Ground::Small,
        dockerfile: |bases| format!("FROM {}\n{GIG}", bases.small),
        files: Ok,
    },
    Workload {
        name: "files50k",
        ground: Ground::Small,
        dockerfile: |bases| format!("FROM {}\n{FILES}", bases.small),
        files: Ok,
    },
    Workload {
        name: "multi",
        ground: Ground::Big,
        dockerfile: |bases| {
            format!(
                "FROM {} AS program\n\
                 RUN echo 'int main(void) {{ return 0; }}' > /main.c && gcc -static -o /program /main.c\n\
                 FROM {} AS data\nRUN {NOISE} > /data\n\
                 FROM scratch\nCOPY --from=program /program /program\nCOPY --from=data /data /data\n",
                bases.big, bases.small
            )
        },
        files: Ok,
    },
    Workload {
        name: "ctx100k",
        ground: Ground::Nothing,
        dockerfile: |bases| format!("FROM {}\nCOPY . /app/\n", bases.small),
        files: large_context,
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
