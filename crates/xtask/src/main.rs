//! Every chore that CI or a person runs: `cargo xtask <chore>`.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for people: what it says is its result"
)]

mod bench;
mod cargo;
mod check;
mod demo;
mod deny;
mod fuzz;
mod lab;
mod layers;
mod reference;
mod requirements;
mod summary;
mod test;

use std::process::ExitCode;

use anyhow::Result;

/// A chore: its name, what it does in one line, and the function.
type Chore = (&'static str, &'static str, fn(&[String]) -> Result<()>);

const CHORES: &[Chore] = &[
    (
        "demo",
        "build an example in a container, push it to a local registry, run it",
        demo::run,
    ),
    ("test", "run all tests; installs what they need", test::all),
    (
        "unit",
        "run the tests of the pure crates: neither root nor network",
        test::unit,
    ),
    (
        "check",
        "fmt, clippy, doc, layers, requirements, reference, deny: before every push",
        check::run,
    ),
    (
        "layers",
        "who may depend on whom, and clippy.toml files that agree",
        layers::run,
    ),
    (
        "requirements",
        "statements about correct behaviour without a test or a reason",
        requirements::run,
    ),
    (
        "reference",
        "write docs/reference.md from the flags and variables themselves",
        reference::run,
    ),
    (
        "deny",
        "licences, bans and sources of dependencies, if cargo-deny is installed",
        deny::run,
    ),
    (
        "fuzz",
        "[target [seconds]]: run the fuzz targets, 60 seconds each unless told otherwise",
        fuzz::run,
    ),
    (
        "bench",
        "[workload…] [--rounds N] [--results FILE]: against buildah and plain tools",
        bench::run,
    ),
    (
        "executor",
        "build the static executor and say where it is",
        lab::executor,
    ),
    (
        "lab",
        "up | down | status: the registries that tests and demo use",
        lab::run,
    ),
];

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let wanted = arguments.next().unwrap_or_default();
    let rest: Vec<String> = arguments.collect();
    let Some((_, _, chore)) = CHORES.iter().find(|(name, _, _)| *name == wanted) else {
        println!("cargo xtask <chore>");
        for (name, about, _) in CHORES {
            println!("  {name:<12} {about}");
        }
        return ExitCode::from(u8::from(!wanted.is_empty()));
    };
    match chore(&rest) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("\nxtask {wanted}: {error}");
            for cause in error.chain().skip(1) {
                println!("caused by: {cause}");
            }
            ExitCode::FAILURE
        }
    }
}
