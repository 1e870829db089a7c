//! What `add` reads and prints, and when it prints nothing.

use super::{Cli, Done, example, json_lines};

#[test]
fn guesses_are_reported_on_standard_error_only() {
    let cli = Cli::new();
    let page = example("harbour-bridge.txt");
    let done = cli.run(&["add", &page]);
    assert_eq!(done.out.lines().count(), 1);
    for words in
        ["guessed", "publish time: March 2026 (from \"2 months ago\"", "caption: block 3", "--observed-at 2026-05-16"]
    {
        assert!(done.err.contains(words), "no {words:?} in {}", done.err);
    }
    let quiet = Cli::new().run(&["add", &page, "--quiet"]);
    assert_eq!((quiet.code, quiet.err.as_str()), (0, ""));
}

#[test]
fn add_prints_nothing_when_nothing_changed() {
    let cli = Cli::new();
    assert_eq!(cli.add("a", "Ferry returns", "It did.", &[]).out, "created  press/a  revision 1\n");
    let again = cli.add("a", "Ferry returns", "It did.", &[]);
    assert_eq!((again.code, again.out.as_str(), again.err.as_str()), (0, "", ""));
    let json = cli.add("a", "Ferry returns", "It did.", &["--json"]);
    assert_eq!(json_lines(&json.out)[0]["outcome"], "OBSERVATION_OUTCOME_UNCHANGED");
}

#[test]
fn a_dry_run_writes_nothing() {
    let cli = Cli::new();
    assert_eq!(cli.add("a", "Ferry returns", "It did.", &["--dry-run"]).out, "would create  press/a  revision 1\n");
    assert!(!cli.archive().exists(), "a dry run created an archive");
    cli.add("a", "Ferry returns", "It did.", &[]);
    let revised = cli.add("a", "Ferry returns", "It did, late.", &["--dry-run"]);
    assert_eq!(revised.out, "would revise  press/a  revision 2  +1 -0 words\n");
    assert_eq!(cli.ok(&["log", "press/a"]).matches("revision ").count(), 1);
}

#[test]
fn json_printed_by_show_can_be_added() {
    let cli = Cli::new();
    cli.ok(&["add", &example("night-ferry.md"), "--observed-at", "2026-04-03T10:00:00Z"]);
    let name = cli.ok(&["list"]).split('\t').next().unwrap().to_owned();
    let article = cli.ok(&["show", &name, "--json"]);
    let revision = cli.ok(&["show", &name, "--revision", "1", "--json"]);
    for json in [&article, &revision] {
        let again = cli.feed(&["add", "-"], json);
        assert_eq!((again.code, again.out.as_str()), (0, ""), "{again:?}");
        let copy = Cli::new();
        assert_eq!(copy.feed(&["add", "-"], json).out, format!("created  {name}  revision 1\n"));
        let digest =
            |cli: &Cli| json_lines(&cli.ok(&["show", &name, "--json"]))[0]["revision"]["contentDigest"].clone();
        assert_eq!(digest(&copy), digest(&cli));
    }
    let content = r#"{"headline": "Ferry returns", "blocks": [{"paragraph": {"text": "It did."}}]}"#;
    assert_eq!(cli.feed(&["add", "-", "--source", "press", "--article", "c"], content).code, 0);

    cli.ok(&["withdraw", &name]);
    let stub = cli.feed(&["add", "-"], cli.ok(&["show", &name, "--json"]));
    assert!(stub.code == 1 && stub.err.contains("withdrawn"), "{stub:?}");
}

