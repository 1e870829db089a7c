//! `--read-only`: archives that must stay as they are, through the real binary.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::server::Server;
use super::{Cli, Done, Running, example};

/// The owner of the archive, and a user who may only read it.
const OWNER: u32 = 65_534;
const READER: u32 = 1_234;

/// An archive that another user owns, or that at least nobody may write to if this process cannot give files away.
struct ReadOnly {
    cli: Cli,
    is_other_user: bool,
}

impl ReadOnly {
    fn new(cli: Cli) -> Self {
        let is_root = rustix::process::geteuid().is_root();
        let is_other_user = is_root && is_open_to_all(Path::new(env!("CARGO_BIN_EXE_dateline")));
        if !is_other_user {
            eprintln!(
                "run as the archive's owner: only root can become another user, who must be able to run the binary"
            );
        }
        for path in paths(&cli.archive()) {
            let mode = if path.is_dir() { 0o555 } else { 0o444 };
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            if is_root {
                chown(&path, Some(OWNER), None).unwrap();
            }
        }
        fs::create_dir(cli.path("scratch")).unwrap();
        fs::set_permissions(cli.path("scratch"), Permissions::from_mode(0o777)).unwrap();
        fs::set_permissions(cli.dir.path(), Permissions::from_mode(0o755)).unwrap();
        Self { cli, is_other_user }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.cli.command(args);
        command.env("TMPDIR", self.cli.path("scratch"));
        if self.is_other_user {
            command.uid(READER).gid(READER);
        }
        command
    }

    fn run(&self, args: &[&str]) -> Done {
        self.command(args).output().unwrap().into()
    }

    fn ok(&self, args: &[&str]) -> String {
        let done = self.run(&[args, &["--read-only"]].concat());
        assert_eq!(done.code, 0, "{args:?}: {done:?}");
        done.out
    }

    /// The copies that there are.
    fn copies(&self) -> usize {
        fs::read_dir(self.cli.path("scratch")).unwrap().count()
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        // Its directory is about to be removed.
        for path in paths(&self.cli.archive()) {
            drop(fs::set_permissions(path, Permissions::from_mode(0o700)));
        }
    }
}

fn is_open_to_all(path: &Path) -> bool {
    path.ancestors().all(|part| fs::metadata(part).is_ok_and(|found| found.mode() & 0o001 != 0))
}

/// The archive's directory and everything in it.
fn paths(archive: &Path) -> Vec<PathBuf> {
    let mut paths = vec![archive.to_path_buf()];
    for entry in fs::read_dir(archive).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            paths.extend(self::paths(&entry.path()));
        } else {
            paths.push(entry.path());
        }
    }
    paths
}

/// What shows that an entry was touched.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    mode: u32,
    inode: u64,
    /// When it was modified, and when its metadata were.
    times: [(i64, i64); 2],
    bytes: Vec<u8>,
}

fn state(archive: &Path) -> BTreeMap<PathBuf, Entry> {
    let entry = |path: &PathBuf| {
        let found = fs::symlink_metadata(path).unwrap();
        let times = [(found.mtime(), found.mtime_nsec()), (found.ctime(), found.ctime_nsec())];
        let bytes = if found.is_file() { fs::read(path).unwrap() } else { Vec::new() };
        Entry { mode: found.mode(), inode: found.ino(), times, bytes }
    };
    paths(archive).into_iter().map(|path| (path.clone(), entry(&path))).collect()
}

/// An archive that is only its write-ahead log.
fn small() -> Cli {
    let cli = Cli::new();
    cli.ok(&["add", &example("night-ferry.md"), "--source", "press", "--article", "ferry"]);
    cli.add("bridge", "Bridge shut", "It is.", &[]);
    cli.add("bridge", "Bridge open", "It is.", &[]);
    cli
}

