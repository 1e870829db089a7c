//! Fetches, caches and applies robots.txt (RFC 9309): once a day per site, shared by all clones of the fetcher.
//!
//! A missing file allows everything. A file that cannot be read, because of a server or network error, forbids
//! everything for 5 minutes, unless an earlier version is cached.

mod pattern;
mod rules;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use quick_cache::Weighter;
use quick_cache::sync::{Cache, EntryAction, EntryResult};
use tokio::time::Instant;
use url::Url;

#[cfg(feature = "internals")]
pub use self::rules::Disallowed;
pub use self::rules::Rules;
use super::body::Excess;
use super::error::{TimeoutPhase, is_transient};
use super::http_client::HttpOutcome;
use super::redirect_chain::RedirectChain;
use super::{FetchError, Site};

/// Our name in robots.txt: rules for this user agent apply to us.
pub const PRODUCT: &str = "dateline";

/// How much of the file is read, in bytes; the RFC requires at least this much.
const BYTES_MAX: u64 = 500 << 10;
const REDIRECTS_MAX: usize = 5;
const CACHED_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// How long to wait before a file that could not be read is fetched again.
const RETRY_AFTER: Duration = Duration::from_secs(5 * 60);
const SITES_EXPECTED: usize = 1024;
const CACHE_BYTES_MAX: u64 = 32 << 20;
/// The approximate memory of a cache entry in addition to its URL and rules.
const ENTRY_BYTES: usize = 512;

/// Why a site's robots.txt does not allow fetching a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RobotsRefusal {
    /// A rule of the file forbids it.
    Rule {
        /// The URL of the robots.txt.
        robots: String,
        /// The line of the rule, from 1.
        line: usize,
        /// The path of the rule, as written.
        rule: String,
    },
    /// The site answered the request for the file with an error, which means that nothing is allowed.
    Status {
        /// The URL of the robots.txt.
        robots: String,
        /// The HTTP status: 429, or a failure that is not a client error.
        code: StatusCode,
        /// How long the site asks to wait, counted from its response.
        retry_after: Option<Duration>,
    },
    /// The file could not be fetched, which means that nothing is allowed.
    Unreachable {
        /// The URL of the robots.txt.
        robots: String,
        /// The message of the fetch error.
        reason: String,
    },
}

impl RobotsRefusal {
    /// Whether the refusal may be temporary, so that a retry makes sense.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Rule { .. } => false,
            Self::Status { code, .. } => is_transient(*code),
            Self::Unreachable { .. } => true,
        }
    }
}

impl fmt::Display for RobotsRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule { robots, line, rule } => {
                write!(f, "the site asks crawlers not to fetch it (`Disallow: {rule}`, line {line} of {robots})")
            }
            Self::Status { robots, code, .. } => {
                write!(f, "the site's rules are unknown, since {robots} returned {code}; try again later")
            }
            Self::Unreachable { robots, reason } => {
                write!(f, "the site's rules are unknown, since {robots} could not be read ({reason}); try again later")
            }
        }
    }
}

/// Cache of the robots.txt of recently visited sites.
pub(super) struct Robots(Cache<String, CachedPolicy, Weight>);

#[derive(Clone)]
struct CachedPolicy {
    policy: Arc<RobotsPolicy>,
    /// When the file is fetched again.
    until: Instant,
}

enum RobotsPolicy {
    Rules(Rules),
    /// The file could not be read, so nothing is allowed.
    Closed(RobotsRefusal),
}

#[derive(Clone)]
struct Weight;

impl Weighter<String, CachedPolicy> for Weight {
    fn weight(&self, site: &String, cached: &CachedPolicy) -> u64 {
        let rules = match &*cached.policy {
            RobotsPolicy::Rules(rules) => rules.weight(),
            RobotsPolicy::Closed(_) => 0,
        };
        u64::try_from(site.len() + rules + ENTRY_BYTES).unwrap_or(u64::MAX)
    }
}

impl Robots {
    pub(super) fn new() -> Self {
        Self(Cache::with_weighter(SITES_EXPECTED, CACHE_BYTES_MAX, Weight))
    }

    /// Checks that the site's robots.txt allows fetching a page. One task at a time fetches the file while others wait;
    /// if that task is dropped, one of the others takes over.
    ///
    /// If the site cannot be reached at all, returns the error that fetching the page would have returned.
    pub(super) async fn check(&self, site: &Site, url: &Url) -> Result<(), FetchError> {
        let Ok(robots) = url.join("/robots.txt") else { return Ok(()) };
        let policy = match self.policy(site, &robots).await {
            Ok(policy) => policy,
            Err(error) => return Err(for_page(error, url)),
        };
        let refusal = match &*policy {
            RobotsPolicy::Closed(_) if url.path() == robots.path() => return Ok(()),
            RobotsPolicy::Closed(refusal) => refusal.clone(),
            RobotsPolicy::Rules(rules) => {
                let path = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
                let Some(rule) = rules.keeps_out(&path) else { return Ok(()) };
                RobotsRefusal::Rule { robots: robots.to_string(), line: rule.line, rule: rule.text }
            }
        };
        Err(FetchError::Robots { url: url.to_string(), refusal })
    }

