//! `--changed`, the parts that `log` and `watch` show, and claimed times in `diff`.

use super::{Cli, json_lines};

/// Three revisions: the first, one of its section and its claimed time, and one of its headline and body.
fn ferry() -> Cli {
    let cli = Cli::new();
    let revisions = [
        ("2026-02-01", "City", "2026-02-01", "Ferry returns", "After eleven weeks."),
        ("2026-02-02", "Transport", "2026-02-02", "Ferry returns", "After eleven weeks."),
        ("2026-02-03", "Transport", "2026-02-02", "Ferry is back", "After twelve weeks."),
    ];
    for (observed, section, date, headline, text) in revisions {
        let page = format!("---\nsection: {section}\ndate: {date}\n---\n\n# {headline}\n\n{text}\n");
        let file = cli.file("ferry.md", page);
        cli.ok(&["add", &file, "--source", "press", "--article", "ferry", "--observed-at", observed]);
    }
    cli
}

const ALL: [&str; 4] = ["watch", "--from", "beginning", "--until-caught-up"];

/// What each line of `watch` says that changed.
fn watched(cli: &Cli, options: &[&str]) -> Vec<String> {
    let lines = cli.ok(&[&ALL[..], options].concat());
    lines.lines().map(|line| line.split('\t').next_back().unwrap().to_owned()).collect()
}

#[test]
fn log_and_watch_show_and_select_the_parts_that_changed() {
    let cli = ferry();
    let log = |options: &[&str]| -> Vec<String> {
        let log = cli.ok(&[&["log", "press/ferry"], options].concat());
        log.lines().filter(|line| line.starts_with("revision")).map(str::to_owned).collect()
    };
    let all = log(&[]);
    assert!(all[0].contains("+3 -2 words  headline, body  "), "{all:?}");
    assert!(all[1].contains("+0 -0 words  section, claimed-times  "), "{all:?}");
    let numbers = |lines: &[String]| lines.iter().map(|line| line[9..10].to_owned()).collect::<Vec<_>>();
    assert_eq!(numbers(&log(&["--changed", "text"])), ["3", "1"]);
    assert_eq!(numbers(&log(&["--changed", "captions,section"])), ["2", "1"]);

    let words = ["3 words", "+0 -0 words; section, claimed-times", "+3 -2 words; headline, body"];
    assert_eq!(watched(&cli, &[]), words);
    assert_eq!(watched(&cli, &["--changed", "text"]), [words[0], words[2]]);
    assert_eq!(watched(&cli, &["--changed", "headline", "--changed", "claimed-times"]), words);

    let json = json_lines(&cli.ok(&["log", "press/ferry", "--json", "--changed", "text", "--limit", "1"]));
    let parts = serde_json::json!(["CONTENT_PART_HEADLINE", "CONTENT_PART_BODY"]);
    assert_eq!(json[0]["revision"]["changedParts"], parts);
}

#[test]
fn list_and_export_select_by_the_revision_in_force() {
    let cli = ferry();
    let listed = |options: &[&str]| cli.ok(&[&["list"], options].concat()).lines().count();
    assert_eq!(listed(&["--changed", "text"]), 1);
    assert_eq!(listed(&["--changed", "section"]), 0);
    assert_eq!(listed(&["--changed", "section", "--at", "2026-02-02"]), 1);
    assert_eq!(listed(&["--changed", "section", "--at", "2026-02-01"]), 1, "the first revision is new in all parts");
    assert_eq!(cli.ok(&["export", "--changed", "section"]), "");
    assert_eq!(cli.ok(&["export", "--changed", "body"]).lines().count(), 3);
    cli.fails(&["list", "--changed", "words"], 2, "headline");
    cli.fails(&["list", "--sources", "--changed", "text"], 2, "--changed");
}

#[test]
fn diff_shows_a_claimed_time_that_moved_once() {
    let cli = ferry();
    let diff = cli.ok(&["diff", "press/ferry", "--from", "1", "--to", "2"]);
    assert!(diff.contains("\npublish time: 2026-02-01 → 2026-02-02\n"), "{diff}");
    let page = cli.ok(&["diff", "press/ferry", "--from", "1", "--to", "2", "--html"]);
    let row = page.lines().find(|line| line.contains("publish time")).unwrap();
    assert!(row.contains("</del> → <ins>"), "{row}");
}
