//! Builds a compact database next to an archive's own, and puts it in its place.
//!
//! The new database is written to `db.compact/`. What would fit into the write-ahead log becomes one commit there, as a
//! small archive has it. Anything more is written as a database of sled ([`bulk`](super::bulk)), with an empty
//! write-ahead log, and is durable only once it is complete and was read back. Then it takes the old one's place:
//!
//! | step | `db` | `db.compact` | `db.replaced` | what the next opening does |
//! | --- | --- | --- | --- | --- |
//! | before | old | incomplete or complete | – | deletes `db.compact` |
//! | `db` is renamed | – | complete | old | renames `db.replaced` to `db` again, and deletes `db.compact` |
//! | `db.compact` is renamed | new | – | old | deletes `db.replaced` |
//! | `db.replaced` is deleted | new | – | – | |
//!
//! File systems make names durable in the order in which they were changed, and the archive's directory is synced before
//! anything is deleted. So whenever the process is killed or the power fails, one of the two databases is complete under
//! its name or gets it back, and the other is deleted.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::super::directory::{Directory, remove_directory, sync_directory};
use super::super::wal::{LogError, WriteAheadLog};
use super::super::{Batch, EngineError, OpenError, own_file, own_folder};
use super::bulk::BulkWriter;
use super::pending::WRITE_BYTES;
use super::preimage::{covered, snapshots};
use super::segments::remove_unused;
use super::{
    DatabaseFile, LOG_FOLDER, Options, database, guarded, initialize, open_collecting, reserve, sync_creation,
};

/// What is written to the write-ahead log at most, in bytes of memory: less than makes the applier create a database of
/// sled.
const LOGGED_BYTES_MAX: usize = 3 << 20;

/// A compact database that is being written, or is complete and waits to take the old one's place. Its folder is removed
/// when it is dropped before that.
pub struct CompactDatabase {
    directory: Arc<Directory>,
    options: Options,
    path: PathBuf,
    logged_bytes_max: usize,
    writer: Writer,
    written: Entries,
}

/// How far the database is.
enum Writer {
    /// The entries may fit into the write-ahead log.
    Gathering {
        batch: Batch,
        /// The memory that the entries take, in bytes.
        bytes: usize,
    },
    /// They are written as a database of sled.
    Bulk(BulkWriter),
    Complete,
}

/// What identifies the entries of a database: their number, and a hash over them in order.
#[derive(Clone, Default)]
struct Entries {
    count: u64,
    hash: Sha256,
}

impl Entries {
    fn add(&mut self, key: &[u8], value: &[u8]) {
        self.count += 1;
        for bytes in [key, value] {
            self.hash.update((bytes.len() as u64).to_be_bytes());
            self.hash.update(bytes);
        }
    }

    fn is(self, other: Self) -> bool {
        self.count == other.count && self.hash.finalize() == other.hash.finalize()
    }
}

impl CompactDatabase {
    /// Begins a database next to the archive's own. Removes the remains of an earlier, interrupted compaction.
    pub fn create(directory: Arc<Directory>, options: Options) -> Result<Self, OpenError> {
        Self::create_with(directory, options, LOGGED_BYTES_MAX)
    }

    fn create_with(directory: Arc<Directory>, options: Options, logged_bytes_max: usize) -> Result<Self, OpenError> {
        let path = directory.compact_database();
        remove_directory(&path).map_err(OpenError::io("remove", &path))?;
        initialize(&path)?;
        let writer = Writer::Gathering { batch: Batch::default(), bytes: 0 };
        Ok(Self { directory, options, path, logged_bytes_max, writer, written: Entries::default() })
    }

    /// The folder of the database, which disappears if it is not completed.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds an entry, whose key is greater than all before.
    pub fn insert(&mut self, key: Vec<u8>, value: Vec<u8>) -> Result<(), EngineError> {
        let failed = |error: String| EngineError::Failed(error);
        self.written.add(&key, &value);
        match &mut self.writer {
            Writer::Gathering { batch, bytes } => {
                *bytes += key.len() + value.len() + WRITE_BYTES;
                batch.writes.insert(key, Some(value));
                if *bytes > self.logged_bytes_max {
                    let gathered = std::mem::take(batch);
                    let mut writer = self.begin_bulk().map_err(|error| failed(error.to_string()))?;
                    for (key, value) in gathered.writes {
                        let inserted = writer.insert(key, value.unwrap_or_default());
                        inserted.map_err(|error| failed(error.to_string()))?;
                    }
                    self.writer = Writer::Bulk(writer);
                }
                Ok(())
            }
            Writer::Bulk(writer) => writer.insert(key, value).map_err(|error| failed(error.to_string())),
            Writer::Complete => Err(failed("it is complete".to_owned())),
        }
    }

