//! Converts between the protobuf messages of a log file and the types that its reader and writer use.

use std::sync::Arc;

use prost::Message;

use super::{LogEnd, LogHeader};
use crate::model::{LogDigest, Seq, Snapshot, SubscriptionId, Timestamp};
use crate::store::content::{StoredContent, StoredOriginal};
use crate::store::full_change::FullChange;
use crate::store::subscription::{self, SubscriptionRecord};
use crate::store::{StoreError, register, stored};

/// A segment, with its records still compressed.
pub(super) struct PackedSegment {
    pub(super) first_seq: Seq,
    pub(super) count: u32,
    /// The log digest after the last change.
    pub(super) log_digest: LogDigest,
    /// The size of the records before compression, in bytes.
    pub(super) unpacked_bytes: u64,
    pub(super) records: Vec<u8>,
}

/// The changes of a segment under construction.
#[derive(Default)]
pub(super) struct Records(stored::LogRecords);

impl Records {
    /// Adds a change and returns its encoded size in bytes.
    pub(super) fn push(&mut self, change: FullChange) -> usize {
        let content = change.content.as_ref().map(StoredContent::to_message);
        let original = change.original.map(|original| original.0);
        let record = stored::LogRecord { change: change.record, content, original };
        let bytes = record.encoded_len();
        self.0.records.push(record);
        bytes
    }

    pub(super) fn count(&self) -> u32 {
        u32::try_from(self.0.records.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn encode(self) -> Vec<u8> {
        self.0.encode_to_vec()
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        stored::LogRecords::decode(bytes).ok().map(Self)
    }

    /// Decodes the changes. `seq` is the position of the first one, and `before` is the log digest before it.
    pub(super) fn into_changes(
        self,
        mut seq: Seq,
        mut before: LogDigest,
    ) -> impl Iterator<Item = Result<FullChange, StoreError>> {
        self.0.records.into_iter().map(move |record| {
            let change = change(seq, before, record)?;
            (seq, before) = (seq.next(), change.change.log_digest);
            Ok(change)
        })
    }
}

fn change(seq: Seq, before: LogDigest, record: stored::LogRecord) -> Result<FullChange, StoreError> {
    let mut change = FullChange::from_record(seq, before, record.change)?;
    let new_revision = change.change.entry.revision_with_content();
    let has_content = new_revision.is_some();
    let has_original = new_revision.is_some_and(|revision| revision.original.is_some());
    if has_content != record.content.is_some() || has_original != record.original.is_some() {
        return Err(StoreError::damaged_at(
            seq,
            "the content or original of a change is missing, or does not belong to it",
        ));
    }
    change.content = record.content.map(|content| StoredContent::from_message(seq, content));
    change.original = record.original.map(StoredOriginal);
    Ok(change)
}

pub(super) fn encode_header(header: &LogHeader) -> Vec<u8> {
    let message = stored::LogHeader {
        format_version: header.format_version,
        archive_id: header.archive_id.to_vec(),
        first_seq: header.first_seq.0,
        first_log_digest: header.first_log_digest.0.to_vec(),
        next_seq: header.end.next_seq.0,
        log_digest: header.end.log_digest.0.to_vec(),
        archive_time: header.end.archive_time.map(Timestamp::micros),
        create_time: header.create_time.micros(),
        writer: header.writer.clone(),
        commits: header.commits,
        register: register::to_stored(&header.register),
    };
    message.encode_to_vec()
}

pub(super) fn decode_header(payload: &[u8]) -> Option<LogHeader> {
    let message = stored::LogHeader::decode(payload).ok()?;
    Some(LogHeader {
        format_version: message.format_version,
        archive_id: message.archive_id.try_into().ok()?,
        first_seq: Seq(message.first_seq),
        first_log_digest: log_digest(&message.first_log_digest)?,
        end: Snapshot {
            next_seq: Seq(message.next_seq),
            archive_time: optional_time(message.archive_time)?,
            log_digest: log_digest(&message.log_digest)?,
        },
        create_time: Timestamp::from_micros(message.create_time)?,
        writer: message.writer,
        commits: message.commits,
        register: register::from_stored(message.register)?,
    })
}

pub(super) fn encode_segment(segment: PackedSegment) -> Vec<u8> {
    let message = stored::LogSegment {
        first_seq: segment.first_seq.0,
        count: segment.count,
        log_digest: segment.log_digest.0.to_vec(),
        length: segment.unpacked_bytes,
        records: segment.records,
    };
    message.encode_to_vec()
}

pub(super) fn decode_segment(payload: &[u8]) -> Option<PackedSegment> {
    let message = stored::LogSegment::decode(payload).ok()?;
    Some(PackedSegment {
        first_seq: Seq(message.first_seq),
        count: message.count,
        log_digest: log_digest(&message.log_digest)?,
        unpacked_bytes: message.length,
        records: message.records,
    })
}

/// Encodes the end frame: the end, the position and log digest that the header states too, and the number of segments.
pub(super) fn encode_end(end: &LogEnd, next_seq: Seq, log_digest: LogDigest, segments: u64) -> Vec<u8> {
    let subscriptions = end.subscriptions.iter().map(|(id, record)| stored::LogSubscription {
        id: id.as_str().to_owned(),
        subscription: Some(subscription::to_stored(record)),
        parked: record.parked.iter().map(|(seq, parked)| subscription::parked_to_stored(*seq, parked)).collect(),
    });
    let message = stored::LogEnd {
        next_seq: next_seq.0,
        log_digest: log_digest.0.to_vec(),
        segments,
        closed_time: end.closed_time.map(Timestamp::micros),
        subscriptions: subscriptions.collect(),
    };
    message.encode_to_vec()
}

/// The inverse of [`encode_end`].
pub(super) fn decode_end(payload: &[u8]) -> Option<(LogEnd, Seq, LogDigest, u64)> {
    let message = stored::LogEnd::decode(payload).ok()?;
    let subscriptions = message.subscriptions.into_iter().map(|entry| {
        let id = SubscriptionId::parse(&entry.id).ok()?;
        let parked = entry.parked.into_iter().map(subscription::parked_from_stored).collect::<Option<_>>()?;
        let record = subscription::from_stored(entry.subscription?)?;
        Some((id, SubscriptionRecord { parked: Arc::new(parked), ..record }))
    });
    let end = LogEnd {
        closed_time: optional_time(message.closed_time)?,
        subscriptions: subscriptions.collect::<Option<_>>()?,
    };
    Some((end, Seq(message.next_seq), log_digest(&message.log_digest)?, message.segments))
}

fn log_digest(bytes: &[u8]) -> Option<LogDigest> {
    bytes.try_into().ok().map(LogDigest)
}

/// `None` for a time that is present but malformed; `Some(None)` for an absent one.
#[expect(clippy::option_option, reason = "the outer one is validity, the inner one presence")]
fn optional_time(micros: Option<i64>) -> Option<Option<Timestamp>> {
    match micros {
        None => Some(None),
        Some(micros) => Timestamp::from_micros(micros).map(Some),
    }
}
