//! Files that are replaced as a whole: whoever looks finds what was there before or what is there now, also after a crash.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// Replaces a file, durably.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    place(path, bytes)?;
    sync_folder(path)
}

/// Replaces a file whose bytes are durable, while its name is so only after [`sync_folder`]: for whoever writes many files to
/// a folder, and syncs that once.
pub(super) fn place(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let new = path.with_file_name(format!(".{name}.new"));
    let write = || {
        let mut file = File::create(&new)?;
        file.write_all(bytes)?;
        file.sync_data()?;
        fs::rename(&new, path)
    };
    let written = write();
    if written.is_err() {
        // The error is why it was not written, whatever becomes of what was begun.
        drop(fs::remove_file(&new));
    }
    written
}

/// Makes the name of a file durable.
pub(super) fn sync_folder(file: &Path) -> io::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole_or_left_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("deep/er/a");
        replace(&file, b"one").unwrap();
        replace(&file, b"two").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"two");
        fs::create_dir(file.with_file_name("b")).unwrap();
        replace(&file.with_file_name("b"), b"two").unwrap_err();
        let mut names: Vec<_> =
            fs::read_dir(file.parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["a", "b"], "nothing is left of what failed");
    }
}
