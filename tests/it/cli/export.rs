//! `export`: what is taken out of a real archive by the real binary, whole and cut short.

use std::fs;
use std::io::{BufRead, BufReader, PipeWriter, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use async_compression::tokio::bufread::{GzipDecoder, ZstdDecoder};
use dateline::archive::Options;
use dateline::client::Client;
use dateline::clock::ManualClock;
use dateline::wire::json::from_json;
use dateline::wire::pb;
use serde_json::Value;
use tokio::io::AsyncReadExt;

use super::server::Server;
use super::{Cli, Done, Running, json_lines};
use crate::export::copies::make;
use crate::faults::disk::Disk;
use crate::faults::noise;
use crate::{model, support};

/// An archive in which random writes left their changes.
fn random(seed: u64) -> Cli {
    let cli = Cli::new();
    let archive =
        support::open_directory(&cli.archive(), &Options::default(), &Arc::new(ManualClock::new(support::now())));
    support::block_on(async {
        for operations in model::batches_of(seed, 40) {
            // Some are refused, and that leaves nothing.
            drop(archive.write(operations, false).await);
        }
        archive.close().await;
    });
    cli
}

/// What lines say, without when and where they were recorded.
fn requests(lines: &str) -> Vec<pb::ReplayRequest> {
    let request = |line| from_json::<pb::ReplayRequest>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    lines.lines().map(request).map(|request| pb::ReplayRequest { recorded: None, ..request }).collect()
}

/// What a file of lines holds, whichever way it is compressed.
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

/// The names in a folder.
fn names(folder: PathBuf) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The export is made again in an empty archive, request by request, and exported from there: nothing is lost.
#[test]
fn lines_make_the_same_archive_again() {
    for seed in 0..3 {
        let (cli, other) = (random(seed), Cli::new());
        let lines = cli.ok(&["export", "--originals"]);
        let served = Server::start(&other, &[]);
        support::block_on(async {
            let client = Client::connect(&format!("http://{}", served.address)).await.unwrap();
            for mut request in requests(&lines) {
                // They are in the line already.
                use pb::replay_request::Request::Publish;
                if let Some(Publish(publish)) = &mut request.request
                    && publish.original.is_some()
                {
                    drop(client.archive.clone().record_observation(publish.clone()).await.unwrap());
                } else {
                    make(&client, request, &client).await;
                }
            }
        });
        // Through the server, and from the archive itself.
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

/// An export as `import` reads it, through a file or a pipe, is the same archive again, but for when it was archived.
#[test]
fn what_is_imported_is_exported_again_as_it_was() {
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
        assert!(all.contains(&word), "{word} was not among what was exported");
    }
}

#[test]
fn a_choice_of_articles_and_of_times_is_exported() {
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
    let a = ["publish a 01", "publish a 02", "rollback a 03"];
    assert_eq!(lines(&[]), [&a[..], &["publish b 02", "withdraw b 03"]].concat());
    assert_eq!(lines(&["--label", "boats"]), a);
    assert_eq!(lines(&["press/a"]), a);
    assert_eq!(lines(&["https://a.example/1"]), a);
    assert_eq!(lines(&["--source", "press", "--state", "withdrawn"]), ["publish b 02", "withdraw b 03"]);
    assert_eq!(lines(&["--source", "other"]), [""; 0]);
    assert_eq!(lines(&["--at", &two]), ["publish a 01", "publish a 02", "publish b 02"]);
    // Whose number a rollback names is not known where observations are left out.
    assert_eq!(lines(&["--at", &three, "press/a"]), ["publish a 01", "publish a 02", "publish a 03"]);
    assert_eq!(lines(&["--newest"]), ["publish a 03", "publish b 02", "withdraw b 03"]);
    assert_eq!(lines(&["--newest", "--at", &two]), ["publish a 02", "publish b 02"]);
    let recorded = json_lines(&cli.ok(&["export"]))[1]["recorded"]["archiveTime"].clone();
    assert_eq!(lines(&["--known-at", recorded.as_str().unwrap()]), ["publish a 01", "publish a 02"]);
    // Of what is withdrawn, too, the text is there.
    assert!(cli.ok(&["export", "--newest", "press/b"]).contains("It stands."));
}

#[test]
fn an_export_to_a_file_is_whole_or_not_there() {
    let cli = random(7);
    let lines = cli.ok(&["export"]);
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
    // Programs of others read what is compressed.
    for (tool, name) in [("gzip", "deep/er/b.jsonl.gz"), ("zstd", "c.jsonl.zst")] {
        match Command::new(tool).arg("-dc").arg(cli.path(name)).output() {
            Ok(done) => assert_eq!(String::from_utf8(done.stdout).unwrap(), lines),
            Err(error) => eprintln!("SKIPPED: there is no {tool} here: {error}"),
        }
    }
    let empty = path(&cli, "empty.gz");
    cli.ok(&["export", "--source", "nobody", "-o", &empty]);
    assert_eq!(read(&cli.path("empty.gz")), "");
    assert!(fs::metadata(&empty).unwrap().len() > 0, "a member of gzip that holds nothing");
    let would = cli.ok(&["export", "-o", &path(&cli, "new.jsonl"), "--dry-run"]);
    assert!(would.starts_with("would export the history of ") && !cli.path("new.jsonl").exists(), "{would}");
}

#[test]
fn a_reader_may_go_away() {
    let cli = large(12);
    let mut export = cli.command(&["export"]).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(export.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let mut said = String::new();
    assert_eq!((export.wait().unwrap().code(), requests(&line).len()), (Some(0), 1));
    export.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(!said.contains("panicked") && !said.contains("can't be written"), "{said}");
}

/// An archive of so many articles of a megabyte.
fn large(articles: u64) -> Cli {
    filled(articles, 900_000)
}

/// An archive of so many articles of so many bytes.
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
            let observation = dateline::archive::request::Observation::new(content, Vec::new());
            let action = dateline::archive::request::Action::Observe(Box::new(observation));
            let target = dateline::archive::request::Target::Named(name);
            archive.write(vec![support::operation(target, support::at(0), action)], false).await.unwrap();
        }
        archive.close().await;
    });
    cli
}

