//! The archives to be damaged: one history, with its files in three states, and a short one.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dateline::internals::archive::{Archive, Options};
use dateline::internals::clock::ManualClock;
use tempfile::TempDir;

use super::load::Load;
use crate::support;

/// How the archive was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    /// So small that nothing was written to sled: everything is in the write-ahead log.
    Small,
    /// Opened since the last write, and closed: sled's snapshot covers everything.
    Covered,
    /// Closed, and half of it is only in the write-ahead log.
    Behind,
    /// Killed after everything in the write-ahead log was written to sled's own, which is replayed.
    Killed,
}

impl State {
    /// The states of an archive that has too much for the write-ahead log alone.
    pub(super) const LARGE: [Self; 3] = [Self::Covered, Self::Behind, Self::Killed];

    fn folder(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Covered => "covered",
            Self::Behind => "behind",
            Self::Killed => "killed",
        }
    }
}

/// The intact archives.
pub(super) struct Pristine {
    root: PathBuf,
    /// Deletes the archives when dropped, unless they are to be kept.
    _temporary: Option<TempDir>,
}

impl Pristine {
    /// Builds the archives of a history that is too short for sled: only [`State::Small`].
    pub(super) fn small(seed: u64, steps: usize) -> Self {
        let temporary = TempDir::new().unwrap();
        let (root, clock) = (temporary.path().to_path_buf(), Arc::new(ManualClock::new(support::now())));
        let live = root.join(State::Small.folder());
        fs::create_dir_all(&live).unwrap();
        support::block_on(async {
            let mut load = Load::new(seed);
            let archive = open(&live, &clock);
            for step in 0..steps {
                load.step(&archive, &clock, step).await;
            }
            load.end(&archive, &clock).await;
            archive.close().await;
        });
        assert!(!live.join("db/sled").exists(), "the history is too long");
        Self { root, _temporary: Some(temporary) }
    }

    /// Builds the archives, or uses those that an earlier run left in `DATELINE_DAMAGE_KEEP`, because a trial can only
    /// be repeated exactly on the same files.
    pub(super) fn of(seed: u64, steps: usize) -> Self {
        if let Ok(kept) = std::env::var("DATELINE_DAMAGE_KEEP") {
            let root = Path::new(&kept).join(format!("{seed}-{steps}"));
            if !root.exists() {
                let building = root.with_extension("building");
                drop(fs::remove_dir_all(&building));
                build(&building, seed, steps);
                fs::rename(&building, &root).unwrap();
            }
            return Self { root, _temporary: None };
        }
        let temporary = TempDir::new().unwrap();
        let root = temporary.path().join("pristine");
        build(&root, seed, steps);
        Self { root, _temporary: Some(temporary) }
    }

    pub(super) fn path(&self, state: State) -> PathBuf {
        self.root.join(state.folder())
    }

    /// Copies the archive in this state to `directory`.
    pub(super) fn copy_to(&self, state: State, directory: &Path) {
        copy(&self.path(state), directory);
    }
}

fn build(root: &Path, seed: u64, steps: usize) {
    let (live, clock) = (root.join("live"), Arc::new(ManualClock::new(support::now())));
    fs::create_dir_all(&live).unwrap();
    support::block_on(async {
        let mut load = Load::new(seed);
        let half = open(&live, &clock);
        for step in 0..steps / 2 {
            load.step(&half, &clock, step).await;
        }
        half.settle();
        half.close().await;
        drop(half);
        let whole = open(&live, &clock);
        for step in steps / 2..steps {
            load.step(&whole, &clock, step).await;
        }
        load.end(&whole, &clock).await;
        whole.close().await;
    });
    copy(&live, &root.join(State::Behind.folder()));
    let again = open(&live, &clock);
    again.settle();
    // No write is in progress any more.
    copy(&live, &root.join(State::Killed.folder()));
    support::block_on(again.close());
    drop(again);
    // This opening finds everything in sled's own log, and covers it with a snapshot.
    let again = open(&live, &clock);
    support::block_on(again.close());
    drop(again);
    fs::rename(live, root.join(State::Covered.folder())).unwrap();
}

/// Copies a directory recursively.
pub(super) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let destination = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &destination);
        } else {
            fs::copy(entry.path(), destination).unwrap();
        }
    }
}

/// How the archives are opened: with empty caches and the default limits.
pub(super) fn options() -> Options {
    Options {
        engine_cache_bytes: 64 << 20,
        cache_bytes: 64 << 20,
        free_space_floor_bytes: 0,
        salt_seed: Some(1),
        ..Options::default()
    }
}

fn open(path: &Path, clock: &Arc<ManualClock>) -> Archive {
    support::open_directory(path, &options(), clock)
}
