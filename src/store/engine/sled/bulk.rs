//! Writes a database of sled from its entries in order of key, without sled.
//!
//! sled writes an entry three times until its leaf is full and split, leaves its leaves half empty, and frees a segment
//! only once less than half of it is in use. Loaded in order of key, it takes four times what it stores. This module
//! writes each page once, with full leaves, one after the other:
//!
//! ```text
//! segment 0                                 segment 1
//! header leaf leaf … leaf index leaf … cap  header leaf … leaf index … index applied meta counter canceled
//! ```
//!
//! The layout is that of sled 0.34.7: `src/serialization.rs` has the encoding of a page, `src/node.rs` what a page must
//! be like, and [`super::segments`] describes segments and messages. A page of a tree names its range of keys (`lo`
//! inclusive, `hi` exclusive, empty without end), its right sibling, and how many bytes all of its keys have in common
//! with both bounds, which its keys omit. Of an index, the first key is its `lo`. A page without number in the page table
//! is damage to sled, so numbers are given out one after the other, and each is written.
//!
//! The last message is one that was canceled. It reaches to the end of its segment, and its zeros are a hole in the file,
//! which takes no space. Without it, sled would fill the segment with zeros at each opening, since it does not read a cap
//! in the last segment. So it begins a new segment.
//!
//! sled reads the file as it reads its own after a crash. [`super::compact`] reads every entry back through sled before
//! the database is used, so a mistake here cannot lose anything.

use std::fs::File;
use std::io::{self, BufWriter, Write};

use super::SEGMENT_BYTES;
use super::segments::{CAP, HEADER_BYTES, MESSAGE_HEADER_BYTES_MAX, crc32};

/// sled splits a leaf with more entries.
const LEAF_ENTRIES_MAX: usize = 16;
/// sled splits an index with more than 256 children. Some room is left, since new entries split leaves.
const INDEX_CHILDREN_MAX: usize = 192;

/// Kinds of messages.
const CANCELED: u8 = 1;
const COUNTER: u8 = 5;
const META: u8 = 6;
const NODE: u8 = 8;

/// The pages that sled uses for itself.
const META_PAGE: u64 = 0;
const COUNTER_PAGE: u64 = 1;
/// The first page of a tree.
const FIRST_PAGE: u64 = 2;
/// The name of sled's default tree.
const DEFAULT_TREE: &[u8] = b"__sled__default";

/// A database that is being written.
pub(super) struct BulkWriter {
    log: Log,
    tree: Tree,
}

impl BulkWriter {
    /// Begins in an empty file.
    pub(super) fn new(file: File) -> Self {
        Self { log: Log { file: BufWriter::with_capacity(1 << 20, file), at: 0 }, tree: Tree::new(FIRST_PAGE) }
    }

    /// Adds an entry, whose key is greater than all before.
    pub(super) fn insert(&mut self, key: Vec<u8>, value: Vec<u8>) -> io::Result<()> {
        self.tree.insert(key, value, &mut self.log)
    }

    /// Completes the database with another tree, which has the value `applied` under the empty key. Nothing is synced.
    pub(super) fn finish(self, tree_name: &[u8], applied: &[u8]) -> io::Result<()> {
        let Self { mut log, tree } = self;
        let (root, next_page) = tree.finish(&mut log)?;
        let mut tree = Tree::new(next_page);
        tree.insert(Vec::new(), applied.to_vec(), &mut log)?;
        let (applied_root, _) = tree.finish(&mut log)?;
        let mut meta = Vec::new();
        for (name, root) in [(DEFAULT_TREE, root), (tree_name, applied_root)] {
            put_bytes(&mut meta, name);
            put_number(&mut meta, root);
        }
        log.write(META, META_PAGE, &meta)?;
        let mut counter = Vec::new();
        put_number(&mut counter, 0);
        log.write(COUNTER, COUNTER_PAGE, &counter)?;
        log.end()
    }
}

/// The pages of a tree that are not full yet: one of each level.
struct Tree {
    next_page: u64,
    leaf: Leaf,
    /// The indexes, from the one above the leaves to the root.
    indexes: Vec<Index>,
}

struct Leaf {
    page: u64,
    lo: Vec<u8>,
    entries: Vec<(Vec<u8>, Vec<u8>)>,
}

struct Index {
    page: u64,
    /// The lower bound of each child, and its page. The first bound is that of the index.
    children: Vec<(Vec<u8>, u64)>,
}

/// The upper bound of a page, and its right sibling.
type After<'a> = Option<(&'a [u8], u64)>;

impl Tree {
    fn new(first_page: u64) -> Self {
        let leaf = Leaf { page: first_page, lo: Vec::new(), entries: Vec::new() };
        Self { next_page: first_page + 1, leaf, indexes: Vec::new() }
    }

