//! Blocking work: a number of threads for each kind of it, so that no kind can take those of another.
//!
//! Whoever waits for a peer holds none: work that makes many pages takes a thread for each page. A verification alone
//! keeps one to its end, and so it has a pool of its own.

use std::num::NonZero;
use std::sync::Arc;

use tokio::sync::Semaphore;

use super::ArchiveError;
use super::error::Unavailable;

/// What writes look up before they are queued, at once.
const WRITES_MAX: usize = 16;
/// What imports look up and pack before it is queued, at once. They are never short of work for it.
const IMPORTS_MAX: usize = 2;
/// Pages of feeds and segments of backups that are read from storage at once. There may be thousands that want one.
const SCANS_MAX: usize = 4;
/// Verifications at once: each reads all that there is.
pub const VERIFICATIONS_MAX: usize = 2;

/// The pools of an archive.
pub(super) struct Pools {
    /// Reads that a caller waits for.
    pub(super) reads: Pool,
    /// Comparisons: they take the processor, and tens of megabytes each.
    pub(super) comparisons: Pool,
    pub(super) writes: Pool,
    pub(super) imports: Pool,
    pub(super) scans: Pool,
    pub(super) verifications: Pool,
}

impl Pools {
    /// Pools of which that of reads has `reads_max` threads.
    pub(super) fn new(reads_max: usize) -> Self {
        Self {
            reads: Pool::new(reads_max),
            comparisons: Pool::new(std::thread::available_parallelism().map_or(2, NonZero::get)),
            writes: Pool::new(WRITES_MAX),
            imports: Pool::new(IMPORTS_MAX),
            scans: Pool::new(SCANS_MAX),
            verifications: Pool::new(VERIFICATIONS_MAX),
        }
    }
}

/// A number of blocking threads.
pub(super) struct Pool(Arc<Semaphore>);

impl Pool {
    fn new(threads_max: usize) -> Self {
        Self(Arc::new(Semaphore::new(threads_max.clamp(1, Semaphore::MAX_PERMITS))))
    }

    /// Does `work` once a thread of this pool is free. Waiting callers are served in the order in which they came.
    pub(super) async fn run<T: Send + 'static>(
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
            Err(error) => {
                tracing::error!(%error, "a read ended unexpectedly");
                Err(Unavailable::StorageFailed.into())
            }
        }
    }
}
