//! Reads meta lines: section, claimed times and bylines, alone or together on a line.

use crate::model::Precision;

use super::super::words::{
    MODIFIED_LABELS, PUBLISHED_LABELS, SECTIONS, SMALL_IN_BYLINES, SMALL_IN_SECTIONS, is_separated_reading_time,
};
use super::super::{is_absolute_url, times};

/// The facts about an article in its meta lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Meta {
    /// Bylines as printed, without "By".
    pub(super) bylines: Vec<String>,
    /// Section name as printed.
    pub(super) section: Option<String>,
    /// Publication time as printed, without its label.
    pub(super) published: Option<String>,
    /// Modification time as printed, without its label.
    pub(super) modified: Option<String>,
    /// Absolute URLs on lines of their own.
    pub(super) urls: Vec<String>,
}

impl Meta {
    /// Adds the facts of `other`. A section or time that is already set is not replaced.
    pub(super) fn absorb(&mut self, other: Self) {
        self.bylines.extend(other.bylines);
        self.section = self.section.take().or(other.section);
        self.published = self.published.take().or(other.published);
        self.modified = self.modified.take().or(other.modified);
        self.urls.extend(other.urls);
    }

    fn has_time(&self) -> bool {
        self.published.is_some() || self.modified.is_some()
    }
}

/// Whether all of the text is the name of a common section.
pub(super) fn is_known_section(text: &str) -> bool {
    SECTIONS.iter().any(|section| section.eq_ignore_ascii_case(text))
}

/// Reads a meta line. `None` if any of the line is not understood, since a sentence that ends in a date is a paragraph;
/// also for a line that is only a weekday, which is left to [`weekday`].
pub(super) fn read(line: &str) -> Option<Meta> {
    const CHARS_MAX: usize = 200;
    if line.chars().count() > CHARS_MAX {
        return None;
    }
    if is_absolute_url(line) {
        return Some(Meta { urls: vec![line.to_owned()], ..Meta::default() });
    }
    if is_known_section(line) {
        return Some(Meta { section: Some(line.to_owned()), ..Meta::default() });
    }
    if times::is_weekday(line) {
        return None;
    }
    single(line).or_else(|| several(line))
}

/// Reads a line that consists of a weekday. Such a line is a time only right below the headline.
pub(super) fn weekday(line: &str) -> Option<Meta> {
    times::is_weekday(line).then(|| Meta { published: Some(line.to_owned()), ..Meta::default() })
}

/// Reads a line, or a part of one, as a single fact or a section with a time. A line is read like this before it is
/// split at separators, since dates and names may contain dashes.
fn single(part: &str) -> Option<Meta> {
    time(part).or_else(|| byline(part)).or_else(|| section_and_time(part))
}

/// Reads several parts with separators: `World · Published 3 March 2026 · 4 min read`. One part may be neither a time
/// nor a byline: the section.
fn several(line: &str) -> Option<Meta> {
    let mut meta = Meta::default();
    let mut section = None;
    let parts = parts(line);
    for part in parts.iter().filter(|part| !is_separated_reading_time(part)) {
        match single(part) {
            Some(found) => meta.absorb(found),
            None if section.is_none() && is_section(part) => section = Some((*part).to_owned()),
            None => return None,
        }
    }
    meta.section = meta.section.or(section);
    (parts.len() > 1 && (meta.has_time() || !meta.bylines.is_empty())).then_some(meta)
}

/// Splits a line at bars, dots and spaced dashes.
pub(super) fn parts(line: &str) -> Vec<&str> {
    line.split(['|', '·', '•', '●'])
        .flat_map(|part| part.split(" - "))
        .flat_map(|part| part.split(" – "))
        .flat_map(|part| part.split(" — "))
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .collect()
}

/// `2 months ago`, `Published: March 3, 2026`, `Last updated on 3 March 2026`.
fn time(part: &str) -> Option<Meta> {
    if let Some(words) = labelled_time(part, &MODIFIED_LABELS) {
        return Some(Meta { modified: Some(words), ..Meta::default() });
    }
    let words = labelled_time(part, &PUBLISHED_LABELS).or_else(|| is_time(part).then(|| part.to_owned()))?;
    Some(Meta { published: Some(words), ..Meta::default() })
}

fn labelled_time(part: &str, labels: &[&str]) -> Option<String> {
    let label = labels.iter().find(|label| part.get(..label.len()).is_some_and(|p| p.eq_ignore_ascii_case(label)))?;
    let words = part.get(label.len()..)?.trim_start_matches([':', ',']).trim();
    let words = words.strip_prefix("on ").or_else(|| words.strip_prefix("at ")).unwrap_or(words);
    is_time(words).then(|| words.to_owned())
}

/// Whether the words are a time and nothing else. A year alone does not count, since names often contain one.
fn is_time(words: &str) -> bool {
    let absolute = times::claimed_time(words, None, "");
    times::is_relative(words) || absolute.is_some_and(|claim| claim.precision < Precision::Year)
}

