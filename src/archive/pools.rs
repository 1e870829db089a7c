//! Blocking work: a number of threads for each kind of it, so that no kind can take those of another.
//!
//! A call that waits for a peer holds none: work that makes many pages takes a thread for each page. A verification alone
//! keeps one to its end, and so it has a pool of its own.

use std::num::NonZero;
use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::archive::ArchiveError;
use crate::archive::error::Unavailable;

/// What writes look up before they are queued, at once.
const WRITES_MAX: usize = 16;
/// What imports look up and pack before it is queued, at once. They are never short of work for it.
const IMPORTS_MAX: usize = 2;
/// Pages of feeds and segments of backups that are read from storage at once, where there are as many cores. There may be
/// thousands that want one, and reads must get a share of the processor.
const SCANS_MAX: usize = 4;
/// Verifications at once: each reads all that there is.
pub const VERIFICATIONS_MAX: usize = 2;

/// The pools of an archive.
pub(crate) struct Pools {
    /// Reads that a caller waits for.
    pub(crate) reads: Pool,
    /// Comparisons: they take the processor, and tens of megabytes each.
    pub(crate) comparisons: Pool,
    pub(crate) writes: Pool,
    pub(crate) imports: Pool,
    pub(crate) scans: Pool,
    pub(crate) verifications: Pool,
}

impl Pools {
    /// Pools of which that of reads has `reads_max` threads.
    pub(crate) fn new(reads_max: usize) -> Self {
        let cores = std::thread::available_parallelism().map_or(2, NonZero::get);
        Self {
            reads: Pool::new(reads_max),
            comparisons: Pool::new(cores),
            writes: Pool::new(WRITES_MAX),
            imports: Pool::new(IMPORTS_MAX),
            scans: Pool::new(cores.min(SCANS_MAX)),
            verifications: Pool::new(VERIFICATIONS_MAX),
        }
    }
}

/// A number of blocking threads.
pub(crate) struct Pool(Arc<Semaphore>);

impl Pool {
    fn new(threads_max: usize) -> Self {
        Self(Arc::new(Semaphore::new(threads_max.clamp(1, Semaphore::MAX_PERMITS))))
    }

    /// Does `work` once a thread of this pool is free. Waiting callers are served in the order in which they came.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, ArchiveError> + Send + 'static,
    ) -> Result<T, ArchiveError> {
        let Ok(permit) = Arc::clone(&self.0).acquire_owned().await else {
            return Err(Unavailable::Draining.into());
        };
        let done = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        match done.await {
            Ok(answer) => answer,
            // Only when the runtime ends.
            Err(error) if error.is_cancelled() => Err(Unavailable::Draining.into()),
            Err(error) => {
                tracing::error!(%error, "a read panicked");
                Err(ArchiveError::Internal)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::*;

    /// It was reported as a failure of the storage, whose remedy is a restart.
    #[tokio::test]
    async fn a_panic_is_a_fault_of_ours_and_the_pool_goes_on() {
        let pool = Pool::new(1);
        let panicked = pool.run(|| -> Result<(), ArchiveError> { panic!("a bug") }).await;
        assert!(matches!(panicked, Err(ArchiveError::Internal)), "{panicked:?}");
        assert!(matches!(pool.run(|| Ok(7)).await, Ok(7)));
    }

    /// What waited when its caller's deadline passed took 2.3 s of processor time all the same.
    #[tokio::test]
    async fn work_whose_caller_is_gone_before_it_begins_is_never_done() {
        let pool = Pool::new(1);
        let (release, released) = channel::<()>();
        let (begun, has_begun) = tokio::sync::oneshot::channel();
        let first = pool.run(move || {
            begun.send(()).unwrap();
            assert!(released.recv().is_err(), "it is only dropped");
            Ok(())
        });
        let done = Arc::new(AtomicUsize::new(0));
        let late = async {
            has_begun.await.unwrap();
            for _ in 0..20 {
                let done = Arc::clone(&done);
                let work = pool.run(move || Ok(done.fetch_add(1, Ordering::SeqCst)));
                assert!(tokio::time::timeout(Duration::from_millis(1), work).await.is_err());
            }
            drop(release);
        };
        let (first, ()) = tokio::join!(first, late);
        first.unwrap();
        pool.run(|| Ok(())).await.unwrap();
        assert_eq!(done.load(Ordering::SeqCst), 0);
    }
}
