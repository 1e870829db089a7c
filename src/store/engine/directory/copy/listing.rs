//! The files of an archive that are copied, opened without trusting who put them there.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, openat, statat};
use rustix::io::Errno;

use super::super::super::own_file::rejected;
use super::super::super::{own_file, own_folder};

/// The files next to the database that are copied.
const FILES: [&str; 4] = ["VERSION", "ID", "WATERMARK", "EXPUNGED"];
/// The folders that may have the database: its own, or the one under which an interrupted compaction left it.
const DATABASES: [&str; 2] = ["db", "db.replaced"];
/// An archive has some thirty files. All of them are open at once.
pub(super) const FILES_MAX: usize = 256;
/// An archive has folders within folders up to this depth.
const DEPTH_MAX: usize = 3;
/// The folder whose files are read into memory when the archive is opened, and their size in bytes at most. They hardly
/// ever have more than 100 MiB.
const LOG_FOLDER: &str = "db/wal";
const LOG_BYTES_MAX: u64 = 1 << 30;
/// How much is copied or compared before it is asked whether to continue.
const STEP_BYTES: u64 = 16 << 20;
/// The size of the buffers for comparing.
const BUFFER_BYTES: usize = 1 << 20;

/// A regular file of an archive.
struct SourceFile {
    file: File,
    bytes: u64,
}

/// What there is to copy, by path in the archive.
#[derive(Default)]
pub(super) struct Listing {
    files: BTreeMap<PathBuf, SourceFile>,
    /// In order, so that each is preceded by the one it is in.
    folders: Vec<PathBuf>,
}

pub(super) fn list(source: &OwnedFd) -> io::Result<Listing> {
    let mut listing = Listing::default();
    for name in FILES {
        if let Some(file) = open_file(source, name)? {
            listing.add(PathBuf::from(name), file)?;
        }
    }
    for name in DATABASES {
        if let Some(database) = open_folder(source, name)? {
            listing.add_folder(&database, PathBuf::from("db"), DEPTH_MAX)?;
            break;
        }
    }
    let log_bytes = listing.files.iter().filter(|(path, _)| path.starts_with(LOG_FOLDER)).map(|(_, file)| file.bytes);
    if log_bytes.fold(0, u64::saturating_add) > LOG_BYTES_MAX {
        return Err(rejected("db/wal", "has more than 1 GiB, which Dateline never writes"));
    }
    Ok(listing)
}

impl Listing {
    fn add(&mut self, path: PathBuf, file: File) -> io::Result<()> {
        let bytes = file.metadata()?.len();
        self.files.insert(path, SourceFile { file, bytes });
        if self.files.len() > FILES_MAX {
            return Err(rejected("db", &format!("has more than {FILES_MAX} files, which Dateline never writes")));
        }
        Ok(())
    }

    fn add_folder(&mut self, folder: &OwnedFd, path: PathBuf, depth: usize) -> io::Result<()> {
        if depth == 0 || self.folders.len() >= FILES_MAX {
            return Err(rejected(&path.to_string_lossy(), "is a folder that Dateline never creates"));
        }
        self.folders.push(path.clone());
        for entry in Dir::read_from(folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name == "." || name == ".." {
                continue;
            }
            let place = path.join(&name);
            match kind_of(folder, &name)? {
                // It was removed after the folder was read.
                None => {}
                Some(FileType::Directory) => {
                    if let Some(within) = open_folder(folder, &name)? {
                        self.add_folder(&within, place, depth - 1)?;
                    }
                }
                Some(_) => {
                    if let Some(file) = open_file(folder, &name)? {
                        self.add(place, file)?;
                    }
                }
            }
        }
        Ok(())
    }

    pub(super) fn bytes(&self) -> u64 {
        self.files.values().map(|file| file.bytes).fold(0, u64::saturating_add)
    }

    /// Copies everything to the folder `to`. False if a file became shorter meanwhile.
    pub(super) fn copy_to(&self, to: &Path, is_cancelled: &dyn Fn() -> bool) -> io::Result<bool> {
        for folder in &self.folders {
            own_folder::create(&to.join(folder))?;
        }
        for (path, SourceFile { file, bytes }) in &self.files {
            let mut target = own_file::create(&to.join(path))?;
            let mut left = *bytes;
            while left > 0 {
                check_cancelled(is_cancelled)?;
                // The kernel copies, and shares the blocks if the file system can.
                let copied = io::copy(&mut file.take(left.min(STEP_BYTES)), &mut target)?;
                if copied == 0 {
                    return Ok(false);
                }
                left -= copied;
            }
        }
        Ok(true)
    }

