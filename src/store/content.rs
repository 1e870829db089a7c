//! Storage of contents and originals: delta chains, cut into chunks.
//!
//! A content is encoded ([`super::content_encoding`]), then compressed with zstd (RFC 8878) in one of three ways: as a
//! keyframe, which stands alone; as a delta, with an older content of the same article as the zstd prefix; or as a
//! reference to an equal content, without data. The record names the base, and the depth: how many contents must be read
//! before this one. The depth stays below [`DEPTH_LIMIT`], which bounds the cost of a read. Which older content becomes
//! the base is decided in [`super::base_choice`].

use std::cell::RefCell;

use bytes::Bytes;
use prost::Message;
use quick_cache::Weighter;
use sha2::{Digest, Sha256};
use zstd::zstd_safe::{CCtx, DCtx, compress_bound};

use super::engine::Read;
use super::key::content::{CHUNK_BYTES, ContentKey, OriginalKey};
use super::seal::{seal, unseal};
use super::{Batch, StoreError, stored};
use crate::model::{Original, OriginalRecord, Seq};

/// The exclusive limit of a content's depth: at least every thirty-second content of a chain is a keyframe.
pub const DEPTH_LIMIT: u32 = 32;
/// Exceeds every content and original that the limits admit, in bytes. A greater stored length is damage.
const LENGTH_LIMIT: usize = 256 << 20;

/// Weighs the encoded contents in a cache by the memory that each occupies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ContentWeighter;

impl Weighter<Seq, Bytes> for ContentWeighter {
    fn weight(&self, _: &Seq, bytes: &Bytes) -> u64 {
        bytes.len() as u64 + 64
    }
}

/// How much time compression may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// As little as possible, while a client waits: zstd level 3.
    Quick,
    /// As much as it takes to get small: zstd level 19. It is many times slower, and is decompressed as fast.
    Thorough,
}

impl Effort {
    fn level(self) -> i32 {
        match self {
            Self::Quick => 3,
            Self::Thorough => 19,
        }
    }
}

/// A content, compressed and ready to be stored.
#[derive(Clone, Debug)]
pub struct PackedContent {
    base: Option<Seq>,
    depth: u32,
    length: usize,
    data: Option<Vec<u8>>,
}

/// An older content that a new one may be based on.
#[derive(Clone, Copy, Debug)]
pub struct Base<'a> {
    /// The change that it is stored with.
    pub seq: Seq,
    /// How many contents must be read before it.
    pub depth: u32,
    /// Its storage encoding, before compression.
    pub bytes: &'a [u8],
}

impl Base<'_> {
    /// Whether a delta of it is not too deep.
    pub(super) fn is_usable(&self) -> bool {
        self.depth + 1 < DEPTH_LIMIT
    }
}

impl PackedContent {
    /// Compresses `bytes`: as a delta of `base` if that is not too deep and saves space, otherwise as a keyframe.
    pub fn pack(bytes: &[u8], base: Option<Base<'_>>, effort: Effort) -> Self {
        let Some(base) = base.filter(Base::is_usable) else { return Self::keyframe(bytes, effort) };
        let data = compress(bytes, Some(base.bytes), effort);
        // A delta this large means an unrelated text. A keyframe of about the same size is then faster to read.
        if data.len() > bytes.len() / 4 {
            let keyframe = Self::keyframe(bytes, effort);
            if keyframe.data.as_ref().is_some_and(|keyframe| keyframe.len() <= data.len() + data.len() / 8) {
                return keyframe;
            }
        }
        Self { base: Some(base.seq), depth: base.depth + 1, length: bytes.len(), data: Some(data) }
    }

    /// The same content on an equal base that is stored with the change at `base` and has the depth `depth`, instead of
    /// `expected_depth`; `None` if it would be packed in another way there.
    pub fn on(&self, base: Seq, depth: u32, expected_depth: u32) -> Option<Self> {
        let (may_be_delta, was_to_be_delta) = (depth + 1 < DEPTH_LIMIT, expected_depth + 1 < DEPTH_LIMIT);
        if may_be_delta != was_to_be_delta {
            return None;
        }
        let packed = self.clone();
        Some(if self.base.is_none() { packed } else { Self { base: Some(base), depth: depth + 1, ..packed } })
    }

