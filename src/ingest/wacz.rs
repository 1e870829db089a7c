//! Opens WACZ: web archives in a ZIP file, next to an index and a list of pages that are not needed to read them.
//!
//! Source: <https://specs.webrecorder.net/wacz/1.1.1/>.
//!
//! The data package lists every file with its digest. A web archive is read only once [`Wacz::check`] has found it to be as
//! listed, so what was damaged or altered is not read as a page. Signatures of the data package are not checked.
//!
//! Nothing that a file claims decides how much memory is used: its directory is read entry by entry, and only the names of
//! web archives are kept, up to a limit.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom};

use data_encoding::HEXLOWER_PERMISSIVE;
use flate2::bufread::DeflateDecoder;
use rawzip::{CompressionMethod, RECOMMENDED_BUFFER_SIZE, ReaderAt, ZipArchive, ZipArchiveEntryWayfinder, ZipLocator};
use serde::Deserialize;
use sha2::{Digest, Sha256};

/// What a ZIP file begins with, if it is not empty.
pub const ZIP_START: &[u8] = b"PK\x03\x04";

/// Files in a ZIP file.
const FILES_MAX: u64 = 1 << 20;
/// Web archives in one WACZ.
const WARCS_MAX: usize = 10_000;
/// The size of the name of a web archive, in bytes.
const NAME_BYTES_MAX: usize = 1_000;
/// The size of the data package, and of the file with its digest, in bytes.
const PACKAGE_BYTES_MAX: usize = 4 << 20;
const BUFFER_BYTES: usize = 256 << 10;

const PACKAGE: &str = "datapackage.json";
const PACKAGE_DIGEST: &str = "datapackage-digest.json";
/// The folder of the web archives.
const ARCHIVE: &str = "archive/";

/// A WACZ that is open.
#[derive(Debug)]
pub struct Wacz<R> {
    zip: ZipArchive<R>,
    /// In the order in which they are in the file, and then those that are not in it.
    warcs: Vec<Warc>,
}

/// A web archive in a WACZ.
#[derive(Clone, Debug)]
pub struct Warc {
    /// Its name, such as `archive/data.warc.gz`.
    pub name: String,
    /// `None` if the data package lists it, but it is not in the ZIP file.
    file: Option<ZippedFile>,
    /// What the data package says about it; `None` if it does not list it.
    listed: Option<Listed>,
}

/// A file in the ZIP file.
#[derive(Clone, Copy, Debug)]
struct ZippedFile {
    offset: u64,
    place: ZipArchiveEntryWayfinder,
    method: CompressionMethod,
    is_encrypted: bool,
}

/// A line of the data package.
#[derive(Clone, Debug, Deserialize)]
struct Listed {
    path: String,
    #[serde(default)]
    hash: String,
}

#[derive(Deserialize)]
struct DataPackage {
    resources: Vec<Listed>,
}

#[derive(Deserialize)]
struct PackageDigest {
    hash: String,
}

