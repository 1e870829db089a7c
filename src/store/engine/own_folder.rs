//! Ensures that everything in an archive belongs to this process's user, and that no other user has access to it.
//!
//! The umask does not matter. An older archive, or an empty directory that becomes an archive, is set to mode 0700 and
//! its files to 0600 when it is opened, as PostgreSQL's initdb does. (PostgreSQL's server rejects wider modes, and
//! etcd's warns about them; both leave them as they are.) With 0600, a user who may read the directory cannot lock
//! `LOCK`.

use std::fs::{self, DirBuilder, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::Path;

use super::own_file::{name_of, owned_by_other, rejected};

const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
/// The permission bits of everyone except the owner.
const OTHERS_MODE: u32 = 0o077;
const ROOT: u32 = 0;

/// The entries that this build opens in an archive. Others are ignored; `quarantine` is only written to.
const ENTRIES: [&str; 14] = [
    "VERSION",
    "VERSION.new",
    "LOCK",
    "ID",
    "ID.new",
    "socket",
    "WATERMARK",
    "RESERVE",
    "db",
    "db.new",
    "db.compact",
    "db.replaced",
    "before-opening",
    "quarantine",
];

/// Checks the archive directory at `path`: fails with the name of any entry that is a link or belongs to another user,
/// and removes the permissions of other users from the rest.
pub(super) fn claim(path: &Path) -> io::Result<()> {
    let mut restricted = 0;
    // This process must not change root's directories.
    if owner_of(path)? == Owner::Us {
        restrict(path, &fs::metadata(path)?, &mut restricted);
    }
    for_each_entry(path, &mut |path, metadata| restrict(path, metadata, &mut restricted))?;
    if restricted > 0 {
        tracing::warn!(archive = %path.display(), entries = restricted, "other users could access the archive's files; access is now limited to their owner");
    }
    Ok(())
}

/// Like [`claim`], but changes nothing.
pub(super) fn check(path: &Path) -> io::Result<()> {
    owner_of(path)?;
    for_each_entry(path, &mut |_, _| {})
}

/// Who may own the directory of an archive.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Owner {
    Us,
    /// The superuser, for example of a mount point.
    Root,
}

/// The owner of the archive directory at `path`. Fails if it belongs to another user.
fn owner_of(path: &Path) -> io::Result<Owner> {
    // The path itself may contain links: it is the caller's choice, not part of the archive.
    let metadata = fs::metadata(path)?;
    if is_ours(&metadata) {
        return Ok(Owner::Us);
    }
    if metadata.uid() != ROOT {
        return Err(owned_by_other(path, metadata.uid()));
    }
    if metadata.mode() & 0o022 != 0 {
        tracing::warn!(archive = %path.display(), "other users can replace the archive: its directory belongs to root and is writable by others");
    }
    Ok(Owner::Root)
}

/// Calls `on_entry` for each entry of an archive that this build opens. Fails if one is a link or belongs to another user.
fn for_each_entry(path: &Path, on_entry: &mut dyn FnMut(&Path, &Metadata)) -> io::Result<()> {
    ENTRIES.iter().try_for_each(|name| visit(&path.join(name), name, *name != "quarantine", on_entry))
}

/// Removes the permissions of other users from what another library has just created in `folder`, which is ours.
pub(super) fn restrict_all(folder: &Path) -> io::Result<()> {
    visit(folder, &name_of(folder), true, &mut |path, metadata| restrict(path, metadata, &mut 0))
}

/// Creates a folder with mode 0700.
pub(super) fn create(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(FOLDER_MODE).create(path)?;
    // The umask may have removed permissions of the owner, too.
    fs::set_permissions(path, Permissions::from_mode(FOLDER_MODE))
}

/// Creates a folder and its missing parents with mode 0700. Existing folders keep their modes.
pub(crate) fn create_all(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(path)
}

/// Checks an entry, calls `on_entry` for it and, if `with_entries` is set, does the same for everything in it.
fn visit(path: &Path, name: &str, with_entries: bool, on_entry: &mut dyn FnMut(&Path, &Metadata)) -> io::Result<()> {
    let metadata = match fs::symlink_metadata(path) {
        // A file may disappear while others are checked.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        metadata => metadata?,
    };
    if metadata.is_symlink() {
        return Err(rejected(
            name,
            "is a symbolic link, which is not followed in an archive; replace it with its target",
        ));
    }
    if !is_ours(&metadata) {
        return Err(owned_by_other(Path::new(name), metadata.uid()));
    }
    on_entry(path, &metadata);
    if !metadata.is_dir() || !with_entries {
        return Ok(());
    }
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        visit(&entry.path(), &format!("{name}/{}", entry.file_name().to_string_lossy()), true, on_entry)?;
    }
    Ok(())
}

