//! WORKDIR.

use kigumi_layer::{Change, ImagePath, Mode, Timestamp, Tree};

use crate::CopyError;
use crate::target::{NewDirectory, Target};

/// What WORKDIR makes: every missing directory on the way to `directory`, 0755 and of this user and group. Links are followed inside the
/// tree. What exists is left alone; nothing is made for `/`.
///
/// # Errors
/// [`CopyError`] when a file is in the way or links lead in a circle.
pub fn make_dir_changes(
    tree: &Tree,
    directory: &ImagePath,
    (uid, gid): (u32, u32),
    now: Timestamp,
) -> Result<Vec<Change>, CopyError> {
    let mut target = Target::new(tree);
    let fault = |fault: crate::target::Fault| fault.of_destination(&directory.to_string());
    let real = target.follow(directory).map_err(fault)?;
    let new = NewDirectory {
        mode: Mode::DIRECTORY,
        uid,
        gid,
        now,
    };
    target.make_directories(&real, new).map_err(fault)?;
    Ok(target.changes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{NOW, normal, path, shown, tree};

    fn made(base: &str, directory: &str) -> String {
        shown(&make_dir_changes(&tree(base), &path(directory), (1, 2), NOW).unwrap())
    }

    #[test]
    fn missing_directories_are_made_for_the_user_and_existing_ones_left_alone() {
        let base = r"
            d 0711 5:6 /w
            d 0755 0:0 /real
            l 0:0 /link -> real
            l 0:0 /dangling -> ../made/here";
        let cases = [
            ("/", ""),
            ("/w", ""),
            ("/link", ""),
            (
                "/w/a/b",
                "d 0711 5:6 /w\nd 0755 1:2 @now /w/a\nd 0755 1:2 @now /w/a/b",
            ),
            ("/link/a", "d 0755 0:0 /real\nd 0755 1:2 @now /real/a"),
            (
                "/dangling",
                "d 0755 1:2 @now /made\nd 0755 1:2 @now /made/here",
            ),
        ];
        for (directory, expected) in cases {
            assert_eq!(made(base, directory), normal(expected), "{directory}");
        }
    }

    #[test]
    fn a_file_in_the_way_is_named() {
        let base = tree("f 0644 0:0 /f \"f\"\nl 0:0 /l -> l");
        let error = |directory| {
            make_dir_changes(&base, &path(directory), (0, 0), NOW)
                .unwrap_err()
                .to_string()
        };
        assert_eq!(error("/f/a"), "destination `/f/a`: `/f` is not a directory");
        assert_eq!(error("/f"), "destination `/f`: `/f` is not a directory");
        assert_eq!(
            error("/l"),
            "destination `/l`: too many levels of symbolic links"
        );
    }
}
