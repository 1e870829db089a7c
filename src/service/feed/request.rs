//! Renders the request that reproduces a change.

use crate::archive::changefeed::ReplayRequest;
use crate::archive::read::article::RevisionAt;
use crate::model::Change;
use crate::service::render;
use crate::wire::{
    DURATION_MAX, absence_reason_to_pb, content_to_pb, expunge_reason_to_pb, fetch_to_pb, pb, timestamp_to_pb,
};

pub(super) fn replay_request(replay: &ReplayRequest, change: &Change) -> pb::ReplayRequest {
    use pb::replay_request::Request;
    let entry = &change.entry;
    let name = entry.name.to_string();
    let observe_time = Some(timestamp_to_pb(entry.observe_time));
    let request_id = entry.request.as_ref().map(|(id, _)| id.as_str().to_owned()).unwrap_or_default();
    let reason = entry.reason.clone();
    let request = match replay {
        ReplayRequest::Observe { revision, coalesce } => {
            let observation = observation(revision, *coalesce, change);
            Request::Record(pb::RecordObservationRequest { observe_time, request_id, ..observation })
        }
        ReplayRequest::Rollback(number) => Request::Rollback(pb::RollbackArticleRequest {
            name,
            revision_number: number.get(),
            observe_time,
            request_id,
            ..pb::RollbackArticleRequest::default()
        }),
        ReplayRequest::Absent(look) => Request::RecordAbsence(pb::RecordAbsenceRequest {
            target: Some(pb::record_absence_request::Target::Name(name)),
            observe_time,
            reason: absence_reason_to_pb(look.reason).into(),
            http_status: look.http_status,
            gone_after: look.gone_after,
            fetch: entry.fetch.as_deref().map(fetch_to_pb),
            request_id,
            ..pb::RecordAbsenceRequest::default()
        }),
        ReplayRequest::Label => {
            let labels = entry.labels.as_deref().cloned().unwrap_or_default();
            Request::Label(pb::LabelArticleRequest {
                name,
                add_labels: labels.added,
                remove_labels: labels.removed,
                reason,
                request_id,
                ..pb::LabelArticleRequest::default()
            })
        }
        ReplayRequest::Expunge { revisions } => {
            let order = entry.expunging.as_deref().map(|expunging| &expunging.order);
            let scope = if revisions.is_empty() { pb::ExpungeScope::Article } else { pb::ExpungeScope::Revisions };
            Request::Expunge(pb::ExpungeRevisionsRequest {
                article: name,
                scope: scope.into(),
                revision_numbers: revisions.iter().map(|number| number.get()).collect(),
                reason: order.map_or(0, |order| expunge_reason_to_pb(order.reason).into()),
                reference: order.map(|order| order.reference.clone()).unwrap_or_default(),
                ..pb::ExpungeRevisionsRequest::default()
            })
        }
        // The article that loses an address is named, so that a copy of the archive ends it there and nowhere else.
        ReplayRequest::MoveUrl { url, ended } => {
            use pb::move_url_request::Destination;
            let (destination, from_name) =
                if *ended { (Destination::Ends(true), name) } else { (Destination::Name(name), String::new()) };
            let url = url.clone();
            Request::MoveUrl(pb::MoveUrlRequest {
                url,
                destination: Some(destination),
                from_name,
                observe_time,
                reason,
                request_id,
                ..pb::MoveUrlRequest::default()
            })
        }
        ReplayRequest::SetState { withdrawn: true } => {
            let withdraw = pb::WithdrawArticleRequest { name, observe_time, reason, request_id, ..Default::default() };
            Request::Withdraw(withdraw)
        }
        ReplayRequest::SetState { withdrawn: false } => {
            let reinstate =
                pb::ReinstateArticleRequest { name, observe_time, reason, request_id, ..Default::default() };
            Request::Reinstate(reinstate)
        }
    };
    let recorded = pb::RecordedAs {
        seq: change.seq.0,
        archive_time: Some(timestamp_to_pb(entry.archive_time)),
        revision_number: entry.revision.map_or(0, |number| number.get()),
    };
    pb::ReplayRequest { request: Some(request), recorded: Some(recorded) }
}

fn observation(revision: &RevisionAt, coalesce: bool, change: &Change) -> pb::RecordObservationRequest {
    let entry = &change.entry;
    let content = revision.content();
    let canonical = content.as_ref().map_or("", |content| content.canonical_url.as_str());
    let urls = entry.bound_urls.iter().map(|bound| &bound.url.original).filter(|url| url.as_str() != canonical);
    // An original is stored only with the observation that created the revision.
    let original = entry.new_revision.as_deref().and_then(|record| record.original.as_ref());
    pb::RecordObservationRequest {
        parent: entry.name.source.to_string(),
        article_id: entry.name.article.as_str().to_owned(),
        content: content.as_ref().map(content_to_pb),
        urls: urls.cloned().collect(),
        original: original.map(render::original),
        coalesce_within: coalesce.then_some(DURATION_MAX),
        fetch: entry.fetch.as_deref().map(fetch_to_pb),
        labels: entry.labels.as_ref().map(|labels| labels.added.clone()).unwrap_or_default(),
        ..pb::RecordObservationRequest::default()
    }
}
