//! Fetches web pages: a URL in, bytes out. Knows nothing of the archive or of document formats.
//!
//! The fetcher guarantees, whatever a URL or a site says:
//!
//! - Only http and https URLs on the public internet are fetched. The address is checked when each connection is made,
//!   so neither a redirect nor a change in DNS gets past the check. [`Options::allow_private`] turns it off. Proxies
//!   named in the environment are not used.
//! - The caller gets a complete page or an error, never part of a page. Time and memory are bounded.
//! - Redirects are followed one by one and reported, and the user agent names Dateline.
//! - robots.txt is obeyed, requests per host are limited, and a site's Retry-After is passed on
//!   ([`FetchError::retry_after`]). The caller decides whether and when to retry.
//!
//! The fetcher keeps no cookies and runs no scripts.

mod address;
mod body;
mod connect;
mod error;
mod host_limiter;
mod http_client;
mod network;
mod options;
mod page;
mod post;
mod redirect_chain;
mod retry_after;
mod robots;
mod tls;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};
use url::Url;

pub use self::error::{FetchError, TimeoutPhase};
#[cfg(feature = "internals")]
pub use self::network::Later;
pub use self::network::{Network, SystemNetwork};
pub use self::options::Options;
pub use self::page::{Fetched, NotModified, Page, Redirect, Validators};
pub use self::post::{Poster, ReplyHead};
pub use self::robots::RobotsRefusal;
#[cfg(feature = "internals")]
pub use self::robots::{Disallowed, PRODUCT, Rules};

use self::body::Excess;
use self::host_limiter::HostLimiter;
use self::http_client::{HttpClient, HttpOutcome};
use self::page::ContentType;
use self::redirect_chain::{FinishedChain, RedirectChain};
use self::robots::Robots;

/// Fetches pages. Cloning is cheap; clones share connections, per-host limits and the robots.txt cache.
#[derive(Clone)]
pub struct Fetcher {
    site: Arc<Site>,
    robots: Arc<Robots>,
}

/// What every request needs, to a page or to a robots.txt.
struct Site {
    options: Options,
    http_client: HttpClient,
    host_limiter: HostLimiter,
}

impl Fetcher {
    /// Creates a fetcher with an empty robots.txt cache. Connects to nothing yet.
    pub fn new(options: Options) -> Self {
        let site = Site {
            http_client: HttpClient::new(&options),
            host_limiter: HostLimiter::new(options.per_host_max),
            options,
        };
        Self { site: Arc::new(site), robots: Arc::new(Robots::new()) }
    }

    /// Fetches the page at `url`, or reports that it has not changed since the earlier fetch that returned
    /// `validators`.
    ///
    /// The validators are sent only with the request for the URL they belong to, which may be `url` or one that `url`
    /// redirects to. Fragments are ignored.
    ///
    /// Must run within a Tokio runtime. Dropping the future closes the connection and releases the host permit.
    pub async fn fetch(&self, url: &Url, validators: Option<&Validators>) -> Result<Fetched, FetchError> {
        let options = &self.site.options;
        let mut redirect_chain = RedirectChain::new(url)?;
        let mut time_left = options.timeout;
        loop {
            if options.obey_robots {
                self.robots.check(&self.site, redirect_chain.here()).await?;
            }
            // Held until the last byte. No task waits for one permit while holding another, so tasks cannot deadlock.
            let permit = self.site.host_limiter.acquire(redirect_chain.here().host_str().unwrap_or_default()).await;
            let started = Instant::now();
            let deadline = started + time_left;
            let conditions = validators.map(|earlier| earlier.conditions(redirect_chain.here())).unwrap_or_default();
            match (self.site.http_client.request(redirect_chain.here(), conditions, deadline).await?, validators) {
                (HttpOutcome::Page(response), _) => return self.page(redirect_chain, response, deadline).await,
                (HttpOutcome::NotModified(headers), Some(earlier)) => {
                    let FinishedChain { requested, url, redirects } = redirect_chain.finish();
                    let validators = Validators { url: url.clone(), ..earlier.updated(&headers) };
                    return Ok(Fetched::NotModified(NotModified { requested, url, redirects, validators }));
                }
                (HttpOutcome::Redirect(status, location), _) => {
                    redirect_chain.follow(status, &location, options.redirects_max)?
                }
                (HttpOutcome::NotModified(_), None) => {
                    let reason = "304 Not Modified in reply to an unconditional request".to_owned();
                    return Err(FetchError::Protocol { url: redirect_chain.here().to_string(), reason });
                }
            }
            drop(permit);
            time_left = time_left.saturating_sub(started.elapsed());
        }
    }

    async fn page(
        &self,
        redirect_chain: RedirectChain,
        response: Response<Incoming>,
        deadline: Instant,
    ) -> Result<Fetched, FetchError> {
        let validators = Validators::read(redirect_chain.here(), response.headers());
        let ContentType { media_type: content_type, charset } = ContentType::read(response.headers());
        let bytes_max = self.site.options.body_bytes_max;
        let body = self.site.body(redirect_chain.here(), response, bytes_max, Excess::Refuse, deadline).await?;
        let FinishedChain { requested, url, redirects } = redirect_chain.finish();
        Ok(Fetched::Page(Page { requested, url, redirects, content_type, charset, body, validators }))
    }
}

impl Site {
    /// Reads a response's body, decompressed. All of it has to arrive by `deadline`.
    async fn body(
        &self,
        url: &Url,
        response: Response<Incoming>,
        bytes_max: u64,
        excess: Excess,
        deadline: Instant,
    ) -> Result<Bytes, FetchError> {
        let read = body::read(url, response, bytes_max, excess, self.options.idle_timeout);
        timeout_at(deadline, read).await.unwrap_or_else(|_| {
            Err(FetchError::Timeout { url: url.to_string(), phase: TimeoutPhase::Body, after: self.options.timeout })
        })
    }
}

impl fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetcher").field("options", &self.site.options).finish_non_exhaustive()
    }
}
