//! Files next to the database that have rules or secrets, as text: only their owner may read or write them.

use std::fs::Metadata;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::own_file;

/// Why such a file cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum PrivateFileError {
    /// The file cannot be read or written.
    #[error("{} cannot be used: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// Others can read or write the file.
    #[error("{} can be read or written by others (mode {mode:o}); run `chmod 600 {}`", .path.display(), .path.display())]
    Mode {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
}

/// A file that was read.
#[derive(Debug)]
pub(crate) struct PrivateFile {
    /// What it contains.
    pub(crate) text: String,
    /// Its metadata when it was opened.
    pub(crate) metadata: Metadata,
}

/// Reads a file of at most `bytes_max` bytes; `None` if it does not exist.
pub(crate) fn read(path: &Path, bytes_max: u64) -> Result<Option<PrivateFile>, PrivateFileError> {
    let unusable = |source| PrivateFileError::Io { path: path.to_path_buf(), source };
    let file = match own_file::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(unusable)?,
    };
    let metadata = file.metadata().map_err(unusable)?;
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(PrivateFileError::Mode { path: path.to_path_buf(), mode });
    }
    if metadata.len() > bytes_max {
        return Err(unusable(io::Error::other(format!("it has more than {bytes_max} bytes"))));
    }
    let mut text = String::new();
    file.take(bytes_max).read_to_string(&mut text).map_err(unusable)?;
    Ok(Some(PrivateFile { text, metadata }))
}

/// Creates or replaces a file, durably.
pub(crate) fn replace(path: &Path, text: &str) -> Result<(), PrivateFileError> {
    own_file::replace(path, text.as_bytes()).map_err(|source| PrivateFileError::Io { path: path.to_path_buf(), source })
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_others_could_read_is_refused_and_so_is_a_file_that_is_too_long() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rules.toml");
        assert!(read(&path, 8).unwrap().is_none());
        replace(&path, "12345678").unwrap();
        assert_eq!(read(&path, 8).unwrap().unwrap().text, "12345678");
        let error = read(&path, 7).unwrap_err().to_string();
        assert!(error.contains("more than 7 bytes"), "{error}");
        for mode in [0o640, 0o604, 0o620] {
            set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let error = read(&path, 8).unwrap_err().to_string();
            assert!(error.contains(&format!("(mode {mode:o}); run `chmod 600 ")), "{error}");
        }
    }
}
