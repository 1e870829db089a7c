//! The pages: one file for each, or for each family. A handler reads messages and hands them to the view model, which is
//! all that its template knows.

mod article;
mod blame;
mod calendar;
mod changes;
mod cite;
pub(super) mod diff;
mod heading;
mod history;
mod home;
mod lookup;
pub(super) mod original;
pub(super) mod problem;
pub(super) mod revision;
mod sources;
mod status;

use std::sync::Arc;

use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::{MethodRouter, get};

pub(super) use self::changes::{Row, is_text as page_is_text};
use super::problem::Problem;
use super::{Site, assets, cdx, events, feeds, memento, sitemap};
use crate::model::{ArticleName, RevisionNumber};

/// All addresses, with what is there. docs/WEB.md lists them, and promises that they stay.
pub(super) fn table() -> [(&'static str, MethodRouter<Arc<Site>>); 40] {
    [
        ("/", get(home::show)),
        ("/index", get(home::show)),
        ("/changes", get(changes::show)),
        ("/changes/events", get(events::messages)),
        ("/changes/rows", get(events::rows)),
        ("/takedowns", get(changes::takedowns)),
        ("/sources", get(sources::show_all)),
        ("/s/{source}", get(sources::show)),
        ("/s/{source}/", get(sources::show)),
        ("/lookup", get(lookup::show)),
        ("/a/{source}/{article}", get(article::show)),
        ("/a/{source}/{article}/", get(article::show)),
        ("/a/{source}/{article}/history", get(history::show)),
        ("/a/{source}/{article}/r", get(revision::select)),
        ("/a/{source}/{article}/r/{number}", get(revision::show)),
        ("/a/{source}/{article}/r/{number}/id_", get(original::show)),
        ("/a/{source}/{article}/r/{number}/proof", get(revision::proof)),
        ("/a/{source}/{article}/r/{number}/cite", get(cite::plain)),
        ("/a/{source}/{article}/r/{number}/cite.bib", get(cite::bibtex)),
        ("/a/{source}/{article}/diff", get(diff::select)),
        ("/a/{source}/{article}/diff/{range}", get(diff::show)),
        ("/a/{source}/{article}/blame", get(blame::show)),
        ("/a/{source}/{article}/calendar", get(calendar::newest)),
        ("/a/{source}/{article}/calendar/{year}", get(calendar::show)),
        ("/cdx", get(cdx::show)),
        ("/cdx/search/cdx", get(cdx::show)),
        ("/feed", get(feeds::everything)),
        ("/feed.atom", get(feeds::everything)),
        ("/s/{source}/feed", get(feeds::of_source)),
        ("/s/{source}/feed.atom", get(feeds::of_source)),
        ("/l/{label}/feed", get(feeds::of_label)),
        ("/l/{label}/feed.atom", get(feeds::of_label)),
        ("/a/{source}/{article}/feed", get(feeds::of_article)),
        ("/a/{source}/{article}/feed.atom", get(feeds::of_article)),
        ("/web/{*capture}", get(memento::show)),
        ("/status", get(status::show)),
        ("/robots.txt", get(sitemap::robots)),
        ("/sitemap.xml", get(sitemap::index)),
        ("/sitemap/{file}", get(sitemap::part)),
        ("/static/{digest}/{file}", get(assets::serve)),
    ]
}

/// Answers the requests of all addresses, and notes at each response which it was.
pub(super) fn routes(site: Arc<Site>) -> Router {
    let routes = table().into_iter().fold(Router::new(), |routes, (address, page)| routes.route(address, page));
    let routes = routes.route_layer(from_fn(note_route));
    routes.fallback(async || Problem::not_found()).with_state(site)
}

async fn note_route(route: MatchedPath, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.extensions_mut().insert(route);
    response
}

/// What every page has around its own part.
pub(super) struct Frame {
    title: String,
    /// The path under which the page is known; empty if it has none.
    canonical: String,
    /// The path of its JSON; empty if it has none.
    twin: String,
    /// The path of the feed of what it shows.
    feed: String,
    style: &'static str,
    script: &'static str,
    icon: &'static str,
}

impl Frame {
    /// The frame of a page at `path`, whose JSON is there, too.
    fn at(title: impl Into<String>, path: &str) -> Self {
        let (path_alone, query) =
            path.split_once('?').map_or((path, String::new()), |(path, query)| (path, format!("?{query}")));
        let path_alone = if path_alone == "/" { "/index" } else { path_alone.trim_end_matches('/') };
        let feed = feed_of(path_alone);
        Self { twin: format!("{path_alone}.json{query}"), canonical: path.to_owned(), feed, ..Self::alone(title) }
    }

    /// The frame of a page without an address.
    fn alone(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            canonical: String::new(),
            twin: String::new(),
            feed: feed_of(""),
            style: assets::style(),
            script: assets::script(),
            icon: assets::icon(),
        }
    }
}

/// The path of the feed of an article or a source whose page is at a path, or else of everything.
fn feed_of(path: &str) -> String {
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    match *segments.as_slice() {
        ["a", source, article, ..] => format!("/a/{source}/{article}/feed.atom"),
        ["s", source, ..] => format!("/s/{source}/feed.atom"),
        _ => "/feed.atom".to_owned(),
    }
}

/// The article in a path.
fn article_name(source: &str, article: &str) -> Result<ArticleName, Problem> {
    ArticleName::new(source, article).map_err(|_| Problem::not_found())
}

/// The number of a revision in a path, which has one spelling.
fn revision_number(text: &str) -> Result<RevisionNumber, Problem> {
    let number = text.parse().ok().and_then(RevisionNumber::new);
    number.filter(|number| number.to_string() == text).ok_or_else(Problem::not_found)
}
