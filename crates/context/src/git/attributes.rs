//! `.gitattributes`: which file is converted how on its way to the worktree.

use std::path::{Path, PathBuf};

use gix_attributes::search::{MetadataCollection, Outcome};
use gix_attributes::{Search, StateRef};
use gix_glob::pattern::Case;
use kigumi_layer::ImagePath;

use super::GitError;
use super::conversion::{Conversion, State, States};

/// The attributes that change contents, where no program is configured.
const NAMES: [&str; 5] = ["text", "crlf", "eol", "ident", "working-tree-encoding"];

/// The attributes of one repository, as far as its directories have been entered.
pub(super) struct Attributes {
    search: Search,
    known: MetadataCollection,
    found: Outcome,
    is_empty: bool,
}

impl Attributes {
    pub(super) fn new() -> Self {
        let mut attributes = Self {
            search: Search::default(),
            known: MetadataCollection::default(),
            found: Outcome::default(),
            is_empty: true,
        };
        attributes.add(
            b"[attr]binary -diff -merge -text",
            PathBuf::from("[builtin]"),
            None,
        );
        attributes.is_empty = true;
        attributes
    }

    /// Takes over the file of a directory of the repository, whose parents have been entered before.
    pub(super) fn enter(&mut self, directory: &ImagePath, text: &[u8]) {
        let file = [directory.as_relative(), b".gitattributes"].join(&b'/');
        let file = String::from_utf8_lossy(&file).into_owned();
        let source = PathBuf::from(file.trim_start_matches('/'));
        self.add(text, source, Some(Path::new("")));
    }

    fn add(&mut self, text: &[u8], source: PathBuf, root: Option<&Path>) {
        // gitattributes(5): macros are defined at the top only.
        let macros = source.components().count() == 1;
        let added = self
            .search
            .add_patterns_buffer(text, source, root, &mut self.known, macros);
        if let Err(error) = added {
            // git says as much and goes on.
            tracing::debug!(%error, "a .gitattributes is left out");
        }
        self.found = Outcome::default();
        self.found.initialize_with_selection(&self.known, NAMES);
        self.is_empty = false;
    }

    /// What becomes of the content of a file; its path is relative to the repository.
    pub(super) fn conversion(&mut self, path: &ImagePath) -> Result<Conversion, GitError> {
        if self.is_empty {
            return Ok(Conversion::default());
        }
        self.found.reset();
        let relative = path.as_relative().into();
        self.search.pattern_matching_relative_path(
            relative,
            Case::Sensitive,
            Some(false),
            &mut self.found,
        );
        let mut states = self
            .found
            .iter_selected()
            .map(|found| found.assignment.state);
        let mut next = || states.next().unwrap_or(StateRef::Unspecified);
        let [text, crlf, eol, ident, encoding] = NAMES.map(|_| next());
        let states = States {
            text: state(&text),
            crlf: state(&crlf),
            eol: state(&eol),
            ident: state(&ident),
            encoding: state(&encoding),
        };
        Conversion::of(&states).map_err(|encoding| GitError::Encoding {
            path: path.clone(),
            encoding,
        })
    }
}

fn state<'a>(found: &'a StateRef<'a>) -> State<'a> {
    match found {
        StateRef::Set => State::Set,
        StateRef::Unset => State::Unset,
        // A value that is no text is none that means anything.
        StateRef::Value(value) => {
            State::Value(std::str::from_utf8(value.as_bstr()).unwrap_or_default())
        }
        StateRef::Unspecified => State::Unspecified,
    }
}
