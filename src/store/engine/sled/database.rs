//! sled's own database: the folder `sled` in the folder of an archive's database, next to the write-ahead log.
//!
//! It is created when the first commits are applied. Until then an archive is its write-ahead log, so a small one is
//! opened without sled, whose opening takes most of the time of a command.

use std::fs;
use std::path::{Path, PathBuf};

use super::super::directory::{remove_directory, sync_directory};
use super::super::{OpenError, own_folder};
use super::{DatabaseFile, Options, guarded, open_database, sync_entries};

/// The folder of sled's files, in the folder of the database, and its name until they are complete.
const FOLDER: &str = "sled";
const UNFINISHED: &str = "sled.new";
/// The files that sled creates, and their folder.
const CREATED: [&str; 4] = ["conf", "db", "blobs", "."];
/// The tree that has, under the empty key, the number of the last commit that was applied.
pub(super) const APPLIED_TREE: &[u8] = b"applied";

/// An open database of sled. Dropping it closes the database, which waits for sled's threads.
pub(super) struct Database {
    // Fields are dropped in order: the database closes, and `file` waits until it has.
    pub(super) applied: ::sled::Tree,
    pub(super) db: ::sled::Db,
    pub(super) file: DatabaseFile,
}

/// The folder of sled's files in the database at `database`.
pub(super) fn folder(database: &Path) -> PathBuf {
    database.join(FOLDER)
}

impl Database {
    /// Opens the database in `folder`. Returns it with the number of the last commit that was applied.
    pub(super) fn open(folder: &Path, options: Options) -> Result<(Self, u64), OpenError> {
        // Dropped last: it waits until the database is closed.
        let file = DatabaseFile::open(folder).map_err(OpenError::io("open", &folder.join("db")))?;
        let db = open_database(folder, options)?;
        own_folder::restrict_all(folder).map_err(OpenError::io("open", folder))?;
        // sled has just written a snapshot and removed an older one: make both durable.
        sync_directory(folder).map_err(OpenError::io("sync", folder))?;
        // A process that was killed may have stored how far it is and not synced it.
        file.0.sync_data().map_err(OpenError::io("sync", &folder.join("db")))?;
        let damaged = |reason: String| OpenError::Damaged { path: folder.to_path_buf(), reason };
        let applied = guarded(|| db.open_tree(APPLIED_TREE)).map_err(|error| damaged(error.to_string()))?;
        let stored = guarded(|| applied.get([])).map_err(|error| damaged(error.to_string()))?;
        let commit = stored.and_then(|stored| Some(u64::from_be_bytes(stored.as_ref().try_into().ok()?)));
        let commit =
            commit.ok_or_else(|| damaged("it does not say how much of the write-ahead log it has".to_owned()))?;
        Ok((Self { applied, db, file }, commit))
    }

    /// Creates an empty database in the folder `sled` of `database`, and opens it. It gets its name when it is complete
    /// and synced, so a database under that name is always complete.
    pub(super) fn create(database: &Path, options: Options) -> Result<Self, OpenError> {
        let (new, folder) = (database.join(UNFINISHED), folder(database));
        remove_directory(&new).map_err(OpenError::io("remove", &new))?;
        initialize(&new, options)?;
        let closed = DatabaseFile::open(&new).and_then(|log| log.wait_until_closed());
        closed.map_err(OpenError::io("close", &new))?;
        sync_entries(&new, &CREATED).map_err(OpenError::io("sync", &new))?;
        fs::rename(&new, &folder).map_err(OpenError::io("rename", &new))?;
        sync_directory(database).map_err(OpenError::io("sync", database))?;
        Self::open(&folder, options).map(|(database, _)| database)
    }
}

/// The write that stores that everything up to this commit was applied.
pub(super) fn applied(commit: u64) -> ::sled::Batch {
    let mut writes = ::sled::Batch::default();
    writes.insert(&[], commit.to_be_bytes().as_slice());
    writes
}

/// Makes the names of a complete database durable. sled has synced its files if they have ever been written to.
pub(super) fn sync_names(folder: &Path) -> std::io::Result<()> {
    sync_entries(folder, &CREATED)
}

/// Creates an empty database to which nothing was applied. Nothing is synced.
pub(super) fn initialize(folder: &Path, options: Options) -> Result<(), OpenError> {
    let db = open_database(folder, options)?;
    let stored = guarded(|| {
        db.open_tree(APPLIED_TREE)?.apply_batch(applied(0))?;
        db.flush()
    });
    stored.map(drop).map_err(|error| OpenError::Damaged { path: folder.to_path_buf(), reason: error.to_string() })
}
