//! Imports of JSON Lines.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;

use super::{mark, observation};
use crate::cli::{Cli, json_lines};

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn history() -> String {
    [
        observation("bridge", 0, "Bridge to close"),
        observation("ferry", 1, "Ferry returns"),
        observation("bridge", 2, "Bridge to close for a year"),
        observation("bridge", 3, "Bridge to close for a year"),
        mark("withdraw", "ferry", 4),
        mark("reinstate", "ferry", 5),
        observation("ferry", 6, "Ferry returns after all"),
        r#"{"rollback":{"name":"sources/press/articles/bridge","revisionNumber":1,"observeTime":"2025-11-08T10:07:00Z"}}"#
            .to_owned(),
    ]
    .join("\n")
}

#[test]
fn repeated_and_compressed_imports_of_a_history_add_nothing() {
    let cli = Cli::new();
    let text = history();
    let plain = cli.file("history.jsonl", &text);
    let first = cli.run(&["import", &plain]);
    assert_eq!((first.code, first.out.as_str()), (0, ""), "{first:?}");
    assert!(
        first.err.contains("6 observations: 2 created, 3 revised, 1 unchanged, 0 failed; 2 state changes"),
        "{first:?}"
    );
    let changes = cli.changes();
    assert_eq!(changes.len(), 7, "sightings are listed only on request");
    let revisions = [
        "Bridge to close 2025-11-08T10:00:00Z",
        "Bridge to close for a year 2025-11-08T10:02:00Z",
        "Bridge to close 2025-11-08T10:07:00Z",
    ];
    assert_eq!(cli.revisions("press/bridge"), revisions);

    let zipped = cli.file("history.jsonl.gz", gzip(&text));
    let members = cli.file("members.gz", [gzip(&text[..500]), gzip(&text[500..])].concat());
    let frames = cli.file(
        "frames.zst",
        [&text[..500], &text[500..]].map(|part| zstd::encode_all(part.as_bytes(), 3).unwrap()).concat(),
    );
    for file in [&plain, &zipped, &members, &frames] {
        let again = cli.run(&["import", file]);
        assert_eq!((again.code, again.out.as_str()), (0, ""), "{again:?}");
        assert!(
            again.err.contains("6 observations: 0 created, 0 revised, 6 unchanged, 0 failed; 2 state changes"),
            "{again:?}"
        );
    }
    let piped = cli.feed(&["import", "-", "--quiet"], &text);
    assert_eq!((piped.code, piped.out.as_str(), piped.err.as_str()), (0, "", ""));
    assert_eq!(cli.changes(), changes);
}

#[test]
fn an_invalid_line_is_reported_with_its_number_and_the_rest_imported() {
    let cli = Cli::new();
    let text = [
        observation("bridge", 0, "Bridge to close"),
        "{\"record\":{\"parent\":".to_owned(),
        String::new(),
        r#"{"record":{"parent":"sources/press","articleID":"x"}}"#.to_owned(),
        observation("bridge", 1, ""),
        r#"{"withdraw":{"name":"sources/press/articles/unknown","observeTime":"2025-11-08T10:00:00Z"}}"#.to_owned(),
        "{}".to_owned(),
        observation("bridge", 2, "Bridge closed"),
    ]
    .join("\n");
    let file = cli.file("broken.jsonl", &text);
    let done = cli.run(&["import", &file, "--json"]);
    assert_eq!(done.code, 1, "{done:?}");
    for told in [
        "broken.jsonl, line 2: column 20:",
        "broken.jsonl, line 4: column 47: unrecognized field name 'articleID'",
        "broken.jsonl, line 5: content.headline: is empty",
        "broken.jsonl, line 6: there is no article",
        "broken.jsonl, line 7: the line has no request",
        "2 observations: 1 created, 1 revised, 0 unchanged, 5 failed (1 ARTICLE_UNKNOWN, 1 FIELD_INVALID, 3 UNREADABLE)",
        "5 of 7 items failed",
    ] {
        assert!(done.err.contains(told), "{told:?} is not reported: {}", done.err);
    }
    let answers = json_lines(&done.out);
    let offsets: Vec<_> = answers.iter().map(|answer| answer["offset"].as_str().unwrap()).collect();
    assert_eq!(offsets, ["1", "2", "3", "4", "5", "6", "7"]);
    assert_eq!(answers[3]["error"]["details"][0]["reason"], "FIELD_INVALID");
    assert_eq!(cli.revisions("press/bridge").len(), 2);
}

