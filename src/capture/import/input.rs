//! Opens a file or standard input, and decompresses it.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;

const BUFFER_BYTES: usize = 256 << 10;
/// How many bytes are needed to distinguish the formats.
const FIRST_BYTES: usize = 16;

const GZIP: &[u8] = b"\x1f\x8b";
const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd";

/// How many bytes of the file were read, shared with the reader.
#[derive(Clone, Debug, Default)]
pub(super) struct Position(Arc<AtomicU64>);

impl Position {
    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn set(&self, at: u64) {
        self.0.store(at, Ordering::Relaxed);
    }
}

/// A reader that counts the bytes that are read.
pub(super) struct Counted<R> {
    from: R,
    position: Position,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(into)?;
        self.position.0.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

impl<R: Seek> Seek for Counted<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = self.from.seek(to)?;
        self.position.set(at);
        Ok(at)
    }
}

/// Bytes to read. Seeking succeeds in files only.
pub(super) trait Source: Read + Seek + Send {}

impl<R: Read + Seek + Send> Source for R {}

/// Standard input, which cannot seek.
struct StandardInput(io::Stdin);

impl Read for StandardInput {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into)
    }
}

impl Seek for StandardInput {
    fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
        Err(ErrorKind::Unsupported.into())
    }
}

/// The bytes of a file or of standard input, not decompressed yet.
pub(super) type Raw = BufReader<Counted<Box<dyn Source>>>;

/// Opens a file, or standard input for `-`.
pub(super) fn open(path: &Path) -> io::Result<(Raw, Position)> {
    let from: Box<dyn Source> = match path == Path::new("-") {
        true => Box::new(StandardInput(io::stdin())),
        false => Box::new(File::open(path)?),
    };
    let position = Position::default();
    let counted = Counted { from, position: position.clone() };
    Ok((BufReader::with_capacity(BUFFER_BYTES, counted), position))
}

/// The first bytes of `raw`, decompressed, without consuming them. Fewer or none if they cannot be decompressed; the
/// error then occurs again when the file is read.
pub(super) fn first_bytes(raw: &mut Raw) -> io::Result<Vec<u8>> {
    let start = raw.fill_buf()?.to_vec();
    let mut first = Vec::new();
    let plain: Box<dyn Read> = match () {
        () if start.starts_with(GZIP) => Box::new(MultiGzDecoder::new(Cursor::new(start))),
        () if start.starts_with(ZSTD) => Box::new(zstd::stream::read::Decoder::with_buffer(Cursor::new(start))?),
        () => Box::new(Cursor::new(start)),
    };
    drop(plain.take(FIRST_BYTES as u64).read_to_end(&mut first));
    Ok(first)
}

/// Whether `raw` is compressed with zstd.
pub(super) fn is_zstd(raw: &mut Raw) -> io::Result<bool> {
    Ok(raw.fill_buf()?.starts_with(ZSTD))
}

/// Decompresses `raw`: gzip with any number of members, zstd with any number of frames, or neither.
pub(super) fn plain(mut raw: Raw) -> io::Result<Box<dyn BufRead + Send>> {
    let start = raw.fill_buf()?;
    if start.starts_with(GZIP) {
        Ok(Box::new(BufReader::with_capacity(BUFFER_BYTES, MultiGzDecoder::new(raw))))
    } else if start.starts_with(ZSTD) {
        let decoder = zstd::stream::read::Decoder::with_buffer(raw)?;
        Ok(Box::new(BufReader::with_capacity(BUFFER_BYTES, decoder)))
    } else {
        Ok(Box::new(raw))
    }
}