    /// Begins a database of sled: sled creates its files, and its log is then written here.
    fn begin_bulk(&self) -> Result<BulkWriter, OpenError> {
        let folder = database::folder(&self.path);
        database::initialize(&folder, self.options)?;
        let closed = DatabaseFile::open(&folder).and_then(|file| file.wait_until_closed());
        closed.map_err(OpenError::io("close", &folder))?;
        let emptied = snapshots(&folder).and_then(|snapshots| snapshots.iter().try_for_each(fs::remove_file));
        let file = emptied.and_then(|()| own_file::write(&folder.join("db"))).and_then(|file| {
            file.set_len(0)?;
            Ok(file)
        });
        Ok(BulkWriter::new(file.map_err(OpenError::io("create", &folder))?))
    }

    /// Completes the database, and reads it back to see that it has every entry. It is durable then.
    pub fn complete(&mut self) -> Result<(), OpenError> {
        let read = match std::mem::replace(&mut self.writer, Writer::Complete) {
            Writer::Gathering { batch, .. } => self.log(&batch)?,
            Writer::Bulk(writer) => self.finish_bulk(writer)?,
            Writer::Complete => return Ok(()),
        };
        if !read.is(self.written.clone()) {
            let reason = "the new database does not have the entries of the old one".to_owned();
            return Err(OpenError::Damaged { path: self.path.clone(), reason });
        }
        own_folder::restrict_all(&self.path).map_err(OpenError::io("open", &self.path))?;
        sync_creation(&self.path).map_err(OpenError::io("sync", &self.path))
    }

    /// Writes everything to the write-ahead log, and reads it back.
    fn log(&self, batch: &Batch) -> Result<Entries, OpenError> {
        let folder = self.path.join(LOG_FOLDER);
        let open = || {
            WriteAheadLog::open(&folder, 0).map_err(|error| match error {
                LogError::Io(error) => OpenError::io("read", &folder)(error),
                LogError::Damaged(reason) => OpenError::Damaged { path: folder.clone(), reason },
            })
        };
        if !batch.writes.is_empty() {
            let appended = open()?.0.append(batch).map_err(std::io::Error::from);
            appended.map_err(OpenError::io("write", &folder))?;
        }
        let mut read = Entries::default();
        for (key, value) in open()?.1.into_iter().flat_map(|(_, writes)| writes) {
            read.add(&key, &value.unwrap_or_default());
        }
        Ok(read)
    }

    /// Completes the database of sled, and reads all entries. sled also writes its snapshot.
    fn finish_bulk(&self, writer: BulkWriter) -> Result<Entries, OpenError> {
        let folder = database::folder(&self.path);
        writer.finish(database::APPLIED_TREE, &0_u64.to_be_bytes()).map_err(OpenError::io("write", &folder))?;
        // Without its flush thread, sled does not rewrite the pages of a last segment that is less than half full.
        let db = open_collecting(&folder, self.options, None)?;
        let mut entries = Entries::default();
        let read = guarded(|| {
            for entry in db.iter() {
                let (key, value) = entry?;
                entries.add(&key, &value);
            }
            Ok(())
        });
        drop(db);
        let closed = DatabaseFile::open(&folder).and_then(|file| file.wait_until_closed());
        closed.map_err(OpenError::io("close", &folder))?;
        read.map_err(|error| OpenError::Damaged { path: folder.clone(), reason: error.to_string() })?;
        let trimmed = covered(&folder).and_then(|covered| remove_unused(&folder, covered));
        trimmed.map_err(OpenError::io("shorten", &folder))?;
        Ok(entries)
    }

