//! Checks files of a backup without an archive: each frame, each change, each content and each original.
//!
//! A content may be a delta of an older one, so those that came are kept until the end ([`Bases`]). One that builds on a
//! content in none of the files can't be checked, and is counted.

use super::bases::Bases;
use super::{BackupError, BackupFile};
use crate::model::{ContentDigest, Seq};
use crate::store::StoreError;
use crate::store::content;
use crate::store::whole::WholeChange;

/// What was checked, and found to be well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Changes, as often as they are in a file.
    pub changes: u64,
    /// Contents.
    pub contents: u64,
    /// Originals.
    pub originals: u64,
    /// Contents that build on one in none of the files.
    pub unchecked_contents: u64,
    /// Bytes of files.
    pub bytes: u64,
}

/// Checks files that follow one another. `progress` is told how much was checked, and answers whether to go on; `None`
/// where it did not want to.
pub fn check(files: &[BackupFile], mut progress: impl FnMut(&Checked) -> bool) -> Result<Option<Checked>, BackupError> {
    let mut checked = Checked::default();
    let first = files.iter().map(|file| file.header.first_seq).min();
    let mut bases = Bases::from(first.unwrap_or(Seq::ZERO))?;
    for file in files {
        let mut reader = file.read()?;
        let bytes_before = checked.bytes;
        loop {
            let place = reader.place();
            let Some(changes) = reader.next_segment()? else { break };
            for change in &changes {
                let seq = change.change.seq;
                match check_change(change, &mut bases, &mut checked) {
                    Ok(()) => {}
                    Err(Failure::Altered(detail)) => return Err(reader.altered(place, seq, detail).into()),
                    Err(Failure::Bases(error)) => return Err(error),
                }
            }
            checked.bytes = bytes_before + reader.place().offset();
            if !progress(&checked) {
                return Ok(None);
            }
        }
        checked.bytes = bytes_before + reader.place().offset();
    }
    Ok(Some(checked))
}

enum Failure {
    /// What a change brought is not what it is recorded as.
    Altered(String),
    /// Contents that came before could not be kept.
    Bases(BackupError),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Altered(error.to_string())
    }
}

/// Checks what a change brought.
fn check_change(whole: &WholeChange, bases: &mut Bases, checked: &mut Checked) -> Result<(), Failure> {
    checked.changes += 1;
    let Some((made, content)) = whole.change.entry.made.as_ref().zip(whole.content.as_ref()) else { return Ok(()) };
    if let Some((record, original)) = made.original.as_ref().zip(whole.original.as_ref()) {
        if !original.is(record) {
            return Err(Failure::Altered("an original is not the one that was recorded".to_owned()));
        }
        checked.originals += 1;
    }
    let base = match content.base() {
        None => None,
        Some(base) if base >= whole.change.seq => {
            return Err(Failure::Altered("a content builds on one that comes later".to_owned()));
        }
        Some(base) => {
            let Some(bytes) = bases.get(base).map_err(Failure::Bases)? else {
                checked.unchecked_contents += 1;
                return Ok(());
            };
            Some(bytes)
        }
    };
    let bytes = content.unpack(base.as_deref())?;
    let content = content::from_bytes(&bytes);
    if content.is_none_or(|content| ContentDigest::of(&content) != made.digest) {
        return Err(Failure::Altered("a content does not have the digest that was recorded".to_owned()));
    }
    bases.insert(whole.change.seq, bytes.into()).map_err(Failure::Bases)?;
    checked.contents += 1;
    Ok(())
}
