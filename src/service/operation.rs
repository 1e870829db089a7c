//! Parses requests to write into operations of the archive.

use bytes::Bytes;
use prost::Message;

use super::Context;
use super::status::Refusal;
use crate::archive::observation::Observation;
use crate::archive::request::{
    AbsenceLookRequest, Action, ArticleTarget, Operation, Precondition, UrlMove, WriteMode, Writer,
};
use crate::model::{
    AbsenceLook, AbsenceReason, ArticleId, ArticleName, ArticleUrl, ClaimedTime, Content, Limits, Original, Precision,
    RequestDigest, RequestId, RevisionNumber, SourceId, Timestamp, check,
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
    let request_digest = (!request.request_id.is_empty())
        .then(|| request_digest(&pb::RecordObservationRequest { validate_only: false, ..request.clone() }));
    let source = SourceId::parse_name(&request.parent).map_err(|error| FieldError::invalid("parent", error));
    let article = article_id(&request.article_id);
    let observe_time = request.observe_time.as_ref().map(|time| wire::timestamp("observe_time", time)).transpose();
    let given = Observation {
        content: wire::content(request.content.take(), limits),
        urls: request.urls,
        observe_time: observe_time.map_err(FieldErrors::from),
        original: request.original.map(original),
        coalesce_within: wire::coalesce_within(request.coalesce_within.as_ref()).map_err(FieldErrors::from),
        precondition: precondition(request.precondition).map_err(FieldErrors::from),
        request_id: request.request_id,
        request_digest,
        fetch: wire::fetch(request.fetch, limits),
        labels: request.labels,
    };
    let checked = given.check(limits, context.archive.clock().now());
    let (source, article, checked) = all!(source, article, checked)?;
    let target = checked.target(source, article)?;
    let warnings = claim_warnings(checked.content(), checked.observe_time());
    Ok(ParsedObservation { operation: checked.into_operation(target), warnings })
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
    Ok(Operation {
        target: ArticleTarget::Named(name),
        observe_time,
        precondition,
        request,
        by: Writer::default(),
        action,
    })
}

/// Parses a request to record an absence.
pub(super) fn absence(context: &Context, request: pb::RecordAbsenceRequest) -> Result<Operation, FieldErrors> {
    let limits = &context.limits;
    let digest = (!request.request_id.is_empty())
        .then(|| request_digest(&pb::RecordAbsenceRequest { validate_only: false, ..request.clone() }));
    let target = absence_target(request.target, limits);
    let observe_time = wire::observe_time(request.observe_time.as_ref(), context.archive.clock().now());
    let reason = match pb::AbsenceReason::try_from(request.reason) {
        Ok(pb::AbsenceReason::NotFound) => Ok(AbsenceReason::NotFound),
        Ok(pb::AbsenceReason::Gone) => Ok(AbsenceReason::Gone),
        Ok(pb::AbsenceReason::Redirected) => Ok(AbsenceReason::Redirected),
        Ok(pb::AbsenceReason::Unspecified) => Err(FieldError::invalid("reason", "is missing")),
        Err(_) => Err(FieldError::invalid("reason", "is not a known reason")),
    };
    let http_status = match request.http_status {
        status @ (0 | 100..=599) => Ok(status),
        status => Err(FieldError::invalid("http_status", format!("is {status}; 100 to 599, or 0 if it is unknown"))),
    };
    let gone_after = match request.gone_after {
        0 => Ok(GONE_AFTER_DEFAULT),
        count if count <= Limits::GONE_AFTER_MAX => Ok(count),
        count => {
            Err(FieldError::invalid("gone_after", format!("is {count}; 1 to {} are allowed", Limits::GONE_AFTER_MAX)))
        }
    };
    let fetch = wire::fetch(request.fetch, limits);
    let coalesce = wire::coalesce_within(request.coalesce_within.as_ref()).and_then(check::coalesce_within);
    let precondition = precondition(request.precondition);
    let id = request_id(&request.request_id, digest);
    let (target, observe_time, reason, http_status, gone_after, fetch, coalesce_within_micros, precondition, request) =
        all!(target, observe_time, reason, http_status, gone_after, fetch, coalesce, precondition, id)?;
    let look = AbsenceLook { reason, http_status, gone_after };
    let absence = AbsenceLookRequest { look, fetch: fetch.map(Box::new), coalesce_within_micros };
    Ok(Operation {
        target,
        observe_time,
        precondition,
        request,
        by: Writer::default(),
        action: Action::Absent(Box::new(absence)),
    })
}

