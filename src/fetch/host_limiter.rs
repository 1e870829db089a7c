//! Limits concurrent requests per host, in FIFO order.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Issues permits per host. It drops the state of idle hosts whenever a new host is added.
pub(super) struct HostLimiter {
    per_host_max: usize,
    hosts: Mutex<HashMap<String, Arc<Semaphore>>>,
}

/// A permit for one request, released on drop.
pub(super) struct HostPermit {
    /// Always `Some`, since no semaphore is ever closed.
    _permit: Option<OwnedSemaphorePermit>,
}

impl HostLimiter {
    pub(super) fn new(per_host_max: usize) -> Self {
        Self { per_host_max: per_host_max.clamp(1, Semaphore::MAX_PERMITS), hosts: Mutex::default() }
    }

    /// Waits for a permit for a host. Cancel-safe: dropping the future only gives up the place in the queue.
    pub(super) async fn take(&self, host: &str) -> HostPermit {
        HostPermit { _permit: self.host(host).acquire_owned().await.ok() }
    }

    fn host(&self, host: &str) -> Arc<Semaphore> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = hosts.get(host) {
            return Arc::clone(known);
        }
        // If only the map holds the semaphore, no task has a permit or waits for one.
        hosts.retain(|_, host_limiter| Arc::strong_count(host_limiter) > 1);
        let new = Arc::new(Semaphore::new(self.per_host_max));
        hosts.insert(host.to_owned(), Arc::clone(&new));
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn idle_hosts_are_forgotten() {
        let host_limiter = HostLimiter::new(1);
        let held = host_limiter.take("a.example").await;
        for host in 0..100 {
            drop(host_limiter.take(&format!("{host}.example")).await);
        }
        assert_eq!(host_limiter.hosts.lock().unwrap().len(), 2);
        assert!(host_limiter.hosts.lock().unwrap().contains_key("a.example"));
        drop(held);
    }
}
