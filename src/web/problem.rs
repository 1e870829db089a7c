//! Why a page cannot be shown, in words for its reader.

use std::sync::Arc;
use std::time::Duration;

use axum::response::IntoResponse;
use http::header::{ALLOW, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::pages::problem::ProblemPage;
use super::paths::{page_of, point_query};
use super::respond;
use super::visit::Form;
use crate::archive::ArchiveError;
use crate::model::ArticleName;
use crate::service::Refusal;

/// The methods that are answered.
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD");
/// When to try again, in seconds.
const RETRY_AFTER_S: u64 = 5;

/// An error, in words for readers.
#[derive(Clone, Debug)]
pub(super) struct Problem(Arc<Details>);

#[derive(Clone, Debug)]
struct Details {
    status: StatusCode,
    title: &'static str,
    detail: String,
    /// When to try again, in seconds.
    retry_after_s: Option<u64>,
    /// A page that may help, as a path and words.
    way_on: Option<(String, &'static str)>,
}

impl Problem {
    fn new(status: StatusCode, title: &'static str, detail: impl Into<String>) -> Self {
        Self(Arc::new(Details { status, title, detail: detail.into(), retry_after_s: None, way_on: None }))
    }

    /// A problem that a client can overcome by trying again later.
    fn passing(status: StatusCode, title: &'static str, detail: String, retry_after_s: u64) -> Self {
        Self(Arc::new(Details { status, title, detail, retry_after_s: Some(retry_after_s), way_on: None }))
    }

    /// The same, with a link to a page.
    pub(super) fn leading_to(self, path: Option<String>, words: &'static str) -> Self {
        Self(Arc::new(Details { way_on: path.map(|path| (path, words)), ..Details::clone(&self.0) }))
    }

    /// There is no such thing, or the visitor may not see it. Both look the same.
    pub(super) fn not_found() -> Self {
        let detail = "The archive has nothing at this address. Check its spelling, or look the article up by its URL.";
        Self::new(StatusCode::NOT_FOUND, "Not in the archive", detail)
    }

    /// There is no such thing, and `detail` says what there is.
    pub(super) fn missing(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "Not in the archive", detail)
    }

    /// The text was destroyed.
    pub(super) fn expunged(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::GONE, "Expunged", detail)
    }

    /// The request cannot be meant.
    pub(super) fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "This address cannot be read", detail)
    }

    /// The visitor may see nothing at all.
    pub(super) fn nothing_shown() -> Self {
        let detail = "This archive shows nothing to visitors. Its operator decides what they may read: the access rules \
                      grant sources to the principal \u{201c}anonymous\u{201d}.";
        Self::new(StatusCode::FORBIDDEN, "Nothing to see here", detail)
    }

    /// The request names another host.
    pub(super) fn misdirected() -> Self {
        let detail = "These pages are not served under this host name. Open them under the address that the server \
                      prints when it starts, or have its operator name the public one with --web-url.";
        Self::new(StatusCode::MISDIRECTED_REQUEST, "Another site", detail)
    }

    /// The method does more than read.
    pub(super) fn read_only() -> Self {
        let detail = "These pages can only be read: use GET or HEAD.";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "Read only", detail)
    }

    /// Something is used up, for now.
    pub(super) fn busy() -> Self {
        let detail = "The server has as much to do as it can. Try again in a few seconds.";
        Self::passing(StatusCode::SERVICE_UNAVAILABLE, "Busy", detail.to_owned(), RETRY_AFTER_S)
    }

    /// Too many requests were made.
    pub(super) fn too_many(retry_after: Duration) -> Self {
        let seconds = retry_after.as_secs().saturating_add(1);
        let detail = format!(
            "More pages were asked for, from your network or by all readers together, than this server shows in that time. Try \
             again in {seconds} s."
        );
        Self::passing(StatusCode::TOO_MANY_REQUESTS, "Too many requests", detail, seconds)
    }

    /// A broken invariant of the server.
    pub(super) fn internal() -> Self {
        let detail = "The server has an internal error; its log says more.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong", detail)
    }

    pub(super) fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The response, in the form that was asked for.
    pub(super) fn written(&self, form: Form) -> Response<axum::body::Body> {
        let Details { status, title, detail, retry_after_s, way_on } = &*self.0;
        let mut response = match form {
            Form::Json => {
                let json = serde_json::json!({ "status": status.as_u16(), "title": title, "detail": detail });
                respond::json(format!("{json}\n"))
            }
            Form::Page => respond::html(&ProblemPage::new(status.as_u16(), title, detail, way_on.as_ref())),
        };
        *response.status_mut() = *status;
        if let Some(seconds) = retry_after_s {
            response.headers_mut().insert(RETRY_AFTER, (*seconds).into());
        }
        if *status == StatusCode::METHOD_NOT_ALLOWED {
            response.headers_mut().insert(ALLOW, METHODS);
        }
        response
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> axum::response::Response {
        self.response()
    }
}

impl From<ArchiveError> for Problem {
    fn from(error: ArchiveError) -> Self {
        Status::from(Refusal::from(error)).into()
    }
}

impl From<Status> for Problem {
    fn from(status: Status) -> Self {
        let info = status.get_details_error_info();
        let (reason, known) = info.map(|info| (info.reason, info.metadata)).unwrap_or_default();
        let message = sentence(status.message());
        match (status.code(), reason.as_str()) {
            (Code::NotFound, "NOT_YET_OBSERVED") => {
                let [name, first] = ["article", "first_observe_time"].map(|key| known.get(key));
                let name = name.and_then(|name| ArticleName::parse(name).ok());
                let first = first.and_then(|first| first.parse().ok());
                let path = name.zip(first).map(|(name, first)| page_of(&name) + &point_query(Some(first), None));
                Self::missing(message).leading_to(path, "What it said then")
            }
            (Code::NotFound, "NOT_YET_ARCHIVED" | "REVISION_UNKNOWN" | "ORIGINAL_UNKNOWN") => Self::missing(message),
            (Code::NotFound | Code::PermissionDenied, _) => Self::not_found(),
            (Code::FailedPrecondition, "REVISION_EXPUNGED") => Self::expunged(message),
            (Code::FailedPrecondition, "LOG_KEY_MISSING") => {
                Self::missing("This archive does not sign its log, so it has no proofs.")
            }
            (Code::InvalidArgument | Code::OutOfRange | Code::FailedPrecondition | Code::Aborted, _) => {
                Self::malformed(message)
            }
            (Code::Unavailable | Code::ResourceExhausted, _) => Self::busy(),
            (
                Code::Ok
                | Code::Cancelled
                | Code::Unknown
                | Code::DeadlineExceeded
                | Code::AlreadyExists
                | Code::Unimplemented
                | Code::Internal
                | Code::DataLoss
                | Code::Unauthenticated,
                _,
            ) => Self::internal(),
        }
    }
}

/// A message as a sentence, with the names of articles as pages show them.
fn sentence(message: &str) -> String {
    let message = ArticleName::shortened_in(message);
    let mut characters = message.chars();
    let begins_with_name = message.split(' ').next().is_some_and(|word| word.contains('/'));
    let first = match characters.next() {
        Some(first) if begins_with_name => first.to_string(),
        first => first.map(|first| first.to_uppercase().to_string()).unwrap_or_default(),
    };
    format!("{first}{}.", characters.as_str().trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_a_sentence_with_short_names() {
        assert_eq!(sentence("there is nothing"), "There is nothing.");
        assert_eq!(sentence("sources/press/articles/a was first observed at 9."), "press/a was first observed at 9.");
    }
}
