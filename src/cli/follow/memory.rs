//! What `follow` remembers of a feed: which of its entries are archived, as they were then.
//!
//! Losing it costs one more sighting of each entry.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::fetch::Validators;

/// What is remembered of one feed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Seen {
    /// The feed's address, for people.
    pub(super) feed: String,
    /// What the feed is asked with whether it has changed. Only where all of its entries are archived: who asks so may be
    /// given none.
    pub(super) validators: Option<Validators>,
    /// Each entry that the feed had last and that was dealt with, by its id.
    pub(super) entries: BTreeMap<String, Kept>,
}

/// An entry that was dealt with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    /// Its fingerprint, in hexadecimal.
    pub(super) fingerprint: String,
    /// The article that it became; empty where it could not be read. An entry that leads to another address later is
    /// still that article.
    pub(super) article: String,
}
