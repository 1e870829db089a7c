//! The decompressed bytes of a web archive, with their offsets in the file.
//!
//! A compressed web archive is a gzip file with one member per record (ISO 28500, annex on compression). The offset of
//! a record is that of its member, and damage affects only the member it is in. The chunk in memory has bytes of only
//! one member. Files that consist of a single member can also be read.

use std::io::{self, BufRead, ErrorKind, Read, Seek, SeekFrom};

use flate2::bufread::GzDecoder;

const CHUNK_BYTES: usize = 64 << 10;
const GZIP_MAGIC: &[u8] = b"\x1f\x8b";
/// The start of a gzip member: the magic number, and deflate as the method.
const MEMBER_START: &[u8] = b"\x1f\x8b\x08";

/// A reader with lookahead that knows offsets and member boundaries.
pub(super) struct Input<R: BufRead> {
    source: InputState<R>,
    chunk: Vec<u8>,
    /// Number of bytes of the chunk that are consumed.
    consumed: usize,
    /// File offset of the chunk's first byte, or of the member that it belongs to.
    offset: u64,
    /// Whether the chunk is the start of a member.
    begins_member: bool,
}

enum InputState<R: BufRead> {
    Plain(CountingReader<R>),
    /// Between two members of a gzip file.
    Between(CountingReader<R>),
    /// Within a member of a gzip file.
    Within(Box<GzDecoder<CountingReader<R>>>),
    /// Placeholder while switching between the other variants.
    Nowhere,
}

impl<R: BufRead + Seek> Input<R> {
    /// Detects from the first bytes whether the file is compressed.
    pub(super) fn new(mut from: R) -> io::Result<Self> {
        let is_gzip = from.fill_buf()?.starts_with(GZIP_MAGIC);
        let file = CountingReader { from, offset: 0 };
        let source = if is_gzip { InputState::Between(file) } else { InputState::Plain(file) };
        Ok(Self { source, chunk: Vec::new(), consumed: 0, offset: 0, begins_member: false })
    }

    /// File offset of the next byte, or of the member that it belongs to.
    pub(super) fn offset(&self) -> u64 {
        match self.source {
            InputState::Plain(_) => self.offset + self.consumed as u64,
            InputState::Between(_) | InputState::Within(_) | InputState::Nowhere => self.offset,
        }
    }

    /// Whether the next byte is the first of a member.
    pub(super) fn is_at_member(&self) -> bool {
        self.begins_member && self.consumed == 0
    }

    /// Returns the bytes that come next; empty only at the end of the file.
    pub(super) fn fill(&mut self) -> io::Result<&[u8]> {
        if self.consumed == self.chunk.len() {
            self.clear_chunk();
            if let InputState::Plain(file) = &self.source {
                self.offset = file.offset;
            }
            while self.read_more()? == 0 && self.next_member()? {}
        }
        Ok(self.unread())
    }

    /// Returns at least the next `bytes` bytes, or fewer if the member or the file ends before.
    pub(super) fn peek(&mut self, bytes: usize) -> io::Result<&[u8]> {
        self.fill()?;
        self.peek_in_member(bytes)
    }

    /// Like [`Self::peek`], but does not continue with the next member; empty at the end of the present member.
    pub(super) fn peek_in_member(&mut self, bytes: usize) -> io::Result<&[u8]> {
        while self.unread().len() < bytes && self.read_more()? > 0 {}
        Ok(self.unread())
    }

    pub(super) fn consume(&mut self, bytes: usize) {
        self.consumed = (self.consumed + bytes).min(self.chunk.len());
    }

    /// Number of bytes allocated for the chunk.
    #[cfg(test)]
    pub(super) fn chunk_capacity(&self) -> usize {
        self.chunk.capacity()
    }

    /// Seeks back to an offset that was returned earlier. Returns whether that succeeded: it never does in a compressed
    /// file.
    pub(super) fn go_back(&mut self, offset: u64) -> bool {
        let InputState::Plain(file) = &mut self.source else { return false };
        if file.from.seek(SeekFrom::Start(offset)).is_err() {
            return false;
        }
        file.offset = offset;
        self.clear_chunk();
        true
    }

