//! Storage of a change of the log.
//!
//! The payload is the log digest after the change (16 bytes), then the change as protobuf. That digest covers the
//! digest before the change, the change's position, and the protobuf bytes.

use prost::Message;

use super::key::log::LogKey;
use super::seal::{seal, unseal};
use super::{StoreError, stored};
use crate::model::{
    AbsenceLook, AbsenceReason, AbsenceRecord, AbsenceRun, ArticleId, ArticleKey, ArticleName, ArticleState,
    ArticleUrl, BoundUrl, Change, ChangeEntry, ClaimedTime, ContentDigest, ContentParts, Fetch, LabelChange,
    LatestState, LogDigest, LogKind, OriginalRecord, Precision, RepeatedMove, RequestDigest, RequestId, RevisionNumber,
    RevisionRecord, Seq, SourceId, Timestamp, UrlKey, WordDelta,
};

/// A change, encoded and ready to be stored.
pub struct EncodedChange {
    /// The change's key in the log.
    pub key: Vec<u8>,
    /// The sealed value to store under that key.
    pub value: Vec<u8>,
    /// The log digest after the change.
    pub log_digest: LogDigest,
}

/// Encodes the change at `seq`, given the log digest `before` it.
pub fn encode(seq: Seq, before: LogDigest, entry: &ChangeEntry) -> EncodedChange {
    let record = to_stored(seq, entry).encode_to_vec();
    let log_digest = before.after(seq, &record);
    let (key, value) = to_entry(seq, log_digest, &record);
    EncodedChange { key, value, log_digest }
}

/// The key and the sealed value of a change, given its protobuf bytes and the log digest after it.
pub(super) fn to_entry(seq: Seq, log_digest: LogDigest, record: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut payload = Vec::with_capacity(16 + record.len() + 4);
    payload.extend_from_slice(&log_digest.0);
    payload.extend_from_slice(record);
    let key = LogKey(seq).encode();
    let value = seal(&key, payload);
    (key, value)
}

/// Decodes the change stored under `key`, a key of the log.
pub fn decode(key: &[u8], value: &[u8]) -> Result<Change, StoreError> {
    let (change, _) = decode_with_record(key, value)?;
    Ok(change)
}

/// As [`decode`], and also returns the protobuf bytes that the log digest covers.
pub fn decode_with_record<'a>(key: &[u8], value: &'a [u8]) -> Result<(Change, &'a [u8]), StoreError> {
    let LogKey(seq) = LogKey::decode(key).ok_or_else(|| StoreError::damaged(key, "a key of the log is malformed"))?;
    let payload = unseal(key, value)?;
    let malformed = || StoreError::damaged(key, "a change cannot be read");
    let (log_digest, record) = payload.split_first_chunk::<16>().ok_or_else(malformed)?;
    Ok((change_of(seq, LogDigest(*log_digest), record)?, record))
}

/// Decodes the change at `seq` from its protobuf bytes, given the log digest after it.
pub(super) fn change_of(seq: Seq, log_digest: LogDigest, record: &[u8]) -> Result<Change, StoreError> {
    let malformed = || StoreError::damaged_at(seq, "a change cannot be read");
    let message = stored::Change::decode(record).map_err(|_| malformed())?;
    let entry = from_stored(seq, message).ok_or_else(malformed)?;
    Ok(Change { seq, log_digest, entry })
}

/// The record of the revision that a change created. If the change created none, the database is damaged.
pub fn created_revision(change: &Change) -> Result<&RevisionRecord, StoreError> {
    let missing = || StoreError::damaged_at(change.seq, "the change that created a revision has no record of it");
    change.entry.new_revision.as_deref().ok_or_else(missing)
}