/// An archive with a database of sled.
fn large() -> Cli {
    let cli = small();
    let lines = (0..45_u64).map(|article| {
        // Text that does not compress well.
        let mut word = article + 1;
        let text: String = (0..12_000).map(|_| { word ^= word << 13; word ^= word >> 7; word ^= word << 17; format!("{word:x} ") }).collect();
        let content = serde_json::json!({ "headline": format!("Story {article}"), "blocks": [{ "paragraph": { "text": text } }] });
        let record = serde_json::json!({ "parent": "sources/large", "articleId": format!("a{article}"), "content": content });
        serde_json::json!({ "record": record }).to_string() + "\n"
    });
    let done = cli.feed(&["import", "-", "--quiet"], lines.collect::<String>());
    assert_eq!(done.code, 0, "{done:?}");
    assert!(cli.archive().join("db/sled/db").exists(), "it has outgrown its write-ahead log");
    cli
}

#[test]
fn every_reading_command_leaves_the_archive_as_it_is() {
    for (cli, changes) in [(small(), 3), (large(), 48)] {
        let expected = cli.ok(&["export"]);
        let archive = ReadOnly::new(cli);
        let before = state(&archive.cli.archive());
        assert!(archive.ok(&["list"]).contains("press/ferry"));
        assert!(archive.ok(&["show", "press/ferry"]).contains("Night ferry returns"));
        assert!(archive.ok(&["log", "press/bridge"]).contains("revision 2"));
        assert!(archive.ok(&["diff", "press/bridge"]).contains("open"));
        assert!(archive.ok(&["verify"]).starts_with(&format!("read {changes} changes")));
        assert!(archive.ok(&["status"]).contains("not possible with --read-only"));
        assert!(archive.ok(&["status", "--check"]).starts_with("DATELINE OK"));
        assert_eq!(archive.ok(&["subscriptions"]), "");
        let watched = archive.ok(&["watch", "--from", "beginning", "--until-caught-up"]);
        assert_eq!(watched.lines().count(), changes);
        assert_eq!(archive.ok(&["export"]), expected);
        archive.ok(&["backup", archive.cli.path("scratch/backup").to_str().unwrap()]);
        assert_eq!(state(&archive.cli.archive()), before, "the archive was touched");
        assert_eq!(archive.copies(), 1, "only the backup is left in the scratch directory");
    }
}

/// A copy of a directory that a killed process left has to be recovered first, and must have all that was acknowledged.
#[test]
fn what_a_killed_server_acknowledged_is_read() {
    let cli = large();
    let server = Server::start(&cli, &[]);
    cli.add("late", "Ferry sinks", "It did.", &[]);
    server.kill();
    let archive = ReadOnly::new(cli);
    let before = state(&archive.cli.archive());
    assert!(archive.ok(&["show", "press/late"]).contains("Ferry sinks"));
    assert!(archive.ok(&["verify"]).contains("no errors found"));
    assert_eq!(state(&archive.cli.archive()), before);
}

#[test]
fn commands_that_write_are_refused() {
    let archive = ReadOnly::new(small());
    let before = state(&archive.cli.archive());
    let document = example("harbour-bridge.txt");
    for args in [
        &["add", &document][..],
        &["label", "press/ferry", "+flood"],
        &["withdraw", "press/ferry"],
        &["watch", "--durable", "search"],
        &["subscriptions", "delete", "search"],
        &["verify", "--rebuild"],
        &["proof", "press/ferry"],
        &["compact"],
        &["serve"],
    ] {
        let done = archive.run(&[args, &["--read-only"]].concat());
        assert_eq!((done.code, done.out.as_str()), (2, ""), "{args:?}: {done:?}");
        assert!(done.err.contains("this command writes to an archive"), "{args:?}: {done:?}");
    }
    let would = archive.ok(&["add", "--dry-run", "--quiet", &document, "--source", "press"]);
    assert!(would.starts_with("would create"), "{would}");
    let watch = archive.run(&["watch", "--read-only"]);
    assert!(watch.code == 2 && watch.err.contains("there is nothing to wait for"), "{watch:?}");
    let scratch = archive.run(&["list", "--scratch", "/tmp"]);
    assert!(scratch.code == 2 && scratch.err.contains("only with --read-only"), "{scratch:?}");
    assert_eq!(state(&archive.cli.archive()), before);
}

