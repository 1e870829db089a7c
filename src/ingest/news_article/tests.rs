use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::ingest::tests::nested;
use crate::ingest::{Format, Options, times};
use crate::model::{BlockKind, Precision};

fn article(value: &Value) -> NewsArticle {
    article_in(value).unwrap()
}

/// One line per block: a letter for its kind, then its text.
fn lines(blocks: &[Block]) -> Vec<String> {
    let line = |block: &Block| match &block.kind {
        BlockKind::Paragraph { text } => format!("p {text}"),
        BlockKind::Subheading { text } => format!("x {text}"),
        BlockKind::Caption { text, image_url, credit } => format!("c {text} [{image_url}] [{credit}]"),
        BlockKind::Quote { .. }
        | BlockKind::List { .. }
        | BlockKind::Embed { .. }
        | BlockKind::CorrectionNote { .. } => format!("{:?}", block.kind),
    };
    blocks.iter().map(line).collect()
}

const FILE: &str = r#"{
  "@context": "https://schema.org",
  "@type": "ReportageNewsArticle",
  "headline": "Ferry returns to Port Kestrel &amp; Quay Head",
  "alternativeHeadline": "Boat is back",
  "description": "The boat had been in dock for <b>eleven</b> weeks.",
  "author": [{"@type": "Person", "name": "By Ada Quill"}, {"@type": "Person", "name": ["Bo Finch", "Cy Rook"]}],
  "articleSection": ["City", "Harbour"],
  "inLanguage": "en_gb",
  "url": "https://courier.example/city/ferry",
  "mainEntityOfPage": {"@type": "WebPage", "@id": "https://courier.example/city/ferry?page=all"},
  "datePublished": "2025-11-08T18:00:00+01:00",
  "dateModified": "2025-11-09",
  "keywords": "ferry, quay ,, ferry",
  "copyrightHolder": {"name": "Kestrel Press"},
  "copyrightYear": 2025,
  "license": "https://courier.example/terms",
  "publisher": {"@type": "NewsMediaOrganization", "name": "The Port Kestrel Courier"},
  "image": [
    {"@type": "ImageObject", "url": "https://courier.example/1.jpg", "caption": "The ferry at the quay", "creditText": "Ana Reis"},
    {"@type": "ImageObject", "url": "https://courier.example/1-wide.jpg", "caption": "The ferry at the quay"},
    "https://courier.example/2.jpg"
  ],
  "isAccessibleForFree": "False",
  "articleBody": "The ferry came back on Monday.\n\nIts master was glad.",
  "wordCount": 9,
  "pageEnd": "B4"
}"#;

#[test]
fn a_file_is_read() {
    let document = crate::ingest::read(FILE.as_bytes(), &Options::default()).unwrap();
    assert_eq!(document.source.as_deref(), Some("port-kestrel-courier"));
    assert_eq!(document.urls, ["https://courier.example/city/ferry?page=all"]);
    let content = &document.content;
    assert_eq!(content.headline, "Ferry returns to Port Kestrel & Quay Head");
    assert_eq!(content.standfirst, "The boat had been in dock for eleven weeks.");
    assert_eq!(content.bylines, ["Ada Quill", "Bo Finch", "Cy Rook"]);
    assert_eq!((content.section.as_str(), content.language.as_str()), ("City", "en-GB"));
    assert_eq!(content.canonical_url, "https://courier.example/city/ferry");
    let claims = [&content.publish_time, &content.modify_time].map(|claim| claim.as_ref().unwrap());
    assert_eq!(claims.map(times::describe), ["2025-11-08T17:00:00Z", "9 November 2025"]);
    assert_eq!(claims.map(|claim| claim.precision), [Precision::Instant, Precision::Day]);
    assert_eq!(claims.map(|claim| claim.found_in.as_str()), ["json-ld"; 2]);
    assert_eq!(content.keywords, ["ferry", "quay"]);
    assert_eq!(content.rights, "© 2025 Kestrel Press; https://courier.example/terms");
    assert_eq!(
        lines(&content.blocks),
        [
            "p The ferry came back on Monday.",
            "p Its master was glad.",
            "c The ferry at the quay [https://courier.example/1.jpg] [Ana Reis]"
        ]
    );
    let guesses: Vec<String> = document.guesses.iter().map(ToString::to_string).collect();
    assert_eq!(
        guesses,
        [
            "ignored: pageEnd (properties that have no place in an article)",
            "standfirst: \"The boat had been in dock for eleven weeks.\" (the description, which may not be on the page)",
            "ignored: alternative headline \"Boat is back\" (an article has one headline)",
            "ignored: sections \"Harbour\" (an article has one section)",
            "body: maybe an excerpt (the article is not accessible for free)",
        ]
    );
}