/// `World 2 months ago`, `City, March 3, 2026`: a section of a few words, then a time. A weekday does not count as a
/// time, since `Black Friday` is a name.
fn section_and_time(part: &str) -> Option<Meta> {
    const SECTION_WORDS_MAX: usize = 4;
    let ends = part.match_indices(' ').map(|(at, _)| at).take(SECTION_WORDS_MAX);
    ends.filter_map(|at| part.split_at_checked(at)).find_map(|(section, words)| {
        let section = section.trim_end_matches([',', ':']);
        let meta = time(words.trim()).filter(|_| is_section(section) && !times::is_weekday(words.trim()))?;
        Some(Meta { section: Some(section.to_owned()), ..meta })
    })
}

/// Whether the text is up to four words in title case, such as `Arts & Culture` or `Letters to the Editor`.
fn is_section(text: &str) -> bool {
    let mut words = text.split_whitespace();
    let first = words.next().is_some_and(|word| word.starts_with(char::is_uppercase));
    let named = |word: &str| word.starts_with(char::is_uppercase) || SMALL_IN_SECTIONS.contains(&word);
    first && words.clone().count() < 4 && words.all(named) && !text.ends_with(['.', '?', '!', ':', '"'])
}

/// `By Jane Roe`, `BY A. ROE AND B. DOE, Political Editor`.
fn byline(part: &str) -> Option<Meta> {
    const WORDS_MAX: usize = 16;
    let names =
        part.strip_prefix("By ").or_else(|| part.strip_prefix("BY ")).or_else(|| part.strip_prefix("by "))?.trim();
    if parts(part).len() > 1 {
        return None;
    }
    let is_name = |word: &str| word.starts_with(char::is_uppercase);
    let has_shape =
        is_name(names) && names.split_whitespace().count() <= WORDS_MAX && !names.ends_with(['.', '!', '?', ':']);
    // A paragraph or headline may start with "By Friday". A name is a single word or has a second name after the first.
    let mut words = names.split_whitespace().skip(1);
    let has_full_name = words.next().is_none_or(|word| is_name(word) || SMALL_IN_BYLINES.contains(&word));
    (has_shape && has_full_name).then(|| Meta { bylines: vec![names.to_owned()], ..Meta::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Section, published, modified, and the bylines joined.
    fn fields(line: &str) -> Option<[String; 4]> {
        let meta = read(line)?;
        let text = Option::unwrap_or_default;
        Some([text(meta.section), text(meta.published), text(meta.modified), meta.bylines.join("; ")])
    }

    #[test]
    fn meta_lines_are_split_into_their_facts() {
        for (line, expected) in [
            ("World 2 months ago", ["World", "2 months ago", "", ""]),
            ("World · 2 months ago", ["World", "2 months ago", "", ""]),
            ("World | March 3, 2026", ["World", "March 3, 2026", "", ""]),
            ("World - March 3, 2026", ["World", "March 3, 2026", "", ""]),
            ("Arts & Culture, yesterday", ["Arts & Culture", "yesterday", "", ""]),
            ("City • Published 3 March 2026 • 4 min read", ["City", "3 March 2026", "", ""]),
            ("Published: 3 March 2026 | Updated: 2 hours ago", ["", "3 March 2026", "2 hours ago", ""]),
            ("Last updated on 3 March 2026", ["", "", "3 March 2026", ""]),
            ("March 3, 2026, 6 p.m. ET", ["", "March 3, 2026, 6 p.m. ET", "", ""]),
            ("By Jane Roe", ["", "", "", "Jane Roe"]),
            ("By Ada Quill and Bo Finch, Political Editor", ["", "", "", "Ada Quill and Bo Finch, Political Editor"]),
            ("By Ada Quill | 3 March 2026", ["", "3 March 2026", "", "Ada Quill"]),
            ("Politics", ["Politics", "", "", ""]),
            ("City · Wednesday", ["City", "Wednesday", "", ""]),
            ("By Ada Quill | Tuesday at 6 p.m.", ["", "Tuesday at 6 p.m.", "", "Ada Quill"]),
            ("Published on Monday | Updated Wednesday", ["", "Monday", "Wednesday", ""]),
        ] {
            assert_eq!(fields(line), Some(expected.map(String::from)), "{line:?}");
        }
    }

    #[test]
    fn sentences_are_not_meta_lines() {
        for line in [
            "The quay was closed 2 months ago",
            "By Friday the quay was open again.",
            "By morning the ferry had gone",
            "World Cup 2026",
            "Harbour bridge at dusk",
            "Fish - and more fish",
            "Black Friday",
            "Parade on Saturday",
            "Saturday",
            "Saturday at 6 p.m.",
            "Ferry returns",
            "",
        ] {
            assert_eq!(fields(line), None, "{line:?}");
        }
    }
}
