//! A server that is started on a completely full disk.

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::time::Duration;

use dateline::internals::store::engine::directory::Directory;
use dateline::internals::store::engine::sled::{Options, SledEngine};
use dateline::internals::store::engine::{Engine, Read};
use dateline::internals::store::{Batch, EngineError};

use super::Cli;
use super::places::holder;
use super::server::Server;
use crate::faults::disk::Disk;
use crate::faults::noise;

const FLOOR: [&str; 2] = ["--free-space-floor-bytes", "32MiB"];

/// What the engine writes while it opens and reads fits into space that the archive reserved. So the archive can be
/// served, killed, killed during opening, and served again.
#[test]
fn an_archive_is_read_on_a_disk_that_is_full_to_the_last_byte() {
    let Some(disk) = Disk::mount() else { return };
    let cli = Cli::new();
    let archive = disk.path().join("archive");
    std::fs::create_dir(&archive).unwrap();
    symlink(archive, cli.archive()).unwrap();
    let server = Server::start(&cli, &FLOOR);
    // So much is written that the log's last segment was started after the database was opened.
    for number in 0..16 {
        assert_eq!(cli.add(&format!("a{number}"), "Ferry", &noise(number, 900_000), &[]).code, 0);
    }
    let shown = cli.ok(&["show", "press/a15"]);
    server.kill();
    for round in 0..3 {
        disk.fill_up_to(&format!("somebody's {round}"), 0);
        assert_eq!(disk.free_bytes(), 0);
        for millis in [0, 5, 10, 20, 40, 80] {
            let mut opening = cli.command(&[&["serve"], &FLOOR[..]].concat());
            let mut opening = opening.spawn().unwrap();
            std::thread::sleep(Duration::from_millis(millis));
            opening.kill().unwrap();
            opening.wait().unwrap();
        }
        let server = Server::start(&cli, &FLOOR);
        assert!(cli.ok(&["show", "press/a15"]) == shown);
        assert!(cli.ok(&["verify"]).contains("16 articles"));
        for _ in 0..2 {
            let refused = cli.add("one-more", "Ferry", "No.", &[]);
            assert!(refused.code == 1 && refused.err.contains("free some space"), "{refused:?}");
        }
        let status = cli.ok(&["status"]);
        assert!(status.contains("Writes    rejected: the archive's disk has"), "{status}");
        // The engine's own thread runs twice a second.
        std::thread::sleep(Duration::from_millis(1_200));
        assert!(cli.ok(&["show", "press/a15"]) == shown);
        match round {
            0 => server.kill(),
            1 => assert_eq!(server.terminate(), Some(0)),
            _ => {
                (0..3).for_each(|round| disk.remove(&format!("somebody's {round}")));
                assert!(cli.ok(&["status"]).contains("Writes    accepted"));
                assert_eq!(cli.add("one-more", "Ferry", "Yes.", &[]).code, 0);
                assert_eq!(cli.add("one-more", "Ferry", "Yes.", &[]).code, 0);
                let (code, log) = server.end();
                assert_eq!(code, Some(0));
                let told = ["writes are rejected", "writes are accepted"];
                assert_eq!(told.map(|words| log.matches(words).count()), [1, 1], "{log}");
            }
        }
    }
    assert!(cli.ok(&["verify"]).contains("17 articles"));
}

/// Commits that the engine's database does not have yet wait in the write-ahead log until there is space for them: a
/// write of the database that failed would make it unusable.
#[test]
fn commits_wait_in_the_log_while_the_disk_is_full() {
    let Some(disk) = Disk::mount() else { return };
    let archive = disk.path().join("archive");
    let open = || {
        let directory = Arc::new(Directory::open_or_create(&archive, holder()).unwrap());
        SledEngine::open(directory, Options { free_space_floor_bytes: 0, ..Options::default() }).unwrap()
    };
    let commit = |engine: &SledEngine, number: u8| {
        let writes = BTreeMap::from([(vec![2, number], Some(vec![number; 60_000]))]);
        engine.commit(&Batch { writes, ..Batch::default() })
    };
    let engine = open();
    (0..10).for_each(|number| commit(&engine, number).unwrap());
    drop(engine);
    disk.fill_up_to("somebody's", 0);
    let engine = Arc::new(open());
    let settled = std::thread::spawn({
        let engine = Arc::clone(&engine);
        move || engine.settle()
    });
    assert!(matches!(commit(&engine, 10), Err(EngineError::Full { .. })));
    // Long enough for several attempts to apply what is in the log.
    std::thread::sleep(Duration::from_millis(2_500));
    assert!(!settled.is_finished());
    assert_eq!(engine.get(&[2, 9]).unwrap(), Some(vec![9; 60_000]));
    disk.remove("somebody's");
    settled.join().unwrap().unwrap();
    commit(&engine, 10).unwrap();
    drop(engine);
    assert_eq!(open().get(&[2, 10]).unwrap(), Some(vec![10; 60_000]));
}

