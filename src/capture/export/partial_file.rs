//! A file that grows until it is complete, next to a state file with which an interrupted export can continue.
//!
//! During an export, the output is in `FILE.part`, the part. The state file, `FILE.part.state`, says how many bytes of
//! the part are valid, and where to continue reading the archive. At each checkpoint, first the part and then the state
//! file is made durable. An export that continues first truncates the part to the last checkpoint. When the part is
//! complete, it is renamed to `FILE`.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use super::encoding::Encoding;
use super::folder::check_parent;
use super::{ExportError, FileConflict};
use crate::capture::replace::{replace, sync_folder};
use crate::model::Timestamp;
use crate::wire::json::from_json;
use crate::wire::pb;

/// The progress of an export, as stored in its state file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportState {
    /// The digest of the options. Only an export with the same options can continue this one.
    pub asked: String,
    /// The position of the snapshot that is read.
    pub next_seq: u64,
    /// The log digest of that snapshot, in hexadecimal.
    pub log_digest: String,
    /// The filter of the selected articles, as JSON.
    pub filter: String,
    /// The observe time to read at, in microseconds since 1970 UTC; `None` for the newest.
    pub at_micros: Option<i64>,
    /// The page token to continue from; empty for the beginning.
    pub page_token: String,
    /// The position after the last exported change or, with [`LinesOptions::newest`](super::LinesOptions::newest), how
    /// many articles are exported.
    pub done: u64,
    /// Valid bytes of the part.
    pub part_bytes: u64,
    /// The number of lines in these bytes.
    pub lines: u64,
    /// The size of the lines in bytes, before compression.
    pub line_bytes: u64,
    /// Whether the export is complete.
    pub is_complete: bool,
}

impl ExportState {
    /// The snapshot that is read.
    pub fn snapshot(&self) -> pb::Snapshot {
        let log_digest = HEXLOWER.decode(self.log_digest.as_bytes()).unwrap_or_default();
        pb::Snapshot { next_seq: self.next_seq, archive_time: None, log_digest }
    }

    /// The filter of the selected articles; fails if the state file has none that can be read.
    pub fn filter(&self) -> Result<pb::ArticleFilter, ExportError> {
        from_json(&self.filter).map_err(ExportError::State)
    }

    /// The observe time to read at; `None` for the newest.
    pub fn at(&self) -> Option<Timestamp> {
        self.at_micros.and_then(Timestamp::from_micros)
    }
}

/// The part of an export, its state file, and the target that the part is renamed to.
pub struct PartialFile {
    target: PathBuf,
    encoding: Encoding,
    /// Whether existing files may be overwritten.
    overwrite: bool,
    file: Option<File>,
}

/// What an earlier run left at the target of an export.
pub enum EarlierExport {
    /// No export to continue.
    Nothing,
    /// An unfinished export to continue.
    Unfinished(ExportState),
    /// An export that is complete except for the renaming.
    Complete(ExportState),
}

impl PartialFile {
    /// Names the files, without touching them yet. Existing ones are an error.
    pub fn new(target: PathBuf, encoding: Encoding) -> Self {
        Self { target, encoding, overwrite: false, file: None }
    }

    /// Overwrites existing files instead, and discards an unfinished export.
    pub fn overwriting(self) -> Self {
        Self { overwrite: true, ..self }
    }

    /// Looks for an export to continue. An existing target, or an export with other options, is an error unless it may
    /// be overwritten. So is a directory that does not exist.
    pub fn find(&self, asked: &str) -> Result<EarlierExport, ExportError> {
        check_parent(&self.target)?;
        let begun = if self.overwrite { None } else { self.begun()? };
        match begun {
            Some(state) if state.asked != asked => Err(FileConflict::OtherOptions(self.part()).into()),
            // The part may have been renamed already. If both exist, another program has created the target since.
            Some(state) if state.is_complete && !(self.part().exists() && self.target.exists()) => {
                Ok(EarlierExport::Complete(state))
            }
            _ if self.target.exists() && !self.overwrite => Err(FileConflict::Exists(self.target.clone()).into()),
            Some(state) => Ok(EarlierExport::Unfinished(state)),
            None if !self.overwrite && fs::metadata(self.part()).is_ok_and(|part| part.len() > 0) => {
                Err(self.without_state())
            }
            None => Ok(EarlierExport::Nothing),
        }
    }

