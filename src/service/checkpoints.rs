//! Signs checkpoints of the log, at most one a second, and keeps them in the archive.
//!
//! A checkpoint is signed when a caller asks and the log has grown. A caller that asks within a second of the last one
//! gets that one, if it has the changes that the caller needs; otherwise the caller waits for the next. So a busy log is
//! not signed for each reader.
//!
//! A log must never sign two trees of which neither continues the other. Only trees of durable changes are signed, and
//! before the first, the newest checkpoint that is kept is compared with the log.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::OnceCell;
use tokio::time::Instant;

use crate::archive::checkpoints::{CheckpointChoice, CheckpointRecord};
use crate::archive::{Archive, ArchiveError};
use crate::model::Timestamp;
use crate::proof::{Checkpoint, KeyError, LogKey, Note, VerifierKey};
use crate::wire::{pb, timestamp_to_pb};

/// The time from one signature to the next.
const SIGN_EVERY: Duration = Duration::from_secs(1);

/// Signs checkpoints with the keys of a log.
#[derive(Debug)]
pub struct Signer {
    /// At least one, all of one origin.
    keys: Vec<LogKey>,
    /// Read from the archive when the first checkpoint is needed.
    signed: OnceCell<Mutex<Signed>>,
}

/// What was signed.
#[derive(Debug, Default)]
struct Signed {
    newest: Option<SignedCheckpoint>,
    /// When this process last signed.
    last: Option<Instant>,
}

/// A checkpoint with its signatures.
#[derive(Clone, Debug)]
pub struct SignedCheckpoint {
    /// What is signed.
    pub checkpoint: Checkpoint,
    /// The text with its signatures.
    pub note: Note,
    /// When it was signed.
    pub sign_time: Timestamp,
    /// How many witnesses have cosigned it.
    pub cosignature_count: u32,
}

/// What a caller that needs a checkpoint gets.
enum Next {
    /// One that was signed before.
    Before(Box<SignedCheckpoint>),
    /// One that is to be kept.
    New(Box<SignedCheckpoint>),
    /// None before this instant.
    Due(Instant),
}

impl Signer {
    /// A signer with the private key in `pem` (PKCS#8), for a log of this origin.
    pub fn from_pem(pem: &[u8], origin: &str) -> Result<Self, KeyError> {
        Ok(Self { keys: vec![LogKey::from_pem(pem, origin)?], signed: OnceCell::new() })
    }

    /// Signs with the private key in `pem`, too, such as one that is to replace the others.
    pub fn with_key(mut self, pem: &[u8]) -> Result<Self, KeyError> {
        let key = LogKey::from_pem(pem, self.origin())?;
        if self.verifiers().any(|verifier| verifier == key.verifier()) {
            return Err(KeyError::Twice);
        }
        self.keys.push(key);
        Ok(self)
    }

    /// The keys that check its signatures, in the order in which they were given.
    pub fn verifiers(&self) -> impl Iterator<Item = &VerifierKey> {
        self.keys.iter().map(LogKey::verifier)
    }

    /// The name of the log.
    fn origin(&self) -> &str {
        self.keys.first().map_or("", |key| key.verifier().name())
    }

    /// A checkpoint of a tree of at least `size` changes, which must be durable: the newest one, which may be a second
    /// old, or a new one.
    pub async fn checkpoint(&self, archive: &Archive, size: u64) -> Result<SignedCheckpoint, ArchiveError> {
        let signed = self.signed.get_or_try_init(|| self.read(archive)).await?;
        loop {
            match self.next(signed, archive, size) {
                Next::Before(checkpoint) => return Ok(*checkpoint),
                Next::New(checkpoint) => {
                    self.keep(archive, &checkpoint).await;
                    return Ok(*checkpoint);
                }
                Next::Due(at) => tokio::time::sleep_until(at).await,
            }
        }
    }

