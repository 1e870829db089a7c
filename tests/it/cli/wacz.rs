//! WACZ: what `export` writes and `import` reads, from and to real archives.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Cursor, Read, Write};
use std::process::Stdio;

use data_encoding::HEXLOWER;
use flate2::read::MultiGzDecoder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

use super::export::{end, large, random};
use super::import::web_archive::page;
use super::{Cli, Running, json_lines};

const BRIDGE: &str = "https://www.harbour.example/News/bridge?b=2&a=1";

impl Cli {
    /// Archives an HTML page as the article at `url`, with its original.
    fn add_page(&self, url: &str, time: &str, headline: &str) {
        let html = format!(
            "<!doctype html><html><head><title>{headline}</title></head><body><article><h1>{headline}</h1>\
             <p>The city closes the old bridge on Monday, and nobody can say for how long.</p></article></body></html>"
        );
        let file = self.file("page.html", html);
        self.ok(&["add", &file, "--url", url, "--source", "harbour", "--observed-at", time, "--keep-original"]);
    }

    /// Exports a WACZ with these arguments, and returns its path.
    fn wacz(&self, name: &str, args: &[&str]) -> String {
        let path = self.path(name).to_str().unwrap().to_owned();
        self.ok(&[&["export", "--format", "wacz", "-o", &path], args].concat());
        path
    }

    /// What the archive has of each revision at a URL: its digest, and when it was first and last seen.
    fn seen(&self, url: &str) -> Vec<[String; 4]> {
        let revisions = json_lines(&self.ok(&["log", url, "--oldest-first", "--json"]));
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let line = |entry: &Value| {
            let revision = &entry["revision"];
            [
                &revision["contentDigest"],
                &revision["original"]["sha256"],
                &entry["firstSeenTime"],
                &entry["lastSeenTime"],
            ]
            .map(text)
        };
        revisions.iter().map(line).collect()
    }
}

/// The text of a file in a WACZ, decompressed.
fn read(wacz: &str, name: &str) -> String {
    let mut archive = ZipArchive::new(File::open(wacz).unwrap()).unwrap();
    let file = archive.by_name(name).unwrap();
    let mut text = String::new();
    match name.ends_with(".gz") {
        true => MultiGzDecoder::new(file).read_to_string(&mut text).unwrap(),
        false => { file }.read_to_string(&mut text).unwrap(),
    };
    text
}

/// A WACZ of these web archives.
fn packed(warcs: &[(&str, &str)]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let mut resources = Vec::new();
    let options = SimpleFileOptions::DEFAULT.compression_method(zip::CompressionMethod::Stored);
    for (name, bytes) in warcs {
        let hash = format!("sha256:{}", HEXLOWER.encode(&Sha256::digest(bytes)));
        resources.push(json!({ "path": name, "hash": hash, "bytes": bytes.len() }));
        zip.start_file(*name, options).unwrap();
        zip.write_all(bytes.as_bytes()).unwrap();
    }
    zip.start_file("datapackage.json", options).unwrap();
    zip.write_all(json!({ "profile": "data-package", "resources": resources }).to_string().as_bytes()).unwrap();
    zip.finish().unwrap().into_inner()
}

