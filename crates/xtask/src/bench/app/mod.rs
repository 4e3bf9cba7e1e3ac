//! The context of the workload `app`: sixty packages, a `node_modules` of 30 000 files made from a seed, a source tree and its bundler.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context as _, Result};
use kigumi_tests::{Context, Lab};

pub(super) const DOCKERFILE: &str = "\
COPY debs /debs
RUN dpkg -i /debs/*.deb
WORKDIR /app
COPY node_modules /app/node_modules
COPY src /app/src
RUN node src/bundle.js
";

const PACKAGES: u64 = 600;

/// Files of a package: these, and `package.json`, `README.md`, `LICENSE` and `index.js`.
const PARTS: u64 = 46;

/// How many of its parts a package's `index.js` asks for; the rest is ballast, as in life.
const USED_PARTS: u64 = 12;

/// Mean size of a part in bytes; sizes are exponential.
const MEAN: f64 = 2000.0;

/// Debian packages, modules and sources.
pub(super) fn files(lab: &Lab, mut context: Context) -> Result<Context> {
    let debs = lab.bench_debs()?;
    for entry in fs::read_dir(&debs).context("list the packages")? {
        let path = entry.context("list the packages")?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let bytes = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
        context = context.file(&format!("debs/{name}"), bytes)?;
    }
    for (name, text) in modules() {
        context = context.file(&name, text)?;
    }
    let asked = (0..PACKAGES).step_by(5);
    let mut index = String::from("let total = 0;\n");
    for number in asked {
        // Writing to a string cannot fail.
        let _infallible = writeln!(index, "total += require('package-{number}').value;");
    }
    index.push_str("exports.total = total;\n");
    context
        .file("src/index.js", index)?
        .file("src/bundle.js", include_str!("bundle.js"))
}

/// Names and contents of all files of `node_modules`, in order.
fn modules() -> impl Iterator<Item = (String, String)> {
    let mut seeded = Seeded::new(7);
    (0..PACKAGES).flat_map(move |number| package(number, &mut seeded))
}

fn package(number: u64, seeded: &mut Seeded) -> Vec<(String, String)> {
    let place = |name: &str| format!("node_modules/package-{number}/{name}");
    let manifest = format!(
        "{{\"name\":\"package-{number}\",\"version\":\"1.{}.0\",\"main\":\"index.js\"}}\n",
        seeded.below(100)
    );
    let mut index = String::from("// What the package gives.\nlet value = 1;\n");
    for part in 0..USED_PARTS.min(PARTS) {
        let _infallible = writeln!(index, "value += require('./lib/part-{part}').first(2, 3);");
    }
    // Only packages with lower numbers, so that there is no circle.
    for _ in 0..2.min(number) {
        let other = seeded.below(number);
        let _infallible = writeln!(index, "value += require('package-{other}').value % 7;");
    }
    index.push_str("exports.value = value;\n");
    let license = "Permission is hereby granted, free of charge, to any person obtaining a copy.\n";
    let mut files = vec![
        (place("package.json"), manifest),
        (
            place("README.md"),
            format!("# package-{number}\n\n{license}"),
        ),
        (place("LICENSE"), license.repeat(8)),
        (place("index.js"), index),
    ];
    files.extend((0..PARTS).map(|part| (place(&format!("lib/part-{part}.js")), module(seeded))));
    files
}

/// A module of functions with numbers that no compressor foresees.
fn module(seeded: &mut Seeded) -> String {
    let size = seeded.exponential(MEAN);
    let mut text = format!("exports.first = (a, b) => a * {} + b;\n", seeded.below(97));
    let mut number = 0_u32;
    while text.len() < size {
        let (key, factor) = (seeded.below(1 << 32), seeded.below(1 << 20));
        let _infallible = writeln!(
            text,
            "// Number {number} of its kind.\nexports.f{number} = function (left, right) {{ return left * {factor} + right.k{key:x}; }};"
        );
        number += 1;
    }
    text
}

/// Marsaglia's xorshift: the same numbers every time, on every machine.
#[derive(Debug)]
struct Seeded(u64);

impl Seeded {
    const fn new(seed: u64) -> Self {
        Self(0x9E37_79B9_7F4A_7C15 ^ seed)
    }

    const fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 16
    }

    /// A number below this one, which is not 0.
    const fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a size of a few kilobytes, drawn from 2^32 values"
    )]
    fn exponential(&mut self, mean: f64) -> usize {
        let unit = (self.below(1 << 32) + 1) as f64 / (1_u64 << 32) as f64;
        (-mean * unit.ln()) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_thirty_thousand_modules_and_they_are_the_same_every_time() {
        let all: Vec<_> = modules().collect();
        assert_eq!(all.len(), 30_000);
        assert!(all.iter().eq(modules().collect::<Vec<_>>().iter()));
        let parts = all.iter().filter(|(name, _)| name.contains("/lib/"));
        let mean = parts.map(|(_, text)| text.len()).sum::<usize>() / 27_600;
        assert!((1900..2300).contains(&mean), "{mean}");
    }

    #[test]
    fn no_package_needs_one_that_needs_it() {
        for (name, text) in modules().filter(|(name, _)| name.ends_with("/index.js")) {
            let number = |text: &str| -> u64 {
                let digits = text.chars().take_while(char::is_ascii_digit);
                digits.collect::<String>().parse().unwrap()
            };
            let own = number(name.strip_prefix("node_modules/package-").unwrap());
            let needed = text.split("require('package-").skip(1).map(number);
            assert!(needed.into_iter().all(|other| other < own), "{name}");
        }
    }
}
