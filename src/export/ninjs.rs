//! IPTC ninjs: News in JSON, version 3.1.
//! Source: <https://iptc.org/std/ninjs/>, the schema `ninjs-schema_3.1.json`.
//!
//! Besides what [`super::markup`] loses, this format loses: the section and labels; claimed times that are not
//! instants; a modify time equal to the publish time; the words from which a time was read, and that they were
//! relative; fields such as the headline that contain markup, character references, or white space other than single
//! spaces; and repeated keywords and authors. A canonical URL that is not a valid URI is normalised. One author becomes
//! `by`, several become `people`.

use serde_json::{Map, Value, json};

use super::{Item, markup, pretty, web_url};
use crate::model::{ClaimedTime, Precision};

/// The JSON schema that the documents conform to.
const SCHEMA: &str = "http://www.iptc.org/std/ninjs/ninjs-schema_3.1.json#";

pub(super) fn write(item: &Item) -> String {
    let content = &item.content;
    let (published, modified) = (instant(content.publish_time.as_ref()), instant(content.modify_time.as_ref()));
    let mut fields = Map::new();
    let mut put = |key: &str, value: Value| {
        fields.insert(key.to_owned(), value);
    };
    put("standard", json!({"name": "ninjs", "version": "3.1", "schema": SCHEMA}));
    put("uri", json!(uri(item)));
    put("type", json!("text"));
    put("representationType", json!("full"));
    put("pubStatus", json!(if item.withdrawn.is_some() { "canceled" } else { "usable" }));
    // Programs that read ninjs take the `versionCreated` of a first version as its publish time. So no version number
    // is written if only the modify time is known.
    if published.is_some() || modified.is_none() {
        put("version", json!(item.revision.to_string()));
    }
    let times = [("firstCreated", published), ("versionCreated", modified)];
    times.into_iter().for_each(|(key, time)| time.into_iter().for_each(|time| put(key, json!(time))));
    put("headlines", json!([{"role": "main", "value": content.headline}]));
    if !content.standfirst.is_empty() {
        put("descriptions", json!([{"role": "summary", "value": content.standfirst}]));
    }
    match content.bylines.as_slice() {
        [] => {}
        [author] => put("by", json!(author)),
        authors => {
            let people = authors.iter().map(|name| json!({"name": name, "rel": "author"}));
            put("people", people.collect());
        }
    }
    if !content.language.is_empty() {
        put("language", json!(content.language));
    }
    if !content.keywords.is_empty() {
        put("subjects", content.keywords.iter().map(|name| json!({"name": name})).collect());
    }
    if !content.rights.is_empty() {
        put("copyrightNotice", json!(content.rights));
    }
    if !content.blocks.is_empty() {
        let body = markup::body(&content.blocks);
        let words = content.word_count();
        put(
            "bodies",
            json!([{"role": "main", "contentType": "application/xhtml+xml", "wordCount": words, "value": body}]),
        );
    }
    put("infoSources", json!([{"name": item.article.source.as_str(), "role": "publisher"}]));
    put("altIds", alternative_ids(item));
    pretty(&Value::Object(fields))
}

/// The URI of the article: its canonical URL unchanged if that is a valid URI, otherwise the normalised URL if it has
/// one, otherwise the article's name in the archive.
fn uri(item: &Item) -> String {
    let canonical = &item.content.canonical_url;
    let spellings = web_url(canonical).map(|normalised| [canonical.clone(), normalised]);
    let uri = spellings.into_iter().flatten().find(|spelling| is_uri(spelling));
    uri.unwrap_or_else(|| format!("dateline:{}", item.article))
}

/// Whether a URL has only characters that are valid in a URI (RFC 3986).
fn is_uri(address: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte);
    let is_escape = |escape: &str| escape.get(..2).is_some_and(|digits| digits.bytes().all(|c| c.is_ascii_hexdigit()));
    address.bytes().all(is_allowed) && address.split('%').skip(1).all(is_escape)
}

/// Formats a claimed time if it is an instant; ninjs has no less precise times.
fn instant(claim: Option<&ClaimedTime>) -> Option<String> {
    claim.filter(|claim| claim.precision == Precision::Instant).map(ClaimedTime::iso)
}

fn alternative_ids(item: &Item) -> Value {
    let own = [("dateline revision", item.revision_name()), ("dateline content digest", item.digest_hex())];
    let urls = item.other_urls().map(|url| ("url", url.to_owned()));
    own.into_iter().chain(urls).map(|(role, value)| json!({"role": role, "value": value})).collect()
}
