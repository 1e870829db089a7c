//! Converts every error to a gRPC status.
//!
//! A status has a code, a message that says what happened and what to do, and a `google.rpc.ErrorInfo` with a stable
//! reason and metadata. Invalid fields are also named in `google.rpc.BadRequest`. Details that only the operator can
//! use go to the log.

use std::collections::HashMap;
use std::fmt::Display;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::access::{AccessError, Permission, TooManyCalls, Unauthenticated};
use crate::archive::ArchiveError;
use crate::archive::error::{Conflict, InvalidReadPoint, Missing, SubscriptionError, Unavailable, excerpt};
use crate::model::{Limits, SubscriptionId};
use crate::webhook_keys::WebhookKeysError;
use crate::wire::{ERROR_DOMAIN, FieldError, FieldErrors, status_to_pb};

const RETRY_AFTER: Duration = Duration::from_millis(500);

/// An error response: why a request was not carried out.
#[derive(Clone, Debug)]
pub struct Refusal(Box<RefusalDetails>);

/// The content of an error response.
#[derive(Clone, Debug)]
struct RefusalDetails {
    code: Code,
    reason: &'static str,
    message: String,
    metadata: HashMap<String, String>,
    /// The invalid fields, if the request itself is at fault.
    fields: FieldErrors,
    retry_after: Option<Duration>,
    /// The principal whose limit was reached, and which limit that is.
    quota: Option<(String, String)>,
}

impl Refusal {
    fn new(code: Code, reason: &'static str, message: impl ToString) -> Self {
        let (metadata, fields) = (HashMap::new(), FieldErrors::default());
        let (message, retry_after, quota) = (message.to_string(), None, None);
        Self(Box::new(RefusalDetails { code, reason, message, metadata, fields, retry_after, quota }))
    }

    fn of_fields(mut self, fields: impl Into<FieldErrors>) -> Self {
        self.0.fields = fields.into();
        self
    }

    fn worth_retrying(mut self) -> Self {
        self.0.retry_after = Some(RETRY_AFTER);
        self
    }

    pub(super) fn with(mut self, key: &str, value: impl ToString) -> Self {
        self.0.metadata.insert(key.to_owned(), value.to_string());
        self
    }

    /// Whether it says that there is no such subscription.
    pub(super) fn is_subscription_unknown(&self) -> bool {
        self.0.reason == "SUBSCRIPTION_UNKNOWN"
    }

    /// The same error, attributed to one item of a batch.
    #[must_use]
    pub fn of_item(mut self, item: &str) -> Self {
        self.0.message = format!("{item}: {}", self.0.message);
        self.0.fields = self.0.fields.within(item);
        self.with("item", item)
    }

    /// A broken invariant of the server.
    pub(crate) fn internal() -> Self {
        tracing::error!("a call fails with INTERNAL: an invariant of the server does not hold");
        Self::new(Code::Internal, "INTERNAL", "the server has an internal error; see its log")
    }

    /// The call's deadline passed before the response was ready.
    pub(crate) fn deadline_passed() -> Self {
        let message = "the call's deadline passed before the response was ready; a write may have been carried out, so \
                       read it back, or send it again with the same request_id";
        Self::new(Code::DeadlineExceeded, "DEADLINE_PASSED", message)
    }

    /// The server has no key to sign with.
    pub(super) fn log_key_missing() -> Self {
        let message = "the server has no log key, so it cannot sign what it says; make one with `dateline key new FILE`, \
                       and start the server with --log-key FILE";
        Self::new(Code::FailedPrecondition, "LOG_KEY_MISSING", message)
    }

    /// No witness has cosigned a checkpoint of this many changes or more.
    pub(super) fn checkpoint_not_cosigned(size: u64) -> Self {
        let what = if size > 0 { format!(" of {size} changes or more") } else { String::new() };
        let message = format!(
            "no witness has cosigned a checkpoint{what}; GetStatus says what became of the requests to the witnesses of \
             `serve --witness`; try again in a minute"
        );
        Self::new(Code::FailedPrecondition, "CHECKPOINT_NOT_COSIGNED", message).with("min_tree_size", size)
    }