    /// Skips damage up to what looks like the start of another member, and returns whether there is one. The search
    /// starts within the damaged member if the file can seek.
    pub(super) fn skip_damage(&mut self) -> io::Result<bool> {
        self.clear_chunk();
        let Some(mut file) = self.take_file() else { return Ok(false) };
        // Because of the damage, the decoder may have read into the members after this one. The search starts at the
        // second byte of the damaged member, so that it does not find this member again.
        let search_start = self.offset + 1;
        if file.from.seek(SeekFrom::Start(search_start)).is_ok() {
            file.offset = search_start;
        } else if file.offset < search_start && !file.fill_buf()?.is_empty() {
            file.consume(1);
        }
        let found = seek_member(&mut file);
        self.source = InputState::Between(file);
        found
    }

    /// Takes the underlying file out of the source; `None` if the file is not compressed.
    fn take_file(&mut self) -> Option<CountingReader<R>> {
        match std::mem::replace(&mut self.source, InputState::Nowhere) {
            InputState::Within(decoder) => Some(decoder.into_inner()),
            InputState::Between(file) => Some(file),
            other @ (InputState::Plain(_) | InputState::Nowhere) => {
                self.source = other;
                None
            }
        }
    }

    fn clear_chunk(&mut self) {
        self.chunk.clear();
        (self.consumed, self.begins_member) = (0, false);
    }

    fn unread(&self) -> &[u8] {
        self.chunk.get(self.consumed..).unwrap_or_default()
    }

    /// Reads more bytes of the member, or of a plain file, into the chunk. Returns how many.
    fn read_more(&mut self) -> io::Result<usize> {
        let is_plain = matches!(self.source, InputState::Plain(_));
        let from: &mut dyn Read = match &mut self.source {
            InputState::Plain(file) => file,
            InputState::Within(decoder) => decoder,
            InputState::Between(_) | InputState::Nowhere => return Ok(0),
        };
        // Drop consumed bytes first, so that the chunk stays small however far ahead a caller peeks.
        if self.consumed > 0 {
            self.chunk.drain(..self.consumed);
            if is_plain {
                self.offset += self.consumed as u64;
            }
            (self.consumed, self.begins_member) = (0, false);
        }
        let unread = self.chunk.len();
        self.chunk.resize(unread + CHUNK_BYTES, 0);
        let read = read(from, self.chunk.get_mut(unread..).unwrap_or_default());
        self.chunk.truncate(unread + *read.as_ref().unwrap_or(&0));
        read
    }

    /// Starts reading the next member. Returns whether there is one.
    fn next_member(&mut self) -> io::Result<bool> {
        let Some(mut file) = self.take_file() else { return Ok(false) };
        let (offset, is_end) = (file.offset, file.fill_buf().map(<[u8]>::is_empty));
        if !matches!(is_end, Ok(false)) {
            self.source = InputState::Between(file);
            return is_end.map(|_| false);
        }
        self.source = InputState::Within(Box::new(GzDecoder::new(file)));
        (self.offset, self.begins_member) = (offset, true);
        Ok(true)
    }
}

/// A reader that counts the bytes consumed.
struct CountingReader<R> {
    from: R,
    /// Number of bytes consumed: the offset of the next one.
    offset: u64,
}

impl<R: BufRead> Read for CountingReader<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(into)?;
        self.offset += read as u64;
        Ok(read)
    }
}

impl<R: BufRead> BufRead for CountingReader<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.from.fill_buf()
    }

    fn consume(&mut self, bytes: usize) {
        self.offset += bytes as u64;
        self.from.consume(bytes);
    }
}

fn read(from: &mut dyn Read, into: &mut [u8]) -> io::Result<usize> {
    loop {
        match from.read(into) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

/// Skips to the next bytes that may start a member, and returns whether there are any.
fn seek_member(file: &mut impl BufRead) -> io::Result<bool> {
    loop {
        let buffer = file.fill_buf()?;
        if buffer.is_empty() {
            return Ok(false);
        }
        let found = buffer.windows(MEMBER_START.len()).position(|window| window == MEMBER_START);
        let skipped = match found {
            Some(0) => return Ok(true),
            Some(at) => at,
            // The start of a member may extend past the end of the buffer.
            None => buffer.len().saturating_sub(MEMBER_START.len() - 1).max(1),
        };
        file.consume(skipped);
    }
}
