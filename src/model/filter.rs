//! Which articles a list, a feed or an export is about.

use super::{ArticleName, SourceId, Timestamp, UrlKey};

/// A choice of articles. Fields are ANDed, the values of one field are ORed, and an empty field lets all
/// pass. It is answered from an article's attributes alone, never from its body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArticleFilter {
    /// The sources.
    pub sources: Vec<SourceId>,
    /// The articles by name.
    pub articles: Vec<ArticleName>,
    /// Withdrawn (`true`) or live (`false`).
    pub withdrawn: Option<bool>,
    /// Language ranges after RFC 4647: `en` matches `en` and `en-GB`.
    pub languages: Vec<String>,
    /// The archive's labels.
    pub labels: Vec<String>,
    /// One of the article's URLs has a key that begins so.
    pub url_prefix: Option<UrlKey>,
    /// The observe time of the revision in force.
    pub observe_time: TimeRange,
    /// The claimed publish time; an article without one matches only an empty range.
    pub publish_time: TimeRange,
}

/// A half-open range of instants; an unset end is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeRange {
    /// The first instant within.
    pub start: Option<Timestamp>,
    /// The first instant beyond.
    pub end: Option<Timestamp>,
}

impl TimeRange {
    /// Whether every instant, and none at all, is within.
    pub fn is_unbounded(&self) -> bool {
        self.start.is_none() && self.end.is_none()
    }

    /// Whether `time` lies within; no time lies only within an unbounded range.
    pub fn contains(&self, time: Option<Timestamp>) -> bool {
        match time {
            None => self.is_unbounded(),
            Some(time) => self.start.is_none_or(|start| start <= time) && self.end.is_none_or(|end| time < end),
        }
    }
}

/// Whether the language range `range` takes in the tag `language` (RFC 4647, basic filtering).
pub fn language_matches(range: &str, language: &str) -> bool {
    let head = language.as_bytes().get(..range.len());
    head.is_some_and(|head| head.eq_ignore_ascii_case(range.as_bytes()))
        && matches!(language.as_bytes().get(range.len()), None | Some(b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_range_ends_at_a_subtag() {
        assert!(language_matches("en", "en-GB"));
        assert!(language_matches("EN-gb", "en-GB"));
        assert!(!language_matches("en", "eng"));
        assert!(!language_matches("en-GB", "en"));
    }

    #[test]
    fn a_range_is_half_open() {
        let at = Timestamp::from_micros;
        let range = TimeRange { start: at(1), end: at(3) };
        assert!(range.contains(at(1)) && range.contains(at(2)));
        assert!(!range.contains(at(0)) && !range.contains(at(3)) && !range.contains(None));
        assert!(TimeRange::default().contains(None));
    }
}
