//! Opens collections: JSON Lines, web archives by themselves or in a WACZ, git repositories.

use std::path::{Path, PathBuf};
use std::{fs, io};

use super::git::Repository;
use super::input::{self, Position, Raw};
use super::item::{ItemSender, Stopped};
use super::overrides::Overrides;
use super::wacz::WaczFile;
use super::web_archive::Place;
use super::{ImportOptions, lines, wacz, web_archive};
use crate::capture::CaptureError;
use crate::ingest::wacz::WaczError;

/// Where a collection is.
#[derive(Clone, Debug)]
pub enum CollectionSource {
    /// A file, or standard input for `-`.
    File(PathBuf),
    /// Any directory in a git repository.
    Repository(PathBuf),
}

impl CollectionSource {
    /// The path, without links and relative parts if it exists.
    pub(super) fn canonical_path(&self) -> PathBuf {
        match self {
            Self::File(path) | Self::Repository(path) => fs::canonicalize(path).unwrap_or_else(|_| path.clone()),
        }
    }
}

/// The formats of collections in files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CollectionFormat {
    /// JSON Lines as an export writes them: one request per line.
    JsonLines,
    /// A web archive: WARC or ARC.
    WebArchive,
    /// Web archives in a ZIP file: WACZ.
    Wacz,
}

/// Why a collection could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum CollectionError {
    /// The operating system reported an error.
    #[error(transparent)]
    Read(#[from] io::Error),
    /// The path is that of a directory, not of a file.
    #[error("it is a directory")]
    Directory,
    /// The file has none of the formats of collections.
    #[error("this is neither JSON Lines nor a web archive")]
    UnknownFormat,
    /// The file is a web archive that is compressed with zstd.
    #[error("web archives in zstd are not supported")]
    Zstd,
    /// The file is not a WACZ, or is damaged.
    #[error(transparent)]
    Wacz(#[from] WaczError),
    /// A WACZ comes from where it cannot be read in any order: standard input, or a pipe.
    #[error("a WACZ is read from its end, which only a file has")]
    WaczStream,
}

/// The size of a collection, in the unit of its progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// The size of the file on disk, before decompression; 0 if unknown.
    Bytes(u64),
    /// The number of commits in a repository's history.
    Commits(u64),
}

/// A collection that was opened.
pub(super) struct Collection {
    /// The name, for people.
    pub(super) name: String,
    /// Identifies this state of the collection; `None` if the collection can be read only once. No progress is saved
    /// then.
    pub(super) state: Option<String>,
    pub(super) size: Size,
    contents: Contents,
}

enum Contents {
    Lines(Raw, Position),
    WebArchive(Raw, Position),
    Wacz(Box<WaczFile>),
    Repository(Box<Repository>),
}

impl Collection {
    /// Opens a collection, and detects the format of a file. Blocks.
    pub(super) fn open(source: &CollectionSource, options: &ImportOptions) -> Result<Self, CaptureError> {
        match source {
            CollectionSource::File(path) => Self::open_file(path, options),
            CollectionSource::Repository(folder) => {
                let repository = Repository::open(folder, &options.repository, &options.overrides)?;
                Ok(Self {
                    name: folder.display().to_string(),
                    state: Some(repository.state()),
                    size: Size::Commits(repository.commits),
                    contents: Contents::Repository(Box::new(repository)),
                })
            }
        }
    }

    fn open_file(path: &Path, options: &ImportOptions) -> Result<Self, CaptureError> {
        let opened = Self::try_open_file(path, options);
        let opened = opened.map_err(|error| CaptureError::Collection { collection: name_of(path), error })?;
        if matches!(opened.contents, Contents::Lines(..)) && !options.overrides.are_none() {
            return Err(CaptureError::Overrides { collection: opened.name });
        }
        Ok(opened)
    }

    fn try_open_file(path: &Path, options: &ImportOptions) -> Result<Self, CollectionError> {
        let is_standard_input = path == Path::new("-");
        let (state, bytes) = if is_standard_input { (None, 0) } else { state_of(path)? };
        let (mut raw, position) = input::open(path)?;
        let format = match options.format {
            Some(format) => format,
            None => detect(path, &input::first_bytes(&mut raw)?)?,
        };
        // An import with another format or other overrides must not continue this one.
        let state = state.map(|state| format!("{state}, {format:?}, {:?}", options.overrides));
        let contents = match format {
            CollectionFormat::JsonLines => Contents::Lines(raw, position),
            CollectionFormat::WebArchive if input::is_zstd(&mut raw)? => return Err(CollectionError::Zstd),
            CollectionFormat::WebArchive => Contents::WebArchive(raw, position),
            CollectionFormat::Wacz if state.is_none() => return Err(CollectionError::WaczStream),
            CollectionFormat::Wacz => Contents::Wacz(Box::new(wacz::open(path, bytes)?)),
        };
        Ok(Self { name: name_of(path), state, size: Size::Bytes(bytes), contents })
    }

    /// Reads the collection and sends its items, starting after the first `skip` items. Blocks.
    pub(super) fn read(self, overrides: &Overrides, skip: u64, items: &ItemSender) -> Result<(), Stopped> {
        match self.contents {
            Contents::Lines(raw, position) => lines::read(&self.name, raw, &position, skip, items),
            Contents::WebArchive(raw, position) => {
                let place = Place { name: &self.name, items: 0, position: &position };
                web_archive::read(&place, raw, overrides, skip, items).map(drop)
            }
            Contents::Wacz(file) => wacz::read(&self.name, &file, overrides, skip, items),
            Contents::Repository(repository) => repository.read(skip, items),
        }
    }
}

/// The name of a file for people.
fn name_of(path: &Path) -> String {
    if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() }
}

fn detect(path: &Path, first_bytes: &[u8]) -> Result<CollectionFormat, CollectionError> {
    if wacz::may_be_wacz(path, first_bytes) {
        return Ok(CollectionFormat::Wacz);
    }
    if web_archive::has_web_archive_name(path) || web_archive::is_web_archive(first_bytes) {
        return Ok(CollectionFormat::WebArchive);
    }
    if lines::may_be_json_lines(first_bytes) {
        return Ok(CollectionFormat::JsonLines);
    }
    Err(CollectionError::UnknownFormat)
}

/// Identifies the state of a file by its length and modification time, as `make` does. Returns it with the length;
/// `None` and 0 for anything but a regular file.
fn state_of(path: &Path) -> Result<(Option<String>, u64), CollectionError> {
    let metadata = fs::metadata(path)?;
    if metadata.is_dir() {
        return Err(CollectionError::Directory);
    }
    if !metadata.is_file() {
        return Ok((None, 0));
    }
    let state = metadata.modified().map(|modified| format!("{} bytes, {modified:?}", metadata.len()));
    Ok((state.ok(), metadata.len()))
}