#[test]
fn the_environment_asks_for_it_too() {
    let archive = ReadOnly::new(small());
    let run = |value: &str| Done::from(archive.command(&["list"]).env("DATELINE_READ_ONLY", value).output().unwrap());
    let listed = run("1");
    assert!(listed.code == 0 && listed.out.contains("press/ferry"), "{listed:?}");
    // Without it, the error says what would help.
    let plain = run("0");
    assert_eq!(plain.code, 5, "{plain:?}");
    assert!(
        plain.err.contains("hint: commands that read an archive") && plain.err.contains("--read-only"),
        "{plain:?}"
    );
}

#[test]
fn the_scratch_directory_is_named_if_it_has_no_room() {
    let archive = ReadOnly::new(small());
    let sparse = archive.cli.archive().join("ID");
    fs::set_permissions(&sparse, Permissions::from_mode(0o644)).unwrap();
    fs::File::options().write(true).open(&sparse).unwrap().set_len(1 << 42).unwrap();
    let done = archive.run(&["list", "--read-only"]);
    assert_eq!(done.code, 5, "{done:?}");
    assert!(done.err.contains("needs 4096.") && done.err.contains("--scratch DIR, or in TMPDIR"), "{done:?}");
    assert_eq!(archive.copies(), 0);
    let done = archive.run(&["list", "--read-only", "--scratch", "/nowhere"]);
    assert!(done.code == 5 && done.err.contains("could not create a folder in /nowhere"), "{done:?}");
}

/// The error of a damaged archive is about the archive, whose copy is gone.
#[test]
fn damage_is_reported_of_the_archive_itself() {
    let cli = small();
    let log = cli.archive().join("db/wal/000000");
    let mut bytes = fs::read(&log).unwrap();
    bytes[40] ^= 1;
    fs::write(&log, bytes).unwrap();
    let archive = ReadOnly::new(cli);
    let place = archive.cli.archive();
    for args in [["list", "--read-only"], ["verify", "--read-only"]] {
        let done = archive.run(&args);
        assert_eq!(done.code, 6, "{done:?}");
        assert!(done.err.contains(&format!("{} is damaged", place.join("db").display())), "{done:?}");
        assert!(!done.err.contains("scratch"), "{done:?}");
    }
    assert_eq!(archive.copies(), 0);
}

#[test]
fn a_copy_that_a_killed_command_left_is_removed_by_the_next() {
    let archive = ReadOnly::new(large());
    // More than a pipe holds, so the command ends only when all of it is read.
    let mut exporting = Running(archive.command(&["export", "--read-only"]).spawn().unwrap());
    exporting.0.stdout.take().unwrap().read_exact(&mut [0; 10]).unwrap();
    assert_eq!(archive.copies(), 1);
    exporting.0.kill().unwrap();
    exporting.0.wait().unwrap();
    assert_eq!(archive.copies(), 1);
    archive.ok(&["list"]);
    assert_eq!(archive.copies(), 0);
}

/// The owner's server has the archive open, so a copy could not be taken; it need not be.
#[test]
fn the_owner_reads_through_a_server_that_has_the_archive_open() {
    let cli = small();
    let server = Server::start(&cli, &[]);
    assert!(cli.ok(&["status", "--read-only"]).contains("Server"));
    assert!(cli.ok(&["verify", "--read-only"]).contains("no errors found"));
    cli.fails(&["withdraw", "press/ferry", "--read-only"], 2, "this command writes to an archive");
    assert_eq!(server.terminate(), Some(0));
}
