//! Destroys in a backup what was destroyed in the archive after the backup was made.
//!
//! A restore scrubs the changes on their way ([`Scrubber`]), so that it never brings a destroyed text back. [`scrub`]
//! rewrites the files of a folder, so that they do not have it any more. Both work because destroying a text alters
//! neither the leaf of its change nor the log digests: files continue one another as before.

use std::collections::{BTreeSet, HashSet};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::bases::Bases;
use super::file::{BackupReader, in_folder};
use super::incoming::{IncomingBackup, sync};
use super::{BackupChain, BackupError, BackupFile};
use crate::model::{ArticleKey, ArticleName, Change, ExpungeRegister, RegisteredExpunge, Seq, TreeHash};
use crate::store::StoreError;
use crate::store::content::{Effort, PackedContent};
use crate::store::engine::own_file;
use crate::store::full_change::FullChange;
use crate::store::logfile::{FramePosition, LogEnd, LogHeader, LogWriter};

/// Destroys what a register names, in changes that come in order of position.
///
/// A content that is stored as the difference from a destroyed one is stored whole instead. The contents of all articles
/// in the register are kept for that, in unnamed files.
pub(super) struct Scrubber {
    register: ExpungeRegister,
    articles: HashSet<ArticleKey>,
    contents: Bases,
    /// The positions of changes whose text was destroyed here.
    destroyed: HashSet<Seq>,
}

impl Scrubber {
    /// `None` if the register is empty.
    pub(super) fn new(register: ExpungeRegister) -> Result<Option<Self>, BackupError> {
        if register.0.is_empty() {
            return Ok(None);
        }
        let articles = register.0.values().map(|expunge| expunge.article).collect();
        Ok(Some(Self { register, articles, contents: Bases::from(Seq::ZERO)?, destroyed: HashSet::new() }))
    }

    pub(super) fn register(&self) -> &ExpungeRegister {
        &self.register
    }

    /// Scrubs the next change. Returns whether it was altered.
    pub(super) fn scrub(&mut self, full: &mut FullChange) -> Result<bool, ScrubError> {
        if !self.articles.contains(&full.change.entry.article) {
            return Ok(false);
        }
        let seq = full.change.seq;
        let bytes = self.content(full)?;
        if let Some(bytes) = &bytes {
            self.contents.insert(seq, bytes.clone()).map_err(ScrubError::Contents)?;
        }
        if let Some(expunge) = self.register.0.get(&(seq, full.leaf)).filter(|expunge| is_due(&full.change, expunge)) {
            let article = expunge.replacement.clone();
            let source = full.change.entry.name.source.clone();
            let name = article.map(|article| ArticleName { source, article });
            full.expunge(&expunge.order, name.as_ref())?;
            self.destroyed.insert(seq);
            return Ok(true);
        }
        // One that is a stub already is not a base any more, either.
        if self.register.0.contains_key(&(seq, full.leaf)) {
            self.destroyed.insert(seq);
        }
        let base = full.content.as_ref().and_then(|content| content.base());
        if !base.is_some_and(|base| self.destroyed.contains(&base)) {
            return Ok(false);
        }
        let missing = || StoreError::damaged_at(seq, "a content builds on a destroyed one that is missing");
        let bytes = bytes.ok_or_else(missing)?;
        full.content = Some(PackedContent::pack(&bytes, None, Effort::Quick).at(seq));
        Ok(true)
    }

    /// The content of a change, unpacked. `None` if it has none, or if what it builds on is missing.
    fn content(&self, full: &FullChange) -> Result<Option<Bytes>, ScrubError> {
        let Some(content) = &full.content else { return Ok(None) };
        let base = match content.base() {
            None => None,
            Some(base) => match self.contents.get(base).map_err(ScrubError::Contents)? {
                Some(bytes) => Some(bytes),
                // Another file may have had this content in a form that could be read.
                None => return self.contents.get(full.change.seq).map_err(ScrubError::Contents),
            },
        };
        Ok(Some(content.unpack(base.as_deref())?.into()))
    }
}

/// Whether a change still has what was destroyed.
fn is_due(change: &Change, expunge: &RegisteredExpunge) -> bool {
    let keeps_name = expunge.replacement.as_ref().is_some_and(|article| change.entry.name.article != *article);
    change.entry.expunged.is_none() || keeps_name
}

/// Why a change could not be scrubbed.
#[derive(Debug)]
pub(super) enum ScrubError {
    /// The change is damaged.
    Damaged(StoreError),
    /// Earlier contents could not be stored or read back.
    Contents(BackupError),
}