fn to_stored(seq: Seq, entry: &ChangeEntry) -> stored::Change {
    let LabelChange { added, removed, after } = entry.labels.as_deref().cloned().unwrap_or_default();
    stored::Change {
        article: entry.article.0,
        kind: kind_to_stored(entry.kind) as i32,
        revision: entry.revision.map_or(0, RevisionNumber::get),
        observe_time: entry.observe_time.micros(),
        archive_time: entry.archive_time.micros(),
        batch_offset: u32::try_from(seq.0.saturating_sub(entry.batch_first.0)).unwrap_or(u32::MAX),
        previous_offset: entry.previous.map_or(0, |previous| seq.0.saturating_sub(previous.0)),
        request_id: entry.request.as_ref().map(|(id, _)| id.as_str().to_owned()).unwrap_or_default(),
        request_digest: entry.request.as_ref().map(|(_, digest)| digest.0.to_vec()).unwrap_or_default(),
        bound_urls: entry.bound_urls.iter().map(|url| bound_url(url, entry.new_revision.as_deref())).collect(),
        made: entry.new_revision.as_deref().map(revision_to_stored),
        name: Some(name_to_stored(&entry.name)),
        reason: entry.reason.clone(),
        newest_offset: seq.0.saturating_sub(entry.latest_state.created_seq.0),
        newest_since_offset: entry.latest_state.since.micros_since(entry.observe_time),
        superseded: !entry.latest_state.is_newest,
        fetch: entry.fetch.as_deref().map(fetch_to_stored),
        by_rollback: entry.by_rollback,
        labels_added: added,
        labels_removed: removed,
        labels: after,
        labels_offset: entry.latest_state.labels_seq.map(|labels_seq| seq.0.saturating_sub(labels_seq.0)),
        absence: entry.absence.as_deref().map(|absence| absence_to_stored(absence.look, absence.run)),
        state: state_to_stored(entry.latest_state.state),
        state_offset: entry.latest_state.state_seq.map(|state_seq| seq.0.saturating_sub(state_seq.0)),
        ended_urls: entry.ended_urls.iter().map(|url| bound_url(url, None)).collect(),
        repeated_url: entry.repeated_move.as_deref().map(|repeated| address(&repeated.url)),
        repeated_end: entry.repeated_move.as_deref().is_some_and(|repeated| repeated.ended),
    }
}

pub(super) fn name_to_stored(name: &ArticleName) -> stored::ArticleRecord {
    stored::ArticleRecord { source: name.source.as_str().to_owned(), article: name.article.as_str().to_owned() }
}

pub(super) fn name_from_stored(name: &stored::ArticleRecord) -> Option<ArticleName> {
    Some(ArticleName { source: SourceId::parse(&name.source).ok()?, article: ArticleId::parse(&name.article).ok()? })
}

/// The URL as stored. If it is the new revision's canonical URL, its text is left out: the revision has it already.
fn bound_url(bound: &BoundUrl, new_revision: Option<&RevisionRecord>) -> stored::BoundUrl {
    let mut stored =
        stored::BoundUrl { until: bound.until.map(Timestamp::micros), partial: !bound.is_whole, ..address(&bound.url) };
    if new_revision.is_some_and(|revision| revision.canonical_url == bound.url.original) {
        stored.original.clear();
    }
    stored
}

fn address(url: &ArticleUrl) -> stored::BoundUrl {
    stored::BoundUrl { key: url.key.as_str().to_owned(), original: url.original.clone(), until: None, partial: false }
}

/// The URL, of which a part is left out in storage if it is `canonical`.
fn url_from_stored(stored: stored::BoundUrl, canonical: &str) -> Option<BoundUrl> {
    let original = if stored.original.is_empty() { canonical.to_owned() } else { stored.original };
    let until = match stored.until {
        None => None,
        Some(until) => Some(Timestamp::from_micros(until)?),
    };
    let url = ArticleUrl { original, key: UrlKey::from_stored(&stored.key) };
    Some(BoundUrl { url, until, is_whole: !stored.partial })
}

