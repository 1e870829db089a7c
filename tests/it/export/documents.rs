//! A document in each format is read back unchanged, as far as the format can represent it; and ninjs is valid ninjs.

use dateline::internals::export::Format;
use dateline::internals::ingest::{self, Options};
use dateline::model::{Block, BlockKind, ClaimedTime, Content, Precision};
use proptest::prelude::*;
use serde_json::Value;

use super::contents::{any_precision, content, item};

/// Reads a document from its text alone, as if its file were all there is.
fn read(format: ingest::Format, document: &str) -> Content {
    let options = Options { format: Some(format), ..Options::default() };
    let read = ingest::read(document.as_bytes(), &options).unwrap_or_else(|error| panic!("{error}: {document}"));
    assert_eq!(read.source.as_deref(), Some("courier"), "{document}");
    known(read.content)
}

/// The content without how it was read, which no format represents and no digest covers.
fn known(mut content: Content) -> Content {
    let claim = |claim: ClaimedTime| ClaimedTime { words: String::new(), found_in: String::new(), ..claim };
    content.publish_time = content.publish_time.map(claim);
    content.modify_time = content.modify_time.map(claim);
    content.blocks = content.blocks.into_iter().map(|block| block.kind.into()).collect();
    content
}

/// Whether reading JSON would drop the first block: a subheading that repeats the headline.
fn repeats_headline(content: &Content) -> bool {
    content.blocks.first().is_some_and(|block| block.kind == BlockKind::Subheading { text: content.headline.clone() })
}

/// The block as it is read back from Markdown.
fn in_markdown(block: Block) -> Block {
    let kind = match block.kind {
        BlockKind::Embed { url, .. } => BlockKind::Paragraph { text: url },
        BlockKind::Caption { text, image_url, .. } => BlockKind::Caption { text, image_url, credit: String::new() },
        kind @ (BlockKind::Paragraph { .. }
        | BlockKind::Subheading { .. }
        | BlockKind::Quote { .. }
        | BlockKind::List { .. }
        | BlockKind::CorrectionNote { .. }) => kind,
    };
    kind.into()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn json_ld_is_read_back(content in content(any_precision)) {
        prop_assume!(content.standfirst != content.headline && !repeats_headline(&content));
        let document = Format::JsonLd.write(&item(content.clone()));
        if let [keyword] = content.keywords.as_slice() {
            prop_assume!(!keyword.contains(','));
        }
        prop_assert_eq!(read(ingest::Format::NewsArticle, &document), content, "{}", document);
    }

    #[test]
    fn ninjs_is_read_back(mut content in content(|| Just(Precision::Instant))) {
        prop_assume!(content.publish_time.is_none() || content.publish_time != content.modify_time);
        prop_assume!(!repeats_headline(&content));
        let document = Format::Ninjs.write(&item(content.clone()));
        content.section.clear();
        prop_assert_eq!(read(ingest::Format::Ninjs, &document), content, "{}", document);
    }

    #[test]
    fn markdown_is_read_back(mut content in content(any_precision)) {
        let document = Format::Markdown.write(&item(content.clone()));
        content.blocks = content.blocks.into_iter().map(in_markdown).collect();
        prop_assert_eq!(read(ingest::Format::Markdown, &document), content, "{}", document);
    }

    #[test]
    fn ninjs_has_the_members_of_its_schema_and_no_others(content in content(any_precision), withdrawn in any::<bool>()) {
        let mut item = item(content);
        item.withdrawn = withdrawn.then(|| dateline::internals::export::Withdrawal { since: None, reason: String::new() });
        let document = Format::Ninjs.write(&item);
        check(&serde_json::from_str(&document).unwrap(), ITEM, "");
    }

    /// The format is detected from the contents of a file, too.
    #[test]
    fn the_format_of_a_document_is_detected(content in content(any_precision)) {
        for (format, found) in [
            (Format::JsonLd, ingest::Format::NewsArticle),
            (Format::Ninjs, ingest::Format::Ninjs),
            (Format::Markdown, ingest::Format::Markdown),
            (Format::Html, ingest::Format::Html),
        ] {
            let document = format.write(&item(content.clone()));
            prop_assert_eq!(ingest::detect(document.as_bytes()).unwrap(), found, "{}", document);
        }
    }
}

