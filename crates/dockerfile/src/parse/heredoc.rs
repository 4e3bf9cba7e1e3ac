//! Markers of inline files: `<<NAME`, `<<-NAME`, `3<<"NAME"`.

use crate::word::{split_raw, split_unquoted};

/// What a marker says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Marker {
    pub(crate) name: String,
    pub(crate) file_descriptor: u32,
    pub(crate) strip_tabs: bool,
    pub(crate) expand: bool,
}

/// Reads a word as a marker; `None` if it is something else.
pub(crate) fn read_marker(word: &str) -> Option<Marker> {
    let digits = word.find(|c: char| !c.is_ascii_digit())?;
    let (descriptor, rest) = word.split_at_checked(digits)?;
    let rest = rest.strip_prefix("<<")?;
    let (strip_tabs, rest) = match rest.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let delimiter = rest.trim_ascii_start();
    if delimiter.is_empty() || delimiter.contains('<') {
        return None;
    }
    let [name] = <[String; 1]>::try_from(split_unquoted(delimiter).ok()?).ok()?;
    let [raw] = <[String; 1]>::try_from(split_raw(delimiter).ok()?).ok()?;
    // Any quote or escape in the delimiter protects the whole body.
    let expand = name == raw;
    // COMPAT(buildkit): a number that does not fit is no error, the shell will say something about it.
    let file_descriptor = descriptor.parse().unwrap_or(0);
    Some(Marker {
        name,
        file_descriptor,
        strip_tabs,
        expand,
    })
}

/// The markers of a line, in order. A line whose quotes are not balanced has none.
pub(super) fn find_markers(line: &str) -> Vec<Marker> {
    if !line.contains("<<") {
        return Vec::new();
    }
    let words = split_raw(line).unwrap_or_default();
    words.iter().filter_map(|word| read_marker(word)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `word | descriptor, tabs, expand, name`, or `-` for no marker. T-PARSE-16.
    const TABLE: &str = r#"
        <<EOF | 0 keep expand EOF
        <<-EOF | 0 strip expand EOF
        3<<EOF | 3 keep expand EOF
        <<"EOF" | 0 keep literal EOF
        <<'EOF' | 0 keep literal EOF
        <<E"O"F | 0 keep literal EOF
        <<\EOF | 0 keep literal EOF
        <<-'E F' | 0 strip literal E F
        <<file.txt | 0 keep expand file.txt
        <<$x | 0 keep expand $x
        <<${x:-y} | 0 keep expand ${x:-y}
        << | -
        <<- | -
        <EOF | -
        <<<EOF | -
        <<E<F | -
        a<<EOF | -
        EOF | -
        12 | -
        <<"EOF | -
    "#;

    #[test]
    fn markers_are_told_from_other_words() {
        for line in TABLE.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (word, wanted) = line.split_once(" | ").unwrap();
            let found = read_marker(word).map_or("-".to_owned(), |marker| {
                let tabs = if marker.strip_tabs { "strip" } else { "keep" };
                let body = if marker.expand { "expand" } else { "literal" };
                format!("{} {tabs} {body} {}", marker.file_descriptor, marker.name)
            });
            assert_eq!(found, wanted, "{line}");
        }
    }
}
