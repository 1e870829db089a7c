//! Imports of web archives (WARC).

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};

use super::super::{Cli, json_lines};

fn record(kind: &str, url: &str, time: &str, more: &str, block: &str) -> String {
    let length = block.len();
    format!(
        "WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: {url}\r\nWARC-Date: {time}\r\n{more}\
         Content-Type: application/http; msgtype=response\r\nContent-Length: {length}\r\n\r\n{block}\r\n\r\n"
    )
}

pub(in crate::cli) fn page(url: &str, time: &str, headline: &str) -> String {
    let body = format!(
        "<!doctype html><html><head><title>{headline}</title></head><body><article><h1>{headline}</h1>\
         <p>The city closes the old bridge on Monday, and nobody can say for how long it will be.</p></article></body></html>"
    );
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nETag: \"{time}\"\r\n\r\n{body}");
    record("response", url, time, "", &answer)
}

/// The page with a link that names BRIDGE as its canonical URL.
fn canonical(page: String) -> String {
    let link = format!("</title><link rel='canonical' href='{BRIDGE}'>");
    let length = page.split_once("\r\n\r\n").unwrap().1.len() - "\r\n\r\n".len();
    let (old, new) = (format!("Content-Length: {length}"), length + link.len() - "</title>".len());
    assert!(page.contains(&old), "{page}");
    page.replace(&old, &format!("Content-Length: {new}")).replace("</title>", &link)
}

const BRIDGE: &str = "https://www.harbour.example/news/bridge";

#[test]
fn responses_become_observations_or_absences_and_revisits_sightings() {
    let cli = Cli::new();
    let refers = format!("WARC-Refers-To-Target-URI: {BRIDGE}\r\nWARC-Refers-To-Date: 2025-11-01T10:00:00Z\r\n");
    let unknown = "WARC-Refers-To-Target-URI: https://www.harbour.example/never\r\n";
    let file = [
        record("warcinfo", "", "2025-11-01T09:00:00Z", "", "software: x"),
        page(BRIDGE, "2025-11-01T10:00:00Z", "Bridge to close"),
        page(BRIDGE, "2025-11-03T10:00:00Z", "Bridge to close for a year"),
        record("revisit", BRIDGE, "2025-11-02T10:00:00Z", &refers, "HTTP/1.1 304 Not Modified\r\n\r\n"),
        record("revisit", BRIDGE, "2025-11-04T10:00:00Z", "", ""),
        record("revisit", BRIDGE, "2025-11-05T10:00:00Z", unknown, ""),
        record("revisit", BRIDGE, "2025-11-05T11:00:00Z", "", "HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\n"),
        record("response", BRIDGE, "2025-11-06T09:00:00Z", "", "HTTP/1.1 503 Service Unavailable\r\n\r\n"),
        record("response", BRIDGE, "2025-11-06T10:00:00Z", "", "HTTP/1.1 404 Not Found\r\n\r\n"),
        record("response", BRIDGE, "2025-11-07T10:00:00Z", "", "HTTP/1.1 410 Gone\r\n\r\n"),
        record("response", "https://www.harbour.example/typo", "2025-11-07T11:00:00Z", "", "HTTP/1.1 404 Oops\r\n\r\n"),
    ]
    .concat();
    let path = cli.file("crawl.warc", &file);
    let done = cli.run(&["import", &path]);
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.err.contains("4 observations: 1 created, 1 revised, 2 unchanged, 0 failed"), "{done:?}");
    assert!(cli.ok(&["show", BRIDGE, "--original"]).contains("<h1>Bridge to close for a year</h1>"));
    for passed_over in ["visits to pages that are not archived (1)", "revisits that are not of pages (1)"] {
        assert!(done.err.contains(passed_over), "{done:?}");
    }
    assert!(done.err.contains("responses that are not pages (1)") && done.err.contains("; 2 absences;"), "{done:?}");
    assert!(done.err.contains("missing pages that are not archived (1)"), "{done:?}");
    let missing = "gone: last seen 2025-11-04T10:00:00Z, first missed 2025-11-06T10:00:00Z; 2 looks, status 410\n";
    assert!(cli.ok(&["log", BRIDGE]).starts_with(missing), "{}", cli.ok(&["log", BRIDGE]));
    let revisions = json_lines(&cli.ok(&["log", BRIDGE, "--oldest-first", "--json"]));
    let seen: Vec<_> = revisions
        .iter()
        .map(|revision| {
            let text = |name: &str| revision[name].as_str().unwrap_or_default().to_owned();
            (text("firstSeenTime"), text("lastSeenTime"))
        })
        .collect();
    assert_eq!(revisions.len(), 2, "{revisions:#?}");
    assert_eq!(
        seen,
        [
            ("2025-11-01T10:00:00Z".to_owned(), "2025-11-02T10:00:00Z".to_owned()),
            ("2025-11-03T10:00:00Z".to_owned(), "2025-11-04T10:00:00Z".to_owned())
        ],
        "{revisions:#?}"
    );
    let changes = cli.changes();
    cli.run(&["import", &path]);
    assert_eq!(cli.changes(), changes, "nothing is archived twice");
}

