//! `backup` and `restore`: with and without a server, and what they print.

use std::path::PathBuf;
use std::process::Stdio;

use dateline::internals::store::engine::directory::Directory;

use super::places::holder;
use super::server::Server;
use super::{Cli, Done, Running, json_lines};

/// The files of a backup, sorted by name.
pub(super) fn files(cli: &Cli, folder: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(cli.path(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

pub(super) fn place(cli: &Cli, name: &str) -> String {
    cli.path(name).to_str().unwrap().to_owned()
}

pub(super) fn listed(cli: &Cli, archive: &str) -> String {
    cli.ok(&["list", "--archive", &place(cli, archive)])
}

#[test]
fn an_archive_is_backed_up_and_restored() {
    let cli = Cli::new();
    let folder = place(&cli, "backup");
    cli.fails(&["backup", &folder], 5, "there is no archive in");
    assert!(!cli.path("backup").exists());
    for article in ["a", "b"] {
        cli.add(article, "Ferry returns", "It did.", &["--keep-original"]);
    }
    let said = cli.ok(&["backup", &folder]);
    assert!(said.starts_with("backed up 2 changes from position 0 on, "), "{said}");
    assert_eq!(said.trim().rsplit(": ").next().unwrap(), files(&cli, "backup")[0].to_str().unwrap());
    let again = cli.run(&["backup", &folder]);
    assert_eq!((again.code, again.out.as_str(), again.err.as_str()), (0, "", ""), "nothing is new");

    // The same through a server.
    let server = Server::start(&cli, &[]);
    cli.add("c", "Bridge to close", "It will.", &[]);
    let said = cli.ok(&["backup", &folder]);
    assert!(said.starts_with("backed up 1 change from position 2 on, "), "{said}");
    assert_eq!(server.terminate(), Some(0));
    let nothing = json_lines(&cli.ok(&["backup", &folder, "--json"]));
    assert_eq!(nothing, [serde_json::json!({ "changes": "0", "nextSeq": "3" })]);
    let full = json_lines(&cli.ok(&["backup", &folder, "--full", "--json"]));
    assert_eq!((&full[0]["firstSeq"], &full[0]["nextSeq"]), (&"0".into(), &"3".into()));
    // An archive and its backup can be compared by the id that both commands print.
    let status = json_lines(&cli.ok(&["status", "--json"]));
    assert_eq!(status[0]["archiveId"], full[0]["archiveId"]);
    assert!(cli.ok(&["status"]).contains(full[0]["archiveId"].as_str().unwrap()));
    let digest = status[0]["snapshot"]["logDigest"].as_str().unwrap();
    assert!(digest.len() == 32 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()), "{digest}");

    let checked = cli.ok(&["backup", "--check", &folder]);
    let words = "no errors found: 3 files, 6 changes (3 distinct, since files overlap), 6 contents, 4 originals, ";
    assert!(checked.starts_with(words), "{checked}");
    let new = place(&cli, "new");
    let restored = cli.ok(&["restore", &folder, "--archive", &new]);
    assert!(restored.starts_with("restored 3 changes, the last at 20"), "{restored}");
    assert_eq!(listed(&cli, "new"), cli.ok(&["list"]));
    let original = ["show", "press/a", "--original"];
    assert_eq!(cli.ok(&[&original[..], &["--archive", &new]].concat()), cli.ok(&original));

    let earlier = place(&cli, "earlier");
    let said = json_lines(&cli.ok(&["restore", &folder, "--archive", &earlier, "--to", "1", "--json"]));
    assert_eq!((&said[0]["nextSeq"], &said[0]["setBack"]), (&"1".into(), &serde_json::json!([])));
    assert_eq!(listed(&cli, "earlier").lines().count(), 1);
    // An incremental backup of it would not fit the backup in the folder.
    cli.add("z", "Another ferry", "It is lost.", &["--archive", &earlier]);
    cli.fails(
        &["backup", &folder, "--archive", &earlier],
        4,
        "hint: make a full backup with --full, or use another directory",
    );
    cli.ok(&["backup", &folder, "--archive", &earlier, "--full"]);
    let now = place(&cli, "now");
    cli.ok(&["restore", &folder, "--archive", &now]);
    assert_eq!(listed(&cli, "now"), listed(&cli, "earlier"));
}

/// A scheduled backup must not keep succeeding if nothing can be restored from its folder.
#[test]
fn a_backup_with_a_gap_is_reported_and_the_next_run_saves_everything_again() {
    for lost in [0, 1] {
        let cli = Cli::new();
        let folder = place(&cli, "backup");
        for article in ["a", "b", "c"] {
            cli.add(article, "Ferry returns", "It did.", &[]);
            cli.ok(&["backup", &folder]);
        }
        std::fs::remove_file(&files(&cli, "backup")[lost]).unwrap();
        let new = place(&cli, "new");
        cli.fails(&["backup", "--check", &folder], 6, "are in none of the files");
        cli.fails(&["backup", "--check", &folder, "--json"], 6, "this backup cannot be restored");
        cli.fails(&["restore", &folder, "--archive", &new], 6, "are in none of the files");
        cli.fails(&["backup", &folder, "--since", "3"], 6, "hint: make a full backup there with --full");
        assert_eq!(files(&cli, "backup").len(), 2);
        let stranger = Cli::new();
        stranger.add("a", "Ferry returns", "It did.", &[]);
        stranger.fails(&["backup", &folder], 4, "is a backup of another archive");

        cli.add("d", "Bridge to close", "It will.", &[]);
        let full = cli.run(&["backup", &folder]);
        assert_eq!(full.code, 0, "{full:?}");
        assert!(full.out.starts_with("backed up 4 changes from position 0 on, "), "{full:?}");
        assert!(full.err.contains("warning: the backup in ") && full.err.contains("none of the files"), "{full:?}");
        cli.add("e", "Bridge to close", "It will.", &[]);
        let next = cli.run(&["backup", &folder]);
        assert!(next.out.starts_with("backed up 1 change from position 4 on, "), "{next:?}");
        assert_eq!(next.err, "", "the full backup has closed the gap");
        cli.ok(&["backup", "--check", &folder]);
        cli.ok(&["restore", &folder, "--archive", &new]);
        assert_eq!(listed(&cli, "new"), cli.ok(&["list"]));
        cli.fails(&["backup", &folder, "--since", "9"], 2, "ends at position 5, below 9");
    }
}

#[test]
fn a_backup_goes_to_standard_output_and_comes_from_a_file() {
    let cli = Cli::new();
    cli.add("a", "Ferry returns", "It did.", &[]);
    let piped = cli.command(&["backup", "-"]).output().unwrap();
    assert!(piped.status.success());
    let said = String::from_utf8(piped.stderr).unwrap();
    assert!(said.starts_with("dateline: backed up 1 change from position 0 on"), "{said}");
    std::fs::write(cli.path("all.dlog"), &piped.stdout).unwrap();
    cli.ok(&["restore", &place(&cli, "all.dlog"), "--archive", &place(&cli, "new")]);
    assert_eq!(listed(&cli, "new"), cli.ok(&["list"]));
    let since = cli.command(&["backup", "-", "--since", "1", "--quiet"]).output().unwrap();
    assert_eq!((since.status.code(), since.stdout.len(), since.stderr.len()), (Some(0), 0, 0));
}

#[test]
fn failures_of_backup_check_and_restore_say_why() {
    let cli = Cli::new();
    cli.add("a", "Ferry returns", "It did.", &[]);
    let (folder, other, new) = (place(&cli, "backup"), place(&cli, "other"), place(&cli, "new"));
    cli.ok(&["backup", &folder]);
    let file = files(&cli, "backup")[0].to_str().unwrap().to_owned();
    let whole = std::fs::read(&file).unwrap();
    let cut = cli.file("cut.dlog", &whole[..whole.len() - 30]);
    let mut flipped = whole.clone();
    flipped[200] ^= 1;
    let flipped = cli.file("flipped.dlog", flipped);
    let newer = cli.file("newer.dlog", [b"dateline log 7\n", &whole[15..]].concat());
    let letter = cli.file("letter.txt", "Dear reader");
    for (from, code, words) in [
        (&cut, 6, "cut.dlog is cut short: it ends at byte "),
        (&flipped, 6, "flipped.dlog is damaged at byte "),
        (&newer, 5, "was written by a newer version of Dateline"),
        (&letter, 5, "letter.txt is not a backup"),
        (&other, 5, "other cannot be read"),
    ] {
        cli.fails(&["backup", "--check", from], code, words);
        cli.fails(&["restore", from, "--archive", &new], code, words);
    }
    std::fs::create_dir(cli.path("empty")).unwrap();
    std::os::unix::fs::symlink(cli.path("empty"), cli.path("link")).unwrap();
    std::fs::create_dir(cli.path("taken.restoring")).unwrap();
    std::fs::write(cli.path("taken.restoring/note"), "mine").unwrap();
    let (link, taken, below_file) = (place(&cli, "link"), place(&cli, "taken"), place(&cli, "letter.txt/new"));
    let empty = place(&cli, "empty");
    for (args, code, words) in [
        (&["backup", &file][..], 2, "is a file; name a directory"),
        (&["backup", &folder, &other], 2, "a backup goes to one directory"),
        (&["backup", &folder, "--full", "--since", "0"], 2, "cannot be used with"),
        (&["backup", &other, "--since", "1"], 2, "reaches position 1"),
        (&["backup", "-", "--since", "9"], 2, "is beyond the end of the log"),
        (&["backup", "-", "--json"], 2, "leave out --json"),
        (&["restore", &empty, "--archive", &new], 2, "there is no backup in"),
        (&["restore", &folder, "--archive", &new, "--to", "9"], 2, "position 9 is beyond the end of the backup, 1"),
        (&["restore", &folder, "--archive", &new, "--to", "soon"], 2, "expected a time"),
        (&["restore", &folder, "--archive", &new, "--to", "2001-01-01"], 2, "before the first change of the backup"),
        (&["restore", &folder, "--archive", &new, "--to", "0"], 2, "hint: give that time or a later one, or the"),
        (&["restore", &folder, "--archive", &new, "--to", "abc"], 2, "; or a change's position"),
        (&["restore", &folder], 2, "archive exists and is not an empty directory"),
        (&["restore", &folder, "--archive", &link], 2, "link cannot become an archive: it is a symbolic link; name a"),
        (
            &["restore", &folder, "--archive", &taken],
            2,
            "taken.restoring is not a Dateline archive: it contains `note`",
        ),
        // The environment prevents this one; the arguments are valid.
        (&["restore", &folder, "--archive", &below_file], 1, "could not inspect"),
        (&["restore", &folder, "--server", "http://127.0.0.1:1"], 2, "hint: name a new directory with --archive DIR"),
    ] {
        cli.fails(args, code, words);
    }
    assert!(!cli.path("new").exists() && !cli.path("new.restoring").exists() && !cli.path("other").exists());
    let held = Directory::begin(&cli.path("new.restoring"), holder()).unwrap();
    cli.fails(&["restore", &folder, "--archive", &new], 5, "new.restoring is in use by `a test`");
    held.discard().unwrap();
    let stranger = Cli::new();
    stranger.add("a", "Ferry returns", "It did.", &[]);
    stranger.fails(&["backup", &folder], 4, "is a backup of another archive");
}

/// A pipe that nobody reads blocks a backup, but does not keep it from being interrupted.
#[test]
fn an_interrupted_backup_says_what_it_left() {
    let cli = Cli::new();
    let server = Server::start(&cli, &[]);
    for number in 0..8_u64 {
        // Numbers that compress badly, so that they do not fit into a pipe.
        let mut state = number + 1;
        let text: Vec<String> = (0..4_000)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                format!("{:x}", state >> 16)
            })
            .collect();
        cli.add(&format!("a{number}"), "Numbers", &text.join(" "), &[]);
    }
    let mut child = cli.command(&["backup", "-"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut out = child.stdout.take().unwrap();
    // Once something has arrived, signals are handled.
    std::io::Read::read_exact(&mut out, &mut [0; 15]).unwrap();
    let running = Running(child);
    running.signal("INT");
    let done = interrupted(running);
    assert_eq!(done.code, 1, "{done:?}");
    assert!(done.err.contains("dateline: interrupted; "), "{done:?}");
    drop(out);
    drop(server);
}

pub(super) fn interrupted(mut running: Running) -> Done {
    let mut err = String::new();
    std::io::Read::read_to_string(running.0.stderr.as_mut().unwrap(), &mut err).unwrap();
    Done { code: running.0.wait().unwrap().code().unwrap_or(-1), out: String::new(), err }
}
