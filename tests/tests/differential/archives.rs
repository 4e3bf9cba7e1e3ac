//! What ADD unpacks, and what it does not.

use std::process::Command;

use anyhow::Result;
use kigumi_tests::Context;

use crate::Comparison;

/// Runs a shell script in the context.
fn shell(context: Context, script: &str) -> Result<Context> {
    let mut shell = Command::new("sh");
    shell.current_dir(context.path());
    kigumi_tests::run(shell.args(["-euc", &format!("umask 022; {script}")]))?;
    Ok(context)
}

#[test]
fn archives_of_every_compression_are_unpacked() -> Result<()> {
    Comparison::new(
        "FROM {busybox}
        ADD a.tar /plain/
        ADD a.tar.gz /gzip/
        ADD a.tar.bz2 /bzip2/
        ADD a.tar.xz /xz/
        ADD other-name /by-content/",
    )?
    .files(|context| {
        let make = "mkdir -p d/e; echo x > d/e/f; chmod 700 d/e; ln -s e d/link
            tar --owner=5 --group=6 --sort=name -cf a.tar d
            gzip -k a.tar; bzip2 -k a.tar; xz -k a.tar; cp a.tar.xz other-name";
        shell(context, make)
    })?
    .check()
}

#[test]
fn links_modes_owners_and_special_files_of_an_archive_are_kept() -> Result<()> {
    Comparison::new("FROM {busybox}\nADD a.tar.gz /a/")?
        .files(|context| {
            let make =
                "mkdir t t/sticky t/empty; echo x > t/one; ln t/one t/two; ln t/one t/sticky/three
                ln -s one t/link; ln -s /nowhere t/dangling; mkfifo t/pipe; echo s > t/suid
                chmod 4751 t/suid; chmod 1777 t/sticky; chmod 2710 t/empty; chmod 000 t/one
                cd t; tar --numeric-owner --owner=70000 --group=80000 --sort=name -czf ../a.tar.gz *";
            shell(context, make)
        })?
        .check()
}

#[test]
fn an_archive_is_merged_into_what_is_there() -> Result<()> {
    Comparison::new(
        "FROM {busybox}
        RUN mkdir -p /d/kept /d/over && echo old > /d/file && echo old > /d/over/old && chmod 700 /d/over
        ADD a.tar /d/
        RUN ls -R /d > /seen",
    )?
    .files(|context| {
        let make = "mkdir -p t/over t/new; echo new > t/file; echo new > t/over/new; echo x > t/new/x
            tar --owner=0 --group=0 --sort=name -C t -cf a.tar file over new";
        shell(context, make)
    })?
    .check()
}

#[test]
fn names_in_archives_are_long_and_odd() -> Result<()> {
    Comparison::new("FROM {busybox}\nADD pax.tar /pax/\nADD gnu.tar /gnu/")?
        .files(|context| {
            let make = "long=$(printf 'n%.0s' $(seq 120)); mkdir -p t/$long/$long
                echo x > t/$long/$long/$long; echo y > 't/spaces  and ünïcödé'; ln -s $long/$long t/link
                for format in pax gnu; do
                    tar --format=$format --owner=0 --group=0 --sort=name -C t -cf $format.tar .
                done";
            shell(context, make)
        })?
        .check()
}

#[test]
fn what_only_looks_like_an_archive_is_copied() -> Result<()> {
    Comparison::new(
        "FROM {busybox}
        ADD fake.tar.gz /fake/
        ADD text.gz /text/
        ADD directory /directory/
        ADD one.tar two.tar /several/",
    )?
    .files(|context| {
        let make = "echo 'no archive' > fake.tar.gz; echo text | gzip -n > text.gz
            mkdir directory; echo 1 > 1; echo 2 > 2
            tar --owner=0 --group=0 -cf one.tar 1; tar --owner=0 --group=0 -cf two.tar 2; cp one.tar directory/";
        shell(context, make)
    })?
    .check()
}
