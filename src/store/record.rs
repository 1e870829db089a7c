//! Storage of a change of the log.
//!
//! The payload is the log digest after the change (16 bytes), then the change as protobuf. That digest covers the
//! digest before the change, and the change's leaf.

use prost::Message;

use super::key::log::LogKey;
use super::seal::{seal, unseal};
use super::{StoreError, stored};
use crate::model::leaf::{Commitment, Commitments, leaf_hash};
use crate::model::{
    AbsenceLook, AbsenceReason, AbsenceRecord, AbsenceRun, ArticleId, ArticleKey, ArticleName, ArticleState,
    ArticleUrl, BoundUrl, Change, ChangeEntry, ClaimedTime, ContentDigest, ContentParts, ExpungeOrder, ExpungeReason,
    Expunged, ExpungedChange, Expunging, Fetch, LabelChange, LatestState, LogDigest, LogKind, OriginalRecord,
    Precision, PrincipalName, RepeatedMove, RequestDigest, RequestId, RevisionNumber, RevisionRecord, Salt, Seq,
    SourceId, Timestamp, TreeHash, UrlKey, WordDelta,
};

/// A change, encoded and ready to be stored.
pub struct EncodedChange {
    /// The change's key in the log.
    pub key: Vec<u8>,
    /// The sealed value to store under that key.
    pub value: Vec<u8>,
    /// The hash of the change's leaf.
    pub leaf: TreeHash,
    /// The log digest after the change.
    pub log_digest: LogDigest,
}

/// Encodes the change at `seq`, given the log digest `before` it.
pub fn encode(seq: Seq, before: LogDigest, entry: &ChangeEntry) -> EncodedChange {
    let message = to_stored(seq, entry);
    let leaf = leaf_hash(seq, entry, &message.attributes);
    let log_digest = before.after(leaf);
    let (key, value) = to_entry(seq, log_digest, &message.encode_to_vec());
    EncodedChange { key, value, leaf, log_digest }
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
    let (seq, log_digest, record) = parts(key, value)?;
    Ok(change_of(seq, record)?.change(log_digest))
}

/// As [`decode`], and also returns the protobuf bytes of the change, and the hash of its leaf.
pub fn decode_with_record<'a>(key: &[u8], value: &'a [u8]) -> Result<(Change, &'a [u8], TreeHash), StoreError> {
    let (seq, log_digest, record) = parts(key, value)?;
    let decoded = change_of(seq, record)?;
    let leaf = decoded.leaf();
    Ok((decoded.change(log_digest), record, leaf))
}

/// The position, the log digest and the protobuf bytes of the change stored under `key`.
fn parts<'a>(key: &[u8], value: &'a [u8]) -> Result<(Seq, LogDigest, &'a [u8]), StoreError> {
    let LogKey(seq) = LogKey::decode(key).ok_or_else(|| StoreError::damaged(key, "a key of the log is malformed"))?;
    let payload = unseal(key, value)?;
    let malformed = || StoreError::damaged(key, "a change cannot be read");
    let (log_digest, record) = payload.split_first_chunk::<16>().ok_or_else(malformed)?;
    Ok((seq, LogDigest(*log_digest), record))
}

/// A change, decoded from its protobuf bytes.
pub(super) struct DecodedChange {
    seq: Seq,
    entry: ChangeEntry,
    /// Its attributes as they are stored: the leaf commits to these bytes.
    attributes: Vec<u8>,
}

impl DecodedChange {
    /// The hash of its leaf.
    pub(super) fn leaf(&self) -> TreeHash {
        leaf_hash(self.seq, &self.entry, &self.attributes)
    }

    /// The change, with the log digest after it.
    pub(super) fn change(self, log_digest: LogDigest) -> Change {
        Change { seq: self.seq, log_digest, entry: self.entry }
    }
}

/// Decodes the change at `seq` from its protobuf bytes.
pub(super) fn change_of(seq: Seq, record: &[u8]) -> Result<DecodedChange, StoreError> {
    let malformed = || StoreError::damaged_at(seq, "a change cannot be read");
    let mut message = stored::Change::decode(record).map_err(|_| malformed())?;
    let attributes = std::mem::take(&mut message.attributes);
    let decoded = stored::Attributes::decode(attributes.as_slice()).map_err(|_| malformed())?;
    let entry = from_stored(seq, message, decoded).ok_or_else(malformed)?;
    Ok(DecodedChange { seq, entry, attributes })
}

