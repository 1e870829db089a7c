//! `export`: what the real binary exports from a real archive, complete or interrupted.

use std::fs;
use std::io::{BufRead, BufReader, PipeWriter, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use async_compression::tokio::bufread::{GzipDecoder, ZstdDecoder};
use dateline::internals::archive::Options;
use dateline::internals::archive::request::WriteMode;
use dateline::internals::client::Client;
use dateline::internals::clock::ManualClock;
use dateline::internals::wire::json::from_json;
use dateline::internals::wire::pb;
use serde_json::Value;
use tokio::io::AsyncReadExt;

use super::server::Server;
use super::{Cli, Done, Running, json_lines};
use crate::export::copies::make;
use crate::faults::disk::Disk;
use crate::faults::noise;
use crate::{model, support};

/// An archive filled by random writes.
pub(super) fn random(seed: u64) -> Cli {
    let cli = Cli::new();
    let archive =
        support::open_directory(&cli.archive(), &Options::default(), &Arc::new(ManualClock::new(support::now())));
    support::block_on(async {
        for operations in model::batches_of(seed, 40) {
            // Some are rejected, and rejected writes leave no trace.
            drop(archive.write(operations, WriteMode::Commit).await);
        }
        archive.close().await;
    });
    cli
}

/// The requests in the lines, without when and where they were recorded.
fn requests(lines: &str) -> Vec<pb::ReplayRequest> {
    let request = |line| from_json::<pb::ReplayRequest>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    lines.lines().map(request).map(|request| pb::ReplayRequest { recorded: None, ..request }).collect()
}

/// The text of a file of lines, decompressed if need be.
fn read(path: &Path) -> String {
    let bytes = fs::read(path).unwrap();
    support::block_on(async {
        let mut text = String::new();
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("gz") => {
                let mut decoder = GzipDecoder::new(bytes.as_slice());
                decoder.multiple_members(true);
                decoder.read_to_string(&mut text).await.unwrap();
            }
            Some("zst") => {
                let mut decoder = ZstdDecoder::new(bytes.as_slice());
                decoder.multiple_members(true);
                decoder.read_to_string(&mut text).await.unwrap();
            }
            _ => text = String::from_utf8(bytes).unwrap(),
        }
        text
    })
}

fn path(cli: &Cli, name: &str) -> String {
    cli.path(name).to_str().unwrap().to_owned()
}

/// The names in a folder, sorted.
fn names(folder: PathBuf) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The exported requests, sent to an empty archive one by one and exported from there, are the same: nothing is lost.
#[test]
fn exported_lines_reproduce_the_archive() {
    for seed in 0..3 {
        let (cli, other) = (random(seed), Cli::new());
        let lines = cli.ok(&["export", "--originals"]);
        let served = Server::start(&other, &[]);
        support::block_on(async {
            let client = Client::connect(&served.address).await.unwrap();
            for mut request in requests(&lines) {
                // They are already in the line.
                use pb::replay_request::Request::Record;
                if let Some(Record(publish)) = &mut request.request
                    && publish.original.is_some()
                {
                    drop(client.archive.clone().record_observation(publish.clone()).await.unwrap());
                } else {
                    make(&client, request, &client).await;
                }
            }
        });
        // Through the server, and then from the archive itself.
        let again = other.ok(&["export", "--originals"]);
        assert_eq!(requests(&again), requests(&lines), "seed {seed}");
        assert_eq!(served.terminate(), Some(0));
        assert_eq!(other.ok(&["export", "--originals"]), again, "seed {seed}");
        let recorded = |lines: &str| -> Vec<_> {
            let numbers = json_lines(lines).into_iter().map(|line| line["recorded"]["revisionNumber"].clone());
            numbers.collect()
        };
        assert_eq!(recorded(&again), recorded(&lines), "seed {seed}");
        let titles = |cli: &Cli| cli.ok(&["list", "--json"]).matches("headline").count();
        assert_eq!(titles(&other), titles(&cli));
    }
}

