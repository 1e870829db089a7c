//! How values of messages are shown. What they are shown as is that of the exported pages: [`crate::export::html::parts`].

use askama::Template;
use askama::filters::HtmlSafe;
use data_encoding::HEXLOWER;

use super::paths::{diff_of, point_query};
use super::problem::Problem;
pub(super) use crate::export::html::parts::{Link, Runs, Side, Text, Tongue, When, named as text};
use crate::model::diff::{Span, SpanKind};
use crate::model::unseen::Sides;
use crate::model::{ArticleName, Content, Limits};
use crate::wire::{self, instant, pb};

/// A text from elsewhere; `None` if it is empty.
pub(super) fn some_text(given: &str) -> Option<String> {
    (!given.is_empty()).then(|| text(given))
}

/// A time of a message, to the minute; `None` if it is unset.
pub(super) fn when(time: Option<&prost_types::Timestamp>) -> Option<When> {
    instant(time).map(When::brief)
}

/// A time of a message, to the second; `None` if it is unset.
pub(super) fn exactly(time: Option<&prost_types::Timestamp>) -> Option<When> {
    instant(time).map(When::exact)
}

/// The content of a message, which the archive has accepted under limits that may be higher than our defaults.
pub(super) fn content(revision: &pb::Revision) -> Result<Content, Problem> {
    let Some(content) = revision.content.clone() else { return Ok(Content::default()) };
    wire::content(Some(content), &Limits::GREATEST).map_err(|error| {
        tracing::error!(%error, "the content of a revision could not be read");
        Problem::internal()
    })
}

/// Text with its changes.
pub(super) fn runs(spans: &[pb::Span], sides: Sides) -> Runs {
    Runs::of(&spans.iter().map(span).collect::<Vec<_>>(), sides)
}

/// A field with its changes.
pub(super) fn field_runs(change: &pb::FieldChange, sides: Sides) -> Runs {
    let is_moved_time = matches!(change.field.as_str(), "publish_time" | "modify_time") && change.spans.len() == 2;
    Runs::of_field(&change.spans.iter().map(span).collect::<Vec<_>>(), is_moved_time, sides)
}

fn span(span: &pb::Span) -> Span {
    let kind = match span.kind() {
        pb::SpanKind::Equal | pb::SpanKind::Unspecified => SpanKind::Equal,
        pb::SpanKind::Insert => SpanKind::Insert,
        pb::SpanKind::Delete => SpanKind::Delete,
    };
    Span { kind, text: span.text.clone() }
}

/// Words that were added and removed.
#[derive(Clone, Copy, Debug, Template)]
#[template(
    source = r#"<span class="delta"><span class="more">+{{ inserted }}</span> <span class="less">−{{ deleted }}</span><span class="apart"> words</span></span>"#,
    ext = "html"
)]
pub(super) struct Delta {
    inserted: u32,
    deleted: u32,
}

impl HtmlSafe for Delta {}

impl From<pb::WordDelta> for Delta {
    fn from(delta: pb::WordDelta) -> Self {
        Self { inserted: delta.inserted, deleted: delta.deleted }
    }
}

/// The path of the comparison of a revision with what was in force before it when it was archived: that of its counts.
pub(super) fn recorded_diff_of(name: &ArticleName, revision: &pb::Revision) -> String {
    let known = point_query(None, instant(revision.archive_time.as_ref()));
    format!("{}{known}", diff_of(name, None, revision.number))
}

/// The parts of a content that differ, in words: `headline, body`.
pub(super) fn parts(changed: impl Iterator<Item = pb::ContentPart>) -> String {
    let words = changed.filter_map(|part| {
        Some(match part {
            pb::ContentPart::Unspecified => return None,
            pb::ContentPart::Headline => "headline",
            pb::ContentPart::Standfirst => "standfirst",
            pb::ContentPart::Body => "body",
            pb::ContentPart::Captions => "captions",
            pb::ContentPart::Byline => "byline",
            pb::ContentPart::Section => "section",
            pb::ContentPart::Keywords => "keywords",
            pb::ContentPart::ClaimedTimes => "claimed times",
            pb::ContentPart::Address => "address",
            pb::ContentPart::Markup => "markup",
            pb::ContentPart::Language => "language",
            pb::ContentPart::Rights => "rights",
        })
    });
    words.collect::<Vec<_>>().join(", ")
}

/// Bytes in hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

/// Why a text was destroyed, in words.
pub(super) fn expunge_reason(reason: pb::ExpungeReason) -> &'static str {
    match reason {
        pb::ExpungeReason::CourtOrder => "a court or an authority ordered it",
        pb::ExpungeReason::PersonalData => "a person whose data it had asked for it",
        pb::ExpungeReason::Copyright => "it infringed a copyright",
        pb::ExpungeReason::Other | pb::ExpungeReason::Unspecified => "another reason",
    }
}

/// `1 word`, `2 words`.
pub(super) fn count(number: u64, noun: &str) -> String {
    let digits = grouped(number);
    if number == 1 { format!("{digits} {noun}") } else { format!("{digits} {noun}s") }
}

/// A number with its digits in groups of three: `12,345`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut shown = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// A size for people: `33.5 MB`.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut shown = (bytes as f64, UNITS[0]);
    for unit in UNITS {
        shown.1 = unit;
        if shown.0 < 1_000.0 || unit == UNITS[4] {
            break;
        }
        shown.0 /= 1_000.0;
    }
    if shown.1 == UNITS[0] { format!("{bytes} B") } else { format!("{:.1} {}", shown.0, shown.1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_shown_for_people() {
        assert_eq!([grouped(0), grouped(999), grouped(1_234_567)], ["0", "999", "1,234,567"]);
        assert_eq!([count(1, "word"), count(2_000, "word")], ["1 word", "2,000 words"]);
        assert_eq!([size(999), size(33_500_000), size(1_000)], ["999 B", "33.5 MB", "1.0 kB"]);
    }
}
