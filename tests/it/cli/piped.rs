//! Backups that come through standard input, and are read in one pass.

use std::fs::File;
use std::io::Write;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};

use super::backup::{files, interrupted, listed, place};
use super::{Cli, Done, Running, json_lines};

/// An archive of two articles, and a full backup of it.
fn archive() -> (Cli, Vec<u8>) {
    let cli = Cli::new();
    for article in ["a", "b"] {
        cli.add(article, "Ferry returns", "It did.", &["--keep-original"]);
    }
    let whole = cli.command(&["backup", "-"]).output().unwrap().stdout;
    (cli, whole)
}

fn nothing_is_left(cli: &Cli) {
    assert!(!cli.path("new").exists() && !cli.path("new.restoring").exists());
}

#[test]
fn an_archive_is_restored_from_the_backup_that_another_process_makes() {
    let (cli, _) = archive();
    let new = place(&cli, "new");
    let mut making = Running(cli.command(&["backup", "-"]).spawn().unwrap());
    let made = Stdio::from(making.0.stdout.take().unwrap());
    let restored: Done = cli.command(&["restore", "-", "--archive", &new]).stdin(made).output().unwrap().into();
    assert_eq!((restored.code, restored.err.as_str()), (0, ""));
    assert!(restored.out.starts_with("restored 2 changes, the last at 20"), "{restored:?}");
    assert!(making.0.wait().unwrap().success());
    assert_eq!(listed(&cli, "new"), cli.ok(&["list"]));
    cli.ok(&["verify", "--archive", &new]);
}

/// A file on standard input takes its place among the named files.
#[test]
fn standard_input_can_be_combined_with_files() {
    let (cli, whole) = archive();
    cli.ok(&["backup", &place(&cli, "backup")]);
    let full = files(&cli, "backup")[0].to_str().unwrap().to_owned();
    cli.add("c", "Bridge to close", "It will.", &[]);
    let since = cli.command(&["backup", "-", "--since", "2"]).output().unwrap().stdout;

    let checked = cli.feed(&["backup", "--check", "-"], &whole);
    assert!(checked.out.starts_with("no errors found: 1 file, 2 changes, 2 contents, 2 originals, "), "{checked:?}");
    let checked = cli.feed(&["backup", "--check", &full, "-", "--json"], &since);
    assert_eq!(
        (&json_lines(&checked.out)[0]["files"], &json_lines(&checked.out)[0]["changes"]),
        (&"2".into(), &"3".into())
    );
    let alone = cli.feed(&["backup", "--check", "-"], &since);
    assert_eq!(alone.code, 0, "{alone:?}");
    assert!(alone.err.contains("an archive cannot be restored from this alone"), "{alone:?}");

    let new = place(&cli, "new");
    let alone = cli.feed(&["restore", "-", "--archive", &new], &since);
    assert_eq!(alone.code, 6, "{alone:?}");
    assert!(alone.err.contains("are in none of the files, and standard input starts after them"), "{alone:?}");
    nothing_is_left(&cli);
    let restored = cli.feed(&["restore", "-", &full, "-", "--archive", &new], &since);
    assert_eq!((restored.code, restored.err.as_str()), (0, ""), "naming a file twice makes no difference");
    assert_eq!(listed(&cli, "new"), cli.ok(&["list"]));
    let earlier = place(&cli, "earlier");
    let restored = cli.feed(&["restore", "-", "--archive", &earlier, "--to", "1"], &whole);
    assert!(restored.out.starts_with("restored 1 change, "), "{restored:?}");
}

#[test]
fn truncated_damaged_or_foreign_input_leaves_no_archive() {
    let (cli, whole) = archive();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    let longer = [&whole[..], b"\n"].concat();
    let cut = |length| whole[..length].to_vec();
    let new = place(&cli, "new");
    for (input, code, words) in [
        (Vec::new(), 5, "standard input is not a backup"),
        (b"Dear reader".to_vec(), 5, "standard input is not a backup"),
        (cut(20), 6, "standard input is cut short: it ends at byte 20"),
        (cut(whole.len() / 2), 6, "standard input is cut short"),
        (cut(whole.len() - 1), 6, "standard input is cut short"),
        (flipped, 6, "standard input is damaged at byte "),
        (longer, 6, "something follows the end"),
    ] {
        for command in [&["restore", "-", "--archive", &new][..], &["backup", "--check", "-"]] {
            let done = cli.feed(command, &input);
            assert_eq!((done.code, done.out.as_str()), (code, ""), "{command:?}: {done:?}");
            assert!(done.err.contains(words), "{command:?}: {done:?}");
            nothing_is_left(&cli);
        }
    }
    let taken = cli.feed(&["restore", "-"], &whole);
    assert_eq!(taken.code, 2, "{taken:?}");
    assert!(taken.err.contains("archive exists and is not an empty directory"), "{taken:?}");
}

/// If the backup is missing, the command reports that instead of waiting for one to be typed.
#[test]
fn a_terminal_is_rejected_as_the_source_of_a_backup() {
    let cli = Cli::new();
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    for command in [&["restore", "-"][..], &["backup", "--check", "-"]] {
        let person = ioctl_tiocgptpeer(&terminal, OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        let done: Done = cli.command(command).stdin(File::from(person)).output().unwrap().into();
        assert_eq!((done.code, done.out.as_str()), (2, ""), "{done:?}");
        assert!(done.err.contains("a backup cannot be read from a terminal"), "{done:?}");
    }
    assert!(!cli.archive().exists());
}

/// A sender that stalls blocks a restore, but does not keep it from being interrupted.
#[test]
fn an_interrupted_restore_leaves_nothing() {
    let (cli, whole) = archive();
    let mut child =
        cli.command(&["restore", "-", "--archive", &place(&cli, "new")]).stdin(Stdio::piped()).spawn().unwrap();
    let mut sending = child.stdin.take().unwrap();
    sending.write_all(&whole[..whole.len() - 1]).unwrap();
    let running = Running(child);
    let since = Instant::now();
    while !cli.path("new.restoring").exists() {
        assert!(since.elapsed() < Duration::from_secs(60), "it never begins");
        std::thread::yield_now();
    }
    running.signal("INT");
    let done = interrupted(running);
    assert_eq!(done.code, 1, "{done:?}");
    assert!(done.err.contains("dateline: interrupted; the incomplete archive was removed"), "{done:?}");
    nothing_is_left(&cli);
    drop(sending);
}
