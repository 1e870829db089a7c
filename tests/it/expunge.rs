//! What was destroyed is in no file and no answer any more, and everything else is as before.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dateline::internals::archive::changefeed::FeedStart;
use dateline::internals::archive::expunge::{ExpungeRequest, ExpungeScope};
use dateline::internals::archive::recover::compact::{CompactMode, compact_directory};
use dateline::internals::archive::recover::restore::{RestoreError, Restored, restore_directory};
use dateline::internals::archive::recover::verify::{rebuild_directory, verify_directory};
use dateline::internals::archive::request::{WriteMode, WriteOrigin};
use dateline::internals::archive::{Archive, Options};
use dateline::internals::backup::{self, BackupChain, BackupFile, Changes, Until};
use dateline::internals::clock::ManualClock;
use dateline::internals::store::Tables;
use dateline::internals::store::engine::Entry;
use dateline::internals::store::full_change::FullChange;
use dateline::internals::store::logfile::LogReader;
use dateline::model::leaf::Salt;
use dateline::model::{ArticleId, ArticleName, Change, ExpungeReason, ExpungeRegister, RevisionNumber, Seq};
use proptest::prelude::*;
use tempfile::TempDir;

use crate::backup::{keep, restore, stream_backup};
use crate::compact::{contents, files_with, open, record, unaltered};
use crate::model::batches_of;
use crate::model::plan::Text;
use crate::support::{self, block_on, holder, observe};
use crate::verify::{collect, entries};

const LOG: u8 = 1;
const CONTENT: u8 = 2;
const ORIGINAL: u8 = 3;

fn options() -> Options {
    Options { free_space_floor_bytes: 0, ..Options::default() }
}

fn archive(path: &Path, later_seconds: i64) -> Arc<Archive> {
    let clock = ManualClock::new(support::now().saturating_add_micros(later_seconds * 1_000_000));
    Arc::new(support::open_directory(path, &options(), &Arc::new(clock)))
}

fn must_be_intact(path: &Path) {
    let mut findings = Vec::new();
    let summary = verify_directory(path, &options(), holder(), &mut |event| collect(event, &mut findings));
    assert!(summary.unwrap().is_some());
    assert_eq!(findings, []);
}

fn compact(path: &Path) {
    compact_directory(path, CompactMode::Compress, &options(), holder(), &mut |_| ControlFlow::Continue(()))
        .unwrap()
        .unwrap();
}

fn order(article: &ArticleName, scope: ExpungeScope) -> ExpungeRequest {
    let (reason, reference) = (ExpungeReason::CourtOrder, "14 O 82/26".to_owned());
    ExpungeRequest { article: article.clone(), scope, reason, reference }
}

fn close(archive: Arc<Archive>) {
    block_on(archive.close());
    drop(archive);
}

/// What the database has, by kind.
struct Stored {
    entries: Vec<Entry>,
    changes: BTreeMap<Seq, Change>,
    contents: BTreeMap<u64, Vec<u8>>,
}

fn stored(path: &Path) -> Stored {
    let engine = open(path);
    let entries = entries(&engine);
    let tables = Tables::new(&engine);
    let changes = (0..).map(Seq).map_while(|seq| tables.change(seq).unwrap().map(|change| (seq, change))).collect();
    let contents = contents(&engine, &entries);
    Stored { changes, contents, entries }
}

