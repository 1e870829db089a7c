//! Commands that have an archive open for long share it with others, and those that have to wait say for whom.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use std::sync::mpsc::channel;

use dateline::internals::store::engine::directory::Directory;

use super::places::holder;
use super::watching::Watching;
use super::{Cli, Running};
use crate::fetch::server::{Answer, Server};

/// The process that has the archive open, as its lock says.
fn holder_of(cli: &Cli) -> u32 {
    let lock = std::fs::read(cli.archive().join("LOCK")).unwrap();
    serde_json::from_slice::<serde_json::Value>(&lock).unwrap()["pid"].as_u64().unwrap().try_into().unwrap()
}

/// `watch` once refused to run without a server, and every other command would have had to wait for it.
#[test]
fn others_read_and_write_while_a_command_has_the_archive_open() {
    let cli = Cli::new();
    cli.add("a", "Ferry returns", "It did.", &[]);
    let watching = Watching::start(&cli, &["--from", "beginning"]);
    assert!(watching.line().contains("press/a"));
    let added = cli.add("b", "Ferry sinks", "It did.", &["--wait", "0"]);
    assert_eq!(added.code, 0, "{added:?}");
    assert!(watching.line().contains("press/b"));
    assert_eq!(cli.ok(&["list", "--wait", "0"]).lines().count(), 2);
    assert!(cli.ok(&["verify", "--wait", "0"]).contains("no errors found"));
    // These need the archive for themselves, and wait for the command to end.
    for args in [&["serve", "--wait", "0"][..], &["compact", "--wait", "0"], &["verify", "--rebuild", "--wait", "0"]] {
        let done = cli.run(args);
        assert!(done.code == 5 && done.err.contains("is in use by `dateline watch` (process "), "{args:?}: {done:?}");
        assert!(done.err.contains("hint: `dateline serve` lets several commands"), "{done:?}");
    }
    let ended = watching.interrupt();
    assert_eq!(ended.code, 0, "{ended:?}");
    cli.ok(&["compact"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn others_use_the_archive_while_feeds_are_followed() {
    let (cli, site) = (Cli::new(), Server::start().await);
    let (asked, is_asked) = channel();
    site.route("/feed", move |_| {
        // It has the archive open by now.
        asked.send(()).unwrap_or_default();
        Answer::ok("application/rss+xml", "<rss version='2.0'><channel><title>Press</title></channel></rss>")
    });
    let feed = format!("http://{}/feed", site.address());
    let (cli, following) = tokio::task::spawn_blocking(move || {
        let following = Running(cli.command(&["follow", "--allow-private", "--every", "1h", &feed]).spawn().unwrap());
        is_asked.recv().unwrap();
        let added = cli.add("a", "Ferry returns", "It did.", &["--wait", "0"]);
        assert_eq!(added.code, 0, "{added:?}");
        assert!(cli.ok(&["list", "--wait", "0"]).contains("press/a"));
        (cli, following)
    })
    .await
    .unwrap();
    tokio::task::spawn_blocking(move || {
        let mut following = following;
        following.signal("TERM");
        assert!(following.0.wait().unwrap().success());
        assert_eq!(cli.ok(&["list"]).lines().count(), 1);
    })
    .await
    .unwrap();
}

/// A command that used the archive through another one would otherwise fail when that one ends.
#[test]
fn a_command_that_ends_waits_for_those_that_use_the_archive_through_it() {
    let cli = Cli::new();
    cli.add("a", "Ferry returns", "It did.", &[]);
    let watching = Watching::start(&cli, &["--from", "beginning"]);
    assert!(watching.line().contains("press/a"));
    let mut importing = Running(cli.command(&["import", "-", "--json"]).stdin(Stdio::piped()).spawn().unwrap());
    let mut lines = importing.0.stdin.take().unwrap();
    let mut outcomes = BufReader::new(importing.0.stdout.take().unwrap()).lines();
    let line = |article: &str| {
        let content = serde_json::json!({ "headline": "Ferry", "blocks": [{ "paragraph": { "text": "It sailed." } }] });
        let record = serde_json::json!({ "parent": "sources/press", "articleId": article, "content": content });
        serde_json::json!({ "record": record }).to_string() + "\n"
    };
    lines.write_all(line("b").as_bytes()).unwrap();
    assert!(outcomes.next().unwrap().unwrap().contains("OBSERVATION_OUTCOME_CREATED"));
    let ended = std::thread::spawn(move || watching.interrupt());
    // The import continues, whether the other command is already ending or not.
    for article in ["c", "d", "e"] {
        lines.write_all(line(article).as_bytes()).unwrap();
        let outcome = outcomes.next().unwrap().unwrap();
        assert!(outcome.contains("OBSERVATION_OUTCOME_CREATED"), "{outcome}");
    }
    drop(lines);
    assert!(importing.0.wait().unwrap().success());
    assert_eq!(ended.join().unwrap().code, 0);
    assert_eq!(cli.ok(&["list"]).lines().count(), 5);
}

/// A subscriber misses nothing when the command ends through which it used the archive.
#[test]
fn a_watch_opens_the_archive_when_the_command_that_shared_it_ends() {
    let cli = Cli::new();
    cli.add("a", "Ferry returns", "It did.", &[]);
    let first = Watching::start(&cli, &["--from", "beginning"]);
    assert!(first.line().contains("press/a"));
    let second = Watching::start(&cli, &["--from", "beginning"]);
    assert!(second.line().contains("press/a"));
    let before = holder_of(&cli);
    assert_eq!(first.interrupt().code, 0);
    second.note("reconnected");
    assert_ne!(holder_of(&cli), before);
    assert_eq!(cli.add("b", "Ferry sinks", "It did.", &["--wait", "0"]).code, 0);
    assert!(second.line().contains("press/b"));
    assert_eq!(second.interrupt().code, 0);
    assert_eq!(cli.ok(&["list"]).lines().count(), 2);
}

#[test]
fn a_command_that_waits_says_for_whom() {
    let cli = Cli::new();
    cli.add("a", "Ferry returns", "It did.", &[]);
    for args in [&["list"][..], &["verify"], &["compact"]] {
        let held = Directory::open(&cli.archive(), holder()).unwrap();
        let mut waiting = Running(cli.command(&[args, &["--wait", "600"]].concat()).spawn().unwrap());
        let mut notes = BufReader::new(waiting.0.stderr.take().unwrap()).lines();
        let note = notes.next().unwrap().unwrap();
        let process = std::process::id();
        let words =
            format!("dateline: waiting for `a test` (process {process}, since 2026-01-01T00:00:00Z), which holds ");
        assert!(note.starts_with(&words), "{note}");
        assert!(note.ends_with("; `dateline serve` lets several commands use an archive at once"), "{note}");
        drop(held);
        assert!(waiting.0.wait().unwrap().success());
        assert_eq!(notes.count(), 0, "it says so once");
    }
}
