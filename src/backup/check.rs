//! Checks backup files without an archive: each frame, each change, each content and each original.
//!
//! A content may be a delta of an older one, so contents are kept until the end ([`Bases`]). A content whose base is in
//! none of the files cannot be checked, and is only counted.

use super::bases::Bases;
use super::{BackupError, BackupFile};
use crate::model::{ContentDigest, Seq};
use crate::store::full_change::FullChange;
use crate::store::{StoreError, content_encoding};

/// How much was checked and found intact, and how much could not be checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// The number of changes. A change in two files counts twice.
    pub changes: u64,
    /// The number of contents.
    pub contents: u64,
    /// The number of originals.
    pub originals: u64,
    /// The number of contents that could not be checked, because their base is in none of the files.
    pub unchecked_contents: u64,
    /// The number of bytes read from files.
    pub bytes: u64,
}

/// Checks files that follow one another. After each segment, `progress` receives the counts so far and decides whether
/// to continue; if not, the result is `None`.
pub fn check(files: &[BackupFile], mut progress: impl FnMut(&Checked) -> bool) -> Result<Option<Checked>, BackupError> {
    let mut checked = Checked::default();
    let first = files.iter().map(|file| file.header.first_seq).min();
    let mut bases = Bases::from(first.unwrap_or(Seq::ZERO))?;
    for file in files {
        let mut reader = file.read()?;
        let bytes_before = checked.bytes;
        loop {
            let position = reader.position();
            let Some(changes) = reader.next_segment()? else { break };
            for change in &changes {
                let seq = change.change.seq;
                match check_change(change, &mut bases, &mut checked) {
                    Ok(()) => {}
                    Err(CheckFailure::Altered(detail)) => return Err(reader.altered(position, seq, detail).into()),
                    Err(CheckFailure::Bases(error)) => return Err(error),
                }
            }
            checked.bytes = bytes_before + reader.position().offset();
            if !progress(&checked) {
                return Ok(None);
            }
        }
        checked.bytes = bytes_before + reader.position().offset();
    }
    Ok(Some(checked))
}

enum CheckFailure {
    /// The content or original of a change does not match the change.
    Altered(String),
    /// Earlier contents could not be stored or read back.
    Bases(BackupError),
}

impl From<StoreError> for CheckFailure {
    fn from(error: StoreError) -> Self {
        Self::Altered(error.to_string())
    }
}

/// Checks the content and original of a change.
fn check_change(full: &FullChange, bases: &mut Bases, checked: &mut Checked) -> Result<(), CheckFailure> {
    checked.changes += 1;
    let Some((new_revision, content)) = full.change.entry.new_revision.as_ref().zip(full.content.as_ref()) else {
        return Ok(());
    };
    if let Some((record, original)) = new_revision.original.as_ref().zip(full.original.as_ref()) {
        if !original.is(record) {
            return Err(CheckFailure::Altered("an original is not the one that was recorded".to_owned()));
        }
        checked.originals += 1;
    }
    let base = match content.base() {
        None => None,
        Some(base) if base >= full.change.seq => {
            return Err(CheckFailure::Altered("the base of a content comes after it".to_owned()));
        }
        Some(base) => {
            let Some(bytes) = bases.get(base).map_err(CheckFailure::Bases)? else {
                checked.unchecked_contents += 1;
                return Ok(());
            };
            Some(bytes)
        }
    };
    let bytes = content.unpack(base.as_deref())?;
    let content = content_encoding::from_bytes(&bytes);
    if content.is_none_or(|content| ContentDigest::of(&content) != new_revision.digest) {
        return Err(CheckFailure::Altered("a content does not have the digest that was recorded".to_owned()));
    }
    bases.insert(full.change.seq, bytes.into()).map_err(CheckFailure::Bases)?;
    checked.contents += 1;
    Ok(())
}
