//! The past of the web by the addresses that its pages had: the Memento framework (RFC 7089), at the addresses that the
//! Wayback Machine uses.
//!
//! | address | what it is |
//! | --- | --- |
//! | `/web/{url}` | the TimeGate: redirects to the capture that fits `Accept-Datetime` |
//! | `/web/{digits}/{url}` | a memento: what the page said at that time |
//! | `/web/{digits}id_/{url}` | its original, byte for byte |
//! | `/web/*/{url}` | the calendar |
//! | `/web/timemap/{format}/{url}` | the TimeMap: all captures |
//!
//! A capture is a look at the page that found an article there ([`crate::archive::read::captures`]). Its time is the
//! observe time, to the second. For a time, that is the last capture at or before it, and before the first capture the first.

mod address;
pub(super) mod time;
mod timemap;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use http::header::{LINK, VARY};
use http::{HeaderMap, HeaderName, HeaderValue, Response};

pub(super) use self::address::Original;
use self::address::{Format, Wanted};
use super::paths::path_of;
use super::problem::Problem;
use super::visit::Visit;
use super::{Site, pages, respond};
use crate::access::Permission;
use crate::archive::read::captures::{Capture, CapturesAround};
use crate::archive::read::point::ReadPoint;
use crate::model::{AsOf, KnownAt, Seq, Timestamp};

/// The beginning of all addresses here. What follows is not ours, so an end such as `.json` has no meaning.
pub(super) const ROOT: &str = "/web/";

const ACCEPT_DATETIME: HeaderName = HeaderName::from_static("accept-datetime");
const MEMENTO_DATETIME: HeaderName = HeaderName::from_static("memento-datetime");

pub(super) async fn show(
    State(site): State<Arc<Site>>,
    headers: HeaderMap,
    visit: Visit,
) -> Result<Response<Body>, Problem> {
    let path = visit.path.strip_prefix(ROOT).ok_or_else(Problem::not_found)?;
    match Wanted::parse(path, &visit.query)? {
        Wanted::Gate(original) => gate(&site, &visit, &headers, &original).await,
        Wanted::Capture { digits, at, is_raw, original } => {
            let around = around(&site, &visit, &original, at).await?;
            let exact = time::digits(around.nearest.observe_time);
            if digits != exact {
                let flag = if is_raw { "id_" } else { "" };
                return Ok(respond::redirect(&format!("{ROOT}{exact}{flag}/{}", original.url())));
            }
            let Capture { article, revision, observe_time, .. } = &around.nearest;
            let response = match is_raw {
                true => pages::original::read(&site, &visit, article, *revision).await?,
                false => pages::revision::page(&site, &visit, article, *revision, Some(*observe_time)).await?,
            };
            Ok(as_memento(&site, response, &original, &around))
        }
        Wanted::Calendar { year, original } => {
            let article = around(&site, &visit, &original, Timestamp::MAX).await?.last.article;
            let year = year.map(|year| format!("/{}", year.trim_start_matches('0'))).unwrap_or_default();
            Ok(respond::redirect(&format!("{}/calendar{year}", path_of(&article))))
        }
        Wanted::TimeMap { format, from, original } => timemap::show(&site, &visit, format, from, &original).await,
    }
}

/// Redirects to the capture at the time that the client accepts, or to the last one.
async fn gate(site: &Site, visit: &Visit, headers: &HeaderMap, original: &Original) -> Result<Response<Body>, Problem> {
    let at = match headers.get(ACCEPT_DATETIME).map(|value| value.to_str().unwrap_or_default()) {
        None => Timestamp::MAX,
        Some(text) => time::from_http_date(text).ok_or_else(|| {
            Problem::malformed("Accept-Datetime must be an HTTP date, such as Fri, 01 May 2026 09:30:00 GMT.")
        })?,
    };
    let around = around(site, visit, original, at).await?;
    let mut response =
        respond::redirect(&format!("{ROOT}{}/{}", time::digits(around.nearest.observe_time), original.url()));
    response.headers_mut().insert(VARY, HeaderValue::from(ACCEPT_DATETIME));
    Ok(with_links(site, response, original, &around))
}

/// Marks a response as the state of a page at a time.
fn as_memento(
    site: &Site,
    mut response: Response<Body>,
    original: &Original,
    around: &CapturesAround,
) -> Response<Body> {
    let time = time::http_date(around.nearest.observe_time);
    if let Ok(time) = HeaderValue::try_from(time) {
        response.headers_mut().insert(MEMENTO_DATETIME, time);
    }
    with_links(site, response, original, around)
}

/// Names the page, and where its other states are (RFC 7089, section 2.2).
fn with_links(
    site: &Site,
    mut response: Response<Body>,
    original: &Original,
    around: &CapturesAround,
) -> Response<Body> {
    let mut links =
        vec![format!("<{}>; rel=\"original\"", original.url()), format!("<{}>; rel=\"timegate\"", original.gate(site))];
    links.extend(Format::ALL.map(|format| {
        format!("<{}>; rel=\"timemap\"; type=\"{}\"", original.time_map(site, format, None), format.media_type())
    }));
    let CapturesAround { nearest, previous, next, first, last } = around;
    // One capture may be several of these.
    let mut named: Vec<(&Capture, String)> = Vec::new();
    let all = [
        ("first", Some(first)),
        ("prev", previous.as_ref()),
        ("", Some(nearest)),
        ("next", next.as_ref()),
        ("last", Some(last)),
    ];
    for (relation, capture) in all {
        let Some(capture) = capture else { continue };
        let known = named.iter_mut().find(|(known, _)| known.observe_time == capture.observe_time);
        match known {
            Some((_, relations)) => *relations = format!("{relations} {relation}"),
            None => named.push((capture, relation.to_owned())),
        }
    }
    links.extend(named.iter().map(|(capture, relations)| {
        let relations = format!("{relations} memento").split_whitespace().collect::<Vec<_>>().join(" ");
        let (address, time) = (original.capture(site, capture.observe_time), time::http_date(capture.observe_time));
        format!("<{address}>; rel=\"{relations}\"; datetime=\"{time}\"")
    }));
    if let Ok(links) = HeaderValue::try_from(links.join(", ")) {
        response.headers_mut().append(LINK, links);
    }
    response
}

/// The captures of a page around an instant.
async fn around(site: &Site, visit: &Visit, original: &Original, at: Timestamp) -> Result<CapturesAround, Problem> {
    let (point, within) = (newest(site).await?, visit.caller.scope(Permission::Read));
    let found = site.reads.archive().captures_around(point, original.key.clone(), within, at).await?;
    found.ok_or_else(|| no_capture(original))
}

/// The archive has no capture of a page, or none that the visitor may see. Both look the same.
fn no_capture(original: &Original) -> Problem {
    Problem::missing(format!("The archive has no capture of {}.", original.url()))
}

/// All that is known now.
pub(super) async fn newest(site: &Site) -> Result<ReadPoint, Problem> {
    let as_of = AsOf { observe_time: None, known_at: KnownAt::Newest };
    Ok(site.reads.archive().read_point(as_of, Seq::ZERO).await?)
}
