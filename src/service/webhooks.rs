//! The webhooks of a served archive: who may have one, the keys that sign, and how its sender is asked for a test. Who
//! sends, and how, is not known here.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{MutexGuard, mpsc, oneshot};

use super::status::Refusal;
use crate::access::{Access, Permission};
use crate::archive::subscriptions::SubscriptionRecord;
use crate::model::{Limits, SubscriptionId, Timestamp, WebhookScheme, WebhookState};
use crate::webhook_keys::{SigningKey, WebhookKeys, WebhookKeysError};
use crate::wire::WebhookUrls;

/// The tests that wait to be made. More are rejected.
const TESTS_WAITING_MAX: usize = 16;

/// The webhooks of a served archive.
#[derive(Debug)]
pub struct Webhooks {
    keys: Arc<WebhookKeys>,
    /// Who may do what; `None` if the server does not tell its callers apart.
    access: Option<Arc<Access>>,
    /// Which URLs webhooks may have.
    pub urls: WebhookUrls,
    /// Held from before the keys of a webhook are changed until its subscription is.
    editing: tokio::sync::Mutex<()>,
    tests: mpsc::Sender<WebhookTest>,
    waiting_tests: Mutex<Option<mpsc::Receiver<WebhookTest>>>,
    accepted_count: AtomicU64,
    failed_count: AtomicU64,
}

/// A test of a webhook that somebody waits for.
#[derive(Debug)]
pub struct WebhookTest {
    /// The subscription with the webhook.
    pub id: SubscriptionId,
    /// Where to say how it went.
    pub reply: oneshot::Sender<WebhookTested>,
}

/// How a test of a webhook went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookTested {
    /// The status of the reply, if there was one.
    pub http_status: Option<u16>,
    /// How long that took.
    pub latency: Duration,
    /// Why the event was not accepted; `None` if it was.
    pub error: Option<String>,
}

/// What webhooks have sent since the server started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WebhookStats {
    /// Messages that were accepted.
    pub accepted_count: u64,
    /// Attempts that failed.
    pub failed_count: u64,
}

/// Why a webhook must not send what its subscription selects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookHold {
    /// The state that it is to have.
    pub state: WebhookState,
    /// Why, for people.
    pub error: String,
}

impl Webhooks {
    /// Reads the keys of the archive in `directory`.
    pub fn open(
        directory: &Path,
        access: Option<Arc<Access>>,
        urls: WebhookUrls,
    ) -> Result<Arc<Self>, WebhookKeysError> {
        let (tests, waiting_tests) = mpsc::channel(TESTS_WAITING_MAX);
        Ok(Arc::new(Self {
            keys: Arc::new(WebhookKeys::open(directory)?),
            access,
            urls,
            editing: tokio::sync::Mutex::default(),
            tests,
            waiting_tests: Mutex::new(Some(waiting_tests)),
            accepted_count: AtomicU64::new(0),
            failed_count: AtomicU64::new(0),
        }))
    }

    /// Checks that the keys of the archive in `directory` can be read.
    pub fn check(directory: &Path) -> Result<(), WebhookKeysError> {
        WebhookKeys::check(directory)
    }

