//! Keeps commits of the same second in order.
//!
//! Git's times are whole seconds, and a rebase or `git am` can create many commits within one. Observations of an
//! article at the same instant have no order, so later commits of a second are dated a few microseconds later,
//! identically each time the history is read.

use std::collections::HashMap;

use crate::model::Timestamp;

/// For each article and time, the last commit that states that time.
#[derive(Default)]
pub(super) struct Ties(HashMap<String, HashMap<Timestamp, Last>>);

struct Last {
    /// The commit's position in the history.
    commit: u64,
    /// How many earlier commits state the same time.
    earlier: i64,
}

impl Ties {
    /// The observe time of the commit at this position in the history, which states `time`.
    pub(super) fn time_of(&mut self, article: &str, commit: u64, time: Timestamp) -> Timestamp {
        let times = self.0.entry(article.to_owned()).or_default();
        let last = times.entry(time).or_insert(Last { commit, earlier: 0 });
        if last.commit != commit {
            *last = Last { commit, earlier: last.earlier + 1 };
        }
        time.saturating_add_micros(last.earlier)
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
        assert_eq!(micros(ties.time_of("a", 2, at(10))), 1, "all changes of one commit have the same time");
        assert_eq!(micros(ties.time_of("b", 2, at(10))), 0, "other articles do not matter");
        assert_eq!(micros(ties.time_of("a", 3, at(10))), 2);
        assert_eq!(ties.time_of("a", 4, at(11)), at(11));
        assert_eq!(micros(ties.time_of("a", 5, at(10))), 3, "even after a commit with another time");
    }
}