    /// A reference to the equal content at `base`, whose depth is `depth`; `None` if that is already too deep.
    pub fn equal_to(base: Seq, depth: u32, length: usize) -> Option<Self> {
        let depth = depth + 1;
        (depth < DEPTH_LIMIT).then_some(Self { base: Some(base), depth, length, data: None })
    }

    /// How many contents must be read before this one.
    pub fn depth(&self) -> u32 {
        self.depth
    }

    /// The change that the base is stored with; `None` for a keyframe.
    pub fn base(&self) -> Option<Seq> {
        self.base
    }

    /// The size of the compressed data in bytes.
    pub fn data_bytes(&self) -> usize {
        self.data.as_ref().map_or(0, Vec::len)
    }

    /// Adds the content to a batch, to be stored with the change at `seq`.
    pub fn write(self, seq: Seq, batch: &mut Batch) {
        self.at(seq).write(batch);
    }

    /// The content as a log file or another database stores it, with the change at `seq`.
    pub(crate) fn at(self, seq: Seq) -> StoredContent {
        let head = stored::ContentHead {
            base: self.base.map(|base| base.0),
            depth: self.depth,
            length: self.length as u64,
            equal: self.data.is_none(),
            more_chunks: 0,
            data: Vec::new(),
        };
        StoredContent { seq, head, data: self.data.unwrap_or_default() }
    }

    fn keyframe(bytes: &[u8], effort: Effort) -> Self {
        Self { base: None, depth: 0, length: bytes.len(), data: Some(compress(bytes, None, effort)) }
    }
}

/// A content as stored: the base is not applied yet.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredContent {
    seq: Seq,
    head: stored::ContentHead,
    data: Vec<u8>,
}

impl StoredContent {
    /// Reads the content stored with the change at `seq`; `None` if there is none.
    pub fn read(from: &dyn Read, seq: Seq) -> Result<Option<Self>, StoreError> {
        let key = ContentKey { seq, chunk: 0 }.encode();
        let Some(value) = from.get(&key)? else { return Ok(None) };
        let malformed = |_| StoreError::damaged(&key, "a content cannot be read");
        let mut head = stored::ContentHead::decode(unseal(&key, &value)?).map_err(malformed)?;
        let mut data = std::mem::take(&mut head.data);
        for chunk in 1..=head.more_chunks {
            let chunk = u16::try_from(chunk).map_err(|_| StoreError::damaged(&key, "a content has too many chunks"))?;
            data.extend(read_chunk(from, &ContentKey { seq, chunk }.encode())?);
        }
        Ok(Some(Self { seq, head, data }))
    }

    /// The number of chunks of the content stored with the change at `seq`; 0 if there is none.
    pub fn chunk_count(from: &dyn Read, seq: Seq) -> Result<u32, StoreError> {
        let key = ContentKey { seq, chunk: 0 }.encode();
        let Some(value) = from.get(&key)? else { return Ok(0) };
        let head = stored::ContentHead::decode(unseal(&key, &value)?);
        head.map(|head| head.more_chunks.saturating_add(1))
            .map_err(|_| StoreError::damaged(&key, "a content cannot be read"))
    }

    /// Takes a content from a log file, where one message holds all of its data.
    pub(super) fn from_message(seq: Seq, mut head: stored::ContentHead) -> Self {
        let data = std::mem::take(&mut head.data);
        Self { seq, head, data }
    }

    /// The message for a log file, which holds all of the data.
    pub(super) fn to_message(&self) -> stored::ContentHead {
        stored::ContentHead { more_chunks: 0, data: self.data.clone(), ..self.head.clone() }
    }

    /// The message as bytes, for a temporary file.
    pub(crate) fn to_message_bytes(&self) -> Vec<u8> {
        self.to_message().encode_to_vec()
    }

