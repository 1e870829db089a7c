//! The destruction of texts that the archive may no longer keep.
//!
//! Expunging a change destroys its text, its salt and its unsalted digests. What remains is a *stub*: its place, its
//! times and its commitments, so that every digest and every proof of the log stays as it was. The change that ordered
//! it, of kind [`LogKind::Expunged`](super::LogKind::Expunged), names the positions and the leaves of the stubs.

use std::collections::BTreeMap;

use super::leaf::{Commitments, Group, Salt};
use super::{
    ArticleId, ArticleKey, ArticleName, Change, ChangeEntry, ContentDigest, ContentParts, RequestDigest,
    RevisionRecord, Seq, Timestamp, TreeHash,
};

/// Why a text was destroyed, with its number in stored data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum ExpungeReason {
    /// A court or an authority ordered it.
    CourtOrder = 1,
    /// A person whose data it has asked for it.
    PersonalData = 2,
    /// It infringed a copyright.
    Copyright = 3,
    /// Another reason, which the reference states.
    Other = 4,
}

impl ExpungeReason {
    const ALL: [Self; 4] = [Self::CourtOrder, Self::PersonalData, Self::Copyright, Self::Other];

    /// The number.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The reason with this number, if there is one.
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| u32::from(reason.number()) == number)
    }
}

/// An order to destroy texts: who asked for it, and when it was carried out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ExpungeOrder {
    /// Why.
    pub reason: ExpungeReason,
    /// What the order can be found by, such as a court's file number. Readers see it. May be empty.
    pub reference: String,
    /// When the archive carried it out, by its clock.
    pub time: Timestamp,
}

/// What a stub has in place of its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expunged {
    /// The order that destroyed the text.
    pub order: ExpungeOrder,
    /// The commitments of the change's leaf, which can no longer be computed.
    pub commitments: Commitments,
    /// The salt of the name's commitment; `None` if the name was destroyed too.
    pub name_salt: Option<Salt>,
}

/// What a change of kind [`LogKind::Expunged`](super::LogKind::Expunged) did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expunging {
    /// The order.
    pub order: ExpungeOrder,
    /// Whether the article's name, its URLs, labels and request ids were destroyed too.
    pub with_name: bool,
    /// The changes whose text was destroyed, in order of position.
    pub targets: Vec<ExpungedChange>,
}

/// A change whose text was destroyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpungedChange {
    /// Its position.
    pub seq: Seq,
    /// The hash of its leaf, which tells the change from that of another history at the same position.
    pub leaf: TreeHash,
}

/// The register of destructions: which changes had their text destroyed, and how. It has no text itself, and is enough to
/// destroy the text again in a copy from before, such as an older backup.
///
/// A change is found by its position and its leaf, since another history may have another change at the position.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExpungeRegister(pub BTreeMap<(Seq, TreeHash), RegisteredExpunge>);

/// How the text of a change was destroyed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RegisteredExpunge {
    /// The article's internal number.
    pub article: ArticleKey,
    /// The order.
    pub order: ExpungeOrder,
    /// What replaced the article's id; `None` if its name was not destroyed.
    pub replacement: Option<ArticleId>,
}

impl ExpungeRegister {
    /// Adds what another register has. If both have a change, its name stays destroyed.
    pub fn merge(&mut self, other: Self) {
        for (change, expunge) in other.0 {
            let kept = self.0.entry(change).or_insert_with(|| expunge.clone());
            if kept.replacement.is_none() {
                kept.replacement = expunge.replacement;
            }
        }
    }

    /// Adds a change, whose leaf is `leaf`, if it is a stub.
    pub fn add(&mut self, change: &Change, leaf: TreeHash) {
        let Some(expunged) = change.entry.expunged.as_deref() else { return };
        let name_is_destroyed = expunged.name_salt.is_none();
        let registered = RegisteredExpunge {
            article: change.entry.article,
            order: expunged.order.clone(),
            replacement: Some(change.entry.name.article.clone()).filter(|_| name_is_destroyed),
        };
        self.0.insert((change.seq, leaf), registered);
    }
}

impl ChangeEntry {
    /// The revision that the change created, if its text was not destroyed. Then a content is stored with the change.
    pub fn revision_with_content(&self) -> Option<&RevisionRecord> {
        self.new_revision.as_deref().filter(|_| self.expunged.is_none())
    }

    /// The salt with which the data of a group can be shown; `None` if it was destroyed.
    pub fn salt_of(&self, group: Group) -> Option<Salt> {
        match self.expunged.as_deref() {
            None => Some(self.salt.of(group)),
            Some(expunged) if group == Group::Name => expunged.name_salt,
            Some(_) => None,
        }
    }

    /// What remains of the change once its text is destroyed. `commitments` are those of its leaf. `name` replaces its
    /// article's name if that is destroyed, too; otherwise its URLs, labels and request id stay, which indexes consist
    /// of.
    #[must_use]
    pub fn stub(&self, order: &ExpungeOrder, commitments: Commitments, name: Option<&ArticleName>) -> Self {
        let keeps_name = name.is_none();
        let name_salt = self.salt_of(Group::Name).filter(|_| keeps_name);
        // What was destroyed before keeps the order that did it.
        let order = self.expunged.as_ref().map_or(order, |expunged| &expunged.order).clone();
        let labels = self.labels.clone().filter(|_| keeps_name);
        Self {
            name: name.unwrap_or(&self.name).clone(),
            request: self.request.clone().filter(|_| keeps_name).map(|(id, _)| (id, RequestDigest::default())),
            bound_urls: if keeps_name { self.bound_urls.clone() } else { Vec::new() },
            ended_urls: if keeps_name { self.ended_urls.clone() } else { Vec::new() },
            repeated_move: self.repeated_move.clone().filter(|_| keeps_name),
            new_revision: self.new_revision.as_deref().map(|revision| Box::new(revision.stub())),
            labels: self.labels.is_some().then(|| labels.unwrap_or_default()),
            absence: self.absence.clone(),
            reason: String::new(),
            fetch: None,
            principal: None,
            expunging: self.expunging.clone(),
            salt: Salt::default(),
            expunged: Some(Box::new(Expunged { order, commitments, name_salt })),
            ..*self
        }
    }
}

impl RevisionRecord {
    /// What remains of the record once the text is destroyed: the revision that it was a rollback to.
    fn stub(&self) -> Self {
        Self { rollback_of: self.rollback_of, ..Self::destroyed() }
    }

    /// The record of a revision whose text was destroyed.
    pub(crate) fn destroyed() -> Self {
        Self {
            digest: ContentDigest::default(),
            word_count: 0,
            word_delta: None,
            changed_parts: ContentParts::NONE,
            rollback_of: None,
            headline: String::new(),
            section: String::new(),
            language: String::new(),
            canonical_url: String::new(),
            publish_time: None,
            modify_time: None,
            original: None,
        }
    }
}
