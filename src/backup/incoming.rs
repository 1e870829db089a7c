//! Writes a backup file: checks it as it arrives, and gives it its name when it is complete and durable.

use std::fs::{self, File, Permissions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::file::in_folder;
use super::{BackupChain, BackupError, BackupFile};
use crate::model::{Seq, SubscriptionId, Webhook};
use crate::store::engine::{own_file, own_folder};
use crate::store::logfile::{LogEnd, LogHeader, LogReader};
use crate::store::subscription::SubscriptionRecord;

/// The name of a file until it is complete.
const PART: &str = "backup.part";

/// A backup that this process is writing to a folder. Dropping it removes an incomplete file.
pub struct IncomingBackup {
    folder: PathBuf,
    part: PathBuf,
    file: File,
    complete: bool,
}

impl IncomingBackup {
    /// The last file of the backup in a folder, which the next backup continues. `None` if the folder does not exist or
    /// has no backup files. Fails if the files do not form a chain from the first change to the last file, so that
    /// nothing is appended to a backup that cannot be restored. Only headers are read.
    pub fn latest(folder: &Path) -> Result<Option<BackupFile>, BackupError> {
        let files = in_folder(folder)?;
        if files.is_empty() {
            return Ok(None);
        }
        Ok(BackupChain::from_files(files)?.files.pop())
    }

    /// Begins a backup in a folder, which is created with mode 0700 if it does not exist; the file gets mode 0600. The
    /// remains of an earlier, interrupted backup are overwritten.
    pub fn begin(folder: &Path) -> Result<Self, BackupError> {
        own_folder::create_all(folder).map_err(BackupError::unwritable("create", folder))?;
        let part = folder.join(PART);
        loop {
            let file = own_file::create(&part).map_err(BackupError::unwritable("create", &part))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(BackupError::InUse(folder.to_path_buf())),
                Err(TryLockError::Error(error)) => return Err(BackupError::unwritable("lock", &part)(error)),
            }
            // The previous holder of the lock may have finished: then this is the complete file under its new name.
            if is_at(&file, &part).map_err(BackupError::unwritable("look at", &part))? {
                file.set_len(0).map_err(BackupError::unwritable("empty", &part))?;
                // An older file may have a mode that lets others read it.
                let restricted = file.set_permissions(Permissions::from_mode(0o600));
                restricted.map_err(BackupError::unwritable("restrict access to", &part))?;
                return Ok(Self { folder: folder.to_path_buf(), part, file, complete: false });
            }
        }
    }

    /// Writes and checks `bytes`, makes the file durable, and gives it its name. `progress` receives the position of
    /// the next change and the number of bytes so far.
    pub fn take(mut self, bytes: impl Read, progress: &mut dyn FnMut(Seq, u64)) -> Result<BackupFile, BackupError> {
        let (header, _) = self.receive(bytes, progress)?;
        self.finish(header)
    }

    /// As [`Self::take`], for a backup that continues from the end of `latest`. If the backup has neither new changes
    /// nor differences in durable subscriptions, no file is kept and the result is `None`.
    pub fn take_if_new(
        mut self,
        latest: &BackupFile,
        bytes: impl Read,
        progress: &mut dyn FnMut(Seq, u64),
    ) -> Result<Option<BackupFile>, BackupError> {
        let (header, end) = self.receive(bytes, progress)?;
        let is_new =
            header.changes() > 0 || comparable_subscriptions(end) != comparable_subscriptions(latest.read_end()?);
        if is_new { self.finish(header).map(Some) } else { Ok(None) }
    }

    fn receive(
        &mut self,
        bytes: impl Read,
        progress: &mut dyn FnMut(Seq, u64),
    ) -> Result<(LogHeader, LogEnd), BackupError> {
        receive(&self.part.display().to_string(), bytes, &mut self.file, progress)
    }

    /// Makes the file durable under its final name. Replaces an existing file with that name, which has the same
    /// changes and an earlier state.
    fn finish(mut self, header: LogHeader) -> Result<BackupFile, BackupError> {
        self.file.sync_all().map_err(BackupError::unwritable("sync", &self.part))?;
        let path = self.folder.join(BackupFile::name_of(&header));
        fs::rename(&self.part, &path).map_err(BackupError::unwritable("rename the complete file to", &path))?;
        self.complete = true;
        sync(&self.folder)?;
        // The folder itself may be new.
        if let Some(parent) = self.folder.parent().filter(|parent| *parent != Path::new("")) {
            sync(parent)?;
        }
        Ok(BackupFile::at(path, header))
    }
}

impl Drop for IncomingBackup {
    fn drop(&mut self) {
        if !self.complete {
            // The next backup overwrites it anyway.
            drop(fs::remove_file(&self.part));
        }
    }
}

/// The durable subscriptions without epoch and restored flag, and without the attempts of their webhooks. A restore sets
/// the first two anyway, and a consumer that attaches or tries again without having made progress is not news.
fn comparable_subscriptions(end: LogEnd) -> Vec<(SubscriptionId, SubscriptionRecord)> {
    let without_epoch = |(id, record): (_, SubscriptionRecord)| {
        let webhook = record.webhook.map(|webhook| Webhook { attempt_time: None, ..webhook.with_new_message() });
        (id, SubscriptionRecord { epoch: 0, restored: false, webhook, ..record })
    };
    end.subscriptions.into_iter().map(without_epoch).collect()
}

/// Copies a backup to `into`, and checks the backup on the way. `progress` receives the position of the next change and
/// the number of bytes so far.
pub fn receive(
    name: &str,
    bytes: impl Read,
    into: impl Write,
    progress: &mut dyn FnMut(Seq, u64),
) -> Result<(LogHeader, LogEnd), BackupError> {
    let mut tee = Tee { bytes, into, failure: None };
    let checked = read_all(name, &mut tee, progress);
    let failed = tee.failure.take().or_else(|| tee.into.flush().err());
    match failed {
        Some(source) => Err(BackupError::Unwritable { action: "write", path: name.into(), source }),
        None => checked,
    }
}

fn read_all(
    name: &str,
    bytes: impl Read,
    progress: &mut dyn FnMut(Seq, u64),
) -> Result<(LogHeader, LogEnd), BackupError> {
    let mut reader = LogReader::open(name, bytes)?;
    while reader.next_segment()?.is_some() {
        progress(reader.position().next_seq(), reader.position().offset());
    }
    // The end frame counts as progress too.
    progress(reader.position().next_seq(), reader.position().offset());
    Ok((reader.header().clone(), reader.end().cloned().unwrap_or_default()))
}

/// A reader that copies everything read through it.
struct Tee<R, W> {
    bytes: R,
    into: W,
    /// The error of the copy, which must not be reported as a read error.
    failure: Option<io::Error>,
}

impl<R: Read, W: Write> Read for Tee<R, W> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.bytes.read(buffer)?;
        let bytes_read = buffer.get(..count).unwrap_or_default();
        if let Err(error) = self.into.write_all(bytes_read) {
            let reported = io::Error::from(error.kind());
            self.failure = Some(error);
            return Err(reported);
        }
        Ok(count)
    }
}

/// Whether `path` still leads to the open `file`.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let ours = file.metadata()?;
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
        Ok(there) => Ok((ours.dev(), ours.ino()) == (there.dev(), there.ino())),
    }
}

pub(super) fn sync(folder: &Path) -> Result<(), BackupError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(BackupError::unwritable("sync", folder))
}
