//! Limits concurrent requests per host, in FIFO order.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Issues permits per host. Idle hosts are removed whenever a new host is added.
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
    pub(super) async fn acquire(&self, host: &str) -> HostPermit {
        HostPermit { _permit: self.host(host).acquire_owned().await.ok() }
    }

    fn host(&self, host: &str) -> Arc<Semaphore> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(semaphore) = hosts.get(host) {
            return Arc::clone(semaphore);
        }
        // If only the map holds the semaphore, no task has a permit or waits for one.
        hosts.retain(|_, semaphore| Arc::strong_count(semaphore) > 1);
        let semaphore = Arc::new(Semaphore::new(self.per_host_max));
        hosts.insert(host.to_owned(), Arc::clone(&semaphore));
        semaphore
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn idle_hosts_are_forgotten() {
        let host_limiter = HostLimiter::new(1);
        let permit = host_limiter.acquire("a.example").await;
        for host in 0..100 {
            drop(host_limiter.acquire(&format!("{host}.example")).await);
        }
        assert_eq!(host_limiter.hosts.lock().unwrap().len(), 2);
        assert!(host_limiter.hosts.lock().unwrap().contains_key("a.example"));
        drop(permit);
    }
}
