//! Reads a byline from a page's text.

use crate::ingest::words::TIME_WORDS;
use crate::ingest::{times, without_by};

/// Only this many words of a byline are read.
const WORDS_MAX: usize = 40;

/// The name in a byline, without "By" and without the date and the numbers that follow it; `None` if no name is left.
pub(super) fn name(byline: &str) -> Option<String> {
    let words: Vec<&str> = without_by(without_verb(byline)).split_whitespace().take(WORDS_MAX).collect();
    let mut name: Vec<&str> = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let rest = words.get(at..).unwrap_or_default().join(" ");
        if is_label(word) || times::leading_date(&rest, "").is_some() {
            break;
        }
        // The texts of two elements were joined into one word: "Quay22 Dec 2016".
        if let Some((before, _)) = word.split_once(|c: char| c.is_ascii_digit()).filter(|_| at > 0) {
            name.extend((!before.is_empty()).then_some(before));
            break;
        }
        name.push(word);
    }
    // The first word of "last updated" or "first published".
    if words.len() > name.len() {
        name.pop_if(|word| matches!(word.to_lowercase().as_str(), "last" | "first"));
    }
    let name = name.join(" ");
    let name = name.trim_end_matches([',', '|', '·', '•', '-', '–', '—', ' ', '/', '(']);
    (!name.is_empty()).then(|| name.to_owned())
}

/// Strips the leading verb of a byline such as "Written by Ada Quay".
fn without_verb(byline: &str) -> &str {
    const VERBS: [&str; 4] = ["posted ", "written ", "words ", "story "];
    let byline = byline.trim();
    let rest = VERBS.iter().find_map(|verb| {
        let (start, rest) = byline.split_at_checked(verb.len())?;
        start.eq_ignore_ascii_case(verb).then_some(rest)
    });
    rest.filter(|rest| without_by(rest) != *rest).unwrap_or(byline)
}

/// Whether the word introduces a time.
fn is_label(word: &str) -> bool {
    let word = word.trim_matches(|c: char| !c.is_alphanumeric());
    TIME_WORDS.iter().any(|label| word.eq_ignore_ascii_case(label))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_numbers_are_not_part_of_a_name() {
        for (byline, expected) in [
            ("By Ada Quay", "Ada Quay"),
            ("by Ada Quay22 Dec 2016651", "Ada Quay"),
            ("By Ada Quay\n   March 25, 2015", "Ada Quay"),
            ("Ada Quay, MA The Tidewater Post | 3 May 2024", "Ada Quay, MA The Tidewater Post"),
            ("Ada Quay and Bo Finch, Published 6 p.m.", "Ada Quay and Bo Finch"),
            ("Posted by Ada Quay", "Ada Quay"),
            ("agent99", "agent99"),
            ("阿达", "阿达"),
        ] {
            assert_eq!(name(byline).as_deref(), Some(expected), "{byline:?}");
        }
        assert_eq!(name("Last Updated: April 28, 2019"), None);
        assert_eq!(name("April 28, 2019 at 6:01 am"), None);
        assert_eq!(name(" "), None);
    }
}