    fn insert(&mut self, key: Vec<u8>, value: Vec<u8>, log: &mut Log) -> io::Result<()> {
        if self.leaf.entries.len() >= LEAF_ENTRIES_MAX {
            let last = self.leaf.entries.last().map_or(&[][..], |(key, _)| key);
            let lo = separator(last, &key).to_vec();
            let next = Leaf { page: self.take_page(), lo, entries: Vec::new() };
            let full = std::mem::replace(&mut self.leaf, next);
            full.write(Some((&self.leaf.lo, self.leaf.page)), log)?;
            self.add_child(0, full.lo, full.page, log)?;
        }
        self.leaf.entries.push((key, value));
        Ok(())
    }

    /// Adds a page that was written to the index above it.
    fn add_child(&mut self, level: usize, lo: Vec<u8>, page: u64, log: &mut Log) -> io::Result<()> {
        let Some(index) = self.indexes.get_mut(level) else {
            let index = Index { page: self.take_page(), children: vec![(lo, page)] };
            self.indexes.push(index);
            return Ok(());
        };
        if index.children.len() < INDEX_CHILDREN_MAX {
            index.children.push((lo, page));
            return Ok(());
        }
        let next = Index { page: self.next_page, children: vec![(lo.clone(), page)] };
        self.next_page += 1;
        let next_page = next.page;
        let full = std::mem::replace(index, next);
        full.write(Some((&lo, next_page)), log)?;
        self.add_child(level + 1, full.lo().to_vec(), full.page, log)
    }

    /// Writes the last page of each level. Returns the page of the root, and the next one that is not in use.
    fn finish(mut self, log: &mut Log) -> io::Result<(u64, u64)> {
        let leaf = std::mem::replace(&mut self.leaf, Leaf { page: 0, lo: Vec::new(), entries: Vec::new() });
        leaf.write(None, log)?;
        let (mut lo, mut page) = (leaf.lo, leaf.page);
        let mut level = 0;
        loop {
            self.add_child(level, lo, page, log)?;
            let is_root = level + 1 == self.indexes.len();
            let Some(index) = self.indexes.get_mut(level) else { return Err(io::ErrorKind::InvalidData.into()) };
            let last = std::mem::replace(index, Index { page: 0, children: Vec::new() });
            last.write(None, log)?;
            if is_root {
                return Ok((last.page, self.next_page));
            }
            (lo, page) = (last.lo().to_vec(), last.page);
            level += 1;
        }
    }

    fn take_page(&mut self) -> u64 {
        self.next_page += 1;
        self.next_page - 1
    }
}

impl Leaf {
    fn write(&self, after: After<'_>, log: &mut Log) -> io::Result<()> {
        let (mut body, prefix) = node(&self.lo, after);
        body.push(0);
        put_number(&mut body, self.entries.len() as u64);
        for (key, _) in &self.entries {
            put_bytes(&mut body, key.get(prefix..).unwrap_or_default());
        }
        for (_, value) in &self.entries {
            put_bytes(&mut body, value);
        }
        log.write(NODE, self.page, &body)
    }
}

impl Index {
    fn lo(&self) -> &[u8] {
        self.children.first().map_or(&[], |(lo, _)| lo)
    }

    fn write(&self, after: After<'_>, log: &mut Log) -> io::Result<()> {
        let (mut body, prefix) = node(self.lo(), after);
        body.push(1);
        put_number(&mut body, self.children.len() as u64);
        for (lo, _) in &self.children {
            put_bytes(&mut body, lo.get(prefix..).unwrap_or_default());
        }
        for (_, page) in &self.children {
            put_number(&mut body, *page);
        }
        log.write(NODE, self.page, &body)
    }
}

/// The beginning of a page with these bounds, and how many bytes its keys omit.
fn node(lo: &[u8], after: After<'_>) -> (Vec<u8>, usize) {
    let (hi, next) = after.unwrap_or((&[], 0));
    let prefix = common(lo, hi).min(usize::from(u8::MAX));
    let mut body = Vec::new();
    put_number(&mut body, next);
    // No child is being merged, and neither is the page itself.
    body.extend([0, 0, u8::try_from(prefix).unwrap_or(u8::MAX)]);
    put_bytes(&mut body, lo);
    put_bytes(&mut body, hi);
    (body, prefix)
}

/// The shortest bound between two keys: above `last`, and at or below `first`.
fn separator<'a>(last: &[u8], first: &'a [u8]) -> &'a [u8] {
    first.get(..=common(last, first)).unwrap_or(first)
}

/// How many bytes both begin with.
fn common(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(one, other)| one == other).count()
}

/// The log of a database.
struct Log {
    file: BufWriter<File>,
    /// The position of the next byte, in the log and in the file.
    at: u64,
}

