//! Imports that are interrupted and continued.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use super::super::server::Server;
use super::super::{Cli, Running};
use super::{mark, observation};

/// Edits of a few articles with state changes between them, in the order of time.
fn long_history(lines: u32) -> String {
    let line = |n: u32| match n % 40 {
        38 => mark("withdraw", &format!("a{}", n % 7), n % 60),
        39 => mark("reinstate", &format!("a{}", (n - 1) % 7), n % 60),
        _ => observation(&format!("a{}", n % 7), n % 60, &format!("State {}", n / 3)),
    };
    (0..lines).map(|n| line(n) + "\n").collect()
}

/// An import that is killed repeatedly gives the same archive as one without interruption. Each kill comes after a
/// number of replies, which arrive faster than checkpoints are saved.
#[test]
fn a_killed_import_continues() {
    let history = long_history(4000);
    let whole = Cli::new();
    let done = whole.run(&["import", &whole.file("history.jsonl", &history)]);
    let summary = done.err.clone();

    let cli = Cli::new();
    let file = cli.file("history.jsonl", &history);
    for answers in [1, 37, 900, 5, 900, 256] {
        let mut child = cli.command(&["import", &file, "--json"]).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        for _ in 0..answers {
            lines.next().unwrap().unwrap();
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let done = cli.run(&["import", &file]);
    assert!(done.err.contains("continues after"), "{}", done.err);
    assert!(cli.changes() == whole.changes(), "{} after {summary}", done.err);
    let again = cli.run(&["import", &file]);
    assert!(cli.changes() == whole.changes(), "{}", again.err);
}

/// The first Ctrl-C ends an import in order: it prints how to continue, and the same command continues there.
#[test]
fn an_interrupted_import_says_how_to_continue() {
    let cli = Cli::new();
    let file = cli.file("history.jsonl", long_history(5_000));
    let mut child = Running(cli.command(&["import", &file, "--json"]).spawn().unwrap());
    let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
    for _ in 0..50 {
        lines.next().unwrap().unwrap();
    }
    child.signal("INT");
    let answers = 50 + lines.filter(|line| line.is_ok()).count();
    let status = child.0.wait().unwrap();
    let told = std::io::read_to_string(child.0.stderr.take().unwrap()).unwrap();
    assert_eq!(status.code(), Some(1), "{told}");
    assert!(told.contains(&format!("interrupted; {answers} items done; the same command continues there")), "{told}");
    let done = cli.run(&["import", &file, "--json"]);
    assert!(done.err.contains(&format!("continues after {answers} items")), "{}", done.err);
    assert_eq!(done.out.lines().count(), 5_000 - answers);
}

/// An import that waits for standard input can be interrupted.
#[test]
fn an_import_that_waits_for_its_input_can_be_interrupted() {
    let cli = Cli::new();
    let mut child = Running(cli.command(&["import", "-", "--json"]).stdin(Stdio::piped()).spawn().unwrap());
    let mut input = child.0.stdin.take().unwrap();
    writeln!(input, "{}", observation("bridge", 0, "Bridge to close")).unwrap();
    let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
    lines.next().unwrap().unwrap();
    child.signal("INT");
    let status = child.0.wait().unwrap();
    drop(input);
    let told = std::io::read_to_string(child.0.stderr.take().unwrap()).unwrap();
    assert_eq!(status.code(), Some(1), "{told}");
    assert!(told.contains("interrupted; 1 item done; nothing is archived twice"), "{told}");
}

/// The error once said that the peer was no Dateline server.
#[test]
fn an_import_whose_server_is_killed_says_that_the_connection_broke() {
    let cli = Cli::new();
    let server = Server::start(&cli, &[]);
    let args = ["import", "-", "--json", "--server", &server.address];
    let mut child = Running(cli.command(&args).stdin(Stdio::piped()).spawn().unwrap());
    let mut input = child.0.stdin.take().unwrap();
    writeln!(input, "{}", observation("bridge", 0, "Bridge to close")).unwrap();
    let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
    lines.next().unwrap().unwrap();
    server.kill();
    // The import may have noticed already, and have closed its input.
    drop(writeln!(input, "{}", observation("bridge", 1, "Bridge to open")));
    drop(input);
    let status = child.0.wait().unwrap();
    let told = std::io::read_to_string(child.0.stderr.take().unwrap()).unwrap();
    assert_eq!(status.code(), Some(5), "{told}");
    // With nothing in progress, the import notices the end of its stream of requests.
    let broke = ["dateline: the connection to the server broke: ", "dateline: the server broke off the import\n"];
    assert!(broke.iter().any(|broke| told.contains(broke)), "{told}");
    assert!(told.contains("\nhint: run the same command again"), "{told}");
}

/// A Ctrl-C at a terminal goes to all processes of the command, including git. What the import was about to read does
/// not count as read, and the next import continues there, with the same articles across all renames.
#[test]
fn an_interrupted_import_of_a_repository_continues() {
    let whole = Cli::new();
    let folder = repository_of(&whole, 1500);
    let done = whole.run(&["import", "--git", &folder]);
    assert_eq!(done.code, 0, "{done:?}");

    let cli = Cli::new();
    for answers in [300, 40] {
        let mut command = cli.command(&["import", "--git", &folder, "--json"]);
        let mut child = Running(command.process_group(0).spawn().unwrap());
        let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
        for _ in 0..answers {
            lines.next().unwrap().unwrap();
        }
        let group = format!("-{}", child.0.id());
        assert!(Command::new("kill").args(["-s", "INT", "--", &group]).status().unwrap().success());
        lines.for_each(drop);
        let told = std::io::read_to_string(child.0.stderr.take().unwrap()).unwrap();
        assert!(told.contains(" done; the same command continues there"), "{told}");
        assert!(told.contains("0 failed"), "{told}");
    }
    let done = cli.run(&["import", "--git", &folder]);
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.err.contains("continues after"), "{done:?}");
    assert!(cli.changes() == whole.changes(), "{}", done.err);
}

/// A repository with this many commits of a few files, each of which is renamed from time to time.
fn repository_of(cli: &Cli, commits: u32) -> String {
    let folder = cli.path("harbour.git").to_str().unwrap().to_owned();
    let git = |args: &[&str]| {
        let mut command = Command::new("git");
        command.arg("-C").arg(cli.dir.path()).args(args).env("GIT_CONFIG_GLOBAL", "/dev/null");
        command
    };
    assert!(git(&["init", "--quiet", "--bare", "--initial-branch=main", &folder]).status().unwrap().success());
    let mut import = git(&["--git-dir", &folder, "fast-import", "--quiet"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut to = import.stdin.take().unwrap();
    let mut paths: Vec<String> = (0..5).map(|n| format!("{n}.md")).collect();
    for n in 0..commits {
        let path = &mut paths[n as usize % 5];
        let text = format!("# State {n}\n\nThe bridge is in state {n} of {commits}.\n");
        let seconds = 1_700_000_000 + n;
        write!(to, "commit refs/heads/main\ncommitter a <a@b> {seconds} +0000\ndata 0\n").unwrap();
        if n >= 5 && n % 50 < 5 {
            let renamed = format!("{}-{n}.md", n % 5);
            writeln!(to, "R {path} {renamed}").unwrap();
            *path = renamed;
        } else {
            writeln!(to, "M 100644 inline {path}\ndata {}\n{text}", text.len()).unwrap();
        }
    }
    drop(to);
    assert!(import.wait().unwrap().success());
    folder
}