#[test]
fn an_invalid_field_is_reported_by_its_name_in_the_line() {
    let cli = Cli::new();
    let done = cli.run(&["import", &cli.file("fields.jsonl", observation("-x", 0, "Bridge to close"))]);
    assert_eq!(done.code, 1, "{done:?}");
    assert!(done.err.contains("fields.jsonl, line 1: articleId: "), "{done:?}");
}

/// Everything before the truncation is imported, and the complete file continues from there.
#[test]
fn a_truncated_file_is_imported_up_to_the_truncation() {
    let cli = Cli::new();
    let lines: Vec<_> = (0..50).map(|minute| observation("bridge", minute, &format!("Bridge, {minute}"))).collect();
    // One gzip member per line, so that it is clear what a truncated file contains.
    let members: Vec<Vec<u8>> = lines.iter().map(|line| gzip(&format!("{line}\n"))).collect();
    let kept: usize = members[..30].iter().map(Vec::len).sum();
    let whole = members.concat();
    for (name, cut) in [("cut.jsonl.gz", kept + 5), ("cut-again.jsonl.gz", kept + members[30].len() - 3)] {
        let cut = cli.file(name, &whole[..cut]);
        let done = cli.run(&["import", &cut]);
        assert_eq!(done.code, 1, "{done:?}");
        assert!(done.err.contains("the file cannot be read from here on"), "{done:?}");
        assert!(done.err.contains("CUT_OFF"), "{done:?}");
        assert!(cli.revisions("press/bridge").len() >= 30);
    }
    let done = cli.run(&["import", &cli.file("whole.jsonl.gz", &whole)]);
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(cli.revisions("press/bridge").len(), 50);
}

#[test]
fn invalid_arguments_are_rejected_before_anything_is_imported() {
    let cli = Cli::new();
    let file = cli.file("history.jsonl", history());
    cli.fails(&["import", &cli.path("missing.jsonl").display().to_string()], 1, "missing.jsonl: cannot be read");
    cli.fails(&["import", cli.dir.path().to_str().unwrap()], 1, "give it with --git");
    cli.fails(&["import", &file, "--source", "other"], 2, "options for documents do not apply to JSON Lines");
    cli.fails(&["import", "-", "-"], 2, "standard input can be read only once");
    cli.fails(&["import"], 2, "required");
    let new = Cli::new();
    new.fails(&["import", &file, "--state-dir", &file], 2, "history.jsonl is not a directory");
    new.fails(&["follow", "https://a.example/feed", "--state-dir", &file], 2, "history.jsonl is not a directory");
    assert!(!new.archive().exists(), "an archive was created that nothing was written to");
    cli.fails(&["import", &file, "--git", "."], 2, "cannot be used with");
    let empty = cli.run(&["import", &cli.file("empty.jsonl", "\n\n")]);
    assert_eq!(empty.code, 0, "{empty:?}");
    assert!(empty.err.contains("0 observations"), "{empty:?}");
}

#[test]
fn a_dry_run_validates_and_writes_nothing() {
    let cli = Cli::new();
    let text = history() + "\n" + &observation("bridge", 9, "");
    let done = cli.run(&["import", &cli.file("history.jsonl", text), "--dry-run"]);
    assert_eq!(done.code, 1, "{done:?}");
    assert!(done.err.contains("1 failed (1 FIELD_INVALID)"), "{done:?}");
    assert!(done.err.contains("skipped: items that a dry run cannot check, such as state changes (3)"), "{done:?}");
    assert!(!cli.archive().exists());
}

