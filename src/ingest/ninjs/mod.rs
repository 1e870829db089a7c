//! IPTC ninjs: News in JSON, versions 1, 2 and 3.
//! Source: <https://iptc.org/std/ninjs/>, the schemas `ninjs-schema_1.4.json`, `…_2.1.json` and `…_3.1.json`.
//!
//! | | 1 | 2 | 3 |
//! | --- | --- | --- | --- |
//! | names | `versioncreated` | `versioncreated` | `versionCreated` |
//! | headlines, bodies, descriptions | `headline`, `body_xhtml`, `description_text` | `headlines` … with role and content type | as 2 |
//! | author | `byline` | `by` | `by` |
//! | subjects, sources | `subject`, `infosource` | `subjects`, `infosources` | `subjects`, `infoSources` |
//! | associations, renditions | objects by name | arrays with names | as 2 |
//!
//! Names are therefore compared without their case, and each property is looked for under all of its names; the
//! version that an item says it has doesn't matter.

mod document;
mod item;
mod pictures;
mod texts;

use serde_json::Value;

use super::{Document, IngestError, json};
use item::Item;

/// Properties by which, beside `uri`, an item of ninjs is known.
const MARKS: [&str; 16] = [
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

/// Whether an object with fields of these names is an item of ninjs.
pub(super) fn is_item(names: &[String]) -> bool {
    let names: Vec<String> = names.iter().map(|name| name.to_ascii_lowercase()).collect();
    let is_mark = |name: &String| MARKS.contains(&name.as_str()) || name.starts_with("body_");
    names.iter().any(|name| name == "uri") && names.iter().any(is_mark)
}

/// Reads an item.
pub(super) fn read(text: &str) -> Result<Document, IngestError> {
    let value = json::parse(text)?;
    let Value::Object(fields) = &value else {
        let reason = "an item of ninjs is a JSON object; give each item in a file of its own".to_owned();
        return Err(IngestError::NoArticle { reason });
    };
    let item = Item::of(fields);
    check(&item)?;
    document::of(&item)
}

/// Refuses what is not to be published, and what is no article.
fn check(item: &Item<'_>) -> Result<(), IngestError> {
    let status = item.text(&["pubStatus"]).to_ascii_lowercase();
    match status.as_str() {
        "withheld" => return Err(IngestError::NotPublished { status: "withheld" }),
        "canceled" | "cancelled" => return Err(IngestError::NotPublished { status: "canceled" }),
        _ => {}
    }
    match item.kind().as_str() {
        kind @ ("event" | "planning") => {
            let reason = format!("the item is of the type `{kind}`, which is planned and not written");
            Err(IngestError::NoArticle { reason })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
