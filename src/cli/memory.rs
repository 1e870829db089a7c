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

use super::replace::replace;

/// The file that remembers one thing.
pub(super) struct Memory<T> {
    path: PathBuf,
    /// What is remembered.
    pub(super) value: T,
}

impl<T: Serialize + DeserializeOwned + Default> Memory<T> {
    /// Reads what is remembered in `folder` of a thing that has to do with the archive of this id. Where there is nothing,
    /// it is the default.
    pub(super) fn of(folder: &Path, archive_id: &[u8], thing: &str) -> io::Result<Self> {
        let digest = Sha256::new().chain_update(archive_id).chain_update(thing).finalize();
        let name = HEXLOWER.encode(digest.get(..16).unwrap_or(&digest));
        let path = folder.join(format!("{name}.json"));
        let value = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(io::Error::from)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => T::default(),
            Err(error) => return Err(error),
        };
        Ok(Self { path, value })
    }

    /// Remembers it durably. The file is replaced as a whole, so that it is never half written.
    pub(super) fn keep(&self) -> io::Result<()> {
        replace(&self.path, &serde_json::to_vec_pretty(&self.value)?)
    }

    /// Remembers nothing any more.
    pub(super) fn forget(self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}
