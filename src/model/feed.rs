//! What a subscriber selects from the change feed.

use super::{ArticleFilter, Change, LogKind};

/// The kinds of change that the feed distinguishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChangeKind {
    /// An observation created the article and its first revision.
    Created,
    /// An observation created a further revision.
    Revised,
    /// Nothing new: an observation confirmed a revision, or a client repeated a recorded write.
    Sighted,
    /// The article was withdrawn.
    Withdrawn,
    /// The article was reinstated.
    Reinstated,
    /// A rollback created a further revision.
    RolledBack,
    /// New URLs lead to the article, without a new revision.
    Aliased,
    /// Labels were added to the article or removed from it, and nothing else.
    Labelled,
    /// A look found the page of the article missing.
    Absent,
    /// An address was moved to the article, or no longer leads to it.
    UrlMoved,
    /// The text of revisions of the article, or of all of it, was destroyed.
    Expunged,
}

impl ChangeKind {
    /// The kind that the feed reports for a change.
    pub fn of(change: &Change) -> Self {
        match change.entry.kind {
            LogKind::Created => Self::Created,
            LogKind::Revised => Self::Revised,
            LogKind::RolledBack => Self::RolledBack,
            LogKind::Withdrawn => Self::Withdrawn,
            LogKind::Reinstated => Self::Reinstated,
            LogKind::Aliased => Self::Aliased,
            LogKind::Labelled => Self::Labelled,
            LogKind::Absent => Self::Absent,
            LogKind::UrlEnded | LogKind::UrlBound => Self::UrlMoved,
            LogKind::Expunged => Self::Expunged,
            LogKind::Sighted | LogKind::Repeated if !change.entry.bound_urls.is_empty() => Self::Aliased,
            LogKind::Sighted | LogKind::Repeated if change.entry.labels.is_some() => Self::Labelled,
            LogKind::Sighted
            | LogKind::Repeated
            | LogKind::StateRepeated
            | LogKind::LabelsRepeated
            | LogKind::AbsenceRepeated
            | LogKind::UrlsRepeated => Self::Sighted,
        }
    }
}

/// A selection of kinds. The empty selection is the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChangeKinds(u32);

impl ChangeKinds {
    /// Selects every kind, also those that the contract will add.
    pub const ALL: Self = Self(u32::MAX);

    /// Selects these kinds; without any, the result is [`ChangeKinds::default`].
    pub fn of(kinds: impl IntoIterator<Item = ChangeKind>) -> Self {
        Self(kinds.into_iter().fold(0, |bits, kind| bits | 1 << kind as u32))
    }

    /// The inverse of [`ChangeKinds::bits`].
    pub fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// One bit per kind, in declaration order from the lowest.
    pub fn bits(self) -> u32 {
        self.0
    }

    /// Whether this is the default, which selects all kinds except sightings.
    pub fn is_default(self) -> bool {
        self.0 == 0
    }

    /// Whether a kind was named.
    pub fn names(self, kind: ChangeKind) -> bool {
        self.0 & 1 << kind as u32 != 0
    }

    /// Whether a kind is selected. [`ChangeKind::Expunged`] always is: each holder of a copy must learn of it.
    pub fn contains(self, kind: ChangeKind) -> bool {
        if kind == ChangeKind::Expunged {
            return true;
        }
        if self.is_default() { kind != ChangeKind::Sighted } else { self.names(kind) }
    }
}

/// Selects the changes that a subscriber receives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeedQuery {
    /// A change matches if its article matches this filter after the change, or did before it. With changed parts in
    /// the filter, a change that creates a revision must have changed one of them, or move the article into or out of
    /// the filter.
    pub filter: ArticleFilter,
    /// The kinds to deliver. By default a sighting is left out unless it alters the article's newest state, or moves
    /// the article into or out of the filter.
    pub kinds: ChangeKinds,
}

/// How much of a change is delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FeedView {
    /// The attributes that the log has.
    #[default]
    Basic,
    /// The attributes and the full content.
    Full,
    /// The attributes, and the differences from the content before.
    Diff,
    /// The attributes, and the replay request: the request that would reproduce the change in an empty archive.
    Request,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_selects_all_kinds_but_sightings() {
        assert!(ChangeKinds::default().contains(ChangeKind::Withdrawn));
        assert!(!ChangeKinds::default().contains(ChangeKind::Sighted));
        let two = ChangeKinds::of([ChangeKind::Sighted, ChangeKind::Created]);
        assert!(two.contains(ChangeKind::Sighted) && two.contains(ChangeKind::Created));
        assert!(!two.contains(ChangeKind::Revised));
        assert_eq!(ChangeKinds::from_bits(two.bits()), two);
    }
}
