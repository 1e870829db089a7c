//! Article heads: an article's newest state, stored in one record so that common reads and writes need one lookup.
//!
//! A head is projected from the log. It names the change that wrote it: a reader that may not see that change uses the
//! indexes instead.

use prost::Message;

use super::key::article::ArticleIndexKey;
use super::record::{absence_from_stored, absence_to_stored};
use super::seal::{seal, unseal};
use super::{StoreError, stored};
use crate::model::{
    Absence, ArticleId, ArticleKey, ArticleName, ArticleState, RevisionNumber, Seq, SourceId, Timestamp,
};

/// How many of the latest contents a head lists.
pub const RECENT_CONTENTS: usize = 8;

/// How many changes of URLs a head lists.
pub const URL_CHANGES_KEPT: usize = 8;

/// The newest state of an article.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArticleHead {
    /// The article's name, with its source.
    pub name: ArticleName,
    /// Its first change, which created the article.
    pub first_seq: Seq,
    /// Its latest change, which wrote this head.
    pub latest_seq: Seq,
    /// The number of revisions, which is also the highest revision number.
    pub revision_count: RevisionNumber,
    /// The revision in force at the end of the observe axis.
    pub newest: InForce,
    /// The state change in force at the end of the observe axis.
    pub state: Option<StateChange>,
    /// The change that last altered the newest state, or was a withdrawal or reinstatement, in force or not; `None` if
    /// there is none.
    pub state_seq: Option<Seq>,
    /// The latest look on the observe axis if it is an absence, with its run.
    pub absence: Option<Absence>,
    /// The observe time of the latest absence; `None` if there is none.
    pub latest_absence_time: Option<Timestamp>,
    /// The observe time of the earliest observation.
    pub first_observe_time: Timestamp,
    /// The observe time of the latest observation.
    pub latest_observe_time: Timestamp,
    /// The latest contents, at most [`RECENT_CONTENTS`], latest last.
    pub recent: Vec<RecentContent>,
    /// The changes that bind URLs to the article or end them, in order; `None` if there are more than
    /// [`URL_CHANGES_KEPT`], in which case the table of URL changes lists them.
    pub url_changes: Option<Vec<Seq>>,
    /// The number of periods over which a URL leads to the article. Most URLs have one; one that was moved away and
    /// back has two.
    pub url_count: u32,
    /// The article's labels, sorted and unique.
    pub labels: Vec<String>,
    /// The change that last altered the labels; `None` if the article never had any.
    pub labels_seq: Option<Seq>,
}

/// A revision that is in force from an instant on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InForce {
    /// The number of the revision.
    pub revision: RevisionNumber,
    /// The change that created it.
    pub created_seq: Seq,
    /// The instant on the observe axis from which it is in force.
    pub since: Timestamp,
    /// The change that put it in force there.
    pub known_seq: Seq,
}

/// A state change that is in force from an instant on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateChange {
    /// Whether the article is withdrawn (`true`) or reinstated (`false`).
    pub withdrawn: bool,
    /// The change that recorded it.
    pub seq: Seq,
    /// The instant on the observe axis from which it is in force.
    pub since: Timestamp,
}

/// A content that a new one may be stored as a delta of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecentContent {
    /// The change that it is stored with.
    pub seq: Seq,
    /// The first eight bytes of its digest.
    pub digest_start: [u8; 8],
    /// How many contents must be read before it.
    pub depth: u32,
}

impl ArticleHead {
    /// The article's head key and the sealed value to store under it.
    pub fn encode(&self, article: ArticleKey) -> (Vec<u8>, Vec<u8>) {
        let key = ArticleIndexKey::Head(article).encode();
        let value = seal(&key, self.to_stored().encode_to_vec());
        (key, value)
    }

    /// Decodes the head stored under `key`.
    pub fn decode(key: &[u8], value: &[u8]) -> Result<Self, StoreError> {
        let malformed = || StoreError::damaged(key, "an article's head cannot be read");
        let message = stored::Head::decode(unseal(key, value)?).map_err(|_| malformed())?;
        Self::from_stored(message).ok_or_else(malformed)
    }

    /// The article's state at the end of the observe axis.
    pub fn article_state(&self) -> ArticleState {
        article_state(self.state, self.absence.as_ref())
    }

