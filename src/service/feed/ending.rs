//! How the stream of a subscriber ends.

use std::time::Duration;

use tonic::Status;

use super::super::Context;
use super::super::status::Refusal;
use crate::archive::ArchiveError;
use crate::archive::subscriptions::Attachment;

/// Why a stream ends.
pub(super) enum Ending {
    /// All that was asked for was sent.
    Done,
    /// Nobody is there any more.
    Gone,
    /// It ends with a status.
    With(Box<Status>),
    /// The transport made no progress for this long.
    Stalled(Duration),
}

/// Why a stream has to end though there is more.
pub(super) enum Interruption {
    /// The server shuts down.
    Stopping,
    /// Another consumer has the epoch, or the subscription is gone.
    ConsumerFenced(Box<ArchiveError>),
}

impl Interruption {
    /// Whether there is one.
    pub(super) fn has_come(context: &Context, attachment: Option<&Attachment>) -> bool {
        context.stopping.is_cancelled() || attachment.is_some_and(Attachment::is_lost)
    }

    /// Waits for one.
    pub(super) async fn come(context: &Context, attachment: Option<&Attachment>) -> Self {
        let lost = async {
            match attachment {
                Some(attachment) => attachment.lost().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = context.stopping.cancelled() => Self::Stopping,
            error = lost => Self::ConsumerFenced(Box::new(error)),
        }
    }
}

impl From<Refusal> for Ending {
    fn from(refusal: Refusal) -> Self {
        Self::With(Box::new(refusal.into()))
    }
}
