//! Exit statuses, and the message and hint of a command that failed.

use tonic::{Code, Status};

use super::field_names::{json_name, option_of};
use super::short_name::short;
use crate::client::ServerError;
use crate::model::ArticleName;

/// The exit statuses. They are part of the contract with scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// A failure that has no status of its own.
    Failed = 1,
    /// The arguments or settings are invalid.
    Usage = 2,
    /// The requested article, revision or other resource does not exist.
    NotFound = 3,
    /// The request conflicts with the current state of the archive or of a file.
    Conflict = 4,
    /// The archive or the server cannot be reached.
    Unreachable = 5,
    /// Stored data is damaged.
    Damaged = 6,
    /// The caller is unknown to the server, or may not do this.
    NotAllowed = 7,
}

/// Why a command failed.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    /// The exit status that the process ends with.
    pub(super) exit: Exit,
    /// What happened, for people. Starts in lower case and has no full stop.
    pub(super) message: String,
    /// What the user can do about it, if anything.
    pub(super) hint: Option<String>,
    /// The kind of a failure that did not come from the server, in the form of the reason in `google.rpc.ErrorInfo`.
    /// Empty if it has none.
    pub(super) kind: String,
    /// The error that the server returned, if it came from the server.
    pub(super) server: Option<Box<ServerError>>,
}

impl Failure {
    pub(super) fn new(exit: Exit, message: impl ToString) -> Self {
        Self { exit, message: message.to_string(), hint: None, kind: String::new(), server: None }
    }

    pub(super) fn hint(mut self, hint: impl ToString) -> Self {
        self.hint = Some(hint.to_string());
        self
    }

    pub(super) fn kind(mut self, kind: &str) -> Self {
        self.kind = kind.to_owned();
        self
    }

    /// The failure of a call whose request was built from the command line. Its invalid fields are named by the options
    /// that set them.
    pub(super) fn of_call(error: ServerError) -> Self {
        Self { message: message_of(&error, |field| option_of(field).to_owned()), ..Self::from(error) }
    }

    /// The failure of a call whose request came from a collection. Its invalid fields have their names in JSON.
    pub(super) fn of_item(error: ServerError) -> Self {
        Self { message: message_of(&error, json_name), ..Self::from(error) }
    }

    /// The stable reason of this failure, for programs and for counts by reason.
    pub(super) fn reason(&self) -> &str {
        self.server.as_ref().map_or(&self.kind, |server| &server.reason)
    }
}

/// The failure of a command that a signal interrupted. `what_is_left` says what was left undone, and how to continue.
pub(super) fn interrupted(what_is_left: &str) -> Failure {
    Failure::new(Exit::Failed, format!("interrupted; {what_is_left}"))
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Self::of_call(status.into())
    }
}

impl From<ServerError> for Failure {
    fn from(error: ServerError) -> Self {
        let message = message_of(&error, str::to_owned);
        Self {
            exit: exit_of(&error),
            message,
            hint: hint_of(&error),
            kind: String::new(),
            server: Some(Box::new(error)),
        }
    }
}

/// The message for people, with a line for each further invalid field. `name_of` names the fields.
fn message_of(error: &ServerError, name_of: fn(&str) -> String) -> String {
    if let Some(answer) = foreign_answer(error) {
        return format!("the response is not that of a Dateline server: {answer}");
    }
    if error.is_of_transport() {
        return format!("the connection to the server broke: {}", error.message);
    }
    let mut fields = error.field_violations.iter();
    // The server's message begins with the first invalid field, and ends with the number of others.
    let first = fields.next().map_or("", |first| first.field.as_str());
    let mut message = match error.message.strip_prefix(first) {
        Some(rest) if rest.starts_with(':') => format!("{}{rest}", name_of(first)),
        Some(_) | None => error.message.clone(),
    };
    for field in fields {
        message.push_str(&format!("\n  {}: {}", name_of(&field.field), field.description));
    }
    ArticleName::shortened_in(&message)
}

/// What the peer answered, if it is not a Dateline server; `None` if it is one, or if the connection broke. Only the
/// client library's message distinguishes a foreign answer from a broken connection. A Dateline server gives every
/// error a reason.
fn foreign_answer(error: &ServerError) -> Option<&str> {
    let message = error.message.as_str();
    let is_unknown_call = error.code == Code::Unimplemented;
    let is_foreign = is_unknown_call
        || message.starts_with("protocol error: received message")
        || message == "Missing response message."
        // Another protocol, such as HTTP/1.1, whose first bytes were read as a frame of HTTP/2.
        || message.contains("frame with invalid size");
    match message.strip_prefix("grpc-status header missing, mapped from ") {
        _ if !error.reason.is_empty() => None,
        Some(status) => Some(status),
        None if is_unknown_call && message.is_empty() => Some("it does not know this call"),
        None => Some(message).filter(|_| is_foreign),
    }
}

fn exit_of(error: &ServerError) -> Exit {
    if error.is_of_transport() || foreign_answer(error).is_some() {
        return Exit::Unreachable;
    }
    match error.code {
        Code::NotFound => Exit::NotFound,
        Code::AlreadyExists | Code::Aborted | Code::FailedPrecondition => Exit::Conflict,
        Code::InvalidArgument if is_of_document(error) => Exit::Failed,
        Code::InvalidArgument | Code::OutOfRange => Exit::Usage,
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled => Exit::Unreachable,
        Code::DataLoss => Exit::Damaged,
        Code::PermissionDenied | Code::Unauthenticated => Exit::NotAllowed,
        Code::Ok | Code::Unknown | Code::ResourceExhausted | Code::Unimplemented | Code::Internal => Exit::Failed,
    }
}

