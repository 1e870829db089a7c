//! `ArchiveService.ImportObservations`: a stream of messages in, a stream of responses out.

use tokio::sync::mpsc;
use tonic::{Status, Streaming};

use super::caller::Caller;
use super::operation::{self, ParsedObservation};
use super::sink::{Messages, NotTaken, Sink};
use super::status::Refusal;
use super::{Context, render};
use crate::archive::Pending;
use crate::archive::request::Operation;
use crate::wire::request::Incoming;
use crate::wire::{pb, status_to_pb};

/// Responses that may wait to be read. A client that reads nothing stalls only its own import.
const RESPONSES_MAX: usize = 16;
/// Messages of one import that may be waiting for their response.
const MESSAGES_MAX: usize = 32;

/// The path of the method.
const PATH: &str = "/dateline.v1.ArchiveService/ImportObservations";

/// Starts an import and returns the stream of its responses.
pub(super) fn start(
    context: Context,
    caller: Caller,
    messages: Streaming<pb::ImportObservationsRequest>,
) -> Messages<pb::ImportObservationsResponse> {
    let (responses, stream) = Sink::new(RESPONSES_MAX, context.stalled_after);
    tokio::spawn(import(context, caller, messages, Incoming::of_this_call(), responses));
    stream
}

/// Queues the messages of an import one after the other. A message does not wait until the previous one is durable, so
/// that one commit can contain many. Responses are sent in the order of the messages.
///
/// The import ends with its request stream, when the server stops, or when the client no longer reads the responses.
/// Accepted messages are carried out in any case.
async fn import(
    context: Context,
    caller: Caller,
    mut messages: Streaming<pb::ImportObservationsRequest>,
    incoming: Incoming,
    responses: Sink<pb::ImportObservationsResponse>,
) {
    let (queue, queued) = mpsc::channel(MESSAGES_MAX);
    let responding = tokio::spawn(respond(queued, responses));
    loop {
        let message = tokio::select! {
            message = messages.message() => message,
            () = context.stopping.cancelled() => Err(Refusal::draining().into()),
            // The client no longer reads responses, and the next message may never arrive.
            () = queue.closed() => break,
        };
        let message = match message {
            Ok(Some(message)) => message,
            Ok(None) => break,
            Err(status) => {
                // If this cannot be sent, the client no longer reads responses; the import ends in any case.
                drop(queue.send(Err(status)).await);
                break;
            }
        };
        let result = match incoming.rejection() {
            Some(status) => Err(status_to_pb(&status)),
            None => match begin(&context, &caller.renewed(), message.requests, message.independent).await {
                // The archive itself is unavailable, so that later messages would fail too.
                Err(refusal) if refusal.ends_streams() => {
                    drop(queue.send(Err(refusal.into())).await);
                    break;
                }
                result => result.map_err(Refusal::into_message),
            },
        };
        incoming.release_memory();
        if queue.send(Ok(QueuedMessage { offset: message.offset, result })).await.is_err() {
            break;
        }
    }
    drop(queue);
    if let Err(error) = responding.await {
        tracing::error!(%error, "the task that answers an import ended unexpectedly");
    }
}

async fn begin(
    context: &Context,
    caller: &Result<Caller, Refusal>,
    requests: Vec<pb::RecordObservationRequest>,
    independent: bool,
) -> Result<Queued, Refusal> {
    let caller = caller.as_ref().map_err(Refusal::clone)?;
    if independent {
        return begin_each(context, caller, requests).await.map(Queued::Each);
    }
    let mut batch = operation::batch(context, requests).await?;
    for operation in &mut batch.operations {
        authorize(caller, operation)?;
    }
    let pending = context.archive.begin_write(&caller.origin, batch.operations, batch.mode).await?;
    Ok(Queued::Batch { pending, warnings: batch.warnings })
}

/// Queues the observations of a message one by one. The invalid ones have their error already.
async fn begin_each(
    context: &Context,
    caller: &Caller,
    requests: Vec<pb::RecordObservationRequest>,
) -> Result<Vec<QueuedItem>, Refusal> {
    let (parsed, mode) = operation::each(context, requests).await?;
    let mut operations = Vec::with_capacity(parsed.len());
    let checked: Vec<Result<Vec<pb::Warning>, Refusal>> = parsed
        .into_iter()
        .map(|parsed| {
            let ParsedObservation { mut operation, warnings } = parsed?;
            authorize(caller, &mut operation)?;
            operations.push(operation);
            Ok(warnings)
        })
        .collect();
    let pending = if operations.is_empty() {
        Vec::new()
    } else {
        context.archive.begin_writes(&caller.origin, operations, mode).await?
    };
    let mut pending = pending.into_iter();
    let queue = |checked: Result<_, Refusal>| {
        let warnings = checked.map_err(Refusal::into_message)?;
        let pending = pending.next().ok_or_else(|| Refusal::internal().into_message())?;
        Ok((pending, warnings))
    };
    Ok(checked.into_iter().map(queue).collect())
}

