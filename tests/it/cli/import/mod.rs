//! `import`: whole collections, including what is wrong in them.

mod git;
mod interrupted;
mod lines;
pub(super) mod web_archive;

use serde_json::{Value, json};

use super::{Cli, json_lines};

impl Cli {
    /// All changes in order, without what differs from archive to archive.
    fn changes(&self) -> Vec<Value> {
        let told = self.ok(&["watch", "--from", "beginning", "--until-caught-up", "--json"]);
        let is_change = |line: &Value| line["bookmark"].is_null();
        json_lines(&told).into_iter().filter(is_change).map(without_archive).collect()
    }

    /// The revisions of an article, oldest first, as `{headline} {observe time}`.
    fn revisions(&self, article: &str) -> Vec<String> {
        let told = self.ok(&["log", article, "--oldest-first", "--json"]);
        let line = |revision: Value| {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            format!("{} {}", text(&revision["revision"]["content"]["headline"]), text(&revision["firstSeenTime"]))
        };
        json_lines(&told).into_iter().map(line).collect()
    }
}

/// A message without archive times and tokens.
fn without_archive(mut message: Value) -> Value {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                let own = ["archiveTime", "stateArchiveTime", "resumeToken", "etag"];
                fields.retain(|name, _| !own.contains(&name.as_str()));
                fields.values_mut().for_each(strip);
            }
            Value::Array(items) => items.iter_mut().for_each(strip),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    strip(&mut message);
    message
}

/// A line with an observation at `minute` minutes past ten.
fn observation(article: &str, minute: u32, headline: &str) -> String {
    json!({
        "record": {
            "parent": "sources/press",
            "articleId": article,
            "content": { "headline": headline, "blocks": [{ "paragraph": { "text": format!("{headline}, it is said.") } }] },
            "observeTime": format!("2025-11-08T10:{minute:02}:00Z"),
        }
    })
    .to_string()
}

fn mark(kind: &str, article: &str, minute: u32) -> String {
    json!({
        kind: {
            "name": format!("sources/press/articles/{article}"),
            "observeTime": format!("2025-11-08T10:{minute:02}:00Z"),
        }
    })
    .to_string()
}
