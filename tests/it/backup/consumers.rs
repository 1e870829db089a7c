//! What an incremental backup saves of durable subscriptions when there is no new change: their positions.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dateline::internals::archive::changefeed::FeedStart;
use dateline::internals::archive::request::WriteMode;
use dateline::internals::archive::subscriptions::{EditCondition, ParkRequest};
use dateline::internals::archive::{Archive, Options};
use dateline::internals::backup::{BackupChain, BackupFile, IncomingBackup, Until, check, find};
use dateline::internals::clock::{Clock, ManualClock};
use dateline::internals::store::engine::memory::MemoryEngine;
use dateline::model::{FeedQuery, Seq, SubscriptionId};
use tempfile::TempDir;

use super::{batches, keep, open, restore, stream_backup};
use crate::model::asked;
use crate::model::plan::{Text, observe};
use crate::support::{self, block_on};
use crate::verify::verified;

/// An archive with changes, its clock, and the folder of its backup.
struct Saved {
    archive: Arc<Archive>,
    clock: Arc<ManualClock>,
    directory: TempDir,
}

fn index() -> SubscriptionId {
    SubscriptionId::parse("index").unwrap()
}

impl Saved {
    /// An archive with 11 changes, and a subscription that begins at the first.
    async fn new() -> Self {
        let clock = Arc::new(ManualClock::new(support::now()));
        let engine = Arc::new(MemoryEngine::new());
        let archive = Arc::new(Archive::over(engine, &Options::default(), Arc::clone(&clock) as _).unwrap());
        for batch in batches() {
            let operations = batch.iter().map(|write| asked::operation(write, None)).collect();
            archive.write(operations, WriteMode::Commit).await.unwrap();
        }
        archive.create_subscription(index(), FeedQuery::default(), Seq::ZERO, support::CREATION).await.unwrap();
        Self { archive, clock, directory: TempDir::new().unwrap() }
    }

    fn folder(&self) -> PathBuf {
        self.directory.path().join("backup")
    }

    async fn write(&self, at: i64) {
        let operation = asked::operation(&observe(0, at, Text(1)), None);
        self.archive.write(vec![operation], WriteMode::Commit).await.unwrap();
    }

    async fn move_to(&self, seq: u64) {
        self.archive.seek_subscription(index(), Seq(seq), EditCondition::default()).await.unwrap();
    }

    /// Moves the clock on or back.
    fn pass(&self, minutes: i64) {
        self.clock.set(self.clock.now().saturating_add_micros(minutes * 60_000_000));
    }

    async fn full(&self) -> BackupFile {
        keep(&stream_backup(&self.archive, FeedStart::Beginning).await, &self.folder())
    }

    async fn new_since(&self) -> Option<BackupFile> {
        new_since(&self.archive, &self.folder()).await
    }

    /// The position of the subscription in an archive that is restored from the folder.
    async fn restored(&self, until: Until) -> u64 {
        let into = self.directory.path().join("restored");
        restore(&[self.folder()], &into, until).unwrap();
        let restored = open(&into);
        let at = restored.subscription(index()).await.unwrap().record.next_seq.0;
        restored.close().await;
        drop(restored);
        std::fs::remove_dir_all(into).unwrap();
        at
    }
}

/// Makes an incremental backup, as the command does.
async fn new_since(archive: &Arc<Archive>, folder: &Path) -> Option<BackupFile> {
    let latest = IncomingBackup::latest(folder).unwrap().unwrap();
    let end = latest.header.end;
    let file = stream_backup(archive, FeedStart::Exact { next_seq: end.next_seq, log_digest: end.log_digest }).await;
    IncomingBackup::begin(folder).unwrap().take_if_new(&latest, file.as_slice(), &mut |_, _| {}).unwrap()
}

fn names(folder: &Path) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

/// An incremental backup without a new change used to save nothing. A restored archive then sent its consumers again
/// everything that they had acknowledged since the last change.
#[test]
fn positions_of_consumers_are_saved_without_a_new_change() {
    block_on(async {
        let saved = Saved::new().await;
        saved.full().await;
        assert!(saved.new_since().await.is_none(), "nothing is new");
        saved.move_to(5).await;
        assert_eq!(saved.new_since().await.unwrap().header.changes(), 0);
        assert!(saved.new_since().await.is_none());
        saved.move_to(7).await;
        assert!(saved.new_since().await.is_some());
        assert_eq!(names(&saved.folder()), 2, "the newer file replaces the older one at the same position");
        drop(saved.archive.attach_subscription(index(), "a consumer".to_owned(), None).await.unwrap());
        assert!(saved.new_since().await.is_none(), "a consumer back at its saved position needs no backup");
        for until in [Until::End, Until::Seq(Seq(11))] {
            assert_eq!(saved.restored(until).await, 7, "{until:?}");
        }
        let chain = BackupChain::from_files(find(&[saved.folder()]).unwrap()).unwrap();
        assert_eq!(chain.files.len(), 2);
        assert_eq!(check(&chain.files, |_| true).unwrap().unwrap().changes, 11);

        // The log continues after that file.
        saved.write(20).await;
        assert_eq!(saved.new_since().await.unwrap().header.first_seq, Seq(11));
        assert_eq!(names(&saved.folder()), 3);
        saved.move_to(12).await;
        assert!(saved.new_since().await.is_some());
        assert_eq!(saved.restored(Until::End).await, 12);
        let chain = BackupChain::from_files(find(&[saved.folder()]).unwrap()).unwrap();
        assert_eq!(chain.files.len(), 3, "the file at the earlier tail is no longer needed");
        saved.archive.delete_subscription(index(), None).await.unwrap();
        assert!(saved.new_since().await.is_some(), "a deleted subscription needs a backup");
    });
}

