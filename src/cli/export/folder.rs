//! Files of documents: each is written whole or not at all, and none is written over that is not ours.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::part::sync_folder;
use crate::export::Format;
use crate::model::ArticleName;

/// The path of an article's document within its folder. Ids have no separator, and begin with a letter or a digit.
pub(super) fn path_of(article: &ArticleName, format: Format) -> String {
    format!("{}/{}.{}", article.source.as_str(), article.article.as_str(), format.ending())
}

/// Writes a file under a name beside its own, and gives it its own when it is durable.
pub(super) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // No document's name begins with a dot.
    let new = path.with_file_name(format!(".{name}.new"));
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = File::create(&new)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_data()).and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        // The error is why it was not written, whatever becomes of what was begun.
        drop(fs::remove_file(&new));
    }
    written
}

/// Makes the names durable of the files that lie beside these.
pub(super) fn sync(files: &[PathBuf]) -> io::Result<()> {
    files.iter().try_for_each(|file| sync_folder(file))
}
