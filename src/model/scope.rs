//! The sources that a caller may see or write to.

use std::fmt;
use std::sync::Arc;

use super::SourceId;

/// A pattern of source ids: an id, or the beginning of ids followed by `*`, such as `gazette-*`; `*` alone is all.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourcePattern {
    beginning: Arc<str>,
    is_open: bool,
}

impl SourcePattern {
    /// Parses a pattern; `None` if no source id can match it, or a `*` is anywhere else than at its end.
    pub fn parse(pattern: &str) -> Option<Self> {
        let (beginning, is_open) = match pattern.strip_suffix('*') {
            Some(beginning) => (beginning, true),
            None => (pattern, false),
        };
        let is_possible = (is_open && beginning.is_empty()) || SourceId::parse(beginning).is_ok();
        is_possible.then(|| Self { beginning: beginning.into(), is_open })
    }

    /// Whether it matches the source.
    pub fn matches(&self, source: &SourceId) -> bool {
        let id = source.as_str();
        if self.is_open { id.starts_with(&*self.beginning) } else { id == &*self.beginning }
    }

    /// Whether it matches every source that `other` matches.
    fn covers(&self, other: &Self) -> bool {
        if self.is_open { other.beginning.starts_with(&*self.beginning) } else { self == other }
    }
}

impl fmt::Display for SourcePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.beginning, if self.is_open { "*" } else { "" })
    }
}

/// A set of sources: all, or those that match one of some patterns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceScope(Option<Arc<[SourcePattern]>>);

impl SourceScope {
    /// All sources.
    pub fn all() -> Self {
        Self(None)
    }

    /// The sources that match one of the patterns. Two scopes are equal if the same patterns are left once those that
    /// others cover are dropped.
    pub fn of(patterns: impl IntoIterator<Item = SourcePattern>) -> Self {
        let mut patterns: Vec<SourcePattern> = patterns.into_iter().collect();
        patterns.sort();
        patterns.dedup();
        let all = patterns.clone();
        patterns.retain(|pattern| !all.iter().any(|other| other != pattern && other.covers(pattern)));
        let is_all = patterns.iter().any(|pattern| pattern.is_open && pattern.beginning.is_empty());
        Self((!is_all).then(|| patterns.into()))
    }

    /// Whether it has the source.
    pub fn has(&self, source: &SourceId) -> bool {
        self.0.as_ref().is_none_or(|patterns| patterns.iter().any(|pattern| pattern.matches(source)))
    }

    /// Whether it has every source that a pattern matches.
    pub fn covers(&self, pattern: &SourcePattern) -> bool {
        self.0.as_ref().is_none_or(|patterns| patterns.iter().any(|own| own.covers(pattern)))
    }

    /// Whether it has no source.
    pub fn is_empty(&self) -> bool {
        self.0.as_ref().is_some_and(|patterns| patterns.is_empty())
    }

    /// Whether it has every source.
    pub fn is_all(&self) -> bool {
        self.0.is_none()
    }

    /// The patterns, sorted; `*` for all sources.
    pub fn patterns(&self) -> Vec<SourcePattern> {
        let all = || vec![SourcePattern { beginning: "".into(), is_open: true }];
        self.0.as_ref().map_or_else(all, |patterns| patterns.to_vec())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use proptest::prelude::*;

    use super::*;

    fn pattern(text: &str) -> SourcePattern {
        SourcePattern::parse(text).unwrap()
    }

    #[test]
    fn a_pattern_is_an_id_or_a_beginning() {
        let matching = |text: &str, id: &str| pattern(text).matches(&SourceId::parse(id).unwrap());
        assert!(matching("*", "gazette") && matching("gazette", "gazette") && matching("gazette-*", "gazette-north"));
        assert!(!matching("gazette", "gazette-north") && !matching("gazette-*", "gazette"));
        for malformed in ["", "**", "a*b", "-*", "a b", "a/b*"] {
            assert_eq!(SourcePattern::parse(malformed), None, "{malformed:?}");
        }
        assert_eq!(pattern("gazette-*").to_string(), "gazette-*");
    }

    proptest! {
        #[test]
        fn what_others_cover_makes_no_difference(
            texts in prop::collection::vec("[ab]{0,2}[*]?", 0..6), id in "[ab]{1,3}",
        ) {
            let patterns: Vec<_> = texts.iter().filter_map(|text| SourcePattern::parse(text)).collect();
            let scope = SourceScope::of(patterns.clone());
            let source = SourceId::parse(&id).unwrap();
            prop_assert_eq!(scope.has(&source), patterns.iter().any(|pattern| pattern.matches(&source)));
            prop_assert!(scope.patterns().len() <= patterns.len());
            prop_assert_eq!(scope.is_all(), patterns.contains(&pattern("*")));
        }
    }
}