    /// The caller may not destroy texts.
    pub(super) fn expunge_not_allowed() -> Self {
        let message = "this server does not destroy texts for this caller; start it with --allow-expunge, and call it from \
                       the machine that it runs on";
        Self::new(Code::PermissionDenied, "EXPUNGE_NOT_ALLOWED", message)
    }

    /// The call has no principal.
    pub(crate) fn unauthenticated(why: Unauthenticated) -> Self {
        let (reason, message) = match why {
            Unauthenticated::Missing => (
                "CREDENTIALS_MISSING",
                "this server wants to know who calls; send a token (`dateline login`, DATELINE_TOKEN_FILE) or a client \
                 certificate",
            ),
            Unauthenticated::Invalid => {
                ("CREDENTIALS_INVALID", "no principal has this token or certificate; it may have been revoked")
            }
            Unauthenticated::Expired => {
                ("CREDENTIALS_EXPIRED", "the token or certificate has expired; ask an administrator for another")
            }
        };
        Self::new(Code::Unauthenticated, reason, message)
    }

    /// The caller may not do this, whether or not what it names exists.
    pub(crate) fn permission_denied(permission: Permission, resource: &str) -> Self {
        let message = format!("permission {permission} is denied on {resource}, or it does not exist");
        Self::new(Code::PermissionDenied, "PERMISSION_DENIED", message)
            .with("permission", permission)
            .with("resource", resource)
    }

    /// The principal makes more calls than it may.
    pub(crate) fn rate_limited(principal: &str, too_many: TooManyCalls) -> Self {
        let TooManyCalls { calls_per_second_max, retry_after } = too_many;
        let message = format!(
            "{principal} makes more than {calls_per_second_max} calls a second; wait {} ms",
            retry_after.as_millis().max(1)
        );
        let mut refusal = Self::new(Code::ResourceExhausted, "RATE_LIMITED", message)
            .with("principal", principal)
            .with("calls_per_second_max", calls_per_second_max);
        refusal.0.retry_after = Some(retry_after);
        refusal.of_quota(principal, format!("{calls_per_second_max} calls a second"))
    }

    /// The principal has as many streams open as it may.
    pub(crate) fn too_many_streams_of_principal(principal: &str, streams_max: u32) -> Self {
        let refusal = Self::too_many_streams_of(principal, streams_max).with("principal", principal);
        refusal.of_quota(principal, format!("{streams_max} open streams"))
    }

    fn of_quota(mut self, principal: &str, limit: String) -> Self {
        self.0.quota = Some((format!("principals/{principal}"), limit));
        self
    }

    /// A request by GET names the server by a name that anyone could have made lead here.
    pub(crate) fn host_not_allowed() -> Self {
        let message = "this server does not tell its callers apart, so it answers GET only if it is called by its IP address, \
                       or as localhost; use POST";
        Self::new(Code::PermissionDenied, "HOST_NOT_ALLOWED", message)
    }

    /// What the caller may read has changed since the feed began, so going on would skip changes in silence.
    pub(super) fn scope_changed() -> Self {
        let message = "what you may read has changed since this position was given; start again at a seq or a snapshot, \
                       and drop what you may no longer read";
        Self::new(Code::FailedPrecondition, "SCOPE_CHANGED", message)
    }

    /// The server was started with `--no-auth`, or the archive is in memory.
    pub(super) fn callers_not_told_apart() -> Self {
        let message = "this server does not tell its callers apart, so it has no tokens; start it without --no-auth";
        Self::new(Code::FailedPrecondition, "RULES_UNUSABLE", message)
    }

    /// A change of the rules that failed.
    pub(super) fn of_access(error: AccessError) -> Self {
        match &error {
            AccessError::Exists(name) => {
                Self::new(Code::AlreadyExists, "PRINCIPAL_EXISTS", &error).with("principal", name.as_str())
            }
            AccessError::Unknown(name) => {
                Self::new(Code::NotFound, "PRINCIPAL_UNKNOWN", &error).with("principal", name.as_str())
            }
            AccessError::File(_) | AccessError::Rules { .. } => {
                // The path is the operator's.
                tracing::error!(%error, "the rules could not be changed");
                let message = "the rules cannot be read or changed; the server's log says why";
                Self::new(Code::FailedPrecondition, "RULES_UNUSABLE", message)
            }
            AccessError::Randomness(_) => Self::internal(),
        }
    }

