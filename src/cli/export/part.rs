//! A file that grows until it is complete: beside it lies what is needed to go on with it.
//!
//! While an export is under way, what it has written is in `FILE.part`, and `FILE.part.state` says how far that is whole and
//! where the archive is to be read on. Both are durable at each checkpoint, the part before its state, and what stands
//! behind the last checkpoint is cut off before an export goes on. The part gets its name when it is complete.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use super::encoding::Encoding;
use super::{unreadable, unwritable};
use crate::cli::exit::{Exit, Failure};
use crate::cli::replace::{replace, sync_folder};
use crate::model::Timestamp;
use crate::wire::json::from_json;
use crate::wire::pb;

/// How far an export is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    /// The digest of what was asked for: another export does not go on with this one.
    pub(super) asked: String,
    /// The cut that is read.
    pub(super) next_seq: u64,
    /// In hexadecimal.
    pub(super) log_digest: String,
    /// Which articles are chosen, as JSON.
    pub(super) filter: String,
    /// As of when on the observe axis, in microseconds; none for the newest.
    pub(super) at_micros: Option<i64>,
    /// Where the archive is read on; empty for the beginning.
    pub(super) page_token: String,
    /// The position behind which that is, or how many articles lie before it.
    pub(super) done: u64,
    /// Bytes of the part that are whole.
    pub(super) part_bytes: u64,
    /// Lines in them, and their bytes before compression.
    pub(super) lines: u64,
    pub(super) line_bytes: u64,
    /// Whether that is all.
    pub(super) is_complete: bool,
}

impl State {
    /// The cut that is read.
    pub(super) fn cut(&self) -> pb::Snapshot {
        let log_digest = HEXLOWER.decode(self.log_digest.as_bytes()).unwrap_or_default();
        pb::Snapshot { next_seq: self.next_seq, archive_time: None, log_digest }
    }

    /// Which articles are chosen.
    pub(super) fn filter(&self) -> Result<pb::ArticleFilter, Failure> {
        from_json(&self.filter).map_err(|error| {
            let message = format!("the state of the export says of no articles that they are chosen: {error}");
            Failure::new(Exit::Conflict, message).kind("EXISTS").hint("give --force to begin anew")
        })
    }

    /// As of when on the observe axis.
    pub(super) fn at(&self) -> Option<Timestamp> {
        self.at_micros.and_then(Timestamp::from_micros)
    }
}

/// The file that an export goes to.
pub(super) struct Part {
    target: PathBuf,
    encoding: Encoding,
    /// Whether what is in the way may be written over.
    force: bool,
    file: Option<File>,
}

/// What was there.
pub(super) enum Found {
    /// Nothing, or nothing that counts.
    Nothing,
    /// An export that is to be gone on with.
    Begun(State),
    /// An export that was complete, all but its name.
    Complete(State),
}

impl Part {
    /// The file, of which nothing is touched yet.
    pub(super) fn of(target: PathBuf, encoding: Encoding, force: bool) -> Self {
        Self { target, encoding, force, file: None }
    }

    /// Looks what is there. A file that is there already, and an export with other options, are in the way unless they may
    /// be written over.
    pub(super) fn find(&self, asked: &str) -> Result<Found, Failure> {
        let begun = if self.force { None } else { self.begun()? };
        match begun {
            Some(state) if state.asked != asked => {
                Err(Failure::new(Exit::Conflict, format!("{} was begun with other options", self.part().display()))
                    .kind("OTHER_EXPORT")
                    .hint("run the command that began it, or give --force to begin anew"))
            }
            // It may have its name already, and somebody else's file may have it meanwhile.
            Some(state) if state.is_complete && !(self.part().exists() && self.target.exists()) => {
                Ok(Found::Complete(state))
            }
            _ if self.target.exists() && !self.force => Err(self.exists()),
            Some(state) => Ok(Found::Begun(state)),
            None if !self.force && fs::metadata(self.part()).is_ok_and(|part| part.len() > 0) => {
                Err(Failure::new(Exit::Conflict, format!("{} exists, and no state beside it", self.part().display()))
                    .kind("EXISTS")
                    .hint("name another file, or give --force to write over it"))
            }
            None => Ok(Found::Nothing),
        }
    }

    fn exists(&self) -> Failure {
        Failure::new(Exit::Conflict, format!("{} exists", self.target.display()))
            .kind("EXISTS")
            .hint("name another file, or give --force to write over it")
    }

    /// The state of an export that was begun; none where there is none, or less of it than it says.
    fn begun(&self) -> Result<Option<State>, Failure> {
        let path = self.state();
        let bytes = match read(&path) {
            Ok(bytes) => bytes,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
            Err(error) => return Err(unreadable(&path)(error)),
        };
        let Ok(state) = serde_json::from_slice::<State>(&bytes) else {
            let message = format!("{} is not the state of an export", path.display());
            return Err(Failure::new(Exit::Conflict, message).kind("EXISTS").hint("give --force to begin anew"));
        };
        let bytes = |path: &Path| fs::metadata(path).ok().map(|file| file.len());
        let is_whole = match (bytes(&self.part()), state.is_complete) {
            (Some(part), false) => part >= state.part_bytes,
            (Some(part), true) => part == state.part_bytes,
            // It may have its name already.
            (None, true) => bytes(&self.target) == Some(state.part_bytes),
            (None, false) => state.part_bytes == 0,
        };
        Ok(Some(state).filter(|_| is_whole))
    }

