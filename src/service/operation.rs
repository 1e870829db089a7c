//! Parses requests to write into operations of the archive.

use bytes::Bytes;
use prost::Message;

use super::Context;
use super::status::Refusal;
use crate::archive::request::{Action, ArticleTarget, LabelEdit, Observation, Operation, Precondition, WriteMode};
use crate::model::{
    ArticleId, ArticleName, ArticleUrl, ClaimedTime, Content, Limits, Original, Precision, RequestDigest, RequestId,
    RevisionNumber, SourceId, Timestamp, slug,
};
use crate::wire::token::request_digest;
use crate::wire::{self, FieldError, FieldErrors, all, pb};

/// An operation, and the warnings for the client.
pub(super) struct ParsedObservation {
    pub(super) operation: Operation,
    pub(super) warnings: Vec<pb::Warning>,
}

pub(super) fn observation(
    context: &Context,
    mut request: pb::RecordObservationRequest,
) -> Result<ParsedObservation, FieldErrors> {
    let limits = &context.limits;
    let digest = (!request.request_id.is_empty())
        .then(|| request_digest(&pb::RecordObservationRequest { validate_only: false, ..request.clone() }));
    let source = SourceId::parse_name(&request.parent).map_err(|error| FieldError::invalid("parent", error));
    let article = article_id(&request.article_id);
    let content = wire::content(request.content.take(), limits);
    let urls = urls(&request.urls, limits);
    let observe_time = wire::observe_time(request.observe_time.as_ref(), context.archive.clock().now());
    let original = original(request.original, limits);
    let coalesce = wire::coalesce_within(request.coalesce_within.as_ref());
    let precondition = precondition(request.precondition);
    let id = request_id(&request.request_id, digest);
    let fetch = wire::fetch(request.fetch, limits);
    let labels = wire::labels("labels", request.labels, limits);
    let (
        source,
        article,
        content,
        urls,
        observe_time,
        original,
        coalesce_within_micros,
        precondition,
        id,
        fetch,
        labels,
    ) = all!(source, article, content, urls, observe_time, original, coalesce, precondition, id, fetch, labels)?;
    let urls = with_canonical(&content, urls, limits)?;
    let target = target(source, article, &content, &urls)?;
    let warnings = claim_warnings(&content, observe_time);
    let fetch = fetch.map(Box::new);
    let labels = LabelEdit::adding(labels, limits.labels_max);
    let observation =
        Observation { original, fetch, labels, coalesce_within_micros, ..Observation::new(content, urls) };
    let action = Action::Observe(Box::new(observation));
    let operation = Operation { target, observe_time, precondition, request: id, action };
    Ok(ParsedObservation { operation, warnings })
}

/// The fields that rollbacks, state changes and changes of labels share.
pub(super) struct ArticleRequest {
    pub(super) name: String,
    pub(super) observe_time: Option<prost_types::Timestamp>,
    pub(super) precondition: Option<pb::Precondition>,
    pub(super) request_id: String,
    /// The digest that distinguishes this request from another with the same id.
    pub(super) digest: RequestDigest,
}

/// Parses the shared fields of a rollback, a state change or a change of labels. The caller has parsed the `action`.
pub(super) fn article_operation<E: Into<FieldErrors>>(
    context: &Context,
    request: ArticleRequest,
    action: Result<Action, E>,
) -> Result<Operation, FieldErrors> {
    let name = ArticleName::parse(&request.name).map_err(|error| FieldError::invalid("name", error));
    let observe_time = wire::observe_time(request.observe_time.as_ref(), context.archive.clock().now());
    let precondition = precondition(request.precondition);
    let digest = (!request.request_id.is_empty()).then_some(request.digest);
    let id = request_id(&request.request_id, digest);
    let (name, action, observe_time, precondition, request) = all!(name, action, observe_time, precondition, id)?;
    Ok(Operation { target: ArticleTarget::Named(name), observe_time, precondition, request, action })
}

/// Validates the labels to add and to remove, and the reason.
pub(super) fn label(
    context: &Context,
    add: Vec<String>,
    remove: Vec<String>,
    why: String,
) -> Result<Action, FieldErrors> {
    let limits = &context.limits;
    let both = remove.iter().position(|label| add.contains(label));
    let distinct = match both {
        Some(index) => Err(FieldError::invalid(format!("remove_labels[{index}]"), "is also to be added")),
        None => Ok(()),
    };
    let add = wire::labels("add_labels", add, limits);
    let remove = wire::labels("remove_labels", remove, limits);
    let reason = reason(why);
    let (add, remove, (), reason) = all!(add, remove, distinct, reason)?;
    Ok(Action::Label { edit: LabelEdit { add, remove, count_max: limits.labels_max }, reason })
}