    /// Nobody sends to webhooks: the archive is not served, or only to this process.
    pub(super) fn webhooks_unavailable() -> Self {
        let message = "nothing sends to webhooks here; start a server with `dateline serve`, and try again";
        Self::new(Code::FailedPrecondition, "WEBHOOKS_UNAVAILABLE", message)
    }

    /// Too many tests of webhooks are waiting.
    pub(super) fn too_many_webhook_tests(waiting: usize) -> Self {
        let message = format!("{waiting} tests of webhooks are waiting, which is the maximum; try again in a moment");
        Self::new(Code::ResourceExhausted, "TOO_MANY_WEBHOOK_TESTS", message).worth_retrying()
    }

    /// The keys of webhooks could not be changed.
    pub(super) fn webhook_keys_unusable(error: &WebhookKeysError) -> Self {
        // The path is the operator's.
        tracing::error!(%error, "the keys of webhooks could not be changed");
        let message = "the keys of webhooks cannot be changed; the server's log says why";
        Self::new(Code::FailedPrecondition, "WEBHOOK_KEYS_UNUSABLE", message)
    }

    /// What happened, for people.
    pub(super) fn message(&self) -> &str {
        &self.0.message
    }

    /// The revision has no original.
    pub(super) fn original_unknown(revision: &str) -> Self {
        let message = format!("no original was kept with {revision}");
        Self::new(Code::NotFound, "ORIGINAL_UNKNOWN", message).with("revision", revision)
    }

    /// The original does not fit into a response of GetRevision.
    pub(super) fn original_too_large(revision: &str, size_bytes: u64, most: u64) -> Self {
        let message = format!(
            "the original of {revision} has {size_bytes} bytes, more than the {most} of GetRevision; use ReadOriginal"
        );
        Self::new(Code::FailedPrecondition, "ORIGINAL_TOO_LARGE", message)
            .with("revision", revision)
            .with("size_bytes", size_bytes)
    }

    /// Originals being read use all the memory they may, which is `memory_bytes_max`.
    pub(super) fn originals_being_read(memory_bytes_max: u64) -> Self {
        let message = format!(
            "the originals being read take the {} MiB of memory there is for them; try again in a moment",
            memory_bytes_max >> 20
        );
        Self::new(Code::ResourceExhausted, "TOO_MANY_STREAMS", message)
            .with("memory_bytes_max", memory_bytes_max)
            .worth_retrying()
    }

    /// The `grpc-timeout` header is malformed.
    pub(crate) fn timeout_malformed() -> Self {
        let problem = "must be 1 to 8 digits and a unit: H, M, S, m, u or n";
        FieldError::invalid("grpc-timeout", problem).into()
    }

    /// A health check named a service that the server does not have.
    pub(crate) fn service_unknown(service: &str) -> Self {
        let service = excerpt(service);
        let message = format!("there is no service {service:?} here; use an empty name for the whole server");
        Self::new(Code::NotFound, "SERVICE_UNKNOWN", message).with("service", service)
    }

    /// The server is shutting down.
    pub(crate) fn draining() -> Self {
        unavailable(&Unavailable::Draining)
    }

    /// Why a feed or a backup cannot begin at the requested position. A position in the future has its own reason, and
    /// `advice` says what to do about it.
    pub(super) fn of_start(error: ArchiveError, advice: &str) -> Self {
        let is_in_future = matches!(
            &error,
            ArchiveError::Bound(InvalidReadPoint::SeqInFuture { .. } | InvalidReadPoint::TimeInFuture { .. })
        );
        let message = format!("{error}; {advice}");
        let mut refusal = Self::from(error);
        if is_in_future {
            (refusal.0.reason, refusal.0.message) = ("START_IN_FUTURE", message);
        }
        refusal
    }

