use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::ingest::tests::nested;
use crate::ingest::{Format, Options, times};
use crate::model::BlockKind;

fn document(value: &Value) -> Document {
    let document = crate::ingest::read(value.to_string().as_bytes(), &Options::default()).unwrap();
    assert!(!document.content.headline.is_empty());
    document
}

/// One line for each block: a letter for its kind, and its text.
fn lines(document: &Document) -> Vec<String> {
    let line = |kind: &BlockKind| match kind {
        BlockKind::Paragraph { text } => format!("p {text}"),
        BlockKind::Subheading { text } => format!("x {text}"),
        BlockKind::Caption { text, image_url, credit } => format!("c {text} [{image_url}] [{credit}]"),
        BlockKind::Quote { text, .. } => format!("q {text}"),
        BlockKind::List { .. } | BlockKind::Embed { .. } | BlockKind::CorrectionNote { .. } => format!("{kind:?}"),
    };
    document.content.blocks.iter().map(|block| line(&block.kind)).collect()
}

fn guesses(document: &Document) -> Vec<String> {
    document.guesses.iter().map(ToString::to_string).collect()
}

fn item() -> Value {
    json!({
        "uri": "http://wire.example/items/ferry-1",
        "standard": {"name": "ninjs", "version": "3.1"},
        "type": "text",
        "pubStatus": "usable",
        "version": "3",
        "firstCreated": "2025-11-08T18:00:00+01:00",
        "versionCreated": "2025-11-08T19:30:00+01:00",
        "language": "en-gb",
        "copyrightHolder": "Kestrel Wire",
        "copyrightNotice": "Copyright 2025 Kestrel Wire",
        "usageTerms": "No use after a year.",
        "by": "By Ada Quill",
        "headlines": [{"role": "sub", "value": "It was gone for eleven weeks"}, {"role": "main", "value": "Ferry returns"}],
        "descriptions": [{"value": "The ferry is back."}],
        "subjects": [{"name": "Ferries", "rel": "about"}, {"name": "Harbours"}, {"uri": "urn:x"}],
        "bodies": [
            {"role": "text", "contentType": "text/plain", "value": "The ferry came back on Monday. Its master was glad of it."},
            {"role": "main", "contentType": "application/xhtml+xml", "charCount": 9, "value":
                "<h1>Ferry returns</h1><p>The ferry came back on Monday.</p><figure><img src=\"x.jpg\"/><figcaption>The quay</figcaption></figure><p>Its master was glad of it.</p>"},
        ],
        "associations": [
            {"name": "a1", "uri": "urn:p1", "type": "picture", "by": "Ana Reis", "descriptions": [{"role": "caption", "value": "The quay"}],
             "renditions": [{"name": "s", "href": "https://wire.example/s.jpg", "width": 100, "contentType": "image/jpeg"},
                            {"name": "l", "href": "https://wire.example/l.jpg", "width": 900, "contentType": "image/jpeg"},
                            {"name": "v", "href": "https://wire.example/l.mp4", "width": 1900, "contentType": "video/mp4"}]},
            {"name": "a2", "uri": "urn:p2", "type": "graphic", "descriptions": [{"role": "creditline", "value": "Wire"}, {"value": "A chart"}]},
            {"name": "a3", "uri": "urn:p3", "type": "picture"},
            {"name": "a4", "uri": "urn:v1", "type": "video"},
        ],
        "located": "Port Kestrel",
    })
}

