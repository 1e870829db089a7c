//! Watches sled's folder `blobs/`, which must stay empty: sled never syncs the files in it.
//!
//! Creating a file changes the modification time of its folder, and that can be read without a file descriptor. So the
//! folder is listed only if that time has changed since the last listing. A lack of descriptors between listings does
//! no harm: clients can exhaust those of the process, and must not be able to fail the storage that way.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;
use std::{fs, io};

use crate::store::engine::EngineError;

/// The folder `blobs/` of one open database.
#[derive(Debug)]
pub(super) struct BlobsFolder {
    folder: PathBuf,
    /// The modification time that the folder had when it was last found empty.
    found_empty: Mutex<Option<SystemTime>>,
}

impl BlobsFolder {
    /// The folder of the database at `path`. The first [`BlobsFolder::check`] lists it.
    pub(super) fn new(path: &Path) -> Self {
        Self { folder: folder(path), found_empty: Mutex::new(None) }
    }

    /// Fails if the folder contains a file. If it cannot be listed for lack of descriptors, the next check lists it.
    pub(super) fn check(&self) -> Result<(), EngineError> {
        let failed = |error| EngineError::Failed(format!("could not look at {}: {error}", self.folder.display()));
        let changed = match fs::symlink_metadata(&self.folder).and_then(|metadata| metadata.modified()) {
            Ok(changed) => changed,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(failed(error)),
        };
        let mut found_empty = self.found_empty.lock().unwrap_or_else(PoisonError::into_inner);
        if *found_empty == Some(changed) {
            return Ok(());
        }
        match first(&self.folder) {
            Ok(None) => {
                *found_empty = Some(changed);
                Ok(())
            }
            Ok(Some(blob)) => {
                Err(EngineError::Failed(format!("sled wrote {}, which it does not sync", blob.display())))
            }
            Err(error) if lacks_descriptors(&error) => {
                tracing::warn!(%error, "the folder of blobs could not be listed; the next commit tries again");
                Ok(())
            }
            Err(error) => Err(failed(error)),
        }
    }
}

/// A file in the folder of the database at `path`, if there is one. A missing folder is fine: sled creates it.
pub(super) fn first_blob(path: &Path) -> io::Result<Option<PathBuf>> {
    first(&folder(path))
}

fn folder(path: &Path) -> PathBuf {
    path.join("blobs")
}

fn first(folder: &Path) -> io::Result<Option<PathBuf>> {
    match fs::read_dir(folder) {
        Ok(mut entries) => entries.next().transpose().map(|blob| blob.map(|blob| blob.path())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn lacks_descriptors(error: &io::Error) -> bool {
    let errno = rustix::io::Errno::from_io_error(error);
    matches!(errno, Some(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_listed_only_when_it_has_changed() {
        let database = tempfile::tempdir().unwrap();
        let blobs = BlobsFolder::new(database.path());
        blobs.check().unwrap();
        fs::create_dir(database.path().join("blobs")).unwrap();
        blobs.check().unwrap();
        let listed = *blobs.found_empty.lock().unwrap();
        assert!(listed.is_some());
        blobs.check().unwrap();
        assert_eq!(*blobs.found_empty.lock().unwrap(), listed);
        // A file that came after the folder was last found empty is detected.
        *blobs.found_empty.lock().unwrap() = listed.map(|at| at - std::time::Duration::from_secs(1));
        fs::write(database.path().join("blobs/1"), b"x").unwrap();
        assert!(blobs.check().is_err());
        assert!(blobs.check().is_err());
    }

    #[test]
    fn a_lack_of_descriptors_is_distinguished_from_other_errors() {
        assert!(lacks_descriptors(&io::Error::from(rustix::io::Errno::MFILE)));
        assert!(lacks_descriptors(&io::Error::from(rustix::io::Errno::NFILE)));
        assert!(!lacks_descriptors(&io::Error::from(rustix::io::Errno::IO)));
    }
}
