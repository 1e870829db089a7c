//! Finds and parses front matter: YAML between lines of `---`, TOML between lines of `+++`.
//!
//! Front matter is untrusted, so its size, depth, anchors and aliases are limited. An alias bomb is rejected after
//! a few thousand parser events and does not exhaust memory.

use serde_saphyr::options::{DuplicateKeyPolicy, NonFiniteFloatPolicy};

use super::super::IngestError;
use super::value::FrontValue;

/// Maximum size of front matter, in bytes.
const FRONT_BYTES_MAX: usize = 64 << 10;

/// Keys and values, in order. A key may occur more than once.
pub(super) type FrontEntries = Vec<(String, FrontValue)>;

/// Splits a document into the entries of its front matter, if it has any, and the text after it.
pub(super) fn split(text: &str) -> Result<(FrontEntries, &str), IngestError> {
    let start = text.len() - text.trim_start().len();
    let (blank, document) = text.split_at(start);
    let lines_above = blank.matches('\n').count();
    let fence = document.lines().next().unwrap_or_default().trim_end();
    if !matches!(fence, "---" | "+++") {
        return Ok((Vec::new(), text));
    }
    let fail = |line: usize, reason: String| IngestError::FrontMatter { line: lines_above + line, reason };
    let (front, body) =
        enclosed(document, fence).ok_or_else(|| fail(1, format!("is not closed; end it with a line of `{fence}`")))?;
    if front.len() > FRONT_BYTES_MAX {
        return Err(fail(1, format!("has {} bytes; the limit is {FRONT_BYTES_MAX}", front.len())));
    }
    let entries = if fence == "---" { yaml(front) } else { toml(front) };
    // Lines count from the one after the opening fence.
    entries.map(|entries| (entries, body)).map_err(|(line, reason)| fail(line + 1, reason))
}

/// The text between the opening fence and the closing one, and the text after that.
fn enclosed<'a>(document: &'a str, fence: &str) -> Option<(&'a str, &'a str)> {
    let (_, rest) = document.split_once('\n')?;
    let mut at = 0;
    for line in rest.split_inclusive('\n') {
        let closes = line.trim_end() == fence || fence == "---" && line.trim_end() == "...";
        if closes {
            return Some((rest.get(..at)?, rest.get(at + line.len()..)?));
        }
        at += line.len();
    }
    None
}

/// The entries, or the number of the faulty line within the front matter (from 1) and the reason.
type ParsedEntries = Result<FrontEntries, (usize, String)>;

fn yaml(front: &str) -> ParsedEntries {
    // Empty front matter, or one with comments only, parses as null and has no entries.
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 20_000,
            max_nodes: 10_000,
            max_depth: 16,
            flow_nesting_limit: 16,
            max_anchors: 64,
            max_aliases: 64,
            max_recorded_anchor_events: 20_000,
            max_recorded_anchor_bytes: 1 << 20,
            max_merge_keys: 64,
            max_documents: 1,
            max_total_scalar_bytes: 1 << 20,
        },
        duplicate_keys: DuplicateKeyPolicy::LastWins,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        with_snippet: false,
    };
    let value: FrontValue = serde_saphyr::from_str_with_options(front, options).map_err(|error| {
        let line = error.location().and_then(|location| usize::try_from(location.line()).ok());
        (line.unwrap_or(1).max(1), reason(&error.to_string()))
    })?;
    match value {
        FrontValue::Map(entries) => Ok(entries),
        FrontValue::Null => Ok(Vec::new()),
        FrontValue::Text(_) | FrontValue::List(_) => Err((1, "is not a list of `key: value` lines".into())),
    }
}

fn toml(front: &str) -> ParsedEntries {
    let table: toml::Table = front.parse().map_err(|error: toml::de::Error| {
        let before = error.span().and_then(|span| front.get(..span.start)).unwrap_or_default();
        (before.matches('\n').count() + 1, reason(error.message()))
    })?;
    Ok(table.into_iter().map(|(key, value)| (key, FrontValue::from(value))).collect())
}

/// The first line of a parser's message, without the position, which is reported separately.
fn reason(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    let line = line.split(" at line ").next().unwrap_or(line).trim().trim_end_matches('.');
    if line.is_empty() { "cannot be read".into() } else { line.chars().take(200).collect() }
}