    /// The inverse of [`Self::to_message_bytes`].
    pub(crate) fn from_message_bytes(seq: Seq, bytes: &[u8]) -> Result<Self, StoreError> {
        let malformed = |_| StoreError::damaged_at(seq, "a content in a temporary file cannot be read");
        stored::ContentHead::decode(bytes).map(|head| Self::from_message(seq, head)).map_err(malformed)
    }

    /// The change that the content is stored with.
    pub(crate) fn seq(&self) -> Seq {
        self.seq
    }

    /// Adds the content to a batch, cut into chunks.
    pub fn write(&self, batch: &mut Batch) {
        let seq = self.seq;
        let mut chunks = self.data.chunks(CHUNK_BYTES);
        let first = chunks.next().unwrap_or_default();
        let more_chunks = u32::try_from(chunks.len()).unwrap_or(u32::MAX);
        let head = stored::ContentHead { more_chunks, data: first.to_vec(), ..self.head.clone() };
        put(batch, ContentKey { seq, chunk: 0 }.encode(), head.encode_to_vec());
        for (chunk, data) in (1..).zip(chunks) {
            put(batch, ContentKey { seq, chunk }.encode(), data.to_vec());
        }
    }

    /// The change that the base is stored with; `None` for a keyframe.
    pub fn base(&self) -> Option<Seq> {
        self.head.base.map(Seq)
    }

    /// The size of the compressed data in bytes.
    pub fn data_bytes(&self) -> usize {
        self.data.len()
    }

    /// How many contents must be read before this one, down to the keyframe.
    pub fn depth(&self) -> u32 {
        self.head.depth
    }

    /// Replaces the depth that is stored with the content.
    pub(crate) fn set_depth(&mut self, depth: u32) {
        self.head.depth = depth;
    }

    /// The content's encoding, given that of its base.
    pub fn unpack(&self, base: Option<&[u8]>) -> Result<Vec<u8>, StoreError> {
        let damaged = |detail: &str| StoreError::damaged_at(self.seq, detail);
        let length = usize::try_from(self.head.length).ok().filter(|length| *length <= LENGTH_LIMIT);
        let length = length.ok_or_else(|| damaged("a content has an impossible length"))?;
        let bytes = match base {
            Some(base) if self.head.equal => base.to_vec(),
            _ => decompress(&self.data, base, length).ok_or_else(|| damaged("a content cannot be decompressed"))?,
        };
        if bytes.len() != length {
            return Err(damaged("a content's length is not the recorded one"));
        }
        Ok(bytes)
    }
}

/// An original, compressed and ready to be stored.
#[derive(Clone, Debug)]
pub struct PackedOriginal {
    /// Its description, which the log records.
    pub record: OriginalRecord,
    stored: StoredOriginal,
}

impl PackedOriginal {
    /// Hashes and compresses an original.
    pub fn pack(original: &Original) -> Self {
        let record = OriginalRecord {
            media_type: original.media_type.clone(),
            size_bytes: original.data.len() as u64,
            sha256: Sha256::digest(&original.data).into(),
        };
        Self { record, stored: StoredOriginal(compress(&original.data, None, Effort::Quick)) }
    }

    /// Adds the original to a batch, to be stored with the change at `seq`.
    pub fn write(&self, seq: Seq, batch: &mut Batch) {
        self.stored.write(seq, batch);
    }
}

/// An original as stored: one zstd frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredOriginal(pub Vec<u8>);

impl StoredOriginal {
    /// Reads the original stored with the change at `seq`. It is empty if there is none.
    pub fn read(from: &dyn Read, seq: Seq) -> Result<Self, StoreError> {
        let mut data = Vec::new();
        for chunk in 0..=u16::MAX {
            let key = OriginalKey { seq, chunk }.encode();
            let Some(value) = from.get(&key)? else { break };
            data.extend_from_slice(unseal(&key, &value)?);
        }
        Ok(Self(data))
    }

    /// Adds the original to a batch, to be stored with the change at `seq`.
    pub fn write(&self, seq: Seq, batch: &mut Batch) {
        for (chunk, data) in (0..).zip(self.0.chunks(CHUNK_BYTES)) {
            put(batch, OriginalKey { seq, chunk }.encode(), data.to_vec());
        }
    }