fn from_stored(seq: Seq, message: stored::Change) -> Option<ChangeEntry> {
    let new_revision = message.made.map(revision_from_stored).map(|revision| revision.map(Box::new));
    let new_revision = transposed(new_revision)?;
    let canonical = new_revision.as_ref().map(|revision| revision.canonical_url.clone()).unwrap_or_default();
    let urls = |urls: Vec<stored::BoundUrl>| {
        urls.into_iter().map(|url| url_from_stored(url, &canonical)).collect::<Option<Vec<_>>>()
    };
    let repeated_move = message.repeated_url.map(|url| {
        let url = url_from_stored(url, "")?.url;
        Some(Box::new(RepeatedMove { url, ended: message.repeated_end }))
    });
    let name = name_from_stored(&message.name?)?;
    let observe_time = Timestamp::from_micros(message.observe_time)?;
    let latest_state = LatestState {
        created_seq: Seq(seq.0.checked_sub(message.newest_offset)?),
        since: Timestamp::from_micros(observe_time.micros().checked_add(message.newest_since_offset)?)?,
        state: state_from_stored(message.state)?,
        state_seq: back_from(seq, message.state_offset)?,
        is_newest: !message.superseded,
        labels_seq: back_from(seq, message.labels_offset)?,
    };
    let labels = LabelChange { added: message.labels_added, removed: message.labels_removed, after: message.labels };
    let is_labelled = !(labels.added.is_empty() && labels.removed.is_empty());
    if !is_labelled && !labels.after.is_empty() {
        return None;
    }
    Some(ChangeEntry {
        article: ArticleKey(message.article),
        name,
        kind: kind_from_stored(stored::LogKind::try_from(message.kind).ok()?)?,
        revision: RevisionNumber::new(message.revision),
        observe_time,
        archive_time: Timestamp::from_micros(message.archive_time)?,
        batch_first: Seq(seq.0.checked_sub(u64::from(message.batch_offset))?),
        previous: match message.previous_offset {
            0 => None,
            offset => Some(Seq(seq.0.checked_sub(offset)?)),
        },
        request: request_from_stored(&message.request_id, &message.request_digest)?,
        bound_urls: urls(message.bound_urls)?,
        ended_urls: urls(message.ended_urls)?,
        repeated_move: transposed(repeated_move)?,
        new_revision,
        labels: is_labelled.then(|| Box::new(labels)),
        absence: transposed(message.absence.map(|absence| absence_from_stored(&absence)))?.map(Box::new),
        reason: message.reason,
        fetch: message.fetch.map(|fetch| Box::new(fetch_from_stored(fetch))),
        by_rollback: message.by_rollback,
        latest_state,
    })
}

/// The position `offset` before `seq`, if there is an offset. `None` if that is before the log.
#[expect(clippy::option_option, reason = "the outer one is validity, the inner one presence")]
fn back_from(seq: Seq, offset: Option<u64>) -> Option<Option<Seq>> {
    match offset {
        None => Some(None),
        Some(offset) => seq.0.checked_sub(offset).map(|seq| Some(Seq(seq))),
    }
}

/// `None` for a value that is present but malformed; `Some(None)` for an absent one.
#[expect(clippy::option_option, reason = "the outer one is validity, the inner one presence")]
fn transposed<T>(value: Option<Option<T>>) -> Option<Option<T>> {
    match value {
        None => Some(None),
        Some(None) => None,
        Some(value) => Some(value),
    }
}

#[expect(clippy::option_option, reason = "the outer one is validity, the inner one presence")]
fn request_from_stored(id: &str, digest: &[u8]) -> Option<Option<(RequestId, RequestDigest)>> {
    if id.is_empty() {
        return Some(None);
    }
    Some(Some((RequestId::parse(id).ok()?, RequestDigest(digest.try_into().ok()?))))
}

