//! Text from articles is displayed and never interpreted by the terminal, in every command that prints it.

use dateline::internals::wire::json::to_json;
use dateline::internals::wire::pb;

use super::Cli;

/// Invisible characters of each kind: bidirectional, zero-width, a line separator, a tag, DEL, C1.
const UNSEEN: [char; 9] =
    ['\u{202e}', '\u{2066}', '\u{2069}', '\u{61c}', '\u{200b}', '\u{2028}', '\u{e0041}', '\u{7f}', '\u{9b}'];

/// Archives two revisions of `press/ferry` whose words differ only in `unseen`.
fn archive(cli: &Cli, unseen: &str) {
    for (unseen, day) in [("", 1), (unseen, 2)] {
        let text = format!("Ferry{unseen} sinks off the cape");
        let content = pb::Content {
            headline: text.clone(),
            standfirst: text.clone(),
            bylines: vec![text.clone()],
            section: text.clone(),
            keywords: vec![text.clone()],
            rights: text.clone(),
            blocks: vec![pb::Block {
                kind: Some(pb::block::Kind::Paragraph(pb::Paragraph { text })),
                ..pb::Block::default()
            }],
            ..pb::Content::default()
        };
        let file = cli.file(&format!("{day}.json"), to_json(&content));
        let observed = format!("2026-03-0{day}T12:00:00Z");
        cli.ok(&[
            "add",
            &file,
            "--source",
            "press",
            "--article",
            "ferry",
            "--format",
            "json",
            "--observed-at",
            &observed,
        ]);
    }
}

fn raw(text: &str) -> Option<char> {
    text.chars().find(|c| UNSEEN.contains(c))
}

const COMMANDS: [&[&str]; 9] = [
    &["show", "press/ferry"],
    &["show", "press/ferry", "--revision", "2"],
    &["log", "press/ferry"],
    &["list"],
    &["diff", "press/ferry"],
    &["diff", "press/ferry", "--full"],
    &["watch", "--from", "beginning", "--until-caught-up"],
    &["export", "press/ferry", "--format", "json-ld"],
    &["export", "press/ferry", "--format", "markdown"],
];

#[test]
fn invisible_characters_are_named_in_every_command_and_escaped_in_json() {
    let cli = Cli::new();
    archive(&cli, &UNSEEN.iter().collect::<String>());
    for command in COMMANDS {
        for more in [&[][..], &["--color", "always"], &["--json"]] {
            if more == ["--json"] && command.first() == Some(&"export") {
                continue;
            }
            let out = cli.ok(&[more, command].concat());
            assert!(out.contains("Ferry"), "{command:?} prints no headline: {out}");
            assert_eq!(raw(&out), None, "{more:?} {command:?}: {out:?}");
            let (name, escape) = (out.contains("<U+202E>"), out.to_lowercase().contains("202e"));
            assert!(if more == ["--json"] { escape && !name } else { name || escape }, "{more:?} {command:?}: {out}");
        }
    }
}

#[test]
fn exported_lines_have_no_raw_control_characters_and_give_the_same_archive() {
    let (cli, again) = (Cli::new(), Cli::new());
    archive(&cli, &UNSEEN.iter().collect::<String>());
    let lines = cli.ok(&["export", "--format", "jsonl"]);
    assert_eq!(raw(&lines), None, "{lines:?}");
    let done = again.feed(&["import", "-"], &lines);
    assert_eq!(done.code, 0, "{done:?}");
    let said = |cli: &Cli| cli.ok(&["export", "press/ferry", "--format", "text"]);
    let contents = |cli: &Cli| {
        let said = said(cli);
        let (_, digest) = said.split_once("SHA-256: ").unwrap();
        digest.to_owned()
    };
    assert!(raw(&said(&cli)).is_some(), "a plain text export is verbatim");
    assert_eq!(contents(&cli), contents(&again));
}

#[test]
fn a_change_of_an_invisible_character_alone_is_visible_in_a_diff() {
    for (unseen, name) in
        [("\u{200d}", "<U+200D>"), ("\u{fe0f}", "<U+FE0F>"), ("\u{a0}", "<U+00A0>"), ("\u{ad}", "<U+00AD>")]
    {
        let cli = Cli::new();
        archive(&cli, unseen);
        let out = cli.ok(&["diff", "press/ferry"]);
        assert!(out.contains(&format!("Ferry{name}")) || out.contains(&format!("{{+{name}")), "{out}");
    }
}

#[test]
fn an_error_that_quotes_input_names_its_invisible_characters() {
    let cli = Cli::new();
    let file = cli.file("bad\u{202e}name.json", "{\"headline\u{202e}\u{9b}\": 1}");
    let done = cli.run(&["add", &file, "--source", "press", "--article", "a", "--format", "json"]);
    assert_eq!(done.code, 1, "{done:?}");
    assert_eq!(raw(&done.err), None, "{done:?}");
    assert!(done.err.contains("bad<U+202E>name.json"), "{done:?}");
}
