//! A root filesystem that the next stage needs as well: undone, not emptied (ADR 25).

use anyhow::{Result, ensure};
use kigumi_tests::{Built, Context, ImageBuilder, Lab, LayerBuilder};

/// A base with a tree whose every detail is looked at.
fn base(lab: &Lab) -> Result<String> {
    let name = Lab::unique_name("base");
    let mut tree = LayerBuilder::new()
        .dir("tree", 0o755)?
        .dir("tree/d", 0o750)?;
    for number in 0..20 {
        let file = format!("tree/d/{number}");
        tree = tree.file(&file, 0o644, format!("content {number}"))?;
    }
    tree = tree
        .file("tree/set", 0o4755, "program")?
        .hard_link("tree/same", "tree/set")?
        .symlink("tree/link", "d/1")?
        .xattr("user.mark", b"1")
        .file("tree/marked", 0o600, "marked")?;
    ImageBuilder::new(lab)?
        .layer(LayerBuilder::with_shell(lab)?)?
        .layer(tree)?
        .push(lab.plain(), &name)?;
    Ok(lab.destination(&name))
}

/// Everything of the tree that a process sees, into a file.
const LOOK: &str = "RUN busybox --install -s /bin 2>/dev/null; { find /tree -exec stat -c '%n %F %a %u:%g %s %Y %h %N' {} + | sort; \
    find /tree -type f -exec md5sum {} + | sort; ls /; } >/seen";

const MESS: &str = "RUN busybox --install -s /bin; cd /tree && echo changed >d/1 && rm d/2 set && chmod 700 d && mkdir -p new/deep && \
    echo x >new/deep/f && mv d/3 d/moved && ln marked d/marked && rm link && mkdir link && touch -d @7 d/4 . && \
    mkfifo /pipe && echo made >/made";

fn build(lab: &Lab, dockerfile: &str) -> Result<Built> {
    let context = Context::new(lab)?.file("Dockerfile", dockerfile)?;
    Built::of(lab, context, &["--source-date-epoch=1700000000"])
}

fn said(built: &Built, text: &str) -> usize {
    let log = format!("{}{}", built.outcome.stdout, built.outcome.stderr);
    log.matches(text).count()
}

fn layers(built: &Built) -> Vec<String> {
    let layers = built.image.layers.iter();
    layers
        .map(|layer| layer.descriptor.digest.clone())
        .collect()
}

#[test]
fn a_stage_after_another_on_the_same_base_is_as_if_it_were_alone() -> Result<()> {
    let lab = Lab::get()?;
    let base = base(lab)?;
    let first = format!("FROM {base} AS first\n{MESS}\n");
    let copies = "COPY --from=first /made /tree/d/5 /from/\n";
    let both = build(lab, &format!("{first}FROM {base}\n{LOOK}\n{copies}"))?;
    let alone = build(lab, &format!("FROM {base}\n{LOOK}\n"))?;
    let (both_layers, alone_layers) = (layers(&both), layers(&alone));
    ensure!(
        both_layers.starts_with(&alone_layers),
        "{both_layers:?}, not {alone_layers:?}"
    );
    both.holds("/from/made", "made\n")?;
    both.holds("/from/5", "content 5")?;
    ensure!(said(&both, "unpacked ") == 1, "{}", both.outcome);
    both.outcome.says("rolled the root filesystem back")?;
    ensure!(said(&alone, "rolled") == 0, "{}", alone.outcome);
    Ok(())
}

#[test]
fn stages_on_another_stage_all_find_it_as_it_was() -> Result<()> {
    let lab = Lab::get()?;
    let base = base(lab)?;
    let dockerfile = format!(
        "FROM {base} AS parent\n{MESS}\n\
         FROM parent AS one\nRUN rm -r /tree/new /made && echo one >/tree/d/6\n{LOOK}\n\
         FROM parent AS two\n{LOOK}\nRUN echo two >/tree/d/6\n\
         FROM parent\n{LOOK}\nCOPY --from=one /tree/d/6 /one\nCOPY --from=two /seen /seen-by-two\n"
    );
    let built = build(lab, &dockerfile)?;
    built.holds("/tree/d/6", "content 6")?;
    built.holds("/one", "one\n")?;
    built.holds("/made", "made\n")?;
    let tree = built.image.flatten();
    let described = |name: &str| tree.get(name).map(|node| node.describe(name));
    let content = |name| described(name).and_then(|text| Some(text.rsplit_once(' ')?.1.to_owned()));
    ensure!(
        content("seen").is_some() && content("seen") == content("seen-by-two"),
        "{:?}, {:?}",
        described("seen"),
        described("seen-by-two")
    );
    ensure!(said(&built, "unpacked ") == 1, "{}", built.outcome);
    ensure!(said(&built, "rolled the root") == 2, "{}", built.outcome);
    Ok(())
}

#[test]
fn a_stage_that_leaves_little_of_its_base_is_wiped() -> Result<()> {
    let lab = Lab::get()?;
    let base = base(lab)?;
    let dockerfile = format!(
        "FROM {base} AS first\nRUN busybox chmod -R go= /tree /bin && echo made >/made\n\
         FROM {base}\nCOPY --from=first /made /made\n{LOOK}\n"
    );
    let built = build(lab, &dockerfile)?;
    ensure!(said(&built, "unpacked ") == 2, "{}", built.outcome);
    ensure!(said(&built, "rolled") == 0, "{}", built.outcome);
    built.has("/tree/d/1", "f 0644 0:0")
}
