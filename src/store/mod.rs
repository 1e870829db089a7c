//! Records and keys on an ordered key-value engine.
//!
//! The log is the database: each change is written once, under its position, and never rewritten. Everything else
//! except the contents and originals is an index projected from the log. This layer knows how data is laid out on disk,
//! but not why it is written: it contains no rule of the product.
//!
//! Values are sealed (see [`seal`]): an altered value is reported as [`StoreError::Damaged`], never returned as data.

pub mod address;
pub mod base_choice;
pub mod checkpoint;
pub mod content;
pub mod content_encoding;
pub mod engine;
pub mod format;
pub mod full_change;
pub mod head;
pub mod key;
pub mod logfile;
pub mod overlay;
pub mod record;
mod register;
pub mod seal;
pub mod stats;
pub mod subscription;
pub mod tables;

#[expect(unreachable_pub, clippy::all, reason = "generated from proto/stored/v1")]
mod stored {
    tonic::include_proto!("stored.v1");
}

use data_encoding::HEXLOWER;
pub use engine::{Batch, Engine, EngineError};
pub use tables::Tables;

use crate::model::Seq;

/// An error of the storage layer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The engine failed to read or write.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The stored data is not what was written.
    #[error("{detail}{}", at_seq(*seq))]
    Damaged {
        /// The position that the data belongs to, if it can be determined.
        seq: Option<Seq>,
        /// What is wrong with the data.
        detail: String,
    },
}

impl StoreError {
    /// Damage of the value under a key. The error names the key and, if the key has one, the position.
    pub(crate) fn damaged(key: &[u8], detail: &str) -> Self {
        let seq = key::log::LogKey::decode(key)
            .map(|key| key.0)
            .or_else(|| key::content::ContentKey::decode(key).map(|key| key.seq))
            .or_else(|| key::content::OriginalKey::decode(key).map(|key| key.seq));
        // A key with a URL can be long. Its first 48 bytes are enough to find the value.
        let key_hex = HEXLOWER.encode(key.get(..48).unwrap_or(key));
        Self::Damaged { seq, detail: format!("{detail} (key {key_hex})") }
    }

    /// Damage of data that belongs to a position.
    pub(crate) fn damaged_at(seq: Seq, detail: impl Into<String>) -> Self {
        Self::Damaged { seq: Some(seq), detail: detail.into() }
    }
}

fn at_seq(seq: Option<Seq>) -> String {
    seq.map(|seq| format!(" at seq {seq}")).unwrap_or_default()
}