/// Why a WACZ, or a web archive in it, is not read.
#[derive(Debug, thiserror::Error)]
pub enum WaczError {
    /// The operating system reported an error.
    #[error(transparent)]
    Read(#[from] io::Error),
    /// The file is of another kind.
    #[error("it is not a ZIP file, and so not a WACZ")]
    NotZip,
    /// The ZIP file is damaged.
    #[error("it is not a complete ZIP file: {0}")]
    Zip(String),
    /// The ZIP file has too many files, or has some that are too large.
    #[error("it has {0}")]
    TooMuch(String),
    /// Two files have the same name.
    #[error("it has two files named {0}")]
    Twice(String),
    /// The name of a web archive is too long, or is not text.
    #[error("it has a WARC file whose name {problem}: {start}…")]
    Name {
        /// What is wrong with the name.
        problem: String,
        /// What the name begins with.
        start: String,
    },
    /// There is no data package.
    #[error("it is a ZIP file without a {PACKAGE}, and so not a WACZ")]
    NoPackage {
        /// The names of files in it that may be web archives.
        warcs: Vec<String>,
    },
    /// The data package or the file with its digest is not what the format asks for.
    #[error("its {file} cannot be read: {problem}")]
    Package {
        /// The file.
        file: &'static str,
        /// Why it cannot be read.
        problem: String,
    },
    /// There is no web archive.
    #[error("it has no WARC file in {ARCHIVE}")]
    NoWarc,
    /// The data package lists a web archive that is not there.
    #[error("{PACKAGE} lists it, but it is not in the ZIP file")]
    Missing,
    /// The data package does not list a web archive, so it cannot be checked.
    #[error("{PACKAGE} does not list it, so it may have been added later")]
    NotListed,
    /// The digest of a web archive is of a kind that cannot be computed.
    #[error("{PACKAGE} has its digest as {0:?}; only sha256 can be checked")]
    DigestKind(String),
    /// A file is not the one that its digest was made of.
    #[error("it was damaged or altered: its SHA-256 is not the one in {0}")]
    Digest(&'static str),
    /// A file is encrypted.
    #[error("it is encrypted")]
    Encrypted,
    /// A file is compressed in another way than ZIP files usually are.
    #[error("it is compressed by method {0}; only deflate can be read")]
    Method(u16),
}

impl From<rawzip::Error> for WaczError {
    fn from(error: rawzip::Error) -> Self {
        let text = error.to_string();
        let kind = error.into_kind();
        if let rawzip::ErrorKind::IO(error) = kind {
            return Self::Read(error);
        }
        Self::Zip(if matches!(kind, rawzip::ErrorKind::Eof) { "it ends early".to_owned() } else { text })
    }
}

impl<R: ReaderAt> Wacz<R> {
    /// Opens a ZIP file of `bytes` bytes, and checks its data package.
    pub fn open(file: R, bytes: u64) -> Result<Self, WaczError> {
        let mut buffer = vec![0; RECOMMENDED_BUFFER_SIZE];
        let located = ZipLocator::new().locate_in_reader(file, &mut buffer, bytes);
        let zip = located.map_err(|(file, error)| not_located(&file, error))?;
        let mut files = Self::files(&zip, &mut buffer)?;
        let (package_file, digest_file) = (files.remove(PACKAGE), files.remove(PACKAGE_DIGEST));
        let Some(package_file) = package_file else {
            return Err(WaczError::NoPackage { warcs: files.into_keys().collect() });
        };
        let mut wacz = Self { zip, warcs: Vec::new() };

        let package = wacz.small(package_file, PACKAGE)?;
        if let Some(file) = digest_file {
            let PackageDigest { hash } = parse(PACKAGE_DIGEST, &wacz.small(file, PACKAGE_DIGEST)?)?;
            if sha256(&hash)? != Sha256::digest(&package)[..] {
                let error = WaczError::Digest(PACKAGE_DIGEST);
                return Err(WaczError::Package { file: PACKAGE, problem: error.to_string() });
            }
        }
        let DataPackage { resources } = parse(PACKAGE, &package)?;
        let mut listed = BTreeMap::new();
        for warc in resources {
            if is_warc(warc.path.as_bytes()) {
                listed.insert(warc_name(warc.path.as_bytes())?.to_owned(), warc);
            }
        }
        let warc = |(name, file)| Warc { listed: listed.remove(&name), name, file: Some(file) };
        wacz.warcs = files.into_iter().map(warc).collect();
        wacz.warcs.sort_by_key(|warc| warc.file.map(|file| file.offset));
        let missing = listed.into_iter().map(|(name, listed)| Warc { name, file: None, listed: Some(listed) });
        wacz.warcs.extend(missing);
        if wacz.warcs.is_empty() { Err(WaczError::NoWarc) } else { Ok(wacz) }
    }

    /// The web archives, in the order in which they are in the file; then those that are listed and not in it.
    pub fn warcs(&self) -> &[Warc] {
        &self.warcs
    }

    /// Reads all of a web archive, and checks it against the data package.
    pub fn check(&self, warc: &Warc) -> Result<(), WaczError> {
        let mut reader = self.read(warc)?;
        let expected = sha256(&warc.listed.as_ref().ok_or(WaczError::NotListed)?.hash)?;
        let mut digest = Sha256::new();
        loop {
            let part = reader.fill_buf().map_err(damaged)?;
            let bytes = part.len();
            if bytes == 0 {
                break;
            }
            digest.update(part);
            reader.consume(bytes);
        }
        if expected == digest.finalize()[..] { Ok(()) } else { Err(WaczError::Digest(PACKAGE)) }
    }

    /// The bytes of a web archive. Only those that are stored as they are can seek.
    pub fn read(&self, warc: &Warc) -> Result<WarcBytes<'_, R>, WaczError> {
        self.bytes(warc.file.ok_or(WaczError::Missing)?)
    }

    /// The files of a ZIP file that are of use: the data package, its digest, and the web archives.
    fn files(zip: &ZipArchive<R>, buffer: &mut [u8]) -> Result<BTreeMap<String, ZippedFile>, WaczError> {
        let (mut files, mut count) = (BTreeMap::new(), 0);
        let mut entries = zip.entries(buffer);
        while let Some(entry) = entries.next_entry()? {
            count += 1;
            if count > FILES_MAX {
                return Err(WaczError::TooMuch(format!("more than {FILES_MAX} files")));
            }
            let path = entry.file_path();
            let name = match path.as_bytes() {
                name if is_warc(name) => warc_name(name)?,
                name if name == PACKAGE.as_bytes() => PACKAGE,
                name if name == PACKAGE_DIGEST.as_bytes() => PACKAGE_DIGEST,
                _ => continue,
            };
            if files.len() > WARCS_MAX {
                return Err(WaczError::TooMuch(format!("more than {WARCS_MAX} web archives")));
            }
            let file = ZippedFile {
                offset: entry.local_header_offset(),
                place: entry.wayfinder(),
                method: entry.compression_method(),
                is_encrypted: entry.flags().is_encrypted(),
            };
            if files.insert(name.to_owned(), file).is_some() {
                return Err(WaczError::Twice(name.to_owned()));
            }
        }
        if count < zip.entries_hint() {
            return Err(WaczError::Zip("its directory ends early".to_owned()));
        }
        Ok(files)
    }

    /// All of a small file.
    fn small(&self, file: ZippedFile, name: &'static str) -> Result<Vec<u8>, WaczError> {
        let package_error = |problem: String| WaczError::Package { file: name, problem };
        let reader = self.bytes(file).map_err(|error| package_error(error.to_string()))?;
        let mut bytes = Vec::new();
        reader
            .take(PACKAGE_BYTES_MAX as u64 + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| package_error(error.to_string()))?;
        if bytes.len() > PACKAGE_BYTES_MAX {
            return Err(package_error(format!("it has more than {} MiB", PACKAGE_BYTES_MAX >> 20)));
        }
        Ok(bytes)
    }

    fn bytes(&self, file: ZippedFile) -> Result<WarcBytes<'_, R>, WaczError> {
        if file.is_encrypted {
            return Err(WaczError::Encrypted);
        }
        let (start, end) = self.zip.get_entry(file.place)?.compressed_data_range();
        let section = Section { file: self.zip.get_ref(), start, end, at: start };
        let section = BufReader::with_capacity(BUFFER_BYTES, section);
        match file.method {
            CompressionMethod::STORE => Ok(WarcBytes(Bytes::Stored(section))),
            CompressionMethod::DEFLATE => {
                let decoder = BufReader::with_capacity(BUFFER_BYTES, DeflateDecoder::new(section));
                Ok(WarcBytes(Bytes::Deflated(Box::new(decoder))))
            }
            other => Err(WaczError::Method(other.as_u16())),
        }
    }
}

