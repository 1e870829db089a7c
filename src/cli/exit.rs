//! How a command ends: its exit status, and what it says when it failed.

use tonic::{Code, Status};

use crate::client::ServerError;

/// Exit statuses. They are part of the contract with scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// It failed in a way that has no status of its own.
    Failed = 1,
    /// The command or its settings make no sense.
    Usage = 2,
    /// What was asked for isn't there.
    NotFound = 3,
    /// The write doesn't fit what is there.
    Conflict = 4,
    /// The archive or server can't be reached.
    Unreachable = 5,
    /// What is stored is damaged.
    Damaged = 6,
}

/// Why a command failed.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    /// The exit status.
    pub(super) exit: Exit,
    /// What happened.
    pub(super) message: String,
    /// What to do, where there is something.
    pub(super) hint: Option<String>,
    /// What kind of failure it is, in the form of `google.rpc.ErrorInfo`, where it was not the server's; empty where it
    /// has no name.
    pub(super) kind: &'static str,
    /// What the server said, where it was the server.
    pub(super) server: Option<Box<ServerError>>,
}

impl Failure {
    pub(super) fn new(exit: Exit, message: impl ToString) -> Self {
        Self { exit, message: message.to_string(), hint: None, kind: "", server: None }
    }

    pub(super) fn hint(mut self, hint: impl ToString) -> Self {
        self.hint = Some(hint.to_string());
        self
    }

    pub(super) fn kind(mut self, kind: &'static str) -> Self {
        self.kind = kind;
        self
    }

    /// What kind of failure it is, for programs and for counting.
    pub(super) fn reason(&self) -> &str {
        self.server.as_ref().map_or(self.kind, |server| &server.reason)
    }
}

/// What a person is told who has asked for an end.
pub(super) fn interrupted(what_is_left: &str) -> Failure {
    Failure::new(Exit::Failed, format!("interrupted; {what_is_left}"))
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        ServerError::from(status).into()
    }
}

impl From<ServerError> for Failure {
    fn from(error: ServerError) -> Self {
        let message = if error.is_of_transport() {
            format!("the server did not answer as a Dateline server does: {}", error.message)
        } else {
            // The message names the first bad field, and how many more there are.
            let others = error.field_violations.iter().skip(1);
            let others = others.map(|bad| format!("\n  {}: {}", bad.field, bad.description));
            format!("{}{}", error.message, others.collect::<String>())
        };
        Self { exit: exit_of(&error), message, hint: hint_of(&error), kind: "", server: Some(Box::new(error)) }
    }
}

fn exit_of(error: &ServerError) -> Exit {
    if error.is_of_transport() {
        return Exit::Unreachable;
    }
    if error.reason == "REQUEST_ID_REUSED" {
        return Exit::Conflict;
    }
    match error.code {
        Code::NotFound => Exit::NotFound,
        Code::AlreadyExists | Code::Aborted | Code::FailedPrecondition => Exit::Conflict,
        Code::InvalidArgument if is_of_document(error) => Exit::Failed,
        Code::InvalidArgument | Code::OutOfRange => Exit::Usage,
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled => Exit::Unreachable,
        Code::DataLoss => Exit::Damaged,
        Code::Ok
        | Code::Unknown
        | Code::PermissionDenied
        | Code::Unauthenticated
        | Code::ResourceExhausted
        | Code::Unimplemented
        | Code::Internal => Exit::Failed,
    }
}

/// Whether the mistake is in what a document says, and not in how the command was called.
fn is_of_document(error: &ServerError) -> bool {
    let field = error.metadata.get("field").map_or("", String::as_str);
    field.starts_with("content")
        || field.starts_with("original")
        || matches!(error.reason.as_str(), "ARTICLE_TOO_LARGE" | "MESSAGE_TOO_LARGE")
}

fn hint_of(error: &ServerError) -> Option<String> {
    let metadata = |key: &str| error.metadata.get(key).map(String::as_str).unwrap_or_default();
    let hint = match error.reason.as_str() {
        "ARTICLE_UNKNOWN" => "`dateline list` lists the articles".to_owned(),
        "REVISION_UNKNOWN" => {
            format!("`dateline log {}` lists its revisions", super::article::short(metadata("article")))
        }
        "NOT_YET_OBSERVED" | "MARK_TOO_EARLY" => format!("give a time from {} on", metadata("first_observe_time")),
        "NOT_YET_ARCHIVED" => format!("give --known-at from {} on", metadata("first_archive_time")),
        "ARTICLE_EXISTS" => "leave out --if-new to archive another observation of it".to_owned(),
        "REVISION_CONFLICT" => {
            "somebody archived another revision meanwhile: see `dateline log`, then try again".to_owned()
        }
        "ARTICLE_WITHDRAWN" => {
            format!("`dateline reinstate {}` puts it up again", super::article::short(metadata("article")))
        }
        "AS_OF_IN_FUTURE" => "leave out --known-at to read what is known now".to_owned(),
        "SUBSCRIPTION_UNKNOWN" => {
            "`dateline subscriptions` lists them; `dateline watch --durable NAME` makes one".to_owned()
        }
        "SUBSCRIPTION_EXISTS" => "`dateline watch --durable NAME` goes on with it".to_owned(),
        "SUBSCRIPTION_IN_USE" => "end its consumer first; `dateline subscriptions` shows who that is".to_owned(),
        "LEASE_LOST" => {
            "a subscription has one consumer at a time, and it was given to another; give each a name of its own"
                .to_owned()
        }
        "HISTORY_DIVERGED" if !metadata("subscription").is_empty() => {
            let id = metadata("subscription");
            let id = id.strip_prefix("subscriptions/").unwrap_or(id);
            format!(
                "the archive was restored from a backup: what this consumer did since then may be of changes that are lost. \
                 Begin again with `dateline subscriptions seek {id} --from beginning`, or from where it is right"
            )
        }
        "HISTORY_DIVERGED" => {
            "the archive is another one, or was restored from a backup: begin anew with --from".to_owned()
        }
        "PAGE_TOKEN_MISMATCH" => {
            "give --resume the token as it was printed, and the filter and kinds of that watch".to_owned()
        }
        "START_IN_FUTURE" => "--from now begins at the end".to_owned(),
        "CHECKSUM_MISMATCH" => "other articles stay readable; restore this archive from a backup".to_owned(),
        _ if error.code == Code::Unimplemented => "is that a Dateline server of this version?".to_owned(),
        _ => return None,
    };
    Some(hint)
}