#[test]
fn an_item_of_version_3_is_read() {
    let document = document(&item());
    let content = &document.content;
    assert_eq!(
        (content.headline.as_str(), content.standfirst.as_str()),
        ("Ferry returns", "It was gone for eleven weeks")
    );
    assert_eq!((content.bylines.as_slice(), content.language.as_str()), (&["Ada Quill".to_owned()][..], "en-GB"));
    assert_eq!(content.canonical_url, "http://wire.example/items/ferry-1");
    let claims = [&content.publish_time, &content.modify_time].map(|claim| claim.as_ref().unwrap());
    assert_eq!(claims.map(times::describe), ["2025-11-08T17:00:00Z", "2025-11-08T18:30:00Z"]);
    assert_eq!(claims.map(|claim| claim.found_in.as_str()), ["ninjs"; 2]);
    assert_eq!(content.keywords, ["Ferries", "Harbours"]);
    assert_eq!(content.rights, "Copyright 2025 Kestrel Wire; No use after a year.");
    assert_eq!(
        lines(&document),
        [
            "p The ferry came back on Monday.",
            "c The quay [https://wire.example/l.jpg] [Ana Reis]",
            "p Its master was glad of it.",
            "c A chart [] [Wire]",
        ]
    );
    assert_eq!(document.source.as_deref(), Some("kestrel-wire"));
    assert_eq!(
        guesses(&document),
        [
            "ignored: associations of video (only pictures are kept)",
            "ignored: \"The ferry is back.\" (an article has one standfirst)",
            "publication: Kestrel Wire (the copyright holder)",
            "ignored: located (properties that have no place in an article)",
        ]
    );
}

#[test]
fn version_2_differs_only_in_case() {
    fn lowercase(value: Value) -> Value {
        match value {
            Value::Object(fields) => {
                fields.into_iter().map(|(key, value)| (key.to_lowercase(), lowercase(value))).collect()
            }
            Value::Array(items) => items.into_iter().map(lowercase).collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
        }
    }
    let second = lowercase(item());
    assert!(second.get("versioncreated").is_some());
    assert_eq!(document(&second).content, document(&item()).content);
}

#[test]
fn version_1_is_read_with_names_as_keys() {
    let document = document(&json!({
        "uri": "urn:wire.example:1",
        "versioncreated": "2013-07-09T10:37:00Z",
        "version": "1",
        "byline": "Ada Quill and Bo Finch",
        "headline": "Ferry returns",
        "headline_deck": "It was gone for eleven weeks",
        "description_text": "Back.",
        "subject": [{"name": "Ferries"}],
        "infosource": [{"name": "Kestrel Wire", "rel": "publisher"}],
        "body_text": "The ferry came back on Monday.",
        "body_xhtml": "<p>The ferry came back</p><p>on Monday.</p>",
        "wordcount": 6,
        "associations": {"main": {"uri": "urn:p1", "type": "picture", "description_caption": "The quay", "byline": "Ana Reis",
            "renditions": {"small": {"href": "https://wire.example/s.jpg", "mimetype": "image/jpeg"}}}},
    }));
    let content = &document.content;
    assert_eq!(
        (content.headline.as_str(), content.standfirst.as_str()),
        ("Ferry returns", "It was gone for eleven weeks")
    );
    assert_eq!(
        (content.bylines.join(";").as_str(), content.keywords.join(";").as_str()),
        ("Ada Quill and Bo Finch", "Ferries")
    );
    assert_eq!(times::describe(content.publish_time.as_ref().unwrap()), "2013-07-09T10:37:00Z");
    assert_eq!((content.canonical_url.as_str(), content.modify_time.as_ref()), ("", None));
    assert_eq!(document.publication.as_deref(), Some("Kestrel Wire"));
    assert_eq!(
        lines(&document),
        ["p The ferry came back", "p on Monday.", "c The quay [https://wire.example/s.jpg] [Ana Reis]"]
    );
}

