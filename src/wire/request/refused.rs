//! Why a message is refused before anything is made of it.

use std::collections::HashMap;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::super::{ERROR_DOMAIN, FieldError};

const RETRY_AFTER: Duration = Duration::from_millis(500);

/// Why a message is refused before anything is made of it.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    /// It is not a message of its type.
    #[error("the message cannot be read: {0}")]
    Malformed(String),
    /// It is longer than its method takes.
    #[error("the message has {bytes} bytes; this method takes at most {bytes_max}")]
    TooLong { bytes: usize, bytes_max: usize },
    /// A field has more elements than it may have.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// Too much is being worked on already.
    #[error("the server is working on as many large messages as fit into its memory; try again in a moment")]
    Busy,
    /// Nothing came of it for so long, or not all of it.
    #[error("the request stalled: nothing arrived, or not all of it, within {:.1} s; call again", .0.as_secs_f32())]
    Stalled(Duration),
}

impl From<Refused> for Status {
    fn from(refused: Refused) -> Self {
        let message = refused.to_string();
        let (code, reason, metadata) = match &refused {
            Refused::Malformed(_) => (Code::InvalidArgument, "MESSAGE_MALFORMED", HashMap::new()),
            Refused::TooLong { bytes, bytes_max } => {
                let metadata = [("bytes", bytes), ("bytes_max", bytes_max)];
                let metadata = metadata.map(|(key, value)| (key.to_owned(), value.to_string()));
                (Code::InvalidArgument, "MESSAGE_TOO_LARGE", metadata.into())
            }
            Refused::Field(error) => (Code::InvalidArgument, error.kind.reason(), error.metadata()),
            Refused::Busy => (Code::ResourceExhausted, "MESSAGES_IN_FLIGHT", HashMap::new()),
            Refused::Stalled(_) => (Code::ResourceExhausted, "REQUEST_STALLED", HashMap::new()),
        };
        let mut details = ErrorDetails::with_error_info(reason, ERROR_DOMAIN, metadata);
        match refused {
            Refused::Field(error) => {
                details.add_bad_request_violation(error.path, error.problem);
            }
            Refused::Busy => {
                details.set_retry_info(Some(RETRY_AFTER));
            }
            Refused::Malformed(_) | Refused::TooLong { .. } | Refused::Stalled(_) => {}
        }
        Self::with_error_details(code, message, details)
    }
}