/// Importing an export, through a file or a pipe, gives the same archive apart from its archive times.
#[test]
fn an_import_of_an_export_can_be_exported_unchanged() {
    let timeless = |lines: &str| -> Vec<Value> {
        let mut lines = json_lines(lines);
        lines.iter_mut().for_each(|line| drop(line["recorded"].as_object_mut().unwrap().remove("archiveTime")));
        lines
    };
    let mut all = String::new();
    for seed in 20..26 {
        let (cli, filed, piped) = (random(seed), Cli::new(), Cli::new());
        let lines = cli.ok(&["export", "--originals"]);
        let file = path(&cli, "a.jsonl.zst");
        cli.ok(&["export", "--originals", "-o", &file]);
        filed.ok(&["import", &file]);
        let mut export = cli.command(&["export", "--originals", "--gzip"]).spawn().unwrap();
        let mut import = piped.command(&["import", "-"]);
        let done: Done = import.stdin(export.stdout.take().unwrap()).output().unwrap().into();
        assert_eq!((export.wait().unwrap().code(), done.code), (Some(0), 0), "seed {seed}: {done:?}");
        for copy in [filed, piped] {
            let again = copy.ok(&["export", "--originals"]);
            assert_eq!(timeless(&again), timeless(&lines), "seed {seed}");
        }
        all.push_str(&lines);
    }
    let rare = ["withdraw", "reinstate", "rollback", "requestId", "original", "urls", "coalesceWithin", "fetch"];
    for word in rare.map(|word| format!("\"{word}\":")) {
        assert!(all.contains(&word), "{word} never occurred in an export");
    }
}

#[test]
fn a_selection_of_articles_and_times_is_exported() {
    let cli = Cli::new();
    let at = |time| ["--observed-at", time];
    let day = |day: u8| format!("2026-05-{day:02}T10:00:00Z");
    let (one, two, three) = (day(1), day(2), day(3));
    cli.add(
        "a",
        "Ferry",
        "It sails.",
        &[&at(&one)[..], &["--label", "boats", "--url", "https://a.example/1"]].concat(),
    );
    cli.add("a", "Ferry", "It stays.", &[&at(&two)[..], &["--label", "boats"]].concat());
    cli.ok(&["rollback", "press/a", "--to", "1", "--observed-at", &three]);
    cli.add("b", "Bridge", "It stands.", &at(&two));
    cli.ok(&["withdraw", "press/b", "--reason", "gone", "--observed-at", &three]);
    let lines = |args: &[&str]| -> Vec<String> {
        let said = |line: serde_json::Value| {
            let (kind, request) = line.as_object().unwrap().iter().find(|(key, _)| *key != "recorded").unwrap();
            let name = request["articleId"].as_str().or(request["name"].as_str()).unwrap();
            let time = request["observeTime"].as_str().unwrap();
            format!("{kind} {} {}", name.rsplit('/').next().unwrap(), &time[8..10])
        };
        json_lines(&cli.ok(&[&["export"], args].concat())).into_iter().map(said).collect()
    };
    let a = ["record a 01", "record a 02", "rollback a 03"];
    assert_eq!(lines(&[]), [&a[..], &["record b 02", "withdraw b 03"]].concat());
    assert_eq!(lines(&["--label", "boats"]), a);
    assert_eq!(lines(&["press/a"]), a);
    assert_eq!(lines(&["https://a.example/1"]), a);
    assert_eq!(lines(&["--source", "press", "--state", "withdrawn"]), ["record b 02", "withdraw b 03"]);
    assert_eq!(lines(&["--source", "other"]), [""; 0]);
    assert_eq!(lines(&["--at", &two]), ["record a 01", "record a 02", "record b 02"]);
    // A rollback names a revision number, which is unknown if observations are left out.
    assert_eq!(lines(&["--at", &three, "press/a"]), ["record a 01", "record a 02", "record a 03"]);
    assert_eq!(lines(&["--newest"]), ["record a 03", "record b 02", "withdraw b 03"]);
    assert_eq!(lines(&["--newest", "--at", &two]), ["record a 02", "record b 02"]);
    let recorded = json_lines(&cli.ok(&["export"]))[1]["recorded"]["archiveTime"].clone();
    assert_eq!(lines(&["--known-at", recorded.as_str().unwrap()]), ["record a 01", "record a 02"]);
    // A withdrawn article is exported with its text.
    assert!(cli.ok(&["export", "--newest", "press/b"]).contains("It stands."));
}