    /// The server has `streams_max` streams of this kind open, the maximum.
    pub(super) fn too_many_streams(streams_max: usize) -> Self {
        let message =
            format!("{streams_max} streams are open, which is the maximum; close some, or try again in a moment");
        Self::new(Code::ResourceExhausted, "TOO_MANY_STREAMS", message)
            .with("streams_max", streams_max)
            .worth_retrying()
    }

    /// The connection or address `whose` has `streams_max` streams open, the maximum.
    pub(super) fn too_many_streams_of(whose: &str, streams_max: impl Display + Copy) -> Self {
        let message =
            format!("{whose} has {streams_max} streams open, its maximum; close some, or try again in a moment");
        Self::new(Code::ResourceExhausted, "TOO_MANY_STREAMS", message)
            .with("streams_max", streams_max)
            .worth_retrying()
    }

    /// A subscriber's transport took nothing for too long.
    pub(super) fn stalled(stalled_after: Duration, token: &str) -> Self {
        let seconds = stalled_after.as_secs_f32();
        let message = format!("nothing was read for {seconds} s; subscribe again with the resume token");
        Self::new(Code::ResourceExhausted, "SUBSCRIBER_STALLED", message).with("resume_token", token)
    }

    /// The transport took nothing of a response, or of a stream other than a subscription, for too long.
    pub(crate) fn unread(stalled_after: Duration) -> Self {
        let message = format!("nothing was read for {:.1} s; repeat the call", stalled_after.as_secs_f32());
        Self::new(Code::ResourceExhausted, "STREAM_STALLED", message)
    }

    /// Whether later messages of the same stream would fail too.
    pub(super) fn ends_streams(&self) -> bool {
        matches!(self.0.code, Code::Unavailable | Code::Internal)
    }

    /// The error as a message, for one item of a response with several.
    pub fn into_message(self) -> tonic_types::Status {
        status_to_pb(&self.into())
    }
}

impl From<Refusal> for Status {
    fn from(Refusal(parts): Refusal) -> Self {
        let mut details = ErrorDetails::with_error_info(parts.reason, ERROR_DOMAIN, parts.metadata);
        for FieldError { path, problem, .. } in parts.fields.listed() {
            details.add_bad_request_violation(path, problem);
        }
        if let Some(delay) = parts.retry_after {
            details.set_retry_info(Some(delay));
        }
        if let Some((subject, limit)) = parts.quota {
            details.add_quota_failure_violation(subject, limit);
        }
        Self::with_error_details(parts.code, parts.message, details)
    }
}

impl From<FieldError> for Refusal {
    fn from(error: FieldError) -> Self {
        FieldErrors::from(error).into()
    }
}

/// The first field determines the reason and the metadata.
impl From<FieldErrors> for Refusal {
    fn from(errors: FieldErrors) -> Self {
        let Some(first) = errors.listed().first() else { return Self::internal() };
        let mut refusal = Self::new(Code::InvalidArgument, first.kind.reason(), &errors);
        refusal.0.metadata = first.metadata();
        refusal.of_fields(errors)
    }
}

impl From<ArchiveError> for Refusal {
    fn from(error: ArchiveError) -> Self {
        match error {
            ArchiveError::Missing(error) => missing(&error),
            ArchiveError::Conflict(error) => conflict(&error),
            ArchiveError::Bound(error) => bad_bound(&error),
            ArchiveError::Unavailable(error) => unavailable(&error),
            ArchiveError::Subscription(error) => subscription(&error),
            ArchiveError::Invalid(fields) => fields.into(),
            ArchiveError::TooLarge { .. } => FieldError::too_large("content", error).into(),
            ArchiveError::Damaged { seq, detail } => {
                tracing::error!(seq = seq.map(|seq| seq.0), detail, "stored data is damaged");
                let message = "the stored data is damaged and cannot be returned; see the server's log";
                let refusal = Self::new(Code::DataLoss, "CHECKSUM_MISMATCH", message);
                match seq {
                    Some(seq) => refusal.with("seq", seq),
                    None => refusal,
                }
            }
            ArchiveError::Internal => Self::internal(),
        }
    }
}

