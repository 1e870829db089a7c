//! TimeMaps: the captures of a page, oldest first, in three formats.
//!
//! - `link`: the format of RFC 7089, section 5.
//! - `json`, `cdxj`: those of MemGator, <https://github.com/oduwsdl/MemGator>.
//!
//! A TimeMap has at most 10,000 captures, and names the next one.

use axum::body::Body;
use http::{HeaderValue, Response};
use serde_json::json;

use super::address::{Format, Original};
use super::{newest, no_capture, time};
use crate::access::Permission;
use crate::archive::read::captures::{CaptureOrder, CaptureQuery};
use crate::model::Timestamp;
use crate::web::problem::Problem;
use crate::web::visit::Visit;
use crate::web::{Site, respond};

/// The most captures on a page.
const CAPTURES_MAX: usize = 10_000;
/// The approximate most bytes of a page. Each capture repeats the address of the page.
const BYTES_MAX: usize = 4 << 20;
/// The approximate bytes of a capture besides its address.
const CAPTURE_BYTES: usize = 160;

/// A page of a TimeMap.
struct TimeMap<'a> {
    site: &'a Site,
    original: &'a Original,
    from: Option<Timestamp>,
    captures: Vec<Listed>,
    next: Option<Timestamp>,
}

/// A capture in a TimeMap.
struct Listed {
    at: Timestamp,
    address: String,
    /// `memento`, with `first` and `last`.
    relation: String,
}

pub(super) async fn show(
    site: &Site,
    visit: &Visit,
    format: Format,
    from: Option<Timestamp>,
    original: &Original,
) -> Result<Response<Body>, Problem> {
    let capture_bytes = original.url().len() + site.origin.as_str().len() + CAPTURE_BYTES;
    let query = CaptureQuery {
        within: visit.caller.scope(Permission::Read),
        from: from.unwrap_or(Timestamp::MIN),
        until: Timestamp::MAX,
        order: CaptureOrder::OldestFirst,
        captures_max: (BYTES_MAX / capture_bytes).clamp(1, CAPTURES_MAX),
    };
    let found = site.reads.archive().captures(newest(site).await?, original.key.clone(), query).await?;
    if found.items.is_empty() && found.next.is_none() {
        return Err(no_capture(original));
    }
    let count = found.items.len();
    let listed = found.items.iter().enumerate().map(|(place, capture)| {
        let first = if place == 0 && from.is_none() { "first " } else { "" };
        let last = if place + 1 == count && found.next.is_none() { "last " } else { "" };
        let at = capture.observe_time;
        Listed { at, address: original.capture(site, at), relation: format!("{first}{last}memento") }
    });
    let map = TimeMap { site, original, from, captures: listed.collect(), next: found.next };
    let text = match format {
        Format::Link => map.links(),
        Format::Json => map.json(),
        Format::Cdxj => map.cdxj(),
    };
    let mut response = respond::bytes(HeaderValue::from_static(format.media_type()), text);
    visit.mark(response.headers_mut());
    Ok(response)
}

impl TimeMap<'_> {
    fn address(&self, format: Format, from: Option<Timestamp>) -> String {
        self.original.time_map(self.site, format, from)
    }

    fn links(&self) -> String {
        let date = |listed: &Listed| time::http_date(listed.at);
        let format = Format::Link;
        let mut own = format!("<{}>; rel=\"self\"; type=\"{}\"", self.address(format, self.from), format.media_type());
        if let (Some(first), Some(last)) = (self.captures.first(), self.captures.last()) {
            own.push_str(&format!("; from=\"{}\"; until=\"{}\"", date(first), date(last)));
        }
        let mut links = vec![
            format!("<{}>; rel=\"original\"", self.original.url()),
            own,
            format!("<{}>; rel=\"timegate\"", self.original.gate(self.site)),
        ];
        links.extend(self.next.map(|next| {
            let (address, from) = (self.address(format, Some(next)), time::http_date(next));
            format!("<{address}>; rel=\"timemap\"; type=\"{}\"; from=\"{from}\"", format.media_type())
        }));
        links.extend(
            self.captures.iter().map(|listed| {
                format!("<{}>; rel=\"{}\"; datetime=\"{}\"", listed.address, listed.relation, date(listed))
            }),
        );
        format!("{}\n", links.join(",\n"))
    }

    fn json(&self) -> String {
        let memento = |listed: &Listed| json!({ "datetime": iso(listed.at), "uri": listed.address });
        let mut mementos = serde_json::Map::new();
        mementos.insert("list".to_owned(), self.captures.iter().map(memento).collect());
        let ends = [("first", self.captures.first()), ("last", self.captures.last())];
        for (name, listed) in ends {
            if let Some(listed) = listed.filter(|listed| listed.relation.contains(name)) {
                mementos.insert(name.to_owned(), memento(listed));
            }
        }
        let mut map = json!({
            "original_uri": self.original.url(),
            "self": self.address(Format::Json, self.from),
            "timegate_uri": self.original.gate(self.site),
            "timemap_uri": self.maps(),
            "mementos": mementos,
        });
        if let (Some(next), Some(map)) = (self.next, map.as_object_mut()) {
            let next = json!({ "next": { "from": iso(next), "uri": self.address(Format::Json, Some(next)) } });
            map.insert("pages".to_owned(), next);
        }
        format!("{map:#}\n")
    }

    fn cdxj(&self) -> String {
        let mut lines = vec![
            "!context [\"https://www.rfc-editor.org/rfc/rfc7089\"]".to_owned(),
            format!("!id {}", json!({ "uri": self.address(Format::Cdxj, self.from) })),
            "!keys [\"memento_datetime_YYYYMMDDhhmmss\"]".to_owned(),
            format!("!meta {}", json!({ "original_uri": self.original.url() })),
            format!("!meta {}", json!({ "timegate_uri": self.original.gate(self.site) })),
            format!("!meta {}", json!({ "timemap_uri": self.maps() })),
        ];
        lines.extend(self.next.map(|next| {
            let next = json!({ "from": iso(next), "uri": self.address(Format::Cdxj, Some(next)) });
            format!("!meta {}", json!({ "pages": { "next": next } }))
        }));
        lines.extend(self.captures.iter().map(|listed| {
            let capture =
                json!({ "uri": listed.address, "rel": listed.relation, "datetime": time::http_date(listed.at) });
            format!("{} {capture}", time::digits(listed.at))
        }));
        format!("{}\n", lines.join("\n"))
    }

    /// The addresses of this list in all formats.
    fn maps(&self) -> serde_json::Value {
        let addresses = Format::ALL.map(|format| (format!("{}_format", format.name()), self.address(format, None)));
        addresses.into_iter().map(|(name, address)| (name, address.into())).collect::<serde_json::Map<_, _>>().into()
    }
}

/// An instant to the second: `2026-05-01T09:30:00Z`.
fn iso(at: Timestamp) -> String {
    at.to_jiff().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
