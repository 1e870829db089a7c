//! Sends the changes of durable subscriptions to their webhooks, as [Standard Webhooks](https://www.standardwebhooks.com)
//! defines.
//!
//! ```text
//! wait for a change ──▶ wait for the next attempt's time ──▶ read, sign and send ──▶ accepted: acknowledge
//!         ▲                         ▲                                │
//!         └─────────────────────────┴──── note the failure ◀─────────┘ not accepted
//! ```
//!
//! Invariants:
//! - Each webhook has a task of its own, with at most one message on its way. A receiver that is slow or fails delays no
//!   other webhook, and costs the memory of one message while that is on its way.
//! - The task is the consumer of its subscription: what the receiver accepted is acknowledged, and a move, an update or a
//!   deletion of the subscription fences it off, as any consumer.
//! - A message that was not accepted is repeated as it was, under the same id, also after a restart.
//! - Every address is checked when it is connected to (`fetch/connect.rs`), unless private networks are allowed.

mod delivery;
mod failure;
mod message;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use self::delivery::Sender;
use crate::archive::Archive;
use crate::archive::subscriptions::SubscriptionRecord;
use crate::fetch::{self, Poster};
use crate::model::WebhookState;
use crate::server::{WebhookTest, WebhookUrls, Webhooks};

/// How long a receiver may take to reply, from connecting on.
const REPLY_WITHIN: Duration = Duration::from_secs(15);
/// The longest head of a reply, in bytes.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// The messages that are written as JSON at the same time. Each takes a processor and a few MiB meanwhile.
const RENDERED_AT_ONCE: usize = 2;

/// The tests that are made at the same time.
const TESTS_AT_ONCE: usize = 8;

/// How webhooks are sent to.
#[derive(Clone, Debug)]
pub struct Options {
    /// The limits of a request. Whether private networks are allowed follows from the webhooks.
    pub fetch: fetch::Options,
    /// How often a webhook that waits for its next attempt looks at the clock, which may be set meanwhile. Default 1 s.
    pub look_every: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            fetch: fetch::Options {
                user_agent: HeaderValue::from_static(concat!("dateline/", env!("CARGO_PKG_VERSION"))),
                timeout: REPLY_WITHIN,
                idle_timeout: REPLY_WITHIN,
                head_bytes_max: HEAD_BYTES_MAX,
                ..fetch::Options::default()
            },
            look_every: Duration::from_secs(1),
        }
    }
}

/// Sends to all webhooks. Does not return.
pub async fn run(archive: &Arc<Archive>, webhooks: &Arc<Webhooks>, options: &Options) -> Infallible {
    let allow_private = webhooks.urls == WebhookUrls::Any;
    let sender = Sender {
        archive: Arc::clone(archive),
        webhooks: Arc::clone(webhooks),
        poster: Poster::new(fetch::Options { allow_private, ..options.fetch.clone() }),
        rendering: Arc::new(Semaphore::new(RENDERED_AT_ONCE)),
        look_every: options.look_every,
    };
    let existing = || archive.webhooks().into_iter().map(|(id, _)| id).collect();
    if let Err(error) = webhooks.forget_all_but(existing).await {
        tracing::error!(%error, "the keys of webhooks that were deleted are still there");
    }
    let mut tests = webhooks.tests();
    let mut changed = archive.watch_webhooks();
    let (mut deliveries, mut testing) = (JoinSet::new(), JoinSet::new());
    let mut running = BTreeSet::new();
    loop {
        changed.mark_unchanged();
        for (id, record) in archive.webhooks() {
            if is_sending(&record) && running.insert(id.clone()) {
                let sender = sender.clone();
                deliveries.spawn(async move {
                    sender.deliver(id.clone()).await;
                    id
                });
            }
        }
        tokio::select! {
            _ = changed.changed() => {}
            Some(ended) = deliveries.join_next() => match ended {
                Ok(id) => drop(running.remove(&id)),
                Err(error) => {
                    // A panic would be a bug. The other webhooks continue; this one does after a restart.
                    tracing::error!(%error, "a webhook ended unexpectedly");
                }
            },
            Some(test) = next_test(&mut tests), if testing.len() < TESTS_AT_ONCE => {
                let sender = sender.clone();
                testing.spawn(async move {
                    let WebhookTest { id, reply } = test;
                    // The caller may have stopped waiting.
                    drop(reply.send(sender.test(&id).await));
                });
            }
            Some(_) = testing.join_next() => {}
        }
    }
}

/// Whether a webhook sends. After a restore, its receiver may have got changes that were lost.
fn is_sending(record: &SubscriptionRecord) -> bool {
    !record.restored && record.webhook.as_ref().is_some_and(|webhook| webhook.state == WebhookState::Active)
}

async fn next_test(tests: &mut Option<mpsc::Receiver<WebhookTest>>) -> Option<WebhookTest> {
    match tests {
        Some(tests) => tests.recv().await,
        None => None,
    }
}
