//! Short digests of names and contents, to compare them by.

use sha2::{Digest, Sha256};

/// A prefix of a digest, long enough to be unique.
pub(super) type Print = [u8; 16];

/// The digest of `bytes`.
pub(super) fn print(bytes: &[u8]) -> Print {
    first(&Sha256::digest(bytes))
}

/// The first bytes of a digest.
pub(super) fn first(digest: &[u8]) -> Print {
    digest.first_chunk().copied().unwrap_or_default()
}
