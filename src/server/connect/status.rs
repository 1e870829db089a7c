//! How a status is written in Connect: an error in JSON, and an HTTP status code.

use data_encoding::BASE64_NOPAD;
use http::StatusCode;
use prost::Message;
use serde_json::{Value, json};
use tonic::{Code, Status};

use super::json;

/// The error that stands for a status other than OK (Connect, "Error JSON").
pub(super) fn error_json(status: &Status) -> Value {
    let mut error = json!({ "code": name(status.code()), "message": status.message() });
    let details = tonic_types::pb::Status::decode(status.details()).unwrap_or_default().details;
    let details: Vec<Value> = details
        .into_iter()
        .map(|detail| {
            let type_name = detail.type_url.rsplit('/').next().unwrap_or_default();
            let mut shown = json!({ "type": type_name, "value": BASE64_NOPAD.encode(&detail.value) });
            if let Some((debug, shown)) = json::of_any(type_name, &detail.value).zip(shown.as_object_mut()) {
                shown.insert("debug".to_owned(), debug);
            }
            shown
        })
        .collect();
    if let Some(error) = error.as_object_mut().filter(|_| !details.is_empty()) {
        error.insert("details".to_owned(), Value::Array(details));
    }
    error
}

/// The name of a code in Connect.
fn name(code: Code) -> &'static str {
    match code {
        // Not an error; a response never has it as one.
        Code::Ok => "ok",
        Code::Cancelled => "canceled",
        Code::Unknown => "unknown",
        Code::InvalidArgument => "invalid_argument",
        Code::DeadlineExceeded => "deadline_exceeded",
        Code::NotFound => "not_found",
        Code::AlreadyExists => "already_exists",
        Code::PermissionDenied => "permission_denied",
        Code::ResourceExhausted => "resource_exhausted",
        Code::FailedPrecondition => "failed_precondition",
        Code::Aborted => "aborted",
        Code::OutOfRange => "out_of_range",
        Code::Unimplemented => "unimplemented",
        Code::Internal => "internal",
        Code::Unavailable => "unavailable",
        Code::DataLoss => "data_loss",
        Code::Unauthenticated => "unauthenticated",
    }
}

/// The HTTP status of a unary response with this code (Connect, "Error Codes").
pub(super) fn http_status(code: Code) -> StatusCode {
    match code {
        Code::Ok => StatusCode::OK,
        // nginx's "client closed request", which http has no name for.
        Code::Cancelled => StatusCode::from_u16(499).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => StatusCode::BAD_REQUEST,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::Unknown | Code::Internal | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