/// A number that is different each time, and the same in each run.
fn dice(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

/// Kills the command at random moments until it comes to its end, and answers how often. Something happens between.
fn kill_until_done(cli: &Cli, args: &[&str], seed: &mut u64, between: impl Fn(u32)) -> u32 {
    let mut kills = 0;
    loop {
        let mut running = Running(cli.command(args).spawn().unwrap());
        // It is given more and more time, so that it comes to its end on any machine.
        let patience = 50 + dice(seed) % (400 + 60 * u64::from(kills));
        for _ in 0..patience / 5 {
            std::thread::sleep(Duration::from_millis(5));
            if let Some(status) = running.0.try_wait().unwrap() {
                // One that was killed when all was done is told that the file is there.
                let is_done = status.success() || kills > 0 && status.code() == Some(4);
                assert!(is_done, "{args:?} after {kills} kills: {status}");
                return kills;
            }
        }
        running.0.kill().unwrap();
        running.0.wait().unwrap();
        kills += 1;
        between(kills);
        assert!(kills < 200, "it does not come to its end");
    }
}

#[test]
fn an_export_that_is_killed_goes_on_and_loses_nothing() {
    let cli = large(24);
    let lines = cli.ok(&["export"]);
    let mut seed = 20_261_128;
    for name in ["a.jsonl", "b.jsonl.zst"] {
        let kills = kill_until_done(&cli, &["export", "-o", &path(&cli, name)], &mut seed, |_| {});
        println!("{name}: {kills} kills");
        assert!(read(&cli.path(name)) == lines, "{name} after {kills} kills");
    }
    // One that goes on has the cut that it began with, and the times: a moment later, the same words mean another one.
    let file = path(&cli, "d.jsonl");
    let export = ["export", "-o", &file, "--at", "1 second ago", "--observed-from", "5000 days ago"];
    let mut begun = Running(cli.command(&export).spawn().unwrap());
    while !cli.path("d.jsonl.part.state").exists() {
        std::thread::sleep(Duration::from_millis(1));
        assert!(begun.0.try_wait().unwrap().is_none(), "it was over before it was looked at");
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
fn an_export_that_is_asked_to_stop_says_how_to_go_on() {
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

/// A command that looks at files in which nothing has changed heeds it as well.
#[test]
fn an_export_that_finds_nothing_to_write_stops_when_it_is_asked_to() {
    let cli = Cli::new();
    ["a", "b", "c"].iter().for_each(|name| drop(cli.add(name, "Ferry", "It sails.", &[])));
    let folder = path(&cli, "pages");
    let export = ["export", "--format", "text", "-o", &folder];
    cli.ok(&export);
    // A pipe in place of a document tells us when it is looked at. It is not a document, and there is no room to say
    // so.
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

/// Fills a pipe, and answers with how many bytes.
fn fill(pipe: &PipeWriter) -> usize {
    // The same pipe, by a handle that does not wait.
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

/// A server that does not answer is not waited for.
#[test]
fn an_export_that_has_not_begun_yet_stops_when_it_is_asked_to() {
    let cli = Cli::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut running = Running(cli.command(&["export", "--server", &url]).spawn().unwrap());
    let (mut asked, _) = listener.accept().unwrap();
    // Once it says no more, it has asked.
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
    panic!("it goes on waiting");
}

/// Files are written also when nobody wants to hear of them any more.
#[test]
fn documents_are_written_whoever_looks_on() {
    let cli = filled(120, 100);
    let folder = path(&cli, "pages");
    let mut export = Running(cli.command(&["export", "--format", "html", "-o", &folder, "--json"]).spawn().unwrap());
    drop(export.0.stdout.take());
    assert_eq!(export.0.wait().unwrap().code(), Some(0));
    assert_eq!(names(cli.path("pages/gazette")).len(), 120);
}

#[test]
fn what_would_be_done_is_json_where_that_is_asked_for() {
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

fn end(mut running: Running) -> Done {
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

    // A sighting changes nothing of what it says.
    cli.add("a", "Ferry", "It sails.", &[]);
    assert!(said(&[]).err.starts_with("2 articles: 0 written, 2 up to date"));
    cli.add("a", "Ferry", "It stays.", &[]);
    let told = json_lines(&said(&["--json"]).out);
    assert_eq!((&told[0]["file"], &told[0]["outcome"]), (&"press/a.md".into(), &"written".into()));
    assert_eq!((&told[1]["written"], &told[1]["unchanged"]), (&"1".into(), &"1".into()));
    assert!(fs::read_to_string(&a).unwrap().contains("\nIt stays.\n"));

    // What somebody else wrote is left alone.
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
fn documents_that_were_cut_short_are_gone_on_with() {
    let cli = random(11);
    let (folder, mut seed) = (path(&cli, "pages"), 7);
    let export = ["export", "--format", "ninjs", "-o", &folder];
    let whole = path(&cli, "whole");
    // Between the kills, articles change of which a document is there already, or was about to be.
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
        ("html", "<p>It stays.</p>"),
    ] {
        let document = cli.ok(&["export", "press/a", "--format", format]);
        assert!(document.contains(says), "{document}");
        // What is read back is a sighting.
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
    // Withdrawn, it says so.
    cli.ok(&["withdraw", "press/a", "--reason", "<gone>"]);
    let page = cli.ok(&["export", "press/a", "--format", "html"]);
    assert!(page.contains("The publisher took this article down") && page.contains(": &lt;gone&gt;."), "{page}");
    assert!(page.contains("<p>It stays.</p>"), "{page}");
}

#[test]
fn what_makes_no_sense_is_refused() {
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
        (&["--format", "html"], 2, "go to a directory"),
        (&["--format", "pdf"], 2, "invalid value 'pdf'"),
        (&["--format", "html", "-o", &file], 2, "is a file"),
        (&["-o", &folder], 2, "is a directory"),
        (&["-o", &file], 4, "exists"),
        (&["-o", "/dev/null", "--force"], 2, "is not a regular file"),
        (&["press/a", "--format", "text", "-o", "/dev/null", "--force"], 2, "is not a regular file"),
        (&["--json"], 2, "standard output can't carry both"),
        (&["--gzip", "--zstd"], 2, "cannot be used with"),
        (&["--revision", "1"], 2, "--revision is for documents"),
        (&["--format", "text", "--newest", "press/a"], 2, "--newest is for JSON Lines"),
        (&["--format", "text", "--gzip", "press/a"], 2, "are for JSON Lines"),
        (&["--format", "text", "--originals", "press/a"], 2, "--originals is for JSON Lines"),
        (&["--format", "text", "--revision", "1", "-o", "x"], 2, "--revision is for one article"),
        (&["-o", "/dev/null/x.jsonl"], 1, "can't be written"),
        (&["--format", "html", "-o", "/dev/null/x"], 1, "can't be written"),
    ] {
        cli.fails(&[&["export"], args].concat(), code, words);
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
}

#[test]
fn an_export_that_finds_the_disk_full_goes_on_when_there_is_room() {
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
fn the_lines_in_the_documentation_are_lines() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/FORMAT.md")).unwrap();
    let examples: Vec<_> = text.lines().filter(|line| line.starts_with("{\"")).collect();
    assert_eq!(requests(&examples.join("\n")).len(), 2);
}

/// A request takes 16 addresses, and an article has up to 256.
#[test]
fn what_is_in_force_brings_all_addresses() {
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
        let client = Client::connect(&format!("http://{}", served.address)).await.unwrap();
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

/// A person looks on, and others than the reader of the lines are told.
#[test]
fn what_is_told_stands_beside_the_lines() {
    let cli = random(3);
    let mut export = cli.command(&["export"]);
    let done: Done = export.stdout(Stdio::piped()).output().unwrap().into();
    assert_eq!(done.err, format!("dateline: exported {} lines\n", done.out.lines().count()));
    assert_eq!(cli.run(&["export", "--quiet"]).err, "");
}