    /// Puts the database in the place of the archive's own, which is deleted. The archive's database must be closed.
    pub fn replace_database(mut self) -> Result<(), OpenError> {
        self.complete()?;
        let Self { directory, path: new, .. } = &self;
        let (database, replaced) = (directory.database(), directory.replaced_database());
        fs::rename(&database, &replaced).map_err(OpenError::io("rename", &database))?;
        if let Err(error) = fs::rename(new, &database) {
            // If this fails too, the next opening does it.
            drop(fs::rename(&replaced, &database));
            return Err(OpenError::io("rename", new)(error));
        }
        sync_directory(directory.path()).map_err(OpenError::io("sync", directory.path()))?;
        // It is complete. What remains of the old one is removed at the next opening.
        if let Err(error) = finish_replacement(directory) {
            tracing::warn!(%error, "the replaced database could not be removed");
        }
        reserve::shrink(directory.path(), &database::folder(&database));
        Ok(())
    }
}

impl Drop for CompactDatabase {
    fn drop(&mut self) {
        // What remains is removed at the next opening.
        if let Err(error) = remove_directory(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "an incomplete database could not be removed");
        }
    }
}

/// Completes a compaction that was interrupted, or undoes it: see the table above. Called before the database is opened.
pub(super) fn finish_replacement(directory: &Directory) -> Result<(), OpenError> {
    let (database, replaced) = (directory.database(), directory.replaced_database());
    let sync = || sync_directory(directory.path()).map_err(OpenError::io("sync", directory.path()));
    if !database.exists() && replaced.exists() {
        fs::rename(&replaced, &database).map_err(OpenError::io("rename", &replaced))?;
        sync()?;
    }
    for left in [replaced, directory.compact_database()] {
        if database.exists() && left.exists() {
            // Its replacement must be durable before it is deleted.
            sync()?;
            remove_directory(&left).map_err(OpenError::io("remove", &left))?;
            sync()?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use std::collections::BTreeMap;
    use std::ops::Bound;
    use std::os::unix::fs::MetadataExt;

    use super::*;
    use crate::store::engine::lock::Holder;
    use crate::store::engine::sled::SledEngine;
    use crate::store::engine::{Batch, Direction, Engine, KeyRange, Read, VALUE_BYTES_MAX};

    type Stored = BTreeMap<Vec<u8>, Vec<u8>>;

    /// Random numbers that are the same in each run (xorshift64*, Vigna 2016).
    struct Numbers(u64);

    impl Numbers {
        fn below(&mut self, end: u64) -> u64 {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % end
        }

        /// Keys of all lengths with long prefixes in common, and values of all lengths.
        fn entries(&mut self, count: u64) -> Stored {
            let entry = |_| {
                let mut key = vec![u8::try_from(self.below(5)).unwrap()];
                key.extend(self.below(count * 3).to_be_bytes());
                let tail = if self.below(50) == 0 { 400 } else { self.below(12) };
                key.extend((0..tail).map(|_| u8::try_from(self.below(4) * 85).unwrap()));
                let bytes = if self.below(300) == 0 { VALUE_BYTES_MAX as u64 } else { self.below(200) };
                (key, vec![u8::try_from(self.below(256)).unwrap(); usize::try_from(bytes).unwrap()])
            };
            (0..count).map(entry).collect()
        }
    }

    fn open(path: &Path) -> (Arc<Directory>, SledEngine) {
        let holder = Holder { pid: 1, command: "test".to_owned(), since: String::new() };
        let directory = Arc::new(Directory::open_or_create(path, holder).unwrap());
        let options = Options { free_space_floor_bytes: 0, ..Options::default() };
        (Arc::clone(&directory), SledEngine::open(directory, options).unwrap())
    }

    fn must_have(engine: &SledEngine, expected: &Stored) {
        for direction in [Direction::Forward, Direction::Reverse] {
            let all = KeyRange { start: Bound::Unbounded, end: Bound::Unbounded };
            let mut found: Vec<_> = engine.scan(all, direction).map(Result::unwrap).collect();
            if direction == Direction::Reverse {
                found.reverse();
            }
            assert!(found.iter().map(|(key, value)| (key, value)).eq(expected), "{direction:?}");
        }
        for (key, value) in expected.iter().step_by(7) {
            assert_eq!(engine.get(key).unwrap().as_ref(), Some(value));
        }
    }

    /// Trees of no, one, two and three levels of indexes, in up to four segments; and sled works with them.
    #[test]
    fn sled_finds_every_entry_and_works_on() {
        for count in [0, 1, 15, 16, 17, 16 * 192, 16 * 193 + 1, 70_000] {
            let dir = tempfile::tempdir().unwrap();
            let mut numbers = Numbers(count + 1);
            let mut expected = if count == 0 { Stored::new() } else { numbers.entries(count) };
            let (directory, engine) = open(dir.path());
            engine.commit(&Batch { writes: [(vec![9], Some(vec![9]))].into(), ..Batch::default() }).unwrap();
            drop(engine);
            let options = Options { free_space_floor_bytes: 0, ..Options::default() };
            let mut new = CompactDatabase::create_with(Arc::clone(&directory), options, 0).unwrap();
            for (key, value) in &expected {
                new.insert(key.clone(), value.clone()).unwrap();
            }
            new.replace_database().unwrap();
            let stored: usize = expected.iter().map(|(key, value)| key.len() + value.len()).sum();
            if count > 0 {
                let log_bytes = fs::metadata(directory.database().join("sled/db")).unwrap().blocks() * 512;
                assert!(log_bytes < 65_536 + stored as u64 * 9 / 8, "{log_bytes} bytes for {stored}");
            }
            let logged = fs::read_dir(directory.database().join("wal")).unwrap().map(|file| file.unwrap().file_name());
            assert_eq!(logged.collect::<Vec<_>>(), ["secret"], "the write-ahead log is empty");
            drop(directory);

            for round in 0..3 {
                let (directory, engine) = open(dir.path());
                assert_eq!(engine.recovery_warning(), None);
                must_have(&engine, &expected);
                let mut batch = Batch::default();
                for (key, value) in numbers.entries(1 + count.min(2_000) / 3) {
                    let removed = numbers.below(4) == 0;
                    batch.writes.insert(key, (!removed).then_some(value));
                }
                for key in expected.keys().step_by(11 + round) {
                    batch.writes.insert(key.clone(), None);
                }
                engine.commit(&batch).unwrap();
                for (key, value) in batch.writes {
                    match value {
                        Some(value) => expected.insert(key, value),
                        None => expected.remove(&key),
                    };
                }
                engine.settle().unwrap();
                must_have(&engine, &expected);
                drop((engine, directory));
            }
        }
    }

    #[test]
    fn what_is_small_stays_in_the_write_ahead_log() {
        let dir = tempfile::tempdir().unwrap();
        let mut expected = Numbers(3).entries(2_000);
        let (directory, engine) = open(dir.path());
        engine.commit(&Batch { writes: [(vec![9], Some(vec![9]))].into(), ..Batch::default() }).unwrap();
        drop(engine);
        let mut new = CompactDatabase::create(Arc::clone(&directory), Options::default()).unwrap();
        for (key, value) in &expected {
            new.insert(key.clone(), value.clone()).unwrap();
        }
        new.replace_database().unwrap();
        assert!(!directory.database().join("sled").exists());
        drop(directory);
        let (directory, engine) = open(dir.path());
        must_have(&engine, &expected);
        expected.insert(vec![9], vec![1]);
        engine.commit(&Batch { writes: [(vec![9], Some(vec![1]))].into(), ..Batch::default() }).unwrap();
        drop((engine, directory));
        must_have(&open(dir.path()).1, &expected);
    }

    /// The states of the table in the module's documentation, and what an opening makes of them.
    #[test]
    fn an_opening_finishes_or_undoes_an_exchange() {
        let entry = |number: u8| Batch { writes: [(vec![number], Some(vec![number]))].into(), ..Batch::default() };
        for renamed in 0..3 {
            let dir = tempfile::tempdir().unwrap();
            let (directory, engine) = open(dir.path());
            engine.commit(&entry(1)).unwrap();
            drop(engine);
            let mut new = CompactDatabase::create(Arc::clone(&directory), Options::default()).unwrap();
            new.insert(vec![2], vec![2]).unwrap();
            new.complete().unwrap();
            let names = [directory.database(), directory.replaced_database(), directory.compact_database()];
            // It removes itself when it is dropped.
            let kept = dir.path().join("kept");
            fs::rename(&names[2], &kept).unwrap();
            drop(new);
            fs::rename(&kept, &names[2]).unwrap();
            if renamed > 0 {
                fs::rename(&names[0], &names[1]).unwrap();
            }
            if renamed > 1 {
                fs::rename(&names[2], &names[0]).unwrap();
            }
            drop(directory);
            let (directory, engine) = open(dir.path());
            let number = if renamed > 1 { 2 } else { 1 };
            must_have(&engine, &[(vec![number], vec![number])].into());
            assert!(names[0].exists() && !names[1].exists() && !names[2].exists());
            drop((engine, directory));
        }
    }
}
