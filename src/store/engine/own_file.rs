//! Opens files of an archive: never through a symbolic link, and only regular files that belong to this process's user.
//!
//! Otherwise another user with write access to the directory could have a file elsewhere overwritten.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;

/// Opens `path` for reading.
pub(crate) fn read(path: &Path) -> io::Result<File> {
    open(path, OpenOptions::new().read(true))
}

/// Opens `path` for reading and writing, without truncating it.
pub(in crate::store) fn write(path: &Path) -> io::Result<File> {
    open(path, OpenOptions::new().read(true).write(true))
}

/// As [`write()`], but creates a missing file with mode 0600.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    open(path, OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600))
}

/// Creates or replaces a file, durably: it has either its old bytes or all of the new ones.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = Path::new(&new);
    let mut file = create(new)?;
    // A killed process may have left a part of the file.
    file.set_len(0)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(new, path)?;
    let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    // Without NONBLOCK, opening a pipe waits for its other end. The flag has no effect on regular files.
    let flags = (OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK).bits();
    let flags = i32::try_from(flags).map_err(io::Error::other)?;
    let file = options.custom_flags(flags).open(path).map_err(|error| match Errno::from_io_error(&error) {
        Some(Errno::LOOP) => rejected(&name_of(path), "is a symbolic link; remove it"),
        _ => error,
    })?;
    check_metadata(path, &file.metadata()?)?;
    Ok(file)
}

fn check_metadata(path: &Path, metadata: &Metadata) -> io::Result<()> {
    if !metadata.is_file() {
        return Err(rejected(&name_of(path), "is not a regular file; remove it"));
    }
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(owned_by_other(Path::new(&name_of(path)), metadata.uid()));
    }
    if metadata.nlink() > 1 {
        let reason = "has a second name elsewhere (a hard link), under which it would change too; open a copy \
                      (`cp -a`)";
        return Err(rejected(&name_of(path), reason));
    }
    Ok(())
}

/// The error for an entry of another user. It applies to root too: opening an archive always writes to it, and the
/// owner could not open what root wrote.
pub(super) fn owned_by_other(path: &Path, uid: u32) -> io::Error {
    let reason = format!(
        "belongs to another user (uid {uid}), and opening an archive writes to it; run as that user: sudo -u '#{uid}' dateline …"
    );
    rejected(&path.to_string_lossy(), &reason)
}

/// The error for an entry that is rejected, with its name and the reason.
pub(super) fn rejected(name: &str, reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, format!("{name} {reason}"))
}

pub(super) fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_symbolic_link_is_rejected_and_its_target_untouched() {
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
    fn a_file_with_a_hard_link_elsewhere_is_rejected() {
        let dir = tempfile::tempdir().unwrap();
        let (victim, link) = (dir.path().join("victim"), dir.path().join("LOCK"));
        fs::write(&victim, b"kept").unwrap();
        fs::hard_link(&victim, &link).unwrap();
        assert!(create(&link).unwrap_err().to_string().contains("hard link"));
        assert_eq!(fs::read(&victim).unwrap(), b"kept");
    }

    #[test]
    fn sockets_and_directories_are_rejected_without_waiting() {
        let dir = tempfile::tempdir().unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("socket")).unwrap();
        assert!(create(&dir.path().join("socket")).is_err());
        assert!(read(dir.path()).unwrap_err().to_string().contains("not a regular file"));
    }

    #[test]
    fn only_the_owner_can_access_a_created_file() {
        let dir = tempfile::tempdir().unwrap();
        let mode = create(&dir.path().join("LOCK")).unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
