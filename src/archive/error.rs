//! What can go wrong with a request to the archive, in the archive's own words.

use crate::archive::clock_watch::ClockFault;
use crate::model::{ArticleName, RequestId, RevisionNumber, Seq, SubscriptionId, Timestamp};
use crate::store::StoreError;

/// Why a request was not done. Nothing of a refused request was written.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ArchiveError {
    /// What was asked for is not there.
    #[error(transparent)]
    Missing(#[from] Missing),
    /// The write does not fit what is there.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// The point of the read cannot be answered.
    #[error(transparent)]
    Bound(#[from] BadBound),
    /// The archive cannot do it now.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// What is asked of a durable subscription does not fit it.
    #[error(transparent)]
    Subscription(#[from] SubscriptionError),
    /// More than can be written at once.
    #[error("{what} would take {size}; at most {size_max} is allowed")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// How large it is.
        size: usize,
        /// How large it may be.
        size_max: usize,
    },
    /// What lies on disk is not what was written.
    #[error("the archive is damaged: {detail}")]
    Damaged {
        /// The position that the damage belongs to, where that is known.
        seq: Option<Seq>,
        /// What was found, for the log.
        detail: String,
    },
    /// An invariant of the archive does not hold. The log says which.
    #[error("the archive could not do this because of a fault of its own; its log says more")]
    Internal,
}

/// Why a batch of operations was rejected. Nothing of it was written.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{error}")]
pub struct BatchError {
    /// The index of the operation at fault; `None` where the archive could not take the batch at all.
    pub failed_item: Option<usize>,
    /// What is wrong.
    pub error: ArchiveError,
}

impl<E: Into<ArchiveError>> From<E> for BatchError {
    /// An error of the batch as a whole.
    fn from(error: E) -> Self {
        Self { failed_item: None, error: error.into() }
    }
}

/// What is not there.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Missing {
    /// There is no article of this name.
    #[error("there is no article {0}")]
    Article(ArticleName),
    /// No article is known under this URL.
    #[error("no article is known under the URL {}", excerpt(.0))]
    Url(String),
    /// The article has no such revision, as far as the read may know.
    #[error("{article} has no revision {number} at that point")]
    Revision {
        /// The article.
        article: ArticleName,
        /// The number asked for.
        number: RevisionNumber,
    },
    /// The article was archived only after the read's knowledge bound.
    #[error("{article} was first archived at {first}, after the point asked for")]
    NotYetArchived {
        /// The article.
        article: ArticleName,
        /// The archive time of its first change.
        first: Timestamp,
    },
    /// The article was observed only after the instant asked for.
    #[error("{article} was first observed at {first}, after the time asked for")]
    NotYetObserved {
        /// The article.
        article: ArticleName,
        /// Its first observe time, as far as the read may know.
        first: Timestamp,
    },
}

/// The beginning of a text that is too long to be repeated in a message.
pub fn excerpt(text: &str) -> String {
    let mut characters = text.chars();
    let mut head: String = characters.by_ref().take(160).collect();
    if characters.next().is_some() {
        head.push('…');
    }
    head
}

/// What a write does not fit.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Conflict {
    /// The article must not exist, and does.
    #[error("{0} exists already")]
    ArticleExists(ArticleName),
    /// The newest state is not the one expected.
    #[error("{article} is at revision {current} (etag {etag}), not where the precondition expects it")]
    Revision {
        /// The article.
        article: ArticleName,
        /// Its newest revision.
        current: RevisionNumber,
        /// Its etag.
        etag: String,
    },
    /// The article is withdrawn at the time of the observation.
    #[error("{article} is withdrawn since {since}; reinstate it, or give an earlier observe_time")]
    Withdrawn {
        /// The article.
        article: ArticleName,
        /// Since when, on the observe axis.
        since: Timestamp,
    },
    /// The article would be withdrawn or reinstated before it was first observed.
    #[error("{article} was first observed at {first}; it cannot be withdrawn or reinstated before that")]
    MarkTooEarly {
        /// The article.
        article: ArticleName,
        /// Its first observe time.
        first: Timestamp,
    },
    /// The request id was used for another request.
    #[error("request id {id} was used before on {article}, for another request; use a new id")]
    RequestIdReused {
        /// The article.
        article: ArticleName,
        /// The id.
        id: RequestId,
    },
}