fn kind_to_stored(kind: LogKind) -> stored::LogKind {
    match kind {
        LogKind::Created => stored::LogKind::Created,
        LogKind::Revised => stored::LogKind::Revised,
        LogKind::Sighted => stored::LogKind::Sighted,
        LogKind::Repeated => stored::LogKind::Repeated,
        LogKind::RolledBack => stored::LogKind::RolledBack,
        LogKind::Withdrawn => stored::LogKind::Withdrawn,
        LogKind::Reinstated => stored::LogKind::Reinstated,
        LogKind::StateRepeated => stored::LogKind::StateRepeated,
        LogKind::Aliased => stored::LogKind::Aliased,
        LogKind::Labelled => stored::LogKind::Labelled,
        LogKind::LabelsRepeated => stored::LogKind::LabelsRepeated,
        LogKind::Absent => stored::LogKind::Absent,
        LogKind::AbsenceRepeated => stored::LogKind::AbsenceRepeated,
        LogKind::UrlEnded => stored::LogKind::UrlEnded,
        LogKind::UrlBound => stored::LogKind::UrlBound,
        LogKind::UrlsRepeated => stored::LogKind::UrlsRepeated,
    }
}

fn kind_from_stored(kind: stored::LogKind) -> Option<LogKind> {
    Some(match kind {
        stored::LogKind::Unspecified => return None,
        stored::LogKind::Created => LogKind::Created,
        stored::LogKind::Revised => LogKind::Revised,
        stored::LogKind::Sighted => LogKind::Sighted,
        stored::LogKind::Repeated => LogKind::Repeated,
        stored::LogKind::RolledBack => LogKind::RolledBack,
        stored::LogKind::Withdrawn => LogKind::Withdrawn,
        stored::LogKind::Reinstated => LogKind::Reinstated,
        stored::LogKind::StateRepeated => LogKind::StateRepeated,
        stored::LogKind::Aliased => LogKind::Aliased,
        stored::LogKind::Labelled => LogKind::Labelled,
        stored::LogKind::LabelsRepeated => LogKind::LabelsRepeated,
        stored::LogKind::Absent => LogKind::Absent,
        stored::LogKind::AbsenceRepeated => LogKind::AbsenceRepeated,
        stored::LogKind::UrlEnded => LogKind::UrlEnded,
        stored::LogKind::UrlBound => LogKind::UrlBound,
        stored::LogKind::UrlsRepeated => LogKind::UrlsRepeated,
    })
}

pub(super) fn state_to_stored(state: ArticleState) -> u32 {
    match state {
        ArticleState::Live => 0,
        ArticleState::Withdrawn => 1,
        ArticleState::Gone => 2,
    }
}

pub(super) fn state_from_stored(state: u32) -> Option<ArticleState> {
    match state {
        0 => Some(ArticleState::Live),
        1 => Some(ArticleState::Withdrawn),
        2 => Some(ArticleState::Gone),
        _ => None,
    }
}

/// The number by which a way to be missing is stored.
pub(super) fn absence_reason_to_stored(reason: AbsenceReason) -> u8 {
    match reason {
        AbsenceReason::NotFound => 1,
        AbsenceReason::Gone => 2,
        AbsenceReason::Redirected => 3,
    }
}

pub(super) fn absence_reason_from_stored(reason: u32) -> Option<AbsenceReason> {
    match reason {
        1 => Some(AbsenceReason::NotFound),
        2 => Some(AbsenceReason::Gone),
        3 => Some(AbsenceReason::Redirected),
        _ => None,
    }
}

pub(super) fn absence_to_stored(look: AbsenceLook, run: Option<AbsenceRun>) -> stored::Absence {
    stored::Absence {
        reason: absence_reason_to_stored(look.reason).into(),
        http_status: look.http_status,
        gone_after: look.gone_after,
        run: run.map(|run| stored::AbsenceRun {
            last_seen: run.last_seen.micros(),
            first_missed: run.first_missed.micros(),
            last_missed: run.last_missed.micros(),
            count: run.count,
            gone: run.is_gone,
        }),
    }
}