/// The error for a file that is not, or not all of, a ZIP file.
fn not_located<R: ReaderAt>(file: &R, error: rawzip::Error) -> WaczError {
    let mut start = [0; ZIP_START.len()];
    match (WaczError::from(error), file.read_at(&mut start, 0)) {
        (WaczError::Zip(_), Ok(_)) if !start.starts_with(b"PK") => WaczError::NotZip,
        (error, Ok(_) | Err(_)) => error,
    }
}

/// Whether a file in a WACZ is a web archive, by its name.
fn is_warc(name: &[u8]) -> bool {
    let ends_with = |end: &str| name.to_ascii_lowercase().ends_with(end.as_bytes());
    name.starts_with(ARCHIVE.as_bytes()) && [".warc", ".warc.gz"].into_iter().any(ends_with)
}

/// The name of a web archive, if it can be kept.
fn warc_name(name: &[u8]) -> Result<&str, WaczError> {
    let invalid = |problem: String| {
        let start = String::from_utf8_lossy(name).chars().take(60).collect();
        WaczError::Name { problem, start }
    };
    if name.len() > NAME_BYTES_MAX {
        return Err(invalid(format!("has more than {NAME_BYTES_MAX} bytes")));
    }
    std::str::from_utf8(name).map_err(|_| invalid("is not UTF-8".to_owned()))
}

