//! Replaces files as a whole: a reader finds the old content or the new, even after a crash.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Replaces a file durably. Its directory must exist.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = new_name(path);
    // A file that an earlier run left there may be a link.
    drop(fs::remove_file(&new));
    write_and_rename(path, &new, bytes, || File::create_new(&new))?;
    sync_folder(path)
}

/// Like [`replace`], but the file is readable by this user only, whatever the umask: it has mode 0600. Missing
/// directories are created, with mode 0700.
pub fn replace_privately(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let new = new_name(path);
    // A file that an earlier run left there may be a link, or have another mode.
    drop(fs::remove_file(&new));
    let create = || File::options().write(true).create_new(true).mode(0o600).open(&new);
    write_and_rename(path, &new, bytes, create)?;
    sync_folder(path)
}

/// Writes the content to the file `new`, and renames it to `path`.
fn write_and_rename(
    path: &Path,
    new: &Path,
    bytes: &[u8],
    create: impl FnOnce() -> io::Result<File>,
) -> io::Result<()> {
    let write = || {
        let mut file = create()?;
        file.write_all(bytes)?;
        file.sync_data()?;
        fs::rename(new, path)
    };
    let written = write();
    if written.is_err() {
        // The first error is the one to return, whether or not the cleanup succeeds.
        drop(fs::remove_file(new));
    }
    written
}

fn new_name(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.new"))
}

/// The directory that contains `path`, if it does not exist.
pub fn missing_parent(path: &Path) -> Option<&Path> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty())?;
    let found = fs::metadata(folder);
    found.is_err_and(|error| error.kind() == io::ErrorKind::NotFound).then_some(folder)
}

/// Makes the name of a file durable, by syncing its directory.
pub fn sync_folder(file: &Path) -> io::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_file_is_its_users_alone_even_if_it_was_not_before() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (state, file) = (folder.path().join("state/follow"), folder.path().join("state/follow/a.json"));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        replace_privately(&file, b"one").unwrap();
        assert_eq!([mode(&folder.path().join("state")), mode(&state), mode(&file)], [0o700, 0o700, 0o600]);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        std::os::unix::fs::symlink(folder.path().join("victim"), state.join(".a.json.new")).unwrap();
        replace_privately(&file, b"two").unwrap();
        assert_eq!((fs::read(&file).unwrap().as_slice(), mode(&file)), (b"two".as_slice(), 0o600));
        assert!(!folder.path().join("victim").exists());
    }

    #[test]
    fn a_file_is_replaced_as_a_whole_or_left_unchanged() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("deep/er/a");
        replace(&file, b"one").unwrap_err();
        assert!(!folder.path().join("deep").exists(), "a directory was created");
        fs::create_dir_all(folder.path().join("deep/er")).unwrap();
        replace(&file, b"one").unwrap();
        replace(&file, b"two").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"two");
        let other = folder.path().join("other");
        std::os::unix::fs::symlink(&other, file.with_file_name(".a.new")).unwrap();
        replace(&file, b"two").unwrap();
        assert!(!other.exists(), "a link was written through");
        fs::create_dir(file.with_file_name("b")).unwrap();
        replace(&file.with_file_name("b"), b"two").unwrap_err();
        let mut names: Vec<_> =
            fs::read_dir(file.parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["a", "b"], "a failed replacement leaves no file");
    }
}