/// How many absences in a row make an article gone, unless the client says otherwise.
const GONE_AFTER_DEFAULT: u32 = 3;

fn absence_target(
    target: Option<pb::record_absence_request::Target>,
    limits: &Limits,
) -> Result<ArticleTarget, FieldError> {
    use pb::record_absence_request::Target;
    match target {
        None => Err(FieldError::invalid("name", "is missing; give the article's name or its url")),
        Some(Target::Name(name)) => {
            let name = ArticleName::parse(&name).map_err(|error| FieldError::invalid("name", error))?;
            Ok(ArticleTarget::Named(name))
        }
        Some(Target::Url(original)) => {
            let key = wire::check_url("url", &original, limits)?;
            Ok(ArticleTarget::AtUrl(ArticleUrl { original, key }))
        }
    }
}

/// Validates the labels to add and to remove, and the reason.
pub(super) fn label(
    context: &Context,
    add: Vec<String>,
    remove: Vec<String>,
    why: String,
) -> Result<Action, FieldErrors> {
    Action::label(add, remove, why, &context.limits)
}

/// Where a move lets an address lead.
enum Destination {
    Article(ArticleName),
    Nowhere,
}

/// Parses the move of an address: to the article that the request names or, if the address ends, away from the one that
/// it leads to.
pub(super) fn move_url(
    context: &Context,
    request: pb::MoveUrlRequest,
    digest: RequestDigest,
) -> Result<Operation, FieldErrors> {
    let url = wire::check_url("url", &request.url, &context.limits)
        .map(|key| ArticleUrl { original: request.url.clone(), key });
    let distinct = match &request.destination {
        Some(pb::move_url_request::Destination::Name(name)) if *name == request.from_name && !name.is_empty() => {
            Err(FieldError::invalid("from_name", "is the article that the URL is to be moved to"))
        }
        Some(_) | None => Ok(()),
    };
    let destination = destination(request.destination);
    let from = optional_name("from_name", &request.from_name);
    let observe_time = wire::observe_time(request.observe_time.as_ref(), context.archive.clock().now());
    let reason = reason(request.reason);
    let precondition = precondition(request.precondition);
    let id = request_id(&request.request_id, (!request.request_id.is_empty()).then_some(digest));
    let (url, destination, from, (), observe_time, reason, precondition, request) =
        all!(url, destination, from, distinct, observe_time, reason, precondition, id)?;
    let (target, action) = match (destination, from) {
        (Destination::Article(name), from) => {
            (ArticleTarget::Named(name), Action::BindUrl(UrlMove { url, from, reason }))
        }
        (Destination::Nowhere, from) => {
            let target = from.map_or_else(|| ArticleTarget::ByAddress(url.clone()), ArticleTarget::Named);
            (target, Action::EndUrl(UrlMove { url, from: None, reason }))
        }
    };
    Ok(Operation { target, observe_time, precondition, request, by: Writer::default(), action })
}

