//! A compaction that is killed or loses power at any step leaves the archive whole.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dateline::internals::archive::expunge::{ExpungeRequest, ExpungeScope};
use dateline::internals::archive::recover::compact::{CompactMode, compact_directory};
use dateline::internals::archive::request::WriteOrigin;
use dateline::internals::archive::{Directory, Options};
use dateline::internals::store::Tables;
use dateline::internals::store::engine::sled::{Options as EngineOptions, SledEngine};
use dateline::model::{Change, ExpungeReason, RevisionNumber, Seq};

use super::cut::{Mood, cut};
use super::disk::{Disk, Ignored};
use super::rounds::{Record, check};
use super::shim::record;
use super::trace::{Call, read};
use crate::child::{Task, holder, open};
use crate::dice::Dice;
use crate::seed;
use crate::told::Line;

/// Time limit, so that the test is short on a slow machine too. What decides which database is in use comes last, so
/// steps are tried from the end.
const SHORT: Duration = Duration::from_secs(25);

fn task(path: &Path, seed: u64, compacts: bool) -> Task {
    let (path, generation) = (path.to_path_buf(), u64::from(compacts));
    Task {
        path,
        seed,
        generation,
        writers: 2,
        jobs: 8,
        large_percent: 2,
        vast_percent: 0,
        clock_off_micros: 0,
        compacts,
    }
}

/// The steps at which something else than one more piece of data reaches the disk, and some of the others.
fn is_tried(call: &Call, dice: &mut Dice) -> bool {
    !matches!(call, Call::Write { .. } | Call::RangeSync) || dice.percent(10)
}

#[test]
fn a_compaction_that_is_cut_at_any_step_leaves_the_archive_whole() {
    let seed = seed("DATELINE_POWER_SEED");
    let mut dice = Dice::for_task(seed, 3);
    let directory = Record::new_disk();
    let root = directory.path().canonicalize().unwrap().join("disk");
    let traces = ["work", "compaction"].map(|name| directory.path().join(name));
    record(&task(&root.join("archive"), seed, false), &root, &traces[0], None);
    let mut told: Vec<Line> = Vec::new();
    for call in read(&std::fs::read(&traces[0]).unwrap(), &root) {
        if let Call::Said(lines) = call {
            told.extend(lines);
        }
    }
    let before = Disk::holding(&root, Ignored::Nothing);
    let (calls, exchange) = recorded_compaction(&task(&root.join("archive"), seed, true), &root, &traces[1]);
    let trials = cut_at_steps(&before, &calls, exchange, &mut dice, |path, dice, at| {
        let verdict = check(path, &told, dice);
        assert_eq!(verdict.faults, [], "{at}");
        assert!(verdict.acknowledged > 0);
        for gone in ["db.compact", "db.replaced", "db.new"] {
            assert!(!path.join(gone).exists(), "{gone} after {at}");
        }
    });
    println!("{trials} cuts of {} steps; the exchange is step {exchange}", calls.len());
}

/// Cuts a compaction at many steps, and passes the path of the archive as it is then, with a description of the cut, to
/// `check`. All steps from the exchange on are tried. Returns the number of cuts.
fn cut_at_steps(
    before: &Disk,
    calls: &[Call],
    exchange: usize,
    dice: &mut Dice,
    mut check: impl FnMut(&Path, &mut Dice, &str),
) -> usize {
    let (mut trials, begun) = (0, Instant::now());
    let steps: Vec<usize> = (0..calls.len()).filter(|step| is_tried(&calls[*step], dice)).collect();
    for step in steps.iter().rev() {
        if begun.elapsed() > SHORT && *step < exchange {
            break;
        }
        let mut disk = before.clone();
        calls[..*step].iter().for_each(|call| disk.apply(call));
        for mood in [Mood::Everything, Mood::random(dice)] {
            let left = Record::new_disk();
            let path = left.path().join("disk");
            cut(&disk, mood, dice, &path);
            check(&path.join("archive"), dice, &format!("{mood:?} before step {step}: {:?}", calls[*step]));
            trials += 1;
        }
    }
    trials
}

