//! "Did you mean": the nearest of the things that would have been right.

/// The candidate with the fewest typing errors between it and `word`, if there are few enough to be typing errors.
/// Letter case does not count.
pub fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let word: Vec<char> = word.to_lowercase().chars().take(64).collect();
    let limit = if word.len() < 4 { 1 } else { 2 };
    // `x` is one letter from `y` and no slip of it.
    let shares_a_letter = |distance: usize, other: &[char]| distance < other.len().max(2);
    candidates
        .into_iter()
        .map(|candidate| {
            let other: Vec<char> = candidate.to_lowercase().chars().collect();
            let distance = distance(&word, &other);
            (distance, shares_a_letter(distance, &other), candidate)
        })
        .filter(|(distance, shares_a_letter, _)| *distance <= limit && *shares_a_letter)
        .min_by_key(|(distance, ..)| *distance)
        .map(|(.., candidate)| candidate)
}

/// Insertions, deletions, replacements and swaps of neighbours between two words.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut previous: Vec<usize> = (0..=b.len()).collect();
    let at = |row: &[usize], index: usize| row.get(index).copied().unwrap_or(usize::MAX / 2);
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let replaced = at(&previous, j) + usize::from(x != y);
            let mut best = replaced.min(at(&previous, j + 1) + 1).min(at(&row, j) + 1);
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(y) && b.get(j - 1) == Some(x);
            if swapped {
                best = best.min(at(&before, j - 1) + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut previous, row);
    }
    at(&previous, b.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_or_two_typing_errors_are_recognised() {
        let names = ["COPY", "CMD", "ENV", "EXPOSE"];
        for (word, wanted) in [
            ("COPPY", Some("COPY")),
            ("coyp", Some("COPY")),
            ("EXPSE", Some("EXPOSE")),
            ("EVN", Some("ENV")),
            ("FOO", None),
            ("KOPIEREN", None),
            ("X", None),
        ] {
            assert_eq!(nearest(word, names), wanted, "{word}");
        }
    }
}