/// The `--source` of an import did not apply to the pages that were missing, and every address of an article counted.
#[test]
fn a_missing_page_is_an_absence_of_an_article_of_the_source_at_its_own_address_only() {
    let cli = Cli::new();
    let copy = "https://www.harbour.example/m/bridge";
    let gone = |url: &str, time: &str| record("response", url, time, "", "HTTP/1.1 410 Gone\r\n\r\n");
    let file = [
        page(BRIDGE, "2025-11-01T10:00:00Z", "Bridge to close"),
        canonical(page(copy, "2025-11-02T10:00:00Z", "Bridge to close")),
        gone(copy, "2025-11-03T10:00:00Z"),
    ];
    let done = cli.run(&["import", "--source", "harbour", &cli.file("crawl.warc", file.concat())]);
    assert!(done.code == 0 && done.err.contains("missing pages at further addresses of articles (1)"), "{done:?}");
    assert!(cli.ok(&["list"]).contains("live"), "{}", cli.ok(&["list"]));
    let later = cli.file("later.warc", gone(BRIDGE, "2025-11-04T10:00:00Z"));
    let done = cli.run(&["import", "--source", "other", &later]);
    assert!(done.code == 0 && done.err.contains("missing pages of articles of other sources (1)"), "{done:?}");
    assert!(cli.ok(&["list"]).contains("live"), "{}", cli.ok(&["list"]));
    let again = cli.file("again.warc", gone(BRIDGE, "2025-11-04T10:00:00Z"));
    let done = cli.run(&["import", "--source", "harbour", &again]);
    assert!(done.code == 0 && done.err.contains("1 absence"), "{done:?}");
    assert!(cli.ok(&["list"]).contains("gone"), "{}", cli.ok(&["list"]));
}

