//! `--context-sub-path` of a build context that is a tree.

use kigumi_layer::{ImagePath, Tree};

use crate::{Error, subdirectory};

/// The files below a directory of a tree, as seen from there. Links on the way may not lead out of the tree.
///
/// # Errors
/// [`Error::SubPath`] when there is no such directory in it, [`Error::Files`].
pub fn part(tree: Tree, directory: &ImagePath) -> Result<Tree, Error> {
    if directory.is_root() {
        return Ok(tree);
    }
    let real = subdirectory::locate(&tree, directory).map_err(|reason| Error::SubPath {
        written: String::from_utf8_lossy(directory.as_relative()).into_owned(),
        reason,
    })?;
    subdirectory::below(&tree, &real).map_err(|source| Error::Files { source })
}

#[cfg(test)]
mod tests {
    use kigumi_layer::notation;

    use super::*;

    #[test]
    fn a_part_lies_inside_whatever_leads_to_it() {
        let all = "d 0755 0:0 /a\nd 0755 0:0 /a/b\nf 0644 0:0 /a/b/f \"x\"\nh /a/b/g = /a/b/f\n\
                   l 0:0 /in -> a/b\nl 0:0 /out -> ../../etc\n";
        let tree = notation::parse_tree(all).unwrap();
        let shown = |written: &str| {
            let path = ImagePath::parse(written.as_bytes()).unwrap();
            let found = part(tree.clone(), &path).map_err(|error| error.to_string())?;
            let names = found.walk().map(|(path, _)| path.to_string());
            Ok::<Vec<String>, String>(names.collect())
        };
        assert_eq!(shown("a/b").unwrap(), ["/", "/f", "/g"]);
        assert_eq!(shown("in").unwrap(), ["/", "/f", "/g"]);
        let linked = part(tree.clone(), &ImagePath::parse(b"a/b").unwrap()).unwrap();
        let id = linked.lookup(&ImagePath::parse(b"g").unwrap()).unwrap();
        assert_eq!(linked.links(id), 2, "a hard link stays one");
        for (written, reason) in [
            ("out", "leads outside"),
            ("none", "not there"),
            ("a/b/f", "not a directory"),
        ] {
            let error = shown(written).unwrap_err();
            assert!(error.contains(reason) && error.contains(written), "{error}");
        }
    }
}
