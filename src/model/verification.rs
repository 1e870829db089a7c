//! The reports of a verification: its progress and its findings.

use super::{ArticleName, Seq};

/// Something stored that does not match the log, or cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The table in which it was found.
    pub table: Table,
    /// The change that it belongs to, if known.
    pub seq: Option<Seq>,
    /// The article that it belongs to, if known.
    pub article: Option<ArticleName>,
    /// What is wrong, in words.
    pub detail: String,
}

/// A table of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// The change log, from which all indexes can be rebuilt.
    Log,
    /// The contents of revisions, in chunks.
    Content,
    /// The originals that clients asked to keep, in chunks.
    Original,
    /// The indexes of articles: heads, revisions, times, sightings, states, requests and URLs.
    Article,
    /// The names of articles.
    Name,
    /// The stats of sources.
    Source,
    /// The articles by URL key.
    Url,
    /// Facts about the archive as a whole, such as its id and format.
    Meta,
    /// The durable subscriptions and their parked changes, which the log does not record.
    Subscription,
    /// The tiles of the Merkle tree over the log, and its checkpoints.
    Tree,
    /// A key that belongs to no known table.
    Unknown,
}

/// The progress of a verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The current phase, which determines the unit of the counts.
    pub phase: Phase,
    /// How much of the phase is done, in the phase's unit.
    pub done: u64,
    /// The size of the phase in the same unit, as far as known.
    pub total: u64,
}

/// The phases of a verification, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Reads the log. The unit is changes.
    Log,
    /// Checks contents, originals and indexes, article by article. The unit is changes.
    Articles,
    /// Checks that every entry of the database has a reason to exist. The unit is entries.
    Entries,
}

/// What a verification checked, and how many findings it has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// The number of changes checked.
    pub changes: u64,
    /// The number of articles checked.
    pub articles: u64,
    /// The number of contents checked.
    pub contents: u64,
    /// The number of originals checked.
    pub originals: u64,
    /// The number of database entries checked.
    pub entries: u64,
    /// The number of findings.
    pub findings: u64,
}

/// A report from a running verification.
#[derive(Clone, Debug)]
pub enum Event {
    /// The verification has advanced.
    Progress(Progress),
    /// Something does not match the log.
    Finding(Finding),
}
