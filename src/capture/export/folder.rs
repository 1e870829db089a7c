//! The directory of an export. Symbolic links in it are not followed: with one, a user who can write to the directory
//! could make us write elsewhere.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, mkdirat, openat, renameat, statat, unlinkat};

use super::ExportError;
use crate::capture::replace::missing_parent;

/// Fails if the directory in which `path` is to be created does not exist. An export does not create it: the path may
/// be mistyped.
pub fn check_parent(path: &Path) -> Result<(), ExportError> {
    missing_parent(path).map_or(Ok(()), |folder| Err(ExportError::NoFolder(folder.to_owned())))
}

/// An open directory. Its files are named by their relative paths: `file` or `source/file`.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// `None` if the directory does not exist.
    handle: Option<File>,
}

impl Folder {
    /// Opens the directory. Links in `path` itself are followed, since the user chose that path.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let handle = match File::open(path) {
            Ok(handle) => Some(handle),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        Ok(Self { path: path.to_owned(), handle })
    }

    /// The full path of a file, for messages.
    pub(super) fn path(&self, file: &str) -> PathBuf {
        self.path.join(file)
    }

    /// The content of a file; `None` if it is not a regular file.
    pub(super) fn read(&self, file: &str) -> io::Result<Option<Vec<u8>>> {
        let (folder, name) = self.within(file)?;
        // Without NONBLOCK, opening a pipe would wait for its other end.
        let opened = match openat(&folder, name, OFlags::RDONLY | OFlags::NONBLOCK | OPEN_FLAGS, Mode::empty()) {
            Ok(opened) => File::from(opened),
            Err(_) if is_link(&folder, name) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if !opened.metadata()?.is_file() {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        (&opened).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    /// Opens a file for appending, and creates it if necessary.
    pub(super) fn append(&self, file: &str) -> io::Result<File> {
        let (folder, name) = self.within(file)?;
        let flags = OFlags::CREATE | OFlags::APPEND | OFlags::WRONLY | OPEN_FLAGS;
        let opened = openat(&folder, name, flags, Mode::from_raw_mode(0o666));
        opened.map(File::from).map_err(|error| self.open_error(&folder, name, file, error))
    }

    /// Replaces a file, and creates its directory if necessary. Its bytes are durable when this returns, its name after
    /// [`Self::sync`].
    pub(super) fn replace(&self, file: &str, bytes: &[u8]) -> io::Result<()> {
        if let (Some((source, _)), Some(handle)) = (file.rsplit_once('/'), &self.handle) {
            match mkdirat(handle, source, Mode::from_raw_mode(0o777)) {
                Ok(()) | Err(rustix::io::Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let (folder, name) = self.within(file)?;
        let new = format!(".{name}.new");
        let write = || {
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OPEN_FLAGS;
            let mut file = File::from(openat(&folder, &new, flags, Mode::from_raw_mode(0o666))?);
            file.write_all(bytes)?;
            file.sync_data()?;
            Ok(renameat(&folder, &new, &folder, name)?)
        };
        // An earlier run may have left a file of this name, or somebody else a link.
        drop(unlinkat(&folder, &new, AtFlags::empty()).map_err(io::Error::from));
        let written = write();
        if written.is_err() {
            // The first error is the one to return, whether or not the cleanup succeeds.
            drop(unlinkat(&folder, &new, AtFlags::empty()).map_err(io::Error::from));
        }
        written
    }

    /// Makes the names in the directory of a file durable.
    pub(super) fn sync(&self, file: &str) -> io::Result<()> {
        File::from(self.within(file)?.0).sync_all()
    }

    /// Opens the directory of a file, and returns it with the file's name there.
    fn within<'f>(&self, file: &'f str) -> io::Result<(OwnedFd, &'f str)> {
        let handle = self.handle.as_ref().ok_or(ErrorKind::NotFound)?;
        let (source, name) = file.rsplit_once('/').unwrap_or((".", file));
        match openat(handle, source, OFlags::RDONLY | OFlags::DIRECTORY | OPEN_FLAGS, Mode::empty()) {
            Ok(folder) => Ok((folder, name)),
            Err(error) => Err(self.open_error(handle, source, source, error)),
        }
    }

    /// The error of opening a file. If the cause is a link, it says so.
    fn open_error(&self, folder: impl AsFd, name: &str, file: &str, error: rustix::io::Errno) -> io::Error {
        if is_link(folder, name) {
            let path = self.path(file);
            return io::Error::other(format!(
                "{} is a symbolic link, which exports do not follow; remove it",
                path.display()
            ));
        }
        error.into()
    }
}

/// Flags for every opening: do not follow a link, and do not pass the file to child processes.
const OPEN_FLAGS: OFlags = OFlags::NOFOLLOW.union(OFlags::CLOEXEC);

fn is_link(folder: impl AsFd, name: &str) -> bool {
    let metadata = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW);
    metadata.is_ok_and(|metadata| FileType::from_raw_mode(metadata.st_mode) == FileType::Symlink)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole_or_left_unchanged() {
        let at = tempfile::tempdir().unwrap();
        let folder = Folder::open(at.path()).unwrap();
        folder.replace("s/a", b"one").unwrap();
        folder.replace("s/a", b"two").unwrap();
        folder.sync("s/a").unwrap();
        assert_eq!(folder.read("s/a").unwrap().unwrap(), b"two");
        fs::create_dir(at.path().join("s/b")).unwrap();
        folder.replace("s/b", b"two").unwrap_err();
        assert_eq!(folder.read("s/b").unwrap(), None);
        assert_eq!(folder.read("s/c").unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(folder.read("t/c").unwrap_err().kind(), ErrorKind::NotFound);
        let names = fs::read_dir(at.path().join("s")).unwrap().count();
        assert_eq!(names, 2, "a failed replacement leaves no file");
        let nowhere = Folder::open(&at.path().join("nowhere")).unwrap();
        assert_eq!(nowhere.read("s/a").unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn links_are_not_written_through() {
        let (at, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let victim = elsewhere.path().join("victim");
        fs::write(&victim, "mine").unwrap();
        let folder = Folder::open(at.path()).unwrap();
        symlink(elsewhere.path(), at.path().join("s")).unwrap();
        let refused = folder.replace("s/a", b"one").unwrap_err().to_string();
        assert!(refused.contains("/s is a symbolic link"), "{refused}");
        assert!(folder.read("s/victim").unwrap_err().to_string().contains("symbolic link"));
        fs::create_dir(at.path().join("t")).unwrap();
        for link in ["t/a", "t/.a.new", "lines"] {
            symlink(&victim, at.path().join(link)).unwrap();
        }
        assert_eq!(folder.read("t/a").unwrap(), None);
        folder.replace("t/a", b"one").unwrap();
        assert!(folder.append("lines").unwrap_err().to_string().contains("/lines is a symbolic link"));
        assert_eq!(folder.read("t/a").unwrap().unwrap(), b"one", "the link itself was replaced");
        assert_eq!(fs::read_to_string(&victim).unwrap(), "mine");
        assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 1);
    }
}
