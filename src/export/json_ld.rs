//! schema.org's NewsArticle, as JSON-LD.
//! Source: <https://schema.org/NewsArticle>.
//!
//! The body is XHTML in `articleBody`, which keeps its blocks apart. Besides what [`super::markup`] loses, this format
//! loses: labels; the words from which a time was read, and that they were relative; fields such as the headline that
//! contain markup, character references, or white space other than single spaces; a standfirst equal to the headline; a
//! single keyword with a comma; an author that is a URL; and a canonical URL that has a fragment or is a site's front
//! page.

use serde_json::{Map, Value, json};

use super::{Item, markup, pretty, web_url};
use crate::model::{BlockKind, ClaimedTime};

pub(super) fn write(item: &Item) -> String {
    let content = &item.content;
    let persons = content.bylines.iter().map(|name| json!({"@type": "Person", "name": name}));
    let mut node = Map::new();
    let mut put = |key: &str, value: Value| {
        let is_empty = match &value {
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.is_empty(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.is_null(),
        };
        if !is_empty {
            node.insert(key.to_owned(), value);
        }
    };
    put("@context", json!("https://schema.org"));
    put("@type", json!("NewsArticle"));
    put("headline", json!(content.headline));
    put("description", json!(content.standfirst));
    put("author", persons.collect());
    put("articleSection", json!(content.section));
    put("inLanguage", json!(content.language));
    put("url", json!(web_url(&content.canonical_url).and(Some(&content.canonical_url))));
    put("sameAs", item.other_urls().filter(|url| web_url(url).is_some()).collect());
    put("datePublished", json!(content.publish_time.as_ref().map(ClaimedTime::iso)));
    put("dateModified", json!(content.modify_time.as_ref().map(ClaimedTime::iso)));
    put("keywords", json!(content.keywords));
    put("copyrightNotice", json!(content.rights));
    put("image", pictures(item));
    put("articleBody", json!(markup::body(&content.blocks)));
    put("wordCount", json!(content.word_count()));
    put("publisher", json!({"@type": "Organization", "name": item.article.source.as_str()}));
    put("identifier", identifiers(item));
    put("version", json!(item.revision.get()));
    put("sdDatePublished", json!(item.archive_time.to_string()));
    put("creativeWorkStatus", json!(item.withdrawn.as_ref().map(|_| "Withdrawn")));
    // The document is meant for a `<script>` element, so it must neither close that element nor open a comment.
    pretty(&Value::Object(node)).replace("</", "\\u003c/").replace("<!", "\\u003c!")
}

fn pictures(item: &Item) -> Value {
    let url =
        |kind: &BlockKind| if let BlockKind::Caption { image_url, .. } = kind { web_url(image_url) } else { None };
    item.content.blocks.iter().filter_map(|block| url(&block.kind)).map(Value::String).collect()
}

/// The revision's name in the archive and its content digest.
fn identifiers(item: &Item) -> Value {
    json!([
        {"@type": "PropertyValue", "propertyID": "dateline revision", "value": item.revision_name()},
        {"@type": "PropertyValue", "propertyID": "dateline content digest", "value": item.digest_hex()},
    ])
}
