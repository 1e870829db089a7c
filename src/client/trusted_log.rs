//! What a client trusts of a log, from checkpoint to checkpoint.

use crate::model::TreeHash;
use crate::model::merkle::is_consistent;
use crate::proof::{Checkpoint, Note, VerifierKey};
use crate::wire::pb;

/// A log that a client trusts: its key, and the last checkpoint that was checked. The next one must be signed with the
/// key, and continue that one.
///
/// [`TrustedLog::note`] is what to keep: with it, a later process continues where this one stopped, and notices if the log
/// was rewritten in between.
#[derive(Clone, Debug)]
pub struct TrustedLog {
    key: VerifierKey,
    last: Option<(Note, Checkpoint)>,
}

/// Why a checkpoint is not one of the trusted log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// The text is not a checkpoint.
    #[error("the text is not a signed checkpoint")]
    Malformed,
    /// There is no checkpoint where there must be one.
    #[error("the server sent no checkpoint")]
    Missing,
    /// It is a checkpoint of another log. A restored archive is another log, too.
    #[error("the checkpoint is of the log {found}, and the key is that of {expected}")]
    Origin {
        /// The origin in the checkpoint.
        found: String,
        /// The name of the key.
        expected: String,
    },
    /// The key did not sign it.
    #[error("the key of {0} did not sign the checkpoint")]
    Signature(String),
    /// It does not continue the last one: the log was rewritten, or it is shown to others in another way.
    #[error("the log with {size} changes does not continue the one with {trusted} changes that was checked before")]
    Diverged {
        /// The size of the tree that was checked before.
        trusted: u64,
        /// The size of the tree in the checkpoint.
        size: u64,
    },
}

impl TrustedLog {
    /// A log of which nothing but the key is known. Its first checkpoint is trusted because the key signed it.
    pub fn new(key: VerifierKey) -> Self {
        Self { key, last: None }
    }

    /// A log whose checkpoint `note` was checked before, and was kept where it could not be altered. The key need not have
    /// signed that one: it may have replaced the one that did.
    pub fn since(key: VerifierKey, note: &str) -> Result<Self, TrustError> {
        let last = read(note, &key)?;
        Ok(Self { key, last: Some(last) })
    }

    /// The key of the log.
    pub fn key(&self) -> &VerifierKey {
        &self.key
    }

    /// The size of the tree in the last checkpoint; 0 before the first.
    pub fn size(&self) -> u64 {
        self.last.as_ref().map_or(0, |(_, checkpoint)| checkpoint.size)
    }

    /// The last checkpoint that was checked, as a signed note; `None` before the first.
    pub fn note(&self) -> Option<String> {
        self.last.as_ref().map(|(note, _)| note.to_string())
    }

    /// Checks a checkpoint, and trusts the log up to it. `consistency` proves that it continues the last one. If it does
    /// not, what was trusted stays.
    pub fn advance(&mut self, note: &str, consistency: &[[u8; 32]]) -> Result<(), TrustError> {
        let (note, checkpoint) = read(note, &self.key)?;
        if !note.is_signed_by(&self.key) {
            return Err(TrustError::Signature(checkpoint.origin));
        }
        if let Some((_, last)) = &self.last {
            let proof: Vec<TreeHash> = consistency.iter().copied().map(TreeHash).collect();
            if !is_consistent(last.size, last.root, checkpoint.size, checkpoint.root, &proof) {
                return Err(TrustError::Diverged { trusted: last.size, size: checkpoint.size });
            }
        }
        self.last = Some((note, checkpoint));
        Ok(())
    }

    /// Checks the checkpoint of a bookmark, if it has one.
    pub(super) fn follow(&mut self, bookmark: &pb::Bookmark) -> Result<(), TrustError> {
        let Some(checkpoint) = &bookmark.checkpoint else { return Ok(()) };
        let hashes = bookmark.consistency.iter().map(|hash| <[u8; 32]>::try_from(hash.as_slice()));
        let hashes: Vec<_> = hashes.collect::<Result<_, _>>().map_err(|_| TrustError::Malformed)?;
        self.advance(&checkpoint.note, &hashes)
    }
}