    /// Opens the part behind what is whole.
    pub(super) fn open(&mut self, whole_bytes: u64) -> Result<(), Failure> {
        let path = self.part();
        let open = || {
            if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                fs::create_dir_all(folder)?;
            }
            // A link would have us write elsewhere.
            let mut options = OpenOptions::new();
            let mut file = options.create(true).truncate(false).write(true).custom_flags(our_own()).open(&path)?;
            regular(&file)?;
            // Where there are no locks, there is none to respect.
            if let Err(TryLockError::WouldBlock) = file.try_lock() {
                return Err(io::Error::other("another export is writing it"));
            }
            // Who had the lock before may have given the file its name.
            if file.metadata()?.len() < whole_bytes || !is_at(&file, &path) {
                return Err(io::Error::other("it is not what it was a moment ago"));
            }
            if whole_bytes == 0 {
                // What an export that was given up says would not be true of this one. That of one which is under way is,
                // and it has the lock.
                remove_if_there(&self.state())?;
            }
            file.set_len(whole_bytes)?;
            file.seek(SeekFrom::End(0))?;
            Ok(file)
        };
        self.file = Some(open().map_err(unwritable(&path))?);
        Ok(())
    }

    /// Writes lines, and then that all up to them is whole. Durable when it returns.
    pub(super) async fn checkpoint(&mut self, lines: Vec<u8>, state: &mut State) -> Result<(), Failure> {
        let path = self.part();
        // What was compressed has a beginning and an end, also where nothing is in it.
        let is_empty = lines.is_empty() && (state.part_bytes > 0 || !state.is_complete);
        let bytes = if is_empty { Vec::new() } else { self.encoding.encode(lines).await.map_err(unwritable(&path))? };
        let file = self.file.as_mut().ok_or_else(|| unwritable(&path)(io::Error::other("it is not open")))?;
        let written = file.write_all(&bytes).and_then(|()| file.sync_data());
        written.map_err(unwritable(&path))?;
        state.part_bytes += bytes.len() as u64;
        let path = self.state();
        replace(&path, &serde_json::to_vec(state).unwrap_or_default()).map_err(unwritable(&path))
    }

    /// Gives the part its name, unless that is somebody else's meanwhile.
    pub(super) fn complete(self) -> Result<PathBuf, Failure> {
        let (part, state) = (self.part(), self.state());
        if !self.force && part.exists() && self.target.exists() {
            return Err(self.exists());
        }
        let named = || {
            // Whoever was killed behind this has nothing left to do.
            if part.exists() {
                fs::rename(&part, &self.target)?;
            }
            sync_folder(&self.target)?;
            remove_if_there(&state)
        };
        named().map_err(unwritable(&self.target))?;
        Ok(self.target)
    }

    fn part(&self) -> PathBuf {
        with_ending(&self.target, ".part")
    }

    fn state(&self) -> PathBuf {
        with_ending(&self.target, ".part.state")
    }
}