fn missing(error: &Missing) -> Refusal {
    let not_found = |reason| Refusal::new(Code::NotFound, reason, error);
    match error {
        Missing::Article(name) => not_found("ARTICLE_UNKNOWN").with("article", name),
        Missing::Url(url) => not_found("ARTICLE_UNKNOWN").with("url", excerpt(url)),
        Missing::UrlEnded { url, article, ended } => {
            not_found("URL_ENDED").with("url", excerpt(url)).with("article", article).with("end_time", ended)
        }
        Missing::Revision { article, number } => {
            not_found("REVISION_UNKNOWN").with("article", article).with("revision", number)
        }
        Missing::NotYetArchived { article, first } => {
            not_found("NOT_YET_ARCHIVED").with("article", article).with("first_archive_time", first)
        }
        Missing::NotYetObserved { article, first } => {
            not_found("NOT_YET_OBSERVED").with("article", article).with("first_observe_time", first)
        }
    }
}

fn conflict(error: &Conflict) -> Refusal {
    match error {
        Conflict::ArticleExists(name) => {
            Refusal::new(Code::AlreadyExists, "ARTICLE_EXISTS", error).with("article", name)
        }
        Conflict::Revision { article, current, etag, .. } => Refusal::new(Code::Aborted, "REVISION_CONFLICT", error)
            .with("article", article)
            .with("revision_number", current)
            .with("etag", etag),
        Conflict::Withdrawn { article, since } => Refusal::new(Code::FailedPrecondition, "ARTICLE_WITHDRAWN", error)
            .with("article", article)
            .with("withdrawn_since", since),
        Conflict::StateTooEarly { article, first } => {
            Refusal::new(Code::FailedPrecondition, "STATE_CHANGE_TOO_EARLY", error)
                .with("article", article)
                .with("first_observe_time", first)
        }
        Conflict::TooManyLabels { article, count, count_max } => {
            Refusal::new(Code::FailedPrecondition, "TOO_MANY_LABELS", error)
                .with("article", article)
                .with("labels", count)
                .with("labels_max", count_max)
        }
        Conflict::UrlTooEarly { article, first } => Refusal::new(Code::FailedPrecondition, "URL_MOVE_TOO_EARLY", error)
            .with("article", article)
            .with("first_observe_time", first),
        // Only moves of addresses affect an article that the request does not name.
        Conflict::NotWithin => Refusal::permission_denied(Permission::Mark, "sources/-"),
        Conflict::UrlElsewhere { url, at, leads_to } => {
            let refusal = Refusal::new(Code::FailedPrecondition, "URL_LEADS_ELSEWHERE", error);
            let refusal = refusal.with("url", excerpt(url)).with("observe_time", at);
            match leads_to {
                Some(article) => refusal.with("article", article),
                None => refusal,
            }
        }
        Conflict::TooManyUrls { article } => Refusal::new(Code::FailedPrecondition, "TOO_MANY_URLS", error)
            .with("article", article)
            .with("urls_max", Limits::ARTICLE_URLS_MAX),
        Conflict::TooManyMoves { url } => Refusal::new(Code::FailedPrecondition, "TOO_MANY_MOVES", error)
            .with("url", excerpt(url))
            .with("moves_max", Limits::URL_CHANGES_MAX),
        Conflict::Expunged { article, number } => Refusal::new(Code::FailedPrecondition, "REVISION_EXPUNGED", error)
            .with("article", article)
            .with("revision", number),
        Conflict::ExpungePlanChanged(article) => {
            Refusal::new(Code::Aborted, "EXPUNGE_PLAN_CHANGED", error).with("article", article)
        }
        Conflict::RequestIdReused { article, id } => Refusal::new(Code::FailedPrecondition, "REQUEST_ID_REUSED", error)
            .with("article", article)
            .with("request_id", id),
    }
}

