//! Drops from the top of a body what other fields already state: the headline, and lines with the authors and times.

use crate::ingest::times;
use crate::ingest::words::{BYLINE_CONNECTORS, REPEATED_TIME_LABELS, is_reading_time, is_same_text};
use crate::model::{Block, BlockKind, ClaimedTime, Precision};

/// The headline is looked for in this many blocks, since a kicker or a picture may precede it.
const HEADLINE_BLOCKS_MAX: usize = 3;
/// Lines with the authors and times are looked for in this many blocks.
const HEADER_LINE_BLOCKS_MAX: usize = 6;
/// A paragraph with more words or bytes than this is running text, and ends the header lines.
const HEADER_LINE_WORDS_MAX: usize = 30;
const HEADER_LINE_BYTES_MAX: usize = 400;
/// Two times that are less than this many microseconds (36 hours) apart may be the same calendar day in different time
/// zones.
const SAME_DAY_MICROS: u64 = 36 * 3_600 * 1_000_000;

/// Drops the first block that repeats the headline, if it is near the top of the body.
pub(super) fn drop_headline(blocks: &mut Vec<Block>, headline: &str) {
    let is_headline = |block: &Block| text(block).is_some_and(|text| is_same_text(text, headline));
    if let Some(at) = blocks.iter().take(HEADLINE_BLOCKS_MAX).position(is_headline) {
        blocks.remove(at);
    }
}

/// Drops the lines before the first paragraph of running text that only repeat the article's bylines and times.
pub(super) fn drop_repeated(blocks: &mut Vec<Block>, bylines: &[String], times: [Option<&ClaimedTime>; 2]) {
    let is_header_line = |block: &Block| text(block).is_some_and(|text| is_repeated(text, bylines, times));
    let is_long =
        |text: &str| text.len() > HEADER_LINE_BYTES_MAX || text.split_whitespace().count() > HEADER_LINE_WORDS_MAX;
    let is_running_text = |block: &Block| text(block).is_some_and(is_long);
    let opening = blocks.iter().take(HEADER_LINE_BLOCKS_MAX).take_while(|block| !is_running_text(block)).count();
    let mut number = 0;
    blocks.retain(|block| {
        number += 1;
        number > opening || !is_header_line(block)
    });
}

fn text(block: &Block) -> Option<&str> {
    match &block.kind {
        BlockKind::Subheading { text } | BlockKind::Paragraph { text } => Some(text),
        BlockKind::List { items, .. } => items.first().filter(|_| items.len() == 1).map(String::as_str),
        BlockKind::Caption { .. }
        | BlockKind::Quote { .. }
        | BlockKind::Embed { .. }
        | BlockKind::CorrectionNote { .. } => None,
    }
}

/// Whether a line names authors or times of the article and, apart from the words and signs that pages print between
/// these, contains nothing else. Each author and label is replaced with `|`, which separates the parts around it.
fn is_repeated(line: &str, bylines: &[String], times: [Option<&ClaimedTime>; 2]) -> bool {
    let mut rest = line.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut repeats_any = false;
    for byline in bylines.iter().filter(|byline| !byline.is_empty()) {
        if let Some(at) = rest.find(byline.as_str()) {
            rest.replace_range(at..at + byline.len(), "|");
            repeats_any = true;
        }
    }
    for label in REPEATED_TIME_LABELS {
        rest = replace_label(&rest, label);
    }
    for part in rest.split(['|', '·', '•']) {
        let part = without_connectors(part);
        if part.is_empty() {
            continue;
        }
        if !is_time(part, times) {
            return false;
        }
        repeats_any = true;
    }
    repeats_any
}

/// Strips the signs and words that connect a part to its neighbours.
fn without_connectors(part: &str) -> &str {
    let mut part = part;
    loop {
        let trimmed = part.trim_matches(|c: char| c.is_whitespace() || matches!(c, ',' | ':' | '-' | '–' | '—' | '/'));
        let first = trimmed.split_whitespace().next().unwrap_or_default();
        let last = trimmed.split_whitespace().next_back().unwrap_or_default();
        let is_connector = |word: &str| BYLINE_CONNECTORS.iter().any(|known| word.eq_ignore_ascii_case(known));
        part = match trimmed {
            _ if is_connector(first) => trimmed.strip_prefix(first).unwrap_or_default(),
            _ if is_connector(last) => trimmed.strip_suffix(last).unwrap_or_default(),
            _ => return trimmed,
        };
    }
}

/// Replaces the label with `|`, which ends a part, wherever it is not part of a longer word.
fn replace_label(line: &str, label: &str) -> String {
    let mut replaced = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        let begins_word = !replaced.ends_with(char::is_alphanumeric);
        let start = rest.get(..label.len()).filter(|start| begins_word && start.to_lowercase() == label);
        let after =
            start.and_then(|_| rest.get(label.len()..)).filter(|after| !after.starts_with(char::is_alphanumeric));
        let (piece, next) = match after {
            Some(after) => ("|", after),
            None => rest.split_at_checked(c.len_utf8()).unwrap_or((rest, "")),
        };
        replaced.push_str(piece);
        rest = next;
    }
    replaced
}

/// Whether the words are a time of the article. Relative times and reading times ("4 min read") count if the article
/// has any time that is precise to the day.
fn is_time(words: &str, times: [Option<&ClaimedTime>; 2]) -> bool {
    let precise_times = || times.into_iter().flatten().filter(|claim| claim.precision <= Precision::Day);
    if is_reading_time(words) || times::is_relative(words) {
        return precise_times().next().is_some();
    }
    let Some(claim) = times::claimed_time(words, None, "").filter(|claim| claim.precision <= Precision::Day) else {
        return false;
    };
    precise_times().any(|known| known.time.micros().abs_diff(claim.time.micros()) < SAME_DAY_MICROS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_that_repeat_bylines_and_times_count_as_repeated() {
        let time = times::claimed_time("3 May 2024", None, "").unwrap();
        let authors = ["Jane Roe".to_owned(), "Bo Finch".to_owned()];
        for (line, repeats) in [
            ("By Jane Roe, 3 May 2024", true),
            ("By Jane Roe and Bo Finch", true),
            ("Jane Roe", true),
            ("Published 3 May 2024, 10:00 GMT | Updated: May 4, 2024", true),
            ("Bo Finch · 2 hours ago · 4 min read", true),
            ("Friday 3 May 2024 by Jane Roe", true),
            ("By Jane Roe, 3 May 2023", false),
            ("By Jane Roe and Ann Other", false),
            ("Jane Roe was there.", false),
            ("Updated constantly", false),
            ("And", false),
            ("", false),
        ] {
            assert_eq!(is_repeated(line, &authors, [Some(&time), None]), repeats, "{line:?}");
        }
    }
}