    async fn policy(&self, site: &Site, robots: &Url) -> Result<Arc<RobotsPolicy>, FetchError> {
        let now = Instant::now();
        let entry = self.0.entry_async(robots.as_str(), |_, cached| {
            if now < cached.until { EntryAction::Retain(cached.clone()) } else { EntryAction::ReplaceWithGuard }
        });
        let (vacancy, old) = match entry.await {
            EntryResult::Retained(cached) | EntryResult::Removed(_, cached) => return Ok(cached.policy),
            EntryResult::Replaced(vacancy, old) => (vacancy, Some(old.policy)),
            EntryResult::Vacant(vacancy) => (vacancy, None),
            // Cannot happen: only lookups with a time limit return it.
            EntryResult::Timeout => return Ok(Arc::new(RobotsPolicy::Rules(Rules::default()))),
        };
        let read = read(site, robots).await?;
        let (policy, cached_for) = match (read, old) {
            (RobotsPolicy::Closed(_), Some(old)) if matches!(*old, RobotsPolicy::Rules(_)) => (old, RETRY_AFTER),
            (closed @ RobotsPolicy::Closed(_), _) => (Arc::new(closed), RETRY_AFTER),
            (rules @ RobotsPolicy::Rules(_), _) => (Arc::new(rules), CACHED_FOR),
        };
        // If the cache rejects the entry, the file is fetched again next time.
        let _ = vacancy.insert(CachedPolicy { policy: Arc::clone(&policy), until: Instant::now() + cached_for });
        Ok(policy)
    }
}

/// Fetches and reads the file. An error means that the site cannot be reached.
async fn read(site: &Site, robots: &Url) -> Result<RobotsPolicy, FetchError> {
    let mut redirect_chain = RedirectChain::new(robots)?;
    let error = match download(site, &mut redirect_chain).await {
        Ok(bytes) => return Ok(RobotsPolicy::Rules(Rules::read(&bytes, PRODUCT))),
        Err(error) => error,
    };
    if redirect_chain.redirects() == 0 && affects_whole_site(&error) {
        return Err(error);
    }
    let robots = robots.to_string();
    match error {
        // Any client error means that there is no file, except 429 Too Many Requests, which does not say whether there
        // is.
        FetchError::Status { code, .. } if code.is_client_error() && code != StatusCode::TOO_MANY_REQUESTS => {
            Ok(RobotsPolicy::Rules(Rules::default()))
        }
        FetchError::Status { code, retry_after, .. } => {
            Ok(RobotsPolicy::Closed(RobotsRefusal::Status { robots, code, retry_after }))
        }
        // The same as a missing file (RFC 9309, 2.3.1.2).
        FetchError::TooManyRedirects { .. } | FetchError::RedirectLoop { .. } => {
            Ok(RobotsPolicy::Rules(Rules::default()))
        }
        error @ (FetchError::NotHttp { .. }
        | FetchError::PrivateAddress { .. }
        | FetchError::Dns { .. }
        | FetchError::Connect { .. }
        | FetchError::Tls { .. }
        | FetchError::Timeout { .. }
        | FetchError::TooLarge { .. }
        | FetchError::RedirectInvalid { .. }
        | FetchError::Robots { .. }
        | FetchError::BadEncoding { .. }
        | FetchError::CutOff { .. }
        | FetchError::Protocol { .. }) => {
            Ok(RobotsPolicy::Closed(RobotsRefusal::Unreachable { robots, reason: error.to_string() }))
        }
    }
}

/// Returns the file, cut at [`BYTES_MAX`].
async fn download(site: &Site, redirect_chain: &mut RedirectChain) -> Result<bytes::Bytes, FetchError> {
    let mut time_left = site.options.timeout;
    loop {
        let permit = site.host_limiter.acquire(redirect_chain.here().host_str().unwrap_or_default()).await;
        let started = Instant::now();
        match site.http_client.request(redirect_chain.here(), Vec::new(), started + time_left).await? {
            HttpOutcome::Page(response) => {
                return site.body(redirect_chain.here(), response, BYTES_MAX, Excess::Drop, started + time_left).await;
            }
            HttpOutcome::Redirect(status, location) => redirect_chain.follow(status, &location, REDIRECTS_MAX)?,
            // The request is unconditional, so the HTTP client has already reported a 304 as a protocol error.
            HttpOutcome::NotModified(_) => return Ok(bytes::Bytes::new()),
        }
        drop(permit);
        time_left = time_left.saturating_sub(started.elapsed());
    }
}

/// Whether an error would affect every page of the site.
fn affects_whole_site(error: &FetchError) -> bool {
    matches!(
        error,
        FetchError::PrivateAddress { .. }
            | FetchError::Dns { .. }
            | FetchError::Connect { .. }
            | FetchError::Tls { .. }
            | FetchError::Timeout { phase: TimeoutPhase::Connect, .. }
    )
}

/// The same error for another page of the site.
fn for_page(mut error: FetchError, page: &Url) -> FetchError {
    if let FetchError::PrivateAddress { url, .. }
    | FetchError::Dns { url, .. }
    | FetchError::Connect { url, .. }
    | FetchError::Tls { url, .. }
    | FetchError::Timeout { url, .. } = &mut error
    {
        *url = page.to_string();
    }
    error
}
