use proptest::prelude::*;

use super::*;

#[test]
fn a_publication_suggests_its_source() {
    for (publication, source) in [
        ("The Express Gazette", Some("express-gazette")),
        ("Zürcher Bote", Some("zurcher-bote")),
        ("Le Phare d'Aller", Some("le-phare-d-aller")),
        ("The", Some("the")),
        ("—", None),
    ] {
        assert_eq!(source_id(publication).as_deref(), source, "{publication:?}");
    }
    assert_eq!(source_id(&"ab ".repeat(100)).map(|id| id.len()), Some(128));
}

#[test]
fn protobuf_json_is_left_to_the_caller() {
    assert_eq!(read(b"{\"headline\": \"A\"}", &Options::default()), Err(IngestError::Json));
}

#[test]
fn line_ends_and_a_byte_order_mark_change_nothing() {
    let page = "Ferry returns\n\nCity | March 3, 2026\n\nIt came back on Monday.\n";
    let windows = format!("\u{feff}{}", page.replace('\n', "\r\n"));
    let options = Options::default();
    assert_eq!(read(windows.as_bytes(), &options), read(page.as_bytes(), &options));
}

#[test]
fn the_example_articles_are_read() {
    let options = Options::default();
    let first = read(include_bytes!("../../examples/articles/harbour-bridge.txt"), &options).unwrap();
    let revised = read(include_bytes!("../../examples/articles/harbour-bridge-revised.txt"), &options).unwrap();
    assert_eq!(first.source.as_deref(), Some("port-kestrel-courier"));
    assert_eq!(first.guesses.iter().filter(|guess| guess.what == "caption").count(), 2);
    assert_eq!(first.content.blocks.len(), revised.content.blocks.len());
    assert_ne!(first.content.headline, revised.content.headline);
    let ferry = read(include_bytes!("../../examples/articles/night-ferry.md"), &options).unwrap();
    assert_eq!((ferry.source, ferry.guesses), (first.source, vec![]));
}

/// Fragments of pages, to be combined into pages that nobody would write.
const PIECES: [&str; 32] = [
    "\n",
    "\n\n",
    "---\n",
    "+++\n",
    "title: A\n",
    "title = \"A\"\n",
    "# A\n",
    "## ",
    "- a\n",
    "1. b\n",
    "> ",
    "```\n",
    "![a](b)",
    "[a](https://a.example)",
    "<div>",
    "</",
    "<!--",
    "-->",
    "| a | b |\n|---|\n",
    "[^1]: ",
    "By Ada Quill\n",
    "City · 2 months ago\n",
    "March 3, 2026",
    "The Kestrel Post\n",
    "PKC\n",
    "Photo: ",
    "Harbour bridge at dusk\n",
    "© ",
    "https://a.example/\n",
    "It came back on Monday.",
    "é",
    "\t",
];

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = (detect(&bytes), read(&bytes, &Options::default()));
    }

    #[test]
    fn no_page_panics(pieces in prop::collection::vec(0..PIECES.len(), 0..40), lines in "(\\PC{0,20}\n?){0,10}") {
        let page: String = pieces.iter().map(|&piece| PIECES[piece]).chain([lines.as_str()]).collect();
        for format in [None, Some(Format::NewsText), Some(Format::Markdown)] {
            if let Ok(document) = read(page.as_bytes(), &Options { format, ..Options::default() }) {
                prop_assert!(!document.content.headline.is_empty());
                prop_assert!(document.source.is_none_or(|source| SourceId::parse(&source).is_ok()));
            }
        }
    }

    #[test]
    fn masthead_and_page_date_are_not_part_of_the_content(
        headline in "[A-Z][a-z]{3,8}( [a-z]{2,8}){2,8}",
        body in prop::collection::vec("[A-Z][a-z]{1,8}( [a-z]{1,8}){0,30}[.?]?", 1..6),
        top in prop::sample::select(vec![
            "The Kestrel Post\n\n", "TKP\nThe Kestrel Post\n", "The Kestrel Post\nSaturday, November 8, 2025\n\n",
            "KP\nThe Kestrel Post\n8 November 2025\n\n", "2025-11-08\n\n", "The Kestrel Post | Nov. 8, 2025\n\n",
        ]),
    ) {
        let page = format!("{headline}\n\n{}", body.join("\n\n"));
        let plain = read(page.as_bytes(), &Options { format: Some(Format::NewsText), ..Options::default() }).unwrap();
        let topped = format!("{top}{page}");
        let topped = read(topped.as_bytes(), &Options { format: Some(Format::NewsText), ..Options::default() }).unwrap();
        prop_assert_eq!(plain.content, topped.content);
        prop_assert!(topped.publication.is_some() || top.starts_with('2'));
    }
}

/// JSON values with these leaves, nested in arrays and in objects with these keys.
pub(super) fn nested(
    leaf: impl Strategy<Value = serde_json::Value> + 'static,
    keys: &'static [&'static str],
) -> impl Strategy<Value = serde_json::Value> {
    leaf.prop_recursive(4, 40, 4, move |inner| {
        let field = (prop::sample::select(keys).prop_map(str::to_owned), inner.clone());
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(serde_json::Value::from),
            prop::collection::vec(field, 0..4).prop_map(|fields| fields.into_iter().collect()),
        ]
    })
}