/// A commit that needs another file of the log is rejected while there is no inode, and nothing else fails.
#[test]
fn commits_wait_for_an_inode() {
    let Some(disk) = Disk::with_inodes(60) else { return };
    let archive = disk.path().join("archive");
    let directory = Arc::new(Directory::open_or_create(&archive, holder()).unwrap());
    let engine = SledEngine::open(directory, Options { free_space_floor_bytes: 0, ..Options::default() }).unwrap();
    let commit = |number: u8| {
        let writes = BTreeMap::from([(vec![2, number], Some(vec![number; 60_000]))]);
        engine.commit(&Batch { writes, ..Batch::default() })
    };
    commit(0).unwrap();
    disk.take_all_inodes("somebody's");
    let refused = (1..100).find_map(|number| commit(number).err().map(|error| (number, error)));
    let Some((number, EngineError::Full { .. })) = refused else { panic!("{refused:?}") };
    assert!(matches!(commit(number), Err(EngineError::Full { .. })));
    assert_eq!(engine.get(&[2, number - 1]).unwrap(), Some(vec![number - 1; 60_000]));
    disk.remove("somebody's 0");
    commit(number).unwrap();
    assert_eq!(engine.get(&[2, number]).unwrap(), Some(vec![number; 60_000]));
}

/// Opening creates files: a copy of what it may overwrite, and the engine's snapshot. Another user may have taken the
/// last inode.
#[test]
fn an_archive_is_read_on_a_disk_without_a_free_inode() {
    let Some(disk) = Disk::with_inodes(60) else { return };
    let cli = Cli::new();
    let archive = disk.path().join("archive");
    std::fs::create_dir(&archive).unwrap();
    symlink(archive, cli.archive()).unwrap();
    let server = Server::start(&cli, &FLOOR);
    // So much is written that sled's database is created.
    for number in 0..8 {
        assert_eq!(cli.add("a", "Ferry", &noise(number, 900_000), &[]).code, 0);
    }
    assert!(cli.archive().join("RESERVE").exists());
    disk.take_all_inodes("somebody's");
    assert_eq!(cli.add("b", "Ferry", "It was.", &[]).code, 0);
    server.kill();
    for articles in [2, 3] {
        let listed = cli.run(&["list"]);
        assert_eq!((listed.code, listed.out.lines().count()), (0, articles), "{listed:?}");
        assert!(listed.err.contains("no inodes are free to undo the opening"), "{listed:?}");
        let server = Server::start(&cli, &FLOOR);
        assert_eq!(cli.add("c", "Ferry", "It was.", &[]).code, 0);
        assert!(cli.ok(&["verify"]).contains("3 articles"));
        server.kill();
        assert!(cli.archive().join("RESERVE").exists(), "the reserve was created again");
        std::fs::remove_file(disk.path().join("somebody's 0")).ok();
        disk.take_all_inodes("another's");
    }
    // Without the reserve file, whose inode it would free for this, sled cannot write a snapshot. It has to if anything
    // was applied since the last one. The archive then does not open, and says why.
    std::fs::remove_file(cli.archive().join("RESERVE")).unwrap();
    disk.take_all_inodes("the last");
    let listed = cli.run(&["list"]);
    let says_why = listed.code == 5 && listed.err.contains("no inodes are free (`df -i` shows them)");
    assert!(says_why || (listed.code, listed.out.lines().count()) == (0, 3), "{listed:?}");
    std::fs::remove_file(disk.path().join("the last 0")).unwrap();
    assert_eq!(cli.ok(&["list"]).lines().count(), 3);
}
