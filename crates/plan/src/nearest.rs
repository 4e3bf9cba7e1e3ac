//! Did you mean …?

/// The candidate that differs from `text` in the fewest letters, if that is few enough to be a slip.
pub(crate) fn nearest<'a>(
    text: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let text = text.to_lowercase();
    // A third of the letters, but at least one: `biulder` finds `builder`, `a` does not find `web`.
    let limit = (text.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (distance(&text, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| {
            *distance <= limit && *distance < candidate.chars().count().max(2)
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The number of letters to insert, delete or replace, neighbours that changed places counting as one.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, other) in b.iter().enumerate() {
            let at = |row: &[usize], index: usize| row.get(index).copied().unwrap_or(usize::MAX);
            let replaced = at(&row, j).saturating_add(usize::from(letter != other));
            let shortest = replaced
                .min(at(&row, j + 1).saturating_add(1))
                .min(at(&next, j).saturating_add(1));
            let swapped =
                i > 0 && j > 0 && a.get(i - 1) == Some(other) && b.get(j - 1) == Some(letter);
            let shortest = if swapped {
                shortest.min(at(&before, j - 1).saturating_add(1))
            } else {
                shortest
            };
            next.push(shortest);
        }
        before = std::mem::replace(&mut row, next);
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_find_what_was_meant_and_strangers_find_nothing() {
        let candidates = ["builder", "base", "web"];
        for (text, expected) in [
            ("biulder", Some("builder")),
            ("Bilder", Some("builder")),
            ("bas", Some("base")),
            ("final", None),
            ("x", None),
        ] {
            assert_eq!(nearest(text, candidates), expected, "{text}");
        }
    }
}
