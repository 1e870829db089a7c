//! Absences: looks at an article that found its page missing, and the states that follow from them.

use super::{Limits, Timestamp};

/// The state of an article at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ArticleState {
    /// It is up.
    Live,
    /// The publisher, or an editor, declared that it was taken down. This takes precedence over [`Self::Gone`].
    Withdrawn,
    /// Looks in a row found its page missing, as many as their writers require.
    Gone,
}

impl ArticleState {
    /// All states, in order.
    pub const ALL: [Self; 3] = [Self::Live, Self::Withdrawn, Self::Gone];

    /// The number of the state in stored data and in leaves. A number is never reused.
    pub fn number(self) -> u8 {
        match self {
            Self::Live => 0,
            Self::Withdrawn => 1,
            Self::Gone => 2,
        }
    }

    /// The state with this number, if there is one.
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|state| u32::from(state.number()) == number)
    }
}

/// How a page was missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AbsenceReason {
    /// The site said that there is no such page.
    NotFound,
    /// The site said that the page was removed permanently.
    Gone,
    /// The URL led to the front page of the site.
    Redirected,
}

impl AbsenceReason {
    const ALL: [Self; 3] = [Self::NotFound, Self::Gone, Self::Redirected];

    /// The number of the reason in stored data and in leaves. A number is never reused.
    pub fn number(self) -> u8 {
        match self {
            Self::NotFound => 1,
            Self::Gone => 2,
            Self::Redirected => 3,
        }
    }

    /// The reason with this number, if there is one.
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| u32::from(reason.number()) == number)
    }
}

/// What a look found that found the page missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbsenceLook {
    /// How the page was missing.
    pub reason: AbsenceReason,
    /// The HTTP status; 0 if it is unknown.
    pub http_status: u32,
    /// The article is gone if this look is at least the nth absence of its run. At least 1.
    pub gone_after: u32,
}

/// A run of absences: absences in a row, without an observation between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbsenceRun {
    /// The observe time of the last observation before the run.
    pub last_seen: Timestamp,
    /// The observe time of the first absence of the run. If the run makes the article gone, it is so from then on.
    pub first_missed: Timestamp,
    /// The observe time of the last absence that is counted.
    pub last_missed: Timestamp,
    /// The number of absences from the first to that one, at most [`Limits::GONE_AFTER_MAX`]: it stops there.
    pub count: u32,
    /// Whether the run makes the article gone. Absences after `last_missed` count for this, too.
    pub is_gone: bool,
}

/// An absence, and the run that it belongs to, counted up to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Absence {
    /// The look itself.
    pub look: AbsenceLook,
    /// Its run.
    pub run: AbsenceRun,
}

/// What the log records about an absence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbsenceRecord {
    /// The look itself.
    pub look: AbsenceLook,
    /// Its run as known with the change, counted up to it; `None` if it repeats a recorded absence.
    pub run: Option<AbsenceRun>,
}

impl AbsenceRun {
    /// The run with one more absence at its end, or a new run that begins with it.
    pub fn extended(before: Option<Self>, last_seen: Timestamp, look: AbsenceLook, at: Timestamp) -> Self {
        let count = before.map_or(0, |before| before.count).saturating_add(1).min(Limits::GONE_AFTER_MAX);
        Self {
            last_seen: before.map_or(last_seen, |before| before.last_seen),
            first_missed: before.map_or(at, |before| before.first_missed),
            last_missed: at,
            count,
            is_gone: before.is_some_and(|before| before.is_gone) || look.gone_after <= count,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_makes_the_article_gone_once_a_look_is_satisfied_and_stays_so() {
        let at = |micros| Timestamp::from_micros(micros).unwrap();
        let look = |gone_after| AbsenceLook { reason: AbsenceReason::NotFound, http_status: 404, gone_after };
        let first = AbsenceRun::extended(None, at(1), look(3), at(5));
        assert_eq!((first.last_seen, first.first_missed, first.count, first.is_gone), (at(1), at(5), 1, false));
        let second = AbsenceRun::extended(Some(first), at(9), look(2), at(7));
        assert_eq!((second.last_seen, second.first_missed, second.last_missed), (at(1), at(5), at(7)));
        assert!(second.is_gone);
        assert!(AbsenceRun::extended(Some(second), at(1), look(9), at(8)).is_gone);
        let full = AbsenceRun { count: Limits::GONE_AFTER_MAX, ..second };
        let extended = AbsenceRun::extended(Some(full), at(1), look(9), at(9));
        assert_eq!((extended.count, extended.last_missed), (Limits::GONE_AFTER_MAX, at(9)), "the count stops");
    }
}
