//! The contents that deltas build on, while backup files are checked. All of them are in two unnamed files, and the
//! recent ones also in memory. So any content is found with a few reads, however long ago it was inserted, and memory
//! use stays constant.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;

use bytes::Bytes;
use quick_cache::unsync::Cache;

use super::BackupError;
use crate::model::Seq;
use crate::store::content::{ContentWeighter, Effort, compress, decompress};

/// The size of the in-memory cache of contents, in bytes.
const CACHE_BYTES: u64 = 64 << 20;
/// The length of what precedes each content in the file, in bytes: its compressed and its uncompressed length.
const HEAD_BYTES: usize = 8;

/// The contents of the changes from the position `first` on.
pub(super) struct Bases {
    cache: Cache<Seq, Bytes, ContentWeighter>,
    first: Seq,
    /// The contents one after the other, each compressed by itself.
    contents: File,
    /// The length of `contents`, in bytes.
    contents_bytes: u64,
    /// For each position from `first` on, eight bytes: the offset of its content in `contents`, plus one. So 0, which a
    /// gap in a file is read as, means that there is no content.
    offsets: File,
}

impl Bases {
    pub(super) fn from(first: Seq) -> Result<Self, BackupError> {
        Ok(Self {
            cache: Cache::with_weighter(4096, CACHE_BYTES, ContentWeighter),
            first,
            contents: unnamed_file().map_err(unwritable)?,
            contents_bytes: 0,
            offsets: unnamed_file().map_err(unwritable)?,
        })
    }

    pub(super) fn insert(&mut self, seq: Seq, bytes: Bytes) -> Result<(), BackupError> {
        let compressed = compress(&bytes, None, Effort::Quick);
        let mut entry = Vec::with_capacity(compressed.len() + HEAD_BYTES);
        for length in [compressed.len(), bytes.len()] {
            entry.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
        }
        entry.extend_from_slice(&compressed);
        self.contents.write_all_at(&entry, self.contents_bytes).map_err(unwritable)?;
        let offset_plus_one = (self.contents_bytes + 1).to_be_bytes();
        self.offsets.write_all_at(&offset_plus_one, self.place_of_offset(seq)).map_err(unwritable)?;
        self.contents_bytes += entry.len() as u64;
        self.cache.insert(seq, bytes);
        Ok(())
    }

    /// The content of the change at `seq`; `None` if none was inserted.
    pub(super) fn get(&self, seq: Seq) -> Result<Option<Bytes>, BackupError> {
        if seq < self.first {
            return Ok(None);
        }
        match self.cache.get(&seq) {
            Some(bytes) => Ok(Some(bytes.clone())),
            None => self.read(seq).map_err(unwritable),
        }
    }

    fn read(&self, seq: Seq) -> io::Result<Option<Bytes>> {
        let mut offset_plus_one = [0; 8];
        match self.offsets.read_exact_at(&mut offset_plus_one, self.place_of_offset(seq)) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        let Some(offset) = u64::from_be_bytes(offset_plus_one).checked_sub(1) else { return Ok(None) };
        let (mut compressed_bytes, mut content_bytes) = ([0; 4], [0; 4]);
        self.contents.read_exact_at(&mut compressed_bytes, offset)?;
        self.contents.read_exact_at(&mut content_bytes, offset + 4)?;
        let mut compressed = vec![0; u32::from_be_bytes(compressed_bytes) as usize];
        self.contents.read_exact_at(&mut compressed, offset + HEAD_BYTES as u64)?;
        let bytes = decompress(&compressed, None, u32::from_be_bytes(content_bytes) as usize);
        bytes.map(|bytes| Some(bytes.into())).ok_or_else(|| ErrorKind::InvalidData.into())
    }

    /// The place in `offsets` of the offset of this position's content.
    fn place_of_offset(&self, seq: Seq) -> u64 {
        seq.0.saturating_sub(self.first.0).saturating_mul(8)
    }
}

/// Creates a temporary file without a name, which disappears when its handle is dropped.
fn unnamed_file() -> io::Result<File> {
    let mut number = 0_u32;
    loop {
        let path = temp_folder().join(format!("dateline-check-{}-{number}", std::process::id()));
        match OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path) {
            Ok(file) => return fs::remove_file(&path).map(|()| file),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(error),
        }
    }
}

fn temp_folder() -> PathBuf {
    std::env::temp_dir()
}

fn unwritable(source: io::Error) -> BackupError {
    BackupError::Unwritable { action: "store contents for checking in", path: temp_folder(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_evicted_from_memory_are_read_from_disk() {
        let mut bases = Bases::from(Seq(5)).unwrap();
        for (seq, text) in [(5, "one"), (9, ""), (7, "three")] {
            bases.insert(Seq(seq), Bytes::from(text)).unwrap();
        }
        for evicted in [false, true] {
            if evicted {
                bases.cache = Cache::with_weighter(1, 0, ContentWeighter);
            }
            for (seq, text) in [(4, None), (5, Some("one")), (6, None), (7, Some("three")), (9, Some("")), (10, None)] {
                assert_eq!(bases.get(Seq(seq)).unwrap().as_deref(), text.map(str::as_bytes), "{seq}");
            }
        }
    }
}
