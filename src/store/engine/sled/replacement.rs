//! Builds a replacement database next to an archive's own, and exchanges the two when it is complete.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::super::OpenError;
use super::super::directory::{Directory, remove_directory, sync_directory};
use super::{DatabaseFile, Options, SledEngine, database, initialize, sync_creation};

impl SledEngine {
    /// Creates an empty database next to the archive's own. Removes the remains of an earlier, interrupted replacement.
    pub fn create_replacement(directory: &Arc<Directory>, options: Options) -> Result<Self, OpenError> {
        let path = directory.new_database();
        remove_directory(&path).map_err(OpenError::io("remove", &path))?;
        initialize(&path)?;
        let mut engine = Self::open_unchecked(Arc::clone(directory), path, options)?;
        engine.start_applier()?;
        Ok(engine)
    }

    /// Closes a replacement and removes it.
    pub fn discard(self) -> Result<(), OpenError> {
        let path = self.shared.path.clone();
        drop(self);
        remove_directory(&path).map_err(OpenError::io("remove", &path))
    }

    /// Closes a replacement and exchanges it with the archive's database, which goes to quarantine. If the file system
    /// can exchange names, this is atomic: the archive is complete before and after it. The archive's database must be
    /// closed.
    pub fn replace_database(self) -> Result<(), OpenError> {
        let (directory, new) = (Arc::clone(&self.directory), self.shared.path.clone());
        let database = directory.database();
        drop(self);
        let folder = database::folder(&new);
        if folder.exists() {
            let closed = DatabaseFile::open(&folder).and_then(|log| log.wait_until_closed());
            closed.map_err(OpenError::io("close", &folder))?;
        }
        sync_creation(&new).map_err(OpenError::io("sync", &new))?;
        exchange(&new, &database).map_err(OpenError::io("exchange", &database))?;
        sync_directory(directory.path()).map_err(OpenError::io("sync", directory.path()))?;
        // The old database has the replacement's name now.
        directory.quarantine(&new).map(drop).map_err(OpenError::io("move away", &new))
    }
}

/// Exchanges two names atomically. If the file system cannot do that, three renames exchange them. A crash after the
/// first rename leaves no database: opening then reports that it is missing, and another rebuild finds nothing to read.
fn exchange(new: &Path, database: &Path) -> std::io::Result<()> {
    match renameat_with(CWD, new, CWD, database, RenameFlags::EXCHANGE) {
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
            let aside = database.with_extension("old");
            fs::rename(database, &aside)?;
            fs::rename(new, database)?;
            fs::rename(aside, new)
        }
        exchanged => Ok(exchanged?),
    }
}
