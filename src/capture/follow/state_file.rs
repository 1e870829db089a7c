//! The state of a feed: which of its entries are archived, and with which content.
//!
//! Losing it costs one more sighting of each entry.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::fetch::Validators;

/// The state of one feed, as stored in its state file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct FeedState {
    /// The feed's URL, for people who read the file.
    pub(super) feed: String,
    /// The validators for the next conditional request. Kept only if no entry needs another attempt, since the server
    /// may answer such a request without any entries.
    pub(super) validators: Option<Validators>,
    /// The entries of the last fetched feed that need no further attempt, by their id.
    pub(super) entries: BTreeMap<String, SeenEntry>,
}

/// An entry that needs no further attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SeenEntry {
    /// The fingerprint of its content, in hexadecimal.
    pub(super) fingerprint: String,
    /// The article that it became; empty if it could not be read. An entry that later links to another URL still
    /// belongs to that article.
    pub(super) article: String,
}
