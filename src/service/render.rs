//! Renders results of the archive as messages.

use bytes::Bytes;

use super::operation::of_item;
use super::status::Refusal;
use crate::archive::error::excerpt;
use crate::archive::read::article::{ArticleAt, RevisionAt, UrlAt};
use crate::archive::read::list::RevisionEntry;
use crate::archive::request::{Outcome, Receipt, Warning};
use crate::archive::{BatchError, BatchResult};
use crate::model::url_key::without_credentials;
use crate::model::{
    ArticleName, ArticleState, ArticleUrl, Change, Limits, OriginalRecord, RevisionNumber, RevisionRecord, SourceScope,
    Timestamp,
};
use crate::protobuf::MessageWriter;
use crate::wire::{
    absence_to_pb, article_state_to_pb, basic_content_to_pb, claim_to_pb, content_parts_to_pb, content_to_pb,
    expunged_to_pb, fetch_to_pb, pb, snapshot_to_pb, timestamp_to_pb, word_delta_to_pb,
};

/// The field number of `revision` in `Article`.
const ARTICLE_REVISION_FIELD: u32 = 5;
/// The field number of `revision` in `RevisionEntry`.
const ENTRY_REVISION_FIELD: u32 = 1;
/// The size of an encoded article or revision without its content that is allocated at first, in bytes.
const ENCODED_BYTES: usize = 768;

/// An article as a message, for a caller who may read the sources `within`.
pub(super) fn article(article: ArticleAt, within: &SourceScope) -> pb::Article {
    let mut revision = basic_revision(&article.revision);
    if let Some(content) = article.revision.content() {
        revision.content = Some(content_to_pb(&content));
    }
    pb::Article { revision: Some(revision), ..article_without_revision(article, within) }
}

/// An article as an encoded message, for a caller who may read the sources `within`.
pub(super) fn encoded_article(article: ArticleAt, within: &SourceScope) -> Bytes {
    let revision = article.revision.clone();
    encoded(&revision, |writer| {
        writer.message(ARTICLE_REVISION_FIELD, |writer| write_revision(&revision, writer));
        writer.fields(&article_without_revision(article, within));
    })
}

fn article_without_revision(article: ArticleAt, within: &SourceScope) -> pb::Article {
    let state = article.article_state();
    let state_time = article.state_since().map(timestamp_to_pb);
    let latest_fetch = article.latest_fetch().map(fetch_to_pb);
    // GONE was found and not declared, so it has no reason.
    let declared = article.state.filter(|_| state != ArticleState::Gone);
    pb::Article {
        name: article.name.to_string(),
        state: article_state_to_pb(state).into(),
        state_time,
        state_reason: declared.map(|state| state.reason).unwrap_or_default(),
        revision: None,
        valid_from: Some(timestamp_to_pb(article.valid_from)),
        valid_until: article.valid_until.map(timestamp_to_pb),
        etag: article.etag.unwrap_or_default(),
        urls: article.urls.into_iter().map(|at| url_at(at, within)).collect(),
        revision_count: article.revision_count,
        create_time: Some(timestamp_to_pb(article.create_time)),
        update_time: Some(timestamp_to_pb(article.latest.entry.archive_time)),
        seq: article.latest.seq.0,
        latest_fetch,
        labels: article.labels,
        absence: article.absence.map(|absence| absence_to_pb(absence.look, absence.run)),
    }
}

fn url_at(at: UrlAt, within: &SourceScope) -> pb::ArticleUrl {
    let moved_to = at.moved_to.filter(|article| within.has(&article.source));
    let moved_to = moved_to.map(|article| article.to_string()).unwrap_or_default();
    pb::ArticleUrl { moved_to, ..article_url(at.url, Some(at.period.since), at.period.until) }
}

/// A URL that leads to an article from `since` until `until`.
pub(super) fn article_url(url: ArticleUrl, since: Option<Timestamp>, until: Option<Timestamp>) -> pb::ArticleUrl {
    pb::ArticleUrl {
        url: url.original,
        key: url.key.as_str().to_owned(),
        observe_time: since.map(timestamp_to_pb),
        end_time: until.map(timestamp_to_pb),
        moved_to: String::new(),
    }
}

/// A revision with the attributes from the log record of the change that created it instead of its content.
pub(super) fn basic_revision(revision: &RevisionAt) -> pb::Revision {
    revision_of(revision.article.revision(revision.number), revision.number, &revision.created_by)
}

/// A revision as an encoded message.
pub(super) fn encoded_revision(revision: &RevisionAt) -> Bytes {
    encoded(revision, |writer| write_revision(revision, writer))
}

