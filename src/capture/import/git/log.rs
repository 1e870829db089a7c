//! Reads which files each commit changed, with `git log --raw -z`.
//!
//! Source of the format: git-log(1), and git-diff(1) under "Raw output format".

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout};

use super::command::Git;
use super::{GitError, RepositoryOptions};
use crate::model::Timestamp;

/// The first byte of a commit's line; git starts no other output with it.
const COMMIT_MARK: u8 = 0x01;

/// A commit, with its changes to the selected files.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Commit {
    pub(super) id: String,
    pub(super) time: Timestamp,
    pub(super) changes: Vec<FileChange>,
}

/// What a commit did to a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FileChange {
    /// The file has this content now. `from` is its previous path if it was renamed.
    Written { path: String, from: Option<String>, blob: String },
    /// The file was removed.
    Removed { path: String },
}

/// The commits of a history, oldest first.
pub(super) struct Log<'g> {
    git: &'g Git,
    child: Child,
    output: BufReader<ChildStdout>,
    /// The next commit's line, if it was read already.
    next: Option<Vec<u8>>,
}

/// Counts the commits of the history that touch the selected files.
pub(super) fn count(git: &Git, tip: &str, options: &RepositoryOptions) -> Result<u64, GitError> {
    let counted = git.line(&arguments(&["rev-list", "--count"], tip, options))?;
    counted.parse().map_err(|_| git.failed(&format!("rev-list printed {counted:?}")))
}

fn arguments(command: &[&str], tip: &str, options: &RepositoryOptions) -> Vec<String> {
    let mut arguments: Vec<String> = command.iter().map(|argument| (*argument).to_owned()).collect();
    if !options.every_commit {
        arguments.push("--first-parent".to_owned());
    }
    arguments.extend([tip.to_owned(), "--".to_owned()]);
    arguments.extend(options.glob.iter().map(|pattern| format!(":(top,glob){pattern}")));
    arguments
}

/// Prints each commit, oldest first, with its changes against its first parent.
const LOG: [&str; 12] = [
    "log",
    "--format=%x01%H %ct",
    "--reverse",
    "--topo-order",
    "--diff-merges=first-parent",
    "--raw",
    "-z",
    "--no-abbrev",
    "--find-renames",
    "-l0",
    "--no-ext-diff",
    "--no-textconv",
];

impl<'g> Log<'g> {
    pub(super) fn start(git: &'g Git, tip: &str, options: &RepositoryOptions) -> Result<Self, GitError> {
        let mut child = git.start(&mut git.command(&arguments(&LOG, tip, options)))?;
        let stdout = child.stdout.take().ok_or_else(|| git.failed("it has no output"))?;
        Ok(Self { git, child, output: BufReader::with_capacity(1 << 16, stdout), next: None })
    }

    /// The next commit; `None` after the last.
    pub(super) fn next(&mut self) -> Result<Option<Commit>, GitError> {
        let line = match self.next.take() {
            Some(line) => line,
            None => match self.token()? {
                Some(line) => line,
                None => return Ok(None),
            },
        };
        let (id, time) = commit_line(&line).ok_or_else(|| self.unexpected(&line))?;
        let mut changes = Vec::new();
        while let Some(token) = self.token()? {
            match token.first() {
                Some(&COMMIT_MARK) => {
                    self.next = Some(token);
                    break;
                }
                Some(b':') => changes.extend(self.change(&token)?),
                _ => return Err(self.unexpected(&token)),
            }
        }
        Ok(Some(Commit { id, time, changes }))
    }

    /// Parses `:100644 100644 {old} {new} M`, which is followed by one path, or by two for a rename. Links and
    /// submodules are not files.
    fn change(&mut self, entry: &[u8]) -> Result<Option<FileChange>, GitError> {
        let fields = String::from_utf8_lossy(entry).into_owned();
        let fields: Vec<&str> = fields.trim_start_matches(':').split(' ').collect();
        let [_, mode, _, blob, status] = fields.as_slice() else { return Err(self.unexpected(entry)) };
        let first = self.path()?;
        let second = if status.starts_with(['R', 'C']) { Some(self.path()?) } else { None };
        let is_file = mode.starts_with("100");
        Ok(match (second, *status) {
            (None, "D") => Some(FileChange::Removed { path: first }),
            _ if !is_file => None,
            (Some(path), _) => Some(FileChange::Written { path, from: Some(first), blob: (*blob).to_owned() }),
            (None, _) => Some(FileChange::Written { path: first, from: None, blob: (*blob).to_owned() }),
        })
    }

    fn path(&mut self) -> Result<String, GitError> {
        let path = self.token()?.ok_or_else(|| self.unexpected(b""))?;
        Ok(path.utf8_chunks().map(text).collect())
    }

    /// Reads up to the next NUL. `None` at the end of the output, if git succeeded.
    fn token(&mut self) -> Result<Option<Vec<u8>>, GitError> {
        loop {
            let mut token = Vec::new();
            let read = self.output.read_until(0, &mut token);
            if read.map_err(|error| self.git.failed(&error.to_string()))? == 0 {
                return self.git.end(&mut self.child).map(|()| None);
            }
            if token.last() == Some(&0) {
                token.pop();
            }
            // A commit's line ends with a NUL, sometimes followed by a line end before the changes.
            let token = token.strip_prefix(b"\n").map_or_else(|| token.clone(), <[u8]>::to_vec);
            if !token.is_empty() {
                return Ok(Some(token));
            }
        }
    }

    fn unexpected(&self, found: &[u8]) -> GitError {
        GitError::Output(String::from_utf8_lossy(found).into_owned())
    }
}

/// Decodes a path. Control characters and invalid UTF-8 are percent-encoded, so that different paths stay different and
/// each is one line.
fn text(chunk: std::str::Utf8Chunk<'_>) -> String {
    let escaped = |byte: u8| format!("%{byte:02X}");
    let valid = chunk.valid().chars().map(|c| match u8::try_from(c) {
        Ok(byte) if byte.is_ascii_control() => escaped(byte),
        Ok(_) | Err(_) => c.to_string(),
    });
    valid.chain(chunk.invalid().iter().map(|byte| escaped(*byte))).collect()
}

/// Parses the line of a commit, `\x01{id} {seconds}`.
fn commit_line(line: &[u8]) -> Option<(String, Timestamp)> {
    let line = std::str::from_utf8(line.strip_prefix(&[COMMIT_MARK])?).ok()?;
    let (id, seconds) = line.trim_end().split_once(' ')?;
    Some((id.to_owned(), Timestamp::from_seconds_and_nanos(seconds.parse().ok()?, 0)?))
}

impl Drop for Log<'_> {
    fn drop(&mut self) {
        // The process may have ended already, so errors do not matter.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
