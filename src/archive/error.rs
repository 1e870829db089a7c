//! The errors of the archive: one small enum per cause, each message with a way out if there is one.
//!
//! Programs must expect more variants in later versions; the project's own tests are to notice each new one.
//!
//! They know nothing of gRPC: `service` maps each variant to a status, and clients act on the reason in it, not on the
//! text. Details that only the operator can use are logged where the error occurs and are not part of it.

use crate::archive::clock_watch::ClockFault;
use crate::model::url_key::without_credentials;
use crate::model::{
    ArticleName, FieldError, FieldErrors, Limits, RequestId, RevisionNumber, Seq, SubscriptionId, Timestamp,
};
use crate::store::StoreError;

/// Why a request failed. A failed request has written nothing, unless the storage failed while it was being committed.
#[derive(Clone, Debug, thiserror::Error)]
#[cfg_attr(not(feature = "internals"), non_exhaustive)]
pub enum ArchiveError {
    /// The request has invalid fields. The error lists them.
    #[error(transparent)]
    Invalid(#[from] FieldErrors),
    /// The requested article or revision does not exist at the requested point.
    #[error(transparent)]
    Missing(#[from] Missing),
    /// The write conflicts with the article's recorded state.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// The requested point of the archive axis cannot be read.
    #[error(transparent)]
    Bound(#[from] InvalidReadPoint),
    /// The archive cannot carry out the request at the moment.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// The request conflicts with the state of a durable subscription.
    #[error(transparent)]
    Subscription(#[from] SubscriptionError),
    /// The request exceeds what can be written at once.
    #[error("{what} is {size}; at most {size_max} is allowed")]
    TooLarge {
        /// The quantity that is too large, with its unit, as the subject of a sentence.
        what: &'static str,
        /// How large it is, in that unit.
        size: usize,
        /// The most that is allowed, in the same unit.
        size_max: usize,
    },
    /// The data on disk is not what was written.
    #[error("the archive is damaged: {detail}")]
    Damaged {
        /// The position that the damage belongs to, if it is known.
        seq: Option<Seq>,
        /// What was found, for the log.
        detail: String,
    },
    /// An invariant of the archive does not hold. The log has the details.
    #[error("the archive could not do this because of a bug in it; its log has the details")]
    Internal,
}

impl ArchiveError {
    /// Whether the article or revision does not exist at the requested point, so that it may be recorded.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Missing(_))
    }
}

impl From<FieldError> for ArchiveError {
    fn from(error: FieldError) -> Self {
        Self::Invalid(error.into())
    }
}

/// Why a batch of operations was rejected. Nothing of it was written.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{error}")]
pub struct BatchError {
    /// The index of the operation at fault; `None` if the archive could not accept the batch at all.
    pub failed_item: Option<usize>,
    /// What is wrong with that operation, or why the batch was not accepted.
    pub error: ArchiveError,
}

impl<E: Into<ArchiveError>> From<E> for BatchError {
    /// Turns an error into one that concerns the batch as a whole.
    fn from(error: E) -> Self {
        Self { failed_item: None, error: error.into() }
    }
}

/// Why a requested article or revision does not exist at the requested point.
#[derive(Clone, Debug, thiserror::Error)]
#[cfg_attr(not(feature = "internals"), non_exhaustive)]
pub enum Missing {
    /// No article has this name.
    #[error("there is no article {0}")]
    Article(ArticleName),
    /// No article was recorded under this URL.
    #[error("no article is known under the URL {}", excerpt(&without_credentials(.0)))]
    Url(String),
    /// The URL led to an article until it ended, and leads nowhere at the requested point.
    #[error(
        "the URL {} led to {article} until {ended}, and then nowhere; ask for an earlier time, or for the article by name",
        excerpt(&without_credentials(.url))
    )]
    UrlEnded {
        /// The URL as the client gave it.
        url: String,
        /// The article that it led to last.
        article: ArticleName,
        /// The observe time from which it leads nowhere.
        ended: Timestamp,
    },
    /// The article has no revision of this number, as known at the read point.
    #[error("{article} has no revision {number}")]
    Revision {
        /// The article, which exists without this revision.
        article: ArticleName,
        /// The revision number that was requested.
        number: RevisionNumber,
    },
    /// The article exists, but its first change is later than the read point's archive side.
    #[error("{article} was first archived at {first}, which is after the requested point")]
    NotYetArchived {
        /// The article, which a later read point would find.
        article: ArticleName,
        /// The archive time of its first change.
        first: Timestamp,
    },
    /// The article exists, but it was first observed after the requested instant.
    #[error("{article} was first observed at {first}, which is after the requested time")]
    NotYetObserved {
        /// The article, which a later observe time would find.
        article: ArticleName,
        /// Its first observe time, as known at the read point.
        first: Timestamp,
    },
}

/// Returns the first 160 characters of a text that may be too long to repeat in a message, with an ellipsis if it was
/// cut.
pub fn excerpt(text: &str) -> String {
    let mut characters = text.chars();
    let mut head: String = characters.by_ref().take(160).collect();
    if characters.next().is_some() {
        head.push('…');
    }
    head
}

/// Why a write conflicts with the article's recorded state.
#[derive(Clone, Debug, thiserror::Error)]
#[cfg_attr(not(feature = "internals"), non_exhaustive)]
pub enum Conflict {
    /// The precondition requires that the article does not exist, and it does.
    #[error("{0} already exists")]
    ArticleExists(ArticleName),
    /// The operation would write to an article of a source that its writer may not write to.
    #[error("the address leads to an article that the writer may not write to")]
    NotWithin,
    /// The article's newest state is not the one that the precondition requires.
    #[error("{article} {}", difference(*.current, .etag, *.required))]
    Revision {
        /// The article that the write was for.
        article: ArticleName,
        /// The newest revision that the precondition requires; `None` if it requires an etag.
        required: Option<RevisionNumber>,
        /// Its newest revision, which may not have the highest number.
        current: RevisionNumber,
        /// The etag of its newest state.
        etag: String,
    },
    /// The article is withdrawn at the observation's observe time.
    #[error("{article} is withdrawn as of {since}; reinstate it first, or record the observation at an earlier time")]
    Withdrawn {
        /// The article that the write was for.
        article: ArticleName,
        /// The observe time from which it is withdrawn.
        since: Timestamp,
    },
    /// The article would be withdrawn, reinstated or found missing before it was first observed.
    #[error("{article} was first observed at {first}; it cannot be withdrawn, reinstated or missing before that")]
    StateTooEarly {
        /// The article that the write was for.
        article: ArticleName,
        /// Its first observe time.
        first: Timestamp,
    },
    /// The article would have more labels than are allowed.
    #[error("{article} would have {count} labels; at most {count_max} are allowed; remove some first")]
    TooManyLabels {
        /// The article that the write was for.
        article: ArticleName,
        /// How many labels it would have.
        count: usize,
        /// How many it may have.
        count_max: usize,
    },
    /// An address would lead to the article before it was first observed.
    #[error("{article} was first observed at {first}; no address can be moved to it before that")]
    UrlTooEarly {
        /// The article that the address was to lead to.
        article: ArticleName,
        /// Its first observe time.
        first: Timestamp,
    },
    /// An address does not lead to the article that it is to be moved away from.
    #[error("{} {}", excerpt(&without_credentials(.url)), elsewhere(.leads_to.as_ref(), *.at))]
    UrlElsewhere {
        /// The URL as the client gave it.
        url: String,
        /// The observe time of the move.
        at: Timestamp,
        /// The article that the address leads to then; `None` if it leads nowhere.
        leads_to: Option<ArticleName>,
    },
    /// The article would have more periods of addresses than are allowed.
    #[error("{article} already has {} URLs, the maximum", Limits::ARTICLE_URLS_MAX)]
    TooManyUrls {
        /// The article that the address was to lead to.
        article: ArticleName,
    },
    /// An address was moved as often as is allowed.
    #[error(
        "{} was ended or moved {} times already, the maximum",
        excerpt(&without_credentials(.url)),
        Limits::URL_CHANGES_MAX
    )]
    TooManyMoves {
        /// The URL as the client gave it.
        url: String,
    },
    /// The text of the revision was destroyed.
    #[error("the text of revision {number} of {article} was destroyed; choose another revision")]
    Expunged {
        /// The article, which has a stub in the place of the revision.
        article: ArticleName,
        /// The number of the revision.
        number: RevisionNumber,
    },
    /// What is to be destroyed is not what the plan says, because the article or the request has changed since.
    #[error("what would be destroyed of {0} is not what the plan says; make a new plan, read it, and confirm that one")]
    ExpungePlanChanged(ArticleName),
    /// The request id was already used on the article, for a different request.
    #[error("request id {id} was already used on {article} for a different request; use a new id")]
    RequestIdReused {
        /// The article that the write was for.
        article: ArticleName,
        /// The id that was used twice.
        id: RequestId,
    },
}

