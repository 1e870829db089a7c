//! `export` to a folder: where it writes, and under which names.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;

use super::{Cli, json_lines};

fn add(cli: &Cli, source: &str, article: &str) {
    let document = format!("# Of {source} and {article}\n\nWords.\n");
    let done = cli.feed(&["add", "-", "--source", source, "--article", article], document);
    assert_eq!(done.code, 0, "{done:?}");
}

/// The files of the sources in a folder: their relative paths and their text.
fn files(cli: &Cli, folder: &str) -> BTreeSet<(String, String)> {
    let sources = fs::read_dir(cli.path(folder)).unwrap().map(|entry| entry.unwrap().path());
    let files = sources.filter(|path| path.is_dir()).flat_map(|source| fs::read_dir(source).unwrap());
    let path = |path: std::path::PathBuf| {
        let within = path.strip_prefix(cli.path(folder)).unwrap().to_str().unwrap().to_owned();
        let document = fs::read_to_string(&path).unwrap();
        let headline = document.lines().find(|line| line.starts_with("headline: ")).unwrap();
        (within, headline.to_owned())
    };
    files.map(|entry| path(entry.unwrap().path())).collect()
}

fn export<'a>(cli: &Cli, folder: &'a str, more: &[&'a str]) -> Vec<serde_json::Value> {
    let path = cli.path(folder);
    let args = [&["--json", "export", "--format", "markdown", "--output", path.to_str().unwrap()], more].concat();
    json_lines(&cli.ok(&args))
}

#[test]
fn no_link_in_the_folder_is_followed() {
    let cli = Cli::new();
    add(&cli, "press", "a");
    add(&cli, "wire", "b");
    let victim = cli.path("victim");
    fs::create_dir(&victim).unwrap();
    fs::create_dir(cli.path("out")).unwrap();
    symlink(&victim, cli.path("out/press")).unwrap();
    let out = cli.path("out");
    let args = ["export", "--format", "markdown", "--output", out.to_str().unwrap()];
    for more in [&[][..], &["--force"]] {
        let done = cli.run(&[&args[..], more].concat());
        assert_eq!(done.code, 1, "{done:?}");
        assert!(done.err.contains("out/press is a symbolic link"), "{done:?}");
        assert_eq!(fs::read_dir(&victim).unwrap().count(), 0);
    }
    assert!(cli.path("out/wire/b.md").exists(), "the other documents are written");

    fs::remove_file(cli.path("out/press")).unwrap();
    fs::remove_file(cli.path("out/.dateline-export.jsonl")).unwrap();
    symlink(cli.path("victim/lines"), cli.path("out/.dateline-export.jsonl")).unwrap();
    let done = cli.run(&[&args[..], &["--force"]].concat());
    assert_eq!(done.code, 1, "{done:?}");
    assert!(done.err.contains(".dateline-export.jsonl cannot be read: it is a symbolic link"), "{done:?}");
    assert_eq!(fs::read_dir(&victim).unwrap().count(), 0);

    fs::remove_file(cli.path("out/.dateline-export.jsonl")).unwrap();
    cli.ok(&[&args[..], &["--force"]].concat());
    assert!(cli.path("out/press/a.md").exists());
}

#[test]
fn documents_whose_names_differ_only_in_case_get_distinct_and_stable_names() {
    let cli = Cli::new();
    let articles = [("press", "a"), ("press", "A"), ("Press", "a"), ("press", "con"), ("nul", "b")];
    // Exported alone, so that it has its name before the others come.
    add(&cli, "press", "a");
    export(&cli, "out", &[]);
    assert!(cli.path("out/press/a.md").exists());
    articles.iter().skip(1).for_each(|(source, article)| add(&cli, source, article));
    export(&cli, "out", &[]);
    let first = files(&cli, "out");
    assert_eq!(first.len(), articles.len(), "{first:?}");
    for (source, article) in articles {
        let headline = format!("headline: \"Of {source} and {article}\"");
        assert_eq!(first.iter().filter(|(_, said)| *said == headline).count(), 1, "{first:?}");
    }
    assert!(first.iter().any(|(file, said)| file == "press/a.md" && said.contains("press and a\"")), "{first:?}");
    let folded: BTreeSet<_> = first.iter().map(|(file, _)| file.to_lowercase()).collect();
    assert_eq!(folded.len(), articles.len(), "{first:?}");
    let is_device = |name: &str| ["con", "nul"].contains(&name.split('.').next().unwrap());
    assert!(!first.iter().any(|(file, _)| file.split('/').any(is_device)), "{first:?}");

    let again = export(&cli, "out", &[]);
    assert_eq!(again.last().unwrap()["unchanged"], "5", "{again:?}");
    // Only one of two colliding documents is exported, and it has changed.
    let document = "# Of press and A\n\nOther words.\n";
    let done = cli.feed(&["add", "-", "--source", "press", "--article", "A"], document);
    assert_eq!(done.code, 0, "{done:?}");
    let one = export(&cli, "out", &["press/A", "press/con"]);
    assert_eq!((&one.last().unwrap()["written"], &one.last().unwrap()["unchanged"]), (&"1".into(), &"1".into()));
    assert_eq!(files(&cli, "out"), first);
}