#[test]
fn the_best_body_is_taken_and_no_text_is_dropped() {
    let bodies = |bodies: Value| document(&json!({"uri": "urn:x", "headlines": [{"value": "A"}], "bodies": bodies}));
    let text = "The ferry came back on Monday with two lorries and a horse box.";
    let html = format!("<p>{text}</p>");
    let nitf = format!("<nitf><body><body.content><p>{text}</p></body.content></body></nitf>");
    for forms in [
        json!([{"value": text}, {"contentType": "text/html", "value": html}]),
        json!([{"role": "nitf", "contentType": "application/xml", "value": nitf}, {"contentType": "text/plain", "value": text}]),
        json!([{"contentType": "application/json", "value": "{}"}, {"value": html}]),
        json!([{"role": "nitf", "contentType": "application/xml", "value": nitf}]),
        json!([{"role": "summary", "value": text}]),
    ] {
        let document = bodies(forms.clone());
        assert_eq!(lines(&document), [format!("p {text}")], "{forms}");
        assert_eq!(guesses(&document), [""; 0], "{forms}");
    }
    let parts = bodies(
        json!([{"role": "main", "value": html}, {"role": "factbox", "value": "Built in 1911, she is the oldest."}]),
    );
    assert_eq!(lines(&parts), [format!("p {text}"), "p Built in 1911, she is the oldest.".to_owned()]);
    assert!(guesses(&parts)[0].contains("\"factbox\""), "{parts:?}");
    let summed = bodies(json!([{"role": "ingress", "value": "She is back."}, {"value": html}]));
    assert_eq!((summed.content.standfirst.as_str(), lines(&summed).len()), ("She is back.", 1));
}

#[test]
fn a_picture_is_an_article_of_one_caption() {
    let picture = document(
        &json!({"uri": "urn:x", "type": "picture", "title": "Ferry", "by": "Ana Reis", "embargoedUntil": "2030-01-01T00:00:00Z",
        "descriptions": [{"role": "caption", "value": "The quay"}], "renditions": [{"name": "m", "href": "https://wire.example/m.jpg"}]}),
    );
    assert_eq!(lines(&picture), ["c The quay [https://wire.example/m.jpg] [Ana Reis]"]);
    assert_eq!(
        guesses(&picture),
        [
            "headline: \"Ferry\" (the item's title, since it has no headline)",
            "body: none (the item has no text; only its other fields are archived)",
            "embargo: 2030-01-01T00:00:00Z (not to be published before then)",
        ]
    );
}

#[test]
fn items_that_must_not_be_published_are_rejected() {
    let error_for = |more: Value| {
        let mut item = json!({"uri": "urn:x", "headlines": [{"value": "A"}]});
        item.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        read(&item.to_string()).map(|_| ()).unwrap_err().to_string()
    };
    assert_eq!(
        error_for(json!({"pubStatus": "canceled"})),
        "the item is canceled, so it is not archived; if the article was archived before, use `withdraw`"
    );
    assert!(error_for(json!({"pubstatus": "withheld"})).starts_with("the item is withheld"));
    assert_eq!(
        error_for(json!({"type": "event"})),
        "no article found: the item has the type `event`, which announces a plan and is not an article"
    );
    assert_eq!(error_for(json!({"headlines": []})), "no headline: the item has neither headlines nor a title");
    assert!(read("[]").is_err());
    assert_eq!(read("{\"uri\": }").unwrap_err().to_string(), "line 1, column 9: expected value");
}

/// Values that no property should have.
fn odd() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<u64>().prop_map(Value::from),
        "\\PC{0,20}|<p>|picture|main|text/html|https?://[a-z./]{0,8}".prop_map(Value::from),
    ];
    nested(leaf, &["role", "value", "name", "type", "contentType", "descriptions", "renditions", "href"])
}

proptest! {
    #[test]
    fn no_values_panic(values in prop::collection::vec(odd(), 42)) {
        let keys = ["headlines", "headline", "bodies", "body_text", "body_é", "descriptions", "associations", "renditions", "by", "people",
            "language", "uri", "firstCreated", "versioncreated", "subjects", "infosources", "rightsinfo", "title", "type", "embargoed"];
        let item: serde_json::Map<String, Value> = keys.iter().map(|key| (*key).to_owned()).zip(values).collect();
        let options = Options { format: Some(Format::Ninjs), ..Options::default() };
        if let Ok(document) = crate::ingest::read(Value::Object(item).to_string().as_bytes(), &options) {
            prop_assert!(!document.content.headline.is_empty());
        }
    }
}
