//! Which of a server's references a revision means. Pure.

use gix_hash::ObjectId;
use gix_protocol::handshake::Ref;

/// A reference of the server that was chosen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Chosen {
    /// `refs/…`
    pub(super) name: String,
    /// What it points to: a commit or an annotated tag.
    pub(super) id: ObjectId,
}

/// What to ask a server for that lists references by prefix.
pub(super) fn prefixes(revision: Option<&str>) -> Vec<String> {
    match revision {
        None => vec!["HEAD".to_owned()],
        Some(revision) => candidates(revision).into(),
    }
}

/// The names that a revision may stand for, best first. COMPAT(buildkit): `refs/…` whole, then a branch, then a tag.
fn candidates(revision: &str) -> [String; 3] {
    let below = |namespace: &str| {
        let name = revision.strip_prefix(namespace).unwrap_or(revision);
        format!("{namespace}{name}")
    };
    [below("refs/"), below("refs/heads/"), below("refs/tags/")]
}

/// What a revision means; the default branch without one.
pub(super) fn choose(refs: &[Ref], revision: Option<&str>) -> Option<Chosen> {
    match revision {
        None => default_branch(refs),
        Some(revision) => candidates(revision)
            .iter()
            .find_map(|name| find(refs, name)),
    }
}

fn default_branch(refs: &[Ref]) -> Option<Chosen> {
    let head = refs.iter().find(|found| found.unpack().0 == "HEAD")?;
    let (_, id, _) = head.unpack();
    let id = id?.to_owned();
    let name = match head {
        Ref::Symbolic { target, .. } => target.to_string(),
        // A detached HEAD, or a server that says nothing of where it points.
        Ref::Direct { .. } | Ref::Peeled { .. } | Ref::Unborn { .. } => "HEAD".to_owned(),
    };
    Some(Chosen { name, id })
}

fn find(refs: &[Ref], name: &str) -> Option<Chosen> {
    let found = refs.iter().find(|found| found.unpack().0 == name)?;
    let (_, id, _) = found.unpack();
    Some(Chosen {
        name: name.to_owned(),
        id: id?.to_owned(),
    })
}

/// A branch or tag that is exactly this commit, so that a server gives it even where it gives no other.
pub(super) fn pointing_to(refs: &[Ref], commit: ObjectId) -> Option<Chosen> {
    refs.iter().find_map(|found| {
        let (name, id, peeled) = found.unpack();
        let (id, name) = (id?.to_owned(), name.to_string());
        let hit = id == commit || peeled.is_some_and(|peeled| peeled == commit);
        (hit && name.starts_with("refs/")).then_some(Chosen { name, id })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(digit: u8) -> ObjectId {
        ObjectId::from_hex(&[digit; 40]).unwrap()
    }

    fn refs() -> Vec<Ref> {
        let direct = |name: &str, digit| Ref::Direct {
            full_ref_name: name.into(),
            object: id(digit),
        };
        vec![
            Ref::Symbolic {
                full_ref_name: "HEAD".into(),
                target: "refs/heads/main".into(),
                tag: None,
                object: id(b'1'),
            },
            direct("refs/heads/main", b'1'),
            direct("refs/heads/both", b'2'),
            direct("refs/tags/both", b'3'),
            direct("refs/heads/a/b", b'4'),
            direct("refs/pull/7/head", b'5'),
            Ref::Peeled {
                full_ref_name: "refs/tags/v1".into(),
                tag: id(b'6'),
                object: id(b'7'),
            },
        ]
    }

    #[test]
    fn a_revision_is_a_whole_name_a_branch_or_a_tag() {
        for (revision, expected) in [
            (None, Some(("refs/heads/main", b'1'))),
            (Some("main"), Some(("refs/heads/main", b'1'))),
            (Some("refs/heads/main"), Some(("refs/heads/main", b'1'))),
            (Some("heads/main"), Some(("refs/heads/main", b'1'))),
            (Some("both"), Some(("refs/heads/both", b'2'))),
            (Some("tags/both"), Some(("refs/tags/both", b'3'))),
            (Some("refs/tags/both"), Some(("refs/tags/both", b'3'))),
            (Some("a/b"), Some(("refs/heads/a/b", b'4'))),
            (Some("pull/7/head"), Some(("refs/pull/7/head", b'5'))),
            (Some("v1"), Some(("refs/tags/v1", b'6'))),
            (Some("a"), None),
            (Some("HEAD"), None),
            (Some("nosuch"), None),
        ] {
            let chosen = choose(&refs(), revision).map(|chosen| (chosen.name, chosen.id));
            let expected = expected.map(|(name, digit)| (name.to_owned(), id(digit)));
            assert_eq!(chosen, expected, "{revision:?}");
        }
    }

    #[test]
    fn a_commit_is_found_behind_a_tag() {
        let name = |digit| pointing_to(&refs(), id(digit)).map(|chosen| chosen.name);
        assert_eq!(name(b'7').as_deref(), Some("refs/tags/v1"));
        assert_eq!(name(b'1').as_deref(), Some("refs/heads/main"));
        assert_eq!(name(b'9'), None);
    }
}