/// Says where an address leads, instead of to the article that a move names.
fn elsewhere(leads_to: Option<&ArticleName>, at: Timestamp) -> String {
    match leads_to {
        Some(article) => format!("leads to {article} at {at}; move it away from there"),
        None => format!("is not known to lead to an article at {at}; choose a time at which it does"),
    }
}

/// Says how an article's newest state differs from the one that a precondition requires.
fn difference(current: RevisionNumber, etag: &str, required: Option<RevisionNumber>) -> String {
    match required {
        Some(required) => format!("is at revision {current}, not at revision {required}"),
        None => format!(
            "does not have the required etag: it is at revision {current}, with etag {etag}; read it again before you \
             retry"
        ),
    }
}

/// Why a point of the archive axis cannot be read.
#[derive(Clone, Debug, thiserror::Error)]
#[cfg_attr(not(feature = "internals"), non_exhaustive)]
pub enum InvalidReadPoint {
    /// The position is beyond the end of the log.
    #[error("position {next_seq} is beyond the end of the log, {tail}; the changes below it may still change")]
    SeqInFuture {
        /// The requested position, which is greater than `tail`.
        next_seq: Seq,
        /// The durable end of the log.
        tail: Seq,
    },
    /// The instant is ahead of the archive's clock.
    #[error("archive time {archive_time} is in the future (it is {now}); what is known then may still change")]
    TimeInFuture {
        /// The requested archive time, which is later than `now`.
        archive_time: Timestamp,
        /// The time of the archive's clock.
        now: Timestamp,
    },
    /// The log digest given for a position is not that of this log.
    #[error(
        "this archive has a different history below position {next_seq}: it is another archive, or was restored from a \
         backup; start again from the beginning"
    )]
    HistoryDiverged {
        /// The position that the digest was given for.
        next_seq: Seq,
    },
}

