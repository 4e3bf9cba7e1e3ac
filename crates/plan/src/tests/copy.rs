//! What COPY and ADD become.

use super::Build;
use crate::{Chmod, CopyOp, CopySource, Op, Source, Unpack};

fn copy_in(file: &str) -> CopyOp {
    let steps = Build::of(file).result().steps;
    match steps.into_iter().last().map(|step| step.op) {
        Some(Op::Copy(copy)) => copy,
        other => panic!("{other:?}"),
    }
}

/// D 6: where a copy goes, and whether that must be a directory.
#[test]
fn destinations_are_absolute_and_remember_their_slash() {
    for (destination, path, is_directory) in [
        ("/x", "/x", false),
        ("/x/", "/x", true),
        ("x", "/w/x", false),
        (".", "/w", true),
        ("./", "/w", true),
        ("$none", "/w", true),
        ("/d/.", "/d", true),
        ("/x/../y//z", "/y/z", false),
        ("..", "/", false),
        ("/", "/", true),
    ] {
        let copy = copy_in(&format!("FROM scratch\nWORKDIR /w\nCOPY a {destination}"));
        let expected = (path, is_directory);
        let actual = (copy.destination.as_str(), copy.destination_is_directory);
        assert_eq!(actual, expected, "{destination}");
    }
}

/// T-EXP-09, T-EXP-10
#[test]
fn sources_are_expanded_and_heredocs_come_last() {
    let copy = copy_in(
        "FROM scratch\nENV v=V\nCOPY <<A $v <<\"B\" $none /d/\nx=${v:-d} \\$v \"q\"\nA\n$v\nB\n",
    );
    assert_eq!(
        copy.sources,
        [
            Source::Path("V".into()),
            Source::Path(String::new()),
            Source::Inline {
                name: "A".into(),
                content: "x=V $v \"q\"\n".into()
            },
            Source::Inline {
                name: "B".into(),
                content: "$v\n".into()
            },
        ]
    );
}

/// T-EXP-05
#[test]
fn flags_are_expanded_save_those_that_are_not() {
    let copy = copy_in(
        "FROM scratch\nARG u=5:6\nARG m=0640\nCOPY --chown=$u --chmod=$m --exclude=$u --parents a /",
    );
    assert_eq!(copy.chown.as_deref(), Some("5:6"));
    assert_eq!(copy.chmod, Some(Chmod::Octal(0o640)));
    assert_eq!(copy.exclude, ["$u"]);
    assert!(copy.parents);
    let copy = copy_in("FROM scratch\nCOPY --chown=$none --chmod=$none a /");
    assert_eq!((copy.chown, copy.chmod), (None, None));
}

/// D 6.1
#[test]
fn a_mode_switches_link_off() {
    assert!(copy_in("FROM scratch\nCOPY --link a /").link);
    assert!(!copy_in("FROM scratch\nCOPY --link --chmod=u+x a /").link);
    assert!(!copy_in("FROM scratch\nCOPY --link=false a /").link);
}

#[test]
fn only_add_unpacks() {
    for (instruction, expected) in [
        ("COPY a.tar /", Unpack::Never),
        ("ADD a.tar /", Unpack::LocalArchives),
        ("ADD --unpack=true a.tar /", Unpack::Always),
        ("ADD --unpack=false a.tar /", Unpack::Never),
    ] {
        let copy = copy_in(&format!("FROM scratch\n{instruction}"));
        assert_eq!(copy.unpack, expected, "{instruction}");
    }
}

#[test]
fn the_place_to_copy_from_is_a_value() {
    for (flag, expected) in [
        ("", CopySource::Context),
        ("--from=s", CopySource::Stage(crate::StageId(0))),
        ("--from=base", CopySource::Image(crate::ImageId(0))),
        ("--from=scratch", CopySource::Scratch),
    ] {
        let copy = copy_in(&format!("FROM scratch AS s\nFROM scratch\nCOPY {flag} a /"));
        assert_eq!(copy.from, expected, "{flag}");
    }
}

/// D 6.2
#[test]
fn copy_refuses_what_lies_elsewhere() {
    for source in ["https://example.invalid/x", "git@example.invalid:o/r.git"] {
        let problems = Build::of(&format!("FROM scratch\nCOPY {source} /d/")).problems();
        assert!(
            problems.contains("COPY") && problems.contains(source),
            "{problems}"
        );
    }
}

/// D 6.2
#[test]
fn a_checksum_needs_one_remote_source() {
    for sources in ["a", "https://h.invalid/a https://h.invalid/b"] {
        let problems = Build::of(&format!(
            "FROM scratch\nADD --checksum=sha256:0 {sources} /d/"
        ))
        .problems();
        assert!(problems.contains("--checksum needs"), "{problems}");
    }
}

