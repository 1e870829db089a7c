//! The file `EXPUNGED` next to the database: a copy of the register of destructions, which survives the loss of the
//! database. It is a log file without changes, so that `restore --register` reads it as it reads any file of a backup.
//!
//! It only grows. If the database lacks what the file has, an older copy of it may have been put back.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use crate::model::ExpungeRegister;
use crate::store::StoreError;
use crate::store::engine::directory::Directory;
use crate::store::logfile::{LogEnd, LogFileError, LogHeader, LogReader, LogWriter};

const NAME: &str = "EXPUNGED";

/// Why the file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegisterFileError {
    #[error("the file {NAME} cannot be written or read: {0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    File(#[from] LogFileError),
    #[error("the register of destructions cannot be read: {0}")]
    Store(#[from] StoreError),
}

/// The file of one archive.
#[derive(Debug)]
pub(crate) struct RegisterFile {
    directory: Arc<Directory>,
    /// Held while the file is replaced.
    replacing: Mutex<()>,
}

impl RegisterFile {
    pub(crate) fn of(directory: Arc<Directory>) -> Self {
        Self { directory, replacing: Mutex::default() }
    }

    /// Adds the register in the header to the file, durably. Returns what the file has that the header lacks.
    pub(crate) fn save(
        &self,
        header: impl FnOnce() -> Result<LogHeader, StoreError>,
    ) -> Result<ExpungeRegister, RegisterFileError> {
        // Read while it is held, so that a later register never gives way to an earlier one.
        let _replacing = self.replacing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut header = header()?;
        let saved = self.read()?;
        let mut lacking = saved.clone();
        lacking.0.retain(|change, _| !header.register.0.contains_key(change));
        header.register.merge(saved.clone());
        if header.register != saved {
            let (writer, mut bytes) = LogWriter::begin(&header);
            bytes.extend(writer.finish(&LogEnd::default()));
            self.directory.replace_file(NAME, &bytes)?;
        }
        Ok(lacking)
    }

    /// What the file has.
    pub(crate) fn read(&self) -> Result<ExpungeRegister, RegisterFileError> {
        let path = self.directory.path().join(NAME);
        let Some(file) = self.directory.read_file(NAME)? else { return Ok(ExpungeRegister::default()) };
        Ok(LogReader::open(&path.display().to_string(), file)?.header().register.clone())
    }
}
