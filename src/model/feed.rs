//! What a subscriber asks of the change feed.

use super::{ArticleFilter, Change, ChangeKind};

/// The kinds of change that a feed tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FeedKind {
    /// An observation made the article and its first revision.
    Created,
    /// An observation made a further revision.
    Revised,
    /// Nothing new: a revision was confirmed, or a recorded write came again.
    Observed,
    /// The article was taken down.
    Withdrawn,
    /// The article was put up again.
    Reinstated,
    /// A rollback made a further revision.
    RolledBack,
    /// URLs began to lead to the article, and it has no new revision.
    Aliased,
}

impl FeedKind {
    /// The kind of a change.
    pub fn of(change: &Change) -> Self {
        match change.entry.kind {
            ChangeKind::Created => Self::Created,
            ChangeKind::Revised => Self::Revised,
            ChangeKind::RolledBack => Self::RolledBack,
            ChangeKind::Withdrawn => Self::Withdrawn,
            ChangeKind::Reinstated => Self::Reinstated,
            ChangeKind::Aliased => Self::Aliased,
            ChangeKind::Sighted | ChangeKind::Repeated if !change.entry.bound_urls.is_empty() => Self::Aliased,
            ChangeKind::Sighted | ChangeKind::Repeated | ChangeKind::MarkRepeated => Self::Observed,
        }
    }
}

/// A choice of kinds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FeedKinds(u32);

impl FeedKinds {
    /// These kinds; none of them is [`FeedKinds::default`].
    pub fn of(kinds: impl IntoIterator<Item = FeedKind>) -> Self {
        Self(kinds.into_iter().fold(0, |bits, kind| bits | 1 << kind as u32))
    }

    /// The choice that [`FeedKinds::bits`] gave.
    pub fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// A bit for each kind, in their order from the lowest.
    pub fn bits(self) -> u32 {
        self.0
    }

    /// Whether all but [`FeedKind::Observed`] is asked for.
    pub fn is_default(self) -> bool {
        self.0 == 0
    }

    /// Whether a kind is asked for.
    pub fn contains(self, kind: FeedKind) -> bool {
        if self.is_default() { kind != FeedKind::Observed } else { self.0 & 1 << kind as u32 != 0 }
    }
}

/// Which changes a subscriber wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeedQuery {
    /// Of which articles: a change matches if its article does after the change, or did before it.
    pub filter: ArticleFilter,
    /// Of which kinds. By default an observation that changes nothing is left out, unless the article enters or
    /// leaves the filter by it.
    pub kinds: FeedKinds,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_default_all_but_observations_are_asked_for() {
        assert!(FeedKinds::default().contains(FeedKind::Withdrawn));
        assert!(!FeedKinds::default().contains(FeedKind::Observed));
        let two = FeedKinds::of([FeedKind::Observed, FeedKind::Created]);
        assert!(two.contains(FeedKind::Observed) && two.contains(FeedKind::Created));
        assert!(!two.contains(FeedKind::Revised));
        assert_eq!(FeedKinds::from_bits(two.bits()), two);
    }
}
