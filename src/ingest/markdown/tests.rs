use super::*;
use crate::model::Precision;

fn article(text: &str) -> Document {
    read(text, &Options::default()).unwrap()
}

fn body(markdown: &str) -> Vec<BlockKind> {
    article(&format!("---\ntitle: T\n---\n{markdown}")).content.blocks.into_iter().map(|block| block.kind).collect()
}

fn paragraph(text: &str) -> BlockKind {
    BlockKind::Paragraph { text: text.into() }
}

fn subheading(text: &str) -> BlockKind {
    BlockKind::Subheading { text: text.into() }
}

fn caption(text: &str, url: &str) -> BlockKind {
    BlockKind::Caption { text: text.into(), image_url: url.into(), credit: String::new() }
}

fn list(items: &[&str], ordered: bool) -> BlockKind {
    BlockKind::List { items: items.iter().map(|item| (*item).to_owned()).collect(), ordered }
}

fn quote(text: &str, attribution: &str) -> BlockKind {
    BlockKind::Quote { text: text.into(), attribution: attribution.into() }
}

#[test]
fn blocks_keep_their_kind_and_their_order() {
    for (markdown, expected) in [
        ("One *line*\nand [another](https://a.example) `x`.\n", vec![paragraph("One line and another x.")]),
        ("## Head {#id}\n\nText", vec![subheading("Head"), paragraph("Text")]),
        ("![The quay](q.jpg)\n", vec![caption("The quay", "q.jpg")]),
        ("![](q.jpg \"The quay\")", vec![caption("The quay", "q.jpg")]),
        ("[![The quay](q.jpg)](/big)", vec![caption("The quay", "q.jpg")]),
        ("Text\n![The quay](q.jpg)", vec![paragraph("Text"), caption("The quay", "q.jpg")]),
        ("- one\n- two\n  - three\n", vec![list(&["one", "two", "three"], false)]),
        ("1. one\n\n   more\n2. two\n", vec![list(&["one\nmore", "two"], true)]),
        ("> A\n>\n> B\n>\n> — Ada Quill\n", vec![quote("A\nB", "Ada Quill")]),
        ("> A\\\n> -- Ada", vec![quote("A", "Ada")]),
        ("```\n  let x;\n\ny\n```\n", vec![paragraph("  let x;\n\ny")]),
        ("A<!-- gone -->B\n\n<!-- gone -->\n\n<div>C</div>\n", vec![paragraph("AB"), paragraph("C")]),
        ("The toll is ~~12~~ 92.", vec![paragraph("The toll is ~~12~~ 92.")]),
        ("| a | b |\n|---|---|\n| 1 | 2 |\n", vec![paragraph("a | b\n1 | 2")]),
        ("Text[^1].\n\n[^1]: Note.\n", vec![paragraph("Text[1]."), paragraph("[1] Note.")]),
        ("One\n\n---\n\nTwo &amp; three", vec![paragraph("One"), paragraph("Two & three")]),
        ("Correction: 12, not 92.", vec![BlockKind::CorrectionNote { text: "Correction: 12, not 92.".into() }]),
        ("> - a\n> - b\n", vec![quote("a\nb", "")]),
        ("- a\n  > q\n- b", vec![list(&["a\nq", "b"], false)]),
        ("", vec![]),
    ] {
        assert_eq!(body(markdown), expected, "{markdown:?}");
    }
}

#[test]
fn yaml_fills_the_fields() {
    let document = article(
        "---\ntitle: 'Ferry: it returns'\ndescription: After eleven weeks\nauthors: [Ada Quill, {name: Bo Finch}]\n\
         categories:\n  - City\nlang: en_gb\ndate: 2026-03-03 10:00:00 +0100\nlastmod: 2026-03-04\n\
         canonical_url: https://courier.example/ferry\nurl: /ferry\ntags: ferry, quay\nlicense: CC BY 4.0\n\
         publisher: The Port Kestrel Courier\nlabels: [b, a, b]\nlayout: post\nweight: 3\nempty:\n---\n\nText.\n",
    );
    let content = &document.content;
    assert_eq!(content.headline, "Ferry: it returns");
    assert_eq!(content.standfirst, "After eleven weeks");
    assert_eq!(content.bylines, ["Ada Quill", "Bo Finch"]);
    assert_eq!((content.section.as_str(), content.language.as_str()), ("City", "en-GB"));
    let (publish, modify) = (content.publish_time.as_ref().unwrap(), content.modify_time.as_ref().unwrap());
    assert_eq!((publish.time.to_string().as_str(), publish.precision), ("2026-03-03T09:00:00Z", Precision::Instant));
    assert_eq!((modify.words.as_str(), modify.precision), ("2026-03-04", Precision::Day));
    assert_eq!(content.canonical_url, "https://courier.example/ferry");
    assert_eq!(content.keywords, ["ferry", "quay"]);
    assert_eq!(content.rights, "CC BY 4.0");
    assert_eq!(document.labels, ["a", "b"]);
    assert_eq!(document.publication.as_deref(), Some("The Port Kestrel Courier"));
    let guesses: Vec<String> = document.guesses.iter().map(ToString::to_string).collect();
    assert_eq!(guesses, ["ignored: url, layout, weight (front matter that has no place in an article)"]);
}

