//! Backups, and archives that are restored from them.
//!
//! A restored archive is compared with its origin by everything that can be read of the two ([`answers`]). The origin
//! is compared with the model; `tests/it/model/run.rs` also plays random plans on restored archives.

mod answers;
mod chains;
mod consumers;
mod damage;
mod online;
mod places;
mod points;
mod validity;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dateline::internals::archive::changefeed::FeedStart;
use dateline::internals::archive::recover::restore::{RestoreError, Restored, restore_directory};
use dateline::internals::archive::request::WriteMode;
use dateline::internals::archive::{Archive, Options};
use dateline::internals::backup::{self, BackupChain, BackupFile, Changes, IncomingBackup, Until};
use dateline::internals::clock::{Clock, ManualClock};
use dateline::internals::store::engine::memory::MemoryEngine;

use crate::model::asked;
use crate::model::plan::{Text, What, Write, act, observe};
use crate::server::holder;
use crate::support::{self, block_on};

/// The bytes of a backup file.
pub(crate) async fn stream_backup(archive: &Arc<Archive>, since: FeedStart) -> Vec<u8> {
    let mut backup = archive.stream_backup(since).await.unwrap();
    let mut file = Vec::new();
    while let Some(piece) = backup.next().await.unwrap() {
        file.extend(piece.data);
    }
    file
}

/// Stores a backup file in a folder, as the command does.
pub(crate) fn keep(file: &[u8], folder: &Path) -> BackupFile {
    IncomingBackup::begin(folder).unwrap().take(file, &mut |_, _| {}).unwrap()
}

/// Restores an archive from folders and files.
pub(crate) fn restore(from: &[PathBuf], into: &Path, until: Until) -> Result<Restored, RestoreError> {
    let chain = BackupChain::from_files(backup::find(from)?)?;
    let archive_id = chain.archive_id();
    let changes = Changes::new(chain, until)?;
    let options = Options { free_space_floor_bytes: 0, ..Options::default() };
    let go_on = &mut |_, _| ControlFlow::Continue(());
    restore_directory(changes, archive_id, into, &options, holder(), go_on).map(|restored| restored.unwrap())
}

/// Opens an archive that no process holds.
fn open(path: &Path) -> Arc<Archive> {
    let clock = Arc::new(ManualClock::new(support::now().saturating_add_micros(60_000_000)));
    Arc::new(support::open_directory(path, &Options { free_space_floor_bytes: 0, ..Options::default() }, &clock))
}

/// An archive in memory with these batches, each written some time after the one before.
pub(crate) fn written(batches: &[Vec<Write>]) -> Arc<Archive> {
    let clock = Arc::new(ManualClock::new(support::now()));
    let archive = Archive::over(Arc::new(MemoryEngine::new()), &Options::default(), Arc::clone(&clock) as _).unwrap();
    block_on(async {
        for batch in batches {
            clock.set(clock.now().saturating_add_micros(1_000));
            let operations = batch.iter().map(|write| asked::operation(write, None)).collect();
            archive.write(operations, WriteMode::Commit).await.unwrap();
        }
    });
    Arc::new(archive)
}

/// Writes of every kind, some of them in batches.
fn batches() -> Vec<Vec<Write>> {
    let with_original = |article, at, text, original| {
        let what = What::Observe {
            text: Text(text),
            urls: vec![8],
            original: Some(original),
            fetch: Some(text),
            labels: vec![text % 2],
            coalesce_within: 0,
        };
        act(article, at, what)
    };
    vec![
        vec![observe(0, 0, Text(0))],
        vec![with_original(1, 0, 2, 2), observe(0, 4, Text(1)), observe(2, 2, Text(3))],
        vec![observe(0, 2, Text(0))],
        vec![act(0, 6, What::Withdraw(1)), act(1, 4, What::Withdraw(0))],
        vec![act(0, 8, What::Reinstate(0))],
        vec![act(0, 10, What::Rollback(1)), observe(3, 0, Text(4))],
        vec![with_original(2, 8, 4, 1)],
    ]
}