/// Why a durable subscription does not allow a request.
#[derive(Clone, Debug, thiserror::Error)]
#[cfg_attr(not(feature = "internals"), non_exhaustive)]
pub enum SubscriptionError {
    /// No subscription has this id.
    #[error("there is no subscription {0}")]
    Unknown(SubscriptionId),
    /// A subscription with this id exists, and another request created it.
    #[error("{0} already exists")]
    Exists(SubscriptionId),
    /// The subscription does not have the required etag.
    #[error("{id} does not have the required etag: it has {etag}; read it again before you retry")]
    Changed {
        /// The subscription that the request was for.
        id: SubscriptionId,
        /// Its present etag.
        etag: String,
    },
    /// The request id was already used on the subscription, for a different request.
    #[error("request id {request} was already used on {id} for a different request; use a new id")]
    RequestIdReused {
        /// The subscription that the request was for.
        id: SubscriptionId,
        /// The id that was used twice.
        request: RequestId,
    },
    /// A consumer is attached, so the subscription cannot be moved, updated or deleted.
    #[error("{id} has a consumer attached ({}); stop it first", if consumer.is_empty() { "without a label" } else { consumer })]
    InUse {
        /// The subscription that the request was for.
        id: SubscriptionId,
        /// The label that the consumer gave itself; may be empty.
        consumer: String,
    },
    /// The epoch is not current: another consumer has attached since, the subscription was moved or updated, or the
    /// server was restarted.
    #[error(
        "epoch {epoch} of {id} is no longer valid: another consumer has attached, the subscription was moved or \
         updated, or the server was restarted; everything below change {next_seq} is acknowledged; subscribe again"
    )]
    ConsumerFenced {
        /// The subscription that the request was for.
        id: SubscriptionId,
        /// The epoch that the consumer gave.
        epoch: u64,
        /// The position below which everything is acknowledged.
        next_seq: Seq,
    },
    /// The archive was restored, and the consumer may have received changes that were lost by that.
    #[error(
        "{id} dates from before a restore: its consumer may have received changes that this archive no longer has; \
         bring the consumer to the state of this archive, then move the subscription to the position to continue from"
    )]
    Restored {
        /// The subscription that the request was for.
        id: SubscriptionId,
        /// Its position in the backup.
        next_seq: Seq,
    },
    /// Changes that were not delivered are to be acknowledged or parked.
    #[error(
        "{id}: not everything below position {next_seq} was delivered; acknowledge or park only what was delivered, \
         which is everything below {delivered}"
    )]
    BeyondDelivered {
        /// The subscription that the request was for.
        id: SubscriptionId,
        /// The position after the last change to acknowledge or to park.
        next_seq: Seq,
        /// The position below which everything that matches was delivered.
        delivered: Seq,
    },
    /// The archive has the maximum number of subscriptions.
    #[error("the archive has {} subscriptions, which is the maximum; delete one first", Limits::SUBSCRIPTIONS_MAX)]
    TooMany,
    /// A client cannot attach to a subscription whose changes the server sends to a webhook.
    #[error("{0} has a webhook, so the server itself is its consumer; create another subscription to follow")]
    HasWebhook(SubscriptionId),
    /// The request is about the webhook of a subscription that has none.
    #[error("{0} has no webhook; `dateline webhook create` makes a subscription with one")]
    NoWebhook(SubscriptionId),
    /// The archive has the maximum number of webhooks.
    #[error("the archive has {} webhooks, which is the maximum; delete one first", Limits::WEBHOOKS_MAX)]
    TooManyWebhooks,
    /// The subscription, or the archive, has the maximum number of parked changes.
    #[error(
        "{id} has {parked} parked changes, and at most {parked_max} are allowed{}; deal with some and resolve them \
         first",
        if *parked_max == Limits::PARKED_TOTAL_MAX { " over all subscriptions" } else { "" }
    )]
    TooManyParked {
        /// The subscription that the request was for.
        id: SubscriptionId,
        /// How many parked changes it has.
        parked: usize,
        /// The limit that applies: that of one subscription, or that of all.
        parked_max: usize,
    },
    /// The change to park is not one that the subscription delivers.
    #[error("{id} does not deliver change {seq}; park only a change that was delivered")]
    NotDelivered {
        /// The subscription that the request was for.
        id: SubscriptionId,
        /// The position of the change.
        seq: Seq,
    },
}