/// Flags that open no link, and do not wait: a pipe would wait for its other end.
fn our_own() -> i32 {
    (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed()
}

/// Refuses all but regular files, such as a pipe.
fn regular(file: &File) -> io::Result<()> {
    if file.metadata()?.is_file() { Ok(()) } else { Err(io::Error::other("it is not a regular file")) }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = OpenOptions::new().read(true).custom_flags(our_own()).open(path)?;
    regular(&file)?;
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

/// Whether that is the file of this path.
fn is_at(file: &File, path: &Path) -> bool {
    let identity = |there: fs::Metadata| (there.dev(), there.ino());
    let (file, path) = (file.metadata().map(identity), fs::metadata(path).map(identity));
    matches!((file, path), (Ok(file), Ok(path)) if file == path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: &str = "all";

    fn part(folder: &tempfile::TempDir) -> Part {
        Part::of(folder.path().join("a.jsonl"), Encoding::Plain, false)
    }

    fn forced(folder: &tempfile::TempDir) -> Part {
        Part { force: true, ..part(folder) }
    }

    async fn written(part: &mut Part, lines: &str, state: &mut State) {
        part.checkpoint(lines.as_bytes().to_vec(), state).await.unwrap();
    }

    #[tokio::test]
    async fn what_stands_behind_the_last_checkpoint_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let mut begun = part(&folder);
        begun.open(0).unwrap();
        let mut state = State { asked: ASKED.to_owned(), ..State::default() };
        written(&mut begun, "one\n", &mut state).await;
        // Killed within the next chunk.
        begun.file.take().unwrap().write_all(b"tw").unwrap();
        let mut again = part(&folder);
        let Found::Begun(mut state) = again.find(ASKED).unwrap() else { panic!("it was begun") };
        again.open(state.part_bytes).unwrap();
        let twice = part(&folder).open(state.part_bytes).unwrap_err();
        assert!(twice.message.contains("another export is writing it"), "{twice:?}");
        state.is_complete = true;
        written(&mut again, "two\n", &mut state).await;
        assert_eq!(fs::read_to_string(again.complete().unwrap()).unwrap(), "one\ntwo\n");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    /// Killed between the last checkpoint and the name, or between that and the end of the state.
    #[tokio::test]
    async fn one_that_was_complete_needs_no_more_than_its_name() {
        for has_name in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let mut begun = part(&folder);
            begun.open(0).unwrap();
            let mut state = State { asked: ASKED.to_owned(), is_complete: true, ..State::default() };
            written(&mut begun, "one\n", &mut state).await;
            if has_name {
                fs::rename(begun.part(), &begun.target).unwrap();
            }
            let again = part(&folder);
            assert!(matches!(again.find(ASKED).unwrap(), Found::Complete(_)), "{has_name}");
            assert_eq!(fs::read_to_string(again.complete().unwrap()).unwrap(), "one\n");
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        }
    }

    #[test]
    fn a_part_that_is_not_ours_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(part(&folder).part(), "mine").unwrap();
        let refused = part(&folder).find(ASKED).err().unwrap();
        assert_eq!((refused.exit, refused.kind), (Exit::Conflict, "EXISTS"));
        assert!(matches!(forced(&folder).find(ASKED).unwrap(), Found::Nothing));
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

    /// With and without another process at its other end.
    #[test]
    fn a_pipe_in_the_place_of_a_part_or_its_state_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = |path: &Path| {
            let made = std::process::Command::new("mkfifo").arg(path).status().unwrap();
            assert!(made.success());
        };
        pipe(&forced(&folder).part());
        forced(&folder).open(0).unwrap_err();
        let reader = OpenOptions::new().read(true).custom_flags(our_own()).open(forced(&folder).part()).unwrap();
        let refused = forced(&folder).open(0).unwrap_err();
        assert!(refused.message.contains("it is not a regular file"), "{refused:?}");
        drop(reader);
        fs::remove_file(forced(&folder).part()).unwrap();
        pipe(&part(&folder).state());
        let refused = part(&folder).find(ASKED).err().unwrap();
        assert!(refused.message.contains("it is not a regular file"), "{refused:?}");
    }

    /// A state that was left is of what was given up, and says nothing of what was begun after it.
    #[tokio::test]
    async fn what_was_given_up_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let mut begun = part(&folder);
        begun.open(0).unwrap();
        let mut state = State { asked: ASKED.to_owned(), is_complete: true, ..State::default() };
        written(&mut begun, "one\n", &mut state).await;
        drop(begun);
        let mut anew = forced(&folder);
        assert!(matches!(anew.find(ASKED).unwrap(), Found::Nothing));
        anew.open(0).unwrap();
        drop(anew);
        assert!(matches!(part(&folder).find(ASKED).unwrap(), Found::Nothing), "the part is empty now");
    }

    /// The second one, which was told to begin anew, or which sees nothing that was begun yet.
    #[tokio::test]
    async fn what_another_export_writes_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let mut running = part(&folder);
        running.open(0).unwrap();
        let mut state = State { asked: ASKED.to_owned(), ..State::default() };
        written(&mut running, "one\n", &mut state).await;
        for mut second in [part(&folder), forced(&folder)] {
            let refused = second.open(0).unwrap_err();
            assert!(refused.message.contains("another export is writing it"), "{refused:?}");
            assert!(matches!(part(&folder).find(ASKED).unwrap(), Found::Begun(found) if found == state));
        }
        // One that came to its end while the second one waited to be given the lock.
        let late = OpenOptions::new().write(true).open(running.part()).unwrap();
        state.is_complete = true;
        written(&mut running, "two\n", &mut state).await;
        let path = running.part();
        running.complete().unwrap();
        assert!(!is_at(&late, &path));
    }

    #[tokio::test]
    async fn what_somebody_made_meanwhile_is_not_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let mut begun = part(&folder);
        begun.open(0).unwrap();
        let mut state = State { asked: ASKED.to_owned(), is_complete: true, ..State::default() };
        written(&mut begun, "one\n", &mut state).await;
        let target = begun.target.clone();
        fs::write(&target, "mine").unwrap();
        let refused = [part(&folder).find(ASKED).err().unwrap(), begun.complete().unwrap_err()];
        assert_eq!(refused.map(|refused| refused.kind), ["EXISTS"; 2]);
        assert_eq!(fs::read_to_string(&target).unwrap(), "mine");
        // Out of the way, it is not.
        fs::remove_file(&target).unwrap();
        assert!(matches!(part(&folder).find(ASKED).unwrap(), Found::Complete(_)));
        assert_eq!(fs::read_to_string(part(&folder).complete().unwrap()).unwrap(), "one\n");
    }
}
