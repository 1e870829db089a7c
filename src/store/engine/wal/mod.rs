//! The write-ahead log: the commits that the database on disk may not have yet.
//!
//! A commit is one record ([`record`]), appended to a file and synced. The log never rewrites a record; [`recovery`]
//! reads back what the database lacks. When the database has the writes of a file's records, durably, the file is
//! [released](WriteAheadLog::release) and used again: the blocks of a file that was written before are allocated
//! already, so that a sync writes data and no metadata.
//!
//! The checksums of the records include a secret of 16 random bytes, which is in a file next to them. So the bytes of a
//! text, which end up in the log, are never taken for a record.
//!
//! The log knows neither the database nor who reads it. Its folder is inside the database's folder, so that whatever
//! copies, moves or exchanges a database takes its log along.

mod record;
mod recovery;

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

pub(super) use self::record::LoggedWrite;
use self::record::Secret;
use self::recovery::Recovered;
use super::directory::sync_directory;
use super::{Batch, own_file, own_folder};

/// The size of a file. A record that does not fit into it gets a file of its own size.
const FILE_BYTES: u64 = 2 << 20;
/// Released files that are kept for later. More are removed.
const FREE_FILES_MAX: usize = 4;

/// The file with the log's secret and the CRC-32C of it.
const SECRET_FILE: &str = "secret";
/// The maximum number of bytes that are read from it.
const SECRET_FILE_BYTES_MAX: u64 = 4_096;

/// The write-ahead log of one open database.
#[derive(Debug)]
pub(super) struct WriteAheadLog {
    folder: PathBuf,
    secret: Secret,
    state: Mutex<State>,
    sizes: Sizes,
}

/// The sizes of files in bytes, apart from the state: they are read while a sync may hang.
#[derive(Debug, Default)]
struct Sizes {
    /// Of all files.
    all: AtomicU64,
    /// Of those that are full and not released.
    full: AtomicU64,
}

#[derive(Debug)]
struct State {
    /// The number and the checksum of the last record.
    last: u64,
    checksum: u32,
    /// The file that records are appended to; `None` before the first.
    active: Option<ActiveFile>,
    /// Files that are full, oldest first, each with the number of its last record.
    full: VecDeque<(LogFile, u64)>,
    free: Vec<LogFile>,
    /// The number in the name of the next file.
    next_name: u64,
}

#[derive(Debug)]
struct LogFile {
    path: PathBuf,
    file: File,
    bytes: u64,
}

#[derive(Debug)]
struct ActiveFile {
    file: LogFile,
    /// Where the next record goes.
    end: u64,
    /// The number of its last record.
    last: u64,
}

/// Why a commit could not be appended.
#[derive(Debug)]
pub(super) enum AppendError {
    /// Nothing was written, since there is no space for another file.
    Full(io::Error),
    /// It is unknown what was written.
    Failed(io::Error),
}

impl From<AppendError> for io::Error {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Full(error) | AppendError::Failed(error) => error,
        }
    }
}

/// Why a log could not be opened.
#[derive(Debug)]
pub(super) enum LogError {
    /// A file could not be read or synced.
    Io(io::Error),
    /// A record is broken or missing that was synced once.
    Damaged(String),
}

impl From<io::Error> for LogError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// The commits that a database lacks, in order: the number of each, and its writes.
pub(super) type Lacking = Vec<(u64, Vec<LoggedWrite>)>;

impl WriteAheadLog {
    /// Creates the folder of an empty log, with a random secret, and makes it durable.
    pub(super) fn create(folder: &Path) -> io::Result<()> {
        own_folder::create(folder)?;
        let mut secret = [0; 16];
        getrandom::fill(&mut secret).map_err(|error| io::Error::other(error.to_string()))?;
        let file = own_file::create(&folder.join(SECRET_FILE))?;
        file.write_all_at(&encode_secret(Secret(secret)), 0)?;
        file.sync_all()?;
        sync_directory(folder)
    }

