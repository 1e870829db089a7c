//! `label`, and the options that name labels.

use super::{Cli, json_lines};

fn ferry() -> Cli {
    let cli = Cli::new();
    assert_eq!(cli.add("ferry", "Ferry returns", "After eleven weeks.", &["--label", "draft"]).code, 0);
    cli
}

#[test]
fn labels_are_added_and_removed_by_their_signs() {
    let cli = ferry();
    assert_eq!(cli.ok(&["label", "press/ferry", "+flood", "-draft"]), "labelled  press/ferry  flood\n");
    assert_eq!(cli.ok(&["label", "press/ferry", "+flood", "-gone"]), "unchanged  press/ferry  flood\n");
    assert_eq!(cli.ok(&["label", "press/ferry", "-flood", "--dry-run"]), "would label  press/ferry\n");
    let shown = cli.ok(&["show", "press/ferry"]);
    assert!(shown.contains("Labels     flood\n") && shown.contains("Revision   1 of 1\n"), "{shown}");
    assert!(cli.ok(&["log", "press/ferry"]).starts_with("labels flood\nrevision 1"));
    assert_eq!(cli.ok(&["list", "--label", "flood"]).lines().count(), 1);
    assert_eq!(cli.ok(&["list", "--label", "draft"]), "");
    assert_eq!(cli.ok(&["label", "press/ferry", "-flood"]), "labelled  press/ferry\n");
}

/// Everything after the first label looks like a label, since one to remove begins with a hyphen.
#[test]
fn options_may_stand_before_and_after_the_labels() {
    let cli = ferry();
    cli.ok(&["label", "press/ferry", "+one", "--reason", "-for a reason", "+two"]);
    cli.ok(&["label", "--reason", "another", "press/ferry", "-one"]);
    let told = cli.ok(&["label", "press/ferry", "-draft", "+q", "-two", "--json", "--request-id", "r", "--reason=why"]);
    let done = &json_lines(&told)[0];
    assert_eq!(done["article"]["labels"], serde_json::json!(["q"]));
    let reasons = cli.ok(&["watch", "--from", "beginning", "--until-caught-up", "--kind", "labelled"]);
    let ends: Vec<_> = reasons.lines().filter_map(|line| line.split('\t').next_back()).collect();
    assert_eq!(ends, ["+one +two; -for a reason", "-one; another", "+q -draft -two; why"]);
}

/// A hyphen at the start of a label would be taken for a sign.
#[test]
fn labels_that_begin_with_a_hyphen_are_added_and_removed_by_options() {
    let cli = ferry();
    assert_eq!(
        cli.ok(&["label", "press/ferry", "--add", "-odd", "--remove", "draft"]),
        "labelled  press/ferry  -odd\n"
    );
    assert_eq!(cli.ok(&["label", "press/ferry", "+flood", "--remove=-odd"]), "labelled  press/ferry  flood\n");
}

#[test]
fn a_label_without_a_sign_is_explained() {
    let cli = ferry();
    cli.fails(
        &["label", "press/ferry", "flood"],
        2,
        "flood: expected a sign; +flood adds the label, -flood removes it",
    );
    cli.fails(&["label", "press/ferry", "+flood", "draft"], 2, "hint: dateline label gazette/ferry +flood -draft");
    cli.fails(&["label", "press/ferry", "+"], 2, "a label must have 1 to 128 bytes");
    cli.fails(&["label", "press/ferry", "+a", "--colour"], 2, "--colour");
    cli.fails(&["label", "press/ferry"], 2, "+LABEL|-LABEL");
    cli.fails(&["label", "press/none", "+flood"], 3, "there is no article");
    cli.fails(&["label", "press/ferry", "+a", "-a"], 2, "-LABEL: is also to be added");
}

