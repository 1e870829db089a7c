//! Classifies short lines among paragraphs as captions or subheadings, by a weighted sum of features.
//!
//! No single feature decides. A positive sum means a caption, zero or less a subheading, and the distance from zero
//! gives the confidence. The weights were set by hand from reading pages. Captions describe a scene ("Damage in the old
//! town after the storm"), so they are longer, name a place or an occasion, and repeat names from the story.
//! Subheadings usually have one to four words, are often questions, and are rarely the last line.

use std::collections::HashSet;

use super::super::quoted;
use super::super::words::{BOILERPLATE_FIRST_WORDS, PRINTED_PICTURE_LABELS};
use super::head::ends_sentence;
use super::segments::{TextSegment, list_item};

/// What a short line can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ShortLine {
    Caption,
    Subheading,
}

/// How a short line was classified, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) kind: ShortLine,
    /// Confidence in percent, from 55 to 85: weights set by hand do not justify more.
    pub(super) percent: u8,
    /// The features that speak for this kind, in words for a person.
    pub(super) why: String,
}

/// The maximum number of words in a short line. A longer one is a paragraph, even without end punctuation.
const SHORT_LINE_WORDS_MAX: usize = 20;
/// A neighbour with at least this many words is a paragraph, even without end punctuation.
const PARAGRAPH_WORDS_MIN: usize = 20;

/// Classifies the segment at index `at`; `None` if it is a paragraph.
pub(super) fn classify(segments: &[TextSegment], at: usize) -> Option<Verdict> {
    let segment = segments.get(at)?;
    let question = segment.text.ends_with('?') && segment.words() <= 8;
    let is_long = segment.words() > SHORT_LINE_WORDS_MAX;
    if is_long || ends_sentence(&segment.text) && !question || is_fragment_or_boilerplate(&segment.text) {
        return None;
    }
    let features = features(segments, at, segment, question);
    let weight: i32 = features.iter().map(|(weight, _)| weight).sum();
    let kind = if weight > 0 { ShortLine::Caption } else { ShortLine::Subheading };
    let percent = u8::try_from((55 + weight.abs() * 7 / 10).min(85)).unwrap_or(85);
    let ending = if question { "a question" } else { "no end punctuation" };
    let words = if segment.words() == 1 { "1 word".to_owned() } else { format!("{} words", segment.words()) };
    let mut why = format!("{ending}, {words}");
    let deciding = features.iter().filter(|(weight, _)| (*weight > 0) == (kind == ShortLine::Caption));
    for (_, reason) in deciding.filter(|(_, reason)| !reason.is_empty()) {
        why = format!("{why}, {reason}");
    }
    Some(Verdict { kind, percent, why })
}

/// Whether a short line is neither a caption nor a subheading: part of a sentence, a list item, a link, a button.
fn is_fragment_or_boilerplate(text: &str) -> bool {
    let first_word = text.split_whitespace().next().map(bare).unwrap_or_default().to_lowercase();
    let first_char = text.trim_start_matches(['"', '\'', '“', '‘', '«', '(', '[']).chars().next();
    first_char.is_some_and(|c| c.is_lowercase() || matches!(c, '+' | '*' | '•' | '-' | '–' | '—' | '/' | '©'))
        || text.ends_with([':', ',', ';', '-', '–', '—', '：', '，'])
        || !text.contains(char::is_alphabetic)
        || text.contains("://")
        || BOILERPLATE_FIRST_WORDS.contains(&first_word.as_str())
        || PRINTED_PICTURE_LABELS.contains(&text)
}

/// The features of a short line, each with its weight and a description for people. Positive weights suggest a caption.
/// The description is empty for length and question, which [`classify`] always describes.
fn features(segments: &[TextSegment], at: usize, segment: &TextSegment, question: bool) -> Vec<(i32, String)> {
    let text = segment.text.as_str();
    let around = neighbours(segments, at);
    let mut features = vec![(length_weight(segment.words()), String::new())];
    if question {
        features.push((-40, String::new()));
    }
    features.extend(wording(text));
    if let Some(name) = repeated(text, &around) {
        features.push((9, format!("{} also occurs nearby", quoted(name))));
    }
    if is_name_in(text, &around) {
        features.push((30, "a name that also occurs nearby".into()));
    } else if is_title_case(text) {
        features.push((-20, "capitalised like a heading".into()));
    }
    features.extend(position_feature(segments, at));
    features
}

