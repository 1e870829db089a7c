//! Opens a file of an archive: never through a symbolic link, and none but a regular file of this process's user.
//!
//! Another user who may create entries in the directory could otherwise have a file elsewhere overwritten.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;

/// Opens `path` to read it.
pub(in crate::store) fn read(path: &Path) -> io::Result<File> {
    open(path, OpenOptions::new().read(true))
}

/// Opens `path` to read and write it, and leaves what it holds.
pub(in crate::store) fn write(path: &Path) -> io::Result<File> {
    open(path, OpenOptions::new().read(true).write(true))
}

/// As [`write`], but creates the file if it is not there, for this user alone.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    open(path, OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600))
}

fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    // Without NONBLOCK the opening of a pipe waits for its other end. A regular file is not changed by it.
    let flags = (OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK).bits();
    let flags = i32::try_from(flags).map_err(io::Error::other)?;
    let file = options.custom_flags(flags).open(path).map_err(|error| match Errno::from_io_error(&error) {
        Some(Errno::LOOP) => refused(&name_of(path), "is a symbolic link; remove it"),
        _ => error,
    })?;
    judge(path, &file.metadata()?)?;
    Ok(file)
}

fn judge(path: &Path, found: &Metadata) -> io::Result<()> {
    if !found.is_file() {
        return Err(refused(&name_of(path), "is no regular file; remove it"));
    }
    if found.uid() != rustix::process::geteuid().as_raw() {
        return Err(another_users(Path::new(&name_of(path)), found.uid()));
    }
    if found.nlink() > 1 {
        let why = "has another name elsewhere (a hard link), where it would be changed too; open a copy (`cp -a`)";
        return Err(refused(&name_of(path), why));
    }
    Ok(())
}

/// That something is another user's. Root is refused too: an archive cannot be opened without being written to, and its
/// owner could not open what root wrote.
pub(super) fn another_users(path: &Path, uid: u32) -> io::Error {
    let why = format!(
        "belongs to another user (uid {uid}), and opening an archive writes to it; run as that user: sudo -u '#{uid}' dateline …"
    );
    refused(&path.to_string_lossy(), &why)
}

/// The error of a file that is not opened.
pub(super) fn refused(name: &str, why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, format!("{name} {why}"))
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_link_in_the_place_of_a_file_is_refused_and_its_target_kept() {
        let dir = tempfile::tempdir().unwrap();
        let (victim, link) = (dir.path().join("victim"), dir.path().join("LOCK"));
        symlink(&victim, &link).unwrap();
        assert!(create(&link).unwrap_err().to_string().contains("symbolic link"));
        assert!(!victim.exists());
        fs::write(&victim, b"kept").unwrap();
        assert!(create(&link).is_err() && write(&link).is_err() && read(&link).is_err());
        assert_eq!(fs::read(&victim).unwrap(), b"kept");
    }

    #[test]
    fn a_file_with_another_name_elsewhere_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (victim, link) = (dir.path().join("victim"), dir.path().join("LOCK"));
        fs::write(&victim, b"kept").unwrap();
        fs::hard_link(&victim, &link).unwrap();
        assert!(create(&link).unwrap_err().to_string().contains("hard link"));
        assert_eq!(fs::read(&victim).unwrap(), b"kept");
    }

    #[test]
    fn what_is_no_regular_file_is_refused_without_waiting() {
        let dir = tempfile::tempdir().unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("socket")).unwrap();
        assert!(create(&dir.path().join("socket")).is_err());
        assert!(read(dir.path()).unwrap_err().to_string().contains("no regular file"));
    }

    #[test]
    fn a_created_file_is_this_users_alone() {
        let dir = tempfile::tempdir().unwrap();
        let mode = create(&dir.path().join("LOCK")).unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
