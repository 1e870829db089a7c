//! Fingerprints: short digests, by which names and contents are compared.

use sha2::{Digest, Sha256};

/// The first bytes of a SHA-256, enough of them to be unique.
pub(super) type Fingerprint = [u8; 16];

/// The fingerprint of `bytes`.
pub(super) fn fingerprint(bytes: &[u8]) -> Fingerprint {
    from_digest(&Sha256::digest(bytes))
}

/// Shortens a digest to a fingerprint.
pub(super) fn from_digest(digest: &[u8]) -> Fingerprint {
    digest.first_chunk().copied().unwrap_or_default()
}