/// The protobuf bytes of the stub of a change, from those of the change: see [`ChangeEntry::stub`].
pub fn to_stub(
    seq: Seq,
    record: &[u8],
    order: &ExpungeOrder,
    name: Option<&ArticleName>,
) -> Result<Vec<u8>, StoreError> {
    let DecodedChange { entry, attributes, .. } = change_of(seq, record)?;
    let commitments = Commitments::of(&entry, &attributes);
    Ok(to_stored(seq, &entry.stub(order, commitments, name)).encode_to_vec())
}

/// The attributes of the change at `seq`, as they are stored in its protobuf bytes.
pub fn attributes(seq: Seq, record: &[u8]) -> Result<Vec<u8>, StoreError> {
    Ok(change_of(seq, record)?.attributes)
}

/// The HTTP facts in encoded attributes, as [`attributes`] returns them; `None` if there are none.
pub fn fetch_of(attributes: &[u8]) -> Option<Fetch> {
    stored::Attributes::decode(attributes).ok()?.fetch.map(fetch_from_stored)
}

/// The media type of the original in encoded attributes; `None` if there is no original.
pub fn media_type_of(attributes: &[u8]) -> Option<String> {
    Some(stored::Attributes::decode(attributes).ok()?.made?.original?.media_type)
}

/// The record of the revision that a change created. If the change created none, the database is damaged.
pub fn created_revision(change: &Change) -> Result<&RevisionRecord, StoreError> {
    let missing = || StoreError::damaged_at(change.seq, "the change that created a revision has no record of it");
    change.entry.new_revision.as_deref().ok_or_else(missing)
}

fn to_stored(seq: Seq, entry: &ChangeEntry) -> stored::Change {
    let new_revision = entry.new_revision.as_deref();
    let original = new_revision.and_then(|revision| revision.original.as_ref());
    let with_text = entry.expunged.is_none();
    let back_to = |target: Seq| seq.0.saturating_sub(target.0);
    stored::Change {
        article: entry.article.0,
        kind: i32::from(entry.kind.number()),
        revision: entry.revision.map_or(0, RevisionNumber::get),
        observe_time: entry.observe_time.micros(),
        archive_time: entry.archive_time.micros(),
        batch_offset: u32::try_from(back_to(entry.batch_first)).unwrap_or(u32::MAX),
        previous_offset: entry.previous.map_or(0, back_to),
        newest_offset: back_to(entry.latest_state.created_seq),
        newest_since_offset: entry.latest_state.since.micros_since(entry.observe_time),
        superseded: !entry.latest_state.is_newest,
        by_rollback: entry.by_rollback,
        state: entry.latest_state.state.number().into(),
        state_offset: entry.latest_state.state_seq.map(back_to),
        labels_offset: entry.latest_state.labels_seq.map(back_to),
        absence: entry.absence.as_deref().map(|absence| absence_to_stored(absence.look, absence.run)),
        salt: if with_text { entry.salt.0.to_vec() } else { Vec::new() },
        name: Some(name_to_stored(&entry.name)),
        content_digest: entry.revision_with_content().map(|revision| revision.digest.0.to_vec()).unwrap_or_default(),
        original_sha256: original.map(|original| original.sha256.to_vec()).unwrap_or_default(),
        attributes: attributes_to_stored(entry).encode_to_vec(),
        expunged: entry.expunged.as_deref().map(expunged_to_stored),
    }
}

fn attributes_to_stored(entry: &ChangeEntry) -> stored::Attributes {
    let LabelChange { added, removed, after } = entry.labels.as_deref().cloned().unwrap_or_default();
    stored::Attributes {
        request_id: entry.request.as_ref().map(|(id, _)| id.as_str().to_owned()).unwrap_or_default(),
        request_digest: match &entry.request {
            Some((_, digest)) if entry.expunged.is_none() => digest.0.to_vec(),
            Some(_) | None => Vec::new(),
        },
        made: entry.new_revision.as_deref().map(revision_to_stored),
        bound_urls: entry.bound_urls.iter().map(|url| bound_url(url, entry.new_revision.as_deref())).collect(),
        ended_urls: entry.ended_urls.iter().map(|url| bound_url(url, None)).collect(),
        repeated_url: entry.repeated_move.as_deref().map(|repeated| address(&repeated.url)),
        repeated_end: entry.repeated_move.as_deref().is_some_and(|repeated| repeated.ended),
        reason: entry.reason.clone(),
        fetch: entry.fetch.as_deref().map(fetch_to_stored),
        labels_added: added,
        labels_removed: removed,
        labels: after,
        principal: entry.principal.as_ref().map(|name| name.as_str().to_owned()).unwrap_or_default(),
        expunging: entry.expunging.as_deref().map(expunging_to_stored),
    }
}