/// A line that is too long takes no more memory than one that is read, whatever its length.
#[test]
fn a_line_that_is_too_long_is_skipped() {
    let cli = Cli::new();
    let long = format!("{{\"record\":{{\"parent\":\"{}\"}}}}", "x".repeat(33 << 20));
    let text = [observation("bridge", 0, "Bridge"), long, observation("ferry", 0, "Ferry")].join("\n");
    let done = cli.run(&["import", &cli.file("long.jsonl", text)]);
    assert_eq!(done.code, 1, "{done:?}");
    assert!(done.err.contains("long.jsonl, line 2: the line has"), "{done:?}");
    assert!(done.err.contains("2 created, 0 revised, 0 unchanged, 1 failed (1 TOO_LARGE)"), "{done:?}");
}

/// Lines as the last version exported them whose archives cannot be opened any more. Observations were published, labels
/// were part of a content, and some blocks and fields had other names.
#[test]
fn lines_of_format_2_are_imported_with_their_history() {
    let cli = Cli::new();
    cli.ok(&["import", "tests/fixtures/lines-of-format-2.jsonl"]);
    let articles = json_lines(&cli.ok(&["list", "--json"]));
    let attributes = articles.iter().map(|article| json!([article["name"], article["state"], article["labels"]]));
    let expected = [
        json!(["sources/gazette/articles/ferry", "ARTICLE_STATE_WITHDRAWN", ["harbour"]]),
        json!(["sources/press/articles/bridge", "ARTICLE_STATE_LIVE", ["city", "flood"]]),
    ];
    assert_eq!(attributes.collect::<Vec<_>>(), expected);
    assert_eq!(articles[1]["urls"][1]["url"], "https://press.example/news/bridge?id=7");
    let revisions = [
        "Bridge to close 2026-05-16T08:00:00Z",
        "Bridge stays shut 2026-05-17T08:00:00Z",
        "Bridge to close 2026-05-22T08:00:00Z",
    ];
    assert_eq!(cli.revisions("press/bridge"), revisions);
    let log = cli.ok(&["log", "press/bridge"]);
    assert!(log.contains("seen 3 times, 2026-05-17T08:00:00Z to 2026-05-19T08:00:00Z"), "{log}");
    assert!(log.contains("content of revision 1 again"), "{log}");
    let first = &json_lines(&cli.ok(&["show", "press/bridge", "--revision", "1", "--json"]))[0];
    assert_eq!(first["content"]["blocks"][1]["subheading"]["text"], "Detours");
    assert_eq!(first["content"]["blocks"][3]["caption"]["imageUrl"], "https://press.example/b.jpg");
    assert_eq!(first["content"]["publishTime"]["precision"], "TIME_PRECISION_DAY");
    assert_eq!(first["fetch"]["etag"], "\"5e8c\"");
    let withdrawn = cli.ok(&["show", "press/bridge", "--at", "2026-05-20T12:00:00Z"]);
    assert!(withdrawn.contains("withdrawn since 2026-05-20T08:00:00Z: a complaint"), "{withdrawn}");
    // What is exported now has the present names, and gives the same changes again.
    let lines = cli.ok(&["export"]);
    assert!(lines.contains(r#""requestId":"first""#) && !lines.contains(r#""publish""#), "{lines}");
    let copy = Cli::new();
    let file = copy.file("lines.jsonl", &lines);
    copy.ok(&["import", &file]);
    assert_eq!(copy.changes(), cli.changes());
    // A mistake in such a line is reported like any other.
    let wrong = cli.file("wrong.jsonl", r#"{"publish":{"content":{"labels":["a"],"headlin":"x"}}}"#);
    cli.fails(&["import", &wrong], 1, "headlin");
}
