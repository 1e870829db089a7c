//! The fetcher against a real server, over a web that is made up.

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

use dateline::fetch::{FetchError, Fetched, Fetcher, Options, Page};
use url::Url;

use self::web::Web;

/// Options for a made-up web, where robots.txt is not what a test is about.
fn options(web: &Arc<Web>) -> Options {
    Options { network: Arc::clone(web) as _, obey_robots: false, ..Options::default() }
}

fn fetcher(web: &Arc<Web>) -> Fetcher {
    Fetcher::new(options(web))
}

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

/// The page at an address, which must be one.
async fn page(fetcher: &Fetcher, address: &str) -> Page {
    match fetcher.fetch(&url(address), None).await.unwrap() {
        Fetched::Page(page) => page,
        other @ Fetched::NotModified(_) => panic!("{other:?}"),
    }
}

/// Why there is no page at an address.
async fn error(fetcher: &Fetcher, address: &str) -> FetchError {
    fetcher.fetch(&url(address), None).await.unwrap_err()
}

/// Lets time pass while nothing goes on.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}