#[test]
fn an_exported_file_is_complete_or_absent() {
    let cli = random(7);
    let lines = cli.ok(&["export"]);
    fs::create_dir_all(cli.path("deep/er")).unwrap();
    for name in ["a.jsonl", "deep/er/b.jsonl.gz", "c.jsonl.zst"] {
        let file = path(&cli, name);
        let said = cli.ok(&["export", "-o", &file]);
        assert!(said.starts_with("exported ") && said.contains(name), "{said}");
        assert_eq!(read(&cli.path(name)), lines);
        cli.fails(&["export", "-o", &file], 4, "exists");
        assert_eq!(read(&cli.path(name)), lines);
        let told = json_lines(&cli.ok(&["export", "-o", &file, "--force", "--json"]));
        assert_eq!(told[0]["lines"], lines.lines().count().to_string());
    }
    assert_eq!(names(cli.path("")), ["a.jsonl", "archive", "c.jsonl.zst", "deep"]);
    assert_eq!(names(cli.path("deep/er")), ["b.jsonl.gz"]);
    // Standard tools can read the compressed files.
    for (tool, name) in [("gzip", "deep/er/b.jsonl.gz"), ("zstd", "c.jsonl.zst")] {
        match Command::new(tool).arg("-dc").arg(cli.path(name)).output() {
            Ok(done) => assert_eq!(String::from_utf8(done.stdout).unwrap(), lines),
            Err(error) => eprintln!("SKIPPED: there is no {tool} here: {error}"),
        }
    }
    let empty = path(&cli, "empty.gz");
    cli.ok(&["export", "--source", "nobody", "-o", &empty]);
    assert_eq!(read(&cli.path("empty.gz")), "");
    assert!(fs::metadata(&empty).unwrap().len() > 0, "an empty gzip member");
    let would = cli.ok(&["export", "-o", &path(&cli, "new.jsonl"), "--dry-run"]);
    assert!(would.starts_with("would export the history of ") && !cli.path("new.jsonl").exists(), "{would}");
}

