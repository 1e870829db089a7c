//! A restore that is killed at moments recognised by its files: it never leaves an incomplete archive, and never blocks
//! the next restore.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use dateline::internals::archive::changefeed::FeedStart;

use super::backup::{listed, place};
use super::{Cli, Running};
use crate::backup::{stream_backup, written};
use crate::model::plan::{Text, observe};
use crate::support::block_on;

/// More changes than fit into one commit.
const CHANGES: u8 = u8::MAX;
const ROUNDS: i64 = 2;

/// A moment: its name, and how it is recognised in the directory where the archive is put together.
type Moment = (&'static str, fn(&Path) -> bool);

/// Moments before the backup has been sent completely. The restore then waits, so that each moment is observed.
const BEFORE_THE_END: [Moment; 4] = [
    ("its place is taken", |place| place.join("LOCK").exists()),
    ("the database is being made", |place| {
        place.join("unfinished/db.new").exists() || place.join("unfinished/db").exists()
    }),
    ("the database is there", |place| place.join("unfinished/db").exists()),
    ("changes are on the disk", |place| {
        // A byte search in an unoptimised test build would take seconds.
        Command::new("grep").arg("-rqs").arg("Flood takes").arg(place.join("unfinished/db")).status().unwrap().success()
    }),
];

/// Moments after everything was sent. The restore may be done before it is killed.
const AT_THE_END: [Moment; 4] = [
    ("all is written", |place| fs::metadata(place.join("unfinished/WATERMARK")).is_ok_and(|mark| mark.len() > 0)),
    ("it is about to be an archive", |place| place.join("unfinished/VERSION.new").exists()),
    ("it is an archive without a name", |place| place.join("unfinished/VERSION").exists()),
    ("it has its name", |place| place.with_extension("").exists()),
];

#[test]
fn a_restore_that_is_killed_leaves_no_archive_and_can_be_run_again() {
    let cli = Cli::new();
    let batches: Vec<_> = (0..ROUNDS)
        .flat_map(|round| (0..CHANGES).map(move |at| vec![observe(at % 4, round * 300 + i64::from(at), Text(at % 5))]))
        .collect();
    let whole = block_on(stream_backup(&written(&batches), FeedStart::Beginning));
    let (new, whole_one) = (place(&cli, "new"), place(&cli, "whole"));
    assert_eq!(cli.feed(&["restore", "-", "--archive", &whole_one], &whole).code, 0);
    let all = (listed(&cli, "whole"), cli.ok(&["verify", "--archive", &whole_one]));

    let held = BEFORE_THE_END.map(|moment| (moment, whole.len() - 1));
    let unheld = AT_THE_END.map(|moment| (moment, whole.len()));
    for ((moment, is_reached), sent) in held.into_iter().chain(unheld) {
        kill_when(&cli, &whole[..sent], sent == whole.len(), (moment, is_reached));
        let is_there = cli.path("new").exists();
        assert!(!is_there || sent == whole.len(), "{moment}");
        let again = cli.feed(&["restore", "-", "--archive", &new], &whole);
        assert_eq!(again.code, if is_there { 2 } else { 0 }, "{moment}: {again:?}");
        assert_eq!((listed(&cli, "new"), cli.ok(&["verify", "--archive", &new])), all, "{moment}");
        assert!(is_there || !cli.path("new.restoring").exists(), "{moment}");
        fs::remove_dir_all(cli.path("new")).unwrap();
    }
    assert_eq!(cli.feed(&["restore", "-", "--archive", &new], &whole).code, 0);
    let left: Vec<_> = fs::read_dir(cli.path("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

/// Restores from `sent`, and kills the restore when the moment is reached or it has ended. Unless `is_all`, it waits
/// for more input.
fn kill_when(cli: &Cli, sent: &[u8], is_all: bool, (moment, is_reached): Moment) {
    let command = &["restore", "-", "--archive", &place(cli, "new")];
    let mut running = Running(cli.command(command).stdin(Stdio::piped()).spawn().unwrap());
    let mut sending = running.0.stdin.take();
    sending.as_mut().unwrap().write_all(sent).unwrap();
    if is_all {
        sending = None;
    }
    let begun = Instant::now();
    while !is_reached(&cli.path("new.restoring")) && running.0.try_wait().unwrap().is_none() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it never reaches this moment: {moment}");
    }
    running.0.kill().unwrap();
    running.0.wait().unwrap();
    drop(sending);
}