#[test]
fn json_ld_and_ninjs_are_distinguished_from_our_json() {
    let cli = Cli::new();
    let article = r#"{"@context": "https://schema.org", "@type": "NewsArticle", "headline": "Ferry returns",
        "url": "https://courier.example/ferry", "publisher": {"name": "The Quay Bell"}, "articleBody": "It did."}"#;
    let item = r#"{"uri": "http://wire.example/ferry", "copyrightHolder": "Kestrel Wire",
        "headlines": [{"value": "Ferry returns"}], "bodies": [{"value": "<p>It did.</p>"}]}"#;
    for (name, document, source, media_type) in [
        ("a.json", article, "quay-bell", "application/ld+json"),
        ("a.jsonld", article, "quay-bell", "application/ld+json"),
        ("a", article, "quay-bell", "application/ld+json"),
        ("b.json", item, "kestrel-wire", "application/json"),
    ] {
        let cli = Cli::new();
        cli.ok(&["add", &cli.file(name, document), "--article", "ferry", "--keep-original"]);
        let shown = json_lines(&cli.ok(&["show", &format!("{source}/ferry"), "--json"]));
        let revision = &shown[0]["revision"];
        assert_eq!(revision["content"]["blocks"][0]["paragraph"]["text"], "It did.", "{name}");
        assert_eq!(revision["original"]["mediaType"], media_type, "{name}");
    }
    let broken = cli.file("c.jsonld", article.replace("\"It did.\"", "It did."));
    cli.fails(&["add", &broken], 1, "line 2, column");
    let withheld = cli.file("d.json", item.replacen('{', "{\"pubStatus\": \"withheld\", ", 1));
    cli.fails(&["add", &withheld], 1, "is withheld");
}

#[test]
fn a_bad_file_does_not_stop_the_others() {
    let cli = Cli::new();
    let good = cli.file("good.md", "# Ferry returns\n\nIt did.\n");
    let better = cli.file("better.md", "# Bridge closes\n\nIt does.\n");
    let bad = cli.file("bad.txt", b"caf\xe9");
    let done = cli.run(&["add", "--source", "press", &good, &bad, &better]);
    assert_eq!((done.code, done.out.lines().count()), (1, 2), "{done:?}");
    assert!(done.err.contains("bad.txt: byte 3 is not UTF-8"), "{}", done.err);
    assert!(done.err.contains("3 documents: 2 created, 0 revised, 0 unchanged, 1 failed"), "{}", done.err);

    let done =
        cli.run(&["add", "--source", "press", "--json", "--quiet", &good, &bad, &cli.path("none").to_string_lossy()]);
    let lines = json_lines(&done.out);
    assert_eq!((done.code, lines.len()), (1, 3));
    assert_eq!(lines[0]["outcome"], "OBSERVATION_OUTCOME_UNCHANGED");
    assert_eq!(lines[1]["offset"], "1");
    assert!(lines[1]["error"]["message"].as_str().unwrap().contains("not UTF-8"));
    assert!(lines[2]["error"]["message"].as_str().unwrap().contains("cannot be read"));
}

#[test]
fn preconditions_and_request_ids_are_honoured() {
    let cli = Cli::new();
    let code = |done: Done| done.code;
    let first = cli.add("a", "One", "Text.", &["--if-new", "--request-id", "r1"]);
    assert_eq!(first.code, 0);
    let replayed = cli.add("a", "One", "Text.", &["--if-new", "--request-id", "r1"]);
    assert_eq!(replayed.out, "created  press/a  revision 1  (repeated request)\n");
    assert_eq!(code(cli.add("a", "Two", "Text.", &["--request-id", "r1"])), 4);
    assert_eq!(code(cli.add("a", "Two", "Text.", &["--if-new"])), 4);
    assert_eq!(code(cli.add("a", "Two", "Text.", &["--if-revision", "1"])), 0);
    let late = cli.add("a", "Three", "Text.", &["--if-revision", "1"]);
    assert!(late.code == 4 && late.err.contains("is at revision 2"), "{late:?}");
    cli.fails(&["withdraw", "press/a", "--if-revision", "1"], 4, "is at revision 2");
    let wrong = ["withdraw", "press/a", "--if-revision", "7"];
    cli.fails(&wrong, 4, "hint: `dateline log press/a` lists its revisions; --if-revision 2 accepts the newest one");
    cli.fails(&wrong, 4, "dateline: press/a is at revision 2, not at revision 7\n");
    cli.fails(&["add", "a", "b", "--request-id", "x"], 2, "--request-id identifies one request");
}

#[test]
fn text_of_an_article_cannot_control_the_terminal() {
    let cli = Cli::new();
    let content =
        r#"{"headline": "Ferry \u001b[2Jreturns", "blocks": [{"paragraph": {"text": "It \u001b]0;x\u0007 did."}}]}"#;
    cli.feed(&["add", "-", "--source", "press", "--article", "a"], content);
    for args in [&["show", "press/a"][..], &["log", "press/a"], &["list"], &["diff", "press/a", "--full"]] {
        assert!(!cli.ok(args).contains(['\u{1b}', '\u{7}']), "{args:?}");
    }
}
