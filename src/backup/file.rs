//! The files of a backup: finds them in folders and opens them.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use data_encoding::HEXLOWER;

use super::BackupError;
use crate::model::ExpungeRegister;
use crate::store::logfile::{LogEnd, LogHeader, LogReader};

/// The extension of backup files.
const EXTENSION: &str = "dlog";
/// The size of the read buffer, in bytes.
const BUFFER_BYTES: usize = 256 << 10;

/// A backup file that is being read.
pub(super) type BackupReader = LogReader<BufReader<Box<dyn Read + Send>>>;

/// A backup file whose header has been read.
#[derive(Clone, Debug)]
pub struct BackupFile {
    /// The path of the file; for a stream, its name in messages.
    pub path: PathBuf,
    /// The header: what the file contains.
    pub header: LogHeader,
    /// What was destroyed, by this file and the others in its folder.
    pub register: ExpungeRegister,
    stream: Option<Stream>,
}

/// A stream, which can be read only once. Its reader is positioned after the header; `None` once the reader was used.
#[derive(Clone)]
struct Stream(Arc<Mutex<Option<BackupReader>>>);

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stream")
    }
}

impl BackupFile {
    /// Opens a file and reads its header.
    pub fn open(path: &Path) -> Result<Self, BackupError> {
        let header = read(path)?.header().clone();
        Ok(Self::at(path.to_path_buf(), header))
    }

    /// Reads the header of a stream, such as a pipe. Errors refer to it as `name`.
    pub fn from_stream(name: &str, bytes: impl Read + Send + 'static) -> Result<Self, BackupError> {
        let reader = reader(name, bytes)?;
        let file = Self::at(name.into(), reader.header().clone());
        Ok(Self { stream: Some(Stream(Arc::new(Mutex::new(Some(reader))))), ..file })
    }

    /// A complete file at `path`, whose header was read before.
    pub(super) fn at(path: PathBuf, header: LogHeader) -> Self {
        Self { path, register: header.register.clone(), header, stream: None }
    }

    /// Reads the end frame of a file on disk.
    pub(super) fn read_end(&self) -> Result<LogEnd, BackupError> {
        // Most of the file is skipped, so filling a buffer would be wasted work.
        let file = File::open(&self.path).map_err(BackupError::unreadable(&self.path))?;
        Ok(LogReader::open(&self.path.display().to_string(), file)?.skip_to_end()?)
    }

    /// The file name under which a backup is stored: its first position, the position after its last, and the start of
    /// the log digest there. The digest keeps the states before and after a restore from getting the same name.
    pub fn name_of(header: &LogHeader) -> String {
        let log_digest = header.end.log_digest.0;
        let log_digest = HEXLOWER.encode(log_digest.first_chunk::<4>().unwrap_or(&[0; 4]));
        format!("{:020}-{:020}-{log_digest}.{EXTENSION}", header.first_seq.0, header.end.next_seq.0)
    }

    /// Opens the file to read its changes from the first on. A stream can be read only once.
    pub(super) fn read(&self) -> Result<BackupReader, BackupError> {
        let Some(Stream(stream)) = &self.stream else { return read(&self.path) };
        let reader = stream.lock().unwrap_or_else(PoisonError::into_inner).take();
        reader.ok_or_else(|| BackupError::unreadable(&self.path)(io::Error::other("the stream was already read")))
    }
}

fn read(path: &Path) -> Result<BackupReader, BackupError> {
    let file = File::open(path).map_err(BackupError::unreadable(path))?;
    reader(&path.display().to_string(), file)
}

fn reader(name: &str, bytes: impl Read + Send + 'static) -> Result<BackupReader, BackupError> {
    Ok(LogReader::open(name, BufReader::with_capacity(BUFFER_BYTES, Box::new(bytes) as _))?)
}

/// Finds the files of a backup: each file in `paths`, and all backup files in each folder in `paths`.
pub fn find(paths: &[PathBuf]) -> Result<Vec<BackupFile>, BackupError> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            let found = in_folder(path)?;
            if found.is_empty() {
                return Err(BackupError::NoFiles(path.clone()));
            }
            files.extend(found);
        } else {
            let mut file = BackupFile::open(path)?;
            file.register.merge(register_beside(path, &file.header.archive_id));
            files.push(file);
        }
    }
    // A file may be listed twice, or both by itself and through its folder.
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files.dedup_by(|a, b| a.path == b.path);
    Ok(files)
}

/// What was destroyed, by the readable files next to this one of the same archive. A text that was destroyed stays so,
/// whichever of its files a backup is restored from.
fn register_beside(path: &Path, archive_id: &[u8; 16]) -> ExpungeRegister {
    let mut register = ExpungeRegister::default();
    let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let file = BackupFile::open(&entry.path()).ok();
        if let Some(file) = file.filter(|file| file.header.archive_id == *archive_id) {
            register.merge(file.register);
        }
    }
    register
}

/// The backup files in a folder; empty if the folder does not exist.
pub(super) fn in_folder(folder: &Path) -> Result<Vec<BackupFile>, BackupError> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(BackupError::unreadable(folder))?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(BackupError::unreadable(folder))?.path();
        if path.extension().is_some_and(|extension| extension == EXTENSION) {
            files.push(BackupFile::open(&path)?);
        }
    }
    Ok(files)
}