/// Records a compaction of the archive below `root`. Returns its calls, and which of them exchanges the databases.
fn recorded_compaction(task: &Task, root: &Path, trace: &Path) -> (Vec<Call>, usize) {
    record(task, root, trace, None);
    let calls = read(&fs::read(trace).unwrap(), root);
    let ended = |line| calls.iter().any(|call| matches!(call, Call::Said(lines) if lines.contains(&line)));
    assert!(ended(Line::Closed), "the archive was not compacted");
    let renamed = |from: &str, to: &str| {
        let is = |call: &Call| matches!(call, Call::Rename { from: old, to: new } if old.ends_with(from) && new.ends_with(to));
        calls.iter().position(is).unwrap()
    };
    let exchange = renamed("archive/db", "archive/db.replaced");
    assert_eq!(renamed("archive/db.compact", "archive/db"), exchange + 1);
    (calls, exchange)
}

/// Destroys the first text of an archive. Returns the position of its change, and bytes that were only with it: its salt
/// and the start of its digest.
fn expunge_first(path: &Path) -> (Seq, [Vec<u8>; 2]) {
    let first = change_at(path, Seq::ZERO);
    let digest = first.entry.revision_with_content().unwrap().digest;
    let secrets = [first.entry.salt.0.to_vec(), digest.0[..16].to_vec()];
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let archive = open(path, 0).unwrap();
        let request = ExpungeRequest {
            article: first.entry.name.clone(),
            scope: ExpungeScope::Revisions(vec![RevisionNumber::FIRST]),
            reason: ExpungeReason::CourtOrder,
            reference: String::new(),
        };
        let plan = archive.plan_expunge(request.clone()).await.unwrap();
        archive.expunge(&WriteOrigin::default(), request, plan.digest).await.unwrap();
        archive.close().await;
    });
    (first.seq, secrets)
}

fn change_at(path: &Path, seq: Seq) -> Change {
    let directory = Arc::new(Directory::open(path, holder()).unwrap());
    let engine =
        SledEngine::open(directory, EngineOptions { free_space_floor_bytes: 0, ..Default::default() }).unwrap();
    Tables::new(&engine).change(seq).unwrap().unwrap()
}

fn is_pending(path: &Path) -> bool {
    let directory = Arc::new(Directory::open(path, holder()).unwrap());
    let engine =
        SledEngine::open(directory, EngineOptions { free_space_floor_bytes: 0, ..Default::default() }).unwrap();
    Tables::new(&engine).destruction_pending().unwrap().is_some()
}

/// Whether a file below `path` has these bytes.
fn is_in_files(path: &Path, bytes: &[u8]) -> bool {
    fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).any(|path| match path.is_dir() {
        true => is_in_files(&path, bytes),
        false => fs::read(&path).unwrap().windows(bytes.len()).any(|part| part == bytes),
    })
}

#[test]
fn text_that_was_destroyed_is_pending_or_gone_wherever_its_removal_is_cut() {
    let seed = seed("DATELINE_POWER_SEED");
    let mut dice = Dice::for_task(seed, 4);
    let directory = Record::new_disk();
    let root = directory.path().canonicalize().unwrap().join("disk");
    record(&task(&root.join("archive"), seed, false), &root, &directory.path().join("work"), None);
    let (target, secrets) = expunge_first(&root.join("archive"));
    let before = Disk::holding(&root, Ignored::Nothing);
    assert!(secrets.iter().any(|secret| is_in_files(&root, secret)));
    let (calls, exchange) =
        recorded_compaction(&task(&root.join("archive"), seed, true), &root, &directory.path().join("compaction"));
    let mut pending = 0;
    let trials = cut_at_steps(&before, &calls, exchange, &mut dice, |path, _, at| {
        assert!(change_at(path, target).entry.expunged.is_some(), "{at}");
        if is_pending(path) {
            pending += 1;
            let listener = &mut |_| ControlFlow::Continue(());
            let done = compact_directory(path, CompactMode::Copy, &Options::default(), holder(), listener);
            assert!(done.unwrap().is_some());
            assert!(!is_pending(path), "{at}");
        }
        for secret in &secrets {
            assert!(!is_in_files(path, secret), "{at}");
        }
        assert!(path.join("EXPUNGED").exists());
    });
    assert!(pending > 0 && pending < trials, "{pending} of {trials} cuts leave it pending");
}
