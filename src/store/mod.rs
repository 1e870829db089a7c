//! Records and keys on an ordered key-value engine.
//!
//! The log is the database: each change is written once under its position and never rewritten. All else but
//! the contents is an index that is derived from it. This layer knows how things lie on disk, and nothing of why
//! they are written: no rule of the product is here.
//!
//! Values are sealed (see [`seal`]): one that was altered is [`StoreError::Damaged`], never other data.

pub mod content;
pub mod engine;
pub mod export;
pub mod figures;
pub mod format;
pub mod head;
pub mod key;
pub mod overlay;
pub mod parts;
pub mod record;
pub mod seal;
pub mod subscription;
pub mod tables;
pub mod whole;

#[expect(unreachable_pub, clippy::all, reason = "generated from proto/stored/v1")]
mod stored {
    tonic::include_proto!("stored.v1");
}

use data_encoding::HEXLOWER;
pub use engine::{Batch, Engine, EngineError};
pub use tables::Tables;

use crate::model::Seq;

/// Why something could not be read or written.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// What lies on disk is not what was written.
    #[error("{detail}{}", at_seq(*seq))]
    Damaged {
        /// The position that it belongs to, where that is known.
        seq: Option<Seq>,
        /// What was found.
        detail: String,
    },
}

impl StoreError {
    /// Damage under a key.
    pub(crate) fn damaged(key: &[u8], detail: &str) -> Self {
        let seq = key::log::LogKey::decode(key)
            .map(|key| key.0)
            .or_else(|| key::content::ContentKey::decode(key).map(|key| key.seq))
            .or_else(|| key::content::OriginalKey::decode(key).map(|key| key.seq));
        let shown = HEXLOWER.encode(key.get(..48).unwrap_or(key));
        Self::Damaged { seq, detail: format!("{detail} (key {shown})") }
    }

    /// Damage of what belongs to a position.
    pub(crate) fn damaged_at(seq: Seq, detail: impl Into<String>) -> Self {
        Self::Damaged { seq: Some(seq), detail: detail.into() }
    }
}

fn at_seq(seq: Option<Seq>) -> String {
    seq.map(|seq| format!(" at seq {seq}")).unwrap_or_default()
}