/// Validates the reason given with a state change or with labels.
pub(super) fn reason(reason: String) -> Result<String, FieldError> {
    if reason.len() <= Limits::REASON_BYTES_MAX {
        return Ok(reason);
    }
    let problem = format!("has {} bytes; at most {} are allowed", reason.len(), Limits::REASON_BYTES_MAX);
    Err(FieldError::invalid("reason", problem))
}

pub(super) fn revision_number(field: &str, number: u32) -> Result<RevisionNumber, FieldError> {
    let zero = || FieldError::invalid(field, "must be a revision number, from 1");
    RevisionNumber::new(number).ok_or_else(zero)
}

fn request_id(id: &str, digest: Option<RequestDigest>) -> Result<Option<(RequestId, RequestDigest)>, FieldError> {
    let Some(digest) = digest else { return Ok(None) };
    let id = RequestId::parse(id).map_err(|error| FieldError::invalid("request_id", error))?;
    Ok(Some((id, digest)))
}

fn precondition(message: Option<pb::Precondition>) -> Result<Option<Precondition>, FieldError> {
    use pb::precondition::Condition;
    let Some(message) = message else { return Ok(None) };
    match message.condition {
        None => Ok(None),
        Some(Condition::MustNotExist(true)) => Ok(Some(Precondition::MustNotExist)),
        Some(Condition::MustNotExist(false)) => {
            Err(FieldError::invalid("precondition.must_not_exist", "must be true if set; omit it otherwise"))
        }
        Some(Condition::Etag(etag)) => Ok(Some(Precondition::Etag(etag))),
        Some(Condition::RevisionNumber(number)) => {
            Ok(Some(Precondition::Revision(revision_number("precondition.revision_number", number)?)))
        }
    }
}

/// Validates an article's URLs, except the canonical one.
fn urls(given: &[String], limits: &Limits) -> Result<Vec<ArticleUrl>, FieldErrors> {
    if given.len() > limits.urls_max {
        let problem = format!("has {} URLs; at most {} are allowed", given.len(), limits.urls_max);
        return Err(FieldError::invalid("urls", problem).into());
    }
    wire::every(given.iter().enumerate().map(|(index, original)| {
        let key = wire::check_url(&format!("urls[{index}]"), original, limits)?;
        Ok::<_, FieldError>(ArticleUrl { original: original.clone(), key })
    }))
}

/// The article's URLs without duplicate keys, the canonical one first.
fn with_canonical(content: &Content, more: Vec<ArticleUrl>, limits: &Limits) -> Result<Vec<ArticleUrl>, FieldError> {
    let mut urls: Vec<ArticleUrl> = Vec::with_capacity(more.len() + 1);
    let original = &content.canonical_url;
    if !original.is_empty() {
        let key = wire::check_url("content.canonical_url", original, limits)?;
        urls.push(ArticleUrl { original: original.clone(), key });
    }
    for url in more {
        if urls.iter().all(|other| other.key != url.key) {
            urls.push(url);
        }
    }
    Ok(urls)
}

fn article_id(id: &str) -> Result<Option<ArticleId>, FieldError> {
    let parse = |id| ArticleId::parse(id).map_err(|error| FieldError::invalid("article_id", error));
    (!id.is_empty()).then_some(id).map(parse).transpose()
}

/// Determines the article. Without an id it is found by its URLs, or named after the first of them or after its
/// headline.
fn target(
    source: SourceId,
    id: Option<ArticleId>,
    content: &Content,
    urls: &[ArticleUrl],
) -> Result<ArticleTarget, FieldError> {
    if let Some(article) = id {
        return Ok(ArticleTarget::Named(ArticleName { source, article }));
    }
    let derived = match urls.first() {
        Some(url) => slug::article_id(url.key.as_str(), &slug::readable_from_url(&url.key)),
        None => slug::article_id(&headline_key(&content.headline), &content.headline),
    };
    let article = derived.map_err(|error| FieldError::invalid("article_id", error))?;
    Ok(ArticleTarget::ByUrl { derived: ArticleName { source: source.clone(), article }, source })
}

