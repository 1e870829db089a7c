//! Pools of blocking threads, one for each kind of work, so that no kind can take the threads of another.
//!
//! No thread is held while a call waits for its peer: work that produces pages takes a thread for each page and gives
//! it back. Only a verification keeps its thread to the end, so it has a pool of its own.

use std::num::NonZero;
use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::archive::ArchiveError;
use crate::archive::error::Unavailable;

/// Writes that are prepared concurrently before they are queued.
const WRITES_MAX: usize = 16;
/// Pages of feeds and segments of backups that are read from storage concurrently; fewer on a machine with fewer cores.
/// Thousands may be waiting, and reads must still get a share of the processor.
const SCANS_MAX: usize = 4;
/// The maximum number of concurrent verifications, each of which reads the whole database.
pub const VERIFICATIONS_MAX: usize = 2;

/// The pools of one archive.
pub(crate) struct Pools {
    /// Reads that a caller is waiting for.
    pub(crate) reads: Pool,
    /// Comparisons. Each keeps a core busy and uses tens of megabytes, so there are as many threads as cores.
    pub(crate) comparisons: Pool,
    pub(crate) writes: Pool,
    /// Parts of batches and imports that are parsed or prepared before they are queued. There is always more of that
    /// work, so there are as many threads as cores.
    pub(crate) imports: Pool,
    pub(crate) scans: Pool,
    pub(crate) verifications: Pool,
}

impl Pools {
    /// Creates the pools. `reads_max` is the number of threads for reads.
    pub(crate) fn new(reads_max: usize) -> Self {
        let cores = std::thread::available_parallelism().map_or(2, NonZero::get);
        Self {
            reads: Pool::new(reads_max),
            comparisons: Pool::new(cores),
            writes: Pool::new(WRITES_MAX),
            imports: Pool::new(cores),
            scans: Pool::new(cores.min(SCANS_MAX)),
            verifications: Pool::new(VERIFICATIONS_MAX),
        }
    }
}

/// A fixed number of blocking threads.
pub(crate) struct Pool(Arc<Semaphore>);

impl Pool {
    fn new(threads_max: usize) -> Self {
        Self(Arc::new(Semaphore::new(threads_max.clamp(1, Semaphore::MAX_PERMITS))))
    }

    /// Runs `work` once a thread of this pool is free. Callers that wait are served in order of arrival. If the future
    /// is dropped before `work` has started, it never runs; after that, it runs to its end. A panic in `work` is
    /// [`ArchiveError::Internal`].
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
            Ok(result) => result,
            // This happens only when the runtime shuts down.
            Err(error) if error.is_cancelled() => Err(Unavailable::Draining.into()),
            Err(error) => {
                tracing::error!(%error, "blocking work panicked");
                Err(ArchiveError::Internal)
            }
        }
    }
}

impl Pool {
    /// Applies `work` to each item, on as many threads of this pool as there are cores. Returns the results in the order
    /// of the items.
    pub(crate) async fn map<I, T>(
        &self,
        items: Vec<I>,
        work: impl Fn(I) -> T + Clone + Send + 'static,
    ) -> Result<Vec<T>, ArchiveError>
    where
        I: Send + 'static,
        T: Send + 'static,
    {
        let cores = std::thread::available_parallelism().map_or(2, NonZero::get);
        let (count, each) = (items.len(), items.len().div_ceil(cores).max(1));
        let mut items = items.into_iter();
        let shares = (0..count.div_ceil(each)).map(|_| {
            let (share, work): (Vec<I>, _) = (items.by_ref().take(each).collect(), work.clone());
            self.run(move || Ok(share.into_iter().map(work).collect::<Vec<T>>()))
        });
        let done = futures_util::future::try_join_all(shares.collect::<Vec<_>>()).await?;
        Ok(done.into_iter().flatten().collect())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::*;

    /// A panic was once reported as a storage failure, for which the remedy is a restart.
    #[tokio::test]
    async fn a_panic_is_an_internal_error_and_the_pool_stays_usable() {
        let pool = Pool::new(1);
        let panicked = pool.run(|| -> Result<(), ArchiveError> { panic!("a bug") }).await;
        assert!(matches!(panicked, Err(ArchiveError::Internal)), "{panicked:?}");
        assert!(matches!(pool.run(|| Ok(7)).await, Ok(7)));
    }

    /// Work that was waiting for a thread once ran after its caller's deadline, and used 2.3 s of processor time for
    /// nobody.
    #[tokio::test]
    async fn work_never_starts_once_its_caller_is_gone() {
        let pool = Pool::new(1);
        let (release, released) = channel::<()>();
        let (begun, has_begun) = tokio::sync::oneshot::channel();
        let first = pool.run(move || {
            begun.send(()).unwrap();
            assert!(released.recv().is_err(), "nothing is sent; the sender is dropped");
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