/// Why a point of the archive axis cannot be answered.
#[derive(Clone, Debug, thiserror::Error)]
pub enum BadBound {
    /// The position is beyond the end of the log.
    #[error("position {next_seq} is beyond the end of the log, {tail}; what is there may still change")]
    SeqInFuture {
        /// The position asked for.
        next_seq: Seq,
        /// The end of the log.
        tail: Seq,
    },
    /// The instant is ahead of the clock.
    #[error("archive time {archive_time} is in the future (it is {now}); what is known then may still change")]
    TimeInFuture {
        /// The instant asked for.
        archive_time: Timestamp,
        /// The clock.
        now: Timestamp,
    },
    /// The digest given for a position is not the log's.
    #[error(
        "this archive has another history below position {next_seq}: it is another archive, or was restored; begin anew"
    )]
    HistoryDiverged {
        /// The position.
        next_seq: Seq,
    },
}

/// What a durable subscription does not allow.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SubscriptionError {
    /// There is none of this name.
    #[error("there is no subscription {0}; create it first")]
    Unknown(SubscriptionId),
    /// There is one of this name.
    #[error("{0} exists already; subscribe to it, or choose another id")]
    Exists(SubscriptionId),
    /// A consumer is attached.
    #[error("{id} has a consumer attached ({}); stop it first", if consumer.is_empty() { "without a label" } else { consumer })]
    InUse {
        /// The subscription.
        id: SubscriptionId,
        /// What the consumer calls itself.
        consumer: String,
    },
    /// Another consumer was attached since, or the server was restarted, or the subscription was moved.
    #[error(
        "epoch {epoch} on {id} is lost: another consumer has attached since, it was moved, or the server has restarted; subscribe again"
    )]
    ConsumerFenced {
        /// The subscription.
        id: SubscriptionId,
        /// The epoch.
        epoch: u64,
    },
    /// The archive was restored, and its consumer may have been sent what was lost by that.
    #[error(
        "{id} is of before a restore: its consumer may have been sent changes that this archive no longer has; bring the \
         consumer to the state of this archive, then move the subscription to where it goes on"
    )]
    Restored {
        /// The subscription.
        id: SubscriptionId,
        /// Where the backup had it.
        next_seq: Seq,
    },
    /// More was acknowledged than was sent.
    #[error("{id}: {next_seq} was acknowledged, and what was delivered ends at {delivered}; acknowledge at most that")]
    AcknowledgedBeyond {
        /// The subscription.
        id: SubscriptionId,
        /// What was acknowledged.
        next_seq: Seq,
        /// What was delivered.
        delivered: Seq,
    },
    /// There are as many as may be.
    #[error(
        "there are {} subscriptions, as many as may be; delete one first",
        crate::archive::subscriptions::SUBSCRIPTIONS_MAX
    )]
    TooMany,
}

/// Why the archive cannot do it now.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Unavailable {
    /// Too many writes wait.
    #[error("too many writes are waiting; try again in a moment")]
    QueueFull,
    /// The connection has as many writes waiting as it leaves room for.
    #[error("this connection has as many writes waiting as one may have; wait for answers, or try again in a moment")]
    ShareUsed,
    /// The disk is nearly full.
    #[error("the archive's disk has {free_bytes} bytes free, and writes stop below {floor_bytes}; free some space")]
    StorageFull {
        /// What is free.
        free_bytes: u64,
        /// What must stay free.
        floor_bytes: u64,
    },
    /// A write or sync failed, and no more writes are taken.
    #[error("the archive takes no writes since its storage failed; restart the server and see its log")]
    StorageFailed,
    /// The clock has jumped ahead: archive times that it gave would stay there.
    #[error(
        "{0}; nothing is archived at such a time: set the clock right, or restart the server if it is right (--allow-clock-jump)"
    )]
    ClockJumped(ClockFault),
    /// The archive is being closed.
    #[error("the archive is shutting down; try again in a moment")]
    Draining,
}

impl From<StoreError> for ArchiveError {
    /// Damage stays damage. A failing engine is told as such; the detail is in the log already.
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
            EngineError::TooLarge { size, size_max } => Self::TooLarge { what: "a stored value", size, size_max },
            EngineError::Failed(_) | EngineError::Poisoned(_) => Unavailable::StorageFailed.into(),
            EngineError::Damaged(detail) => Self::Damaged { seq: None, detail },
        }
    }
}
