//! Parsers of argument values.

use std::num::NonZeroUsize;
use std::str::Chars;

use super::super::times::{self, Moment, TimeEnd};
use crate::model::{ArticleId, Limits, NameError, RequestId, RevisionNumber, SourceId, Timestamp, UrlKey};
use crate::wire::{check_label, language_tag};

/// At most this many pages are fetched at once.
const JOBS_MAX: usize = 64;

/// One side of a comparison: a revision, or whatever was in force at a time.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) enum State {
    /// The revision with this number.
    Revision(RevisionNumber),
    /// The revision in force at this time.
    At(Timestamp),
}

/// Parses `express-gazette` or `sources/express-gazette`.
pub(in crate::cli) fn source_id(text: &str) -> Result<SourceId, NameError> {
    SourceId::parse(text.strip_prefix("sources/").unwrap_or(text))
}

/// Validates the id of an article within its source.
pub(in crate::cli) fn article_id(text: &str) -> Result<String, NameError> {
    ArticleId::parse(text).map(|_| text.to_owned())
}

/// Validates a request id.
pub(in crate::cli) fn request_id(text: &str) -> Result<String, NameError> {
    RequestId::parse(text).map(|_| text.to_owned())
}

/// Validates a URL of an article.
pub(in crate::cli) fn article_url(text: &str) -> Result<String, String> {
    UrlKey::of(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

/// Validates the beginning of a URL.
pub(in crate::cli) fn url_prefix(text: &str) -> Result<String, String> {
    UrlKey::prefix_of(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

/// Validates a label.
pub(in crate::cli) fn label(text: &str) -> Result<String, String> {
    check_label(text).map(|()| text.to_owned())
}

/// A label with a sign: to add or to remove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) enum SignedLabel {
    /// `+flood`
    Add(String),
    /// `-draft`
    Remove(String),
}

/// Validates a label with its sign.
pub(in crate::cli) fn signed_label(text: &str) -> Result<SignedLabel, String> {
    if let Some(option) = text.strip_prefix("--") {
        return Err(format!("--{option} is not an option of label; a label to remove begins with one hyphen"));
    }
    let (sign, read): (_, fn(String) -> SignedLabel) = match text.chars().next() {
        Some('+') => ('+', SignedLabel::Add),
        Some('-') => ('-', SignedLabel::Remove),
        _ => return Err(format!("{text}: expected a sign; +{text} adds the label, -{text} removes it")),
    };
    let name = text.strip_prefix(sign).unwrap_or_default();
    label(name).map(read).map_err(|problem| format!("{text}: a label {problem}"))
}

/// Validates the language of an article.
pub(in crate::cli) fn language(text: &str) -> Result<String, String> {
    language_tag(text).map(|_| text.to_owned())
}

/// Validates a pattern of files. git, which applies it, would match nothing if a bracket is not closed.
pub(in crate::cli) fn glob(text: &str) -> Result<String, &'static str> {
    if text.is_empty() {
        return Err("the pattern is empty");
    }
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character == '\\' {
            characters.next();
        } else if character == '[' && !is_closed(&mut characters) {
            return Err("a bracket is not closed; \\[ stands for the character itself");
        }
    }
    Ok(text.to_owned())
}

/// Skips the rest of a set of characters, and returns whether it is closed. Its first character may be a bracket.
fn is_closed(characters: &mut Chars<'_>) -> bool {
    let first = match characters.next() {
        Some('!' | '^') => characters.next(),
        first => first,
    };
    first.is_some() && characters.any(|character| character == ']')
}

/// Parses how many items are listed at most.
pub(in crate::cli) fn limit(text: &str) -> Result<usize, String> {
    let limit = text.parse().ok().filter(|limit| *limit > 0);
    limit.ok_or_else(|| format!("expected a whole number from 1 to {}", usize::MAX))
}

/// Parses how many looks in a row must find a page missing.
pub(in crate::cli) fn gone_after() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=i64::from(Limits::GONE_AFTER_MAX))
}

/// Parses how many pages are fetched at once.
pub(in crate::cli) fn jobs(text: &str) -> Result<NonZeroUsize, String> {
    let jobs = text.parse().ok().filter(|jobs: &NonZeroUsize| jobs.get() <= JOBS_MAX);
    jobs.ok_or_else(|| format!("expected a whole number from 1 to {JOBS_MAX}"))
}

/// Parses a number of columns of text.
pub(in crate::cli) fn columns(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| format!("expected a whole number from 0 to {}", u16::MAX))
}

/// Parses a number of seconds.
pub(in crate::cli) fn seconds(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("expected a whole number of seconds from 0 to {}", u32::MAX))
}

/// Parses the position of a change.
pub(in crate::cli) fn position(text: &str) -> Result<u64, &'static str> {
    text.parse().map_err(|_| "expected the position of a change, from 0")
}

pub(in crate::cli) fn revision_number(text: &str) -> Result<RevisionNumber, &'static str> {
    text.parse().ok().and_then(RevisionNumber::new).ok_or("expected a revision number, from 1")
}

pub(in crate::cli) fn instant(text: &str) -> Result<Timestamp, String> {
    times::parse(text, times::now(), TimeEnd::Last)
}

pub(in crate::cli) fn moment(text: &str) -> Result<Moment, String> {
    Moment::parse(text, TimeEnd::Last)
}

pub(in crate::cli) fn first_moment(text: &str) -> Result<Moment, String> {
    Moment::parse(text, TimeEnd::First)
}

pub(in crate::cli) fn start(text: &str) -> Result<Timestamp, String> {
    times::parse(text, times::now(), TimeEnd::First)
}

/// Parses a side of a comparison. Digits alone are a revision number, since no format of times has only digits.
pub(in crate::cli) fn state(text: &str) -> Result<State, String> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(State::Revision(revision_number(text)?));
    }
    instant(text).map(State::At).map_err(|error| format!("{error}; or a revision number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_has_no_open_bracket() {
        for valid in ["**/*.md", "[a-z].md", "[]].md", "[!]a].md", r"\[.md", r"a\\[b]"] {
            assert_eq!(glob(valid).as_deref(), Ok(valid));
        }
        for invalid in ["", "[", "[]", "[^]", "a/[b", r"\\["] {
            assert!(glob(invalid).is_err(), "{invalid}");
        }
    }
}