fn destination(destination: Option<pb::move_url_request::Destination>) -> Result<Destination, FieldError> {
    use pb::move_url_request::Destination as Given;
    match destination {
        None => Err(FieldError::invalid("name", "is missing; give the article's name, or set ends to end the URL")),
        Some(Given::Name(name)) => {
            let name = ArticleName::parse(&name).map_err(|error| FieldError::invalid("name", error))?;
            Ok(Destination::Article(name))
        }
        Some(Given::Ends(true)) => Ok(Destination::Nowhere),
        Some(Given::Ends(false)) => Err(FieldError::invalid("ends", "must be true if set; omit it otherwise")),
    }
}

fn optional_name(field: &str, name: &str) -> Result<Option<ArticleName>, FieldError> {
    let parse = |name| ArticleName::parse(name).map_err(|error| FieldError::invalid(field, error));
    (!name.is_empty()).then_some(name).map(parse).transpose()
}

/// Validates the reason given with a state change, with labels or with a move.
pub(super) fn reason(reason: String) -> Result<String, FieldError> {
    check::reason(reason)
}

pub(super) fn revision_number(field: &str, number: u32) -> Result<RevisionNumber, FieldError> {
    let zero = || FieldError::invalid(field, "must be a revision number, from 1");
    RevisionNumber::new(number).ok_or_else(zero)
}

pub(super) fn request_id(
    id: &str,
    digest: Option<RequestDigest>,
) -> Result<Option<(RequestId, RequestDigest)>, FieldError> {
    let Some(digest) = digest else { return Ok(None) };
    Ok(Some((check::request_id(id)?, digest)))
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

fn article_id(id: &str) -> Result<Option<ArticleId>, FieldError> {
    let parse = |id| ArticleId::parse(id).map_err(|error| FieldError::invalid("article_id", error));
    (!id.is_empty()).then_some(id).map(parse).transpose()
}

fn original(original: pb::Original) -> Original {
    // A copy, because the data is a slice of its message: it would keep all of the message in memory until it is
    // written, including what no limit counts, such as unknown fields.
    Original { media_type: original.media_type, data: Bytes::copy_from_slice(&original.data) }
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

pub(super) async fn batch(
    context: &Context,
    requests: Vec<pb::RecordObservationRequest>,
) -> Result<ParsedBatch, Refusal> {
    let (parsed, mode) = each(context, requests).await?;
    let within =
        |(index, parsed): (usize, Result<_, FieldErrors>)| parsed.map_err(|errors| errors.within(&item(index)));
    let parsed: Vec<ParsedObservation> = wire::every(parsed.into_iter().enumerate().map(within))?;
    let (operations, warnings) = parsed.into_iter().map(|parsed| (parsed.operation, parsed.warnings)).unzip();
    Ok(ParsedBatch { operations, warnings, mode })
}

/// Parses the requests of a batch, each by itself and on all cores.
pub(super) async fn each(
    context: &Context,
    requests: Vec<pb::RecordObservationRequest>,
) -> Result<(Vec<Result<ParsedObservation, FieldErrors>>, WriteMode), Refusal> {
    check_batch(&requests, &context.limits)?;
    let mode =
        if requests.iter().any(|request| request.validate_only) { WriteMode::Validate } else { WriteMode::Commit };
    let parsed = if requests.len() == 1 {
        requests.into_iter().map(|request| observation(context, request)).collect()
    } else {
        let on_any_thread = context.clone();
        context.archive.divided(requests, move |request| observation(&on_any_thread, request)).await?
    };
    Ok((parsed, mode))
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
        let given = pb::Original { data: Bytes::from_static(b"x"), ..pb::Original::default() };
        let request = pb::RecordObservationRequest { original: Some(given), ..Default::default() };
        let message = Bytes::from(request.encode_to_vec());
        let read = pb::RecordObservationRequest::decode(message.clone()).unwrap();
        let read = read.original.unwrap();
        let range = message.as_ptr_range();
        assert!(range.contains(&read.data.as_ptr()), "the decoder takes a slice of the message");
        let kept = original(read).data;
        assert!(!range.contains(&kept.as_ptr()));
        assert_eq!(kept, "x");
    }
}
