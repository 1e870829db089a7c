//! Sites' robots.txt: had once a day, shared by all who ask, and obeyed (RFC 9309).
//!
//! A file that isn't there allows everything. One that can't be read, for an error of the site or on the way, forbids
//! everything for a while, unless an older one is known.

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

pub use self::rules::{Disallowed, Rules};
use super::body::Excess;
use super::error::{Phase, is_transient};
use super::exchange::Answer;
use super::trail::Trail;
use super::{FetchError, Site};

/// What a robots.txt calls us.
pub const PRODUCT: &str = "dateline";

/// How much of the file is read; the least that the RFC allows.
const BYTES_MAX: u64 = 500 << 10;
const REDIRECTS_MAX: usize = 5;
const KEPT_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// How long before a file that could not be read is asked for again.
const RETRIED_AFTER: Duration = Duration::from_secs(5 * 60);
const SITES_EXPECTED: usize = 1024;
const CACHE_BYTES_MAX: u64 = 32 << 20;

/// Why a site's robots.txt keeps us out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A rule says so.
    Rule {
        /// The file.
        robots: String,
        /// The line of the rule, from 1.
        line: usize,
        /// The path of the rule, as written.
        rule: String,
    },
    /// The file was answered with an error of the site, which means that nothing is allowed.
    Status {
        /// The file.
        robots: String,
        /// The status.
        code: StatusCode,
        /// When the site said to come back, from its answer on.
        retry_after: Option<Duration>,
    },
    /// The file could not be had, which means that nothing is allowed.
    Unreachable {
        /// The file.
        robots: String,
        /// What went wrong.
        reason: String,
    },
}

impl Refusal {
    /// Whether it may be otherwise later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Rule { .. } => false,
            Self::Status { code, .. } => is_transient(*code),
            Self::Unreachable { .. } => true,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule { robots, line, rule } => {
                write!(f, "the site asks crawlers not to take it, by `Disallow: {rule}` in line {line} of {robots}")
            }
            Self::Status { robots, code, .. } => {
                write!(f, "{robots} is answered with {code}, so that nobody knows what may be taken; try again later")
            }
            Self::Unreachable { robots, reason } => {
                write!(
                    f,
                    "nobody knows what may be taken, since {robots} could not be read ({reason}); try again later"
                )
            }
        }
    }
}

/// The robots.txt of all sites that were asked of late.
pub(super) struct Robots(Cache<String, Known, Weight>);

/// What is known of a site.
#[derive(Clone)]
struct Known {
    standing: Arc<Standing>,
    until: Instant,
}

enum Standing {
    Rules(Rules),
    Closed(Refusal),
}

#[derive(Clone)]
struct Weight;

impl Weighter<String, Known> for Weight {
    fn weight(&self, site: &String, known: &Known) -> u64 {
        let rules = match &*known.standing {
            Standing::Rules(rules) => rules.weight(),
            Standing::Closed(_) => 0,
        };
        u64::try_from(site.len() + rules + 512).unwrap_or(u64::MAX)
    }
}

impl Robots {
    pub(super) fn new() -> Self {
        Self(Cache::with_weighter(SITES_EXPECTED, CACHE_BYTES_MAX, Weight))
    }

    /// Whether a page may be taken, by the robots.txt of its site. One task at a time gets the file, and others wait for
    /// it; if that task is dropped, one of them takes over.
    ///
    /// Where the site can't be reached at all the error says so, as it would for the page.
    pub(super) async fn check(&self, site: &Site, url: &Url) -> Result<(), FetchError> {
        let Ok(robots) = url.join("/robots.txt") else { return Ok(()) };
        let standing = match self.standing(site, &robots).await {
            Ok(standing) => standing,
            Err(error) => return Err(about(error, url)),
        };
        let refusal = match &*standing {
            Standing::Closed(_) if url.path() == robots.path() => return Ok(()),
            Standing::Closed(refusal) => refusal.clone(),
            Standing::Rules(rules) => {
                let path = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
                let Some(rule) = rules.keeps_out(&path) else { return Ok(()) };
                Refusal::Rule { robots: robots.to_string(), line: rule.line, rule: rule.text }
            }
        };
        Err(FetchError::Robots { url: url.to_string(), refusal })
    }

