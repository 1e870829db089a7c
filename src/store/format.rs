//! The storage format of a database: creates, checks or rejects it.
//!
//! [`FORMAT_VERSION`] is the only one supported. Earlier ones were never released.

use std::ops::Bound;

use super::engine::{Batch, Direction, Engine, KeyRange, Read};
use super::key::meta::MetaKey;
use super::{StoreError, Tables};

/// The version that this code reads and writes.
pub const FORMAT_VERSION: u32 = 8;

/// Why a database cannot be used.
#[derive(Clone, Debug, thiserror::Error)]
pub enum FormatError {
    /// It has another format version.
    #[error(
        "the archive has format {found}, and this version of Dateline ({}) reads format {FORMAT_VERSION}; {}",
        env!("CARGO_PKG_VERSION"),
        advice(*.found)
    )]
    Version {
        /// The format version that the database states.
        found: u32,
    },
    /// It could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn advice(found: u32) -> &'static str {
    if found > FORMAT_VERSION {
        "use the newer version that wrote it; to go back to this one, restore a backup from before the upgrade into a new \
         directory"
    } else {
        "export it with the version that wrote it, and import that with this one"
    }
}

/// Checks the format of a database, or initialises an empty one with `new_id`. Returns the archive's id.
pub fn open(engine: &dyn Engine, new_id: [u8; 16]) -> Result<[u8; 16], FormatError> {
    match read(engine) {
        Ok(None) => create(engine, new_id),
        Ok(Some(id)) => Ok(id),
        Err(error) => Err(error),
    }
}

/// Checks the format of a database and returns the archive's id; `None` if the database is empty.
pub fn read(engine: &dyn Read) -> Result<Option<[u8; 16]>, FormatError> {
    let tables = Tables::new(engine);
    match tables.meta(MetaKey::FormatVersion)? {
        None if is_empty(engine)? => Ok(None),
        None => Err(StoreError::damaged(&MetaKey::FormatVersion.encode(), "the format version is missing").into()),
        Some(version) => {
            let damaged = |key: MetaKey| {
                StoreError::damaged(&key.encode(), "the format version or the archive's id cannot be read")
            };
            let version = version.try_into().map_err(|_| damaged(MetaKey::FormatVersion))?;
            let found = u32::from_be_bytes(version);
            if found != FORMAT_VERSION {
                return Err(FormatError::Version { found });
            }
            let id = tables.meta(MetaKey::ArchiveId)?.and_then(|id| id.try_into().ok());
            Ok(Some(id.ok_or_else(|| damaged(MetaKey::ArchiveId))?))
        }
    }
}

fn is_empty(engine: &dyn Read) -> Result<bool, StoreError> {
    let all = KeyRange { start: Bound::Unbounded, end: Bound::Unbounded };
    Ok(engine.scan(all, Direction::Forward).next().transpose()?.is_none())
}

fn create(engine: &dyn Engine, id: [u8; 16]) -> Result<[u8; 16], FormatError> {
    let mut batch = Batch::default();
    batch.put_meta(MetaKey::FormatVersion, FORMAT_VERSION.to_be_bytes().to_vec());
    batch.put_meta(MetaKey::ArchiveId, id.to_vec());
    engine.commit(&batch).map_err(StoreError::from)?;
    Ok(id)
}