/// Whether the error is in what a document states, and not in how the command was called.
fn is_of_document(error: &ServerError) -> bool {
    let field = error.metadata.get("field").map_or("", String::as_str);
    field.starts_with("content")
        || field.starts_with("original")
        || field.starts_with("labels")
        || matches!(error.reason.as_str(), "ARTICLE_TOO_LARGE" | "MESSAGE_TOO_LARGE")
}

fn hint_of(error: &ServerError) -> Option<String> {
    let metadata = |key: &str| error.metadata.get(key).map(String::as_str).unwrap_or_default();
    let hint = match error.reason.as_str() {
        "CREDENTIALS_MISSING" | "CREDENTIALS_INVALID" | "CREDENTIALS_EXPIRED" => {
            "`dateline login URL` keeps a token for a server; `dateline token create` makes one".to_owned()
        }
        "PERMISSION_DENIED" => "`dateline whoami` shows what you may do".to_owned(),
        "ARTICLE_UNKNOWN" => "`dateline list` lists the articles".to_owned(),
        "REVISION_UNKNOWN" => {
            format!("`dateline log {}` lists its revisions", short(metadata("article")))
        }
        "ARTICLE_EXISTS" => "leave out --if-new to record another observation of it".to_owned(),
        "REVISION_CONFLICT" => format!(
            "`dateline log {}` lists its revisions; --if-revision {} accepts the newest one",
            short(metadata("article")),
            metadata("revision_number")
        ),
        "ARTICLE_WITHDRAWN" => {
            format!("`dateline reinstate {}` records that it is up again", short(metadata("article")))
        }
        "TOO_MANY_LABELS" => format!("`dateline label {} -LABEL` removes one", short(metadata("article"))),
        "URL_ENDED" => format!("`dateline show {}` shows that article", short(metadata("article"))),
        "AS_OF_IN_FUTURE" => "leave out --known-at to read what is known now".to_owned(),
        "SUBSCRIPTION_UNKNOWN" => {
            "`dateline subscriptions` lists them; `dateline watch --durable NAME` creates one".to_owned()
        }
        "TOO_MANY_PARKED" => {
            let id = metadata("subscription");
            let id = id.strip_prefix("subscriptions/").unwrap_or(id);
            format!("`dateline subscriptions parked {id}` lists them, and `retry` and `resolve` remove them")
        }
        "WEBHOOK_UNKNOWN" => "`dateline webhook list` lists those that there are".to_owned(),
        "SUBSCRIPTION_EXISTS" => "`dateline watch --durable NAME` continues it".to_owned(),
        "CONSUMER_FENCED" => "give each consumer a subscription of its own".to_owned(),
        "HISTORY_DIVERGED" if !metadata("subscription").is_empty() => {
            let id = metadata("subscription");
            let id = id.strip_prefix("subscriptions/").unwrap_or(id);
            format!("`dateline subscriptions seek {id} --from beginning` moves it to the beginning of the log")
        }
        "CHECKSUM_MISMATCH" => "other articles stay readable; restore this archive from a backup".to_owned(),
        _ if foreign_answer(error).is_some() => "check that it is a Dateline server of this version".to_owned(),
        _ if error.is_of_transport() => {
            "check that the server is running, and that it is a Dateline server of this version".to_owned()
        }
        _ => return None,
    };
    Some(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: Code, message: &str) -> ServerError {
        Status::new(code, message).into()
    }

    #[test]
    fn a_broken_connection_is_not_a_foreign_server() {
        let lost = "protocol error: missing grpc-status trailer, stream was terminated without a final status";
        for (code, message) in [
            (Code::Unavailable, "connection reset by peer"),
            (Code::Unknown, "transport error"),
            (Code::Unknown, lost),
            (Code::Internal, "h2 protocol error: http2 error"),
            (Code::Cancelled, "operation was canceled"),
        ] {
            let failure = Failure::from(error(code, message));
            assert_eq!(failure.message, format!("the connection to the server broke: {message}"));
            assert_eq!(failure.exit, Exit::Unreachable);
        }
    }

    #[test]
    fn an_answer_of_something_else_is_not_a_broken_connection() {
        for (code, message, answer) in [
            (
                Code::Unimplemented,
                "grpc-status header missing, mapped from HTTP status code 404",
                "HTTP status code 404",
            ),
            (
                Code::PermissionDenied,
                "grpc-status header missing, mapped from HTTP status code 403",
                "HTTP status code 403",
            ),
            (Code::Unimplemented, "", "it does not know this call"),
            (Code::Internal, "Missing response message.", "Missing response message."),
            (
                Code::Internal,
                "connection error detected: frame with invalid size",
                "connection error detected: frame with invalid size",
            ),
        ] {
            let failure = Failure::from(error(code, message));
            assert_eq!(failure.message, format!("the response is not that of a Dateline server: {answer}"));
            assert_eq!(failure.exit, Exit::Unreachable);
            assert!(failure.hint.is_some_and(|hint| hint.contains("a Dateline server of this version")));
        }
    }
}