/// Parked changes are saved without a new change, and come back with the subscription. A restore to an earlier point drops
/// those that the log then no longer has.
#[test]
fn parked_changes_are_saved_and_restored() {
    block_on(async {
        let saved = Saved::new().await;
        saved.full().await;
        let attached = saved.archive.attach_subscription(index(), String::new(), None).await.unwrap();
        attached.deliver(Seq(11));
        let park = async |seq| {
            let request = ParkRequest { epoch: attached.epoch, seq, reason: "broken".to_owned(), attempts: 2 };
            saved.archive.park_change(index(), request, support::parking_plan()).await.unwrap().record
        };
        let mut parked = Vec::new();
        for seq in (0..11).map(Seq) {
            let request = ParkRequest { epoch: attached.epoch, seq, reason: String::new(), attempts: 1 };
            if saved.archive.park_change(index(), request, support::parking_plan()).await.is_ok() {
                parked.push(seq);
            }
        }
        let (first, last) = (parked[0], *parked.last().unwrap());
        park(first).await;
        let record = park(last).await;
        assert_eq!(record.parked.keys().copied().collect::<Vec<_>>(), parked);
        assert_eq!(saved.new_since().await.unwrap().header.changes(), 0);
        assert!(saved.new_since().await.is_none(), "nothing is new");
        let full = saved.directory.path().join("full");
        keep(&stream_backup(&saved.archive, FeedStart::Beginning).await, &full);
        for (folder, until) in [(saved.folder(), Until::End), (full.clone(), Until::End), (full, Until::Seq(last))] {
            let into = saved.directory.path().join("parked");
            let end = restore(&[folder], &into, until).unwrap().end.next_seq;
            assert_eq!(end > last, until == Until::End);
            let restored = open(&into);
            let found = restored.subscription(index()).await.unwrap().record.parked.clone();
            let kept = record.parked.iter().filter(|(seq, _)| **seq < end);
            assert_eq!(*found, kept.map(|(seq, parked)| (*seq, parked.clone())).collect::<BTreeMap<_, _>>());
            let (summary, findings) = verified(&restored).await;
            assert_eq!((summary.findings, findings), (0, Vec::new()));
            restored.close().await;
            drop(restored);
            std::fs::remove_dir_all(into).unwrap();
        }
    });
}

/// Of two files that end at the same position, the clock does not decide which one is later.
#[test]
fn a_clock_that_was_set_back_does_not_restore_an_earlier_position() {
    block_on(async {
        let saved = Saved::new().await;
        saved.full().await;
        for (minutes, place) in [(-60, 3), (-60, 4), (5, 6)] {
            saved.pass(minutes);
            saved.move_to(place).await;
            assert!(saved.new_since().await.is_some());
            assert!(saved.new_since().await.is_none());
            assert_eq!(saved.restored(Until::End).await, place);
        }
        // A new full backup is the latest file, and the next incremental one continues from it.
        saved.pass(-60);
        saved.move_to(8).await;
        saved.full().await;
        assert_eq!(saved.restored(Until::End).await, 8);
        assert!(saved.new_since().await.is_none());
        for (minutes, at, place) in [(-60, 20, 10), (-60, 30, 11), (200, 40, 12)] {
            saved.pass(minutes);
            saved.write(at).await;
            assert_eq!(saved.new_since().await.unwrap().header.changes(), 1);
            saved.pass(-10);
            saved.move_to(place).await;
            assert!(saved.new_since().await.is_some());
            assert_eq!(saved.restored(Until::End).await, place);
        }
    });
}

/// A restored archive continues the commit count, so that a backup at the position of the restore counts as later.
#[test]
fn a_restored_archive_continues_the_backup_in_the_same_folder() {
    block_on(async {
        let saved = Saved::new().await;
        saved.full().await;
        saved.move_to(3).await;
        assert!(saved.new_since().await.is_some());
        let into = saved.directory.path().join("goes on");
        restore(&[saved.folder()], &into, Until::End).unwrap();
        let clock = Arc::new(ManualClock::new(saved.clock.now().saturating_add_micros(-3_600_000_000)));
        let options = Options { free_space_floor_bytes: 0, ..Options::default() };
        let restored = Arc::new(support::open_directory(&into, &options, &clock));
        assert!(new_since(&restored, &saved.folder()).await.is_none(), "only the epochs differ from the backup");
        restored.seek_subscription(index(), Seq(9), EditCondition::default()).await.unwrap();
        assert!(new_since(&restored, &saved.folder()).await.is_some());
        restored.close().await;
        assert_eq!(saved.restored(Until::End).await, 9);
    });
}

/// Most of the latest file is skipped to read its end. Damage at the end is reported.
#[test]
fn the_end_of_the_latest_file_is_checked_where_it_is_read() {
    block_on(async {
        let saved = Saved::new().await;
        let file = saved.full().await;
        let bytes = std::fs::read(&file.path).unwrap();
        let end = stream_backup(&saved.archive, FeedStart::Seq(Seq(11))).await;
        for (at, words) in [(bytes.len() - 1, "is damaged"), (bytes.len(), "is cut short")] {
            let mut altered = bytes.clone();
            match altered.get_mut(at) {
                Some(byte) => *byte ^= 1,
                None => altered.truncate(bytes.len() - 1),
            }
            std::fs::write(&file.path, altered).unwrap();
            let incoming = IncomingBackup::begin(&saved.folder()).unwrap();
            let refused = incoming.take_if_new(&file, end.as_slice(), &mut |_, _| {}).unwrap_err();
            assert!(refused.is_damage() && refused.to_string().contains(words), "{refused}");
        }
        assert_eq!(names(&saved.folder()), 1);
    });
}
