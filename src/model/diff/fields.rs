//! Compares the fields other than the body.

use std::borrow::Cow;

use super::align::Aligner;
use super::text::{TextLine, Vocabulary};
use super::words::{self, Side};
use super::{FieldChange, Span, SpanKind};
use crate::model::{ClaimedTime, Content, Precision};

/// Separates the members of a list.
const LIST_SEPARATOR: &str = "\n";

/// The fields that differ, in the order of [`Content`].
pub(super) fn changes(base: &Content, target: &Content, aligner: &mut Aligner) -> Vec<FieldChange> {
    let pairs = fields(base).into_iter().zip(fields(target));
    pairs
        .filter(|((_, base), (_, target))| base != target)
        .map(|((field, base), (_, target))| FieldChange { field, spans: spans(&base, &target, aligner) })
        .collect()
}

/// The value of a field.
#[derive(PartialEq, Eq)]
enum FieldValue<'a> {
    Prose(Cow<'a, str>),
    Url(&'a str),
    /// A claimed time, which is compared as a whole.
    Time(String),
}

impl FieldValue<'_> {
    fn part(&self) -> TextLine<'_> {
        match self {
            Self::Prose(text) => TextLine::Prose(text),
            Self::Url(url) => TextLine::Url(url),
            Self::Time(time) => TextLine::Prose(time),
        }
    }
}

/// Every field except the body, in the order of [`Content`].
fn fields(content: &Content) -> [(&'static str, FieldValue<'_>); 10] {
    let text = |text| FieldValue::Prose(Cow::Borrowed(text));
    let list = |list: &[String]| FieldValue::Prose(Cow::Owned(list.join(LIST_SEPARATOR)));
    let time = |time: &Option<ClaimedTime>| FieldValue::Time(time.as_ref().map(render_time).unwrap_or_default());
    [
        ("headline", text(&content.headline)),
        ("standfirst", text(&content.standfirst)),
        ("bylines", list(&content.bylines)),
        ("section", text(&content.section)),
        ("language", text(&content.language)),
        ("canonical_url", FieldValue::Url(&content.canonical_url)),
        ("publish_time", time(&content.publish_time)),
        ("modify_time", time(&content.modify_time)),
        ("keywords", list(&content.keywords)),
        ("rights", text(&content.rights)),
    ]
}

/// A claimed time at its precision. If the claim is relative, the words that it was read from follow, such as
/// `2025-09 (“2 months ago”)`; the words of an absolute claim say nothing more than the time.
fn render_time(claimed: &ClaimedTime) -> String {
    let ClaimedTime { time, words, .. } = claimed;
    let (precision, rest) = match claimed.precision {
        Precision::Instant => ("instant", ""),
        Precision::Day => ("day", "T00:00:00Z"),
        Precision::Month => ("month", "-01T00:00:00Z"),
        Precision::Year => ("year", "-01-01T00:00:00Z"),
    };
    // A client may send another instant of the period than its first. It counts in the digest, so it must show.
    let is_start = time.to_string() == format!("{}{rest}", claimed.iso());
    let shown = if is_start { claimed.iso() } else { format!("{time} ({precision})") };
    if claimed.relative && !words.is_empty() { format!("{shown} (“{words}”)") } else { shown }
}

fn spans(base: &FieldValue<'_>, target: &FieldValue<'_>, aligner: &mut Aligner) -> Vec<Span> {
    if let (FieldValue::Time(base), FieldValue::Time(target)) = (base, target) {
        let sides = [(SpanKind::Delete, base), (SpanKind::Insert, target)].into_iter();
        let spans = sides.map(|(kind, text)| Span { kind, text: text.clone() });
        return spans.filter(|span| !span.text.is_empty()).collect();
    }
    let (base, target) = (base.part(), target.part());
    let mut vocabulary = Vocabulary::default();
    let (base_text, target_text) = (vocabulary.split([base].into_iter()), vocabulary.split([target].into_iter()));
    let changes = words::changes(aligner, &vocabulary, &base_text, &target_text);
    words::spans(
        Side { rendered: base.text(), text: &base_text },
        Side { rendered: target.text(), text: &target_text },
        &changes,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    /// 8 November 2025, read from these words.
    fn claim(precision: Precision, words: &str, relative: bool) -> ClaimedTime {
        let time = Timestamp::from_micros(1_762_560_000_000_000).unwrap();
        ClaimedTime { time, precision, words: words.into(), found_in: "header".into(), relative }
    }

    fn dated(publish_time: ClaimedTime) -> Content {
        Content { publish_time: Some(publish_time), ..Content::default() }
    }

    #[test]
    fn a_claimed_time_is_shown_at_its_precision_with_the_words_of_a_relative_claim() {
        assert_eq!(render_time(&claim(Precision::Instant, "", false)), "2025-11-08T00:00:00Z");
        assert_eq!(render_time(&claim(Precision::Day, "8 November", false)), "2025-11-08");
        assert_eq!(
            render_time(&claim(Precision::Month, "last month", true)),
            "2025-11-08T00:00:00Z (month) (“last month”)"
        );
        let first = Timestamp::from_micros(1_761_955_200_000_000).unwrap();
        let month = ClaimedTime { time: first, ..claim(Precision::Month, "last month", true) };
        assert_eq!(render_time(&month), "2025-11 (“last month”)");
    }

    #[test]
    fn a_claimed_time_that_moved_is_deleted_and_inserted_as_a_whole_once() {
        let base = dated(claim(Precision::Day, "8 November", false));
        let mut moved = base.clone();
        if let Some(claimed) = &mut moved.publish_time {
            claimed.time = claimed.time.saturating_add_micros(86_400_000_000);
        }
        let span = |kind, text: &str| Span { kind, text: text.to_owned() };
        let [change] = changes(&base, &moved, &mut Aligner::default()).try_into().unwrap();
        assert_eq!(change.spans, [span(SpanKind::Delete, "2025-11-08"), span(SpanKind::Insert, "2025-11-09")]);
        assert!(change.is_moved_time());
        let [change] = changes(&Content::default(), &base, &mut Aligner::default()).try_into().unwrap();
        assert_eq!(change.spans, [span(SpanKind::Insert, "2025-11-08")]);
        assert!(!change.is_moved_time());
        let reworded = dated(claim(Precision::Day, "Saturday, 8 November", false));
        assert_eq!(changes(&base, &reworded, &mut Aligner::default()), []);
    }

    #[test]
    fn only_differing_fields_are_listed_in_content_order() {
        let base = Content { headline: "Fire at sea".into(), keywords: vec!["a".into()], ..Content::default() };
        let target = Content { bylines: vec!["Ada Holm".into()], keywords: vec![], ..base.clone() };
        let names: Vec<_> =
            changes(&base, &target, &mut Aligner::default()).into_iter().map(|change| change.field).collect();
        assert_eq!(names, ["bylines", "keywords"]);
    }
}
