//! The manifest of an export directory: which documents were written, from what. With it, a later run skips what is up
//! to date, rewrites what has changed, and overwrites only files that it wrote itself.
//!
//! It is a file of JSON lines next to the documents. A line is durable before its document is written, so a document of
//! ours is never mistaken for a foreign file. If the document of a line is missing or differs, it was not written after
//! that line.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Write};
use std::path::PathBuf;
use std::sync::Arc;

use prost::Message;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::file_names::Names;
use super::fingerprint::{Fingerprint, fingerprint, from_digest};
use super::folder::Folder;
use crate::export::Format;
use crate::model::ArticleName;
use crate::wire::pb;

/// The name of the manifest within the directory.
pub(super) const NAME: &str = ".dateline-export.jsonl";

/// A line of the manifest.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    /// The document's path within the directory.
    file: String,
    /// The digest of what the document was written from, as [`input_digest`] returns it, in hexadecimal.
    of: String,
    /// SHA-256 of the document's bytes, in hexadecimal.
    sha256: String,
}

/// What the manifest's lines say about a file. The file may have the bytes of any of these lines, since the manifest
/// does not say which writes succeeded.
#[derive(Clone, Debug)]
struct Written {
    /// What the document of the last line was written from.
    input: Fingerprint,
    /// The bytes of the last line's document.
    bytes: Fingerprint,
    /// The bytes of the documents of earlier lines.
    earlier: Vec<Fingerprint>,
}

impl Written {
    fn is_ours(&self, bytes: Fingerprint) -> bool {
        self.bytes == bytes || self.earlier.contains(&bytes)
    }
}

/// A document that is about to be written to `file`.
#[derive(Clone, Debug)]
pub(super) struct Document {
    pub(super) file: String,
    /// The digest of what it is written from, as [`input_digest`] returns it.
    pub(super) input_digest: String,
    pub(super) text: String,
}

/// The relation of a file to its article's document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileStatus {
    /// The document is up to date.
    Complete,
    /// The file does not exist, or is ours and out of date.
    Free,
    /// The file is not ours, or was changed since it was written.
    Foreign,
}

pub(super) struct Manifest {
    folder: Arc<Folder>,
    /// By the fingerprint of the file's path.
    written: HashMap<Fingerprint, Written>,
    names: Names,
    /// Whether the last line is incomplete.
    is_torn: bool,
}

impl Manifest {
    /// Reads the manifest of a directory. Without one, no file in the directory is ours.
    pub(super) fn of(folder: Arc<Folder>) -> io::Result<Self> {
        let lines = match folder.read(NAME) {
            Ok(Some(lines)) => lines,
            Ok(None) => return Err(io::Error::other("it is a symbolic link or not a regular file; remove it")),
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let is_torn = lines.last().is_some_and(|byte| *byte != b'\n');
        let mut manifest = Self { folder, written: HashMap::new(), names: Names::default(), is_torn };
        // The document of an incomplete line was not written.
        let lines = lines.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Line>(line).ok());
        lines.for_each(|line| manifest.add(&line));
        Ok(manifest)
    }

    /// The path of an article's document within the directory.
    pub(super) fn path_of(&mut self, article: &ArticleName, format: Format) -> String {
        self.names.path_of(article, format)
    }

    /// The full path of the manifest, for messages.
    pub(super) fn path(&self) -> PathBuf {
        self.folder.path(NAME)
    }

    fn add(&mut self, line: &Line) {
        self.names.record(&line.file);
        let (input, bytes) = (parsed(&line.of), parsed(&line.sha256));
        let first = Written { input, bytes, earlier: Vec::new() };
        let written = self.written.entry(fingerprint(line.file.as_bytes())).or_insert(first);
        if written.bytes != bytes {
            let previous = std::mem::replace(&mut written.bytes, bytes);
            written.earlier.retain(|earlier| ![previous, bytes].contains(earlier));
            written.earlier.push(previous);
        }
        written.input = input;
    }

