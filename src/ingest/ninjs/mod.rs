//! Reads IPTC ninjs (News in JSON), versions 1, 2 and 3.
//!
//! Source: <https://iptc.org/std/ninjs/>, the schemas `ninjs-schema_1.4.json`, `…_2.1.json` and `…_3.1.json`.
//!
//! | | 1 | 2 | 3 |
//! | --- | --- | --- | --- |
//! | names | `versioncreated` | `versioncreated` | `versionCreated` |
//! | headlines, bodies, descriptions | `headline`, `body_xhtml`, `description_text` | `headlines` … with role and content type | as in 2 |
//! | author | `byline` | `by` | `by` |
//! | subjects, sources | `subject`, `infosource` | `subjects`, `infosources` | `subjects`, `infoSources` |
//! | associations, renditions | objects by name | arrays with names | as in 2 |
//!
//! Names are therefore compared without regard to case, and each property is looked up under all of its names. The
//! version that an item states is ignored.

mod document;
mod item;
mod pictures;
mod texts;

use serde_json::Value;

use super::{Document, IngestError, json};
use item::NinjsObject;

/// Properties, in lower case. An object with `uri` and one of these is a ninjs item.
const ITEM_PROPERTIES: [&str; 16] = [
    "altids",
    "associations",
    "bodies",
    "byline",
    "contentcreated",
    "firstcreated",
    "headlines",
    "infosources",
    "pubstatus",
    "representationtype",
    "standard",
    "$standard",
    "type",
    "urgency",
    "versioncreated",
    "body_text",
];

/// Whether an object with these field names is a ninjs item.
pub(super) fn is_item(names: &[String]) -> bool {
    let names: Vec<String> = names.iter().map(|name| name.to_ascii_lowercase()).collect();
    let is_typical = |name: &String| ITEM_PROPERTIES.contains(&name.as_str()) || name.starts_with("body_");
    names.iter().any(|name| name == "uri") && names.iter().any(is_typical)
}

/// Reads a file with one item.
pub(super) fn read(text: &str) -> Result<Document, IngestError> {
    let value = json::parse(text)?;
    let Value::Object(fields) = &value else {
        let reason = "a ninjs item is a JSON object; give each item in a file of its own".to_owned();
        return Err(IngestError::NoArticle { reason });
    };
    let item = NinjsObject::of(fields);
    check(&item)?;
    document::of(&item)
}

/// Rejects items that must not be published, and items that are not articles.
fn check(item: &NinjsObject<'_>) -> Result<(), IngestError> {
    let status = item.text(&["pubStatus"]).to_ascii_lowercase();
    match status.as_str() {
        "withheld" => return Err(IngestError::NotPublished { status: "withheld" }),
        "canceled" | "cancelled" => return Err(IngestError::NotPublished { status: "canceled" }),
        _ => {}
    }
    match item.kind().as_str() {
        kind @ ("event" | "planning") => {
            let reason = format!("the item has the type `{kind}`, which announces a plan and is not an article");
            Err(IngestError::NoArticle { reason })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
