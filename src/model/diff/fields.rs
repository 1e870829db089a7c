//! Compares the fields other than the body.

use std::borrow::Cow;

use super::align::Aligner;
use super::text::{TextLine, Vocabulary};
use super::words::{self, Side};
use super::{FieldChange, Span};
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
}

impl FieldValue<'_> {
    fn part(&self) -> TextLine<'_> {
        match self {
            Self::Prose(text) => TextLine::Prose(text),
            Self::Url(url) => TextLine::Url(url),
        }
    }
}

/// Every field except the body, in the order of [`Content`].
fn fields(content: &Content) -> [(&'static str, FieldValue<'_>); 10] {
    let text = |text| FieldValue::Prose(Cow::Borrowed(text));
    let list = |list: &[String]| FieldValue::Prose(Cow::Owned(list.join(LIST_SEPARATOR)));
    let time =
        |time: &Option<ClaimedTime>| FieldValue::Prose(Cow::Owned(time.as_ref().map(render_time).unwrap_or_default()));
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

/// A claimed time as RFC 3339 with its precision and the words it was read from, such as
/// `2025-09-01T00:00:00Z (month, from “2 months ago”)`.
fn render_time(claimed: &ClaimedTime) -> String {
    let precision = match claimed.precision {
        Precision::Instant => "instant",
        Precision::Day => "day",
        Precision::Month => "month",
        Precision::Year => "year",
    };
    match claimed.words.as_str() {
        "" => format!("{} ({precision})", claimed.time),
        words => format!("{} ({precision}, from “{words}”)", claimed.time),
    }
}

fn spans(base: &FieldValue<'_>, target: &FieldValue<'_>, aligner: &mut Aligner) -> Vec<Span> {
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

    #[test]
    fn a_claimed_time_shows_its_precision_and_its_words() {
        let mut claimed = ClaimedTime {
            time: Timestamp::from_micros(1_762_560_000_000_000).unwrap(),
            precision: Precision::Day,
            words: String::new(),
            found_in: String::new(),
            relative: false,
        };
        assert_eq!(render_time(&claimed), "2025-11-08T00:00:00Z (day)");
        claimed.words = "8 November".into();
        assert_eq!(render_time(&claimed), "2025-11-08T00:00:00Z (day, from “8 November”)");
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