/// A ZIP file with web archives that nothing lists.
fn unlisted() -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for name in ["archive/a.warc", "archive/b.warc.gz", "archive/c.warc", "archive/d.warc", "notes.txt"] {
        zip.start_file(name, SimpleFileOptions::DEFAULT).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// An archive with an article that changed, changed back, and was seen again in between.
fn with_history() -> Cli {
    let cli = Cli::new();
    cli.add_page(BRIDGE, "2025-11-01T10:00:00Z", "Bridge to close");
    cli.add_page(BRIDGE, "2025-11-02T10:00:00.25Z", "Bridge to close");
    cli.add_page(BRIDGE, "2025-11-03T10:00:00Z", "Bridge to close for a year");
    cli.add_page(BRIDGE, "2025-11-04T10:00:00Z", "Bridge to close");
    cli
}

#[test]
fn an_exported_wacz_gives_the_same_revisions_where_it_is_imported() {
    let cli = with_history();
    let file = cli.wacz("a.wacz", &[]);
    let other = Cli::new();
    let done = other.run(&["import", &file]);
    assert!(done.err.contains("4 observations: 1 created, 2 revised, 1 unchanged, 0 failed"), "{done:?}");
    assert_eq!(cli.seen(BRIDGE).len(), 3);
    assert_eq!(other.seen(BRIDGE), cli.seen(BRIDGE));
    let positions = || other.ok(&["status", "--json"]).parse::<Value>().unwrap()["nextSeq"].clone();
    let before = positions();
    let again = other.run(&["import", &file]);
    assert!(again.err.contains("4 observations: 0 created, 0 revised, 4 unchanged"), "{again:?}");
    assert_eq!((positions(), other.seen(BRIDGE)), (before, cli.seen(BRIDGE)));
    // A WACZ of the copy has the same originals at the same times.
    let index = |file: &str| read(file, "indexes/index.cdx.gz").lines().count();
    assert_eq!(index(&other.wacz("b.wacz", &[])), index(&file));
}

#[test]
fn the_same_snapshot_gives_the_same_file_and_an_existing_one_is_kept() {
    let cli = with_history();
    let (a, b) = (cli.wacz("a.wacz", &[]), cli.wacz("b.wacz", &[]));
    assert!(fs::read(&a).unwrap() == fs::read(&b).unwrap());
    cli.fails(&["export", "--format", "wacz", "-o", &a], 4, "exists");
    fs::write(&a, "mine").unwrap();
    cli.wacz("a.wacz", &["--force"]);
    assert!(fs::read(&a).unwrap() == fs::read(&b).unwrap());
    let left: Vec<_> = fs::read_dir(cli.path("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("part")), "{left:?}");
}

#[test]
fn a_selection_or_what_is_in_force_is_exported() {
    let cli = with_history();
    cli.add_page("https://www.harbour.example/fair", "2025-11-02T10:00:00Z", "Fair opens");
    let captures = |name: &str, args: &[&str]| {
        let index = read(&cli.wacz(name, args), "indexes/index.cdx.gz");
        let line = |line: &str| line.split(" {").next().unwrap().to_owned();
        index.lines().map(line).collect::<Vec<_>>()
    };
    let [bridge, fair] = ["example,harbour)/news/bridge?a=1&b=2", "example,harbour)/fair"];
    let newest = [format!("{fair} 20251102100000"), format!("{bridge} 20251104100000")];
    assert_eq!(captures("newest.wacz", &["--newest"]), newest);
    let until = [format!("{bridge} 20251101100000"), format!("{bridge} 20251102100000")];
    assert_eq!(captures("until.wacz", &[BRIDGE, "--at", "2025-11-02T12:00:00Z"]), until);
    assert_eq!(captures("none.wacz", &["--source", "elsewhere"]), [""; 0]);
    let planned = cli.ok(&["export", "--format", "wacz", "-o", "plan.wacz", "--dry-run"]);
    assert!(planned.starts_with("would export the history of 2 articles"), "{planned}");
    assert!(!cli.path("plan.wacz").exists());
}

/// A page that Dateline writes is under a name of its own, and an import does not take it for the publisher's.
#[test]
fn what_has_no_original_is_a_page_that_says_so() {
    let cli = Cli::new();
    cli.add("ferry", "Ferry returns", "The captain was at the helm.", &["--observed-at", "2025-11-01T10:00:00Z"]);
    cli.add("ferry", "Ferry returns", "The captain was at the helm.", &["--observed-at", "2025-11-02T10:00:00Z"]);
    let file = cli.wacz("a.wacz", &[]);
    let warc = read(&file, "archive/data.warc.gz");
    assert!(warc.contains("WARC-Target-URI: urn:dateline:sources/press/articles/ferry/revisions/1\r\n"), "{warc}");
    assert!(warc.contains("it is not the page that the publisher sent"), "{warc}");
    let pages = read(&file, "pages/pages.jsonl");
    assert!(pages.contains("Ferry returns (archived text; the original was not kept)"), "{pages}");
    assert!(!warc.contains("WARC-Type: revisit"), "{warc}");
    let done = Cli::new().run(&["import", &file]);
    assert!(done.err.contains("0 observations"), "{done:?}");
    assert!(done.err.contains("skipped: pages that Dateline exported without an original"), "{done:?}");
}

/// Random writes of all kinds. JSON Lines have each observation, with the number of the revision that it found.
#[test]
fn every_observation_is_in_the_file() {
    for seed in 0..4 {
        let cli = random(seed);
        let lines = json_lines(&cli.ok(&["export"]));
        let mut found = Vec::new();
        for line in &lines {
            let request = line.get("record").or(line.get("rollback"));
            // A request that only adds URLs is not an observation.
            let Some(request) = request.filter(|request| request["coalesceWithin"].is_null()) else { continue };
            let text = |name: &str| request[name].as_str().unwrap_or_default();
            let article = match text("name") {
                "" => format!("{}/articles/{}", text("parent"), text("articleId")),
                name => name.to_owned(),
            };
            found.push((article, line["recorded"]["revisionNumber"].to_string(), request["observeTime"].to_string()));
        }
        let revisions: HashSet<_> = found.iter().map(|(article, number, _)| (article, number)).collect();
        let file = cli.path("a.wacz");
        let done = cli.ok(&["--json", "export", "--format", "wacz", "-o", file.to_str().unwrap()]);
        let done: Value = done.parse().unwrap();
        let number = |name: &str| done[name].as_str().unwrap().parse::<usize>().unwrap();
        let captures = number("originals") + number("generatedPages");
        assert!(captures <= revisions.len() && number("originals") > 0, "{seed}: {done}");
        // What was recorded before and came again, with another request id, need not be there twice.
        let all = captures + number("sightings");
        let different = found.iter().collect::<HashSet<_>>().len();
        assert!((different..=found.len()).contains(&all), "{seed}: {different}, {all}, {}", found.len());

        let warc = read(file.to_str().unwrap(), "archive/data.warc.gz");
        let ids: Vec<_> = warc.lines().filter(|line| line.starts_with("WARC-Record-ID: ")).collect();
        assert_eq!(ids.len(), ids.iter().collect::<HashSet<_>>().len(), "{seed}: an id is of one record");
    }
}

#[test]
fn an_interrupted_export_leaves_nothing() {
    let cli = large(24);
    let file = cli.path("a.wacz");
    let mut running =
        Running(cli.command(&["export", "--format", "wacz", "-o", file.to_str().unwrap()]).spawn().unwrap());
    while !cli.path("a.wacz.part").exists() {
        assert_eq!(running.0.try_wait().unwrap(), None, "it ended before it could be interrupted");
        std::thread::yield_now();
    }
    running.signal("INT");
    let done = end(running);
    assert!(done.code == 1 && done.err.contains("interrupted; this run wrote nothing"), "{done:?}");
    let left: Vec<_> = fs::read_dir(cli.path("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("wacz")), "{left:?}");
    cli.wacz("a.wacz", &[]);
}

#[test]
fn a_destroyed_text_is_left_out() {
    const SECRET: &str = "Bridge to close for a year";
    let cli = with_history();
    let order = ["expunge", BRIDGE, "--revision", "2", "--reason", "court-order", "--reference", "3 O 12/26"];
    let plan = cli.ok(&order);
    let digest = plan.trim().rsplit(' ').next().unwrap();
    cli.ok(&[&order[..], &["--confirm", digest]].concat());
    let path = cli.path("a.wacz");
    let done = cli.run(&["export", "--format", "wacz", "-o", path.to_str().unwrap()]);
    assert!(done.out.starts_with("exported 2 originals, 1 sighting, "), "{done:?}");
    assert!(done.err.contains("left out 1 observation because the text was destroyed"), "{done:?}");
    let file = path.to_str().unwrap();
    for name in ["archive/data.warc.gz", "pages/pages.jsonl", "datapackage.json"] {
        assert!(!read(file, name).contains(SECRET), "{name}");
    }
    assert!(read(file, "datapackage.json").contains("left out because their text was destroyed: 1."));
}

#[test]
fn options_that_mean_nothing_for_a_wacz_are_rejected() {
    let cli = with_history();
    for (args, code, words) in [
        (&[][..], 2, "a WACZ cannot be written to standard output"),
        (&["--dry-run"], 2, "a WACZ cannot be written to standard output"),
        (&["-o", "-", "--dry-run"], 2, "a WACZ cannot be written to standard output"),
        (&["-o", "a.jsonl"], 2, "a.jsonl has the name of JSON Lines, not a WACZ"),
        (&["-o", "a.jsonl.gz", "--dry-run"], 2, "a.jsonl.gz has the name of JSON Lines, not a WACZ"),
        (&["-o", "."], 2, "a WACZ is one file"),
        (&["-o", "a.wacz", "--originals"], 2, "a WACZ always has them"),
        (&["-o", "a.wacz", "--gzip"], 2, "is compressed already"),
        (&["-o", "a.wacz", "--revision", "1", BRIDGE], 2, "--revision is for documents"),
        (&["-o", "/nowhere/a.wacz"], 1, "/nowhere does not exist"),
    ] {
        cli.fails(&[&["export", "--format", "wacz"], args].concat(), code, words);
    }
}

#[test]
fn the_name_of_the_file_chooses_the_format() {
    let cli = with_history();
    let file = cli.wacz("a.wacz", &[]);
    let named = cli.path("B.WACZ");
    cli.ok(&["export", "-o", named.to_str().unwrap()]);
    assert!(fs::read(&file).unwrap() == fs::read(&named).unwrap());
    let fails = |args: &[&str], words: &str| cli.fails(&[&["export", "-o", "c.wacz"], args].concat(), 2, words);
    fails(&["--format", "jsonl"], "c.wacz has the name of a WACZ, not JSON Lines");
    fails(&["--format", "html", BRIDGE], "c.wacz has the name of a WACZ, not a document");
    fails(&["--gzip"], "is compressed already");
    fails(&["--originals"], "a WACZ always has them");
    assert!(!cli.path("c.wacz").exists());
}

#[test]
fn a_killed_export_is_named_and_can_be_overwritten() {
    let cli = with_history();
    let part = cli.path("a.wacz.part");
    fs::write(&part, "PK").unwrap();
    let file = cli.path("a.wacz");
    let export = ["export", "-o", file.to_str().unwrap()];
    let done = cli.run(&export);
    assert_eq!(done.code, 4, "{done:?}");
    assert!(done.err.contains("a.wacz.part is left from an export that was killed"), "{done:?}");
    assert!(done.err.contains("--force overwrites it"), "{done:?}");
    cli.ok(&[&export[..], &["--force"]].concat());
    assert!(!part.exists() && file.exists());
}

/// The web archives of a WACZ stand for themselves: one that was altered keeps none of the others out.
#[test]
fn an_altered_web_archive_is_not_imported() {
    let cli = Cli::new();
    let (a, b) =
        (page(BRIDGE, "2025-11-01T10:00:00Z", "Bridge to close"), page(BRIDGE, "2025-11-02T10:00:00Z", "Bridge shut"));
    let mut file = packed(&[("archive/a.warc", &a), ("archive/b.warc", &b)]);
    let at = file.windows(11).position(|part| part == b"<h1>Bridge ").unwrap();
    file[at + 4..at + 10].copy_from_slice(b"Tunnel");
    let done = cli.run(&["import", &cli.file("a.wacz", &file)]);
    assert_eq!(done.code, 1, "{done:?}");
    assert!(done.err.contains("archive/a.warc: it was damaged or altered: its SHA-256 is not the one in"), "{done:?}");
    assert!(done.err.contains("1 created, 0 revised, 0 unchanged, 1 failed (1 DIGEST_MISMATCH)"), "{done:?}");
    assert_eq!(cli.seen(BRIDGE).len(), 1);
    assert!(cli.ok(&["show", BRIDGE]).contains("Bridge shut"));
}

#[test]
fn a_web_archive_that_is_only_listed_is_a_failure() {
    let cli = Cli::new();
    let a = page(BRIDGE, "2025-11-01T10:00:00Z", "Bridge to close");
    let mut file = packed(&[("archive/a.warc", &a), ("archive/b.warc", &a)]);
    // In the directory and in the header of the file, but not in the data package.
    let header = |file: &[u8]| file.windows(14).position(|part| part == b"archive/b.warc").unwrap();
    let directory = file.windows(14).rposition(|part| part == b"archive/b.warc").unwrap();
    for at in [header(&file), directory] {
        file[at..at + 14].copy_from_slice(b"archive/b.text");
    }
    let done = cli.run(&["import", &cli.file("a.wacz", &file)]);
    assert_eq!(done.code, 1, "{done:?}");
    assert!(done.err.contains("archive/b.warc: datapackage.json lists it, but it is not in the ZIP file"), "{done:?}");
    assert!(done.err.contains("1 created, 0 revised, 0 unchanged, 1 failed (1 MISSING)"), "{done:?}");
}

#[test]
fn what_is_not_a_whole_wacz_is_rejected() {
    let cli = Cli::new();
    let file = packed(&[("archive/a.warc", &page(BRIDGE, "2025-11-01T10:00:00Z", "Bridge to close"))]);
    for (name, bytes, words) in [
        ("cut.wacz", &file[..file.len() - 30], "it is not a complete ZIP file"),
        ("other.zip", &packed(&[])[..], "it has no WARC file in archive/"),
        ("start", b"PK\x03\x04", "it is not a complete ZIP file"),
        ("empty.wacz", b"", "it is not a ZIP file, and so not a WACZ"),
        ("lines.WACZ", b"{}\n", "it is not a ZIP file, and so not a WACZ"),
    ] {
        let done = cli.run(&["import", &cli.file(name, bytes)]);
        assert!(done.code == 1 && done.err.contains(words), "{name}: {done:?}");
    }
    let done = cli.run(&["import", &cli.file("unlisted.zip", unlisted())]);
    assert!(done.err.contains("unpack it, and import archive/a.warc, archive/b.warc.gz, archive/c.warc and 1 more"));
    let piped = cli.feed(&["import", "-"], &file);
    assert!(piped.code != 0 && piped.err.contains("save it to a file first"), "{piped:?}");
}

/// Killed after some replies, which arrive faster than progress is saved.
#[test]
fn a_killed_import_of_a_wacz_continues() {
    let pages = |name: &str| {
        let page = |n: u32| {
            page(
                &format!("https://q.example/{name}/{}", n % 9),
                &format!("2025-11-{:02}T10:{:02}:00Z", 1 + n / 60, n % 60),
                &format!("State {n}"),
            )
        };
        (0..500).map(page).collect::<String>()
    };
    let (a, b) = (pages("a"), pages("b"));
    let bytes = packed(&[("archive/a.warc", &a), ("archive/b.warc", &b)]);
    let whole = Cli::new();
    let done = whole.run(&["import", &whole.file("a.wacz", &bytes)]);
    assert!(done.err.contains("1000 observations: 18 created"), "{done:?}");

    let cli = Cli::new();
    let file = cli.file("a.wacz", &bytes);
    for replies in [100, 200, 400] {
        let mut child = Running(cli.command(&["import", &file, "--json"]).stderr(Stdio::null()).spawn().unwrap());
        let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
        for _ in 0..replies {
            if lines.next().is_none() {
                break;
            }
        }
        child.0.kill().unwrap();
        child.0.wait().unwrap();
    }
    let done = cli.run(&["import", &file]);
    assert!(done.err.contains("continues after"), "{done:?}");
    for url in ["https://q.example/a/0", "https://q.example/b/8"] {
        assert_eq!(cli.seen(url), whole.seen(url));
    }
}