#[test]
fn an_export_ends_quietly_when_its_reader_closes_the_pipe() {
    let cli = large(12);
    let mut export = cli.command(&["export"]).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(export.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let mut said = String::new();
    assert_eq!((export.wait().unwrap().code(), requests(&line).len()), (Some(0), 1));
    export.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(!said.contains("panicked") && !said.contains("cannot be written"), "{said}");
}

/// An archive with this many articles of about a megabyte.
pub(super) fn large(articles: u64) -> Cli {
    filled(articles, 900_000)
}

/// An archive with this many articles of this many bytes.
fn filled(articles: u64, bytes: usize) -> Cli {
    let cli = Cli::new();
    let archive =
        support::open_directory(&cli.archive(), &Options::default(), &Arc::new(ManualClock::new(support::now())));
    support::block_on(async {
        for number in 0..articles {
            let mut content = support::content(model::plan::Text(0));
            let text = noise(number, bytes);
            content.blocks.push(dateline::model::BlockKind::Paragraph { text }.into());
            let name = support::named(0, &format!("a{number:03}"));
            let observation = dateline::internals::archive::request::Observation::new(content, Vec::new());
            let action = dateline::internals::archive::request::Action::Observe(Box::new(observation));
            let target = dateline::internals::archive::request::ArticleTarget::Named(name);
            archive.write(vec![support::operation(target, support::at(0), action)], WriteMode::Commit).await.unwrap();
        }
        archive.close().await;
    });
    cli
}

/// A pseudorandom number; the sequence is the same in each run.
fn dice(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

/// Kills the command at random moments until it completes, and returns the number of kills. Calls `between` after each.
fn kill_until_done(cli: &Cli, args: &[&str], seed: &mut u64, between: impl Fn(u32)) -> u32 {
    let mut kills = 0;
    loop {
        let mut running = Running(cli.command(args).spawn().unwrap());
        // It is given more and more time, so that it completes on any machine.
        let patience = 50 + dice(seed) % (400 + 60 * u64::from(kills));
        for _ in 0..patience / 5 {
            std::thread::sleep(Duration::from_millis(5));
            if let Some(status) = running.0.try_wait().unwrap() {
                // If it was killed after it had finished, the next run reports that the file exists.
                let is_done = status.success() || kills > 0 && status.code() == Some(4);
                assert!(is_done, "{args:?} after {kills} kills: {status}");
                return kills;
            }
        }
        running.0.kill().unwrap();
        running.0.wait().unwrap();
        kills += 1;
        between(kills);
        assert!(kills < 200, "it never completes");
    }
}

#[test]
fn a_killed_export_continues_and_loses_nothing() {
    let cli = large(24);
    let lines = cli.ok(&["export"]);
    let mut seed = 20_261_128;
    for name in ["a.jsonl", "b.jsonl.zst"] {
        let kills = kill_until_done(&cli, &["export", "-o", &path(&cli, name)], &mut seed, |_| {});
        println!("{name}: {kills} kills");
        assert!(read(&cli.path(name)) == lines, "{name} after {kills} kills");
    }
    // A continued export keeps the read point and the times of its first run; the same words would mean other times
    // later.
    let file = path(&cli, "d.jsonl");
    let export = ["export", "-o", &file, "--at", "1 second ago", "--observed-from", "5000 days ago"];
    let mut begun = Running(cli.command(&export).spawn().unwrap());
    while !cli.path("d.jsonl.part.state").exists() {
        std::thread::sleep(Duration::from_millis(1));
        assert!(begun.0.try_wait().unwrap().is_none(), "it ended before it was checked");
    }
    begun.0.kill().unwrap();
    begun.0.wait().unwrap();
    assert_eq!(cli.add("new", "Ferry", "It sails.", &[]).code, 0);
    for other in [&["--newest"][..], &["--at", "2 seconds ago"]] {
        cli.fails(&[&["export", "-o", &file], other].concat(), 4, "was begun with other options");
    }
    let would = cli.ok(&[&export[..], &["--dry-run"]].concat());
    assert!(would.contains("continuing the unfinished export"), "{would}");
    cli.ok(&export);
    assert!(read(&cli.path("d.jsonl")) == lines);
    assert_eq!(names(cli.path("")), ["a.jsonl", "archive", "b.jsonl.zst", "d.jsonl"]);
}

#[test]
fn an_interrupted_export_says_how_to_continue() {
    let cli = large(24);
    let lines = cli.ok(&["export"]);
    let file = path(&cli, "a.jsonl");
    let running = Running(cli.command(&["export", "-o", &file]).spawn().unwrap());
    while !cli.path("a.jsonl.part").exists() {
        std::thread::sleep(Duration::from_millis(1));
    }
    running.signal("INT");
    let done = end(running);
    assert_eq!(done.code, 1, "{done:?}");
    assert!(done.err.contains("interrupted") && done.err.contains("the same command continues there"), "{done:?}");
    assert!(!cli.path("a.jsonl").exists());
    cli.ok(&["export", "-o", &file]);
    assert!(read(&cli.path("a.jsonl")) == lines);

    let cli = filled(400, 20_000);
    let folder = path(&cli, "pages");
    let running = Running(cli.command(&["export", "--format", "html", "-o", &folder]).spawn().unwrap());
    while !cli.path("pages/gazette/a003.html").exists() {
        std::thread::sleep(Duration::from_millis(1));
    }
    running.signal("INT");
    let done = end(running);
    assert!(done.code == 1 && done.err.contains("left; the same command continues there"), "{done:?}");
    assert!(names(cli.path("pages/gazette")).len() < 400);
    cli.ok(&["export", "--format", "html", "-o", &folder]);
    assert_eq!(names(cli.path("pages/gazette")).len(), 400);
}

/// The signal is also handled while unchanged files are examined.
#[test]
fn an_export_with_nothing_to_write_can_be_interrupted() {
    let cli = Cli::new();
    ["a", "b", "c"].iter().for_each(|name| drop(cli.add(name, "Ferry", "It sails.", &[])));
    let folder = path(&cli, "pages");
    let export = ["export", "--format", "text", "-o", &folder];
    cli.ok(&export);
    // A named pipe in place of a document shows when the command opens it. It is not a document, and standard error is
    // full, so the command cannot report that.
    let foreign = cli.path("pages/press/b.txt");
    fs::remove_file(&foreign).unwrap();
    assert!(Command::new("mkfifo").arg(&foreign).status().unwrap().success());
    let (mut said, stderr) = std::io::pipe().unwrap();
    let filled = fill(&stderr);
    let running = Running(cli.command(&export).stderr(stderr).spawn().unwrap());
    drop(fs::OpenOptions::new().write(true).open(&foreign).unwrap());
    running.signal("INT");
    std::thread::sleep(Duration::from_secs(1));
    let mut err = Vec::new();
    said.read_to_end(&mut err).unwrap();
    let (mut running, err) = (running, String::from_utf8(err.split_off(filled)).unwrap());
    let code = running.0.wait().unwrap().code();
    assert!(code == Some(1) && err.contains("b.txt is not from an export"), "{code:?}: {err}");
    assert!(err.contains("interrupted; 1 article left"), "{err}");
}

/// Fills a pipe, and returns the number of bytes.
fn fill(pipe: &PipeWriter) -> usize {
    // The same pipe, through a non-blocking handle.
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let path = format!("/proc/self/fd/{}", pipe.as_raw_fd());
    let mut pipe = fs::OpenOptions::new().write(true).custom_flags(flags).open(path).unwrap();
    let mut filled = 0;
    for piece in [&[b'.'; 4096][..], b"."] {
        while pipe.write(piece).is_ok_and(|written| written > 0) {
            filled += piece.len();
        }
    }
    filled
}

/// Waiting for a server that does not reply can be interrupted.
#[test]
fn an_export_that_waits_for_its_server_can_be_interrupted() {
    let cli = Cli::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut running = Running(cli.command(&["export", "--server", &url]).spawn().unwrap());
    let (mut asked, _) = listener.accept().unwrap();
    // Once it sends nothing more, it has sent its request.
    asked.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    while asked.read(&mut [0; 4096]).is_ok_and(|bytes| bytes > 0) {}
    running.signal("INT");
    for _ in 0..1_000 {
        if running.0.try_wait().unwrap().is_some() {
            let done = end(running);
            assert!(done.code == 1 && done.err.contains("interrupted; "), "{done:?}");
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("it keeps waiting");
}

/// Documents are written even if nobody reads the command's output any more.
#[test]
fn documents_are_written_although_the_output_is_closed() {
    let cli = filled(120, 100);
    let folder = path(&cli, "pages");
    let mut export = Running(cli.command(&["export", "--format", "html", "-o", &folder, "--json"]).spawn().unwrap());
    drop(export.0.stdout.take());
    assert_eq!(export.0.wait().unwrap().code(), Some(0));
    assert_eq!(names(cli.path("pages/gazette")).len(), 120);
}

/// A mistyped path once created the directories in it, and the export succeeded.
#[test]
fn an_export_creates_no_directory_but_that_of_its_documents() {
    let cli = Cli::new();
    cli.add("a", "Ferry", "It sails.", &[]);
    for (args, name) in [
        (&["--format", "jsonl"][..], "typo/a.jsonl"),
        (&["--format", "text", "press/a"], "typo/a.txt"),
        (&["--format", "text"], "typo/pages"),
    ] {
        let file = path(&cli, name);
        let folder = path(&cli, "typo");
        for dry_run in [None, Some("--dry-run")] {
            let mut args = [&["export", "-o", &file], args].concat();
            args.extend(dry_run);
            cli.fails(&args, 1, &format!("dateline: {folder} does not exist\nhint: create it first"));
        }
        assert!(!cli.path("typo").exists(), "{args:?}");
    }
    cli.ok(&["export", "--format", "text", "-o", &path(&cli, "pages/")]);
    assert_eq!(names(cli.path("pages/press")), ["a.txt"]);
}

#[test]
fn a_dry_run_prints_json_on_request() {
    let cli = Cli::new();
    cli.add("a", "Ferry", "It sails.", &[]);
    let file = path(&cli, "a.txt");
    for (args, key) in [
        (&["--format", "text"][..], "articles"),
        (&["--format", "text", "press/a"], "bytes"),
        (&["--format", "text", "press/a", "-o", &file], "bytes"),
        (&["-o", &file], "articles"),
    ] {
        let told = json_lines(&cli.ok(&[&["export", "--dry-run", "--json"], args].concat()));
        assert_eq!((told.len(), &told[0]["dryRun"]), (1, &Value::Bool(true)), "{args:?}: {told:?}");
        assert!(told[0][key].is_string(), "{args:?}: {told:?}");
    }
    assert!(!cli.path("a.txt").exists());
    let told = json_lines(&cli.ok(&["export", "--format", "text", "press/a", "-o", &file, "--json"]));
    assert_eq!(told[0]["dryRun"], false);
}

pub(super) fn end(mut running: Running) -> Done {
    let (mut out, mut err) = (String::new(), String::new());
    running.0.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    running.0.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    Done { code: running.0.wait().unwrap().code().unwrap_or(-1), out, err }
}

#[test]
fn documents_go_to_a_folder_and_only_what_changed_is_written_again() {
    let cli = Cli::new();
    cli.add("a", "Ferry", "It sails.", &[]);
    cli.add("b", "Bridge", "It stands.", &[]);
    let folder = path(&cli, "documents");
    let export = ["export", "--format", "markdown", "-o", &folder];
    let dry = cli.ok(&[&export[..], &["--dry-run"]].concat());
    assert_eq!(dry, "would write press/a.md\nwould write press/b.md\n");
    assert!(!cli.path("documents").exists());
    let said = |more: &[&str]| cli.run(&[&export[..], more].concat());
    assert!(said(&[]).err.starts_with("2 articles: 2 written, 0 up to date, 0 failed: "));
    let a = cli.path("documents/press/a.md");
    assert!(fs::read_to_string(&a).unwrap().contains("\nIt sails.\n"));
    assert!(said(&[]).err.starts_with("2 articles: 0 written, 2 up to date, 0 failed: "));

    // A sighting does not change a document.
    cli.add("a", "Ferry", "It sails.", &[]);
    assert!(said(&[]).err.starts_with("2 articles: 0 written, 2 up to date"));
    cli.add("a", "Ferry", "It stays.", &[]);
    let told = json_lines(&said(&["--json"]).out);
    assert_eq!((&told[0]["file"], &told[0]["outcome"]), (&"press/a.md".into(), &"written".into()));
    assert_eq!((&told[1]["written"], &told[1]["unchanged"]), (&"1".into(), &"1".into()));
    assert!(fs::read_to_string(&a).unwrap().contains("\nIt stays.\n"));

    // A file that somebody else wrote is kept.
    fs::write(&a, "my notes").unwrap();
    fs::write(cli.path("documents/press/c.md"), "my notes").unwrap();
    cli.add("c", "Lighthouse", "It shines.", &[]);
    let done = said(&[]);
    assert_eq!(done.code, 1, "{done:?}");
    assert!(done.err.contains("press/a: ") && done.err.contains("2 failed (2 EXISTS)"), "{done:?}");
    assert_eq!(fs::read_to_string(&a).unwrap(), "my notes");
    assert!(said(&["--force"]).err.starts_with("3 articles: 2 written, 1 up to date, 0 failed"));
    assert!(fs::read_to_string(&a).unwrap().contains("It stays."));
    assert_eq!(names(cli.path("documents")), [".dateline-export.jsonl", "press"]);
    assert_eq!(names(cli.path("documents/press")), ["a.md", "b.md", "c.md"]);
}

#[test]
fn a_killed_export_of_documents_continues() {
    let cli = random(11);
    let (folder, mut seed) = (path(&cli, "pages"), 7);
    let export = ["export", "--format", "ninjs", "-o", &folder];
    let whole = path(&cli, "whole");
    // Between the kills, articles change whose document exists already, or was about to be written.
    let kills = kill_until_done(&cli, &export, &mut seed, |kills| {
        for article in ["changing", "changing-back"] {
            let text = if article == "changing" { kills } else { kills % 2 };
            assert_eq!(cli.add(article, "Ferry", &format!("It sails {text} times."), &[]).code, 0);
        }
    });
    println!("{kills} kills");
    cli.ok(&["export", "--format", "ninjs", "-o", &whole]);
    for source in names(cli.path("whole")).iter().filter(|name| !name.starts_with('.')) {
        let documents = names(cli.path("whole").join(source));
        let there: Vec<_> = names(cli.path("pages").join(source));
        assert_eq!(there, documents);
        for name in documents {
            let file = Path::new(source).join(name);
            let [whole, killed] = ["whole", "pages"].map(|folder| fs::read(cli.path(folder).join(&file)).unwrap());
            assert_eq!(whole, killed, "{}", file.display());
        }
    }
    let again = cli.run(&export);
    assert!(again.err.contains(" 0 written, ") && again.err.contains(" 0 failed"), "{again:?}");
}

#[test]
fn one_article_is_one_document() {
    let cli = Cli::new();
    cli.add("a", "Ferry", "It sails.", &["--observed-at", "2026-05-01T10:00:00Z"]);
    cli.add("a", "Ferry", "It stays.", &["--observed-at", "2026-05-02T10:00:00Z"]);
    for (format, says) in [
        ("ninjs", "<p>It stays.</p>"),
        ("json-ld", "<p>It stays.\\u003c/p>"),
        ("markdown", "\n\nIt stays.\n"),
        ("text", "\n\nIt stays.\n"),
        ("html", "<p dir=\"auto\">It stays.</p>"),
    ] {
        let document = cli.ok(&["export", "press/a", "--format", format]);
        assert!(document.contains(says), "{document}");
        // Adding the document again is a sighting.
        if format != "text" && format != "html" {
            let file = cli.file("document", &document);
            let told = cli.ok(&["add", &file, "--source", "press", "--article", "a", "--json", "--dry-run"]);
            assert_eq!(json_lines(&told)[0]["outcome"], "OBSERVATION_OUTCOME_UNCHANGED", "{document}");
        }
    }
    let first = cli.ok(&["export", "press/a", "--format", "text", "--revision", "1"]);
    assert!(first.contains("It sails.") && first.contains("Revision: 1 of 2"), "{first}");
    assert!(cli.ok(&["export", "press/a", "--format", "text", "--at", "2026-05-01"]).contains("It sails."));
    let file = path(&cli, "a.html");
    assert_eq!(cli.ok(&["export", "press/a", "--format", "html", "-o", &file]), format!("wrote {file}\n"));
    cli.fails(&["export", "press/a", "--format", "html", "-o", &file], 4, "exists");
    let page = cli.ok(&["diff", "press/a", "--html"]);
    assert!(page.contains("sails</ins>") || page.contains("<del>"), "{page}");
    assert!(page.contains("What changed from revision 1"), "{page}");
    // The document of a withdrawn article says so.
    cli.ok(&["withdraw", "press/a", "--reason", "<gone>"]);
    let page = cli.ok(&["export", "press/a", "--format", "html"]);
    assert!(page.contains("The publisher took this article down") && page.contains(": &#60;gone&#62;."), "{page}");
    assert!(page.contains("<p dir=\"auto\">It stays.</p>"), "{page}");
}

#[test]
fn invalid_combinations_of_arguments_are_rejected() {
    let cli = Cli::new();
    cli.fails(&["export"], 5, "there is no archive");
    cli.add("a", "Ferry", "It sails.", &[]);
    let file = cli.file("file", "mine");
    let folder = path(&cli, "");
    for (args, code, words) in [
        (&["press/b"][..], 3, "there is no article press/b"),
        (&["press/b", "--format", "html"], 3, "there is no article press/b"),
        (&["press/a", "--format", "html", "--revision", "9"], 3, "revision"),
        (&["press/a", "--format", "html", "--label", "none"], 3, "does not match the other options"),
        (&["--at", "2001-01-01", "press/a"], 3, "there is no article press/a at that time"),
        (&["--format", "html"], 2, "several articles need a directory"),
        (&["--format", "pdf"], 2, "invalid value 'pdf'"),
        (&["--format", "html", "-o", &file], 2, "is a file"),
        (&["-o", &folder], 2, "is a directory"),
        (&["-o", &file], 4, "exists"),
        (&["-o", "/dev/null", "--force"], 2, "is not a regular file"),
        (&["press/a", "--format", "text", "-o", "/dev/null", "--force"], 2, "is not a regular file"),
        (&["--json"], 2, "standard output cannot carry both"),
        (&["--gzip", "--zstd"], 2, "cannot be used with"),
        (&["--revision", "1"], 2, "--revision is for documents"),
        (&["--format", "text", "--newest", "press/a"], 2, "--newest is for JSON Lines"),
        (&["--format", "text", "--gzip", "press/a"], 2, "are for JSON Lines"),
        (&["--format", "text", "--originals", "press/a"], 2, "--originals is for JSON Lines"),
        (&["--format", "text", "--revision", "1", "-o", "x"], 2, "--revision is for one article"),
        (&["-o", "/dev/null/x.jsonl"], 1, "cannot be written"),
        (&["--format", "html", "-o", "/dev/null/x"], 1, "cannot be written"),
    ] {
        cli.fails(&[&["export"], args].concat(), code, words);
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
}

#[test]
fn an_export_that_finds_the_disk_full_continues_once_there_is_room() {
    let Some(disk) = Disk::mount() else { return };
    let cli = large(24);
    let lines = cli.ok(&["export"]);
    let file = disk.path().join("a.jsonl");
    let file = file.to_str().unwrap();
    disk.fill_up_to("somebody's", 20 << 20);
    cli.fails(&["export", "-o", file], 1, "free some space, and run the same command again");
    assert!(!Path::new(file).exists());
    disk.remove("somebody's");
    cli.ok(&["export", "-o", file]);
    assert!(read(Path::new(file)) == lines);

    let folder = disk.path().join("pages");
    let folder = folder.to_str().unwrap();
    disk.fill_up_to("somebody's", 10 << 20);
    let done = cli.run(&["export", "--format", "text", "-o", folder]);
    assert!(done.code == 1 && done.err.contains("UNWRITABLE"), "{done:?}");
    disk.remove("somebody's");
    cli.ok(&["export", "--format", "text", "-o", folder]);
    assert_eq!(names(Path::new(folder).join("gazette")).len(), 24);
}

#[test]
fn the_example_lines_in_the_documentation_are_valid() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/FORMAT.md")).unwrap();
    let examples: Vec<_> = text.lines().filter(|line| line.starts_with("{\"")).collect();
    assert_eq!(requests(&examples.join("\n")).len(), 2);
}

/// A request holds 16 URLs, and an article has up to 256, so the newest state takes several requests.
#[test]
fn an_export_of_the_newest_state_has_all_urls() {
    let (cli, other) = (Cli::new(), Cli::new());
    for page in 0..3 {
        let urls: Vec<_> = (0..15).map(|number| format!("https://a.example/{page}/{number}")).collect();
        let urls: Vec<_> = urls.iter().flat_map(|url| ["--url", url]).collect();
        cli.add("a", "Ferry", "It sails.", &[&["--observed-at", "2026-05-01T10:00:00Z"][..], &urls].concat());
    }
    let lines = cli.ok(&["export", "--newest"]);
    assert_eq!(lines.lines().count(), 3);
    let served = Server::start(&other, &[]);
    support::block_on(async {
        let client = Client::connect(&served.address).await.unwrap();
        for request in requests(&lines) {
            make(&client, request, &client).await;
        }
    });
    let urls = |cli: &Cli| -> Vec<_> {
        let article = json_lines(&cli.ok(&["show", "press/a", "--json"])).remove(0);
        article["urls"].as_array().unwrap().iter().map(|url| url["url"].clone()).collect()
    };
    assert_eq!((urls(&cli).len(), urls(&other)), (45, urls(&cli)));
    assert_eq!(other.ok(&["log", "press/a", "--json"]).matches("observationCount\":1").count(), 1);
}

/// Notes for a person go to standard error, so that the lines stay clean.
#[test]
fn notes_go_to_standard_error_next_to_the_lines() {
    let cli = random(3);
    let mut export = cli.command(&["export"]);
    let done: Done = export.stdout(Stdio::piped()).output().unwrap().into();
    assert_eq!(done.err, format!("dateline: exported {} lines\n", done.out.lines().count()));
    assert_eq!(cli.run(&["export", "--quiet"]).err, "");
}
