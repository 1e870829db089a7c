//! Signs checkpoints of the log, at most one a second, and keeps them in the archive.
//!
//! A checkpoint is signed when a caller asks and the log has grown. A caller that asks within a second of the last one
//! gets that one, if it has the changes that the caller needs; otherwise the caller waits for the next. So a busy log is
//! not signed for each reader.
//!
//! A log must never sign two trees of which neither continues the other. Only trees of durable changes are signed, and
//! before the first, the newest checkpoint that is kept is compared with the log.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::witnesses::Witness;
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
    witnesses: Vec<Arc<Witness>>,
    /// Read from the archive when the first checkpoint is needed.
    signed: OnceCell<Mutex<Signed>>,
}

/// What was signed.
#[derive(Debug, Default)]
struct Signed {
    newest: Option<SignedCheckpoint>,
    /// The newest that a witness has cosigned.
    cosigned: Option<SignedCheckpoint>,
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
        Ok(Self { keys: vec![LogKey::from_pem(pem, origin)?], witnesses: Vec::new(), signed: OnceCell::new() })
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

    /// Has these witnesses cosign its checkpoints, once they are asked.
    #[must_use]
    pub fn with_witnesses(mut self, witnesses: impl IntoIterator<Item = Witness>) -> Self {
        self.witnesses.extend(witnesses.into_iter().map(Arc::new));
        self
    }

    /// The witnesses of the log.
    pub fn witnesses(&self) -> &[Arc<Witness>] {
        &self.witnesses
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

    /// The size of the newest checkpoint and when it was signed, as far as it is in memory: none is before the first
    /// caller asks for one.
    pub fn newest_in_memory(&self) -> Option<(u64, Timestamp)> {
        let signed = lock(self.signed.get()?);
        signed.newest.as_ref().map(|newest| (newest.checkpoint.size, newest.sign_time))
    }

    /// The newest checkpoint that a witness has cosigned; `None` if there is none.
    pub async fn newest_cosigned(&self, archive: &Archive) -> Result<Option<SignedCheckpoint>, ArchiveError> {
        let signed = self.signed.get_or_try_init(|| self.read(archive)).await?;
        Ok(lock(signed).cosigned.clone())
    }

    /// The first kept checkpoint of at least `size` changes that a witness has cosigned; `None` if there is none.
    pub async fn first_cosigned(&self, archive: &Archive, size: u64) -> Result<Option<SignedCheckpoint>, ArchiveError> {
        let cosigned = self.is_cosigned();
        let found = archive.find_checkpoint(CheckpointChoice::FirstOf(size), cosigned).await?;
        self.read_one(archive, found).await
    }

    /// Adds the cosignature of a witness that is in `lines` to a checkpoint, and keeps it. Returns whether there was one.
    pub async fn cosign(
        &self,
        archive: &Archive,
        witness: &Witness,
        checkpoint: &SignedCheckpoint,
        lines: &str,
    ) -> Result<bool, ArchiveError> {
        let state = self.signed.get_or_try_init(|| self.read(archive)).await?;
        let size = checkpoint.checkpoint.size;
        // Another witness may have cosigned it in the meantime.
        let kept = archive.find_checkpoint(CheckpointChoice::FirstOf(size), move |record| record.size == size).await?;
        let kept = kept.and_then(|record| SignedCheckpoint::read(&record));
        let cosigned = {
            let mut signed = lock(state);
            let known = [&signed.newest, &signed.cosigned, &kept].into_iter().flatten();
            let known = known.filter(|known| known.checkpoint == checkpoint.checkpoint);
            let most = known.max_by_key(|known| known.cosignature_count).unwrap_or(checkpoint);
            let mut cosigned = most.clone();
            if !cosigned.note.add_signature(witness.key(), lines) {
                return Ok(false);
            }
            let by = self.witnesses.iter().filter(|witness| cosigned.note.is_signed_by(witness.key()));
            cosigned.cosignature_count = u32::try_from(by.count()).unwrap_or(u32::MAX);
            // Before the checkpoint can be seen, so that the status is never behind it.
            witness.cosigned(size, archive.now());
            if let Some(newest) = signed.newest.as_mut().filter(|newest| newest.checkpoint.size == size) {
                *newest = cosigned.clone();
            }
            if signed.cosigned.as_ref().is_none_or(|before| before.checkpoint.size <= size) {
                signed.cosigned = Some(cosigned.clone());
            }
            cosigned
        };
        self.keep(archive, &cosigned).await;
        Ok(true)
    }

    /// Whether a kept checkpoint is one of this log that a witness has cosigned.
    fn is_cosigned(&self) -> impl Fn(&CheckpointRecord) -> bool + Send + 'static {
        let origin = self.origin().to_owned();
        move |record| record.cosignature_count > 0 && is_of(record, &origin)
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
        let newest = archive.find_checkpoint(CheckpointChoice::Newest, of_log).await?;
        let newest = self.read_one(archive, newest).await?;
        let cosigned = archive.find_checkpoint(CheckpointChoice::Newest, self.is_cosigned()).await?;
        let cosigned = self.read_one(archive, cosigned).await?;
        Ok(Mutex::new(Signed { newest, cosigned, last: None }))
    }

    /// Reads a kept checkpoint, and checks that the log has what it signs. It is signed with the keys that the log got
    /// since.
    async fn read_one(
        &self,
        archive: &Archive,
        record: Option<CheckpointRecord>,
    ) -> Result<Option<SignedCheckpoint>, ArchiveError> {
        let Some(record) = record else { return Ok(None) };
        let (tree, size) = (archive.tree(), record.size);
        let is_of_log =
            size <= tree.size() && archive.prove_continuation(tree, size, size).await?.to_root == record.root;
        if !is_of_log {
            let detail = format!("the log does not have the {size} changes that a checkpoint signs");
            return Err(ArchiveError::Damaged { seq: None, detail });
        }
        let mut checkpoint = SignedCheckpoint::read(&record);
        if let Some(checkpoint) = &mut checkpoint {
            self.sign(&mut checkpoint.note);
        }
        Ok(checkpoint)
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