    /// The latest change of the article's state or labels, in force or not. With the newest revision, it tells the
    /// article's newest state from every earlier one.
    pub fn last_edit(&self) -> Option<Seq> {
        self.state_seq.max(self.labels_seq)
    }

    /// The latest look at or before `at`, if it is an absence, as known with the change that wrote this head. The outer
    /// `None` says that the head does not know, because there are later looks.
    pub fn absence_at(&self, at: Timestamp) -> Option<Option<Absence>> {
        match self.latest_absence_time {
            None => Some(None),
            Some(latest) if at >= latest.max(self.latest_observe_time) => Some(self.absence),
            Some(_) => None,
        }
    }

    /// Adds a change that binds URLs or ends them.
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
                created_seq: self.newest.created_seq.0,
                since: self.newest.since.micros(),
                known_seq: self.newest.known_seq.0,
            }),
            state: self.state.map(|state| stored::StateChange {
                withdrawn: state.withdrawn,
                seq: state.seq.0,
                since: state.since.micros(),
            }),
            last_state_seq: self.state_seq.map_or(0, |seq| seq.0),
            first_observe_time: self.first_observe_time.micros(),
            latest_observe_time: self.latest_observe_time.micros(),
            recent: self.recent.iter().map(recent_to_stored).collect(),
            url_changes: self.url_changes.iter().flatten().map(|seq| seq.0).collect(),
            many_url_changes: self.url_changes.is_none(),
            url_count: self.url_count,
            labels: self.labels.clone(),
            labels_seq: self.labels_seq.map(|seq| seq.0),
            absence: self.absence.map(|absence| absence_to_stored(absence.look, Some(absence.run))),
            latest_absence_time: self.latest_absence_time.map(Timestamp::micros),
        }
    }

    fn from_stored(message: stored::Head) -> Option<Self> {
        let newest = message.newest?;
        let state = match message.state {
            None => None,
            Some(state) => Some(StateChange {
                withdrawn: state.withdrawn,
                seq: Seq(state.seq),
                since: Timestamp::from_micros(state.since)?,
            }),
        };
        let absence = match message.absence {
            None => None,
            Some(absence) => {
                let record = absence_from_stored(&absence)?;
                Some(Absence { look: record.look, run: record.run? })
            }
        };
        let latest_absence_time = match message.latest_absence_time {
            None => None,
            Some(micros) => Some(Timestamp::from_micros(micros)?),
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
                created_seq: Seq(newest.created_seq),
                since: Timestamp::from_micros(newest.since)?,
                known_seq: Seq(newest.known_seq),
            },
            state,
            // Position 0 never alters a state: the first change of an archive creates an article.
            state_seq: (message.last_state_seq > 0).then_some(Seq(message.last_state_seq)),
            absence,
            latest_absence_time,
            first_observe_time: Timestamp::from_micros(message.first_observe_time)?,
            latest_observe_time: Timestamp::from_micros(message.latest_observe_time)?,
            recent: message.recent.iter().map(recent_from_stored).collect(),
            url_count: message.url_count,
            labels: message.labels,
            labels_seq: message.labels_seq.map(Seq),
            url_changes: (!message.many_url_changes).then(|| message.url_changes.into_iter().map(Seq).collect()),
        })
    }
}

/// The state that follows from the state change in force, and from the latest look if it is an absence.
pub fn article_state(state: Option<StateChange>, absence: Option<&Absence>) -> ArticleState {
    if state.is_some_and(|state| state.withdrawn) {
        ArticleState::Withdrawn
    } else if absence.is_some_and(|absence| absence.run.is_gone) {
        ArticleState::Gone
    } else {
        ArticleState::Live
    }
}

fn recent_to_stored(recent: &RecentContent) -> stored::RecentContent {
    let digest_start = u64::from_be_bytes(recent.digest_start);
    stored::RecentContent { seq: recent.seq.0, digest_start, depth: recent.depth }
}

fn recent_from_stored(recent: &stored::RecentContent) -> RecentContent {
    RecentContent { seq: Seq(recent.seq), digest_start: recent.digest_start.to_be_bytes(), depth: recent.depth }
}
