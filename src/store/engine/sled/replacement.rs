//! A database that is made beside the one of an archive, to take its place when it is complete.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::super::OpenError;
use super::super::directory::{Directory, remove_directory, sync_directory};
use super::{Log, Options, SledEngine, sync_creation};

impl SledEngine {
    /// Makes an empty database beside the archive's own. What an earlier one that was cut short left is removed.
    pub fn create_replacement(directory: &Arc<Directory>, options: Options) -> Result<Self, OpenError> {
        let path = directory.new_database();
        remove_directory(&path).map_err(OpenError::io("remove", &path))?;
        Self::open_as_it_is(Arc::clone(directory), path, options)
    }

    /// Closes a replacement and removes it.
    pub fn discard(self) -> Result<(), OpenError> {
        let path = self.path.clone();
        drop(self);
        remove_directory(&path).map_err(OpenError::io("remove", &path))
    }

    /// Closes a replacement and puts it in the place of the archive's database, which goes to quarantine. The exchange is
    /// atomic: an archive is whole before it and after it. The database in place must be closed.
    pub fn take_place(self) -> Result<(), OpenError> {
        let (directory, new) = (Arc::clone(&self.directory), self.path.clone());
        let place = directory.database();
        drop(self);
        let closed = Log::open(&new).and_then(|log| log.wait_until_closed());
        closed.map_err(OpenError::io("close", &new))?;
        sync_creation(&new).map_err(OpenError::io("sync", &new))?;
        exchange(&new, &place).map_err(OpenError::io("exchange", &place))?;
        sync_directory(directory.path()).map_err(OpenError::io("sync", directory.path()))?;
        // Now the old one bears the new one's name.
        directory.quarantine(&new).map(drop).map_err(OpenError::io("move away", &new))
    }
}

/// Exchanges two names. A file system without that gets two renamings, between which there is no database in place:
/// opening then says that it is gone, and a rebuilding that is begun anew finds nothing to read.
fn exchange(new: &Path, place: &Path) -> std::io::Result<()> {
    match renameat_with(CWD, new, CWD, place, RenameFlags::EXCHANGE) {
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
            let aside = place.with_extension("old");
            fs::rename(place, &aside)?;
            fs::rename(new, place)?;
            fs::rename(aside, new)
        }
        exchanged => Ok(exchanged?),
    }
}