#[test]
fn ninjs_is_identified_by_a_uri() {
    for (canonical, uri) in [
        ("https://courier.example/a?b=c%20d", "https://courier.example/a?b=c%20d"),
        ("https://courier.example/käse", "https://courier.example/k%C3%A4se"),
        ("https://courier.example/a|b", "dateline:sources/courier/articles/bridge-to-close"),
        ("https://courier.example/100%", "dateline:sources/courier/articles/bridge-to-close"),
        ("javascript:alert(1)", "dateline:sources/courier/articles/bridge-to-close"),
        ("", "dateline:sources/courier/articles/bridge-to-close"),
    ] {
        let content = Content { headline: "a".to_owned(), canonical_url: canonical.to_owned(), ..Content::default() };
        let written: Value = serde_json::from_str(&Format::Ninjs.write(&item(content))).unwrap();
        assert_eq!(written["uri"], uri);
    }
}

/// A content with control, bidirectional, zero-width and tag characters in all fields.
fn unseen() -> Content {
    let text = || "Ferry\u{9b}31m \u{7f}n\u{202e}um\u{2066}b\u{200b}er\u{e0041} \u{2028}one".to_owned();
    let blocks = vec![
        BlockKind::Paragraph { text: text() },
        BlockKind::Quote { text: text(), attribution: text() },
        BlockKind::Embed { url: "https://a.example/\u{202e}\u{9b}".to_owned(), text: text() },
        BlockKind::Caption { text: text(), image_url: "https://a.example/\u{202e}\u{9b}".to_owned(), credit: text() },
    ];
    Content {
        headline: text(),
        standfirst: text(),
        bylines: vec![text()],
        section: text(),
        keywords: vec![text()],
        rights: text(),
        blocks: blocks.into_iter().map(Block::from).collect(),
        ..Content::default()
    }
}

#[test]
fn invisible_characters_are_escaped_in_data_and_markdown() {
    for format in [Format::JsonLd, Format::Ninjs, Format::Markdown] {
        let document = format.write(&item(unseen()));
        let raw = document.chars().find(
            |c| matches!(c, '\u{7f}'..='\u{9f}' | '\u{200b}' | '\u{2028}'..='\u{202e}' | '\u{2066}' | '\u{e0041}'),
        );
        assert_eq!(raw, None, "{document}");
    }
}

#[test]
fn escaped_invisible_characters_are_read_back() {
    let text = "Ferry\u{9b}31m \u{7f}n\u{202e}um\u{2066}b\u{200b}er\u{e0041} one";
    let content = Content {
        headline: text.to_owned(),
        blocks: vec![BlockKind::Paragraph { text: text.to_owned() }.into()],
        ..Content::default()
    };
    for (format, read_as) in
        [(Format::JsonLd, ingest::Format::NewsArticle), (Format::Markdown, ingest::Format::Markdown)]
    {
        let document = format.write(&item(content.clone()));
        assert_eq!(read(read_as, &document), content, "{document}");
    }
}

#[test]
fn json_ld_cannot_end_the_script_element_around_it() {
    let hostile = "</script><!--<script>alert(1)</script>";
    let content = Content {
        headline: hostile.to_owned(),
        bylines: vec![hostile.to_owned()],
        blocks: vec![BlockKind::Paragraph { text: hostile.to_owned() }.into()],
        ..Content::default()
    };
    let document = Format::JsonLd.write(&item(content.clone()));
    assert!(!document.contains("</") && !document.contains("<!"), "{document}");
    let read: Value = serde_json::from_str(&document).unwrap();
    assert_eq!((&read["headline"], &read["author"][0]["name"]), (&hostile.into(), &hostile.into()));
}

#[test]
fn markdown_links_only_to_web_addresses() {
    for url in [
        "javascript:alert(1)",
        " JavaScript:alert(1)",
        "java\tscript:alert(1)",
        "data:text/html,a",
        "vbscript:a",
        "file:///etc/passwd",
        "../../secret",
    ] {
        let text = || "A picture".to_owned();
        let blocks = [
            BlockKind::Caption { text: text(), image_url: url.to_owned(), credit: text() },
            BlockKind::Embed { url: url.to_owned(), text: text() },
        ];
        let content = Content {
            headline: "a".to_owned(),
            blocks: blocks.into_iter().map(Block::from).collect(),
            ..Content::default()
        };
        let document = Format::Markdown.write(&item(content));
        assert!(document.contains("![A picture](<> \"A picture\")\n\nA picture\n"), "{url}: {document}");
    }
}