    /// Whether the archive has the same files with the same bytes as the copy.
    pub(super) fn is_still(&self, source: &OwnedFd, copy: &Path, is_cancelled: &dyn Fn() -> bool) -> io::Result<bool> {
        let now = list(source)?;
        let is_listed = |(path, file): (&PathBuf, &SourceFile)| {
            now.files.get(path).is_some_and(|current| current.bytes == file.bytes)
        };
        if now.folders.len() != self.folders.len()
            || now.files.len() != self.files.len()
            || !self.files.iter().all(is_listed)
        {
            return Ok(false);
        }
        for (path, SourceFile { file, bytes }) in &now.files {
            if !has_same_bytes(file, &own_file::read(&copy.join(path))?, *bytes, is_cancelled)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn has_same_bytes(file: &File, copy: &File, bytes: u64, is_cancelled: &dyn Fn() -> bool) -> io::Result<bool> {
    let (mut ours, mut theirs) = (vec![0; BUFFER_BYTES], vec![0; BUFFER_BYTES]);
    let mut at = 0;
    while at < bytes {
        check_cancelled(is_cancelled)?;
        let length = usize::try_from(bytes - at).map_or(BUFFER_BYTES, |rest| rest.min(BUFFER_BYTES));
        let (ours, theirs) = (ours.get_mut(..length).unwrap_or_default(), theirs.get_mut(..length).unwrap_or_default());
        match copy.read_exact_at(ours, at).and_then(|()| file.read_exact_at(theirs, at)) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            read => read?,
        }
        if ours != theirs {
            return Ok(false);
        }
        at += length as u64;
    }
    Ok(true)
}

fn check_cancelled(is_cancelled: &dyn Fn() -> bool) -> io::Result<()> {
    if is_cancelled() { Err(io::Error::new(io::ErrorKind::Interrupted, "it was cancelled")) } else { Ok(()) }
}

/// The kind of an entry, which is not followed if it is a link. `None` if there is none.
fn kind_of(folder: &OwnedFd, name: &str) -> io::Result<Option<FileType>> {
    match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => Ok(None),
        stat => Ok(Some(FileType::from_raw_mode(stat?.st_mode))),
    }
}

/// Opens a folder for reading; `None` if there is none of this name.
fn open_folder(folder: &OwnedFd, name: &str) -> io::Result<Option<OwnedFd>> {
    match kind_of(folder, name)? {
        None => Ok(None),
        Some(FileType::Directory) => open(folder, name, OFlags::DIRECTORY),
        Some(kind) => Err(rejected(name, not(kind, "a folder"))),
    }
}

/// Opens a regular file for reading; `None` if there is none of this name. Nothing else is even opened: that could wait,
/// or do something.
pub(super) fn open_file(folder: &OwnedFd, name: &str) -> io::Result<Option<File>> {
    match kind_of(folder, name)? {
        None => return Ok(None),
        Some(FileType::RegularFile) => {}
        Some(kind) => return Err(rejected(name, not(kind, "a regular file"))),
    }
    // It may have been replaced since.
    let Some(file) = open(folder, name, OFlags::NONBLOCK)?.map(File::from) else { return Ok(None) };
    if file.metadata()?.is_file() { Ok(Some(file)) } else { Err(rejected(name, "is not a regular file")) }
}

fn not(kind: FileType, wanted: &str) -> &'static str {
    match (kind, wanted) {
        (FileType::Symlink, _) => "is a symbolic link, which is not followed in an archive",
        (_, "a folder") => "is not a folder",
        _ => "is not a regular file",
    }
}

fn open(folder: &OwnedFd, name: &str, flags: OFlags) -> io::Result<Option<OwnedFd>> {
    match openat(folder, name, flags | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()) {
        Err(Errno::NOENT) => Ok(None),
        Err(Errno::LOOP) => Err(rejected(name, not(FileType::Symlink, ""))),
        Err(error) => Err(io::Error::new(io::Error::from(error).kind(), format!("{name}: {}", io::Error::from(error)))),
        Ok(opened) => Ok(Some(opened)),
    }
}
