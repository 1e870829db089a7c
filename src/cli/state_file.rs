//! State files: what commands keep from one run to the next, outside the archive and on the machine they run on. There
//! is one JSON file for each archive and thing, such as a feed or a collection.
//!
//! State files are not part of the record. Losing one costs some repeated work, which changes nothing.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::connect::{Session, state_folder};
use super::exit::Failure;
use super::replace::replace_privately;
use crate::wire::pb;

/// Where one command keeps its state files for one archive.
pub(super) struct Place {
    pub(super) folder: PathBuf,
    archive_id: Vec<u8>,
}

impl Place {
    /// Uses the directory given on the command line, or else the command's own in the platform's state directory.
    pub(super) async fn of(session: &Session, named: Option<&Path>, command: &str) -> Result<Self, Failure> {
        let status = session.admin().get_status(pb::GetStatusRequest {}).await?.into_inner();
        let folder = match named {
            Some(folder) => folder.to_owned(),
            None => state_folder()?.join(command),
        };
        Ok(Self { folder, archive_id: status.archive_id })
    }
}

/// The state file of one thing.
pub(super) struct StateFile<T> {
    path: PathBuf,
    /// The state, as read or as last changed; [`Self::keep`] writes it.
    pub(super) value: T,
}

impl<T: Serialize + DeserializeOwned + Default> StateFile<T> {
    /// Reads the state of a thing; the default if there is no file.
    pub(super) fn of(place: &Place, thing: &str) -> io::Result<Self> {
        let digest = Sha256::new().chain_update(&place.archive_id).chain_update(thing).finalize();
        let name = HEXLOWER.encode(digest.get(..16).unwrap_or(&digest));
        let path = place.folder.join(format!("{name}.json"));
        let value = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(io::Error::from)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => T::default(),
            Err(error) => return Err(error),
        };
        Ok(Self { path, value })
    }

    /// Writes the state durably. Only this user can read the file, since it has URLs and names from the archive. It is
    /// replaced as a whole, so it is never half written.
    pub(super) fn keep(&self) -> io::Result<()> {
        replace_privately(&self.path, &serde_json::to_vec_pretty(&self.value)?)
    }

    /// Removes the file; succeeds if there is none.
    pub(super) fn forget(self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}