fn expunged_to_stored(expunged: &Expunged) -> stored::Expunged {
    let Commitments { name, attributes, content, original } = expunged.commitments;
    let optional = |commitment: Option<Commitment>| commitment.map(|commitment| commitment.0.to_vec());
    stored::Expunged {
        order: Some(order_to_stored(&expunged.order)),
        name_salt: expunged.name_salt.map(|salt| salt.0.to_vec()).unwrap_or_default(),
        name: name.0.to_vec(),
        attributes: attributes.0.to_vec(),
        content: optional(content).unwrap_or_default(),
        original: optional(original).unwrap_or_default(),
    }
}

fn expunging_to_stored(expunging: &Expunging) -> stored::Expunging {
    stored::Expunging {
        order: Some(order_to_stored(&expunging.order)),
        with_name: expunging.with_name,
        targets: expunging.targets.iter().map(change_to_stored).collect(),
    }
}

pub(super) fn change_to_stored(change: &ExpungedChange) -> stored::ExpungedChange {
    stored::ExpungedChange { seq: change.seq.0, leaf: change.leaf.0.to_vec() }
}

pub(super) fn change_from_stored(change: stored::ExpungedChange) -> Option<ExpungedChange> {
    Some(ExpungedChange { seq: Seq(change.seq), leaf: TreeHash(change.leaf.try_into().ok()?) })
}

pub(super) fn order_to_stored(order: &ExpungeOrder) -> stored::ExpungeOrder {
    stored::ExpungeOrder {
        reason: order.reason.number().into(),
        reference: order.reference.clone(),
        time: order.time.micros(),
    }
}

fn expunged_from_stored(expunged: stored::Expunged) -> Option<Expunged> {
    let commitment = |bytes: &[u8]| bytes.try_into().ok().map(Commitment);
    let optional = |bytes: &[u8]| transposed((!bytes.is_empty()).then(|| commitment(bytes)));
    let name_salt = expunged.name_salt;
    Some(Expunged {
        order: order_from_stored(expunged.order?)?,
        commitments: Commitments {
            name: commitment(&expunged.name)?,
            attributes: commitment(&expunged.attributes)?,
            content: optional(&expunged.content)?,
            original: optional(&expunged.original)?,
        },
        name_salt: transposed((!name_salt.is_empty()).then(|| name_salt.try_into().ok().map(Salt)))?,
    })
}

fn expunging_from_stored(expunging: stored::Expunging) -> Option<Expunging> {
    Some(Expunging {
        order: order_from_stored(expunging.order?)?,
        with_name: expunging.with_name,
        targets: expunging.targets.into_iter().map(change_from_stored).collect::<Option<_>>()?,
    })
}

