//! A file of a backup, and finding those of a folder.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;

use super::BackupError;
use crate::store::export::{LogHeader, LogReader};

/// What the names of backup files end in.
const ENDING: &str = "dlog";
/// How much of a file is read at once.
const BUFFER_BYTES: usize = 256 << 10;

/// A file that is read.
pub(super) type Reader = LogReader<BufReader<File>>;

/// A file of a backup, of which the header was read.
#[derive(Clone, Debug)]
pub struct BackupFile {
    /// Where it is.
    pub path: PathBuf,
    /// What it holds.
    pub header: LogHeader,
}

impl BackupFile {
    /// Reads the header of a file.
    pub fn open(path: &Path) -> Result<Self, BackupError> {
        let (reader, path) = (read(path)?, path.to_path_buf());
        Ok(Self { path, header: reader.header().clone() })
    }

    /// The name under which a file is kept: its first position, the one behind its last, and the beginning of the
    /// running digest there, so that what an archive held before and after it was restored does not get one name.
    pub fn name_of(header: &LogHeader) -> String {
        let history = header.end.history.0;
        let history = HEXLOWER.encode(history.first_chunk::<4>().unwrap_or(&[0; 4]));
        format!("{:020}-{:020}-{history}.{ENDING}", header.first_seq.0, header.end.next_seq.0)
    }

    /// Reads the file from its beginning.
    pub(super) fn read(&self) -> Result<Reader, BackupError> {
        read(&self.path)
    }
}

fn read(path: &Path) -> Result<Reader, BackupError> {
    let file = File::open(path).map_err(BackupError::unreadable(path))?;
    Ok(LogReader::open(&path.display().to_string(), BufReader::with_capacity(BUFFER_BYTES, file))?)
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
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
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