    async fn standing(&self, site: &Site, robots: &Url) -> Result<Arc<Standing>, FetchError> {
        let now = Instant::now();
        let entry = self.0.entry_async(robots.as_str(), |_, known| {
            if now < known.until { EntryAction::Retain(known.clone()) } else { EntryAction::ReplaceWithGuard }
        });
        let (place, old) = match entry.await {
            EntryResult::Retained(known) | EntryResult::Removed(_, known) => return Ok(known.standing),
            EntryResult::Replaced(place, old) => (place, Some(old.standing)),
            EntryResult::Vacant(place) => (place, None),
            // Only of the kind that is given a limit.
            EntryResult::Timeout => return Ok(Arc::new(Standing::Rules(Rules::default()))),
        };
        let read = read(site, robots).await?;
        let (standing, kept_for) = match (read, old) {
            (Standing::Closed(_), Some(old)) if matches!(*old, Standing::Rules(_)) => (old, RETRIED_AFTER),
            (closed @ Standing::Closed(_), _) => (Arc::new(closed), RETRIED_AFTER),
            (rules @ Standing::Rules(_), _) => (Arc::new(rules), KEPT_FOR),
        };
        // Without room it is read again the next time.
        let _ = place.insert(Known { standing: Arc::clone(&standing), until: Instant::now() + kept_for });
        Ok(standing)
    }
}

/// What the file says. An error means that the site can't be reached.
async fn read(site: &Site, robots: &Url) -> Result<Standing, FetchError> {
    let mut trail = Trail::new(robots)?;
    let error = match get(site, &mut trail).await {
        Ok(bytes) => return Ok(Standing::Rules(Rules::read(&bytes, PRODUCT))),
        Err(error) => error,
    };
    if trail.redirects() == 0 && is_of_the_site(&error) {
        return Err(error);
    }
    let robots = robots.to_string();
    match error {
        // Too many requests is no answer to what may be taken, unlike all others that lay it at our door.
        FetchError::Status { code, .. } if code.is_client_error() && code != StatusCode::TOO_MANY_REQUESTS => {
            Ok(Standing::Rules(Rules::default()))
        }
        FetchError::Status { code, retry_after, .. } => {
            Ok(Standing::Closed(Refusal::Status { robots, code, retry_after }))
        }
        // As if it weren't there (RFC 9309, 2.3.1.2).
        FetchError::TooManyRedirects { .. } | FetchError::RedirectLoop { .. } => Ok(Standing::Rules(Rules::default())),
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
            Ok(Standing::Closed(Refusal::Unreachable { robots, reason: error.to_string() }))
        }
    }
}

async fn get(site: &Site, trail: &mut Trail) -> Result<bytes::Bytes, FetchError> {
    let mut left = site.options.timeout;
    loop {
        let turn = site.turns.take(trail.here().host_str().unwrap_or_default()).await;
        let begun = Instant::now();
        match site.exchange.ask(trail.here(), Vec::new(), begun + left).await? {
            Answer::Page(response) => {
                return site.body(trail.here(), response, BYTES_MAX, Excess::Drop, begun + left).await;
            }
            Answer::Redirect(status, location) => trail.follow(status, &location, REDIRECTS_MAX)?,
            // Nothing was asked that this would answer.
            Answer::NotModified(_) => return Ok(bytes::Bytes::new()),
        }
        drop(turn);
        left = left.saturating_sub(begun.elapsed());
    }
}

/// Whether an error is one that all of the site's pages meet.
fn is_of_the_site(error: &FetchError) -> bool {
    matches!(
        error,
        FetchError::PrivateAddress { .. }
            | FetchError::Dns { .. }
            | FetchError::Connect { .. }
            | FetchError::Tls { .. }
            | FetchError::Timeout { phase: Phase::Connect, .. }
    )
}

/// The same error, of another of the site's pages.
fn about(mut error: FetchError, page: &Url) -> FetchError {
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
