//! Selects the articles of a list, a feed or an export.

use super::{ArticleName, ArticleState, ContentParts, SourceId, SourceScope, Timestamp, UrlKey};

/// A selection of articles by attribute. Fields are ANDed, the values of one field are ORed, and an empty field matches
/// every article. It is evaluated on attributes alone, never on the body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArticleFilter {
    /// The sources to select.
    pub sources: Vec<SourceId>,
    /// The articles to select, by name.
    pub articles: Vec<ArticleName>,
    /// The states in force to select, sorted and unique.
    pub states: Vec<ArticleState>,
    /// Language ranges as in RFC 4647: `en` matches `en` and `en-GB`.
    pub languages: Vec<String>,
    /// The labels that the archive's users assigned.
    pub labels: Vec<String>,
    /// A prefix that one of the article's URL keys must have.
    pub url_prefix: Option<UrlKey>,
    /// The observe time at which the revision in force came into force.
    pub observe_time: TimeRange,
    /// The claimed publish time; an article without one matches only an unbounded range.
    pub publish_time: TimeRange,
    /// In a list, the revision in force must have [changed](super::RevisionRecord::has_changed) one of these parts. In
    /// a feed it selects among the changes of an article and does not affect whether the article matches.
    pub changed_parts: ContentParts,
    /// Only articles of these sources match, whatever else is selected: those that the caller may read.
    pub within: SourceScope,
}

/// A half-open range of instants; an unset bound is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeRange {
    /// The first instant in the range.
    pub start: Option<Timestamp>,
    /// The first instant after the range.
    pub end: Option<Timestamp>,
}

impl TimeRange {
    /// Whether the range contains every instant. It then also contains a missing time.
    pub fn is_unbounded(&self) -> bool {
        self.start.is_none() && self.end.is_none()
    }

    /// Whether the range contains `time`. Only an unbounded range contains a missing time.
    pub fn contains(&self, time: Option<Timestamp>) -> bool {
        match time {
            None => self.is_unbounded(),
            Some(time) => self.start.is_none_or(|start| start <= time) && self.end.is_none_or(|end| time < end),
        }
    }
}

/// Whether the language range `range`, such as `en`, matches the tag `language` (RFC 4647, basic filtering).
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
