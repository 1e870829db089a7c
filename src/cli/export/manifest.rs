//! What an export has written into a folder, so that a further run leaves alone what is complete, renews what has changed,
//! and writes over nothing that is not its own.
//!
//! It is a file of lines beside the documents. A line is durable before the document that it tells of, so that no document
//! of ours is taken for somebody else's; a document that it tells of and that is not there, or not so, was not written.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Write};
use std::path::PathBuf;
use std::sync::Arc;

use prost::Message;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::beneath::Folder;
use super::folder::Names;
use crate::export::Format;
use crate::model::ArticleName;
use crate::wire::pb;

/// Its name within the folder.
pub(super) const NAME: &str = ".dateline-export.jsonl";

/// Enough of a digest to tell one from another.
pub(super) type Print = [u8; 16];

/// A line.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    /// The document's path within the folder.
    file: String,
    /// What it was made of.
    of: String,
    /// SHA-256 of its bytes.
    sha256: String,
}

/// What was told of a file last, and all that was told of it before: which of that was written, the manifest does not say.
#[derive(Clone, Debug)]
struct Written {
    of: Print,
    bytes: Print,
    before: Vec<Print>,
}

impl Written {
    fn is_ours(&self, bytes: Print) -> bool {
        self.bytes == bytes || self.before.contains(&bytes)
    }
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It says what the article says.
    Complete,
    /// It is not there, or is ours and of something else.
    Free,
    /// It is not ours, or was changed since.
    Foreign,
}

pub(super) struct Manifest {
    folder: Arc<Folder>,
    written: HashMap<Print, Written>,
    names: Names,
    /// Whether the last line was cut short.
    is_torn: bool,
}

impl Manifest {
    /// Reads what is in the folder. Where there is no manifest, nothing there is ours.
    pub(super) fn of(folder: Arc<Folder>) -> io::Result<Self> {
        let lines = match folder.read(NAME) {
            Ok(Some(lines)) => lines,
            Ok(None) => return Err(io::Error::other("it is a symbolic link, or no file; remove it")),
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let is_torn = lines.last().is_some_and(|byte| *byte != b'\n');
        let mut manifest = Self { folder, written: HashMap::new(), names: Names::default(), is_torn };
        // A line that was cut short is of a document that was not written.
        let lines = lines.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Line>(line).ok());
        lines.for_each(|line| manifest.add(&line));
        Ok(manifest)
    }

    /// The path of an article's document within the folder.
    pub(super) fn path_of(&mut self, article: &ArticleName, format: Format) -> String {
        self.names.path_of(article, format)
    }

    /// The manifest's own file.
    pub(super) fn path(&self) -> PathBuf {
        self.folder.path(NAME)
    }

    fn add(&mut self, line: &Line) {
        self.names.take(&line.file);
        let (of, bytes) = (parsed(&line.of), parsed(&line.sha256));
        let first = Written { of, bytes, before: Vec::new() };
        let written = self.written.entry(print(line.file.as_bytes())).or_insert(first);
        if written.bytes != bytes {
            let before = std::mem::replace(&mut written.bytes, bytes);
            written.before.retain(|print| ![before, bytes].contains(print));
            written.before.push(before);
        }
        written.of = of;
    }

    /// What the file is in which the document of what `of` is the print of is to be written.
    pub(super) fn standing(&self, file: &str, of: &str) -> io::Result<Standing> {
        let there = match self.folder.read(file) {
            Ok(Some(bytes)) => print(&bytes),
            Ok(None) => return Ok(Standing::Foreign),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Standing::Free),
            Err(error) => return Err(error),
        };
        Ok(match self.written.get(&print(file.as_bytes())) {
            Some(written) if written.bytes == there && written.of == parsed(of) => Standing::Complete,
            Some(written) if written.is_ours(there) => Standing::Free,
            Some(_) | None => Standing::Foreign,
        })
    }

    /// Tells of documents that are about to be written: their files, what they are of, and their bytes. Durable when it
    /// returns.
    pub(super) fn tell(&mut self, documents: &[(String, String, String)]) -> io::Result<()> {
        let mut lines = if self.is_torn { vec![b'\n'] } else { Vec::new() };
        for (file, of, document) in documents {
            let sha256 = data_encoding::HEXLOWER.encode(&Sha256::digest(document));
            let line = Line { file: file.clone(), of: of.clone(), sha256 };
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

/// What a document of an article would be made of: the article as it is read, but for what changes without it, and the
/// version of what writes it.
pub(super) fn of(article: &pb::Article, format: Format) -> String {
    let article = pb::Article { etag: String::new(), latest_fetch: None, update_time: None, seq: 0, ..article.clone() };
    let mut hasher = Sha256::new_with_prefix(env!("CARGO_PKG_VERSION"));
    hasher.update(format.ending());
    hasher.update(article.encode_to_vec());
    data_encoding::HEXLOWER.encode(&hasher.finalize())
}

pub(super) fn print(bytes: &[u8]) -> Print {
    first(&Sha256::digest(bytes))
}

fn parsed(hexadecimal: &str) -> Print {
    first(&data_encoding::HEXLOWER.decode(hexadecimal.as_bytes()).unwrap_or_default())
}

fn first(digest: &[u8]) -> Print {
    digest.first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_ours_for_as_long_as_nobody_changed_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.md");
        let manifest = || Manifest::of(Arc::new(Folder::open(folder.path()).unwrap())).unwrap();
        let document = |of: &str, text: &str| ("a.md".to_owned(), print_of(of), text.to_owned());
        fn print_of(of: &str) -> String {
            data_encoding::HEXLOWER.encode(&Sha256::digest(of))
        }
        let standing = |of: &str| manifest().standing("a.md", &print_of(of)).unwrap();
        assert_eq!(standing("1"), Standing::Free);
        std::fs::write(&file, "mine").unwrap();
        assert_eq!(standing("1"), Standing::Foreign);
        std::fs::remove_file(&file).unwrap();

        manifest().tell(&[document("1", "one")]).unwrap();
        assert_eq!(standing("1"), Standing::Free, "it was not written");
        std::fs::write(&file, "one").unwrap();
        assert_eq!([standing("1"), standing("2")], [Standing::Complete, Standing::Free]);

        // Killed between the line and the document.
        manifest().tell(&[document("2", "two")]).unwrap();
        assert_eq!(standing("2"), Standing::Free);
        // The disk was full, more than once.
        for (of, text) in [("2", "two"), ("3", "three"), ("2", "two"), ("2", "two")] {
            manifest().tell(&[document(of, text)]).unwrap();
            assert_eq!(standing("2"), Standing::Free, "what is there is of the first run");
        }
        std::fs::write(&file, "two").unwrap();
        assert_eq!(standing("2"), Standing::Complete);
        std::fs::write(&file, "two and a note").unwrap();
        assert_eq!(standing("2"), Standing::Foreign);

        // Killed within a line.
        std::fs::write(&file, "three").unwrap();
        let mut lines = std::fs::read(folder.path().join(NAME)).unwrap();
        lines.extend_from_slice(b"{\"file\":\"a.");
        std::fs::write(folder.path().join(NAME), lines).unwrap();
        manifest().tell(&[document("3", "three")]).unwrap();
        assert_eq!(standing("3"), Standing::Complete);
    }
}