/// An entry of a list of revisions as an encoded message.
pub(super) fn encoded_revision_entry(entry: &RevisionEntry) -> Bytes {
    encoded(&entry.revision, |writer| {
        writer.message(ENTRY_REVISION_FIELD, |writer| write_revision(&entry.revision, writer));
        writer.fields(&pb::RevisionEntry {
            revision: None,
            observation_count: entry.observation_count,
            first_seen_time: Some(timestamp_to_pb(entry.first_seen)),
            last_seen_time: Some(timestamp_to_pb(entry.last_seen)),
            is_late: entry.is_late,
        });
    })
}

/// What `write` writes: a message with `revision` in it.
fn encoded(revision: &RevisionAt, write: impl FnOnce(&mut MessageWriter<'_>)) -> Bytes {
    let parts = [&revision.encoded_content, &revision.original];
    let bytes: usize = parts.into_iter().flatten().map(Bytes::len).sum();
    let mut message = Vec::with_capacity(ENCODED_BYTES + bytes);
    write(&mut MessageWriter(&mut message));
    message.into()
}

/// Writes the fields of a `Revision`. Rare parts are built as generated messages.
pub(super) fn write_revision(revision: &RevisionAt, writer: &mut MessageWriter<'_>) {
    let ArticleName { source, article } = &revision.article;
    let (number, created_by) = (revision.number, &revision.created_by);
    let digits = number.to_string();
    writer.joined(1, &["sources/", source.as_str(), "/articles/", article.as_str(), "/revisions/", &digits]);
    writer.number(2, number.get().into());
    writer.number(3, created_by.seq.0);
    writer.timestamp(4, created_by.entry.observe_time);
    writer.timestamp(5, created_by.entry.archive_time);
    let fetch = created_by.entry.fetch.as_deref().map(fetch_to_pb);
    writer.generated(14, created_by.entry.expunged.as_deref().map(expunged_to_pb).as_ref());
    let Some(record) = revision.record() else { return writer.generated(12, fetch.as_ref()) };
    if revision.is_expunged() {
        return writer.number(10, record.rollback_of.map_or(0, |number| number.get().into()));
    }
    writer.bytes(6, &record.digest.0);
    match &revision.encoded_content {
        Some(content) => writer.bytes(7, content),
        None => writer.message(7, |writer| write_basic_content(record, writer)),
    }
    writer.number(8, record.word_count.into());
    writer.generated(9, record.word_delta.map(word_delta_to_pb).as_ref());
    writer.number(10, record.rollback_of.map_or(0, |number| number.get().into()));
    if let Some(kept) = &record.original {
        let data = revision.original.clone().unwrap_or_default();
        writer.generated(11, Some(&pb::Original { data, ..original(kept) }));
    }
    writer.generated(12, fetch.as_ref());
    writer.choices(13, &content_parts_to_pb(record.changed_parts));
}

/// Writes the part of a `Content` that the log record has.
fn write_basic_content(record: &RevisionRecord, writer: &mut MessageWriter<'_>) {
    writer.text(1, &record.headline);
    writer.text(4, &record.section);
    writer.text(5, &record.language);
    writer.text(6, &record.canonical_url);
    writer.generated(7, record.publish_time.as_ref().map(claim_to_pb).as_ref());
    writer.generated(8, record.modify_time.as_ref().map(claim_to_pb).as_ref());
}

fn revision_of(name: String, number: RevisionNumber, change: &Change) -> pb::Revision {
    let mut revision = pb::Revision {
        name,
        number: number.get(),
        seq: change.seq.0,
        observe_time: Some(timestamp_to_pb(change.entry.observe_time)),
        archive_time: Some(timestamp_to_pb(change.entry.archive_time)),
        fetch: change.entry.fetch.as_deref().map(fetch_to_pb),
        ..pb::Revision::default()
    };
    revision.expunged = change.entry.expunged.as_deref().map(expunged_to_pb);
    match change.entry.revision_with_content() {
        Some(record) => {
            describe(&mut revision, record);
            revision.content = Some(basic_content_to_pb(record));
        }
        None => {
            let rollback_of = change.entry.new_revision.as_deref().and_then(|record| record.rollback_of);
            revision.rollback_of = rollback_of.map_or(0, RevisionNumber::get);
        }
    }
    revision
}

fn describe(revision: &mut pb::Revision, record: &RevisionRecord) {
    revision.content_digest = record.digest.0.to_vec();
    revision.word_count = record.word_count;
    revision.word_delta = record.word_delta.map(word_delta_to_pb);
    revision.changed_parts = content_parts_to_pb(record.changed_parts);
    revision.rollback_of = record.rollback_of.map_or(0, RevisionNumber::get);
    revision.original = record.original.as_ref().map(original);
}

/// Describes a kept original, without its bytes.
pub(super) fn original(original: &OriginalRecord) -> pb::Original {
    pb::Original {
        media_type: original.media_type.clone(),
        data: Bytes::new(),
        sha256: original.sha256.to_vec(),
        size_bytes: original.size_bytes,
    }
}

pub(super) fn recorded_revision(written: &Receipt) -> pb::Revision {
    revision_of(written.article.revision(written.revision), written.revision, &written.created_by)
}

pub(super) fn outcome(outcome: Outcome) -> pb::ObservationOutcome {
    match outcome {
        Outcome::Created => pb::ObservationOutcome::Created,
        Outcome::Revised => pb::ObservationOutcome::Revised,
        Outcome::Unchanged => pb::ObservationOutcome::Unchanged,
    }
}

pub(super) fn recorded(written: &Receipt, mut warnings: Vec<pb::Warning>) -> pb::RecordObservationResponse {
    warnings.extend(written.warnings.iter().map(warning));
    pb::RecordObservationResponse {
        revision: Some(recorded_revision(written)),
        outcome: outcome(written.outcome).into(),
        replayed: written.replayed,
        warnings,
        snapshot: Some(snapshot_to_pb(&written.snapshot)),
        etag: written.etag.clone(),
        state: article_state_to_pb(written.state).into(),
    }
}

/// The response to a batch. `warnings` come from its parsing, item by item.
pub(super) fn batch_response(
    answer: BatchResult,
    warnings: Vec<Vec<pb::Warning>>,
) -> Result<pb::BatchRecordObservationsResponse, Refusal> {
    let written = answer.map_err(|BatchError { failed_item, error }| match failed_item {
        Some(index) => of_item(index, error.into()),
        None => Refusal::from(error),
    })?;
    // A repeated item has the snapshot of its original write, which may be much older than the others'.
    let snapshot = written.iter().map(|written| &written.snapshot).max_by_key(|snapshot| snapshot.next_seq);
    let snapshot = snapshot.map(snapshot_to_pb);
    let responses = written.iter().zip(warnings).map(|(written, warnings)| compact(recorded(written, warnings)));
    Ok(pb::BatchRecordObservationsResponse { responses: responses.collect(), snapshot })
}

/// The result of an observation that was imported by itself. `warnings` come from its parsing.
pub(super) fn import_result(answer: BatchResult, warnings: Vec<pb::Warning>) -> Result<pb::ImportResult, Refusal> {
    let written = answer.map_err(|BatchError { error, .. }| Refusal::from(error))?;
    let written = written.first().ok_or_else(Refusal::internal)?;
    let result = pb::import_result::Result::Recorded(compact(recorded(written, warnings)));
    Ok(pb::ImportResult { result: Some(result) })
}

/// Omits what the client sent itself: with 256 long headlines the response would exceed a client's limit.
fn compact(mut recorded: pb::RecordObservationResponse) -> pb::RecordObservationResponse {
    if let Some(revision) = recorded.revision.as_mut() {
        (revision.content, revision.fetch) = (None, None);
    }
    recorded
}

fn warning(warning: &Warning) -> pb::Warning {
    match warning {
        Warning::UrlBelongsToOther { url, article } => pb::Warning {
            reason: "URL_BELONGS_TO_OTHER_ARTICLE".to_owned(),
            message: format!(
                "{} was not recorded for this article, since it belongs to {}; if they are the same article, record the \
                 content under that name",
                excerpt(&without_credentials(url)),
                article.as_ref().map_or("another one".to_owned(), ToString::to_string),
            ),
        },
        Warning::UrlReused { url, article } => pb::Warning {
            reason: "URL_REUSED".to_owned(),
            message: format!(
                "{} now has a wholly different text, which was recorded as a revision of {article} because the address \
                 led there; if the publisher reused the address, move it with `dateline move-url` from the time of \
                 this observation, record the text again, and roll {article} back",
                excerpt(&without_credentials(url))
            ),
        },
        Warning::TooManyUrls { url } => pb::Warning {
            reason: "TOO_MANY_URLS".to_owned(),
            message: format!(
                "{} was not recorded for this article, which already has {} URLs, the maximum",
                excerpt(&without_credentials(url)),
                Limits::ARTICLE_URLS_MAX
            ),
        },
    }
}

/// Validates a page size; 0 means the default of 100, and larger sizes are lowered to the limit.
pub(super) fn page_size(asked: i32, limits: &Limits) -> Result<usize, crate::wire::FieldError> {
    match usize::try_from(asked) {
        Ok(0) => Ok(limits.page_size_max.min(100)),
        Ok(size) => Ok(size.min(limits.page_size_max)),
        Err(_) => Err(crate::wire::FieldError::invalid("page_size", "must not be negative")),
    }
}
