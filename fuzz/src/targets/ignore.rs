use kigumi_dockerfile::glob::Glob;
use kigumi_dockerfile::ignore::{Patterns, Verdict, clean};

use super::parts;

/// `.dockerignore`. Input: the file, a path. What is decided about a path from the top is what is decided about it at once; nothing is
/// re-included below a directory that is said to hold nothing.
pub fn ignore(data: &[u8]) {
    let [file, path] = parts::<2>(data);
    let path = clean(&String::from_utf8_lossy(path));
    let path = path.trim_start_matches(['/', '.']);
    if let Ok(glob) = Glob::new(&String::from_utf8_lossy(file)) {
        let _ = glob.matches(path.as_bytes());
    }
    let text = String::from_utf8_lossy(file);
    if let Ok(patterns) = Patterns::new(text.lines()) {
        let _ = walk(&patterns, path);
    }
    let Ok(patterns) = Patterns::parse_file(file) else {
        return;
    };
    if path.is_empty() {
        return;
    }
    let excluded = walk(&patterns, path);
    assert_eq!(excluded, patterns.excludes(path.as_bytes()));
    if patterns.is_empty() {
        assert!(!excluded);
    }
}

/// Judges the directories on the way as whoever reads a context does.
fn walk(patterns: &Patterns, path: &str) -> bool {
    let mut above: Option<Verdict> = None;
    let mut closed = false;
    let ends = path
        .match_indices('/')
        .map(|(at, _)| at)
        .chain([path.len()]);
    for end in ends {
        let here = path.get(..end).unwrap_or(path).as_bytes();
        let verdict = patterns.judge(here, above.as_ref());
        assert!(
            !closed || verdict.is_excluded(),
            "re-included below a closed directory"
        );
        closed |= !patterns.may_include_below(here, &verdict);
        above = Some(verdict);
    }
    above.is_some_and(|verdict| verdict.is_excluded())
}
