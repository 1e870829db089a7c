//! The gRPC services: each method parses its request, calls the archive, and renders the response.
//!
//! This layer contains no rules of the product, and knows the archive only through its public types. Every error is
//! converted to a status in [`status`], and nowhere else.

mod access;
mod admin;
mod archive;
mod audit;
mod authority;
mod backup;
mod caller;
mod checkpoints;
mod expunge;
mod feed;
mod import;
mod integrity;
mod lists;
mod methods;
mod operation;
mod original;
mod page_space;
mod render;
mod sink;
pub mod status;
mod verify;
mod webhooks;
mod witnesses;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

pub use access::AccessHandler;
pub use admin::AdminHandler;
pub use archive::ArchiveHandler;
pub use audit::{code_name, note_call};
pub use authority::{Required, required};
pub use caller::{Caller, PeerIdentity, PeerPlace, PerPeer, counted_as};
pub use checkpoints::Signer;
pub(crate) use feed::encode_change;
pub use feed::{FeedHandler, FeedStats, Memory, NextChanges, SubscriberKind, WebhookConsumer};
pub use integrity::IntegrityHandler;
pub use methods::{is_stream, methods};
pub use webhooks::{WebhookHold, WebhookStats, WebhookTest, WebhookTested, Webhooks};
pub use witnesses::Witness;

pub(crate) use self::status::Refusal;
use crate::access::Access;
use crate::archive::read::article::View;
use crate::archive::{Archive, ReadPoint};
use crate::model::{AsOf, Limits, Seq};
use crate::wire::{FieldError, pb};

/// What a method returns: its response, or the status of its error.
type RpcResult<T> = Result<tonic::Response<T>, tonic::Status>;

/// The state shared by all handlers.
#[derive(Clone)]
pub struct Context {
    /// The archive that is served.
    pub archive: Arc<Archive>,
    /// The limits on input.
    pub limits: Limits,
    /// Cancelled when the server stops, which ends all streams.
    pub stopping: CancellationToken,
    /// The tasks that feed subscribers. They end when the server stops or their stream is gone.
    pub subscribers: TaskTracker,
    /// How long a stream's transport may make no progress before the stream is ended.
    pub stalled_after: Duration,
    /// The memory that unread events may take, over all subscribers.
    pub memory: Memory,
    /// Signs checkpoints; `None` if the server has no key.
    pub signer: Option<Arc<Signer>>,
    /// Who may do what; `None` if the server does not tell its callers apart.
    pub access: Option<Arc<Access>>,
    /// The webhooks; `None` if nobody sends to them.
    pub webhooks: Option<Arc<Webhooks>>,
    /// Where the process shows web pages, for its status; `None` if it shows none.
    pub web_url: Option<Url>,
    /// What the server leaves open to others, for its status.
    pub weakenings: Arc<[pb::Weakening]>,
}

impl Context {
    async fn read_point(&self, as_of: AsOf, min_next_seq: u64) -> Result<ReadPoint, Refusal> {
        self.visible(min_next_seq).await?;
        Ok(self.archive.read_point(as_of, Seq(min_next_seq)).await?)
    }

    /// The signer of checkpoints, if the server has a key.
    fn signer(&self) -> Result<&Signer, Refusal> {
        self.signer.as_deref().ok_or_else(Refusal::log_key_missing)
    }

    /// An empty archive in memory, served to anyone, without a key.
    #[cfg(test)]
    fn in_memory() -> Self {
        let (options, clock) = (crate::archive::Options::default(), Arc::new(crate::clock::SystemClock));
        Self {
            archive: Arc::new(Archive::in_memory_with(&options, clock).unwrap()),
            limits: Limits::default(),
            stopping: CancellationToken::new(),
            subscribers: TaskTracker::new(),
            stalled_after: Duration::from_secs(60),
            memory: Memory::default(),
            signer: None,
            access: None,
            webhooks: None,
            web_url: None,
            weakenings: Arc::default(),
        }
    }

    /// Waits until the changes below `min_next_seq` can be read, or the server stops.
    async fn visible(&self, min_next_seq: u64) -> Result<(), Refusal> {
        let min_next_seq = Seq(min_next_seq);
        if min_next_seq <= self.archive.tail().next_seq {
            return Ok(()); // Most reads do not set it.
        }
        tokio::select! {
            visible = self.archive.wait_for(min_next_seq) => Ok(visible?),
            () = self.stopping.cancelled() => Err(Refusal::draining()),
        }
    }
}

fn view(view: i32, default: View) -> Result<View, FieldError> {
    match pb::ArticleView::try_from(view) {
        Ok(pb::ArticleView::Unspecified) => Ok(default),
        Ok(pb::ArticleView::Basic) => Ok(View::Basic),
        Ok(pb::ArticleView::Full) => Ok(View::Full),
        Err(_) => Err(FieldError::invalid("view", "is not a known view")),
    }
}
