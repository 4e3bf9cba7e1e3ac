//! What is decided before anything is touched. Pure.

use std::fmt;

use kigumi_layer::ImagePath;

/// What kind of thing it is, as far as mounting is concerned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Shape {
    Directory,
    Other,
}

/// What is known of a target.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Facts {
    /// What is there.
    pub(super) found: Option<Shape>,
    /// It is a mount point of the pod.
    pub(super) is_mount: bool,
    /// Something below it is, or belongs to the builder.
    pub(super) holds_mounts: bool,
}

/// How a thing gets to its target.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Method {
    /// Nothing is in the way.
    Put,
    /// What is there is set aside.
    Exchange,
    /// The directory stays, its content is exchanged.
    Refill,
}

/// Why nothing can be placed at a target.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WhyNot {
    /// A file is to be mounted over a directory.
    IsDirectory,
    /// A directory is to be mounted over a file, or a file is used as a directory.
    NotADirectory,
    /// The pod mounts a file there.
    MountedFile,
    /// The target lies on a mount of the pod that cannot be written.
    ReadOnlyMount,
    /// The builder keeps its own files there.
    Ours,
    /// The target is the root.
    Root,
    /// More links than anybody follows.
    LinkLoop,
}

impl fmt::Display for WhyNot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::IsDirectory => "there is a directory, and what is mounted is a file",
            Self::NotADirectory => "a file is in the way of a directory",
            Self::MountedFile => {
                "the pod mounts a file there, and in a pod without mount rights nothing can be put over it"
            }
            Self::ReadOnlyMount => "it lies on a volume of the pod that cannot be written",
            Self::Ours => "the builder keeps its own files there",
            Self::Root => "it is the root directory",
            Self::LinkLoop => "too many symbolic links",
        })
    }
}

/// How to place a thing of this shape there.
pub(super) fn decide(facts: Facts, thing: Shape) -> Result<Method, WhyNot> {
    let is_bound = facts.is_mount || facts.holds_mounts;
    match (facts.found, thing) {
        (None, _) => Ok(Method::Put),
        (Some(Shape::Directory), Shape::Other) => Err(WhyNot::IsDirectory),
        (Some(Shape::Other), Shape::Directory) => Err(WhyNot::NotADirectory),
        (Some(Shape::Other), Shape::Other) if facts.is_mount => Err(WhyNot::MountedFile),
        (Some(Shape::Directory), Shape::Directory) if is_bound => Ok(Method::Refill),
        (Some(_), _) => Ok(Method::Exchange),
    }
}

/// In which order things are placed: what lies inside a target comes after it, whatever the order it was written in, and of two with the same
/// target the later one wins.
///
/// COMPAT(buildkit): it sorts mounts by their target before it makes them.
pub fn in_order<T>(wanted: Vec<T>, target: impl Fn(&T) -> &ImagePath) -> Vec<T> {
    let mut ordered: Vec<T> = Vec::with_capacity(wanted.len());
    for next in wanted {
        ordered.retain(|known| target(known) != target(&next));
        ordered.push(next);
    }
    ordered.sort_by(|a, b| target(a).cmp(target(b)));
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> ImagePath {
        ImagePath::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn what_lies_inside_another_comes_later_and_of_equal_targets_the_last_one_stays() {
        let wanted = ["/a/b", "/c", "/a", "/a-b", "/c", "/a/b/c"];
        let wanted: Vec<_> = wanted
            .iter()
            .enumerate()
            .map(|(number, text)| (path(text), number))
            .collect();
        let ordered = in_order(wanted, |(path, _)| path);
        let shown: Vec<_> = ordered
            .iter()
            .map(|(path, number)| format!("{path} {number}"))
            .collect();
        assert_eq!(shown, ["/a 2", "/a/b 0", "/a/b/c 5", "/a-b 3", "/c 4"]);
    }

    #[test]
    fn how_a_thing_gets_to_its_target() {
        use Method::{Exchange, Put, Refill};
        use Shape::{Directory, Other};
        let table = [
            (None, false, false, Directory, Ok(Put)),
            (None, false, false, Other, Ok(Put)),
            (Some(Directory), false, false, Directory, Ok(Exchange)),
            (Some(Other), false, false, Other, Ok(Exchange)),
            (Some(Directory), true, false, Directory, Ok(Refill)),
            (Some(Directory), false, true, Directory, Ok(Refill)),
            (
                Some(Directory),
                false,
                false,
                Other,
                Err(WhyNot::IsDirectory),
            ),
            (
                Some(Directory),
                true,
                false,
                Other,
                Err(WhyNot::IsDirectory),
            ),
            (
                Some(Other),
                false,
                false,
                Directory,
                Err(WhyNot::NotADirectory),
            ),
            (Some(Other), true, false, Other, Err(WhyNot::MountedFile)),
        ];
        for (found, is_mount, holds_mounts, thing, expected) in table {
            let facts = Facts {
                found,
                is_mount,
                holds_mounts,
            };
            assert_eq!(decide(facts, thing), expected, "{facts:?} {thing:?}");
        }
    }
}
