//! State files: what imports and feeds keep from one run to the next, outside the archive and on the machine they run
//! on. There is one JSON file for each archive and subject, such as a feed or a collection.
//!
//! State files are not part of the record. Losing one costs some repeated work, which changes nothing.

use std::path::PathBuf;
use std::{fs, io};

use data_encoding::HEXLOWER;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::CaptureError;
use super::replace::replace_privately;
use crate::client::Client;
use crate::wire::pb;

/// The directory of the state files for one archive.
pub struct StateDir {
    folder: PathBuf,
    archive_id: Vec<u8>,
}

impl StateDir {
    /// Keeps state files in `folder` for the archive that `client` is connected to. The directory is created with the
    /// first file.
    pub async fn of(client: &Client, folder: PathBuf) -> Result<Self, CaptureError> {
        let status = client.admin.clone().get_status(pb::GetStatusRequest {}).await?.into_inner();
        Ok(Self { folder, archive_id: status.archive_id })
    }

    /// The error of reading `what` in this directory.
    pub(super) fn unreadable(&self, what: &'static str, error: io::Error) -> CaptureError {
        CaptureError::State { what, folder: self.folder.clone(), error }
    }
}

/// The state file of one subject.
pub(super) struct StateFile<T> {
    path: PathBuf,
    /// The state, as read or as last changed; [`Self::save`] writes it.
    pub(super) value: T,
}

impl<T: Serialize + DeserializeOwned + Default> StateFile<T> {
    /// Reads the state of `subject`, which names a feed or a collection; the default if there is no file.
    pub(super) fn of(state_dir: &StateDir, subject: &str) -> io::Result<Self> {
        let digest = Sha256::new().chain_update(&state_dir.archive_id).chain_update(subject).finalize();
        let name = HEXLOWER.encode(digest.get(..16).unwrap_or(&digest));
        let path = state_dir.folder.join(format!("{name}.json"));
        let value = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(io::Error::from)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => T::default(),
            Err(error) => return Err(error),
        };
        Ok(Self { path, value })
    }

    /// Writes the state durably. Only this user can read the file, since it has URLs and names from the archive. The
    /// file is replaced as a whole, so it is never half written.
    pub(super) fn save(&self) -> io::Result<()> {
        replace_privately(&self.path, &serde_json::to_vec_pretty(&self.value)?)
    }

    /// Removes the file; succeeds if there is none.
    pub(super) fn remove(self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}
