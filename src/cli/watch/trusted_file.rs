//! The file of `watch --checkpoints`: the verifier key of a log on the first line, and then the last checkpoint that was
//! checked, as a signed note.

use std::io;
use std::path::{Path, PathBuf};

use crate::capture::replace::replace;
use crate::cli::exit::{Exit, Failure};
use crate::cli::proof::verifier_key;
use crate::client::TrustedLog;

/// A file with the checkpoint that is trusted.
pub(super) struct TrustedFile(PathBuf);

impl TrustedFile {
    /// Reads what is trusted of a log. `key` is the text of the verifier key, or a file that has it; it takes precedence
    /// over the key in the file.
    pub(super) fn open(path: &Path, key: Option<&str>) -> Result<(Self, TrustedLog), Failure> {
        let key = key.map(verifier_key).transpose()?;
        let unusable = |error: &dyn std::fmt::Display| {
            Failure::new(Exit::Failed, format!("{} cannot be used: {error}", path.display()))
        };
        let log = match (std::fs::read_to_string(path), key) {
            (Ok(text), key) => {
                let (kept, note) = text.split_once('\n').unwrap_or_default();
                let key = key.map_or_else(|| kept.parse(), Ok).map_err(|error| unusable(&error))?;
                TrustedLog::since(key, note).map_err(|error| {
                    unusable(&error).hint(
                        "if the log was restored or renamed, compare what you have with its operator, and name another file",
                    )
                })?
            }
            (Err(error), Some(key)) if error.kind() == io::ErrorKind::NotFound => TrustedLog::new(key),
            (Err(error), None) if error.kind() == io::ErrorKind::NotFound => {
                let message =
                    format!("{} does not exist yet, so --key must say whose checkpoints to trust", path.display());
                return Err(Failure::new(Exit::Usage, message).hint(
                    "get the log's verifier key from the archive's operator, who prints it with `dateline key show`",
                ));
            }
            (Err(error), _) => return Err(unusable(&error)),
        };
        Ok((Self(path.to_path_buf()), log))
    }

    /// Replaces the file durably.
    pub(super) fn keep(&self, log: &TrustedLog) -> Result<(), Failure> {
        let Some(note) = log.note() else { return Ok(()) };
        replace(&self.0, format!("{}\n{note}", log.key()).as_bytes()).map_err(|error| {
            Failure::new(Exit::Failed, format!("the checkpoint cannot be kept in {}: {error}", self.0.display()))
        })
    }
}