pub(super) fn absence_from_stored(absence: &stored::Absence) -> Option<AbsenceRecord> {
    let look = AbsenceLook {
        reason: absence_reason_from_stored(absence.reason)?,
        http_status: absence.http_status,
        gone_after: absence.gone_after,
    };
    let run = |run: &stored::AbsenceRun| {
        Some(AbsenceRun {
            last_seen: Timestamp::from_micros(run.last_seen)?,
            first_missed: Timestamp::from_micros(run.first_missed)?,
            last_missed: Timestamp::from_micros(run.last_missed)?,
            count: run.count,
            is_gone: run.gone,
        })
    };
    Some(AbsenceRecord { look, run: transposed(absence.run.as_ref().map(run))? })
}

fn fetch_to_stored(fetch: &Fetch) -> stored::Fetch {
    let Fetch { url, etag, last_modified } = fetch.clone();
    stored::Fetch { url, etag, last_modified }
}

fn fetch_from_stored(fetch: stored::Fetch) -> Fetch {
    let stored::Fetch { url, etag, last_modified } = fetch;
    Fetch { url, etag, last_modified }
}

fn revision_to_stored(record: &RevisionRecord) -> stored::RevisionRecord {
    stored::RevisionRecord {
        digest: record.digest.0.to_vec(),
        word_count: record.word_count,
        word_delta: record
            .word_delta
            .map(|delta| stored::WordDelta { inserted: delta.inserted, deleted: delta.deleted }),
        changed_parts: record.changed_parts.bits(),
        rollback_of: record.rollback_of.map_or(0, RevisionNumber::get),
        headline: record.headline.clone(),
        section: record.section.clone(),
        language: record.language.clone(),
        canonical_url: record.canonical_url.clone(),
        publish_time: record.publish_time.as_ref().map(claim_to_stored),
        modify_time: record.modify_time.as_ref().map(claim_to_stored),
        original: record.original.as_ref().map(|original| stored::Original {
            media_type: original.media_type.clone(),
            size_bytes: original.size_bytes,
            sha256: original.sha256.to_vec(),
        }),
    }
}

fn revision_from_stored(record: stored::RevisionRecord) -> Option<RevisionRecord> {
    Some(RevisionRecord {
        digest: ContentDigest(record.digest.as_slice().try_into().ok()?),
        word_count: record.word_count,
        word_delta: record.word_delta.map(|delta| WordDelta { inserted: delta.inserted, deleted: delta.deleted }),
        changed_parts: ContentParts::from_bits(record.changed_parts)?,
        rollback_of: RevisionNumber::new(record.rollback_of),
        headline: record.headline,
        section: record.section,
        language: record.language,
        canonical_url: record.canonical_url,
        publish_time: transposed(record.publish_time.map(claim_from_stored))?,
        modify_time: transposed(record.modify_time.map(claim_from_stored))?,
        original: transposed(record.original.map(original_from_stored))?,
    })
}

fn original_from_stored(original: stored::Original) -> Option<OriginalRecord> {
    Some(OriginalRecord {
        media_type: original.media_type,
        size_bytes: original.size_bytes,
        sha256: original.sha256.as_slice().try_into().ok()?,
    })
}

pub(super) fn claim_to_stored(claim: &ClaimedTime) -> stored::ClaimedTime {
    stored::ClaimedTime {
        time: Some(timestamp_to_stored(claim.time)),
        precision: claim.precision.number().into(),
        words: claim.words.clone(),
        found_in: claim.found_in.clone(),
        relative: claim.relative,
    }
}

pub(super) fn claim_from_stored(claim: stored::ClaimedTime) -> Option<ClaimedTime> {
    Some(ClaimedTime {
        time: timestamp_from_stored(&claim.time?)?,
        precision: Precision::from_number(claim.precision)?,
        words: claim.words,
        found_in: claim.found_in,
        relative: claim.relative,
    })
}

fn timestamp_to_stored(time: Timestamp) -> prost_types::Timestamp {
    let (seconds, nanos) = time.seconds_and_nanos();
    prost_types::Timestamp { seconds, nanos }
}

fn timestamp_from_stored(time: &prost_types::Timestamp) -> Option<Timestamp> {
    Timestamp::from_seconds_and_nanos(time.seconds, time.nanos)
}