    /// Whether its size and SHA-256 match the record.
    pub fn is(&self, record: &OriginalRecord) -> bool {
        let bytes = self.unpack(record.size_bytes);
        bytes.is_some_and(|bytes| <[u8; 32]>::from(Sha256::digest(bytes)) == record.sha256)
    }

    /// Compresses an original of these bytes.
    pub fn pack(bytes: &[u8], effort: Effort) -> Self {
        Self(compress(bytes, None, effort))
    }

    /// The uncompressed bytes, `size_bytes` of them; `None` if it does not decompress to that size.
    pub fn unpack(&self, size_bytes: u64) -> Option<Vec<u8>> {
        let size = usize::try_from(size_bytes).ok().filter(|size| *size <= LENGTH_LIMIT)?;
        decompress(&self.0, None, size).filter(|bytes| bytes.len() == size)
    }
}

/// Reads the original of `size_bytes` bytes that is stored with the change at `seq`. A missing one is damage.
pub fn read_original(from: &dyn Read, seq: Seq, size_bytes: u64) -> Result<Vec<u8>, StoreError> {
    let original = StoredOriginal::read(from, seq)?.unpack(size_bytes);
    original.ok_or_else(|| StoreError::damaged_at(seq, "an original cannot be read"))
}

fn put(batch: &mut Batch, key: Vec<u8>, payload: Vec<u8>) {
    let value = seal(&key, payload);
    batch.writes.insert(key, Some(value));
}

fn read_chunk(from: &dyn Read, key: &[u8]) -> Result<Vec<u8>, StoreError> {
    let value = from.get(key)?.ok_or_else(|| StoreError::damaged(key, "a chunk is missing"))?;
    Ok(unseal(key, &value)?.to_vec())
}

/// Up to this size, a thread's own compressor and decompressor are used, because creating them takes longer than using
/// them. Larger inputs are rare, and would leave each thread holding megabytes.
const KEPT_CONTEXT_BYTES_MAX: usize = 256 << 10;

thread_local! {
    static COMPRESSOR: RefCell<CCtx<'static>> = RefCell::new(CCtx::create());
    static DECOMPRESSOR: RefCell<DCtx<'static>> = RefCell::new(DCtx::create());
}

/// Compresses `bytes`, optionally with `prefix` as a dictionary. With a buffer of `compress_bound` bytes this fails
/// only if zstd cannot allocate.
///
/// zstd treats a prefix as a dictionary of raw text, unless it begins with the magic number of a trained dictionary,
/// which no encoded content does.
#[expect(clippy::expect_used, reason = "zstd fails here only when it cannot allocate")]
pub(crate) fn compress(bytes: &[u8], prefix: Option<&[u8]>, effort: Effort) -> Vec<u8> {
    let prefix = prefix.unwrap_or_default();
    let mut data = Vec::with_capacity(compress_bound(bytes.len()));
    let mut compress =
        |context: &mut CCtx<'_>| context.compress_using_dict(&mut data, bytes, prefix, effort.level()).map(drop);
    let compressed = if bytes.len() + prefix.len() <= KEPT_CONTEXT_BYTES_MAX {
        COMPRESSOR.with_borrow_mut(|context| compress(context))
    } else {
        compress(&mut CCtx::create())
    };
    compressed.expect("zstd could not allocate");
    data.shrink_to_fit();
    data
}

/// The inverse of [`compress`], for an output of at most `length` bytes; `None` if the data cannot be decompressed.
pub(crate) fn decompress(data: &[u8], prefix: Option<&[u8]>, length: usize) -> Option<Vec<u8>> {
    let prefix = prefix.unwrap_or_default();
    let mut bytes = Vec::with_capacity(length);
    let decompressed = DECOMPRESSOR.with_borrow_mut(|context| context.decompress_using_dict(&mut bytes, data, prefix));
    decompressed.ok()?;
    Some(bytes)
}