impl ScrubError {
    /// The error for the change at `seq` of a file, in the segment at `position`.
    pub(super) fn at(self, reader: &BackupReader, position: FramePosition, seq: Seq) -> BackupError {
        match self {
            Self::Damaged(error) => reader.altered(position, seq, error.to_string()).into(),
            Self::Contents(error) => error,
        }
    }
}

impl From<StoreError> for ScrubError {
    fn from(error: StoreError) -> Self {
        Self::Damaged(error)
    }
}

/// What the name of a new file ends with until it takes the place of the old one.
const SCRUBBED: &str = ".scrubbed";
/// The size of the write buffer, in bytes.
const BUFFER_BYTES: usize = 256 << 10;

/// What was rewritten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scrubbed {
    /// The number of files in the folder.
    pub files: u64,
    /// How many of them were rewritten.
    pub rewritten: u64,
    /// How many changes had their text destroyed. A change in two files counts twice.
    pub expunged: u64,
}

/// Rewrites the files of a folder that have what `register`, or the register in any of the files, says was destroyed.
/// `progress` receives how many bytes were read and decides whether to continue; if not, the result is `None`, and
/// the folder is as before.
///
/// No file is replaced before all that replace others are complete, durable and checked. Then those with the later
/// changes are replaced first: their contents may build on those of earlier files, never the other way round. So whenever
/// the process is killed, every file can be restored from, and scrubbing again completes the rest. This needs as much
/// free space as the rewritten files take.
pub fn scrub(
    folder: &Path,
    register: &ExpungeRegister,
    progress: &mut dyn FnMut(u64) -> bool,
) -> Result<Option<Scrubbed>, BackupError> {
    // Holds the lock of the folder, so that no backup is written to it in the meantime.
    let _lock = IncomingBackup::begin(folder)?;
    let files = in_folder(folder)?;
    if files.is_empty() {
        return Err(BackupError::NoFiles(folder.to_path_buf()));
    }
    remove_left_over(folder)?;
    let mut scrub = Scrub { rewritten: BTreeSet::new(), scrubbed: Scrubbed::default() };
    scrub.scrubbed.files = files.len() as u64;
    let replaced = match scrub.prepare(&chains(&files)?, register, progress) {
        Ok(true) => scrub.replace(folder).map(Some),
        Ok(false) => Ok(None),
        Err(error) => Err(error),
    };
    if !matches!(replaced, Ok(Some(()))) {
        scrub.rewritten.iter().for_each(|(_, path)| drop(fs::remove_file(new_path(path))));
    }
    Ok(replaced?.map(|()| scrub.scrubbed))
}

/// How many of the files may have text that any of them knows to be destroyed.
pub fn with_destroyed_text(files: &[BackupFile]) -> u64 {
    let mut register = ExpungeRegister::default();
    files.iter().for_each(|file| register.merge(file.register.clone()));
    files.iter().filter(|file| is_behind(file, &register)).count() as u64
}

/// Whether the file was written before something in it was destroyed.
fn is_behind(file: &BackupFile, register: &ExpungeRegister) -> bool {
    let within = (file.header.first_seq, TreeHash([0; 32]))..(file.header.end.next_seq, TreeHash([0; 32]));
    register.0.range(within).any(|(change, expunge)| file.header.register.0.get(change) != Some(expunge))
}

/// Chains that together have all of the files.
fn chains(files: &[BackupFile]) -> Result<Vec<BackupChain>, BackupError> {
    let mut waiting: Vec<&BackupFile> = files.iter().collect();
    waiting.sort_by_key(|file| file.header.end.next_seq);
    let mut chains = Vec::new();
    while let Some(last) = waiting.pop() {
        let chain = BackupChain::ending_with(files, last)?;
        waiting.retain(|file| chain.files.iter().all(|other| other.path != file.path));
        chains.push(chain);
    }
    Ok(chains)
}

/// A folder whose files are being rewritten.
struct Scrub {
    /// The files for which there is a new one, with the positions at which they begin.
    rewritten: BTreeSet<(Seq, PathBuf)>,
    scrubbed: Scrubbed,
}

impl Scrub {
    /// Writes the new files, next to the old ones, and checks them. Returns whether all of them are there.
    fn prepare(
        &mut self,
        chains: &[BackupChain],
        register: &ExpungeRegister,
        progress: &mut dyn FnMut(u64) -> bool,
    ) -> Result<bool, BackupError> {
        let mut bytes_before = 0;
        for chain in chains {
            let mut register = register.clone();
            register.merge(chain.register.clone());
            let Some(mut scrubber) = Scrubber::new(register)? else { return Ok(true) };
            let mut files = Vec::with_capacity(chain.files.len());
            for file in &chain.files {
                let read = self.rewrite(file, &mut scrubber, &mut |bytes| progress(bytes_before + bytes))?;
                let Some(bytes) = read else { return Ok(false) };
                bytes_before += bytes;
                let is_rewritten = self.rewritten.contains(&place(file));
                files.push(if is_rewritten { BackupFile::open(&new_path(&file.path))? } else { file.clone() });
            }
            super::check(&files, |_| true)?;
        }
        Ok(true)
    }