#[test]
fn watch_follows_a_label() {
    let cli = ferry();
    cli.ok(&["label", "press/ferry", "+flood"]);
    cli.add("quay", "Quay closes", "Until May.", &[]);
    cli.ok(&["label", "press/ferry", "-flood"]);
    let watch = ["watch", "--from", "beginning", "--until-caught-up", "--label", "flood"];
    let told = cli.ok(&watch);
    let ends: Vec<_> = told.lines().map(|line| line.split('\t').skip(1).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(
        ends,
        ["labelled press/ferry Ferry returns +flood", "labelled press/ferry Ferry returns -flood; left the filter"]
    );
}

/// An article was labelled before the only observation of it that is exported was recorded.
#[test]
fn an_export_as_of_a_time_keeps_labels_and_imports() {
    let cli = Cli::new();
    cli.add("ferry", "Ferry returns", "Later.", &["--observed-at", "2026-03-02T10:00:00Z", "--label", "draft"]);
    cli.add("quay", "Quay closes", "Later.", &["--observed-at", "2026-03-02T10:00:00Z"]);
    cli.ok(&["label", "press/ferry", "+flood", "-draft"]);
    cli.ok(&["label", "press/quay", "+flood"]);
    cli.add("ferry", "Ferry returns", "Earlier.", &["--observed-at", "2026-03-01T10:00:00Z"]);
    cli.ok(&["label", "press/ferry", "+river"]);
    let lines = cli.ok(&["export", "--at", "2026-03-01T12:00:00Z"]);
    let copy = Cli::new();
    let file = copy.file("lines.jsonl", &lines);
    let done = copy.run(&["import", &file]);
    assert_eq!(done.code, 0, "{done:?}");
    let articles = json_lines(&copy.ok(&["list", "--json"]));
    assert_eq!(articles.len(), 1);
    assert_eq!(articles[0]["labels"], serde_json::json!(["flood", "river"]), "{lines}");
}

/// An observation after the time to read at is left out, and the labels that it added went with it.
#[test]
fn an_export_as_of_a_time_has_the_labels_of_later_observations() {
    let cli = Cli::new();
    cli.add("ferry", "Ferry returns", "One.", &["--observed-at", "2026-03-01T10:00:00Z"]);
    cli.add("ferry", "Ferry returns", "Two.", &["--observed-at", "2026-05-01T10:00:00Z", "--label", "late"]);
    let at = ["--at", "2026-04-01T12:00:00Z"];
    let labels =
        |cli: &Cli, args: &[&str]| json_lines(&cli.ok(&[&["list", "--json"], args].concat()))[0]["labels"].clone();
    let expected = labels(&cli, &at);
    assert!(expected.as_array().unwrap().contains(&"late".into()), "{expected}");
    let copy = Cli::new();
    let lines = copy.file("lines.jsonl", cli.ok(&[&["export"][..], &at].concat()));
    copy.ok(&["import", &lines]);
    assert_eq!(labels(&copy, &[]), expected);
}

#[test]
fn changes_of_labels_are_exported_and_imported() {
    let cli = ferry();
    cli.ok(&["label", "press/ferry", "+flood", "-draft", "--reason", "checked"]);
    for args in [&["export"][..], &["export", "--newest"]] {
        let copy = Cli::new();
        let file = copy.file("lines.jsonl", cli.ok(args));
        let done = copy.run(&["import", &file]);
        assert_eq!(done.code, 0, "{done:?}");
        assert_eq!(json_lines(&copy.ok(&["list", "--json"]))[0]["labels"], serde_json::json!(["flood"]), "{args:?}");
    }
    let history = cli.ok(&["export"]);
    assert!(history.contains(r#""label":{"name":"sources/press/articles/ferry","addLabels":["flood"]"#), "{history}");
    let document = cli.ok(&["export", "press/ferry", "--format", "markdown"]);
    assert!(document.contains("labels: [\"flood\"]\n"), "{document}");
    let copy = Cli::new();
    let file = copy.file("ferry.md", document);
    copy.ok(&["add", &file]);
    assert_eq!(json_lines(&copy.ok(&["list", "--json"]))[0]["labels"], serde_json::json!(["flood"]));
}