/// Rule zero: refused with line and name, never ignored. A secret in a URL is not shown.
/// T-ADD-08, T-ADD-09
#[test]
fn a_git_repository_is_a_source_of_its_own() {
    for source in [
        "https://h.invalid/o/r.git#v1:sub",
        "https://h.invalid/o/r.git?branch=main&subdir=sub",
        "git@h.invalid:o/r.git",
        "ssh://git@h.invalid/r",
        "git://h.invalid/r",
    ] {
        let flags = "--checksum=abc --keep-git-dir=true";
        let copy = copy_in(&format!("FROM scratch\nADD {flags} {source} /d/"));
        assert_eq!(copy.sources, [Source::Git(source.to_owned())]);
        assert_eq!(copy.checksum.as_deref(), Some("abc"));
        assert_eq!(copy.keep_git_dir, Some(true));
        let problems = Build::of(&format!("FROM scratch\nCOPY {source} /d/")).problems();
        assert!(
            problems.contains("is a git repository") && problems.contains("use ADD"),
            "{problems}"
        );
    }
}

/// T-ADD-08
#[test]
fn the_checksum_of_a_url_is_a_sha256() {
    let digits = "c81662749eb30a2c7f6b6b9b1a561a7b0be5cc115759b72442ddb476e7712751";
    let file = |checksum: &str| {
        format!("FROM scratch\nARG sum\nADD --checksum={checksum} https://h.invalid/a /d/")
    };
    let copy = copy_in(&file(&format!("sha256:{digits}")));
    assert_eq!(copy.checksum, Some(format!("sha256:{digits}")));
    assert_eq!(copy.sources, [Source::Url("https://h.invalid/a".into())]);
    assert_eq!(copy_in(&file("$sum")).checksum, None);
    for wrong in [digits, "sha256:00", "sha512:00", "md5:00", "sha256:"] {
        let problems = Build::of(&file(wrong)).problems();
        assert!(
            problems.starts_with("Dockerfile:3: error: --checksum") && problems.contains(wrong),
            "{problems}"
        );
    }
}

/// T-ADD-10
#[test]
fn a_password_in_a_url_is_kept_for_the_request_and_out_of_the_image() {
    let build = Build::of("FROM scratch\nARG t\nADD https://user:$t@h.invalid/$t /d/");
    let plan = build.arg("t", "s3cret").result();
    let Some(Op::Copy(copy)) = plan.steps.last().map(|step| &step.op) else {
        panic!("{plan:?}");
    };
    let url = "https://user:s3cret@h.invalid/s3cret";
    assert_eq!(copy.sources, [Source::Url(url.into())]);
    let text = plan.steps.last().unwrap().history.as_ref().unwrap();
    assert_eq!(
        text.created_by.as_deref(),
        Some("ADD https://xxxxx:xxxxx@h.invalid/s3cret /d/ # buildkit")
    );
}

#[test]
fn questions_about_steps_are_answered_by_the_operation() {
    let file =
        "FROM base\nCOPY a /\nCOPY <<E /\nE\nCOPY --from=base /a /\nRUN x\nWORKDIR /w\nENV a=b";
    let steps = Build::of(file).result().steps;
    let answers: Vec<(bool, bool, bool)> = steps
        .iter()
        .map(|step| {
            (
                step.op.touches_rootfs(),
                step.op.reads_context(),
                step.op.may_delete(),
            )
        })
        .collect();
    assert_eq!(
        answers,
        [
            (true, true, false),
            (true, false, false),
            (true, false, false),
            (true, false, true),
            (true, false, false),
            (false, false, false),
        ]
    );
}

/// K-DROP-07
#[test]
fn what_comes_from_the_context_may_belong_to_the_user_of_the_line() {
    let file = "FROM scratch AS a\nFROM base\nUSER app:staff\nCOPY x /\nADD x /\nCOPY --chown=1 x /\nCOPY --from=a x /\nUSER 0\nCOPY x /\n";
    let owners = |copies_as_user| {
        let mut build = Build::of(file);
        build.inputs.copies_as_user = copies_as_user;
        let plan = build.plan();
        let steps = plan.stages.iter().flat_map(|stage| &stage.steps);
        let copies = steps.filter_map(|step| match &step.op {
            Op::Copy(copy) => Some(copy.chown.clone()),
            Op::Run(_) | Op::MakeDir(_) | Op::Config => None,
        });
        copies
            .map(Option::unwrap_or_default)
            .collect::<Vec<String>>()
    };
    assert_eq!(owners(false), ["", "", "1", "", ""]);
    assert_eq!(owners(true), ["app:staff", "app:staff", "1", "", "0"]);
}
