//! Compression of lines. Each chunk is a complete gzip member or zstd frame; such members or frames in a row are again
//! a valid file of that format (RFC 1952, RFC 8878).

use std::io;

use async_compression::tokio::write::{GzipEncoder, ZstdEncoder};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt;

/// The compression of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Encoding {
    /// No compression.
    Plain,
    /// gzip, RFC 1952.
    Gzip,
    /// Zstandard, RFC 8878.
    Zstd,
}

impl Encoding {
    /// Compresses `bytes` as one member or frame.
    pub(super) async fn encode(self, bytes: Vec<u8>) -> io::Result<Vec<u8>> {
        match self {
            Self::Plain => Ok(bytes),
            Self::Gzip => {
                let mut encoder = GzipEncoder::new(Vec::new());
                encoder.write_all(&bytes).await?;
                encoder.shutdown().await?;
                Ok(encoder.into_inner())
            }
            Self::Zstd => {
                let mut encoder = ZstdEncoder::new(Vec::new());
                encoder.write_all(&bytes).await?;
                encoder.shutdown().await?;
                Ok(encoder.into_inner())
            }
        }
    }
}
