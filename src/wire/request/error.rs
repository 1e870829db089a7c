//! The reasons for rejecting a message before it is decoded.

use std::collections::HashMap;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::super::{ERROR_DOMAIN, FieldError};

const RETRY_AFTER: Duration = Duration::from_millis(500);

/// Why a message is rejected before it is decoded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    /// The bytes are not a message of the expected type.
    #[error("the message cannot be decoded: {0}")]
    Malformed(String),
    /// The message exceeds its method's limit.
    #[error("the message has {bytes} bytes; this method takes at most {bytes_max}")]
    TooLong {
        /// Its length, or as much of it as was received.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// A repeated field has too many elements.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// Other requests leave too little of the memory budget for this message.
    #[error("the memory for large messages is in use; try again in a moment")]
    Busy,
    /// The request sent nothing for this long, or a message was not complete in time.
    #[error("the request stalled: a message did not arrive completely within {:.1} s; try again", .0.as_secs_f32())]
    Stalled(Duration),
}

impl From<RequestError> for Status {
    fn from(error: RequestError) -> Self {
        let message = error.to_string();
        let (code, reason, metadata) = match &error {
            RequestError::Malformed(_) => (Code::InvalidArgument, "MESSAGE_MALFORMED", HashMap::new()),
            RequestError::TooLong { bytes, bytes_max } => {
                let metadata = [("bytes", bytes), ("bytes_max", bytes_max)];
                let metadata = metadata.map(|(key, value)| (key.to_owned(), value.to_string()));
                (Code::InvalidArgument, "MESSAGE_TOO_LARGE", metadata.into())
            }
            RequestError::Field(error) => (Code::InvalidArgument, error.kind.reason(), error.metadata()),
            RequestError::Busy => (Code::ResourceExhausted, "MESSAGES_IN_FLIGHT", HashMap::new()),
            RequestError::Stalled(_) => (Code::ResourceExhausted, "REQUEST_STALLED", HashMap::new()),
        };
        let mut details = ErrorDetails::with_error_info(reason, ERROR_DOMAIN, metadata);
        match error {
            RequestError::Field(error) => {
                details.add_bad_request_violation(error.path, error.problem);
            }
            RequestError::Busy => {
                details.set_retry_info(Some(RETRY_AFTER));
            }
            RequestError::Malformed(_) | RequestError::TooLong { .. } | RequestError::Stalled(_) => {}
        }
        Self::with_error_details(code, message, details)
    }
}
