//! Turns at a host: so many requests at once and no more, in the order in which they were asked for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Gives turns. It knows of the hosts that somebody has a turn at or waits for, and of few others.
pub(super) struct Turns {
    per_host_max: usize,
    hosts: Mutex<HashMap<String, Arc<Semaphore>>>,
}

/// A turn, until it is dropped.
pub(super) struct Turn {
    /// Always there: no semaphore is ever closed.
    _permit: Option<OwnedSemaphorePermit>,
}

impl Turns {
    pub(super) fn new(per_host_max: usize) -> Self {
        Self { per_host_max: per_host_max.clamp(1, Semaphore::MAX_PERMITS), hosts: Mutex::default() }
    }

    /// Waits for a turn at a host. Whoever is dropped while waiting loses their place, and nothing else.
    pub(super) async fn take(&self, host: &str) -> Turn {
        Turn { _permit: self.host(host).acquire_owned().await.ok() }
    }

    fn host(&self, host: &str) -> Arc<Semaphore> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = hosts.get(host) {
            return Arc::clone(known);
        }
        // Nobody has a turn or waits where the map alone holds the semaphore.
        hosts.retain(|_, turns| Arc::strong_count(turns) > 1);
        let new = Arc::new(Semaphore::new(self.per_host_max));
        hosts.insert(host.to_owned(), Arc::clone(&new));
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn hosts_that_nobody_asks_are_forgotten() {
        let turns = Turns::new(1);
        let held = turns.take("a.example").await;
        for host in 0..100 {
            drop(turns.take(&format!("{host}.example")).await);
        }
        assert_eq!(turns.hosts.lock().unwrap().len(), 2);
        assert!(turns.hosts.lock().unwrap().contains_key("a.example"));
        drop(held);
    }
}
