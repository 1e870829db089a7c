//! The newest state of an article, kept beside its indexes so that the common reads and writes need one look.
//!
//! A head is derived from the log. It says which change wrote it, so that a reader whose bound is below that
//! change goes to the indexes instead.

use prost::Message;

use super::key::article::ArticleIndexKey;
use super::seal::{seal, unseal};
use super::{StoreError, stored};
use crate::model::{ArticleId, ArticleKey, ArticleName, RevisionNumber, Seq, SourceId, Timestamp};

/// How many of the latest contents a head remembers.
pub const RECENT_CONTENTS: usize = 8;

/// How many changes that bind URLs a head remembers.
pub const URL_CHANGES_KEPT: usize = 8;

/// The newest state of an article.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its name.
    pub name: ArticleName,
    /// Its first change.
    pub first_seq: Seq,
    /// Its latest change, which wrote this head.
    pub latest_seq: Seq,
    /// How many revisions there are, which is the number of the latest learnt.
    pub revision_count: RevisionNumber,
    /// The revision in force at the end of the observe axis.
    pub newest: InForce,
    /// The mark in force at the end of the observe axis.
    pub mark: Option<Mark>,
    /// The latest change that set a mark, whether or not it is in force.
    pub last_mark: Option<Seq>,
    /// The observe time of the earliest observation.
    pub first_observe_time: Timestamp,
    /// The observe time of the latest observation.
    pub latest_observe_time: Timestamp,
    /// The latest contents, at most [`RECENT_CONTENTS`], the latest last.
    pub recent: Vec<RecentContent>,
    /// The changes that bind URLs to it, in order; `None` where there are more than [`URL_CHANGES_KEPT`], which
    /// only their own table tells.
    pub url_changes: Option<Vec<Seq>>,
    /// How many URLs lead to it.
    pub url_count: u32,
}

/// A revision that is in force from an instant on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InForce {
    /// The revision.
    pub revision: RevisionNumber,
    /// The change that made it.
    pub made_seq: Seq,
    /// Since when it is in force.
    pub since: Timestamp,
    /// The change by which that became known.
    pub known_seq: Seq,
}

/// A mark that is in force from an instant on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Whether it withdraws or reinstates.
    pub withdrawn: bool,
    /// The change that set it.
    pub seq: Seq,
    /// Since when.
    pub since: Timestamp,
}

/// A content that a new one may be stored as a delta of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecentContent {
    /// The change that brought it.
    pub seq: Seq,
    /// The first eight bytes of its digest.
    pub digest_start: [u8; 8],
    /// How many contents must be read before it.
    pub depth: u32,
}

impl Head {
    /// The sealed value under the article's head key.
    pub fn encode(&self, article: ArticleKey) -> (Vec<u8>, Vec<u8>) {
        let key = ArticleIndexKey::Head(article).encode();
        let value = seal(&key, self.to_stored().encode_to_vec());
        (key, value)
    }

    /// Reads the head under a key.
    pub fn decode(key: &[u8], value: &[u8]) -> Result<Self, StoreError> {
        let malformed = || StoreError::damaged(key, "an article's head cannot be read");
        let message = stored::Head::decode(unseal(key, value)?).map_err(|_| malformed())?;
        Self::from_stored(message).ok_or_else(malformed)
    }

    /// Whether the article is withdrawn at the end of the observe axis.
    pub fn withdrawn(&self) -> bool {
        self.mark.is_some_and(|mark| mark.withdrawn)
    }

    /// Remembers that the change at `seq` binds URLs.
    pub fn add_url_change(&mut self, seq: Seq) {
        if let Some(changes) = &mut self.url_changes {
            changes.push(seq);
            if changes.len() > URL_CHANGES_KEPT {
                self.url_changes = None;
            }
        }
    }

    fn to_stored(&self) -> stored::Head {
        stored::Head {
            source: self.name.source.as_str().to_owned(),
            article: self.name.article.as_str().to_owned(),
            first_seq: self.first_seq.0,
            latest_seq: self.latest_seq.0,
            revision_count: self.revision_count.get(),
            newest: Some(stored::InForce {
                revision: self.newest.revision.get(),
                made_seq: self.newest.made_seq.0,
                since: self.newest.since.micros(),
                known_seq: self.newest.known_seq.0,
            }),
            mark: self.mark.map(|mark| stored::Mark {
                withdrawn: mark.withdrawn,
                seq: mark.seq.0,
                since: mark.since.micros(),
            }),
            last_mark_seq: self.last_mark.map_or(0, |seq| seq.0),
            first_observe_time: self.first_observe_time.micros(),
            latest_observe_time: self.latest_observe_time.micros(),
            recent: self.recent.iter().map(recent_to_stored).collect(),
            url_changes: self.url_changes.iter().flatten().map(|seq| seq.0).collect(),
            many_url_changes: self.url_changes.is_none(),
            url_count: self.url_count,
        }
    }

    fn from_stored(message: stored::Head) -> Option<Self> {
        let newest = message.newest?;
        let mark = match message.mark {
            None => None,
            Some(mark) => {
                Some(Mark { withdrawn: mark.withdrawn, seq: Seq(mark.seq), since: Timestamp::from_micros(mark.since)? })
            }
        };
        Some(Self {
            name: ArticleName {
                source: SourceId::parse(&message.source).ok()?,
                article: ArticleId::parse(&message.article).ok()?,
            },
            first_seq: Seq(message.first_seq),
            latest_seq: Seq(message.latest_seq),
            revision_count: RevisionNumber::new(message.revision_count)?,
            newest: InForce {
                revision: RevisionNumber::new(newest.revision)?,
                made_seq: Seq(newest.made_seq),
                since: Timestamp::from_micros(newest.since)?,
                known_seq: Seq(newest.known_seq),
            },
            mark,
            // The first change of an archive creates an article.
            last_mark: (message.last_mark_seq > 0).then_some(Seq(message.last_mark_seq)),
            first_observe_time: Timestamp::from_micros(message.first_observe_time)?,
            latest_observe_time: Timestamp::from_micros(message.latest_observe_time)?,
            recent: message.recent.iter().map(recent_from_stored).collect(),
            url_count: message.url_count,
            url_changes: (!message.many_url_changes).then(|| message.url_changes.into_iter().map(Seq).collect()),
        })
    }
}

fn recent_to_stored(recent: &RecentContent) -> stored::RecentContent {
    let digest_start = u64::from_be_bytes(recent.digest_start);
    stored::RecentContent { seq: recent.seq.0, digest_start, depth: recent.depth }
}

fn recent_from_stored(recent: &stored::RecentContent) -> RecentContent {
    RecentContent { seq: Seq(recent.seq), digest_start: recent.digest_start.to_be_bytes(), depth: recent.depth }
}
