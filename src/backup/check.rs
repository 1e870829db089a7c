//! Checks files of a backup without an archive: each frame, each change, each content and each original.
//!
//! A content may be a delta of an older one, which is kept in memory for a while, and else read again from the file that
//! has it. One that builds on a content in none of the files can't be checked, and is counted.

use bytes::Bytes;
use quick_cache::Weighter;
use quick_cache::unsync::Cache;

use super::{BackupError, BackupFile};
use crate::model::{ContentDigest, Seq};
use crate::store::StoreError;
use crate::store::content::{self, DEPTH_LIMIT, StoredContent};
use crate::store::export::Place;
use crate::store::whole::WholeChange;

/// Contents that are kept in memory.
const CONTENT_CACHE_BYTES: u64 = 64 << 20;

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
    let mut bases =
        Bases { files, places: Vec::new(), known: Cache::with_weighter(4096, CONTENT_CACHE_BYTES, ByBytes) };
    for (at, file) in files.iter().enumerate() {
        let mut reader = file.read()?;
        let bytes_before = checked.bytes;
        loop {
            let place = reader.place();
            let Some(changes) = reader.next_segment()? else { break };
            bases.places.push((at, place));
            for change in &changes {
                let seq = change.change.seq;
                match bases.check(change, &mut checked) {
                    Ok(()) => {}
                    Err(Failure::Altered(detail)) => return Err(reader.altered(place, seq, detail).into()),
                    Err(Failure::Unreadable(error)) => return Err(error),
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

#[derive(Clone)]
struct ByBytes;

impl Weighter<Seq, Bytes> for ByBytes {
    fn weight(&self, _: &Seq, bytes: &Bytes) -> u64 {
        bytes.len() as u64 + 64
    }
}

enum Failure {
    /// What a change brought is not what it is recorded as.
    Altered(String),
    /// A base could not be read.
    Unreadable(BackupError),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Altered(error.to_string())
    }
}

/// Contents that others build on.
struct Bases<'a> {
    files: &'a [BackupFile],
    /// The segments that were read, with the number of their file.
    places: Vec<(usize, Place)>,
    known: Cache<Seq, Bytes, ByBytes>,
}

impl Bases<'_> {
    fn check(&mut self, whole: &WholeChange, checked: &mut Checked) -> Result<(), Failure> {
        checked.changes += 1;
        let Some((made, content)) = whole.change.entry.made.as_ref().zip(whole.content.as_ref()) else { return Ok(()) };
        if let Some((record, original)) = made.original.as_ref().zip(whole.original.as_ref()) {
            if !original.is(record) {
                return Err(Failure::Altered("an original is not the one that was recorded".to_owned()));
            }
            checked.originals += 1;
        }
        let Some(bytes) = self.unpack(whole.change.seq, content)? else {
            checked.unchecked_contents += 1;
            return Ok(());
        };
        let content = content::from_bytes(&bytes);
        if content.is_none_or(|content| ContentDigest::of(&content) != made.digest) {
            return Err(Failure::Altered("a content does not have the digest that was recorded".to_owned()));
        }
        self.known.insert(whole.change.seq, bytes);
        checked.contents += 1;
        Ok(())
    }

    /// The encoded bytes of a content; `None` where one that it builds on is in none of the files.
    fn unpack(&self, seq: Seq, content: &StoredContent) -> Result<Option<Bytes>, Failure> {
        let mut above = Vec::new();
        let (mut at, mut content) = (seq, content.clone());
        let mut base = loop {
            let Some(next) = content.base() else { break None };
            if next >= at || above.len() >= DEPTH_LIMIT as usize {
                return Err(Failure::Altered("the chain of contents below is malformed".to_owned()));
            }
            if let Some(known) = self.known.get(&next) {
                break Some(known.clone());
            }
            let Some(found) = self.read_again(next).map_err(Failure::Unreadable)? else { return Ok(None) };
            above.push(content);
            (at, content) = (next, found);
        };
        above.push(content);
        while let Some(content) = above.pop() {
            base = Some(content.unpack(base.as_deref())?.into());
        }
        Ok(base)
    }

    fn read_again(&self, seq: Seq) -> Result<Option<StoredContent>, BackupError> {
        let within = self.places.iter().rev().find(|(_, place)| place.next_seq() <= seq);
        let Some((file, place)) = within.and_then(|(at, place)| self.files.get(*at).zip(Some(*place))) else {
            return Ok(None);
        };
        let changes = file.read_from(place)?.next_segment()?.unwrap_or_default();
        let change = changes.into_iter().find(|change| change.change.seq == seq);
        Ok(change.and_then(|change| change.content))
    }
}