    /// Writes the new file for an old one, unless that can stay or was rewritten as a part of another chain. Returns the
    /// number of bytes read; `None` if `progress` requested a stop.
    fn rewrite(
        &mut self,
        file: &BackupFile,
        scrubber: &mut Scrubber,
        progress: &mut dyn FnMut(u64) -> bool,
    ) -> Result<Option<u64>, BackupError> {
        // The new file has the whole register, so that it stays known whichever files are kept.
        let header = LogHeader { register: scrubber.register.clone(), ..file.header.clone() };
        let is_rewritten = self.rewritten.contains(&place(file));
        let mut new = if is_rewritten { None } else { Some(NewFile::create(new_path(&file.path), &header)?) };
        let (mut reader, mut expunged) = (file.read()?, 0);
        let mut is_altered = is_behind(file, &scrubber.register);
        loop {
            let position = reader.position();
            let Some(mut changes) = reader.next_segment()? else { break };
            for full in &mut changes {
                let was_stub = full.change.entry.expunged.is_some();
                let scrubbed = scrubber.scrub(full);
                is_altered |= scrubbed.map_err(|error| error.at(&reader, position, full.change.seq))?;
                expunged += u64::from(!was_stub && full.change.entry.expunged.is_some());
            }
            if let Some(new) = &mut new {
                new.push(changes)?;
            }
            if !progress(reader.position().offset()) {
                return Ok(None);
            }
        }
        if let Some(new) = new.filter(|_| is_altered) {
            new.finish(&reader.end().cloned().unwrap_or_default())?;
            self.scrubbed.rewritten += 1;
            self.scrubbed.expunged += expunged;
            self.rewritten.insert(place(file));
        }
        Ok(Some(reader.position().offset()))
    }

    /// Puts the new files in the place of the old ones.
    fn replace(&mut self, folder: &Path) -> Result<(), BackupError> {
        while let Some((_, path)) = self.rewritten.last() {
            fs::rename(new_path(path), path).map_err(BackupError::unwritable("replace", path))?;
            sync(folder)?;
            self.rewritten.pop_last();
        }
        Ok(())
    }
}

fn place(file: &BackupFile) -> (Seq, PathBuf) {
    (file.header.first_seq, file.path.clone())
}

fn new_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(SCRUBBED);
    name.into()
}

/// Removes the new files of a scrubbing that was interrupted.
fn remove_left_over(folder: &Path) -> Result<(), BackupError> {
    for entry in fs::read_dir(folder).map_err(BackupError::unreadable(folder))? {
        let path = entry.map_err(BackupError::unreadable(folder))?.path();
        if path.as_os_str().as_encoded_bytes().ends_with(SCRUBBED.as_bytes()) {
            fs::remove_file(&path).map_err(BackupError::unwritable("remove", &path))?;
        }
    }
    Ok(())
}

/// A file that is being written. Dropping it removes it.
struct NewFile {
    path: PathBuf,
    file: BufWriter<File>,
    writer: Option<LogWriter>,
}

impl NewFile {
    fn create(path: PathBuf, header: &LogHeader) -> Result<Self, BackupError> {
        let file = own_file::create(&path).map_err(BackupError::unwritable("create", &path))?;
        let (writer, piece) = LogWriter::begin(header);
        let mut new = Self { path, file: BufWriter::with_capacity(BUFFER_BYTES, file), writer: Some(writer) };
        new.write(&piece)?;
        Ok(new)
    }

    fn push(&mut self, changes: Vec<FullChange>) -> Result<(), BackupError> {
        for change in changes {
            if let Some(piece) = self.writer.as_mut().and_then(|writer| writer.push(change)) {
                self.write(&piece)?;
            }
        }
        Ok(())
    }

    /// Completes the file and makes it durable.
    fn finish(mut self, end: &LogEnd) -> Result<(), BackupError> {
        let piece = self.writer.take().map(|writer| writer.finish(end)).unwrap_or_default();
        self.write(&piece)?;
        let synced = self.file.flush().and_then(|()| self.file.get_ref().sync_all());
        if synced.is_err() {
            drop(fs::remove_file(&self.path));
        }
        synced.map_err(BackupError::unwritable("sync", &self.path))
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), BackupError> {
        self.file.write_all(bytes).map_err(BackupError::unwritable("write", &self.path))
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        // A complete file has no writer any more.
        if self.writer.is_some() {
            drop(fs::remove_file(&self.path));
        }
    }
}
