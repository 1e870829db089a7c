//! The fetcher against a real server, in a simulated web.

mod bodies;
mod cut;
mod manners;
mod memory;
mod pages;
mod private;
mod redirects;
mod robots;
pub(crate) mod server;
mod statuses;
mod tls;
pub(crate) mod web;

use std::sync::Arc;
use std::time::Duration;

use dateline::internals::fetch::{FetchError, Fetched, Fetcher, Options, Page};
use url::Url;

use self::web::Web;

/// Options for a simulated web, without robots.txt for tests that are not about it.
fn options(web: &Arc<Web>) -> Options {
    Options { network: Arc::clone(web) as _, obey_robots: false, ..Options::default() }
}

fn fetcher(web: &Arc<Web>) -> Fetcher {
    Fetcher::new(options(web))
}

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

/// Fetches the page at an address; it must succeed.
async fn page(fetcher: &Fetcher, address: &str) -> Page {
    match fetcher.fetch(&url(address), None).await.unwrap() {
        Fetched::Page(page) => page,
        other @ Fetched::NotModified(_) => panic!("{other:?}"),
    }
}

/// Fetches an address that must fail, and returns the error.
async fn error(fetcher: &Fetcher, address: &str) -> FetchError {
    fetcher.fetch(&url(address), None).await.unwrap_err()
}

/// Advances the paused clock.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}
