//! What `.dockerignore` keeps out of a COPY of everything.

use anyhow::Result;
use kigumi_tests::Context;

use crate::Comparison;

fn tree(context: Context) -> Result<Context> {
    let names = [
        "README.md",
        "main.c",
        "main.o",
        "src/main.c",
        "src/main.o",
        "src/deep/er/x.c",
        "src/deep/er/x.o",
        "src/keep.o",
        "build/out/a",
        "build/out/b",
        "build/b",
        "docs/a.md",
        "docs/README.md",
        "docs/internal/a.md",
        ".git/config",
        ".env",
        "a b/c d",
        "[x]",
        "x",
    ];
    let fill = |context: Context, name: &&str| context.file(name, *name);
    names.iter().try_fold(context, fill)
}

fn compared(ignored: &str) -> Result<Comparison> {
    Comparison::new("FROM {busybox}\nCOPY . /all/\n")?
        .files(|context| tree(context)?.file(".dockerignore", ignored))
}

#[test]
fn nothing_but_what_is_let_in_again() -> Result<()> {
    compared("*\n!src\n!docs/*.md\nsrc/**/*.o\n!src/keep.o\n")?.check()
}

#[test]
fn patterns_for_any_depth() -> Result<()> {
    compared("**/*.o\n**/README.md\n!README.md\n.git\n**/internal\n")?.check()
}

#[test]
fn slashes_blanks_and_comments() -> Result<()> {
    compared("# *\n\n  /main.c  \nsrc/\n/docs/internal/\n./build/out\na b\n\\#x\n")?
        // This buildah takes the blanks for a part of the name.
        .allow(|allowed| allowed.paths(&["all/main.c"]))
        .check()
}

#[test]
fn classes_and_question_marks() -> Result<()> {
    compared("[a-m]ain.?\nsrc/main.[!c]\n\\[x\\]\n.???\n")?.check()
}

#[test]
fn the_dockerfile_and_the_list_itself() -> Result<()> {
    compared("Dockerfile\n.dockerignore\nbuild\n!build/out/a\n")?.check()
}
