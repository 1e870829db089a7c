//! Writes calls down in the audit file: those that were denied, and those of administrators.

use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::authority::{Authority, Required};
use super::caller::Caller;
use super::status::Refusal;
use crate::access::Access;
use crate::access::audit::AuditLine;

/// Writes down a call that ended with `status`, if it was denied or is one of administrators. `path` is that of the HTTP
/// request.
pub fn note_call(
    access: &Access,
    caller: Option<&Caller>,
    required: Option<Required>,
    path: &str,
    status: Option<&Status>,
) {
    let code = status.map_or(Code::Ok, Status::code);
    let is_denied = matches!(code, Code::Unauthenticated | Code::PermissionDenied);
    if !is_denied && !required.is_some_and(Required::is_administration) {
        return;
    }
    let principal = caller.and_then(Caller::principal);
    let info = status.and_then(StatusExt::get_details_error_info);
    access.audit.add(AuditLine {
        time: access.now().to_string(),
        principal: principal.map(|principal| principal.name.as_str().to_owned()).unwrap_or_default(),
        peer: caller.and_then(|caller| caller.peer).map(|peer| peer.to_string()).unwrap_or_default(),
        method: path.trim_start_matches('/').to_owned(),
        resource: info.and_then(|mut info| info.metadata.remove("resource")).unwrap_or_default(),
        code: code_name(code).to_owned(),
        left_out: 0,
    });
}

impl Caller {
    /// Writes down that a part of a call was denied, whose other parts were not.
    pub(super) fn note_denied_part(&self, path: &str, refusal: &Refusal) {
        if let Some(Authority { access, .. }) = &self.authority {
            note_call(access, Some(self), None, path, Some(&refusal.clone().into()));
        }
    }
}

/// The name of a code, as the contract and the documentation of gRPC write it.
pub fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
