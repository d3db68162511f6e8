//! Finds what a mistyped word was meant to be.

/// Returns the candidate that the word was probably meant to be: one that it abbreviates or
/// lengthens, else the nearest within a third of the word's length in typing slips.
pub(super) fn nearest<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let word = word.to_lowercase();
    let extends = |candidate: &&&str| {
        word.len().min(candidate.len()) >= 3
            && (candidate.starts_with(word.as_str()) || word.starts_with(**candidate))
    };
    if let Some(candidate) = candidates.iter().find(extends) {
        return Some(candidate);
    }
    let slips = (word.chars().count() / 3).max(1);
    candidates
        .iter()
        .map(|candidate| (distance(&word, candidate), *candidate))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, _)| *distance <= slips)
        .map(|(_, candidate)| candidate)
}

/// Counts the slips between two words: a letter left out, added, changed, or two swapped (optimal
/// string alignment).
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    rows[0] = (0..=b.len()).collect();
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let changed = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = changed.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = least;
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_typing_slips() {
        assert_eq!(distance("jobs", "jobs"), 0);
        assert_eq!(distance("jbos", "jobs"), 1);
        assert_eq!(distance("sorce", "source"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn a_slip_or_an_abbreviation_finds_its_word_and_a_stranger_none() {
        let words = ["source", "dest", "jobs", "create-schema"];
        assert_eq!(nearest("sorce", &words), Some("source"));
        assert_eq!(nearest("destination", &words), Some("dest"));
        assert_eq!(nearest("create", &words), Some("create-schema"));
        assert_eq!(nearest("JOBS", &words), Some("jobs"));
        assert_eq!(nearest("xyzzy", &words), None);
        assert_eq!(nearest("", &words), None);
    }
}