#[test]
fn toml_fills_the_fields() {
    let document = article(
        "+++\ntitle = \"Ferry returns\"\ndate = 2026-03-03T10:00:00Z\nauthor = \"Ada Quill\"\n\
         observed_at = 2026-03-05T00:00:00Z\n+++\n# Ferry returns\n\nText.\n",
    );
    assert_eq!(document.content.publish_time.unwrap().precision, Precision::Instant);
    assert_eq!(document.content.bylines, ["Ada Quill"]);
    assert_eq!(document.observe_time.unwrap().to_string(), "2026-03-05T00:00:00Z");
    assert_eq!(document.content.blocks, [paragraph("Text.").into()]);
}

#[test]
fn plain_values_of_yaml_are_text() {
    for (yaml, headline) in
        [("2024", "2024"), ("007", "007"), ("no", "no"), ("1_000", "1_000"), ("true", "true"), (".nan", ".nan")]
    {
        assert_eq!(article(&format!("---\ntitle: {yaml}\n---\n")).content.headline, headline);
    }
}

#[test]
fn the_headline_may_be_a_heading() {
    for (markdown, headline, blocks) in [
        ("# Ferry returns\n\nText", "Ferry returns", 1),
        ("Text\n\n# Ferry returns\n\nText", "Ferry returns", 2),
        ("## Ferry returns\n\nText", "Ferry returns", 1),
        ("---\nlayout: post\n---\nFerry *returns*\n===\n\nText", "Ferry returns", 1),
        ("---\ntitle: Ferry\n---\n# Ferry returns\n\nText", "Ferry", 2),
    ] {
        let document = article(markdown);
        assert_eq!(
            (document.content.headline.as_str(), document.content.blocks.len()),
            (headline, blocks),
            "{markdown:?}"
        );
    }
}

#[test]
fn errors_name_the_line_and_what_to_do() {
    for (markdown, message) in [
        (
            "Text only",
            "no headline: no front matter and no `# heading`; add `title: …` between two lines of `---` at the top",
        ),
        (
            "---\na: 1\n---\nText",
            "no headline: the front matter has no title; add `title: …` between two lines of `---` at the top",
        ),
        ("---\ntitle: A\n", "front matter, line 1: is not closed; end it with a line of `---`"),
        ("---\n- a\n---\n", "front matter, line 2: is not a list of `key: value` lines"),
        ("\n+++\ntitle = \"A\"\nb c\n+++\n", "front matter, line 4: "),
        ("---\ntitle: A\nb: 'c\n---\n", "front matter, line 3: "),
    ] {
        let error = read(markdown, &Options::default()).unwrap_err().to_string();
        assert!(error.starts_with(message), "{markdown:?}: {error}");
    }
}

#[test]
fn an_invalid_language_is_left_out() {
    for language in ["english", "en-", "???"] {
        let document = article(&format!("---\ntitle: A\nlang: '{language}'\n---\n"));
        assert_eq!(document.content.language, "");
        assert_eq!(document.guesses.len(), 1, "{language:?}");
    }
}

#[test]
fn hostile_front_matter_is_rejected_quickly() {
    let bomb: String = (1..20)
        .map(|level| {
            let aliases = vec![format!("*a{}", level - 1); 9].join(", ");
            format!("a{level}: &a{level} [{aliases}]\n")
        })
        .collect();
    let deep = format!("title: {}{}", "[".repeat(5_000), "]".repeat(5_000));
    let wide = format!("title: A\nlist: [{}]", "1,".repeat(30_000));
    let large = format!("title: {}", "a".repeat(70_000));
    for front in [format!("a0: &a0 [x, x]\n{bomb}title: A"), deep, wide, large] {
        let error = read(&format!("---\n{front}\n---\n"), &Options::default()).unwrap_err();
        assert!(matches!(error, IngestError::FrontMatter { .. }), "{error}");
    }
    let deep = format!("+++\ntitle = {}1{}\n+++\n", "[".repeat(5_000), "]".repeat(5_000));
    assert!(matches!(read(&deep, &Options::default()), Err(IngestError::FrontMatter { .. })));
}