impl Log {
    /// Writes a message, in a new segment if the current one has no room for it.
    fn write(&mut self, kind: u8, page: u64, body: &[u8]) -> io::Result<()> {
        let segment_bytes = SEGMENT_BYTES as u64;
        let length = (MESSAGE_HEADER_BYTES_MAX + body.len()) as u64;
        if length + HEADER_BYTES as u64 > segment_bytes / 4 {
            return Err(io::Error::other("a page is too large for a segment"));
        }
        let left = segment_bytes - self.at % segment_bytes;
        if left < length && left < segment_bytes {
            self.fill_segment(left)?;
        }
        if self.at.is_multiple_of(segment_bytes) {
            let header = segment_header(self.at);
            self.put(&header)?;
        }
        let header = message_header(kind, page, self.at / segment_bytes, body);
        self.put(&header)?;
        self.put(body)
    }

    /// Fills the last `left` bytes of a segment.
    fn fill_segment(&mut self, left: u64) -> io::Result<()> {
        let end = self.at + left;
        self.put_filler(CAP, left)?;
        let zeros = usize::try_from(end - self.at).map_err(io::Error::other)?;
        self.put(&vec![0; zeros])
    }

    /// Ends the log and its last segment.
    fn end(mut self) -> io::Result<()> {
        let end = self.at.next_multiple_of(SEGMENT_BYTES as u64);
        self.put_filler(CANCELED, end - self.at)?;
        self.file.flush()?;
        self.file.get_ref().set_len(end)
    }

    /// Writes the header of a message of zeros that fills the `left` bytes up to the end of the segment, unless they are
    /// too few for a message. A header shorter than the longest leaves some bytes after the message.
    fn put_filler(&mut self, kind: u8, left: u64) -> io::Result<()> {
        let left = usize::try_from(left).map_err(io::Error::other)?;
        let Some(body_bytes) = left.checked_sub(MESSAGE_HEADER_BYTES_MAX) else { return Ok(()) };
        let header = message_header(kind, u64::MAX, self.at / SEGMENT_BYTES as u64, &vec![0; body_bytes]);
        self.put(&header)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.at += bytes.len() as u64;
        self.file.write_all(bytes)
    }
}

/// The header of the segment at `position`. Everything before it is stable.
fn segment_header(position: u64) -> Vec<u8> {
    let flip = |position: i64| (position ^ i64::MAX).to_le_bytes();
    let position = position.cast_signed();
    let fields = [flip(position), flip(position - 1)].concat();
    let checksum = crc32(&[&fields]) ^ u32::MAX;
    [checksum.to_le_bytes().as_slice(), &fields].concat()
}

fn message_header(kind: u8, page: u64, segment: u64, body: &[u8]) -> Vec<u8> {
    let mut fields = vec![kind];
    put_number(&mut fields, body.len() as u64);
    put_number(&mut fields, segment);
    put_number(&mut fields, page);
    let checksum = crc32(&[body, &fields]) ^ u32::MAX;
    [checksum.to_le_bytes().as_slice(), &fields].concat()
}

fn put_bytes(to: &mut Vec<u8>, bytes: &[u8]) {
    put_number(to, bytes.len() as u64);
    to.extend_from_slice(bytes);
}

/// Appends a number in sled's variable-length encoding.
#[expect(clippy::cast_possible_truncation, reason = "the ranges are those of the bytes")]
fn put_number(to: &mut Vec<u8>, number: u64) {
    match number {
        0..=240 => to.push(number as u8),
        241..=2287 => to.extend([((number - 240) / 256 + 241) as u8, ((number - 240) % 256) as u8]),
        2288..=67_823 => to.extend([249, ((number - 2288) / 256) as u8, ((number - 2288) % 256) as u8]),
        _ => {
            let bytes = number.to_le_bytes();
            let length = bytes.len() - number.leading_zeros() as usize / 8;
            to.push((247 + length) as u8);
            to.extend(bytes.iter().take(length));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::segments::number;
    use super::*;

    proptest! {
        #[test]
        fn numbers_are_read_as_they_were_written(
            value in prop_oneof![any::<u64>(), 0..70_000_u64, (0..64_u32).prop_map(|bits| 1 << bits)],
        ) {
            let mut bytes = Vec::new();
            put_number(&mut bytes, value);
            prop_assert_eq!(number(&bytes), Some((value, &[][..])));
        }

        #[test]
        fn a_separator_is_above_the_last_key_and_at_most_the_next(
            mut keys in prop::collection::btree_set(prop::collection::vec(0..3_u8, 0..5), 2..3),
        ) {
            let (last, first) = (keys.pop_first().unwrap(), keys.pop_first().unwrap());
            let separator = separator(&last, &first);
            prop_assert!(last.as_slice() < separator && separator <= first.as_slice());
        }
    }
}