fn bad_bound(error: &InvalidReadPoint) -> Refusal {
    match error {
        InvalidReadPoint::SeqInFuture { next_seq, tail } => Refusal::new(Code::OutOfRange, "AS_OF_IN_FUTURE", error)
            .with("next_seq", next_seq)
            .with("durable_next_seq", tail),
        InvalidReadPoint::TimeInFuture { archive_time, now } => {
            Refusal::new(Code::OutOfRange, "AS_OF_IN_FUTURE", error).with("archive_time", archive_time).with("now", now)
        }
        InvalidReadPoint::HistoryDiverged { next_seq } => {
            Refusal::new(Code::FailedPrecondition, "HISTORY_DIVERGED", error).with("next_seq", next_seq)
        }
    }
}

fn subscription(error: &SubscriptionError) -> Refusal {
    let refusal = |code, reason, id: &SubscriptionId| Refusal::new(code, reason, error).with("subscription", id);
    match error {
        SubscriptionError::Unknown(id) => refusal(Code::NotFound, "SUBSCRIPTION_UNKNOWN", id),
        SubscriptionError::Exists(id) => refusal(Code::AlreadyExists, "SUBSCRIPTION_EXISTS", id),
        SubscriptionError::InUse { id, consumer } => {
            refusal(Code::FailedPrecondition, "SUBSCRIPTION_IN_USE", id).with("consumer", consumer)
        }
        SubscriptionError::Changed { id, etag } => {
            refusal(Code::Aborted, "SUBSCRIPTION_CONFLICT", id).with("etag", etag)
        }
        SubscriptionError::RequestIdReused { id, request } => {
            refusal(Code::FailedPrecondition, "REQUEST_ID_REUSED", id).with("request_id", request)
        }
        SubscriptionError::ConsumerFenced { id, epoch, next_seq } => {
            refusal(Code::Aborted, "CONSUMER_FENCED", id).with("epoch", epoch).with("next_seq", next_seq)
        }
        SubscriptionError::Restored { id, next_seq } => {
            refusal(Code::FailedPrecondition, "HISTORY_DIVERGED", id).with("next_seq", next_seq)
        }
        SubscriptionError::BeyondDelivered { id, next_seq, delivered } => {
            refusal(Code::OutOfRange, "ACK_BEYOND_DELIVERED", id)
                .with("next_seq", next_seq)
                .with("delivered_next_seq", delivered)
        }
        SubscriptionError::TooMany => Refusal::new(Code::ResourceExhausted, "TOO_MANY_SUBSCRIPTIONS", error),
        SubscriptionError::HasWebhook(id) => refusal(Code::FailedPrecondition, "SUBSCRIPTION_HAS_WEBHOOK", id),
        SubscriptionError::NoWebhook(id) => refusal(Code::FailedPrecondition, "WEBHOOK_UNKNOWN", id),
        SubscriptionError::TooManyWebhooks => Refusal::new(Code::ResourceExhausted, "TOO_MANY_WEBHOOKS", error),
        SubscriptionError::TooManyParked { id, parked, parked_max } => {
            refusal(Code::ResourceExhausted, "TOO_MANY_PARKED", id)
                .with("parked", parked)
                .with("parked_max", parked_max)
        }
        SubscriptionError::NotDelivered { id, .. } => {
            Refusal::from(FieldError::invalid("seq", error)).with("subscription", id)
        }
    }
}

fn unavailable(error: &Unavailable) -> Refusal {
    match error {
        Unavailable::QueueFull => {
            Refusal::new(Code::ResourceExhausted, "QUEUE_FULL", error).with("full", "queue").worth_retrying()
        }
        Unavailable::ShareUsed => {
            Refusal::new(Code::ResourceExhausted, "QUEUE_FULL", error).with("full", "connection").worth_retrying()
        }
        Unavailable::StorageFull { free_bytes, floor_bytes } => {
            Refusal::new(Code::ResourceExhausted, "STORAGE_FULL", error)
                .with("free_bytes", free_bytes)
                .with("floor_bytes", floor_bytes)
        }
        Unavailable::ClockJumped(_) => Refusal::new(Code::Unavailable, "CLOCK_JUMPED", error),
        Unavailable::StorageFailed => Refusal::new(Code::Unavailable, "STORAGE_FAILED", error),
        Unavailable::Draining => Refusal::new(Code::Unavailable, "DRAINING", error).worth_retrying(),
    }
}