    fn next(&self, signed: &Mutex<Signed>, archive: &Archive, size: u64) -> Next {
        let mut signed = lock(signed);
        // Read under the lock, so that trees are signed in the order of their sizes.
        let tree = archive.tree();
        let due = signed.last.map(|last| last + SIGN_EVERY).filter(|due| *due > Instant::now());
        if let Some(newest) = &signed.newest
            && (newest.checkpoint.size >= tree.size() || (due.is_some() && newest.checkpoint.size >= size))
        {
            return Next::Before(Box::new(newest.clone()));
        }
        if let Some(due) = due {
            return Next::Due(due);
        }
        let checkpoint = Checkpoint { origin: self.origin().to_owned(), size: tree.size(), root: tree.root() };
        let mut note = Note::unsigned(checkpoint.to_string());
        self.sign(&mut note);
        let new = SignedCheckpoint { checkpoint, note, sign_time: archive.now(), cosignature_count: 0 };
        (signed.newest, signed.last) = (Some(new.clone()), Some(Instant::now()));
        Next::New(Box::new(new))
    }

    /// Signs a note with the keys that have not signed it.
    fn sign(&self, note: &mut Note) {
        for key in &self.keys {
            if !note.is_signed_by(key.verifier()) {
                note.sign(key);
            }
        }
    }

    /// Keeps a checkpoint. One that could not be kept is valid all the same, so its caller gets it.
    async fn keep(&self, archive: &Archive, checkpoint: &SignedCheckpoint) {
        if let Err(error) = archive.keep_checkpoint(checkpoint.into()).await {
            tracing::warn!(%error, size = checkpoint.checkpoint.size, "a checkpoint was signed and could not be kept");
        }
    }

    /// Reads what is kept of this log, and checks that the log still has it.
    async fn read(&self, archive: &Archive) -> Result<Mutex<Signed>, ArchiveError> {
        let origin = self.origin().to_owned();
        let of_log = move |record: &CheckpointRecord| is_of(record, &origin);
        let Some(newest) = archive.find_checkpoint(CheckpointChoice::Newest, of_log).await? else {
            return Ok(Mutex::default());
        };
        let tree = archive.tree();
        let has_root = match tree.size() >= newest.size {
            true => archive.prove_continuation(tree, newest.size, newest.size).await?.to_root == newest.root,
            false => false,
        };
        if !has_root {
            let detail = format!("it does not have the {} changes that its newest checkpoint signs", newest.size);
            return Err(ArchiveError::Damaged { seq: None, detail });
        }
        let mut newest = SignedCheckpoint::read(&newest);
        if let Some(newest) = &mut newest {
            self.sign(&mut newest.note);
        }
        Ok(Mutex::new(Signed { newest, last: None }))
    }
}

fn lock(signed: &Mutex<Signed>) -> MutexGuard<'_, Signed> {
    signed.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a checkpoint is of the log with this origin.
fn is_of(record: &CheckpointRecord, origin: &str) -> bool {
    record.note.strip_prefix(origin).is_some_and(|rest| rest.starts_with('\n'))
}

impl SignedCheckpoint {
    /// Reads a checkpoint as it was kept; `None` if it cannot be read.
    fn read(record: &CheckpointRecord) -> Option<Self> {
        let note: Note = record.note.parse().ok()?;
        let checkpoint: Checkpoint = note.text().parse().ok()?;
        let is_as_recorded = (checkpoint.size, checkpoint.root) == (record.size, record.root);
        let CheckpointRecord { sign_time, cosignature_count, .. } = *record;
        is_as_recorded.then_some(Self { checkpoint, note, sign_time, cosignature_count })
    }
}

impl From<&SignedCheckpoint> for CheckpointRecord {
    fn from(signed: &SignedCheckpoint) -> Self {
        Self {
            size: signed.checkpoint.size,
            root: signed.checkpoint.root,
            sign_time: signed.sign_time,
            cosignature_count: signed.cosignature_count,
            note: signed.note.to_string(),
        }
    }
}

impl From<&SignedCheckpoint> for pb::Checkpoint {
    fn from(signed: &SignedCheckpoint) -> Self {
        Self {
            note: signed.note.to_string(),
            tree_size: signed.checkpoint.size,
            root_hash: signed.checkpoint.root.0.to_vec(),
            sign_time: Some(timestamp_to_pb(signed.sign_time)),
            cosignature_count: signed.cosignature_count,
        }
    }
}