fn restrict(path: &Path, metadata: &Metadata, restricted: &mut usize) {
    if metadata.mode() & OTHERS_MODE == 0 {
        return;
    }
    let mode = if metadata.is_dir() { FOLDER_MODE } else { FILE_MODE };
    match fs::set_permissions(path, Permissions::from_mode(mode)) {
        Ok(()) => *restricted += 1,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        // Some file systems have a single mode for everything.
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "other users have access to this file, and its mode cannot be changed")
        }
    }
}

fn is_ours(metadata: &Metadata) -> bool {
    metadata.uid() == rustix::process::geteuid().as_raw()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use std::os::unix::fs::{chown, symlink};

    use super::*;

    fn archive() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("db/blobs")).unwrap();
        fs::create_dir(dir.path().join("quarantine")).unwrap();
        for name in ["VERSION", "LOCK", "db/conf", "db/db", "db/snap.0000000000000000"] {
            fs::write(dir.path().join(name), name).unwrap();
        }
        dir
    }

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn wide_modes_are_narrowed_to_the_owner() {
        let dir = archive();
        for (path, wide) in [("", 0o755), ("db", 0o777), ("db/blobs", 0o750), ("quarantine", 0o775)] {
            fs::set_permissions(dir.path().join(path), Permissions::from_mode(wide)).unwrap();
        }
        for path in ["LOCK", "db/conf", "db/db", "db/snap.0000000000000000"] {
            fs::set_permissions(dir.path().join(path), Permissions::from_mode(0o664)).unwrap();
        }
        claim(dir.path()).unwrap();
        for path in ["", "db", "db/blobs", "quarantine"] {
            assert_eq!(mode(&dir.path().join(path)), 0o700, "{path}");
        }
        for path in ["VERSION", "LOCK", "db/conf", "db/db", "db/snap.0000000000000000"] {
            assert_eq!(mode(&dir.path().join(path)), 0o600, "{path}");
        }
    }

    #[test]
    fn a_link_anywhere_in_an_archive_is_rejected_by_name() {
        for name in
            ["db", "db/conf", "db/db", "db/blobs", "db/snap.0000000000000000", "WATERMARK", "RESERVE", "before-opening"]
        {
            let (dir, elsewhere) = (archive(), tempfile::tempdir().unwrap());
            let (victim, link) = (elsewhere.path().join("victim"), dir.path().join(name));
            fs::write(&victim, b"kept").unwrap();
            fs::set_permissions(&victim, Permissions::from_mode(0o644)).unwrap();
            match fs::symlink_metadata(&link).map(|there| there.is_dir()) {
                Ok(true) => fs::remove_dir_all(&link).unwrap(),
                Ok(false) => fs::remove_file(&link).unwrap(),
                Err(_) => {}
            }
            symlink(&victim, &link).unwrap();
            let rejected = claim(dir.path()).unwrap_err().to_string();
            assert!(rejected.starts_with(&format!("{name} is a symbolic link")), "{rejected}");
            assert_eq!((fs::read(&victim).unwrap().as_slice(), mode(&victim)), (b"kept".as_slice(), 0o644));
        }
    }

    #[test]
    fn another_users_file_in_an_archive_is_rejected_by_name() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("not run: only root can give a file away");
            return;
        }
        for name in ["db", "db/conf", "db/blobs", "db/snap.0000000000000000", "quarantine", "LOCK"] {
            let dir = archive();
            chown(dir.path().join(name), Some(65_534), None).unwrap();
            let rejected = claim(dir.path()).unwrap_err().to_string();
            assert!(rejected.starts_with(&format!("{name} belongs to another user (uid 65534)")), "{rejected}");
        }
        let dir = archive();
        chown(dir.path(), Some(65_534), None).unwrap();
        assert!(claim(dir.path()).unwrap_err().to_string().contains("sudo -u '#65534'"));
    }
}