    /// The error for a part without a state: another export is writing it, or was killed.
    fn without_state(&self) -> ExportError {
        let path = self.part();
        let opened = OpenOptions::new().read(true).custom_flags(open_flags()).open(&path);
        match opened.map(|part| part.try_lock_shared()) {
            Ok(Err(TryLockError::WouldBlock)) => ExportError::writing(&path)(is_in_use()),
            Ok(_) | Err(_) => FileConflict::NoState(path).into(),
        }
    }

    /// The state of an unfinished export; `None` if there is none, or if the part is shorter than the state says.
    fn begun(&self) -> Result<Option<ExportState>, ExportError> {
        let path = self.state();
        let bytes = match read(&path) {
            Ok(bytes) => bytes,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
            Err(error) => return Err(ExportError::reading(&path)(error)),
        };
        let Ok(state) = serde_json::from_slice::<ExportState>(&bytes) else {
            return Err(FileConflict::NotAState(path).into());
        };
        let bytes = |path: &Path| fs::metadata(path).ok().map(|file| file.len());
        let has_valid_bytes = match (bytes(&self.part()), state.is_complete) {
            (Some(part), false) => part >= state.part_bytes,
            (Some(part), true) => part == state.part_bytes,
            // It may have been renamed already.
            (None, true) => bytes(&self.target) == Some(state.part_bytes),
            (None, false) => state.part_bytes == 0,
        };
        Ok(Some(state).filter(|_| has_valid_bytes))
    }

    /// Opens the part, locks it, and truncates it to its first `valid_bytes` bytes.
    pub fn open(&mut self, valid_bytes: u64) -> Result<(), ExportError> {
        let path = self.part();
        let open = || {
            let mut options = OpenOptions::new();
            let mut file = options.create(true).truncate(false).write(true).custom_flags(open_flags()).open(&path)?;
            check_regular(&file)?;
            // A file system without locks is accepted.
            if let Err(TryLockError::WouldBlock) = file.try_lock() {
                return Err(is_in_use());
            }
            // The previous holder of the lock may have renamed the file.
            if file.metadata()?.len() < valid_bytes || !is_at(&file, &path) {
                return Err(io::Error::other("it was changed by another process"));
            }
            if valid_bytes == 0 {
                // What is left is the state of an abandoned export, which does not apply to this one. An export in
                // progress would hold the lock.
                remove_if_there(&self.state())?;
            }
            file.set_len(valid_bytes)?;
            file.seek(SeekFrom::End(0))?;
            Ok(file)
        };
        self.file = Some(open().map_err(ExportError::writing(&path))?);
        Ok(())
    }

    /// Appends lines to the part, then records in the state that they are valid. Durable when it returns.
    pub async fn checkpoint(&mut self, lines: Vec<u8>, state: &mut ExportState) -> Result<(), ExportError> {
        let path = self.part();
        // A compressed file has a header even if it is empty.
        let is_empty = lines.is_empty() && (state.part_bytes > 0 || !state.is_complete);
        let bytes = if is_empty {
            Vec::new()
        } else {
            self.encoding.encode(lines).await.map_err(ExportError::writing(&path))?
        };
        let file = self.file.as_mut().ok_or_else(|| ExportError::writing(&path)(io::Error::other("it is not open")))?;
        let written = file.write_all(&bytes).and_then(|()| file.sync_data());
        written.map_err(ExportError::writing(&path))?;
        state.part_bytes += bytes.len() as u64;
        let path = self.state();
        replace(&path, &serde_json::to_vec(state).unwrap_or_default()).map_err(ExportError::writing(&path))
    }

    /// Renames the part to its target, unless another program has created that file since.
    pub fn complete(&self) -> Result<PathBuf, ExportError> {
        let (part, state) = (self.part(), self.state());
        if !self.overwrite && part.exists() && self.target.exists() {
            return Err(FileConflict::Exists(self.target.clone()).into());
        }
        let rename = || {
            // A crash after this point loses nothing.
            if part.exists() {
                fs::rename(&part, &self.target)?;
            }
            sync_folder(&self.target)?;
            remove_if_there(&state)
        };
        rename().map_err(ExportError::writing(&self.target))?;
        Ok(self.target.clone())
    }

    /// The target.
    pub(super) fn target(&self) -> &Path {
        &self.target
    }

    /// The open part, for an export that has no checkpoints.
    pub(super) fn opened(&self) -> io::Result<File> {
        self.file.as_ref().ok_or_else(|| io::Error::other("it is not open"))?.try_clone()
    }