/// The bytes that must be in no file any more: of the values stored for these changes, of their digests and their salts.
fn secrets(before: &Stored, targets: &BTreeSet<Seq>) -> Vec<Vec<u8>> {
    let is_of_target = |key: &[u8]| {
        [LOG, CONTENT, ORIGINAL].contains(&key[0])
            && targets.contains(&Seq(u64::from_be_bytes(key[1..9].try_into().unwrap())))
    };
    let values = before.entries.iter().filter(|(key, _)| is_of_target(key));
    // The end of a record is its text. What comes first, such as the times, stays.
    let ends = values.map(|(_, value)| value[value.len().saturating_sub(24)..].to_vec());
    let mut secrets: Vec<Vec<u8>> = ends.collect();
    for seq in targets {
        // An earlier destruction is a target of one that takes the name.
        let Some(Change { entry, .. }) = before.changes.get(seq) else { continue };
        if entry.expunged.is_none() {
            assert_ne!(entry.salt, Salt::default());
            secrets.push(entry.salt.0.to_vec());
        }
        if let Some(record) = entry.revision_with_content() {
            secrets.push(record.digest.0[..16].to_vec());
            secrets.extend(record.original.as_ref().map(|original| original.sha256.to_vec()));
        }
    }
    // Another article may say the same, and keeps it.
    let kept: Vec<&Vec<u8>> =
        before.entries.iter().filter(|(key, _)| key[0] == LOG && !is_of_target(key)).map(|(_, value)| value).collect();
    let is_kept = |secret: &Vec<u8>| kept.iter().any(|value| value.windows(secret.len()).any(|part| part == secret));
    secrets.retain(|secret| !is_kept(secret));
    secrets
}

/// Fails if a file below `path` has one of the secrets.
fn must_be_gone(path: &Path, secrets: &[Vec<u8>]) {
    for secret in secrets {
        assert_eq!(files_with(path, secret), Vec::<PathBuf>::new(), "{}", String::from_utf8_lossy(secret));
    }
}

#[derive(Clone, Copy, Debug)]
enum Amount {
    OneRevision(u32),
    SomeRevisions,
    Article,
    Name,
}

impl Amount {
    fn scope(self, revisions: u32) -> ExpungeScope {
        let numbers = |numbers: &mut dyn Iterator<Item = u32>| {
            ExpungeScope::Revisions(numbers.map(|number| RevisionNumber::new(number).unwrap()).collect())
        };
        match self {
            Self::OneRevision(which) => numbers(&mut std::iter::once(which % revisions + 1)),
            Self::SomeRevisions => numbers(&mut (1..=revisions).step_by(2)),
            Self::Article => ExpungeScope::Article,
            Self::Name => ExpungeScope::ArticleAndName,
        }
    }
}

fn amount() -> impl Strategy<Value = Amount> {
    prop_oneof![
        any::<u32>().prop_map(Amount::OneRevision),
        Just(Amount::SomeRevisions),
        Just(Amount::Article),
        Just(Amount::Name),
    ]
}

/// The articles with their numbers of revisions.
fn articles(stored: &Stored) -> BTreeMap<ArticleName, u32> {
    let mut articles = BTreeMap::new();
    for change in stored.changes.values() {
        *articles.entry(change.entry.name.clone()).or_default() += u32::from(change.entry.new_revision.is_some());
    }
    articles
}

