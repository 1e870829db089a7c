//! What commands remember from one time to the next, beside the archive: on the machine that they run on, a file of JSON for
//! each archive and thing remembered.
//!
//! It is no part of the record. Who loses it does some work once more, which changes nothing.

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

/// Where one command remembers what has to do with one archive.
pub(super) struct Place {
    pub(super) folder: PathBuf,
    archive_id: Vec<u8>,
}

impl Place {
    /// The folder that was named, or else that of the command in the platform's folder for state.
    pub(super) async fn of(session: &Session, named: Option<&Path>, command: &str) -> Result<Self, Failure> {
        let status = session.admin().get_status(pb::GetStatusRequest {}).await?.into_inner();
        let folder = match named {
            Some(folder) => folder.to_owned(),
            None => state_folder()?.join(command),
        };
        Ok(Self { folder, archive_id: status.archive_id })
    }
}

/// The file that remembers one thing.
pub(super) struct Memory<T> {
    path: PathBuf,
    /// What is remembered.
    pub(super) value: T,
}

impl<T: Serialize + DeserializeOwned + Default> Memory<T> {
    /// Reads what is remembered of a thing. Where there is nothing, it is the default.
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

    /// Remembers it durably, for this user alone: it has addresses and names from the archive. The file is replaced as a
    /// whole, so that it is never half written.
    pub(super) fn keep(&self) -> io::Result<()> {
        replace_privately(&self.path, &serde_json::to_vec_pretty(&self.value)?)
    }

    /// Remembers nothing any more.
    pub(super) fn forget(self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}
