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

use std::num::NonZeroU32;
use std::sync::Arc;

use axum::Router;
use axum::handler::Handler;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, get};

use super::problem::Problem;
use super::rates::{LONG, SHORT};
use super::{Site, assets, cdx, events, feeds, front, memento, sitemap};
use crate::model::{ArticleName, RevisionNumber};

/// All addresses, how many requests one counts as, and what is there. docs/WEB.md lists them, and promises that they stay.
pub(super) fn table() -> [(&'static str, NonZeroU32, MethodRouter<Arc<Site>>); 41] {
    [
        ("/", LONG, get(home::show)),
        ("/index", LONG, get(home::show)),
        ("/changes", LONG, get(changes::show)),
        ("/changes/events", LONG, get(events::messages)),
        ("/changes/rows", LONG, get(events::rows)),
        ("/takedowns", LONG, get(changes::takedowns)),
        ("/sources", SHORT, get(sources::show_all)),
        ("/s/{source}", LONG, get(sources::show)),
        ("/s/{source}/", LONG, get(sources::show)),
        ("/lookup", SHORT, get(lookup::show)),
        ("/a/{source}/{article}", SHORT, get(article::show)),
        ("/a/{source}/{article}/", SHORT, get(article::show)),
        ("/a/{source}/{article}/history", SHORT, get(history::show)),
        ("/a/{source}/{article}/r", SHORT, get(revision::select)),
        ("/a/{source}/{article}/r/{number}", SHORT, get(revision::show)),
        ("/a/{source}/{article}/r/{number}/id_", SHORT, get(original::show)),
        ("/a/{source}/{article}/r/{number}/proof", SHORT, get(revision::proof)),
        ("/a/{source}/{article}/r/{number}/cite", SHORT, get(cite::plain)),
        ("/a/{source}/{article}/r/{number}/cite.bib", SHORT, get(cite::bibtex)),
        ("/a/{source}/{article}/diff", SHORT, get(diff::select)),
        ("/a/{source}/{article}/diff/{range}", SHORT, get(diff::show)),
        ("/a/{source}/{article}/blame", LONG, get(blame::show)),
        ("/a/{source}/{article}/calendar", SHORT, get(calendar::newest)),
        ("/a/{source}/{article}/calendar/{year}", LONG, get(calendar::show)),
        ("/cdx", LONG, get(cdx::show)),
        ("/cdx/search/cdx", LONG, get(cdx::show)),
        ("/feed", LONG, get(feeds::everything)),
        ("/feed.atom", LONG, get(feeds::everything)),
        ("/s/{source}/feed", LONG, get(feeds::of_source)),
        ("/s/{source}/feed.atom", LONG, get(feeds::of_source)),
        ("/l/{label}/feed", LONG, get(feeds::of_label)),
        ("/l/{label}/feed.atom", LONG, get(feeds::of_label)),
        ("/a/{source}/{article}/feed", LONG, get(feeds::of_article)),
        ("/a/{source}/{article}/feed.atom", LONG, get(feeds::of_article)),
        ("/web/timemap/{*capture}", LONG, get(memento::show)),
        ("/web/{*capture}", SHORT, get(memento::show)),
        ("/status", SHORT, get(status::show)),
        ("/robots.txt", SHORT, get(sitemap::robots)),
        ("/sitemap.xml", LONG, get(sitemap::index)),
        ("/sitemap/{file}", LONG, get(sitemap::part)),
        ("/static/{digest}/{file}", SHORT, get(assets::serve)),
    ]
}

/// Answers the requests of all addresses, each when the visitor may make it.
pub(super) fn routes(site: &Arc<Site>) -> Router {
    let admitted = |weight| from_fn_with_state((Arc::clone(site), weight), front::admit);
    let routes = table()
        .into_iter()
        .fold(Router::new(), |routes, (address, weight, page)| routes.route(address, page.layer(admitted(weight))));
    let not_found = async || Problem::not_found();
    routes.fallback(not_found.layer(admitted(SHORT))).with_state(Arc::clone(site))
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