#[test]
fn the_article_is_found_wherever_it_is() {
    let node = json!({"@type": "NewsArticle", "headline": "Ferry returns"});
    for value in [
        node.clone(),
        json!([{"@type": "Organization"}, node]),
        json!([[node]]),
        json!({"@context": "https://schema.org", "@graph": [{"@type": "WebSite", "name": "Courier"}, node]}),
        json!({"@type": "WebPage", "name": "Courier", "mainEntity": node}),
        json!({"@type": "WebPage", "name": "Courier", "mainEntity": [node]}),
        json!({"@graph": [{"@type": "WebPage", "name": "x", "mainEntity": {"@id": "#a"}}, {"@id": "#a", "@type": "Article", "headline": "Ferry returns"}]}),
        json!({"@type": ["https://schema.org/BlogPosting", "Thing"], "headline": {"@value": "Ferry returns", "@language": "en"}}),
        json!({"@type": "schema:OpinionNewsArticle", "headline": ["Ferry returns"]}),
        json!([{"@type": "Article", "@id": "#b"}, {"@type": "Article", "headline": "Ferry returns"}]),
        json!({"@type": "Report", "name": "Ferry <em>returns</em>"}),
    ] {
        assert_eq!(article(&value).headline, "Ferry returns", "{value}");
    }
    for value in [
        json!({"@type": "ItemList", "itemListElement": [node]}),
        json!({"@type": "WebPage", "hasPart": [node]}),
        json!({"headline": "Ferry returns"}),
        json!([]),
        json!(1),
    ] {
        assert!(article_in(&value).is_none(), "{value}");
    }
}

#[test]
fn references_are_resolved_to_the_nodes_that_describe_the_id() {
    let value = json!({"@graph": [
        {"@type": "Article", "headline": "A", "author": {"@id": "#ada"}, "publisher": {"@id": "#press", "@type": "Organization"}},
        {"@type": "Person", "@id": "#ada", "givenName": "Ada", "familyName": "Quill"},
        {"@type": "Organization", "@id": "#press", "name": "The Quay Bell"},
        {"@id": "#loop", "mainEntity": {"@id": "#loop"}},
    ]});
    let article = article(&value);
    assert_eq!(article.authors, ["Ada Quill"]);
    assert_eq!(article.publication.as_deref(), Some("The Quay Bell"));
    assert!(article_in(&json!({"@id": "#loop", "mainEntity": {"@id": "#loop"}})).is_none());
}

#[test]
fn properties_are_read_in_all_their_forms() {
    let with = |key: &str, value: Value| {
        let mut node = json!({"@context": {"@language": "de"}, "@type": "Article", "headline": "A"});
        node[key] = value;
        article(&node)
    };
    assert_eq!(with("author", json!("Ada Quill")).authors, ["Ada Quill"]);
    assert_eq!(
        with("author", json!(["Ada Quill", {"name": "Bo Finch"}, "Ada Quill"])).authors,
        ["Ada Quill", "Bo Finch"]
    );
    assert_eq!(with("creator", json!({"name": "Ada Quill"})).authors, ["Ada Quill"]);
    let addressed = with("author", json!("https://social.example/ada"));
    assert!(addressed.authors.is_empty() && addressed.guesses[0].value.contains("social.example"), "{addressed:?}");
    assert_eq!(with("keywords", json!(["a, b", {"@type": "DefinedTerm", "name": "c"}])).keywords, ["a, b", "c"]);
    assert_eq!(with("inLanguage", json!({"name": "English", "alternateName": "en"})).language, "en");
    assert_eq!(with("x", json!(1)).language, "de");
    let named = with("inLanguage", json!("English"));
    assert_eq!((named.language.as_str(), named.guesses[0].what.as_str()), ("", "ignored"));
    for (url, urls) in [
        (json!("https://a.example/b"), &["https://a.example/b"][..]),
        (json!(["https://a.example/b", "https://a.example/c"]), &["https://a.example/b"]),
        (json!("/b"), &[]),
        (json!("https://a.example/"), &[]),
        (json!("https://a.example/b#article"), &[]),
    ] {
        assert_eq!(with("url", url.clone()).urls, urls, "{url}");
    }
    assert_eq!(with("mainEntityOfPage", json!("https://a.example/b")).urls, ["https://a.example/b"]);
    assert!(with("mainEntityOfPage", json!(true)).urls.is_empty());
    assert_eq!(
        with("license", json!({"@type": "CreativeWork", "url": "https://a.example/l"})).rights,
        "https://a.example/l"
    );
    let dated = with("datePublished", json!("8 November 2025 at noon"));
    assert_eq!(times::describe(dated.publish_time.as_ref().unwrap()), "8 November 2025");
    assert!(dated.guesses[0].why.contains("not fully understood"));
    assert_eq!(with("datePublished", json!(null)).publish_time, None);
    assert_eq!(lines(&with("articleBody", json!(["<p>One</p>"])).body), ["p One"]);
}

