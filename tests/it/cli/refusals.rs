//! Bad input: each kind gets its exit status and a message that says what to do, and nothing is lost.

use dateline::internals::archive::FORMAT_VERSION;

use super::Cli;

#[test]
fn documents_that_cannot_be_archived_are_rejected() {
    let cli = Cli::new();
    let large = format!("# Ferry\n\n{}\n", "word ".repeat(300_000));
    for (name, document, words) in [
        ("empty.txt", b"".to_vec(), "the document is empty"),
        ("latin1.txt", b"Caf\xe9".to_vec(), "byte 3 is not UTF-8"),
        ("page.html", b"<!doctype html><title>x</title>".to_vec(), "no article found: the page shows no text"),
        ("scan.pdf", b"%PDF-1.7".to_vec(), "a PDF file"),
        ("large.md", large.into_bytes(), "at most 1048576 are allowed"),
        ("huge.md", vec![b'a'; (8 << 20) + 1], "the maximum size of a document"),
        ("bare.json", br#"{"headline": ""}"#.to_vec(), "content.headline: is empty"),
        ("typo.json", b"{\n\"headlin\": \"x\"}".to_vec(), "as an article's content, line 2"),
        ("list.json", b"[1]".to_vec(), "no JSON object: this is a list, expected an object"),
        ("word.json", b"{\"headline\": nope}".to_vec(), "no JSON object: expected true, false or null at line 1"),
    ] {
        let file = cli.file(name, document);
        cli.fails(&["add", &file, "--source", "press"], 1, words);
        cli.fails(&["add", &file, "--source", "press"], 1, name);
    }
    cli.fails(&["add", &cli.path("none.txt").to_string_lossy()], 1, "cannot be read: No such file");
    cli.fails(&["add", "a.example/x"], 1, "hint: for a web page, give its URL: https://a.example/x\n");
    let missing = cli.run(&["add", "notes.d/x"]);
    assert!(!missing.err.contains("hint"), "{missing:?}");
    cli.fails(&["add", ""], 2, "an empty name is not a file");
    let empty = cli.feed(&["add", "-", "--source", "press"], "");
    assert!(empty.err.starts_with("dateline: standard input: the document is empty"), "{empty:?}");
    let page = cli.file("page.md", "# Ferry returns\n\nIt did.\n");
    cli.fails(&["add", &page], 2, "hint: name it: --source express-gazette");
    cli.fails(&["add", &page, "--source", "press", "--observed-at", "2999-01-01"], 2, "ahead of the server's clock");
    cli.fails(&["add", &page, "--source", "press", "--url", "gopher://x"], 2, "--url <URL>");
    cli.fails(&["add", &page, "--source", "press", "--article", "ä"], 2, "--article <ID>");
    let ahead = ["add", &page, "--source", "press", "--observed-at", "2999-01-01"];
    cli.fails(&ahead, 2, "page.md: --observed-at: 2999-01-01T23:59:59.999999Z is more than one minute ahead");
    // All mistakes are reported, one per line, and a field without an option keeps its name.
    let bare = cli.file("bare.json", r#"{"headline": ""}"#);
    cli.fails(
        &["add", &bare, "--source", "press", "--observed-at", "2999-01-01"],
        1,
        "content.headline: is empty; an article needs a headline (and 1 more field is wrong)\n  --observed-at: 2999",
    );
    // What an option says is wrong usage, and not an error in the document.
    let long = "label ".repeat(30);
    for (option, value, words) in [
        ("--label", "", "'--label <LABEL>': must have 1 to 128 bytes"),
        ("--label", long.as_str(), "'--label <LABEL>': must have 1 to 128 bytes"),
        ("--label", "a\nb", "'--label <LABEL>': contains a control character"),
        ("--language", "x_y", "'--language <TAG>': \"x_y\" is not a BCP 47 language tag"),
    ] {
        cli.fails(&["add", &page, "--source", "press", option, value], 2, words);
    }
    for command in [&["follow", "https://a.example/feed"][..], &["import", &page]] {
        cli.fails(&[command, &["--label", ""]].concat(), 2, "'--label <LABEL>': must have 1 to 128 bytes");
    }
    let url = format!("https://a.example/{}", "x".repeat(5_000));
    let words = "a URL of the article: has 5018 bytes; at most 4096 are allowed";
    cli.fails(&["add", &page, "--source", "press", "--url", &url], 2, words);
    assert_eq!(cli.ok(&["list"]), "");
}

#[test]
fn invalid_arguments_are_rejected() {
    let cli = Cli::new();
    cli.add("a", "Ferry returns", "It did.", &[]);
    for (args, code, words) in [
        (&["show", "ferry"][..], 2, "source/article"),
        (&["show", "press/ä"], 2, "the article id has the character 'ä'"),
        (&["show", "press/a", "--at", "soon"], 2, "expected a time"),
        (&["show", "press/a", "--at", "2026-05-16T10:00:00"], 2, "a time of day needs a zone"),
        (&["show", "press/a", "--known-at", "2999-01-01"], 2, "is in the future"),
        (&["show", "press/a", "--revision", "0"], 2, "from 1"),
        (&["add", "x", "--source=-x"], 2, "the source id begins with '-'; it must begin with a letter or a digit"),
        (&["list", "--url-prefix", "ftp://x"], 2, "--url-prefix <URL>"),
        (
            &["list", "--observed-from", "2026-02-01", "--observed-to", "2026-01-01"],
            2,
            "--observed-from and --observed-to: the",
        ),
        (&["list", "--limit", "0"], 2, "'--limit <N>': expected a whole number from 1 to 18446744073709551615"),
        (&["log", "press/a", "-n", "many"], 2, "'--limit <N>': expected a whole number from 1 to "),
        (&["show", "press/a", "--width", "abc"], 2, "'--width <COLUMNS>': expected a whole number from 0 to 65535"),
        (&["show", "press/a", "--wait=-1"], 2, "expected a whole number of seconds from 0 to 4294967295"),
        (&["add", "x", "--jobs", "0"], 2, "'--jobs <N>': expected a whole number from 1 to 64"),
        (&["add", "x", "--jobs", "65"], 2, "'--jobs <N>': expected a whole number from 1 to 64"),
        (&["add", "x", "--timeout", "0s"], 2, "'--timeout <DURATION>': the time must be longer than 0"),
        (&["add", "x", "--user-agent", ""], 2, "'--user-agent <NAME>': the name is empty"),
        (&["add", "x", "--user-agent", "a\nb"], 2, "'--user-agent <NAME>': contains a line break"),
        (&["import", "--git", ".", "--glob", "["], 2, "'--glob <PATTERN>': a bracket is not closed"),
        (&["import", "--git", ".", "--branch", ""], 2, "'--branch <NAME>'"),
        (&["show", "sources/press"], 2, "`dateline list --source press` lists its articles"),
        (&["show", "articles/a"], 2, "the source is missing; write source/a"),
        (&["withdraw", "press/a", "--request-id", ""], 2, "'--request-id <ID>': the request id is empty"),
        (&["backup", "x", "--since", "first"], 2, "'--since <SEQ>': expected the position of a change, from 0"),
        (&["list", "--sources", "--state", "live"], 2, "cannot be used with"),
        (&["show", "press/b"], 3, "there is no article press/b"),
        (&["show", "https://a.example/x"], 3, "no article is known under the URL"),
        (&["show", "press/a", "--revision", "2"], 3, "hint: `dateline log press/a` lists its revisions"),
        (&["diff", "press/a", "--from", "7"], 3, "has no revision 7"),
        (&["diff", "press/a", "--from", "first"], 2, "; or a revision number"),
        (&["withdraw", "press/b"], 3, "there is no article"),
        (&["rollback", "press/a", "--to", "2"], 3, "has no revision 2"),
    ] {
        cli.fails(args, code, words);
    }
    // No message repeats a password.
    for (args, code) in [
        (&["add", "https://u:secret@a.example/x"][..], 2),
        (&["add", "https://u:secret@a.example/x", "https://u:secret@a.example/y"], 1),
        (&["add", "ftp://u:secret@a.example/x"], 2),
        (&["follow", "https://u:secret@a.example/x"], 2),
        (&["show", "https://u:secret@a.example/x"], 3),
    ] {
        let done = cli.run(args);
        assert!(done.code == code && done.err.contains("://a.example/x"), "{done:?}");
        assert!(!done.err.contains("secret"), "{done:?}");
    }
    // Without --at and --known-at, the message does not speak of a time.
    let done = cli.run(&["show", "press/a", "--revision", "2"]);
    assert!(done.err.starts_with("dateline: press/a has no revision 2\n"), "{done:?}");
}

#[test]
fn a_truncated_database_is_reported_and_not_written_to() {
    let cli = Cli::new();
    cli.add("a", "Ferry returns", "It did.", &[]);
    let shown = cli.ok(&["show", "press/a"]);
    // A small archive is its write-ahead log. The file is longer than the data in it.
    let database = cli.archive().join("db/wal/000000");
    let whole = std::fs::read(&database).unwrap();
    let written = whole.iter().rposition(|byte| *byte != 0).unwrap();
    let cut = &whole[..written / 2];
    std::fs::write(&database, cut).unwrap();
    for _ in 0..2 {
        cli.fails(&["show", "press/a"], 6, "is damaged");
        cli.fails(&["add", &super::example("night-ferry.md")], 6, "restore a backup");
    }
    assert_eq!(std::fs::read(&database).unwrap(), cut, "a damaged file was written to");
    std::fs::write(&database, whole).unwrap();
    assert_eq!(cli.ok(&["show", "press/a"]), shown);
}

/// An archive of another version of Dateline is not reported as damaged, and the command does not retry.
#[test]
fn an_archive_of_another_format_is_rejected_with_advice() {
    let cli = Cli::new();
    cli.add("a", "Ferry returns", "It did.", &[]);
    let advices = [
        (FORMAT_VERSION - 1, "export it with the version that wrote it, and import that with this one"),
        (FORMAT_VERSION + 1, "use the newer version that wrote it"),
    ];
    for (format, advice) in advices {
        crate::fixture::say_format(&cli.archive(), format);
        cli.fails(&["show", "press/a"], 5, advice);
        cli.fails(&["serve"], 5, &format!("the archive has format {format}"));
    }
    crate::fixture::say_format(&cli.archive(), FORMAT_VERSION);
    assert!(cli.ok(&["show", "press/a"]).contains("It did."), "the archive is unchanged");
}
