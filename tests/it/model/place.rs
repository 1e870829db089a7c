//! Where the archive under test is stored: in memory, where commits can be made to fail, or on disk.

use std::sync::Arc;

use dateline::internals::archive::{Archive, Options};
use dateline::internals::clock::{Clock, ManualClock};
use dateline::internals::store::engine::memory::MemoryEngine;
use tempfile::TempDir;

use crate::support;

pub(super) enum Place {
    Memory(MemoryEngine),
    Disk(TempDir),
}

impl Place {
    pub(super) fn in_memory() -> Self {
        Self::Memory(MemoryEngine::new())
    }

    pub(super) fn on_disk() -> Self {
        Self::Disk(TempDir::new().unwrap())
    }

    pub(super) fn open(&self, caches: bool, clock: &Arc<ManualClock>) -> Arc<Archive> {
        let cache_bytes = if caches { Options::default().cache_bytes } else { 0 };
        let options =
            Options { cache_bytes, engine_cache_bytes: 1 << 20, free_space_floor_bytes: 0, ..Options::default() };
        Arc::new(match self {
            Self::Memory(engine) => {
                let clock: Arc<dyn Clock> = Arc::clone(clock) as _;
                Archive::over(Arc::new(engine.clone()), &options, clock).unwrap()
            }
            Self::Disk(directory) => support::open_directory(directory.path(), &options, clock),
        })
    }

    /// The engine whose commits can be made to fail.
    pub(super) fn faulty(&self) -> Option<&MemoryEngine> {
        match self {
            Self::Memory(engine) => Some(engine),
            Self::Disk(_) => None,
        }
    }
}
