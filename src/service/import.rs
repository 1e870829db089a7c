//! Imports: a stream of messages in, a stream of answers out.

use tokio::sync::mpsc;
use tonic::{Status, Streaming};
use tonic_types::StatusExt;

use super::caller::Caller;
use super::sink::{Messages, NotTaken, Sink};
use super::status::Refusal;
use super::{Context, publish, render};
use crate::archive::Pending;
use crate::wire::request::Incoming;
use crate::wire::{field_violations, pb};

/// Answers to messages of an import that wait to be read. A reader that stalls stalls its own import alone.
const ANSWERS_MAX: usize = 16;
/// Messages of one import that are queued and not answered yet.
const MESSAGES_MAX: usize = 32;

/// Starts an import, and answers with the stream of its answers.
pub(super) fn start(
    context: Context,
    caller: Caller,
    messages: Streaming<pb::ImportObservationsRequest>,
) -> Messages<pb::ImportObservationsResponse> {
    let (answers, stream) = Sink::new(ANSWERS_MAX, context.stalled_after);
    tokio::spawn(import(context, caller, messages, Incoming::of_this_call(), answers));
    stream
}

/// Takes the messages of an import one after the other. A message does not wait for the one before it to become
/// durable, so that one commit takes many; answers come in the order of the messages. The import ends with its
/// stream, when the server stops, or when nobody reads the answers any more; what was accepted is done all the same.
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
            // No answer is read any more, and the next message may never come.
            () = begun.closed() => break,
        };
        let message = match message {
            Ok(Some(message)) => message,
            Ok(None) => break,
            Err(status) => {
                // Whether it was sent or nobody reads it any more, this is the end.
                drop(begun.send(Err(status)).await);
                break;
            }
        };
        let result = match incoming.refused() {
            Some(status) => Err(item_error(&status)),
            None => match begin(&context, &caller, message.requests).await {
                // The archive itself is gone: the messages after this one would fare no better.
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
        tracing::error!(%error, "the answers of an import ended unexpectedly");
    }
}

async fn begin(
    context: &Context,
    caller: &Caller,
    requests: Vec<pb::RecordObservationRequest>,
) -> Result<Begun, Refusal> {
    let batch = publish::batch(context, requests)?;
    let pending = context.archive.begin_write(&caller.writes, batch.operations, batch.validate_only).await?;
    Ok((pending, batch.warnings))
}

/// What refused a message before it was read, as what became of it.
fn item_error(status: &Status) -> pb::ItemError {
    let info = status.get_details_error_info();
    let (reason, metadata) = info.map(|info| (info.reason, info.metadata)).unwrap_or_default();
    let (message, field_violations) = (status.message().to_owned(), field_violations(status));
    pb::ItemError { code: status.code().into(), reason, message, metadata, field_violations }
}

/// A message of an import that is queued, and what its writer should be told besides.
type Begun = (Pending, Vec<Vec<pb::Warning>>);
/// A message by its offset, queued or refused; or why no more messages come.
type Step = Result<(u64, Result<Begun, pb::ItemError>), Status>;

/// Answers the messages of an import in their order, each once it is durable or refused. When its reader does not take the answers
/// for `stalled_after`, the import ends: what was queued is done, and no more is taken.
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
    async fn an_import_ends_with_the_reader_of_its_answers_though_no_message_comes() {
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