    /// Opens the log in `folder`. The database has all commits up to number `applied`; those after it are returned.
    /// They are durable then, even those that were never acknowledged. Nothing new is written.
    pub(super) fn open(folder: &Path, applied: u64) -> Result<(Self, Lacking), LogError> {
        let secret = read_secret(folder)?;
        let mut files = Vec::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if let Some(name) = number_of(&path) {
                let file = own_file::write(&path)?;
                let bytes = file.metadata()?.len();
                files.push((name, LogFile { path, file, bytes }));
            }
        }
        files.sort_by_key(|(name, _)| *name);
        let next_name = files.last().map_or(0, |(name, _)| name + 1);
        let contents = files.iter().map(|(_, file)| file.read()).collect::<io::Result<Vec<_>>>()?;
        let recovered = recovery::recover(&contents, secret, applied).map_err(LogError::Damaged)?;
        let Recovered { records, last, checksum, used } = recovered;
        let mut state = State { last, checksum, active: None, full: VecDeque::new(), free: Vec::new(), next_name };
        let mut files: Vec<Option<LogFile>> = files.into_iter().map(|(_, file)| Some(file)).collect();
        let last_used = used.last().map(|used| used.file);
        for used in used {
            let Some(file) = files.get_mut(used.file).and_then(Option::take) else { continue };
            // A process that was killed may have written the last record and not synced it. If a sync of it failed, the
            // system may count its pages as written, so it is written once more: the same bytes at the same place.
            let last_record = contents.get(used.file).and_then(|bytes| bytes.get(used.last_begin..used.end));
            if last_used == Some(used.file)
                && let Some(bytes) = last_record
            {
                file.file.write_all_at(bytes, used.last_begin as u64)?;
            }
            file.file.sync_data()?;
            if let Some(ActiveFile { file, last, .. }) = state.active.take() {
                state.full.push_back((file, last));
            }
            state.active = Some(ActiveFile { file, end: used.end as u64, last: used.last });
        }
        state.free.extend(files.into_iter().flatten());
        if !state.free.is_empty() {
            // A process that was killed while it created one may not have made its name durable.
            sync_directory(folder)?;
        }
        let sizes = Sizes::default();
        sizes.all.store(contents.iter().map(|bytes| bytes.len() as u64).sum(), Ordering::Relaxed);
        sizes.full.store(state.full.iter().map(|(file, _)| file.bytes).sum(), Ordering::Relaxed);
        Ok((Self { folder: folder.to_path_buf(), secret, state: Mutex::new(state), sizes }, records))
    }

    /// Appends a commit, syncs it, and returns its number.
    pub(super) fn append(&self, batch: &Batch) -> Result<u64, AppendError> {
        let mut state = self.lock();
        let number = state.last + 1;
        let encoded = record::encode(batch, number, state.checksum, self.secret);
        let too_long = || AppendError::Failed(io::Error::other("the commit has 4 GiB or more"));
        let (bytes, checksum) = encoded.ok_or_else(too_long)?;
        let length = bytes.len() as u64;
        let has_room = state.active.as_ref().is_some_and(|active| active.end + length <= active.file.bytes);
        if !has_room {
            // Found first: if there is none, everything stays as it was.
            let file = self.free_file(&mut state, length)?;
            if let Some(ActiveFile { file, last, .. }) = state.active.replace(ActiveFile { file, end: 0, last: 0 }) {
                self.sizes.full.fetch_add(file.bytes, Ordering::Relaxed);
                state.full.push_back((file, last));
            }
        }
        let no_file = || AppendError::Failed(io::Error::other("there is no file to append to"));
        let mut active = state.active.take().ok_or_else(no_file)?;
        active.file.file.write_all_at(&bytes, active.end).map_err(AppendError::Failed)?;
        active.file.file.sync_data().map_err(AppendError::Failed)?;
        (active.end, active.last) = (active.end + length, number);
        (state.last, state.checksum, state.active) = (number, checksum, Some(active));
        Ok(number)
    }

    /// Releases the files whose records are all in the database, durably: those up to number `applied`.
    pub(super) fn release(&self, applied: u64) {
        let mut state = self.lock();
        while let Some((file, _)) = state.full.pop_front_if(|(_, last)| *last <= applied) {
            self.sizes.full.fetch_sub(file.bytes, Ordering::Relaxed);
            state.free.push(file);
        }
        let kept = state.free.extract_if(.., |file| file.bytes == FILE_BYTES).collect::<Vec<_>>();
        let mut removed = std::mem::replace(&mut state.free, kept);
        let surplus = state.free.len().saturating_sub(FREE_FILES_MAX);
        removed.extend(state.free.drain(..surplus));
        drop(state);
        for LogFile { path, bytes, .. } in removed {
            self.sizes.all.fetch_sub(bytes, Ordering::Relaxed);
            // A file that stays has only records that are applied. It is released again at the next opening.
            if let Err(error) = fs::remove_file(&path) {
                tracing::warn!(path = %path.display(), %error, "a file of the write-ahead log could not be removed");
            }
        }
    }

    /// The number of the last record; 0 if there never was one.
    pub(super) fn last(&self) -> u64 {
        self.lock().last
    }

    /// The size of all files, in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.sizes.all.load(Ordering::Relaxed)
    }

    /// The size of the files that are full and not released, in bytes.
    pub(super) fn full_bytes(&self) -> u64 {
        self.sizes.full.load(Ordering::Relaxed)
    }

    /// A file with room for `length` bytes: a released one, or a new one.
    fn free_file(&self, state: &mut State, length: u64) -> Result<LogFile, AppendError> {
        if let Some(index) = state.free.iter().position(|file| file.bytes >= length) {
            return Ok(state.free.swap_remove(index));
        }
        let path = self.folder.join(format!("{:06}", state.next_name));
        let created = LogFile::create(path.clone(), length.max(FILE_BYTES));
        match created {
            Ok(file) => {
                state.next_name += 1;
                self.sizes.all.fetch_add(file.bytes, Ordering::Relaxed);
                Ok(file)
            }
            Err(error) => {
                // It may have taken all space that there was.
                drop(fs::remove_file(path));
                let is_full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
                Err(if is_full { AppendError::Full(error) } else { AppendError::Failed(error) })
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LogFile {
    /// Creates a file of zeros, and makes it and its name durable.
    fn create(path: PathBuf, bytes: u64) -> io::Result<Self> {
        static PIECE: [u8; 64 << 10] = [0; 64 << 10];
        let bytes = bytes.next_multiple_of(PIECE.len() as u64);
        let file = own_file::create(&path)?;
        for at in (0..bytes).step_by(PIECE.len()) {
            file.write_all_at(&PIECE, at)?;
        }
        file.sync_all()?;
        sync_directory(path.parent().unwrap_or(&path))?;
        Ok(Self { path, file, bytes })
    }

    fn read(&self) -> io::Result<Bytes> {
        let mut bytes = vec![0; usize::try_from(self.bytes).map_err(io::Error::other)?];
        self.file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes.into())
    }
}

fn encode_secret(Secret(secret): Secret) -> Vec<u8> {
    [secret.as_slice(), &crc32c::crc32c(&secret).to_be_bytes()].concat()
}

fn read_secret(folder: &Path) -> Result<Secret, LogError> {
    let unreadable = || LogError::Damaged(format!("the file `{SECRET_FILE}` is missing or cannot be read"));
    let file = match own_file::read(&folder.join(SECRET_FILE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(unreadable()),
        file => file?,
    };
    let mut bytes = Vec::new();
    file.take(SECRET_FILE_BYTES_MAX).read_to_end(&mut bytes)?;
    let secret = bytes.first_chunk().map(|secret| Secret(*secret));
    secret.filter(|secret| encode_secret(*secret) == bytes).ok_or_else(unreadable)
}

/// The number in the name of a file of the log.
fn number_of(path: &Path) -> Option<u64> {
    path.file_name()?.to_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::panic,
        clippy::indexing_slicing,
        reason = "a test stops at the first surprise"
    )]

    use super::*;

    fn batch(value_bytes: usize) -> Batch {
        let mut batch = Batch::default();
        for key in 0..value_bytes.div_ceil(60_000).max(1) {
            batch.writes.insert(key.to_be_bytes().to_vec(), Some(vec![1; value_bytes.min(60_000)]));
        }
        batch
    }

    /// The folder of an empty log.
    fn new_folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::remove_dir(folder.path()).unwrap();
        WriteAheadLog::create(folder.path()).unwrap();
        folder
    }

    fn open(folder: &Path, applied: u64) -> (WriteAheadLog, Vec<u64>) {
        let (log, lacking) = WriteAheadLog::open(folder, applied).unwrap();
        (log, lacking.into_iter().map(|(number, _)| number).collect())
    }

    fn files(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().filter(|entry| number_of(&entry.as_ref().unwrap().path()).is_some()).count()
    }

    #[test]
    fn what_is_not_applied_is_read_again() {
        let folder = new_folder();
        let (log, lacking) = open(folder.path(), 0);
        assert_eq!(lacking, [0; 0]);
        for number in 1..=300 {
            assert_eq!(log.append(&batch(40_000)).unwrap(), number);
        }
        assert!(files(folder.path()) > 5);
        log.release(200);
        drop(log);
        let (log, lacking) = open(folder.path(), 200);
        assert_eq!(lacking, (201..=300).collect::<Vec<_>>());
        assert_eq!(log.append(&batch(1)).unwrap(), 301);
        drop(log);
        assert_eq!(open(folder.path(), 300).1, [301]);
        assert_eq!(open(folder.path(), 301).1, [0; 0]);
    }

    #[test]
    fn released_files_are_used_again_and_few_are_kept() {
        let folder = new_folder();
        let (log, _) = open(folder.path(), 0);
        for number in 1..=2_000 {
            assert_eq!(log.append(&batch(40_000)).unwrap(), number);
            log.release(number - number % 100);
        }
        assert!(files(folder.path()) <= FREE_FILES_MAX + 4, "{}", files(folder.path()));
        assert_eq!(log.bytes(), files(folder.path()) as u64 * FILE_BYTES);
    }

    #[test]
    fn a_large_commit_has_a_file_of_its_own_which_is_removed() {
        let folder = new_folder();
        let (log, _) = open(folder.path(), 0);
        log.append(&batch(1)).unwrap();
        log.append(&batch(9 << 20)).unwrap();
        log.append(&batch(1)).unwrap();
        assert!(log.bytes() > 9 << 20);
        drop(log);
        let (log, lacking) = open(folder.path(), 0);
        assert_eq!(lacking, [1, 2, 3]);
        // What remains of the large file is used too.
        log.append(&batch(60_000)).unwrap();
        let last = log.append(&batch(60_000)).unwrap();
        log.release(last);
        assert!(log.bytes() <= 3 * FILE_BYTES, "{}", log.bytes());
    }

    #[test]
    fn a_torn_record_is_overwritten() {
        let folder = new_folder();
        let (log, _) = open(folder.path(), 0);
        log.append(&batch(100)).unwrap();
        let end = log.lock().active.as_ref().unwrap().end;
        log.append(&batch(40_000)).unwrap();
        drop(log);
        let file = own_file::write(&folder.path().join("000000")).unwrap();
        file.write_all_at(&[0xff], end + 30_000).unwrap();
        let (log, lacking) = open(folder.path(), 0);
        assert_eq!(lacking, [1]);
        assert_eq!(log.append(&batch(10)).unwrap(), 2);
        assert_eq!(log.append(&batch(10)).unwrap(), 3);
        drop(log);
        assert_eq!(open(folder.path(), 0).1, [1, 2, 3]);
        file.write_all_at(&[0xff], end + 23).unwrap();
        assert!(matches!(WriteAheadLog::open(folder.path(), 0), Err(LogError::Damaged(_))));
    }

    /// Without its secret, all records of a log look like something else.
    #[test]
    fn a_log_without_its_secret_is_damaged() {
        let folder = new_folder();
        open(folder.path(), 0).0.append(&batch(100)).unwrap();
        let path = folder.path().join(SECRET_FILE);
        let secret = fs::read(&path).unwrap();
        for at in 0..secret.len() {
            let mut damaged = secret.clone();
            damaged[at] ^= 1;
            for bytes in [&damaged, &secret[..at]] {
                fs::write(&path, bytes).unwrap();
                assert!(matches!(WriteAheadLog::open(folder.path(), 0), Err(LogError::Damaged(_))));
            }
        }
        fs::remove_file(&path).unwrap();
        assert!(matches!(WriteAheadLog::open(folder.path(), 0), Err(LogError::Damaged(_))));
        fs::write(&path, &secret).unwrap();
        assert_eq!(open(folder.path(), 0).1, [1]);
    }
}
