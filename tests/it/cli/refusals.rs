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
        ("list.json", b"[1]".to_vec(), "not a JSON object"),
    ] {
        let file = cli.file(name, document);
        cli.fails(&["add", &file, "--source", "press"], 1, words);
        cli.fails(&["add", &file, "--source", "press"], 1, name);
    }
    cli.fails(&["add", &cli.path("none.txt").to_string_lossy()], 1, "can't be read: No such file");
    let page = cli.file("page.md", "# Ferry returns\n\nIt did.\n");
    cli.fails(&["add", &page], 2, "hint: name it: --source express-gazette");
    cli.fails(&["add", &page, "--source", "press", "--observed-at", "2999-01-01"], 2, "ahead of the server's clock");
    cli.fails(&["add", &page, "--source", "press", "--url", "gopher://x"], 2, "urls[0]");
    cli.fails(&["add", &page, "--source", "press", "--article", "ä"], 2, "article_id");
    // All mistakes are reported, one per line.
    let two = ["add", &page, "--source", "press", "--url", "gopher://x", "--article", "ä"];
    cli.fails(&two, 2, "allowed characters are a-z A-Z 0-9 - . _ ~ (and 1 more field is wrong)\n  urls[0]: ");
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
        (&["list", "--url-prefix", "ftp://x"], 2, "filter.url_prefix"),
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