/// WARC 1.1, section 6.7.2: a revisit is a capture of the visited URL, not of the one that had the same content before.
#[test]
fn a_revisit_of_another_url_adds_no_revision_to_the_first() {
    let cli = Cli::new();
    let copy = "https://www.harbour.example/news/copy";
    let refers = format!("WARC-Refers-To-Target-URI: {BRIDGE}\r\nWARC-Refers-To-Date: 2025-11-01T10:00:00Z\r\n");
    let file = [
        page(BRIDGE, "2025-11-01T10:00:00Z", "Bridge to close"),
        page(BRIDGE, "2025-11-03T10:00:00Z", "Bridge to close for a year"),
        record("revisit", copy, "2025-11-05T10:00:00Z", &refers, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n"),
    ];
    let done = cli.run(&["import", &cli.file("crawl.warc", file.concat())]);
    assert!(done.err.contains("3 observations: 2 created, 1 revised"), "{done:?}");
    let bridge = ["Bridge to close 2025-11-01T10:00:00Z", "Bridge to close for a year 2025-11-03T10:00:00Z"];
    assert_eq!(cli.revisions(BRIDGE), bridge);
    assert_eq!(cli.revisions(copy), ["Bridge to close 2025-11-05T10:00:00Z"]);
}

/// The content first captured at the other URL names that one as canonical; here it is archived without it.
#[test]
fn a_revisit_belongs_to_the_visited_url_whatever_its_content_calls_canonical() {
    let cli = Cli::new();
    let refers = format!("WARC-Refers-To-Target-URI: {BRIDGE}\r\nWARC-Refers-To-Date: 2025-11-01T10:00:00Z\r\n");
    let again = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n";
    let (copy, elsewhere) = ("https://www.harbour.example/news/copy", "https://mirror.example/bridge");
    let file = [
        canonical(page(BRIDGE, "2025-11-01T10:00:00Z", "Bridge to close")),
        canonical(page(BRIDGE, "2025-11-03T10:00:00Z", "Bridge to close for a year")),
        record("revisit", copy, "2025-11-05T10:00:00Z", &refers, again),
        record("revisit", elsewhere, "2025-11-06T10:00:00Z", &refers, again),
        record("revisit", copy, "2025-11-07T10:00:00Z", &refers, again),
    ];
    let path = cli.file("crawl.warc", file.concat());
    let done = cli.run(&["import", &path]);
    assert!(done.err.contains("5 observations: 3 created, 1 revised, 1 unchanged, 0 failed"), "{done:?}");
    let bridge = ["Bridge to close 2025-11-01T10:00:00Z", "Bridge to close for a year 2025-11-03T10:00:00Z"];
    assert_eq!(cli.revisions(BRIDGE), bridge);
    assert_eq!(cli.revisions(copy), ["Bridge to close 2025-11-05T10:00:00Z"]);
    assert_eq!(cli.revisions(elsewhere), ["Bridge to close 2025-11-06T10:00:00Z"]);
    let sources: Vec<String> = [BRIDGE, copy, elsewhere].map(|url| cli.ok(&["show", url, "--json"])).to_vec();
    let source = |json: &str| json_lines(json)[0]["name"].as_str().unwrap().split('/').nth(1).unwrap().to_owned();
    let sources: Vec<String> = sources.iter().map(|json| source(json)).collect();
    assert_eq!(sources, ["harbour", "harbour", "mirror"]);
    let changes = cli.changes();
    cli.run(&["import", &path]);
    assert_eq!(cli.changes(), changes, "nothing is archived twice");
}

/// A URL that is known to belong to an article: its visits are observations of that article.
#[test]
fn a_revisit_of_another_url_of_an_article_is_a_sighting_of_it() {
    let cli = Cli::new();
    let print = "https://www.harbour.example/news/bridge/print";
    let refers = format!("WARC-Refers-To-Target-URI: {BRIDGE}\r\nWARC-Refers-To-Date: 2025-11-01T10:00:00Z\r\n");
    let file = [
        canonical(page(BRIDGE, "2025-11-01T10:00:00Z", "Bridge to close")),
        canonical(page(print, "2025-11-02T10:00:00Z", "Bridge to close")),
        record("revisit", print, "2025-11-05T10:00:00Z", &refers, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n"),
    ];
    let done = cli.run(&["import", &cli.file("crawl.warc", file.concat())]);
    assert!(done.err.contains("3 observations: 1 created, 0 revised, 2 unchanged, 0 failed"), "{done:?}");
    assert_eq!(cli.revisions(BRIDGE), ["Bridge to close 2025-11-01T10:00:00Z"]);
}

/// A broken record is reported with its offset in the file, and affects no other record.
#[test]
fn a_broken_record_is_reported_and_skipped() {
    let cli = Cli::new();
    let (first, last) = (
        page(BRIDGE, "2025-11-01T10:00:00Z", "Bridge to close"),
        page(BRIDGE, "2025-11-02T10:00:00Z", "Bridge closed"),
    );
    let empty = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<!doctype html><title>Nothing</title>";
    let wrong = page(BRIDGE, "2025-11-01T12:00:00Z", "Never").replacen("Content-Length: ", "Content-Length: 9", 1);
    let file = [&first, &wrong, &record("response", BRIDGE, "2025-11-01T13:00:00Z", "", empty), &last]
        .map(String::as_str)
        .concat();
    let done = cli.run(&["import", &cli.file("crawl.warc", file)]);
    assert_eq!(done.code, 1, "{done:?}");
    assert!(
        done.err.contains(&format!("crawl.warc, byte {}: no record follows", first.len()))
            || done.err.contains(&format!("crawl.warc, byte {}: the file ends", first.len())),
        "{done:?}"
    );
    assert!(
        done.err.contains(&format!("crawl.warc, byte {}, {BRIDGE}: no article found", first.len() + wrong.len())),
        "{done:?}"
    );
    assert!(
        done.err
            .contains("2 observations: 1 created, 1 revised, 0 unchanged, 2 failed (1 BROKEN_RECORD, 1 UNREADABLE)"),
        "{done:?}"
    );
}

#[test]
fn the_older_arc_format_is_rejected_with_advice() {
    let cli = Cli::new();
    cli.fails(
        &["import", &cli.file("old.arc", "filedesc://old.arc 0.0.0.0 20251101 text/plain 9\n")],
        1,
        "`warcio recompress`",
    );
}

/// A record that is too large to be a page is reported, and the records after it are imported.
#[test]
fn a_record_of_two_gibibytes_is_skipped() {
    const BYTES: u64 = 2 << 30;
    let cli = Cli::new();
    let path = cli.path("large.warc");
    let mut file = File::create(&path).unwrap();
    let head = format!(
        "WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: {BRIDGE}\r\nWARC-Date: 2025-11-01T10:00:00Z\r\n\
         Content-Type: application/http\r\nContent-Length: {BYTES}\r\n\r\n\
         HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n"
    );
    let block = head.find("HTTP/1.1").unwrap() as u64;
    file.write_all(head.as_bytes()).unwrap();
    // The rest of the record is a hole in the file.
    file.seek(SeekFrom::Start(block + BYTES)).unwrap();
    file.write_all(b"\r\n\r\n").unwrap();
    file.write_all(page(BRIDGE, "2025-11-02T10:00:00Z", "Bridge to close").as_bytes()).unwrap();
    let done = cli.run(&["import", path.to_str().unwrap()]);
    assert_eq!(done.code, 1, "{done:?}");
    assert!(
        done.err.contains("large.warc, byte 0: it has 2147483648 bytes, more than the limit for a page"),
        "{done:?}"
    );
    assert!(
        done.err.contains("1 observation: 1 created, 0 revised, 0 unchanged, 1 failed (1 BROKEN_RECORD)"),
        "{done:?}"
    );
}