/// What the schema of ninjs 3.1 (<https://iptc.org/std/ninjs/ninjs-schema_3.1.json>, CC BY 4.0) says about a member
/// that we write. All its objects are closed: they have no members other than the named ones.
enum Shape {
    Text,
    OneOf(&'static [&'static str]),
    Uri,
    /// A time as in RFC 3339.
    DateTime,
    Number,
    /// An array of objects with these members.
    Objects(&'static [(&'static str, Shape)]),
    Object(&'static [(&'static str, Shape)]),
}

const ROLE_AND_VALUE: &[(&str, Shape)] = &[("role", Shape::Text), ("contentType", Shape::Text), ("value", Shape::Text)];

const ITEM: &[(&str, Shape)] = &[
    ("standard", Shape::Object(&[("name", Shape::Text), ("version", Shape::Text), ("schema", Shape::Uri)])),
    ("uri", Shape::Uri),
    (
        "type",
        Shape::OneOf(&["text", "audio", "video", "picture", "graphic", "composite", "component", "event", "planning"]),
    ),
    ("representationType", Shape::OneOf(&["full", "partial"])),
    ("pubStatus", Shape::OneOf(&["usable", "withheld", "canceled"])),
    ("version", Shape::Text),
    ("firstCreated", Shape::DateTime),
    ("versionCreated", Shape::DateTime),
    ("headlines", Shape::Objects(ROLE_AND_VALUE)),
    ("descriptions", Shape::Objects(ROLE_AND_VALUE)),
    ("by", Shape::Text),
    (
        "people",
        Shape::Objects(&[("name", Shape::Text), ("rel", Shape::Text), ("uri", Shape::Uri), ("literal", Shape::Text)]),
    ),
    ("language", Shape::Text),
    (
        "subjects",
        Shape::Objects(&[("name", Shape::Text), ("rel", Shape::Text), ("uri", Shape::Uri), ("literal", Shape::Text)]),
    ),
    ("copyrightNotice", Shape::Text),
    (
        "bodies",
        Shape::Objects(&[
            ("role", Shape::Text),
            ("contentType", Shape::Text),
            ("charCount", Shape::Number),
            ("wordCount", Shape::Number),
            ("value", Shape::Text),
        ]),
    ),
    (
        "infoSources",
        Shape::Objects(&[("name", Shape::Text), ("role", Shape::Text), ("uri", Shape::Uri), ("literal", Shape::Text)]),
    ),
    ("altIds", Shape::Objects(&[("role", Shape::Text), ("value", Shape::Text)])),
];

/// The members that the schema requires.
const REQUIRED: [(&str, &str); 4] =
    [("", "uri"), (".headlines", "value"), (".descriptions", "value"), (".bodies", "value")];

fn check(value: &Value, members: &[(&str, Shape)], path: &str) {
    let object = value.as_object().unwrap_or_else(|| panic!("{path} is not an object"));
    for (_, required) in REQUIRED.iter().filter(|(at, _)| *at == path) {
        assert!(object.contains_key(*required), "{path} has no {required}");
    }
    for (name, value) in object {
        let path = format!("{path}.{name}");
        let (_, shape) =
            members.iter().find(|(known, _)| known == name).unwrap_or_else(|| panic!("{path} is not in the schema"));
        let text = || value.as_str().unwrap_or_else(|| panic!("{path} is not a string"));
        match shape {
            Shape::Text => drop(text()),
            Shape::OneOf(values) => assert!(values.contains(&text()), "{path} is {value}"),
            Shape::Uri => drop(url::Url::parse(text()).unwrap_or_else(|error| panic!("{path} is {value}: {error}"))),
            Shape::DateTime => {
                let _: jiff::Timestamp = text().parse().unwrap_or_else(|error| panic!("{path}: {error}"));
            }
            Shape::Number => assert!(value.is_u64(), "{path} is {value}"),
            Shape::Object(members) => check(value, members, &path),
            Shape::Objects(members) => {
                value
                    .as_array()
                    .unwrap_or_else(|| panic!("{path} is not an array"))
                    .iter()
                    .for_each(|value| check(value, members, &path));
            }
        }
    }
}
