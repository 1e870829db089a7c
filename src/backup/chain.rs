//! Finds the chain of files that make up a backup. It starts with a file that begins at the first change. Each further
//! file begins where the previous one ends, or before that. The last one is the file that was written last.

use std::collections::VecDeque;

use super::{BackupError, BackupFile};
use crate::model::{ExpungeRegister, Seq, Snapshot};

/// The files of a backup, in order.
#[derive(Clone, Debug)]
pub struct BackupChain {
    /// At least one file. Each begins at or before the end of the previous one.
    pub files: Vec<BackupFile>,
    /// What was destroyed, by all files that were given, whether or not they are in the chain. It is destroyed in the
    /// changes that are read, too.
    pub register: ExpungeRegister,
}

impl BackupChain {
    /// Finds the chain that ends with the file that was written last, or with one that continues it. Of several chains,
    /// one in which each file begins exactly where the previous one ends is preferred, then the one with the fewest
    /// files.
    ///
    /// Fails with [`BackupError::OtherArchive`] if the files belong to different archives, and with
    /// [`BackupError::Gap`] or [`BackupError::Diverged`] if no chain leads back to the first change.
    pub fn from_files(files: Vec<BackupFile>) -> Result<Self, BackupError> {
        let Some(last) = last_of(&files) else {
            return Err(BackupError::NoFiles(std::path::PathBuf::new()));
        };
        if let Some(other) = files.iter().find(|file| file.header.archive_id != last.header.archive_id) {
            return Err(BackupError::OtherArchive {
                path: other.path.clone(),
                archive_id: other.header.archive_id,
                other: last.path.clone(),
                other_archive_id: last.header.archive_id,
            });
        }
        Self::ending_with(&files, last)
    }

    /// As [`Self::from_files`], with the chain that ends with `last`. The files must belong to one archive.
    pub(super) fn ending_with(files: &[BackupFile], last: &BackupFile) -> Result<Self, BackupError> {
        let mut register = ExpungeRegister::default();
        for file in files {
            register.merge(file.register.clone());
        }
        match search(files, last, meets).or_else(|| search(files, last, reaches)) {
            Some(files) => Ok(Self { files, register }),
            None => Err(missing_link(files, last)),
        }
    }

    /// The id of the archive that was backed up.
    pub fn archive_id(&self) -> [u8; 16] {
        self.files.first().map_or([0; 16], |first| first.header.archive_id)
    }

    /// The snapshot at the end of the chain.
    pub fn end(&self) -> Option<Snapshot> {
        self.files.last().map(|last| last.header.end)
    }
}

/// The file with which a backup ends: the one that was written last by the clock, or the last of the files that
/// continue it. Of several files with the same end, the one with the latest state is chosen. Following continuations
/// ensures that files written after the clock was set back are not left out.
fn last_of(files: &[BackupFile]) -> Option<&BackupFile> {
    let mut last = files.iter().max_by_key(|file| (file.header.create_time, file.header.end.next_seq))?;
    while let Some(next) = files.iter().find(|file| file.header.changes() > 0 && meets(last, file)) {
        last = next;
    }
    let end = |file: &BackupFile| (file.header.end.next_seq, file.header.end.log_digest);
    let same_end = files.iter().filter(|file| end(file) == end(last));
    same_end.max_by_key(|file| (file.header.commits, file.header.create_time))
}

/// Whether `before` ends exactly where `file` begins.
fn meets(before: &BackupFile, file: &BackupFile) -> bool {
    let end = before.header.end;
    (end.next_seq, end.log_digest) == (file.header.first_seq, file.header.first_log_digest)
}

/// Whether `file` can continue `before` from its end or from a position within it. Whether the two agree there is known
/// only once they are read.
fn reaches(before: &BackupFile, file: &BackupFile) -> bool {
    meets(before, file) || before.header.end.next_seq > file.header.first_seq
}

/// Searches breadth-first from the last file backwards, until a file begins at the first change.
fn search(
    files: &[BackupFile],
    last: &BackupFile,
    continues: impl Fn(&BackupFile, &BackupFile) -> bool,
) -> Option<Vec<BackupFile>> {
    let mut reached = vec![Reached { file: last, next: None }];
    let mut waiting = VecDeque::from([0]);
    while let Some(at) = waiting.pop_front() {
        let file = reached.get(at)?.file;
        if file.header.first_seq == Seq::ZERO {
            return Some(files_from(&reached, at));
        }
        for before in files {
            let is_new = !reached.iter().any(|reached| reached.file.path == before.path);
            if is_new && before.header.first_seq < file.header.first_seq && continues(before, file) {
                waiting.push_back(reached.len());
                reached.push(Reached { file: before, next: Some(at) });
            }
        }
    }
    None
}

/// A file that the search has reached.
struct Reached<'a> {
    file: &'a BackupFile,
    /// The index, among the reached files, of the file that follows `file` in the chain; `None` for the last file.
    next: Option<usize>,
}

fn files_from(reached: &[Reached<'_>], first: usize) -> Vec<BackupFile> {
    let mut files = Vec::new();
    let mut next = Some(first);
    while let Some(reached) = next.and_then(|at| reached.get(at)) {
        files.push(reached.file.clone());
        next = reached.next;
    }
    files
}

/// The error that says what is missing before the earliest file that leads to the last one.
fn missing_link(files: &[BackupFile], last: &BackupFile) -> BackupError {
    let mut earliest = last;
    while let Some(before) = files
        .iter()
        .filter(|before| before.header.first_seq < earliest.header.first_seq && reaches(before, earliest))
        .min_by_key(|before| before.header.first_seq)
    {
        earliest = before;
    }
    let seq = earliest.header.first_seq;
    let below = files.iter().filter(|file| file.header.end.next_seq <= seq && file.path != earliest.path);
    let Some(before) = below.max_by_key(|file| file.header.end.next_seq) else {
        return BackupError::Gap { from: Seq::ZERO, to: seq, path: earliest.path.clone() };
    };
    if before.header.end.next_seq == seq {
        return BackupError::Diverged { path: earliest.path.clone(), before: before.path.clone(), seq };
    }
    BackupError::Gap { from: before.header.end.next_seq, to: seq, path: earliest.path.clone() }
}