/// The part of a headline that identifies an article, ignoring letter case and white space.
fn headline_key(headline: &str) -> String {
    headline.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn original(original: Option<pb::Original>, limits: &Limits) -> Result<Option<Original>, FieldErrors> {
    let Some(original) = original else { return Ok(None) };
    let data = original_data(original.data, limits);
    let media_type = match original.media_type.len() {
        bytes if bytes > Limits::NAME_BYTES_MAX => {
            let problem = format!("is longer than {} bytes", Limits::NAME_BYTES_MAX);
            Err(FieldError::invalid("original.media_type", problem))
        }
        _ => Ok(original.media_type),
    };
    let (data, media_type) = all!(data, media_type)?;
    Ok(Some(Original { media_type, data }))
}

fn original_data(data: Bytes, limits: &Limits) -> Result<Bytes, FieldError> {
    match data.len() {
        0 => Err(FieldError::invalid("original.data", "is empty; omit the original instead")),
        bytes if bytes > limits.original_bytes_max => {
            let problem = format!("has {bytes} bytes; at most {} are allowed", limits.original_bytes_max);
            Err(FieldError::too_large("original.data", problem))
        }
        // A copy, because the data is a slice of its message: it would keep all of the message in memory until it is
        // written, including what no limit counts, such as unknown fields.
        _ => Ok(Bytes::copy_from_slice(&data)),
    }
}

const DAY_MICROS: i64 = 86_400_000_000;

/// Claimed times that contradict each other or the observation are flagged, never rejected. A claim of a day, month or
/// year does not contradict any instant within it.
fn claim_warnings(content: &Content, observe_time: Timestamp) -> Vec<pb::Warning> {
    let (publish, modify) = (content.publish_time.as_ref(), content.modify_time.as_ref());
    let after_observation =
        |claim: Option<&ClaimedTime>| claim.is_some_and(|claim| claim.time.micros_since(observe_time) > DAY_MICROS);
    let modified_first = |(publish, modify): (&ClaimedTime, &ClaimedTime)| publish.time > span_end(modify);
    let contradictions = [
        (publish.zip(modify).is_some_and(modified_first), "modify_time is before publish_time"),
        (after_observation(publish), "publish_time is after the observation"),
        (after_observation(modify), "modify_time is after the observation"),
    ];
    let found = contradictions.into_iter().filter(|(found, _)| *found);
    found
        .map(|(_, message)| pb::Warning { reason: "CLAIMED_TIMES_CONTRADICT".to_owned(), message: message.to_owned() })
        .collect()
}

/// The latest instant that a claim can mean, or slightly later.
fn span_end(claim: &ClaimedTime) -> Timestamp {
    let days = match claim.precision {
        Precision::Instant => 0,
        Precision::Day => 1,
        Precision::Month => 31,
        Precision::Year => 366,
    };
    claim.time.saturating_add_micros(days * DAY_MICROS)
}

/// Operations to carry out all or none, and the warnings for each.
pub(super) struct ParsedBatch {
    pub(super) operations: Vec<Operation>,
    pub(super) warnings: Vec<Vec<pb::Warning>>,
    pub(super) mode: WriteMode,
}

pub(super) fn batch(
    context: &Context,
    requests: Vec<pb::RecordObservationRequest>,
) -> Result<ParsedBatch, FieldErrors> {
    check_batch(&requests, &context.limits)?;
    let mode =
        if requests.iter().any(|request| request.validate_only) { WriteMode::Validate } else { WriteMode::Commit };
    let parsed = wire::every(
        requests
            .into_iter()
            .enumerate()
            .map(|(index, request)| observation(context, request).map_err(|errors| errors.within(&item(index)))),
    )?;
    let (operations, warnings) = parsed.into_iter().map(|parsed| (parsed.operation, parsed.warnings)).unzip();
    Ok(ParsedBatch { operations, warnings, mode })
}

fn item(index: usize) -> String {
    format!("requests[{index}]")
}

/// Attributes an error to one item of a batch.
pub(super) fn of_item(index: usize, refusal: Refusal) -> Refusal {
    refusal.of_item(&item(index))
}

/// Checks the number and total size of a batch's requests.
fn check_batch(requests: &[pb::RecordObservationRequest], limits: &Limits) -> Result<(), FieldError> {
    let count = requests.len();
    if count == 0 || count > limits.batch_items_max {
        let problem = format!("has {count} items; 1 to {} are allowed", limits.batch_items_max);
        return Err(FieldError::invalid("requests", problem));
    }
    let bytes: usize = requests.iter().map(Message::encoded_len).sum();
    if bytes > limits.batch_bytes_max {
        let problem = format!("has {bytes} bytes; at most {} are allowed", limits.batch_bytes_max);
        return Err(FieldError::too_large("requests", problem));
    }
    let validate_only = requests.iter().filter(|request| request.validate_only).count();
    if validate_only != 0 && validate_only != count {
        return Err(FieldError::invalid("requests", "have different values of validate_only; use the same in all"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An original of one byte kept the 17 MiB of its message alive in the queue, where only the byte counted.
    #[test]
    fn an_original_does_not_keep_the_rest_of_its_message_in_memory() {
        let original = pb::Original { data: Bytes::from_static(b"x"), ..pb::Original::default() };
        let request = pb::RecordObservationRequest { original: Some(original), ..Default::default() };
        let message = Bytes::from(request.encode_to_vec());
        let read = pb::RecordObservationRequest::decode(message.clone()).unwrap();
        let data = read.original.unwrap().data;
        let range = message.as_ptr_range();
        assert!(range.contains(&data.as_ptr()), "the decoder takes a slice of the message");
        let kept = original_data(data, &Limits::default()).unwrap();
        assert!(!range.contains(&kept.as_ptr()));
        assert_eq!(kept, "x");
    }
}
