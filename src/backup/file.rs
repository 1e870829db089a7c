//! A file of a backup, and finding those of a folder.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use data_encoding::HEXLOWER;

use super::BackupError;
use crate::store::export::{LogEnd, LogHeader, LogReader};

/// What the names of backup files end in.
const ENDING: &str = "dlog";
/// How much of a file is read at once.
const BUFFER_BYTES: usize = 256 << 10;

/// A file that is read.
pub(super) type Reader = LogReader<BufReader<Box<dyn Read + Send>>>;

/// A file of a backup, of which the header was read.
#[derive(Clone, Debug)]
pub struct BackupFile {
    /// Where it is; for a stream, what it is called.
    pub path: PathBuf,
    /// What it holds.
    pub header: LogHeader,
    stream: Option<Stream>,
}

/// What can be read only once: its reader stands behind the header, until it is taken.
#[derive(Clone)]
struct Stream(Arc<Mutex<Option<Reader>>>);

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stream")
    }
}

impl BackupFile {
    /// Reads the header of a file.
    pub fn open(path: &Path) -> Result<Self, BackupError> {
        let (reader, path) = (read(path)?, path.to_path_buf());
        Ok(Self { path, header: reader.header().clone(), stream: None })
    }

    /// Reads the header of what comes through a pipe or the like. Errors call it `name`.
    pub fn of_stream(name: &str, bytes: impl Read + Send + 'static) -> Result<Self, BackupError> {
        let reader = reader(name, bytes)?;
        let header = reader.header().clone();
        Ok(Self { path: name.into(), header, stream: Some(Stream(Arc::new(Mutex::new(Some(reader))))) })
    }

    /// A file that lies complete at `path`.
    pub(super) fn at(path: PathBuf, header: LogHeader) -> Self {
        Self { path, header, stream: None }
    }

    /// What stands at the end of a file that lies in a folder.
    pub(super) fn read_end(&self) -> Result<LogEnd, BackupError> {
        // Most of it is passed over, so that a buffer would be filled in vain.
        let file = File::open(&self.path).map_err(BackupError::unreadable(&self.path))?;
        Ok(LogReader::open(&self.path.display().to_string(), file)?.pass_to_end()?)
    }

    /// The name under which a file is kept: its first position, the one behind its last, and the beginning of the
    /// running digest there, so that what an archive held before and after it was restored does not get one name.
    pub fn name_of(header: &LogHeader) -> String {
        let log_digest = header.end.log_digest.0;
        let log_digest = HEXLOWER.encode(log_digest.first_chunk::<4>().unwrap_or(&[0; 4]));
        format!("{:020}-{:020}-{log_digest}.{ENDING}", header.first_seq.0, header.end.next_seq.0)
    }

    /// Reads the changes of the file from the first on. A stream has them once.
    pub(super) fn read(&self) -> Result<Reader, BackupError> {
        let Some(Stream(stream)) = &self.stream else { return read(&self.path) };
        let taken = stream.lock().unwrap_or_else(PoisonError::into_inner).take();
        taken.ok_or_else(|| BackupError::unreadable(&self.path)(io::Error::other("it was read before")))
    }
}

fn read(path: &Path) -> Result<Reader, BackupError> {
    let file = File::open(path).map_err(BackupError::unreadable(path))?;
    reader(&path.display().to_string(), file)
}

fn reader(name: &str, bytes: impl Read + Send + 'static) -> Result<Reader, BackupError> {
    Ok(LogReader::open(name, BufReader::with_capacity(BUFFER_BYTES, Box::new(bytes) as _))?)
}

/// The files of a backup: each that is named, and all that lie in each folder that is named.
pub fn find(places: &[PathBuf]) -> Result<Vec<BackupFile>, BackupError> {
    let mut files = Vec::new();
    for place in places {
        if place.is_dir() {
            let found = in_folder(place)?;
            if found.is_empty() {
                return Err(BackupError::NoFiles(place.clone()));
            }
            files.extend(found);
        } else {
            files.push(BackupFile::open(place)?);
        }
    }
    // A file may be named twice, or by itself and with its folder.
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files.dedup_by(|a, b| a.path == b.path);
    Ok(files)
}

/// The files in a folder; none in one that is not there.
pub(super) fn in_folder(folder: &Path) -> Result<Vec<BackupFile>, BackupError> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(BackupError::unreadable(folder))?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(BackupError::unreadable(folder))?.path();
        if path.extension().is_some_and(|ending| ending == ENDING) {
            files.push(BackupFile::open(&path)?);
        }
    }
    Ok(files)
}