/// The features that depend on the line's own words, apart from their number.
fn wording(text: &str) -> Vec<(i32, String)> {
    let lower: Vec<String> = text.split_whitespace().map(|word| bare(word).to_lowercase()).collect();
    let find = |known: &[&str], skip| lower.iter().skip(skip).find(|word| known.contains(&word.as_str()));
    let contains = |weight: i32| move |word: &String| (weight, format!("contains \"{word}\""));
    let contraction = lower.iter().find(|word| word.contains(['\'', '’']));
    let argues = lower.first().is_some_and(|word| ARGUING.contains(&word.as_str()));
    let is_quotation = text.starts_with(['"', '“', '‘', '«']) && text.ends_with(['"', '”', '’', '»']);
    [
        argues.then(|| (-25, "starts like a question or an argument".into())),
        find(&STATING, 0).or(contraction).map(contains(-30)),
        is_quotation.then(|| (-25, "a quotation".into())),
        list_item(text).map(|_| (-40, "numbered".into())),
        find(&PICTURE, 1).map(contains(25)),
        find(&PLACE, 1).map(contains(8)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Whether the text has at least two words and all but the short ones are capitalised, or it is all in capitals.
fn is_title_case(text: &str) -> bool {
    let mut words = text.split_whitespace().filter(|word| word.chars().count() > 3);
    let first = words.next().is_some_and(|word| word.starts_with(char::is_uppercase));
    first && text.split_whitespace().count() > 1 && words.all(|word| !word.starts_with(char::is_lowercase))
        || !text.contains(char::is_lowercase) && text.contains(char::is_uppercase)
}

fn length_weight(words: usize) -> i32 {
    match words {
        0 | 1 => -30,
        2 => -20,
        3 => -12,
        4 => -2,
        5..=7 => 10,
        8..=14 => 20,
        _ => 12,
    }
}

/// First words of headings that ask or argue.
const ARGUING: [&str; 11] = ["what", "why", "how", "who", "when", "where", "but", "and", "so", "no", "yes"];
/// Words typical of statements. A caption shows a scene ("Mira Sand speaks …"); it does not say what is or could be.
const STATING: [&str; 14] =
    ["is", "are", "was", "were", "will", "would", "can", "could", "should", "may", "might", "must", "need", "we"];
/// Words that refer to the picture. They count only after the first word.
const PICTURE: [&str; 11] =
    ["left", "right", "centre", "center", "pictured", "photographed", "seen", "above", "file", "aerial", "photo"];
/// Prepositions that place a scene. They count only after the first word.
const PLACE: [&str; 16] = [
    "in", "at", "on", "near", "outside", "inside", "after", "during", "beside", "over", "under", "along", "before",
    "across", "behind", "with",
];

/// The feature that the line's position among the segments adds, if any.
fn position_feature(segments: &[TextSegment], at: usize) -> Option<(i32, String)> {
    let is_paragraph = |segment: &TextSegment| segment.words() >= PARAGRAPH_WORDS_MIN || ends_sentence(&segment.text);
    match segments.get(at + 1) {
        None => Some((30, "nothing follows it".into())),
        Some(_) if at == 0 => Some((15, "above the first paragraph".into())),
        Some(next) => (!is_paragraph(next)).then(|| (8, "no paragraph follows it".into())),
    }
}

/// The text of the two segments before and the two after, one per line.
fn neighbours(segments: &[TextSegment], at: usize) -> String {
    let window = segments.iter().enumerate().skip(at.saturating_sub(2)).take(5);
    let texts: Vec<&str> = window.filter(|(index, _)| *index != at).map(|(_, segment)| segment.text.as_str()).collect();
    texts.join("\n")
}

/// A word that the line shares with the text around it: one that is capitalised in both, or otherwise the first shared
/// word if at least two of the shared words are long.
fn repeated<'a>(text: &'a str, around: &str) -> Option<&'a str> {
    let words_around: HashSet<String> = around.split_whitespace().map(|word| bare(word).to_lowercase()).collect();
    let is_shared = |word: &&str| word.chars().count() > 3 && words_around.contains(&word.to_lowercase());
    let words: Vec<&str> = text.split_whitespace().map(bare).filter(is_shared).collect();
    let name = words.iter().copied().find(|word| {
        word.starts_with(char::is_uppercase) && around.split_whitespace().any(|other| bare(other) == *word)
    });
    name.or_else(|| words.iter().copied().filter(|word| word.len() > 5).nth(1).and(words.first().copied()))
}

/// Whether the text is a name, that is two to four capitalised words, and also occurs in the text around it.
fn is_name_in(text: &str, around: &str) -> bool {
    let words: Vec<&str> = text.split_whitespace().collect();
    let capitals = words.iter().all(|word| word.starts_with(char::is_uppercase));
    (2..=4).contains(&words.len()) && capitals && around.contains(text)
}

/// A word without surrounding punctuation and without a possessive ending.
fn bare(word: &str) -> &str {
    let word = word.trim_matches(|c: char| !c.is_alphanumeric());
    word.strip_suffix("'s").or_else(|| word.strip_suffix("’s")).unwrap_or(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classified(line: &str) -> Option<(ShortLine, u8)> {
        let long = "The harbour authority said on Monday that Mira Sand, its engineer, had closed the Kestrel bridge to all \
            lorries until the cracks in two of its four main girders were understood.";
        let page = [long, long, line, long, long];
        let segments: Vec<TextSegment> =
            page.iter().map(|text| TextSegment { text: (*text).into(), line: 1, follows_directly: false }).collect();
        classify(&segments, 2).map(|verdict| (verdict.kind, verdict.percent))
    }

    #[test]
    fn captions_and_subheadings_are_distinguished() {
        for (line, kind) in [
            ("Kestrel bridge at dusk", ShortLine::Caption),
            ("Mira Sand", ShortLine::Caption),
            ("Mira Sand speaks to reporters on the quay", ShortLine::Caption),
            ("Lorries wait for the ferry after the closure of the bridge", ShortLine::Caption),
            ("An aerial view of the bridge", ShortLine::Caption),
            ("Lasting damage", ShortLine::Subheading),
            ("What happens next?", ShortLine::Subheading),
            ("How the cracks were found", ShortLine::Subheading),
            ("Background", ShortLine::Subheading),
            ("Ferries can carry more than the town thinks", ShortLine::Subheading),
            ("‘We are not going to gamble with lives’", ShortLine::Subheading),
            ("3. Look at the bridge from below", ShortLine::Subheading),
            ("The long way round", ShortLine::Subheading),
        ] {
            let (found, percent) = classified(line).unwrap();
            assert_eq!(found, kind, "{line:?}");
            assert!((55..=85).contains(&percent), "{line:?}: {percent}");
        }
    }

    #[test]
    fn sentences_are_paragraphs() {
        for line in ["It was shut.", "\"We knew nothing.\"", "He listed the reasons:"] {
            assert_eq!(classified(line), None, "{line:?}");
        }
    }
}
