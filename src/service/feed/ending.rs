//! How a subscriber's stream ends.

use std::time::Duration;

use tonic::Status;

use super::super::Context;
use super::super::status::Refusal;
use crate::archive::ArchiveError;
use crate::archive::subscriptions::Attachment;

/// Why a stream ends.
pub(super) enum Ending {
    /// Everything requested has been sent.
    Done,
    /// The client is gone.
    Gone,
    /// The stream ends with this status.
    With(Box<Status>),
    /// The transport made no progress for this long.
    Stalled(Duration),
}

/// Why a stream must end although there is more to send.
pub(super) enum Interruption {
    /// The server is shutting down.
    Stopping,
    /// Another consumer has attached, or the subscription was deleted.
    ConsumerFenced(Box<ArchiveError>),
}

impl Interruption {
    /// Whether the stream must end now.
    pub(super) fn has_occurred(context: &Context, attachment: Option<&Attachment>) -> bool {
        context.stopping.is_cancelled() || attachment.is_some_and(Attachment::is_fenced)
    }

    /// Waits until the stream must end.
    pub(super) async fn wait(context: &Context, attachment: Option<&Attachment>) -> Self {
        let fenced = async {
            match attachment {
                Some(attachment) => attachment.fenced().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = context.stopping.cancelled() => Self::Stopping,
            error = fenced => Self::ConsumerFenced(Box::new(error)),
        }
    }
}

impl From<Refusal> for Ending {
    fn from(refusal: Refusal) -> Self {
        Self::With(Box::new(refusal.into()))
    }
}
