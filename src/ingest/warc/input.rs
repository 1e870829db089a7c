//! The bytes of a web archive, no longer compressed, with their place in the file.
//!
//! A compressed web archive is gzip with a member for each record (ISO 28500, annex on compression), so that a record has a
//! place in the file by its member, and damage ends with the member that it is in. A chunk here holds bytes of one member
//! only. Files that are one member throughout are read too.

use std::io::{self, BufRead, ErrorKind, Read, Seek, SeekFrom};

use flate2::bufread::GzDecoder;

const CHUNK_BYTES: usize = 64 << 10;
const MAGIC: &[u8] = b"\x1f\x8b";
/// Begins each member: the magic number, and deflate as the method.
const MEMBER: &[u8] = b"\x1f\x8b\x08";

pub(super) struct Input<R: BufRead> {
    source: Source<R>,
    chunk: Vec<u8>,
    /// What of the chunk is used up.
    at: usize,
    /// The place of the chunk's first byte, or of the member that it belongs to.
    offset: u64,
    /// Whether the chunk begins a member.
    begins_member: bool,
}

enum Source<R: BufRead> {
    Plain(Told<R>),
    Between(Told<R>),
    Within(Box<GzDecoder<Told<R>>>),
    /// While it changes from one to the other.
    Nowhere,
}

impl<R: BufRead + Seek> Input<R> {
    /// What the bytes are is told by how they begin.
    pub(super) fn new(mut from: R) -> io::Result<Self> {
        let is_gzip = from.fill_buf()?.starts_with(MAGIC);
        let told = Told { from, offset: 0 };
        let source = if is_gzip { Source::Between(told) } else { Source::Plain(told) };
        Ok(Self { source, chunk: Vec::new(), at: 0, offset: 0, begins_member: false })
    }

    /// The place in the file of what comes next: of the byte, or of its member.
    pub(super) fn offset(&self) -> u64 {
        match self.source {
            Source::Plain(_) => self.offset + self.at as u64,
            Source::Between(_) | Source::Within(_) | Source::Nowhere => self.offset,
        }
    }

    /// Whether what comes next begins a member.
    pub(super) fn is_at_member(&self) -> bool {
        self.begins_member && self.at == 0
    }

    /// What comes next; empty at the end alone.
    pub(super) fn fill(&mut self) -> io::Result<&[u8]> {
        if self.at == self.chunk.len() {
            self.forget();
            if let Source::Plain(told) = &self.source {
                self.offset = told.offset;
            }
            while self.read_more()? == 0 && self.next_member()? {}
        }
        Ok(self.rest())
    }

    /// At least so many of the bytes that come next, fewer only where the member or the file ends.
    pub(super) fn peek(&mut self, bytes: usize) -> io::Result<&[u8]> {
        self.fill()?;
        self.peek_in_member(bytes)
    }

    /// As [`Self::peek`], without going on to the next member: at the end of one there is nothing.
    pub(super) fn peek_in_member(&mut self, bytes: usize) -> io::Result<&[u8]> {
        while self.rest().len() < bytes && self.read_more()? > 0 {}
        Ok(self.rest())
    }

    pub(super) fn consume(&mut self, bytes: usize) {
        self.at = (self.at + bytes).min(self.chunk.len());
    }

    /// How many bytes are held.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.chunk.capacity()
    }

    /// Goes back to a place that was told for bytes that are not compressed; whether that can be.
    pub(super) fn go_back(&mut self, offset: u64) -> bool {
        let Source::Plain(told) = &mut self.source else { return false };
        if told.from.seek(SeekFrom::Start(offset)).is_err() {
            return false;
        }
        told.offset = offset;
        self.forget();
        true
    }

    /// After damage: passes over the bytes up to what looks like the next member, from the beginning of the damaged one on
    /// where the file can be read again from there. Whether there is one.
    pub(super) fn pass_over_damage(&mut self) -> io::Result<bool> {
        self.forget();
        let Some(mut told) = self.take_file() else { return Ok(false) };
        // The damage may have led the decoder into the members behind it.
        let behind = self.offset + 1;
        if told.from.seek(SeekFrom::Start(behind)).is_ok() {
            told.offset = behind;
        } else if told.offset < behind && !told.fill_buf()?.is_empty() {
            told.consume(1);
        }
        let found = seek_member(&mut told);
        self.source = Source::Between(told);
        found
    }

    /// The file behind the member that is being read; none where there are no members.
    fn take_file(&mut self) -> Option<Told<R>> {
        match std::mem::replace(&mut self.source, Source::Nowhere) {
            Source::Within(decoder) => Some(decoder.into_inner()),
            Source::Between(told) => Some(told),
            other @ (Source::Plain(_) | Source::Nowhere) => {
                self.source = other;
                None
            }
        }
    }

    fn forget(&mut self) {
        self.chunk.clear();
        (self.at, self.begins_member) = (0, false);
    }

    fn rest(&self) -> &[u8] {
        self.chunk.get(self.at..).unwrap_or_default()
    }

    /// Reads more of the member, or of the file.
    fn read_more(&mut self) -> io::Result<usize> {
        let is_plain = matches!(self.source, Source::Plain(_));
        let from: &mut dyn Read = match &mut self.source {
            Source::Plain(told) => told,
            Source::Within(decoder) => decoder,
            Source::Between(_) | Source::Nowhere => return Ok(0),
        };
        // What is used up makes room, so that a chunk stays small whatever is looked at.
        if self.at > 0 {
            self.chunk.drain(..self.at);
            if is_plain {
                self.offset += self.at as u64;
            }
            (self.at, self.begins_member) = (0, false);
        }
        let kept = self.chunk.len();
        self.chunk.resize(kept + CHUNK_BYTES, 0);
        let read = read(from, self.chunk.get_mut(kept..).unwrap_or_default());
        self.chunk.truncate(kept + *read.as_ref().unwrap_or(&0));
        read
    }

    /// Goes on to the next member, if there is one.
    fn next_member(&mut self) -> io::Result<bool> {
        let Some(mut told) = self.take_file() else { return Ok(false) };
        let (offset, is_end) = (told.offset, told.fill_buf().map(<[u8]>::is_empty));
        if !matches!(is_end, Ok(false)) {
            self.source = Source::Between(told);
            return is_end.map(|_| false);
        }
        self.source = Source::Within(Box::new(GzDecoder::new(told)));
        (self.offset, self.begins_member) = (offset, true);
        Ok(true)
    }
}

/// Bytes of the file, counted.
struct Told<R> {
    from: R,
    /// How many were used up.
    offset: u64,
}

impl<R: BufRead> Read for Told<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(into)?;
        self.offset += read as u64;
        Ok(read)
    }
}

impl<R: BufRead> BufRead for Told<R> {
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

/// Passes over bytes until a member may begin. Whether one does.
fn seek_member(told: &mut impl BufRead) -> io::Result<bool> {
    loop {
        let buffer = told.fill_buf()?;
        if buffer.is_empty() {
            return Ok(false);
        }
        let found = buffer.windows(MEMBER.len()).position(|window| window == MEMBER);
        let passed = match found {
            Some(0) => return Ok(true),
            Some(at) => at,
            // The beginning of one may lie across the end of the buffer.
            None => buffer.len().saturating_sub(MEMBER.len() - 1).max(1),
        };
        told.consume(passed);
    }
}
