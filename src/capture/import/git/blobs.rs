//! Reads the contents of files with `git cat-file --batch`.
//!
//! Source of the protocol: git-cat-file(1) under "Batch output".

use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use super::GitError;
use super::command::Git;
use crate::ingest::DOCUMENT_BYTES_MAX;

/// A running `git cat-file --batch`.
pub(super) struct Blobs<'g> {
    git: &'g Git,
    child: Child,
    requests: ChildStdin,
    replies: BufReader<ChildStdout>,
}

/// The content of a file, if it can be archived.
pub(super) enum Blob {
    Text(Vec<u8>),
    /// Its size in bytes, which exceeds the maximum size of a document.
    TooLarge(u64),
    /// The repository lacks the content, as a partial clone may.
    Missing,
}

impl<'g> Blobs<'g> {
    pub(super) fn start(git: &'g Git) -> Result<Self, GitError> {
        let mut command = git.command(&["cat-file".to_owned(), "--batch".to_owned()]);
        let mut child = git.start(command.stdin(Stdio::piped()))?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let (Some(requests), Some(stdout)) = (stdin, stdout) else { return Err(git.failed("it has no pipes")) };
        Ok(Self { git, child, requests, replies: BufReader::with_capacity(1 << 16, stdout) })
    }

    /// Reads the content with this object id.
    pub(super) fn read(&mut self, id: &str) -> Result<Blob, GitError> {
        self.exchange(id).map_err(|error| {
            if !matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe) {
                return self.git.failed(&error.to_string());
            }
            self.git.end(&mut self.child).err().unwrap_or_else(|| self.git.failed("it ended unexpectedly"))
        })
    }

    /// Requests one content. The reply is `{id} {type} {size}`, the content and a line end, or `{id} missing`.
    fn exchange(&mut self, id: &str) -> io::Result<Blob> {
        writeln!(self.requests, "{id}")?;
        self.requests.flush()?;
        let mut head = String::new();
        if self.replies.read_line(&mut head)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let Some(size) = head.trim_end().rsplit(' ').next().and_then(|size| size.parse::<u64>().ok()) else {
            return Ok(Blob::Missing);
        };
        let mut content = (&mut self.replies).take(size);
        if size > DOCUMENT_BYTES_MAX as u64 {
            io::copy(&mut content, &mut io::sink())?;
            self.line_end()?;
            return Ok(Blob::TooLarge(size));
        }
        let mut text = Vec::new();
        if content.read_to_end(&mut text)? as u64 != size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.line_end()?;
        Ok(Blob::Text(text))
    }

    fn line_end(&mut self) -> io::Result<()> {
        self.replies.read_exact(&mut [0])
    }
}

impl Drop for Blobs<'_> {
    fn drop(&mut self) {
        // The process may have ended already, so errors do not matter.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
