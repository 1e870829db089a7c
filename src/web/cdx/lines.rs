//! Lines of the index of captures, and the formats of a response.

use axum::body::Body;
use data_encoding::HEXLOWER;
use http::{HeaderValue, Response};
use serde_json::{Value, json};
use url::Url;

use super::parameters::{Output, Parameters, resume_key};
use crate::archive::read::capture_index::{IndexPlace, IndexedCapture};
use crate::model::Timestamp;
use crate::model::url_key::without_credentials;
use crate::web::memento::time;
use crate::web::respond;

/// The fields of a line, in the order in which they are written.
pub(super) const FIELDS: [&str; 7] = ["urlkey", "timestamp", "original", "mimetype", "statuscode", "digest", "length"];
/// What a field without a value has.
const NOTHING: &str = "-";

/// A capture as a line of the index.
pub(super) struct Line {
    pub(super) at: Timestamp,
    /// The values of [`FIELDS`]. None of them has white space.
    values: [String; FIELDS.len()],
}

impl Line {
    pub(super) fn of(item: &IndexedCapture) -> Self {
        let at = item.capture.observe_time;
        let record = item.created_by.entry.new_revision.as_deref();
        let is_destroyed = item.created_by.entry.expunged.is_some();
        let original = record.and_then(|record| record.original.as_ref()).filter(|_| !is_destroyed);
        let media_type = original.map_or("text/html", |original| original.media_type.as_str());
        let digest = record.filter(|_| !is_destroyed).map(|record| HEXLOWER.encode(&record.digest.0));
        let status = match (is_destroyed, item.capture.is_sighting) {
            (true, _) => "410",
            (false, true) => NOTHING,
            (false, false) => "200",
        };
        let values = [
            item.key.as_str().to_owned(),
            time::digits(at),
            Url::parse(&without_credentials(&item.url)).map_or_else(|_| item.key.to_url(), String::from),
            if item.capture.is_sighting { "warc/revisit".to_owned() } else { mime(media_type).to_owned() },
            status.to_owned(),
            digest.unwrap_or_else(|| NOTHING.to_owned()),
            original.map_or_else(|| NOTHING.to_owned(), |original| original.size_bytes.to_string()),
        ];
        Self { at, values }
    }

    /// The value of a field of [`FIELDS`].
    pub(super) fn field(&self, name: &str) -> &str {
        let mut fields = FIELDS.iter().zip(&self.values);
        fields.find(|(field, _)| **field == name).map_or(NOTHING, |(_, value)| value)
    }
}

/// A media type without its parameters, or `unk` if it cannot be part of a line.
fn mime(media_type: &str) -> &str {
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    let is_plain = !essence.is_empty() && essence.bytes().all(|byte| byte.is_ascii_graphic());
    if is_plain { essence } else { "unk" }
}

/// A response with these lines, and with the place where the index continues if that is asked for.
pub(super) fn response(parameters: &Parameters, lines: &[Line], next: Option<&IndexPlace>) -> Response<Body> {
    let fields = &parameters.fields;
    let values = |line: &Line| fields.iter().map(|field| line.field(field).to_owned()).collect::<Vec<_>>();
    let next = next.filter(|_| parameters.shows_resume_key);
    let next = next.map(resume_key);
    let (media_type, text) = match parameters.output {
        Output::Text => {
            let mut text: String = lines.iter().map(|line| format!("{}\n", values(line).join(" "))).collect();
            text.extend(next.map(|next| format!("\n{next}\n")));
            ("text/plain; charset=utf-8", text)
        }
        Output::Json => {
            let head = (!lines.is_empty() || next.is_some()).then(|| json!(fields));
            let lines = lines.iter().map(|line| json!(values(line)));
            let next = next.into_iter().flat_map(|next| [json!([]), json!([next])]);
            let rows: Vec<String> = head.into_iter().chain(lines).chain(next).map(|row| row.to_string()).collect();
            ("application/json", format!("[{}]\n", rows.join(",\n")))
        }
        Output::Cdxj => {
            let line = |line: &Line| {
                let own = |name: &&&str| !["urlkey", "timestamp"].contains(*name);
                let values =
                    fields.iter().filter(own).map(|name| (cdxj_name(name).to_owned(), line.field(name).into()));
                let values: serde_json::Map<String, Value> = values.collect();
                format!("{} {} {}\n", line.field("urlkey"), line.field("timestamp"), Value::from(values))
            };
            let mut text: String = lines.iter().map(line).collect();
            text.extend(next.map(|next| format!("\n{next}\n")));
            ("application/cdxj; charset=utf-8", text)
        }
    };
    respond::bytes(HeaderValue::from_static(media_type), text)
}

/// The names that CDXJ has for fields of CDX.
fn cdxj_name(field: &str) -> &str {
    match field {
        "original" => "url",
        "mimetype" => "mime",
        "statuscode" => "status",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_media_type_cannot_add_a_field() {
        assert_eq!(mime("text/html; charset=utf-8"), "text/html");
        for hostile in ["", "text/html x", "a\nb", ";", "ü/x"] {
            assert_eq!(mime(hostile), "unk", "{hostile:?}");
        }
    }
}