#[test]
fn a_live_blog_has_its_updates() {
    let value = json!({"@type": "LiveBlogPosting", "headline": "Ferry: live", "articleBody": "It sails.", "liveBlogUpdate": [
        {"@type": "BlogPosting", "headline": "18.30", "articleBody": "<p>It docked.</p>"},
        {"@type": "BlogPosting", "text": "It left."},
    ]});
    assert_eq!(lines(&article(&value).body), ["p It sails.", "x 18.30", "p It docked.", "p It left."]);
}

#[test]
fn errors_say_what_the_document_has_instead_of_an_article() {
    let refused = |text: &str| read(text).unwrap_err().to_string();
    assert_eq!(
        refused(r#"{"@graph": [{"@type": "WebPage"}, {"@type": ["Organization", "WebPage"]}]}"#),
        "no article found: the JSON-LD only has the types WebPage, Organization"
    );
    assert_eq!(refused(r#"{"@graph": []}"#), "no article found: the JSON-LD has no node with a type");
    assert_eq!(
        refused(r#"{"@type": "Article", "articleBody": "x"}"#),
        "no headline: the Article has neither `headline` nor `name`"
    );
    assert_eq!(refused("{\"@type\": Article}"), "line 1, column 11: expected value");
    let brief = read(r#"{"@type": "Article", "headline": "A", "description": "B"}"#).unwrap();
    assert!(brief.content.blocks.is_empty());
    assert_eq!(
        brief.guesses[1].to_string(),
        "body: none (there is no `articleBody`; only the other properties are archived)"
    );
}

#[test]
fn comments_trailing_commas_and_line_breaks_in_scripts_are_tolerated() {
    let script = "//<![CDATA[\n{\"@type\": \"Article\", \"headline\": \"A\nB\", \"author\": [\"Ada Quill\",],}\n//]]>";
    let article = article_in(&json::parse(script).unwrap()).unwrap();
    assert_eq!((article.headline.as_str(), article.authors), ("A B", vec!["Ada Quill".to_owned()]));
}

/// Values that properties do not normally have.
fn odd() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,20}|<p>|&#x110000;|https?://[a-z./]{0,8}|20[0-9]{2}-[0-9]{2}".prop_map(Value::from),
    ];
    nested(leaf, &["@id", "@type", "@graph", "@value", "name", "url", "caption", "mainEntity", "headline"])
}

proptest! {
    #[test]
    fn no_values_panic(values in prop::collection::vec(odd(), 42), root in odd()) {
        let keys = ["headline", "author", "image", "datePublished", "url", "inLanguage", "articleBody", "liveBlogUpdate", "keywords",
            "mainEntityOfPage", "license", "publisher", "@id", "@context", "copyrightYear", "isAccessibleForFree"];
        let mut node: serde_json::Map<String, Value> = keys.iter().map(|key| (*key).to_owned()).zip(values).collect();
        node.insert("@type".to_owned(), json!("Article"));
        for value in [Value::Object(node), root] {
            let options = Options { format: Some(Format::NewsArticle), ..Options::default() };
            if let Ok(document) = crate::ingest::read(value.to_string().as_bytes(), &options) {
                prop_assert!(!document.content.headline.is_empty());
            }
        }
    }
}
