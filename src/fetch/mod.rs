//! Pages from the web: an address in, bytes out. It knows no archive and no format.
//!
//! What holds, whatever an address or a site says:
//!
//! - Only http and https, and only what is on the public internet. Each connection is checked where it is made, so that
//!   neither a redirect nor a name that changes where it leads gets past ([`Options::allow_private`] lifts it). Proxies
//!   named in the environment are not used.
//! - A page is whole or an error. Time and memory are bounded, whatever a site sends.
//! - Nothing is hidden: redirects are followed one by one and told, and we say who we are.
//! - Sites are treated well: robots.txt is obeyed, few requests at once, and a site's wish to be left alone for a while
//!   is told ([`FetchError::retry_after`]). Whether and when to try again is the caller's business.
//!
//! No cookies are kept, and no script is run.

mod address;
mod body;
mod connect;
mod error;
mod exchange;
mod network;
mod options;
mod page;
mod retry_after;
mod robots;
mod tls;
mod trail;
mod turns;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};
use url::Url;

pub use self::error::{FetchError, Phase};
pub use self::network::{Later, Network, SystemNetwork};
pub use self::options::Options;
pub use self::page::{Fetched, NotModified, Page, Redirect, Validators};
pub use self::robots::{Disallowed, PRODUCT, Refusal, Rules};

use self::body::Excess;
use self::exchange::{Answer, Exchange};
use self::robots::Robots;
use self::trail::Trail;
use self::turns::Turns;

/// Fetches pages. Cloning is cheap, and clones share connections, turns at hosts and what is known of robots.txt.
#[derive(Clone)]
pub struct Fetcher {
    site: Arc<Site>,
    robots: Arc<Robots>,
}

/// What asking a site takes.
struct Site {
    options: Options,
    exchange: Exchange,
    turns: Turns,
}

impl Fetcher {
    /// A fetcher that does as the options say.
    pub fn new(options: Options) -> Self {
        let site = Site { exchange: Exchange::new(&options), turns: Turns::new(options.per_host_max), options };
        Self { site: Arc::new(site), robots: Arc::new(Robots::new()) }
    }

    /// The page at an address, or that it is still the one that `known` came with.
    ///
    /// `known` is what an earlier fetch gave. It is sent with the request for the address that it belongs to, be that
    /// `url` or one that `url` redirects to, and with no other. Fragments don't count.
    ///
    /// Must run within a Tokio runtime. Dropping the future ends the connection, and gives up a turn.
    pub async fn fetch(&self, url: &Url, known: Option<&Validators>) -> Result<Fetched, FetchError> {
        let options = &self.site.options;
        let mut trail = Trail::new(url)?;
        let mut left = options.timeout;
        loop {
            if options.obey_robots {
                self.robots.check(&self.site, trail.here()).await?;
            }
            // Given back with the last byte. No turn is held while another is waited for, so that nobody waits in a ring.
            let turn = self.site.turns.take(trail.here().host_str().unwrap_or_default()).await;
            let begun = Instant::now();
            let deadline = begun + left;
            let conditions = known.map(|known| known.conditions(trail.here())).unwrap_or_default();
            match (self.site.exchange.ask(trail.here(), conditions, deadline).await?, known) {
                (Answer::Page(response), _) => return self.page(trail, response, deadline).await,
                (Answer::NotModified(headers), Some(known)) => {
                    let (requested, url, redirects) = trail.end();
                    let validators = Validators { url: url.clone(), ..known.updated(&headers) };
                    return Ok(Fetched::NotModified(NotModified { requested, url, redirects, validators }));
                }
                (Answer::Redirect(status, location), _) => trail.follow(status, &location, options.redirects_max)?,
                (Answer::NotModified(_), None) => {
                    let reason = "it answers what was not asked".to_owned();
                    return Err(FetchError::Protocol { url: trail.here().to_string(), reason });
                }
            }
            drop(turn);
            left = left.saturating_sub(begun.elapsed());
        }
    }

    async fn page(&self, trail: Trail, response: Response<Incoming>, deadline: Instant) -> Result<Fetched, FetchError> {
        let validators = Validators::read(trail.here(), response.headers());
        let (content_type, charset) = page::content_type(response.headers());
        let bytes_max = self.site.options.body_bytes_max;
        let body = self.site.body(trail.here(), response, bytes_max, Excess::Refuse, deadline).await?;
        let (requested, url, redirects) = trail.end();
        Ok(Fetched::Page(Page { requested, url, redirects, content_type, charset, body, validators }))
    }
}

impl Site {
    /// The body of an answer, which has until `deadline`.
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
            Err(FetchError::Timeout { url: url.to_string(), phase: Phase::Body, after: self.options.timeout })
        })
    }
}

impl fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetcher").field("options", &self.site.options).finish_non_exhaustive()
    }
}