/// Why the archive cannot carry out a request at the moment.
#[derive(Clone, Debug, thiserror::Error)]
#[cfg_attr(not(feature = "internals"), non_exhaustive)]
pub enum Unavailable {
    /// The queue of writes is full.
    #[error("too many writes are waiting; try again in a moment")]
    QueueFull,
    /// The connection has as many writes in the queue as its share allows.
    #[error("this connection has as many writes waiting as it may; wait for replies, or try again in a moment")]
    ShareUsed,
    /// The disk is nearly full. The sizes in the message are in units of 1,000,000 bytes.
    #[error(
        "the archive's disk has {} MB free, and writes stop below {} MB; free some space",
        free_bytes / 1_000_000,
        floor_bytes / 1_000_000
    )]
    StorageFull {
        /// The free space on the disk, in bytes.
        free_bytes: u64,
        /// The free space that must remain, in bytes.
        floor_bytes: u64,
    },
    /// A write or a sync failed, and the archive accepts no more writes.
    #[error("the archive accepts no writes because its storage failed; see the server's log, then restart the server")]
    StorageFailed,
    /// The clock has jumped ahead. Archive times never go back, so one commit now would keep them there.
    #[error(
        "{0}; writes are rejected until the clock is corrected; if it is right, restart the server with \
         --allow-clock-jump"
    )]
    ClockJumped(ClockFault),
    /// The archive is being closed.
    #[error("the archive is shutting down; try again in a moment")]
    Draining,
}

impl From<StoreError> for ArchiveError {
    /// Damage stays damage. A failed engine becomes [`Unavailable::StorageFailed`] without the detail, which was logged
    /// already.
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Engine(engine) => engine.into(),
            StoreError::Damaged { seq, detail } => Self::Damaged { seq, detail },
        }
    }
}

impl From<crate::store::EngineError> for ArchiveError {
    fn from(error: crate::store::EngineError) -> Self {
        use crate::store::EngineError;
        match error {
            EngineError::Full { free_bytes, floor_bytes } => {
                Unavailable::StorageFull { free_bytes, floor_bytes }.into()
            }
            EngineError::TooLarge { size, size_max } => {
                Self::TooLarge { what: "the size of a stored value in bytes", size, size_max }
            }
            EngineError::Failed(_) | EngineError::Poisoned(_) => Unavailable::StorageFailed.into(),
            EngineError::Damaged(detail) => Self::Damaged { seq: None, detail },
        }
    }
}
