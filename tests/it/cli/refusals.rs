//! Bad input: each kind gets its exit status and a message that says what to do, and nothing is lost.

use dateline::archive::FORMAT_VERSION;

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
    let page = cli.file("page.md", "# Ferry returns\n\nIt did.\n");
    cli.fails(&["add", &page], 2, "hint: name it: --source express-gazette");
    cli.fails(&["add", &page, "--source", "press", "--observed-at", "2999-01-01"], 2, "ahead of the server's clock");
    cli.fails(&["add", &page, "--source", "press", "--url", "gopher://x"], 2, "--url <URL>");
    cli.fails(&["add", &page, "--source", "press", "--article", "ä"], 2, "--article <ID>");
    let ahead = ["add", &page, "--source", "press", "--observed-at", "2999-01-01"];
    cli.fails(&ahead, 2, "page.md: --observed-at: 2999-01-01T23:59:59.999999Z is more than one minute ahead");
    // All mistakes are reported, one per line, and a field without an option keeps its name.
    let label = "label ".repeat(30);
    let two = [&ahead[..], &["--label", &label]].concat();
    cli.fails(
        &two,
        1,
        "content.labels[0]: must have 1 to 128 bytes (and 1 more field is wrong)\n  --observed-at: 2999",
    );
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
        (&["list", "--limit", "0"], 2, "'--limit <N>': expected a whole number, at least 1"),
        (&["log", "press/a", "-n", "many"], 2, "'--limit <N>': expected a whole number, at least 1"),
        (&["show", "press/a", "--width", "abc"], 2, "'--width <COLUMNS>': expected a whole number from 0 to 65535"),
        (&["show", "press/a", "--wait=-1"], 2, "expected a whole number of seconds"),
        (&["add", "x", "--jobs", "0"], 2, "'--jobs <N>': expected a whole number from 1 to 64"),
        (&["add", "x", "--jobs", "65"], 2, "'--jobs <N>': expected a whole number from 1 to 64"),
        (&["withdraw", "press/a", "--request-id", ""], 2, "'--request-id <ID>': the request id is empty"),
        (&["backup", "x", "--since", "first"], 2, "'--since <SEQ>': expected the position of a change, from 0"),
        (&["list", "--sources", "--state", "live"], 2, "cannot be used with"),
        (&["show", "press/b"], 3, "there is no article sources/press/articles/b"),
        (&["show", "https://a.example/x"], 3, "no article is known under the URL"),
        (&["show", "press/a", "--revision", "2"], 3, "hint: `dateline log press/a` lists its revisions"),
        (&["diff", "press/a", "--from", "7"], 3, "has no revision 7"),
        (&["withdraw", "press/b"], 3, "there is no article"),
        (&["rollback", "press/a", "--to", "2"], 3, "has no revision 2"),
    ] {
        cli.fails(args, code, words);
    }
    // Without --at and --known-at, the message does not speak of a time.
    let done = cli.run(&["show", "press/a", "--revision", "2"]);
    assert!(done.err.starts_with("dateline: sources/press/articles/a has no revision 2\n"), "{done:?}");
}

#[test]
fn a_truncated_database_is_reported_and_not_written_to() {
    let cli = Cli::new();
    cli.add("a", "Ferry returns", "It did.", &[]);
    let shown = cli.ok(&["show", "press/a"]);
    let database = cli.archive().join("db/db");
    let whole = std::fs::read(&database).unwrap();
    // The file is longer than the data in it.
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
    for format in [FORMAT_VERSION - 1, FORMAT_VERSION + 1] {
        crate::fixture::say_format(&cli.archive(), format);
        cli.fails(&["show", "press/a"], 5, "export it with the version that wrote it, and import that with this one");
        cli.fails(&["serve", "--listen", "127.0.0.1:0"], 5, &format!("the archive has format {format}"));
    }
    crate::fixture::say_format(&cli.archive(), FORMAT_VERSION);
    assert!(cli.ok(&["show", "press/a"]).contains("It did."), "the archive is unchanged");
}