fn authorize(caller: &Caller, operation: &mut Operation) -> Result<(), Refusal> {
    caller.authorize(operation).inspect_err(|refusal| caller.note_denied_part(PATH, refusal))
}

/// A message whose observations are queued to be committed.
enum Queued {
    Batch {
        pending: Pending,
        /// The warnings from the validation of each item.
        warnings: Vec<Vec<pb::Warning>>,
    },
    /// An independent message.
    Each(Vec<QueuedItem>),
}

/// An observation that is queued by itself, with the warnings from its validation; or why it is rejected.
type QueuedItem = Result<(Pending, Vec<pb::Warning>), tonic_types::Status>;

/// A message of the import, queued or rejected.
struct QueuedMessage {
    offset: u64,
    result: Result<Queued, tonic_types::Status>,
}

/// Sends the responses in the order of the messages, each once its message is durable or rejected. If the client takes
/// no response for `stalled_after`, the import ends: queued messages are carried out, and no more are accepted.
///
/// A status in the queue ends the import.
async fn respond(
    mut queued: mpsc::Receiver<Result<QueuedMessage, Status>>,
    responses: Sink<pb::ImportObservationsResponse>,
) {
    use pb::import_observations_response::Result as ImportResult;
    loop {
        let message = tokio::select! {
            message = queued.recv() => message,
            () = responses.gone() => return,
        };
        let Some(message) = message else { break };
        let QueuedMessage { offset, result } = match message {
            Ok(message) => message,
            Err(status) => return responses.end(status),
        };
        let result = match result {
            Ok(Queued::Batch { pending, warnings }) => match render::batch_response(pending.reply().await, warnings) {
                Ok(response) => ImportResult::Recorded(response),
                Err(refusal) if refusal.ends_streams() => return responses.end(refusal.into()),
                Err(refusal) => ImportResult::Error(refusal.into_message()),
            },
            Ok(Queued::Each(items)) => match results(items).await {
                Ok(results) => ImportResult::Results(results),
                Err(refusal) => return responses.end(refusal.into()),
            },
            Err(error) => ImportResult::Error(error),
        };
        let response = pb::ImportObservationsResponse { offset, result: Some(result) };
        match responses.send(response).await {
            Ok(()) => {}
            Err(NotTaken::Gone) => return,
            Err(NotTaken::Stalled) => return responses.end_unread(),
        }
    }
    if responses.taken().await == Err(NotTaken::Stalled) {
        responses.end_unread();
    }
}

/// The results of the observations of an independent message. An error is that of the whole import.
async fn results(items: Vec<QueuedItem>) -> Result<pb::ImportResults, Refusal> {
    let rejected = |error| pb::ImportResult { result: Some(pb::import_result::Result::Error(error)) };
    let mut results = Vec::with_capacity(items.len());
    for item in items {
        let result = match item {
            Ok((pending, warnings)) => match render::import_result(pending.reply().await, warnings) {
                Err(refusal) if refusal.ends_streams() => return Err(refusal),
                result => result.unwrap_or_else(|refusal| rejected(refusal.into_message())),
            },
            Err(error) => rejected(error),
        };
        results.push(result);
    }
    Ok(pb::ImportResults { results })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tonic::codec::BufferSettings;
    use tonic_prost::ProstCodec;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_import_ends_with_the_reader_of_its_responses_even_if_no_message_arrives() {
        let context = Context::in_memory();
        let decoder = ProstCodec::<(), pb::ImportObservationsRequest>::raw_decoder(BufferSettings::default());
        let silent = http_body_util::StreamBody::new(tokio_stream::pending::<
            Result<hyper::body::Frame<bytes::Bytes>, Status>,
        >());
        let messages = Streaming::new_request(decoder, silent, None, None);
        let (responses, stream) = Sink::new(RESPONSES_MAX, context.stalled_after);
        let importing = tokio::spawn(import(context, Caller::default(), messages, Incoming::of_this_call(), responses));
        drop(stream);
        tokio::time::timeout(Duration::from_secs(3_600), importing).await.unwrap().unwrap();
    }
}