    /// Compares `file` with what the manifest says about it. `input_digest` is the digest of what its document would be
    /// written from.
    pub(super) fn status(&self, file: &str, input_digest: &str) -> io::Result<FileStatus> {
        let current = match self.folder.read(file) {
            Ok(Some(bytes)) => fingerprint(&bytes),
            Ok(None) => return Ok(FileStatus::Foreign),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(FileStatus::Free),
            Err(error) => return Err(error),
        };
        Ok(match self.written.get(&fingerprint(file.as_bytes())) {
            Some(written) if written.bytes == current && written.input == parsed(input_digest) => FileStatus::Complete,
            Some(written) if written.is_ours(current) => FileStatus::Free,
            Some(_) | None => FileStatus::Foreign,
        })
    }

    /// Records documents that are about to be written. Durable when it returns.
    pub(super) fn record(&mut self, documents: &[Document]) -> io::Result<()> {
        let mut lines = if self.is_torn { vec![b'\n'] } else { Vec::new() };
        for Document { file, input_digest, text } in documents {
            let sha256 = data_encoding::HEXLOWER.encode(&Sha256::digest(text));
            let line = Line { file: file.clone(), of: input_digest.clone(), sha256 };
            serde_json::to_writer(&mut lines, &line)?;
            lines.push(b'\n');
            self.add(&line);
        }
        let mut file = self.folder.append(NAME)?;
        file.write_all(&lines)?;
        self.is_torn = false;
        file.sync_data()
    }
}

/// The digest of what an article's document is written from: the article without the fields that change on their own,
/// the format, and the version of Dateline.
pub(super) fn input_digest(article: &pb::Article, format: Format) -> String {
    let article = pb::Article { etag: String::new(), latest_fetch: None, update_time: None, seq: 0, ..article.clone() };
    let mut hasher = Sha256::new_with_prefix(env!("CARGO_PKG_VERSION"));
    hasher.update(format.ending());
    hasher.update(article.encode_to_vec());
    data_encoding::HEXLOWER.encode(&hasher.finalize())
}

fn parsed(hexadecimal: &str) -> Fingerprint {
    from_digest(&data_encoding::HEXLOWER.decode(hexadecimal.as_bytes()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_ours_until_someone_changes_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.md");
        let manifest = || Manifest::of(Arc::new(Folder::open(folder.path()).unwrap())).unwrap();
        fn digest(input: &str) -> String {
            data_encoding::HEXLOWER.encode(&Sha256::digest(input))
        }
        let document = |input: &str, text: &str| Document {
            file: "a.md".to_owned(),
            input_digest: digest(input),
            text: text.to_owned(),
        };
        let status = |input: &str| manifest().status("a.md", &digest(input)).unwrap();
        assert_eq!(status("1"), FileStatus::Free);
        std::fs::write(&file, "mine").unwrap();
        assert_eq!(status("1"), FileStatus::Foreign);
        std::fs::remove_file(&file).unwrap();

        manifest().record(&[document("1", "one")]).unwrap();
        assert_eq!(status("1"), FileStatus::Free, "it was not written");
        std::fs::write(&file, "one").unwrap();
        assert_eq!([status("1"), status("2")], [FileStatus::Complete, FileStatus::Free]);

        // Killed between the line and the document.
        manifest().record(&[document("2", "two")]).unwrap();
        assert_eq!(status("2"), FileStatus::Free);
        // The disk was full several times in a row.
        for (input, text) in [("2", "two"), ("3", "three"), ("2", "two"), ("2", "two")] {
            manifest().record(&[document(input, text)]).unwrap();
            assert_eq!(status("2"), FileStatus::Free, "the file is from the first run");
        }
        std::fs::write(&file, "two").unwrap();
        assert_eq!(status("2"), FileStatus::Complete);
        std::fs::write(&file, "two and a note").unwrap();
        assert_eq!(status("2"), FileStatus::Foreign);

        // Killed within a line.
        std::fs::write(&file, "three").unwrap();
        let mut lines = std::fs::read(folder.path().join(NAME)).unwrap();
        lines.extend_from_slice(b"{\"file\":\"a.");
        std::fs::write(folder.path().join(NAME), lines).unwrap();
        manifest().record(&[document("3", "three")]).unwrap();
        assert_eq!(status("3"), FileStatus::Complete);
    }
}