/// Reads a checkpoint of the log whose key this is.
fn read(note: &str, key: &VerifierKey) -> Result<(Note, Checkpoint), TrustError> {
    let note: Note = note.parse().map_err(|_| TrustError::Malformed)?;
    let checkpoint: Checkpoint = note.text().parse().map_err(|_| TrustError::Malformed)?;
    if checkpoint.origin != key.name() {
        return Err(TrustError::Origin { found: checkpoint.origin, expected: key.name().to_owned() });
    }
    Ok((note, checkpoint))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::model::merkle::{Edge, Subtree, consistency_proof, root_of};
    use crate::proof::LogKey;

    const ORIGIN: &str = "example.org/log";

    /// A log of `size` leaves, which differs from others from leaf `from` on.
    struct Log {
        key: LogKey,
        from: u64,
    }

    impl Log {
        fn new(from: u64) -> Self {
            Self { key: LogKey::from_pem(LogKey::generate().unwrap().as_bytes(), ORIGIN).unwrap(), from }
        }

        fn edge(&self, size: u64) -> Edge {
            let mut edge = Edge::default();
            for leaf in 0..size {
                let text = if leaf < self.from { leaf.to_string() } else { format!("other {leaf}") };
                edge.append(TreeHash::of_leaf(text.as_bytes()));
            }
            edge
        }

        fn note(&self, size: u64) -> String {
            let checkpoint = Checkpoint { origin: ORIGIN.to_owned(), size, root: self.edge(size).root() };
            let mut note = Note::unsigned(checkpoint.to_string());
            note.sign(&self.key);
            note.to_string()
        }

        fn proof(&self, from: u64, to: u64) -> Vec<[u8; 32]> {
            let edge = self.edge(to);
            let root =
                |subtree: Subtree| Ok::<_, Infallible>(subtree.root(edge.tile(subtree.tile()).unwrap()).unwrap());
            assert_eq!(root_of(to, root), Ok(edge.root()));
            consistency_proof(from, to, root).unwrap().into_iter().map(|hash| hash.0).collect()
        }
    }

    #[test]
    fn a_log_is_trusted_as_long_as_it_continues() {
        let log = Log::new(100);
        let mut trusted = TrustedLog::new(log.key.verifier().clone());
        for (from, to) in [(0, 3), (3, 3), (3, 64), (64, 65)] {
            trusted.advance(&log.note(to), &log.proof(from, to)).unwrap();
            assert_eq!(trusted.size(), to);
        }
        let kept = trusted.note().unwrap();
        let mut trusted = TrustedLog::since(log.key.verifier().clone(), &kept).unwrap();
        trusted.advance(&log.note(99), &log.proof(65, 99)).unwrap();
    }

    #[test]
    fn a_log_that_was_rewritten_is_not_trusted() {
        let (log, rewritten) = (Log::new(100), Log { from: 5, ..Log::new(5) });
        let rewritten =
            Log { key: LogKey::from_pem(LogKey::generate().unwrap().as_bytes(), ORIGIN).unwrap(), ..rewritten };
        let mut trusted = TrustedLog::new(log.key.verifier().clone());
        trusted.advance(&log.note(9), &[]).unwrap();
        let error = trusted.advance(&rewritten.note(12), &rewritten.proof(9, 12)).unwrap_err();
        assert_eq!(error, TrustError::Signature(ORIGIN.to_owned()));
        // The thief of a key can sign, and cannot show that what is signed continues the log.
        let rewritten = Log { key: log.key, from: 5 };
        for (note, proof) in [(12, rewritten.proof(9, 12)), (12, Vec::new()), (9, Vec::new()), (4, Vec::new())] {
            let error = trusted.advance(&rewritten.note(note), &proof).unwrap_err();
            assert_eq!(error, TrustError::Diverged { trusted: 9, size: note });
        }
        assert_eq!(trusted.size(), 9);
        assert_eq!(trusted.advance("nonsense", &[]), Err(TrustError::Malformed));
    }
}