pub(super) fn order_from_stored(order: stored::ExpungeOrder) -> Option<ExpungeOrder> {
    Some(ExpungeOrder {
        reason: ExpungeReason::from_number(order.reason)?,
        reference: order.reference,
        time: Timestamp::from_micros(order.time)?,
    })
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

fn from_stored(seq: Seq, message: stored::Change, attributes: stored::Attributes) -> Option<ChangeEntry> {
    let expunged = transposed(message.expunged.map(expunged_from_stored))?;
    let digests = Digests { content: message.content_digest, original: message.original_sha256 };
    let new_revision = match attributes.made {
        Some(made) if expunged.is_some() => {
            let rollback_of = RevisionNumber::new(made.rollback_of);
            digests
                .are_none()
                .then_some(Some(Box::new(RevisionRecord { rollback_of, ..RevisionRecord::destroyed() })))?
        }
        None => digests.are_none().then_some(None)?,
        Some(made) => Some(Box::new(revision_from_stored(made, &digests)?)),
    };
    let canonical = new_revision.as_ref().map(|revision| revision.canonical_url.clone()).unwrap_or_default();
    let urls = |urls: Vec<stored::BoundUrl>| {
        urls.into_iter().map(|url| url_from_stored(url, &canonical)).collect::<Option<Vec<_>>>()
    };
    let repeated_move = attributes.repeated_url.map(|url| {
        let url = url_from_stored(url, "")?.url;
        Some(Box::new(RepeatedMove { url, ended: attributes.repeated_end }))
    });
    let name = name_from_stored(&message.name?)?;
    let observe_time = Timestamp::from_micros(message.observe_time)?;
    let latest_state = LatestState {
        created_seq: Seq(seq.0.checked_sub(message.newest_offset)?),
        since: Timestamp::from_micros(observe_time.micros().checked_add(message.newest_since_offset)?)?,
        state: ArticleState::from_number(message.state)?,
        state_seq: back_from(seq, message.state_offset)?,
        is_newest: !message.superseded,
        labels_seq: back_from(seq, message.labels_offset)?,
    };
    let labels =
        LabelChange { added: attributes.labels_added, removed: attributes.labels_removed, after: attributes.labels };
    // Of a change whose name was destroyed, the labels are gone, and that it changed them is not.
    let is_labelled = !(labels.added.is_empty() && labels.removed.is_empty())
        || (expunged.is_some() && message.labels_offset == Some(0));
    if !is_labelled && !labels.after.is_empty() {
        return None;
    }
    Some(ChangeEntry {
        article: ArticleKey(message.article),
        name,
        kind: LogKind::from_number(u32::try_from(message.kind).ok()?)?,
        revision: RevisionNumber::new(message.revision),
        observe_time,
        archive_time: Timestamp::from_micros(message.archive_time)?,
        batch_first: Seq(seq.0.checked_sub(u64::from(message.batch_offset))?),
        previous: match message.previous_offset {
            0 => None,
            offset => Some(Seq(seq.0.checked_sub(offset)?)),
        },
        request: match &expunged {
            Some(_) if attributes.request_id.is_empty() => None,
            Some(_) => Some((RequestId::parse(&attributes.request_id).ok()?, RequestDigest::default())),
            None => request_from_stored(&attributes.request_id, &attributes.request_digest)?,
        },
        bound_urls: urls(attributes.bound_urls)?,
        ended_urls: urls(attributes.ended_urls)?,
        repeated_move: transposed(repeated_move)?,
        new_revision,
        labels: is_labelled.then(|| Box::new(labels)),
        absence: transposed(message.absence.map(|absence| absence_from_stored(&absence)))?.map(Box::new),
        reason: attributes.reason,
        fetch: attributes.fetch.map(|fetch| Box::new(fetch_from_stored(fetch))),
        by_rollback: message.by_rollback,
        latest_state,
        principal: transposed(
            (!attributes.principal.is_empty()).then(|| PrincipalName::parse(&attributes.principal).ok()),
        )?,
        expunging: transposed(attributes.expunging.map(expunging_from_stored))?.map(Box::new),
        salt: if expunged.is_some() { Salt::default() } else { Salt(message.salt.try_into().ok()?) },
        expunged: expunged.map(Box::new),
    })
}

/// The digests of a new revision, which are stored apart from its attributes.
struct Digests {
    content: Vec<u8>,
    original: Vec<u8>,
}

impl Digests {
    fn are_none(&self) -> bool {
        self.content.is_empty() && self.original.is_empty()
    }
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

pub(super) fn absence_to_stored(look: AbsenceLook, run: Option<AbsenceRun>) -> stored::Absence {
    stored::Absence {
        reason: look.reason.number().into(),
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
        reason: AbsenceReason::from_number(absence.reason)?,
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
        }),
    }
}

fn revision_from_stored(record: stored::RevisionRecord, digests: &Digests) -> Option<RevisionRecord> {
    Some(RevisionRecord {
        digest: ContentDigest(digests.content.as_slice().try_into().ok()?),
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
        original: match record.original {
            None => digests.original.is_empty().then_some(None)?,
            Some(original) => Some(original_from_stored(original, &digests.original)?),
        },
    })
}

fn original_from_stored(original: stored::Original, sha256: &[u8]) -> Option<OriginalRecord> {
    Some(OriginalRecord {
        media_type: original.media_type,
        size_bytes: original.size_bytes,
        sha256: sha256.try_into().ok()?,
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
