//! What proofs are made of, as texts that other programs read: keys, signed checkpoints and proof files.
//!
//! The formats are those of C2SP ([signed notes](https://github.com/C2SP/C2SP/blob/main/signed-note.md),
//! [checkpoints](https://github.com/C2SP/C2SP/blob/main/tlog-checkpoint.md) and
//! [proofs](https://github.com/C2SP/C2SP/blob/main/tlog-proof.md)); docs/PROOF.md has what is ours. Everything here works
//! without an archive: a proof file and a verifier key are enough to check a proof.

pub mod checkpoint;
#[cfg(feature = "archive")]
pub mod file;
pub mod key;
pub mod note;
#[cfg(feature = "archive")]
mod shown;
#[cfg(feature = "cli")]
mod timestamp;

#[cfg(feature = "cli")]
pub use self::timestamp::{TimeStamp, TimestampRequest};
pub use checkpoint::Checkpoint;
#[cfg(feature = "archive")]
pub use file::{Checked, ProofFile};
pub use key::{KeyError, LogKey, VerifierKey};
pub use note::Note;
#[cfg(feature = "archive")]
pub use shown::{Disclosure, Shown};
