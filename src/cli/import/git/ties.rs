//! Commits of one second, in their order.
//!
//! Git's times are whole seconds, and a rebase or `git am` makes many commits in one. What is observed of an article at one
//! instant has no order, so later commits of a second are dated some microseconds later: the same each time that a history is
//! read.

use std::collections::HashMap;

use crate::model::Timestamp;

/// The last commit of each article at each time.
#[derive(Default)]
pub(super) struct Ties(HashMap<String, HashMap<Timestamp, Last>>);

struct Last {
    /// The commit's place in the history.
    commit: u64,
    /// How many commits before it say the same time.
    before: i64,
}

impl Ties {
    /// When the commit at this place in the history, which says `time`, made something of an article.
    pub(super) fn time_of(&mut self, article: &str, commit: u64, time: Timestamp) -> Timestamp {
        let times = self.0.entry(article.to_owned()).or_default();
        let last = times.entry(time).or_insert(Last { commit, before: 0 });
        if last.commit != commit {
            *last = Last { commit, before: last.before + 1 };
        }
        time.saturating_add_micros(last.before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_of_one_second_keep_their_order_within_an_article() {
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000).unwrap();
        let mut ties = Ties::default();
        let micros = |time: Timestamp| time.micros_since(at(10));
        assert_eq!(micros(ties.time_of("a", 1, at(10))), 0);
        assert_eq!(micros(ties.time_of("a", 2, at(10))), 1);
        assert_eq!(micros(ties.time_of("a", 2, at(10))), 1, "what one commit does has one time");
        assert_eq!(micros(ties.time_of("b", 2, at(10))), 0, "other articles have no part in it");
        assert_eq!(micros(ties.time_of("a", 3, at(10))), 2);
        assert_eq!(ties.time_of("a", 4, at(11)), at(11));
        assert_eq!(micros(ties.time_of("a", 5, at(10))), 3, "also where another time came between");
    }
}