    /// The tests that are asked for. Only the first caller gets them.
    pub fn tests(&self) -> Option<mpsc::Receiver<WebhookTest>> {
        self.waiting_tests.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The keys that sign for a webhook at `now`, the newest first.
    pub fn keys(&self, id: &SubscriptionId, now: Timestamp) -> Vec<Arc<SigningKey>> {
        self.keys.of(id, now)
    }

    /// What was sent.
    pub fn stats(&self) -> WebhookStats {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        WebhookStats { accepted_count: count(&self.accepted_count), failed_count: count(&self.failed_count) }
    }

    /// Counts an attempt.
    pub fn count_attempt(&self, is_accepted: bool) {
        let count = if is_accepted { &self.accepted_count } else { &self.failed_count };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Forgets the keys of webhooks that were deleted while no server ran.
    pub async fn forget_all_but(&self, existing: impl FnOnce() -> Vec<SubscriptionId>) -> Result<(), WebhookKeysError> {
        let _editing = self.edit().await;
        let (keys, existing) = (Arc::clone(&self.keys), existing());
        match tokio::task::spawn_blocking(move || keys.retain(&existing)).await {
            Ok(retained) => retained,
            // It panicked, which is a bug; the keys stay.
            Err(_) => Ok(()),
        }
    }

    /// Why the webhook of a subscription must not send now: its owner is no principal any more, or may not read exactly
    /// what the subscription selects.
    pub fn hold(&self, record: &SubscriptionRecord) -> Option<WebhookHold> {
        let access = self.access.as_ref()?;
        let hold = |state, error: String| Some(WebhookHold { state, error });
        let Some(owner) = &record.owner else {
            let error = "it has no owner, because the server did not tell its callers apart when it was created; create \
                         another one";
            return hold(WebhookState::Paused, error.to_owned());
        };
        let name = owner.as_str();
        let Some(principal) = access.named(owner) else {
            return hold(WebhookState::Disabled, format!("its owner {name} was revoked, or has expired"));
        };
        if principal.scope(Permission::Subscribe).is_none() {
            let error = format!("its owner {name} may not have subscriptions any more (permission subscribe)");
            return hold(WebhookState::Disabled, error);
        }
        let may_read_it = match principal.scope(Permission::Read) {
            None => false,
            Some(scope) => *scope == record.query.filter.within,
        };
        if may_read_it {
            return None;
        }
        let error = format!(
            "what its owner {name} may read has changed (SCOPE_CHANGED); move it with `dateline subscriptions seek`, and \
             then resume it"
        );
        hold(WebhookState::Paused, error)
    }

    /// Waits for the turn to change keys, which lasts until the guard is dropped.
    pub(super) async fn edit(&self) -> MutexGuard<'_, ()> {
        self.editing.lock().await
    }

    /// Makes a key for a webhook, durably, and ends its earlier keys at `earlier_until`. Only during an
    /// [`edit`](Self::edit).
    pub(super) async fn make_key(
        &self,
        id: &SubscriptionId,
        scheme: WebhookScheme,
        now: Timestamp,
        earlier_until: Timestamp,
    ) -> Result<Arc<SigningKey>, Refusal> {
        let new = Arc::new(SigningKey::generate(scheme, now).map_err(|_| Refusal::internal())?);
        let earlier = self.keys.of(id, now).into_iter().map(|key| {
            let expires = Some(key.expires.map_or(earlier_until, |expires| expires.min(earlier_until)));
            key.until(expires).map(Arc::new)
        });
        let earlier: Vec<_> = earlier.collect::<Result<_, _>>().map_err(|_| Refusal::internal())?;
        let signing = earlier.into_iter().filter(|key| key.expires.is_none_or(|expires| expires > now));
        let keys = [Arc::clone(&new)].into_iter().chain(signing).take(Limits::WEBHOOK_KEYS_MAX).collect();
        self.keep_keys(id, keys).await?;
        Ok(new)
    }

    /// Forgets the keys of a webhook, durably. Only during an [`edit`](Self::edit).
    pub(super) async fn forget_keys(&self, id: &SubscriptionId) -> Result<(), Refusal> {
        self.keep_keys(id, Vec::new()).await
    }

    async fn keep_keys(&self, id: &SubscriptionId, kept: Vec<Arc<SigningKey>>) -> Result<(), Refusal> {
        let (keys, id) = (Arc::clone(&self.keys), id.clone());
        let replaced = tokio::task::spawn_blocking(move || keys.replace(&id, kept)).await;
        replaced.map_err(|_| Refusal::internal())?.map_err(|error| Refusal::webhook_keys_unusable(&error))
    }

    /// Has a webhook tested.
    pub(super) async fn test(&self, id: SubscriptionId) -> Result<WebhookTested, Refusal> {
        let (reply, tested) = oneshot::channel();
        match self.tests.try_send(WebhookTest { id, reply }) {
            Ok(()) => tested.await.map_err(|_| Refusal::webhooks_unavailable()),
            Err(mpsc::error::TrySendError::Full(_)) => Err(Refusal::too_many_webhook_tests(TESTS_WAITING_MAX)),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(Refusal::webhooks_unavailable()),
        }
    }
}