fn parse<'b, T: Deserialize<'b>>(file: &'static str, bytes: &'b [u8]) -> Result<T, WaczError> {
    serde_json::from_slice(bytes).map_err(|error| WaczError::Package { file, problem: error.to_string() })
}

/// The bytes of a digest, such as `sha256:01ab…`.
fn sha256(hash: &str) -> Result<Vec<u8>, WaczError> {
    let kind = || WaczError::DigestKind(hash.chars().take(100).collect());
    let digits = hash.strip_prefix("sha256:").ok_or_else(kind)?;
    HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).map_err(|_| kind())
}

/// The error of reading a compressed file: damage, or a failure of the system.
fn damaged(error: io::Error) -> WaczError {
    let is_damage = matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::InvalidInput | ErrorKind::UnexpectedEof);
    if is_damage { WaczError::Zip(format!("its compression is damaged: {error}")) } else { WaczError::Read(error) }
}

/// The bytes of a web archive in a WACZ, in order.
#[derive(Debug)]
pub struct WarcBytes<'a, R>(Bytes<'a, R>);

#[derive(Debug)]
enum Bytes<'a, R> {
    Stored(BufReader<Section<'a, R>>),
    Deflated(Box<BufReader<DeflateDecoder<BufReader<Section<'a, R>>>>>),
}

impl<R: ReaderAt> Read for WarcBytes<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            Bytes::Stored(section) => section.read(into),
            Bytes::Deflated(decoder) => decoder.read(into),
        }
    }
}

impl<R: ReaderAt> BufRead for WarcBytes<'_, R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match &mut self.0 {
            Bytes::Stored(section) => section.fill_buf(),
            Bytes::Deflated(decoder) => decoder.fill_buf(),
        }
    }

    fn consume(&mut self, bytes: usize) {
        match &mut self.0 {
            Bytes::Stored(section) => section.consume(bytes),
            Bytes::Deflated(decoder) => decoder.consume(bytes),
        }
    }
}

impl<R: ReaderAt> Seek for WarcBytes<'_, R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match &mut self.0 {
            Bytes::Stored(section) => section.seek(to),
            Bytes::Deflated(_) => Err(ErrorKind::Unsupported.into()),
        }
    }
}

/// A part of a file.
#[derive(Debug)]
struct Section<'a, R> {
    file: &'a R,
    start: u64,
    end: u64,
    /// The offset of the next byte in the file.
    at: u64,
}

impl<R: ReaderAt> Read for Section<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let bytes = into.len().min(left);
        let read = self.file.read_at(into.get_mut(..bytes).unwrap_or_default(), self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl<R> Seek for Section<'_, R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => self.start.checked_add(at),
            SeekFrom::End(by) => self.end.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.filter(|at| (self.start..=self.end).contains(at)).ok_or(ErrorKind::InvalidInput)?;
        Ok(self.at - self.start)
    }
}

#[cfg(test)]
mod tests;
