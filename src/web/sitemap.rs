//! What search engines and other robots may fetch: nothing, unless the operator wants the archive to be found. Otherwise a
//! search engine would still show what a publisher has changed.
//!
//! The sitemap (<https://www.sitemaps.org/protocol.html>) has a file for each window of the log, with the articles that were
//! created there. So its files are bounded, and all but the last stay as they are.

use std::fmt::Write;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use http::{HeaderValue, Response};

use super::log::between;
use super::paths::page_of;
use super::problem::Problem;
use super::visit::Visit;
use super::{Site, respond};
use crate::access::Permission;
use crate::model::{ArticleFilter, ArticleName, ChangeKind, ChangeKinds, FeedQuery};

/// The changes that a file covers. A file may have 50,000 addresses, and the index 50,000 files.
const WINDOW: u64 = 16_384;
const FILES_MAX: u64 = 50_000;
/// The path before the number of a file.
const FILES: &str = "/sitemap/";
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const XML: HeaderValue = HeaderValue::from_static("application/xml; charset=utf-8");
const BEGINNING: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n";
const NAMESPACE: &str = "xmlns=\"http://www.sitemaps.org/schemas/sitemap/0.9\"";

/// What robots may fetch. Lists, comparisons and captures lead to endless variants of the same texts.
pub(super) async fn robots(State(site): State<Arc<Site>>) -> Response<Body> {
    if !site.options.index {
        return respond::bytes(TEXT, "User-agent: *\nDisallow: /\n");
    }
    let closed = ["/web/", "/cdx", "/changes", "/takedowns", "/lookup", "/l/", "/*/diff", "/*/calendar", "/*/r?"];
    let closed: Vec<String> = closed.iter().map(|path| format!("Disallow: {path}\n")).collect();
    let sitemap = site.address("/sitemap.xml");
    respond::bytes(TEXT, format!("User-agent: *\n{}Sitemap: {sitemap}\n", closed.concat()))
}

/// The index of all files.
pub(super) async fn index(State(site): State<Arc<Site>>, visit: Visit) -> Result<Response<Body>, Problem> {
    if !site.options.index {
        return Err(Problem::not_found());
    }
    let files = site.reads.archive().tail().next_seq.0.div_ceil(WINDOW).min(FILES_MAX);
    let mut xml = format!("{BEGINNING}<sitemapindex {NAMESPACE}>\n");
    for number in 0..files {
        push(&mut xml, "sitemap", &site.address(&format!("{FILES}{number}.xml")));
    }
    Ok(file(&visit, format!("{xml}</sitemapindex>\n")))
}

/// One file.
pub(super) async fn part(
    State(site): State<Arc<Site>>,
    Path(name): Path<String>,
    visit: Visit,
) -> Result<Response<Body>, Problem> {
    let number = name.strip_suffix(".xml").and_then(|number| number.parse::<u64>().ok());
    let number = number.filter(|number| site.options.index && *number < FILES_MAX).ok_or_else(Problem::not_found)?;
    let tail = site.reads.archive().tail().next_seq.0;
    let (from, end) = (number * WINDOW, tail.min((number + 1) * WINDOW));
    if from >= end {
        return Err(Problem::not_found());
    }
    let filter = ArticleFilter { within: visit.caller.scope(Permission::Read), ..ArticleFilter::default() };
    let query = Arc::new(FeedQuery { filter, kinds: ChangeKinds::of([ChangeKind::Created]) });
    let mut xml = format!("{BEGINNING}<urlset {NAMESPACE}>\n");
    for change in between(&site, &query, from, end).await? {
        // The feed always has what was expunged, too.
        let name = (change.kind() == crate::wire::pb::ChangeKind::Created).then(|| ArticleName::parse(&change.article));
        if let Some(Ok(name)) = name {
            push(&mut xml, "url", &site.address(&page_of(&name)));
        }
    }
    Ok(file(&visit, format!("{xml}</urlset>\n")))
}

/// Adds an element with an address. Addresses of articles consist of letters, digits and a few signs, none of which is
/// special in XML; the public address of the site is escaped.
fn push(xml: &mut String, element: &str, address: &str) {
    let address = address.replace('&', "&amp;").replace('<', "&lt;").replace('\'', "&apos;");
    let written = writeln!(xml, "<{element}><loc>{address}</loc></{element}>");
    debug_assert!(written.is_ok(), "writing to a string cannot fail");
}

fn file(visit: &Visit, xml: String) -> Response<Body> {
    let mut response = respond::bytes(XML, xml);
    visit.mark(response.headers_mut());
    response
}
