//! `ArchiveService.ImportObservations`: a stream of messages in, a stream of responses out.

use tokio::sync::mpsc;
use tonic::{Status, Streaming};
use tonic_types::StatusExt;

use super::caller::Caller;
use super::sink::{Messages, NotTaken, Sink};
use super::status::Refusal;
use super::{Context, publish, render};
use crate::archive::Pending;
use crate::archive::request::WriteMode;
use crate::wire::request::Incoming;
use crate::wire::{field_violations, pb};

/// Responses that may wait to be read. A client that reads nothing stalls only its own import.
const ANSWERS_MAX: usize = 16;
/// Messages of one import that may be queued and not answered yet.
const MESSAGES_MAX: usize = 32;

/// Starts an import and returns the stream of its responses.
pub(super) fn start(
    context: Context,
    caller: Caller,
    messages: Streaming<pb::ImportObservationsRequest>,
) -> Messages<pb::ImportObservationsResponse> {
    let (answers, stream) = Sink::new(ANSWERS_MAX, context.stalled_after);
    tokio::spawn(import(context, caller, messages, Incoming::of_this_call(), answers));
    stream
}

/// Takes the messages of an import one after the other. A message does not wait for the previous one to become durable,
/// so one commit can contain many. Responses are sent in the order of the messages.
///
/// The import ends with its request stream, when the server stops, or when the client no longer reads the responses.
/// Accepted messages are carried out in any case.
async fn import(
    context: Context,
    caller: Caller,
    mut messages: Streaming<pb::ImportObservationsRequest>,
    incoming: Incoming,
    answers: Sink<pb::ImportObservationsResponse>,
) {
    let (begun, under_way) = mpsc::channel(MESSAGES_MAX);
    let answering = tokio::spawn(answer(under_way, answers));
    loop {
        let message = tokio::select! {
            message = messages.message() => message,
            () = context.stopping.cancelled() => Err(Refusal::draining().into()),
            // The client no longer reads responses, and the next message may never arrive.
            () = begun.closed() => break,
        };
        let message = match message {
            Ok(Some(message)) => message,
            Ok(None) => break,
            Err(status) => {
                // The import ends, whether or not the client still reads this error.
                drop(begun.send(Err(status)).await);
                break;
            }
        };
        let result = match incoming.refused() {
            Some(status) => Err(item_error(&status)),
            None => match begin(&context, &caller, message.requests).await {
                // The archive itself is unavailable, so later messages would fail too.
                Err(refusal) if refusal.ends_streams() => {
                    drop(begun.send(Err(refusal.into())).await);
                    break;
                }
                result => result.map_err(Refusal::into_item_error),
            },
        };
        incoming.is_done();
        if begun.send(Ok((message.offset, result))).await.is_err() {
            break;
        }
    }
    drop(begun);
    if let Err(error) = answering.await {
        tracing::error!(%error, "the task that answers an import ended unexpectedly");
    }
}

async fn begin(
    context: &Context,
    caller: &Caller,
    requests: Vec<pb::RecordObservationRequest>,
) -> Result<Begun, Refusal> {
    let batch = publish::batch(context, requests)?;
    let pending =
        context.archive.begin_write(&caller.writes, batch.operations, WriteMode::of(batch.validate_only)).await?;
    Ok((pending, batch.warnings))
}

/// Converts the status of a message that was rejected before it was decoded.
fn item_error(status: &Status) -> pb::ItemError {
    let info = status.get_details_error_info();
    let (reason, metadata) = info.map(|info| (info.reason, info.metadata)).unwrap_or_default();
    let (message, field_violations) = (status.message().to_owned(), field_violations(status));
    pb::ItemError { code: status.code().into(), reason, message, metadata, field_violations }
}

/// A queued message, and the warnings from its validation.
type Begun = (Pending, Vec<Vec<pb::Warning>>);
/// A message by its offset, queued or rejected; or the status that ends the import.
type Step = Result<(u64, Result<Begun, pb::ItemError>), Status>;

/// Sends the responses in the order of the messages, each once its message is durable or rejected. If the client takes
/// no response for `stalled_after`, the import ends: queued messages are carried out, and no more are accepted.
async fn answer(mut under_way: mpsc::Receiver<Step>, answers: Sink<pb::ImportObservationsResponse>) {
    use pb::import_observations_response::Result as ImportResult;
    loop {
        let message = tokio::select! {
            message = under_way.recv() => message,
            () = answers.gone() => return,
        };
        let Some(message) = message else { break };
        let (offset, begun) = match message {
            Ok(message) => message,
            Err(status) => return answers.end(status),
        };
        let result = match begun {
            Ok((pending, warnings)) => match render::published_batch(pending.answer().await, warnings) {
                Ok(published) => ImportResult::Recorded(published),
                Err(refusal) if refusal.ends_streams() => return answers.end(refusal.into()),
                Err(refusal) => ImportResult::Error(refusal.into_item_error()),
            },
            Err(error) => ImportResult::Error(error),
        };
        let answer = pb::ImportObservationsResponse { offset, result: Some(result) };
        match answers.send(answer).await {
            Ok(()) => {}
            Err(NotTaken::Gone) => return,
            Err(NotTaken::Stalled) => return answers.end_unread(),
        }
    }
    if answers.taken().await == Err(NotTaken::Stalled) {
        answers.end_unread();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use tokio_util::sync::CancellationToken;
    use tokio_util::task::TaskTracker;
    use tonic::codec::BufferSettings;
    use tonic_prost::ProstCodec;

    use super::super::feed::Memory;
    use super::*;
    use crate::archive::{Archive, Options};
    use crate::clock::SystemClock;
    use crate::model::Limits;

    #[tokio::test(start_paused = true)]
    async fn an_import_ends_with_the_reader_of_its_responses_even_if_no_message_arrives() {
        let archive = Arc::new(Archive::in_memory(&Options::default(), Arc::new(SystemClock)).unwrap());
        let context = Context {
            archive: Arc::clone(&archive),
            limits: Limits::default(),
            stopping: CancellationToken::new(),
            subscribers: TaskTracker::new(),
            stalled_after: Duration::from_secs(60),
            memory: Memory::default(),
        };
        let decoder = ProstCodec::<(), pb::ImportObservationsRequest>::raw_decoder(BufferSettings::default());
        let silent = http_body_util::StreamBody::new(tokio_stream::pending::<
            Result<hyper::body::Frame<bytes::Bytes>, Status>,
        >());
        let messages = Streaming::new_request(decoder, silent, None, None);
        let (answers, stream) = Sink::new(ANSWERS_MAX, context.stalled_after);
        let importing = tokio::spawn(import(context, Caller::default(), messages, Incoming::of_this_call(), answers));
        drop(stream);
        tokio::time::timeout(Duration::from_secs(3_600), importing).await.unwrap().unwrap();
    }
}
