//! The register of destructions: an index of the changes whose text was destroyed, and its form in a log file's header.

use std::collections::BTreeMap;

use super::engine::Direction;
use super::full_change::FullChange;
use super::key::stub::StubKey;
use super::record::{change_from_stored, change_to_stored, order_from_stored, order_to_stored};
use super::{Batch, StoreError, Tables, stored};
use crate::model::{ArticleId, ArticleKey, ExpungeRegister, ExpungedChange, RegisteredExpunge, Seq};

impl Tables<'_> {
    /// The register of destructions.
    pub fn register(&self) -> Result<ExpungeRegister, StoreError> {
        let mut register = ExpungeRegister::default();
        for entry in self.source().scan(StubKey::all(), Direction::Forward) {
            let (key, _) = entry?;
            let StubKey(seq) = StubKey::decode(&key).ok_or_else(|| StoreError::damaged(&key, "a key is malformed"))?;
            let missing = || StoreError::damaged_at(seq, "a change in the register of destructions is missing");
            let full = FullChange::read_record(self.source(), seq)?.ok_or_else(missing)?;
            register.add(&full.change, full.leaf);
        }
        Ok(register)
    }
}

impl Batch {
    /// Enters a stub into the register of destructions.
    pub fn put_stub(&mut self, seq: Seq) {
        self.put(StubKey(seq).encode(), Vec::new());
    }
}

/// Groups the changes that were destroyed in the same way.
pub(super) fn to_stored(register: &ExpungeRegister) -> Vec<stored::RegisteredExpunge> {
    let mut groups: BTreeMap<&RegisteredExpunge, Vec<stored::ExpungedChange>> = BTreeMap::new();
    for ((seq, leaf), expunge) in &register.0 {
        groups.entry(expunge).or_default().push(change_to_stored(&ExpungedChange { seq: *seq, leaf: *leaf }));
    }
    let group = |(expunge, changes): (&RegisteredExpunge, _)| stored::RegisteredExpunge {
        article: expunge.article.0,
        order: Some(order_to_stored(&expunge.order)),
        replacement: expunge.replacement.as_ref().map(|id| id.as_str().to_owned()).unwrap_or_default(),
        changes,
    };
    groups.into_iter().map(group).collect()
}

/// The inverse of [`to_stored`]; `None` if a message is malformed.
pub(super) fn from_stored(groups: Vec<stored::RegisteredExpunge>) -> Option<ExpungeRegister> {
    let mut register = ExpungeRegister::default();
    for stored::RegisteredExpunge { article, order, replacement, changes } in groups {
        let replacement = if replacement.is_empty() { None } else { Some(ArticleId::parse(&replacement).ok()?) };
        let expunge =
            RegisteredExpunge { article: ArticleKey(article), order: order_from_stored(order?)?, replacement };
        for change in changes {
            let ExpungedChange { seq, leaf } = change_from_stored(change)?;
            register.0.insert((seq, leaf), expunge.clone());
        }
    }
    Some(register)
}
