use kigumi_context::{Archives, Chmod, CopyItem, CopySpec, Destination, Owner, copy_changes};
use kigumi_layer::{Change, Timestamp, Tree, diff, notation};

use super::parts;

/// COPY from a tree to a tree, both in the notation of trees. Input: the stage, the source, options, source patterns by line, the
/// destination.
///
/// The changes are a layer: they can be applied to the stage, name no path twice and no whiteout, parents come first. Done again, the
/// same COPY changes nothing that a snapshot would see.
pub fn copy(data: &[u8]) {
    let [stage, source, options, patterns, destination] = parts::<5>(data);
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let (Ok(stage), Ok(source)) = (
        notation::parse_tree(&text(stage)),
        notation::parse_tree(&text(source)),
    ) else {
        return;
    };
    let Some(spec) = spec(options, &text(patterns), &text(destination)) else {
        return;
    };
    let Ok(changes) = copy_changes(&stage, &spec, &[&source], &Archives::none()) else {
        return;
    };
    check_order(&changes);
    let mut after = stage.clone();
    after
        .apply_layer(changes)
        .expect("what COPY gives can be applied");
    if spec.link {
        return;
    }
    if let Ok(again) = copy_changes(&after, &spec, &[&source], &Archives::none()) {
        let mut twice = after.clone();
        twice.apply_layer(again).expect("and again");
        // A link in the destination may lead elsewhere once its target was replaced.
        if !text(data).contains("->") {
            assert_eq!(diff(&after, &twice), []);
        }
    }
}

fn spec(options: &[u8], patterns: &str, destination: &str) -> Option<CopySpec> {
    let option = |index: usize| options.get(index).copied().unwrap_or(b'0') % 4;
    let items = patterns.lines().map(|pattern| CopyItem::Path {
        source: 0,
        pattern: pattern.to_owned(),
        unpack: false,
    });
    Some(CopySpec {
        items: items.collect(),
        destination: Destination::new(b"/w", destination).ok()?,
        owner: match option(0) {
            0 => Owner::ROOT,
            1 => Owner::Kept,
            _ => Owner::Given { uid: 7, gid: 8 },
        },
        chmod: match option(1) {
            0 | 1 => None,
            2 => Some(Chmod::parse("640").ok()?),
            _ => Some(Chmod::parse("u=rwX,go=rX").ok()?),
        },
        parents: option(2) == 1,
        exclude: if option(3) == 1 {
            vec!["**/x".to_owned(), "!y".to_owned()]
        } else {
            Vec::new()
        },
        link: option(4) == 1,
        now: Timestamp::from_seconds(5),
    })
}

fn check_order(changes: &[Change]) {
    let mut seen = Tree::new();
    for change in changes {
        let path = change.path();
        assert!(
            path.parent()
                .is_none_or(|parent| seen.get(&parent).is_some()),
            "no parent of {path}"
        );
        match change {
            Change::Put { path, .. } | Change::Link { path, .. } => {
                assert!(path.is_root() || seen.get(path).is_none(), "{path} twice");
                let effect = seen.apply(change.clone()).expect("parents come first");
                assert!(effect.removed.is_empty());
            }
            Change::Delete { path } => panic!("COPY deletes {path}"),
            Change::ClearDir { .. } => {}
        }
    }
}
