//! The staging file: payloads that were compressed again, until they are written to the new database.
//!
//! Articles are compressed one after the other, because an article's contents build on each other; the database is
//! written in order of key, which for contents is the order of the log. The staging file is between the two. It is two
//! files without names in the folder of the new database: the payloads one after the other, and for each position a
//! record of where its payloads are. So nothing of it remains when the process ends, however that happens, and memory
//! does not grow with the archive.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use crate::model::Seq;
use crate::store::StoreError;
use crate::store::content::{StoredContent, StoredOriginal};

/// The length of a record, in bytes: the offset and length of the content, then those of the original, each a u64. An
/// offset is stored plus one, so a record that was never written, which reads as zeros, has neither.
const RECORD_BYTES: u64 = 32;

pub(super) struct Staging {
    payloads: BufWriter<File>,
    payload_bytes: u64,
    records: File,
}

/// Where a payload is.
#[derive(Clone, Copy, Debug)]
struct Place {
    offset: u64,
    length: u64,
}

impl Staging {
    /// Creates the staging file in `folder`.
    pub(super) fn create(folder: &Path) -> io::Result<Self> {
        let (payloads, records) = (unnamed_file(&folder.join("payloads"))?, unnamed_file(&folder.join("places"))?);
        Ok(Self { payloads: BufWriter::with_capacity(1 << 20, payloads), payload_bytes: 0, records })
    }

    pub(super) fn add_content(&mut self, content: &StoredContent) -> io::Result<()> {
        let place = self.add(&content.to_message_bytes())?;
        self.records.write_all_at(&place.encode(), content.seq().0 * RECORD_BYTES)
    }

    pub(super) fn add_original(&mut self, seq: Seq, original: &StoredOriginal) -> io::Result<()> {
        let place = self.add(&original.0)?;
        self.records.write_all_at(&place.encode(), seq.0 * RECORD_BYTES + RECORD_BYTES / 2)
    }

    /// Completes the file, before anything is read from it.
    pub(super) fn complete(&mut self) -> io::Result<()> {
        self.payloads.flush()
    }

    /// The content of the change at `seq`; `None` if none was added.
    pub(super) fn content(&self, seq: Seq) -> Result<Option<StoredContent>, StagingError> {
        let Some(bytes) = self.read(seq.0 * RECORD_BYTES)? else { return Ok(None) };
        Ok(Some(StoredContent::from_message_bytes(seq, &bytes)?))
    }

    /// The original of the change at `seq`; `None` if none was added.
    pub(super) fn original(&self, seq: Seq) -> io::Result<Option<StoredOriginal>> {
        Ok(self.read(seq.0 * RECORD_BYTES + RECORD_BYTES / 2)?.map(StoredOriginal))
    }

    fn add(&mut self, bytes: &[u8]) -> io::Result<Place> {
        let place = Place { offset: self.payload_bytes, length: bytes.len() as u64 };
        self.payloads.write_all(bytes)?;
        self.payload_bytes += place.length;
        Ok(place)
    }

    fn read(&self, at: u64) -> io::Result<Option<Vec<u8>>> {
        let mut record = [0; 16];
        match self.records.read_exact_at(&mut record, at) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        let Some(Place { offset, length }) = Place::decode(record) else { return Ok(None) };
        let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        self.payloads.get_ref().read_exact_at(&mut bytes, offset)?;
        Ok(Some(bytes))
    }
}

impl Place {
    fn encode(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        let (offset, length) = bytes.split_at_mut(8);
        offset.copy_from_slice(&(self.offset + 1).to_be_bytes());
        length.copy_from_slice(&self.length.to_be_bytes());
        bytes
    }

    fn decode(bytes: [u8; 16]) -> Option<Self> {
        let (offset_plus_one, length) = bytes.split_first_chunk::<8>()?;
        let offset = u64::from_be_bytes(*offset_plus_one).checked_sub(1)?;
        Some(Self { offset, length: u64::from_be_bytes(length.try_into().ok()?) })
    }
}

/// Why a payload could not be read from the staging file.
#[derive(Debug)]
pub(super) enum StagingError {
    Io(io::Error),
    Malformed(StoreError),
}

impl From<io::Error> for StagingError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<StoreError> for StagingError {
    fn from(error: StoreError) -> Self {
        Self::Malformed(error)
    }
}

fn unnamed_file(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)?;
    fs::remove_file(path)?;
    Ok(file)
}