/// Everything but the targets must be what it was: each change, its digest, and each content.
fn must_be_as_before(before: &Stored, after: &Stored, targets: &BTreeSet<Seq>) {
    for (seq, change) in &before.changes {
        let now = &after.changes[seq];
        assert_eq!((change.log_digest, change.seq), (now.log_digest, now.seq), "histories do not change");
        assert_eq!(targets.contains(seq), now.entry.expunged.is_some() || now.entry != change.entry, "{seq}");
        if !targets.contains(seq) {
            assert_eq!(change, now);
            assert_eq!(before.contents.get(&seq.0), after.contents.get(&seq.0), "{seq}");
        } else {
            assert_eq!(after.contents.get(&seq.0), None);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_destroyed_is_in_no_file_and_everything_else_is_as_before(
        seed in 0_u64..1 << 32,
        which: prop::sample::Index,
        amounts in prop::collection::vec(amount(), 1..3),
    ) {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("archive");
        let backup = directory.path().join("backup");
        let written = archive(&path, 0);
        let mut saved = FeedStart::Beginning;
        for operations in batches_of(seed, 40).chunks(14) {
            block_on(async {
                for operations in operations {
                    drop(written.write(operations.clone(), WriteMode::Commit).await);
                }
            });
            saved = save(&written, saved, &backup);
        }
        close(written);
        let before = stored(&path);
        let (mut name, revisions) = which.get(&articles(&before).into_iter().collect::<Vec<_>>()).clone();

        let (mut targets, mut last) = (BTreeSet::new(), None);
        let opened = archive(&path, 60);
        for amount in amounts {
            let request = order(&name, amount.scope(revisions));
            let plan = block_on(opened.plan_expunge(request.clone())).unwrap();
            let done = block_on(opened.expunge(&WriteOrigin::default(), request.clone(), plan.digest));
            if plan.changes == 0 {
                prop_assert!(done.is_err());
                continue;
            }
            let done = done.unwrap();
            prop_assert_eq!(&done.plan, &plan);
            name = done.article.clone();
            last = Some(done.seq);
            prop_assert!(block_on(opened.expunge(&WriteOrigin::default(), request, plan.digest)).is_err(), "nothing is left of the plan");
        }
        let pending = block_on(opened.destruction_pending()).unwrap();
        prop_assert_eq!(pending.is_some(), last.is_some());
        // The article gets further revisions.
        let next = observe(&name, support::at(900), Text(9));
        drop(block_on(opened.write(vec![next], WriteMode::Commit)));
        // An older backup that is elsewhere does not know of the destruction.
        let elsewhere = copy_of(&backup, &directory.path().join("elsewhere"));
        save(&opened, saved, &backup);
        close(opened);
        must_be_intact(&path);
        let after = stored(&path);
        for change in after.changes.values() {
            targets.extend(change.entry.expunging.iter().flat_map(|done| &done.targets).map(|target| target.seq));
        }
        must_be_as_before(&before, &after, &targets);
        let secrets = secrets(&before, &targets);

        // An archive that is rebuilt has the same indexes. The old database is out of the way, and its text with it.
        let mut ignored = |_| ControlFlow::Continue(());
        rebuild_directory(&path, &options(), holder(), &mut ignored).unwrap().unwrap();
        let rebuilt = stored(&path);
        prop_assert_eq!(unaltered(&rebuilt.entries), unaltered(&after.entries));

        compact(&path);
        must_be_intact(&path);
        must_be_gone(&path, &secrets);
        let compacted = stored(&path);
        must_be_as_before(&before, &compacted, &targets);
        let reopened = archive(&path, 120);
        prop_assert_eq!(block_on(reopened.destruction_pending()).unwrap(), None);
        close(reopened);

        // No restore brings the text back: neither from all files, nor from some that are older, nor from a backup that
        // only learns of it from the register.
        let files = files_of(&backup);
        let from_all = directory.path().join("from-all");
        restore(std::slice::from_ref(&backup), &from_all, Until::End).unwrap();
        must_be_restored(&from_all, &before, &after, &targets, &secrets);
        let from_older = directory.path().join("from-older");
        restore(&files[..2], &from_older, Until::End).unwrap();
        must_be_restored(&from_older, &before, &after, &targets, &secrets);
        let from_elsewhere = directory.path().join("from-elsewhere");
        let register = path.join("EXPUNGED");
        restore_with(std::slice::from_ref(&elsewhere), &register, &from_elsewhere).unwrap();
        must_be_restored(&from_elsewhere, &before, &after, &targets, &secrets);

        // Scrubbed files do not have it.
        for (folder, register) in [(&backup, None), (&elsewhere, Some(&register))] {
            let had_text = files_of(folder).iter().any(|file| !targets_with_text(file, &targets).is_empty());
            prop_assert_eq!(had_text, !targets.is_empty());
            let register = register.map(|file| register_of(file)).unwrap_or_default();
            let scrubbed = backup::scrub(folder, &register, &mut |_| true).unwrap().unwrap();
            prop_assert_eq!(scrubbed.rewritten > 0, had_text);
            prop_assert_eq!(backup::with_destroyed_text(&backup::find(std::slice::from_ref(folder)).unwrap()), 0);
            for file in files_of(folder) {
                prop_assert_eq!(targets_with_text(&file, &targets), []);
                must_have_no_record_of(&file, &secrets);
            }
            must_be_gone(folder, &secrets);
            backup::check(&chain(folder).files, |_| true).unwrap().unwrap();
            prop_assert_eq!(backup::scrub(folder, &register, &mut |_| true).unwrap().unwrap().rewritten, 0);
            let again = directory.path().join("again").join(folder.file_name().unwrap());
            restore(std::slice::from_ref(folder), &again, Until::End).unwrap();
            must_be_restored(&again, &before, &after, &targets, &secrets);
        }
    }
}

/// Saves what is new since the last backup in a folder.
fn save(archive: &Arc<Archive>, since: FeedStart, folder: &Path) -> FeedStart {
    let tail = archive.tail();
    keep(&block_on(stream_backup(archive, since)), folder);
    FeedStart::Exact { next_seq: tail.next_seq, log_digest: tail.log_digest }
}

fn files_of(folder: &Path) -> Vec<PathBuf> {
    let files = backup::find(&[folder.to_path_buf()]).unwrap();
    files.into_iter().map(|file| file.path).collect()
}

fn chain(folder: &Path) -> BackupChain {
    BackupChain::from_files(backup::find(&[folder.to_path_buf()]).unwrap()).unwrap()
}

fn copy_of(folder: &Path, to: &Path) -> PathBuf {
    fs::create_dir(to).unwrap();
    for file in files_of(folder) {
        fs::copy(&file, to.join(file.file_name().unwrap())).unwrap();
    }
    to.to_path_buf()
}

fn register_of(file: &Path) -> ExpungeRegister {
    if file.exists() { BackupFile::open(file).unwrap().register } else { ExpungeRegister::default() }
}

fn restore_with(from: &[PathBuf], register: &Path, into: &Path) -> Result<Restored, RestoreError> {
    let mut chain = BackupChain::from_files(backup::find(from)?)?;
    chain.register.merge(register_of(register));
    let archive_id = chain.archive_id();
    let changes = Changes::new(chain, Until::End)?;
    let restored =
        restore_directory(changes, archive_id, into, &options(), holder(), &mut |_, _| ControlFlow::Continue(()));
    restored.map(Option::unwrap)
}

/// What a restore gives is the archive as it is after the destruction, up to where it ends.
fn must_be_restored(path: &Path, before: &Stored, after: &Stored, targets: &BTreeSet<Seq>, secrets: &[Vec<u8>]) {
    must_be_intact(path);
    must_be_gone(path, secrets);
    let restored = stored(path);
    for (seq, change) in &restored.changes {
        assert_eq!(Some(change), after.changes.get(seq), "{seq}");
        let expected = if targets.contains(seq) { None } else { after.contents.get(&seq.0) };
        assert_eq!(restored.contents.get(&seq.0), expected, "{seq}");
    }
    assert!(restored.changes.len() > before.changes.len() / 3);
}

fn changes_of(file: &Path) -> Vec<FullChange> {
    let mut reader = LogReader::open("", fs::File::open(file).unwrap()).unwrap();
    std::iter::from_fn(|| reader.next_segment().unwrap()).flatten().collect()
}

/// The targets of which the file has the text.
fn targets_with_text(file: &Path, targets: &BTreeSet<Seq>) -> Vec<Seq> {
    let is_whole = |full: &FullChange| targets.contains(&full.change.seq) && full.change.entry.expunged.is_none();
    changes_of(file).iter().filter(|full| is_whole(full)).map(|full| full.change.seq).collect()
}

fn must_have_no_record_of(file: &Path, secrets: &[Vec<u8>]) {
    for full in changes_of(file) {
        for secret in secrets {
            assert!(!full.record.windows(secret.len()).any(|part| part == secret), "{}", full.change.seq);
        }
    }
}

/// Wherever the replacing of files is cut, what is there can be restored, has every text that was not destroyed, and is
/// scrubbed by the next call.
#[test]
fn a_scrub_that_is_cut_between_two_files_loses_nothing_and_is_completed_by_the_next() {
    let directory = TempDir::new().unwrap();
    let (path, backup) = (directory.path().join("archive"), directory.path().join("backup"));
    let written = archive(&path, 0);
    let mut saved = FeedStart::Beginning;
    // Each file has contents that are stored as differences from those of the file before.
    for turns in [0..11, 11..23, 23..40] {
        record(&written, 1, turns);
        saved = save(&written, saved, &backup);
    }
    let long = ArticleName { article: ArticleId::parse("long").unwrap(), ..support::article(1) };
    let request = order(&long, ExpungeScope::Revisions((2..=40).step_by(2).map(support::number).collect()));
    let plan = block_on(written.plan_expunge(request.clone())).unwrap();
    block_on(written.expunge(&WriteOrigin::default(), request, plan.digest)).unwrap();
    save(&written, saved, &backup);
    close(written);

    let (old, new) = (copy_of(&backup, &directory.path().join("old")), backup);
    assert_eq!(backup::scrub(&new, &ExpungeRegister::default(), &mut |_| true).unwrap().unwrap().rewritten, 3);
    let expected = stored(&path);
    for replaced in 0..=3 {
        let cut = copy_of(&old, &directory.path().join(format!("cut-{replaced}")));
        let files = files_of(&cut);
        for file in files.iter().take(3).rev().take(replaced) {
            fs::copy(new.join(file.file_name().unwrap()), file).unwrap();
        }
        // A part of another new file.
        let part = files[0].with_file_name(format!("{}.scrubbed", files[0].file_name().unwrap().display()));
        fs::write(&part, b"dateline log 1\n").unwrap();
        let restored = directory.path().join(format!("restored-{replaced}"));
        restore(std::slice::from_ref(&cut), &restored, Until::End).unwrap();
        assert_eq!(stored(&restored).contents, expected.contents, "{replaced}");
        let scrubbed = backup::scrub(&cut, &ExpungeRegister::default(), &mut |_| true).unwrap().unwrap();
        assert_eq!(scrubbed.rewritten, 3 - replaced as u64);
        assert!(!part.exists());
        for file in files_of(&cut) {
            assert_eq!(fs::read(&file).unwrap(), fs::read(new.join(file.file_name().unwrap())).unwrap());
        }
    }

    // The order matters: without the first file's old contents, those of the next cannot be read.
    let wrong = copy_of(&old, &directory.path().join("wrong"));
    let first = files_of(&wrong).remove(0);
    fs::copy(new.join(first.file_name().unwrap()), &first).unwrap();
    assert!(restore(&[wrong], &directory.path().join("restored-wrong"), Until::End).is_err());

    // A stop in the middle leaves the folder as it was.
    let mut calls = 0;
    let stopped = backup::scrub(&old, &ExpungeRegister::default(), &mut |_| {
        calls += 1;
        calls < 3
    });
    assert_eq!(stopped.unwrap(), None);
    assert_eq!(fs::read_dir(&old).unwrap().count(), 4);
    assert_eq!(backup::with_destroyed_text(&backup::find(&[old]).unwrap()), 3);
}

/// An article that was looked at every hour has thousands of changes, each with text: more than one change can name.
#[test]
fn an_article_with_thousands_of_changes_loses_its_text_and_its_name() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("archive");
    let written = archive(&path, 0);
    let name = support::article(1);
    block_on(async {
        for hundred in 0_i64..30 {
            let observe = |tick: i64| observe(&name, support::at(hundred * 100 + tick), Text(1));
            written.write((0..100).map(observe).collect(), WriteMode::Commit).await.unwrap();
        }
    });
    let request = order(&name, ExpungeScope::ArticleAndName);
    let plan = block_on(written.plan_expunge(request.clone())).unwrap();
    assert_eq!(plan.changes, 3_000);
    let done = block_on(written.expunge(&WriteOrigin::default(), request, plan.digest)).unwrap();
    assert_eq!(done.seq, Seq(3_002));
    let left = order(&done.article, ExpungeScope::ArticleAndName);
    assert_eq!(block_on(written.plan_expunge(left)).unwrap().changes, 0);
    close(written);
    must_be_intact(&path);
    compact(&path);
    must_be_intact(&path);
    must_be_gone(&path, &[name.article.as_str().as_bytes().to_vec()]);
    let after = stored(&path);
    assert_eq!(after.changes.values().filter(|change| change.entry.expunged.is_some()).count(), 3_000);
    assert!(after.changes.values().all(|change| change.entry.name == done.article));
}
