//! Proof files: what is shown of a change, its inclusion proof, and the checkpoint of the tree that it is in.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE64;

use super::checkpoint::Checkpoint;
use super::key::VerifierKey;
use super::note::Note;
use super::shown::Shown;
use crate::model::TreeHash;
use crate::model::merkle::root_by_inclusion;

/// The first line of a proof file.
const FIRST_LINE: &str = "c2sp.org/tlog-proof@v1";

/// A proof file.
#[derive(Debug)]
pub struct ProofFile {
    /// What is shown of the change.
    pub shown: Shown,
    /// The inclusion proof, from the leaf up.
    pub proof: Vec<TreeHash>,
    /// The signed checkpoint.
    pub note: Note,
}

/// What a proof file proves.
#[derive(Debug)]
pub struct Checked<'a> {
    /// What is shown of the change.
    pub shown: &'a Shown,
    /// The checkpoint that was signed.
    pub checkpoint: Checkpoint,
}

/// Why a proof file proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// It is not a proof file.
    #[error("it is not a proof file: {0}")]
    Malformed(&'static str),
    /// It is a proof of another log.
    #[error("it is of the log {found}, and the key is that of {expected}")]
    Origin {
        /// The origin in the checkpoint.
        found: String,
        /// The name of the key.
        expected: String,
    },
    /// The key did not sign the checkpoint.
    #[error("the key of {0} did not sign its checkpoint, or the checkpoint was altered")]
    Signature(String),
    /// The content is not the one that the archive recorded.
    #[error("the content in the file is not the one that was recorded")]
    Content,
    /// The change is not in the tree.
    #[error("the change is not in the log, or what is shown of it was altered")]
    Inclusion,
}

impl ProofFile {
    /// Checks that the change is in a log whose checkpoint the key has signed.
    pub fn check(&self, key: &VerifierKey) -> Result<Checked<'_>, ProofError> {
        let checkpoint: Checkpoint =
            self.note.text().parse().map_err(|_| ProofError::Malformed("it has no checkpoint"))?;
        if checkpoint.origin != key.name() {
            return Err(ProofError::Origin { found: checkpoint.origin, expected: key.name().to_owned() });
        }
        if !self.note.is_signed_by(key) {
            return Err(ProofError::Signature(checkpoint.origin));
        }
        let leaf = self.shown.leaf_hash().ok_or(ProofError::Malformed("what it shows of the change is incomplete"))?;
        let root = root_by_inclusion(self.shown.seq(), checkpoint.size, leaf, &self.proof);
        if root != Some(checkpoint.root) {
            return Err(ProofError::Inclusion);
        }
        if !self.shown.content_matches() {
            return Err(ProofError::Content);
        }
        Ok(Checked { shown: &self.shown, checkpoint })
    }
}

impl fmt::Display for ProofFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Nothing in it can fail to be written as JSON.
        let shown = serde_json::to_vec(&self.shown).unwrap_or_default();
        writeln!(f, "{FIRST_LINE}\nextra {}\nindex {}", BASE64.encode(&shown), self.shown.seq())?;
        for hash in &self.proof {
            writeln!(f, "{}", BASE64.encode(&hash.0))?;
        }
        write!(f, "\n{}", self.note)
    }
}

impl FromStr for ProofFile {
    type Err = ProofError;

    fn from_str(text: &str) -> Result<Self, ProofError> {
        let malformed = ProofError::Malformed;
        let (proof, note) = text.split_once("\n\n").ok_or(malformed("it has no checkpoint"))?;
        let note = note.parse().map_err(|_| malformed("its checkpoint is not a signed note"))?;
        let mut lines = proof.split('\n');
        if lines.next() != Some(FIRST_LINE) {
            return Err(malformed("its first line is another"));
        }
        let shown = lines.next().and_then(|line| BASE64.decode(line.strip_prefix("extra ")?.as_bytes()).ok());
        let shown: Option<Shown> = shown.and_then(|shown| serde_json::from_slice(&shown).ok());
        let shown = shown.ok_or(malformed("it does not show a change"))?;
        if lines.next() != Some(&format!("index {}", shown.seq())) {
            return Err(malformed("its index is not the position of the change"));
        }
        let hash = |line: &str| BASE64.decode(line.as_bytes()).ok()?.try_into().ok().map(TreeHash);
        let proof = lines.map(hash).collect::<Option<_>>().ok_or(malformed("a hash in it is broken"))?;
        Ok(Self { shown, proof, note })
    }
}
