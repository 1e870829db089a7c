//! schema.org's NewsArticle, as JSON-LD.
//! Source: <https://schema.org/NewsArticle>.
//!
//! The body is XHTML in `articleBody`, so that its blocks stay apart. Beside what [`super::markup`] can't hold, it can't
//! hold labels; the words from which a time was read, and that they were relative; a headline or another field that has
//! markup, character references, or other white space than single spaces; a standfirst that is the headline again; a single
//! keyword with a comma; an author who is an address; and a canonical URL that has a fragment or is a site's front page.

use serde_json::{Map, Value, json};

use super::{Item, iso, markup, pretty, web_url};
use crate::model::BlockKind;

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
    put("datePublished", json!(content.publish_time.as_ref().map(iso)));
    put("dateModified", json!(content.modify_time.as_ref().map(iso)));
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
    // Within a page's `<script>`, where it belongs, it must neither end that nor begin a comment.
    pretty(&Value::Object(node)).replace("</", "\\u003c/").replace("<!", "\\u003c!")
}

fn pictures(item: &Item) -> Value {
    let url =
        |kind: &BlockKind| if let BlockKind::Caption { figure_url, .. } = kind { web_url(figure_url) } else { None };
    item.content.blocks.iter().filter_map(|block| url(&block.kind)).map(Value::String).collect()
}

/// What it is in the archive, and the proof of what it says.
fn identifiers(item: &Item) -> Value {
    json!([
        {"@type": "PropertyValue", "propertyID": "dateline revision", "value": item.revision_name()},
        {"@type": "PropertyValue", "propertyID": "dateline content digest", "value": item.digest_hex()},
    ])
}
