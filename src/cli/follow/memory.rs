//! What `follow` remembers from one time to the next: which entries of a feed are archived, as they were then.
//!
//! It lies on the machine that follows, a file for each archive and feed, since it says what was asked for and is no part of
//! the record. Losing it costs one more sighting of each entry.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::fetch::Validators;

/// What is remembered of one feed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Seen {
    /// The feed's address, for people.
    feed: String,
    /// What the feed is asked with whether it has changed. Only where all of its entries are archived: who asks so may be
    /// given none.
    pub(super) validators: Option<Validators>,
    /// Each entry that the feed had last and that was dealt with, by its id.
    pub(super) entries: BTreeMap<String, Kept>,
}

/// An entry that was dealt with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    /// Its fingerprint, in hexadecimal.
    pub(super) fingerprint: String,
    /// The article that it became; empty where it could not be read. An entry that leads to another address later is
    /// still that article.
    pub(super) article: String,
}

/// The file that remembers one feed.
pub(super) struct Memory {
    path: PathBuf,
    pub(super) seen: Seen,
}

impl Memory {
    /// Reads what is remembered in `folder` of a feed that goes into the archive with this id. Where there is nothing,
    /// nothing was seen yet.
    pub(super) fn of(folder: &Path, archive_id: &[u8], feed: &str) -> io::Result<Self> {
        let digest = Sha256::new().chain_update(archive_id).chain_update(feed).finalize();
        let name = HEXLOWER.encode(digest.get(..16).unwrap_or(&digest));
        let path = folder.join(format!("{name}.json"));
        let seen = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(io::Error::from)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Seen::default(),
            Err(error) => return Err(error),
        };
        Ok(Self { path, seen: Seen { feed: feed.to_owned(), ..seen } })
    }

    /// Remembers it durably. The file is replaced as a whole, so that it is never half written.
    pub(super) fn keep(&self) -> io::Result<()> {
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)?;
        }
        let new = self.path.with_extension("new");
        let mut file = File::create(&new)?;
        file.write_all(&serde_json::to_vec_pretty(&self.seen)?)?;
        file.sync_all()?;
        fs::rename(&new, &self.path)
    }
}