    /// Removes the part of an export that cannot be continued, if it is open.
    pub(super) fn discard(self) {
        if self.file.is_some() {
            // What is left can be overwritten with the next export.
            drop(fs::remove_file(self.part()));
        }
    }

    fn part(&self) -> PathBuf {
        with_ending(&self.target, ".part")
    }

    fn state(&self) -> PathBuf {
        with_ending(&self.target, ".part.state")
    }
}

fn is_in_use() -> io::Error {
    io::Error::other("another export is writing it")
}

/// Flags that reject links, which could make us write elsewhere, and that do not wait for the other end of a pipe.
fn open_flags() -> i32 {
    (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed()
}

/// Rejects anything that is not a regular file, such as a pipe.
fn check_regular(file: &File) -> io::Result<()> {
    if file.metadata()?.is_file() { Ok(()) } else { Err(io::Error::other("it is not a regular file")) }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = OpenOptions::new().read(true).custom_flags(open_flags()).open(path)?;
    check_regular(&file)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}

/// Whether `file` is the file at `path`.
fn is_at(file: &File, path: &Path) -> bool {
    let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    let (file, path) = (file.metadata().map(identity), fs::metadata(path).map(identity));
    matches!((file, path), (Ok(file), Ok(path)) if file == path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: &str = "all";

    fn part(folder: &tempfile::TempDir) -> PartialFile {
        PartialFile::new(folder.path().join("a.jsonl"), Encoding::Plain)
    }

    fn forced(folder: &tempfile::TempDir) -> PartialFile {
        part(folder).overwriting()
    }

    async fn written(part: &mut PartialFile, lines: &str, state: &mut ExportState) {
        part.checkpoint(lines.as_bytes().to_vec(), state).await.unwrap();
    }

    #[tokio::test]
    async fn output_after_the_last_checkpoint_is_truncated() {
        let folder = tempfile::tempdir().unwrap();
        let mut begun = part(&folder);
        begun.open(0).unwrap();
        let mut state = ExportState { asked: ASKED.to_owned(), ..ExportState::default() };
        written(&mut begun, "one\n", &mut state).await;
        // Killed in the middle of the next chunk.
        begun.file.take().unwrap().write_all(b"tw").unwrap();
        let mut again = part(&folder);
        let EarlierExport::Unfinished(mut state) = again.find(ASKED).unwrap() else { panic!("it was begun") };
        again.open(state.part_bytes).unwrap();
        let twice = part(&folder).open(state.part_bytes).unwrap_err();
        assert!(twice.to_string().contains("another export is writing it"), "{twice:?}");
        state.is_complete = true;
        written(&mut again, "two\n", &mut state).await;
        assert_eq!(fs::read_to_string(again.complete().unwrap()).unwrap(), "one\ntwo\n");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    /// Killed between the last checkpoint and the renaming, or between that and the removal of the state.
    #[tokio::test]
    async fn a_complete_export_only_needs_to_be_renamed() {
        for has_name in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let mut begun = part(&folder);
            begun.open(0).unwrap();
            let mut state = ExportState { asked: ASKED.to_owned(), is_complete: true, ..ExportState::default() };
            written(&mut begun, "one\n", &mut state).await;
            if has_name {
                fs::rename(begun.part(), &begun.target).unwrap();
            }
            let again = part(&folder);
            assert!(matches!(again.find(ASKED).unwrap(), EarlierExport::Complete(_)), "{has_name}");
            assert_eq!(fs::read_to_string(again.complete().unwrap()).unwrap(), "one\n");
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        }
    }

    #[test]
    fn no_directory_is_created_for_a_part() {
        let folder = tempfile::tempdir().unwrap();
        let mut part = PartialFile::new(folder.path().join("typo/a.jsonl"), Encoding::Plain);
        let errors = [part.find(ASKED).err().unwrap(), part.open(0).unwrap_err()];
        for error in errors {
            assert!(error.to_string().ends_with("/typo does not exist"), "{error}");
            assert_eq!(error.reason(), "UNWRITABLE");
        }
        assert!(!folder.path().join("typo").exists());
    }

    #[test]
    fn a_part_without_a_state_file_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let mut running = part(&folder);
        running.open(0).unwrap();
        fs::write(running.part(), "mine").unwrap();
        let error = part(&folder).find(ASKED).err().unwrap();
        assert!(error.to_string().contains("another export is writing it"), "{error:?}");
        drop(running);
        let error = part(&folder).find(ASKED).err().unwrap();
        assert_eq!(error.reason(), "EXISTS");
        assert!(
            error.to_string().ends_with("a.jsonl.part is left from an export that was killed, and cannot be continued")
        );
        assert!(matches!(forced(&folder).find(ASKED).unwrap(), EarlierExport::Nothing));
    }

    #[test]
    fn a_part_that_is_a_link_is_not_written_through() {
        let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for victim in ["absent", "empty"] {
            let victim = elsewhere.path().join(victim);
            if victim.ends_with("empty") {
                fs::write(&victim, "").unwrap();
            }
            std::os::unix::fs::symlink(&victim, forced(&folder).part()).unwrap();
            forced(&folder).open(0).unwrap_err();
            fs::remove_file(forced(&folder).part()).unwrap();
        }
        assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 1);
    }

    /// Both with and without a process at the other end of the pipe.
    #[test]
    fn a_pipe_in_place_of_a_part_or_its_state_is_rejected_without_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = |path: &Path| {
            let made = std::process::Command::new("mkfifo").arg(path).status().unwrap();
            assert!(made.success());
        };
        pipe(&forced(&folder).part());
        forced(&folder).open(0).unwrap_err();
        let reader = OpenOptions::new().read(true).custom_flags(open_flags()).open(forced(&folder).part()).unwrap();
        let error = forced(&folder).open(0).unwrap_err();
        assert!(error.to_string().contains("it is not a regular file"), "{error:?}");
        drop(reader);
        fs::remove_file(forced(&folder).part()).unwrap();
        pipe(&part(&folder).state());
        let error = part(&folder).find(ASKED).err().unwrap();
        assert!(error.to_string().contains("it is not a regular file"), "{error:?}");
    }

    /// A leftover state file belongs to the abandoned export, and says nothing about the one that began after it.
    #[tokio::test]
    async fn the_state_of_an_abandoned_export_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let mut begun = part(&folder);
        begun.open(0).unwrap();
        let mut state = ExportState { asked: ASKED.to_owned(), is_complete: true, ..ExportState::default() };
        written(&mut begun, "one\n", &mut state).await;
        drop(begun);
        let mut again = forced(&folder);
        assert!(matches!(again.find(ASKED).unwrap(), EarlierExport::Nothing));
        again.open(0).unwrap();
        drop(again);
        assert!(matches!(part(&folder).find(ASKED).unwrap(), EarlierExport::Nothing), "the part is empty now");
    }

    /// A second export that starts over, or that does not see the first one's output yet.
    #[tokio::test]
    async fn the_part_of_a_running_export_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let mut running = part(&folder);
        running.open(0).unwrap();
        let mut state = ExportState { asked: ASKED.to_owned(), ..ExportState::default() };
        written(&mut running, "one\n", &mut state).await;
        for mut second in [part(&folder), forced(&folder)] {
            let error = second.open(0).unwrap_err();
            assert!(error.to_string().contains("another export is writing it"), "{error:?}");
            assert!(matches!(part(&folder).find(ASKED).unwrap(), EarlierExport::Unfinished(found) if found == state));
        }
        // One that completed while the second waited for the lock.
        let late = OpenOptions::new().write(true).open(running.part()).unwrap();
        state.is_complete = true;
        written(&mut running, "two\n", &mut state).await;
        let path = running.part();
        running.complete().unwrap();
        assert!(!is_at(&late, &path));
    }

    #[tokio::test]
    async fn a_target_created_in_the_meantime_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let mut begun = part(&folder);
        begun.open(0).unwrap();
        let mut state = ExportState { asked: ASKED.to_owned(), is_complete: true, ..ExportState::default() };
        written(&mut begun, "one\n", &mut state).await;
        let target = begun.target.clone();
        fs::write(&target, "mine").unwrap();
        let error = [part(&folder).find(ASKED).err().unwrap(), begun.complete().unwrap_err()];
        assert_eq!(error.each_ref().map(ExportError::reason), ["EXISTS"; 2]);
        assert_eq!(fs::read_to_string(&target).unwrap(), "mine");
        // Without that file, the export completes.
        fs::remove_file(&target).unwrap();
        assert!(matches!(part(&folder).find(ASKED).unwrap(), EarlierExport::Complete(_)));
        assert_eq!(fs::read_to_string(part(&folder).complete().unwrap()).unwrap(), "one\n");
    }
}
