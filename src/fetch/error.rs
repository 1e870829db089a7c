//! Why a page was not had, each with what happened, to what address, and what to do.

use std::net::IpAddr;
use std::time::Duration;

use http::StatusCode;
use url::Url;

use super::Refusal;

/// Why a page was not had. `url` is the address at which it went wrong: after a redirect, not the one asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The address is not one that is fetched.
    #[error("{url} cannot be fetched: {reason}")]
    NotHttp {
        /// The address, without a password.
        url: String,
        /// What is wrong with it, and what to do.
        reason: &'static str,
    },
    /// The host is, or its name leads to, this machine or a network that is not public.
    #[error(
        "{url} was not fetched: {host} is at {address}, which is not on the public internet; \
         if the page is to be taken from a private network, say --allow-private"
    )]
    PrivateAddress {
        /// The address of the page.
        url: String,
        /// Its host.
        host: String,
        /// Where the host is: the first of its addresses.
        address: IpAddr,
    },
    /// The host's name leads nowhere.
    #[error("{url} could not be fetched: the name {host} was not found ({reason}); check the address and the network")]
    Dns {
        /// The address of the page.
        url: String,
        /// Its host.
        host: String,
        /// What the resolver said.
        reason: String,
    },
    /// No connection came about.
    #[error("{url} could not be fetched: no connection to {host} ({reason}); try again later")]
    Connect {
        /// The address of the page.
        url: String,
        /// Its host.
        host: String,
        /// What was said, at the last of the host's addresses.
        reason: String,
    },
    /// The connection could not be secured, or the certificate is not to be trusted.
    #[error("{url} could not be fetched: no secure connection to {host} ({reason}){}", tls_advice(reason))]
    Tls {
        /// The address of the page.
        url: String,
        /// Its host.
        host: String,
        /// What was wrong.
        reason: String,
    },
    /// It took too long.
    #[error("{url} could not be fetched: {phase} within {after:?}; try again later, or allow more time")]
    Timeout {
        /// The address of the page.
        url: String,
        /// What was waited for.
        phase: Phase,
        /// For how long.
        after: Duration,
    },
    /// The page is larger than allowed.
    #[error("{url} was not fetched: it has more than {limit} bytes, which is the most that is taken")]
    TooLarge {
        /// The address of the page.
        url: String,
        /// How many bytes are taken at most, decompressed.
        limit: u64,
    },
    /// A page redirects to one that redirected to it.
    #[error("{requested} was not fetched: its redirects go in a circle: {}", chain(hops))]
    RedirectLoop {
        /// The address that was asked for.
        requested: String,
        /// All that was visited, in order. The last is one of those before.
        hops: Vec<Url>,
    },
    /// More redirects than are followed.
    #[error("{requested} was not fetched: it redirects more than {limit} times: {}", chain(hops))]
    TooManyRedirects {
        /// The address that was asked for.
        requested: String,
        /// How many are followed.
        limit: usize,
        /// All that was visited, in order, and at last what would have come next.
        hops: Vec<Url>,
    },
    /// A redirect leads nowhere.
    #[error("{url} could not be fetched: it redirects to {location:?}, and {reason}")]
    RedirectInvalid {
        /// The page that redirects.
        url: String,
        /// Where it says to go.
        location: String,
        /// What is wrong with that.
        reason: &'static str,
    },
    /// The site answers with something else than the page.
    #[error("{url} could not be fetched: the site says {code}; {}", status_advice(*code, *retry_after))]
    Status {
        /// The address of the page.
        url: String,
        /// The status.
        code: StatusCode,
        /// When the site says to come back, from its answer on.
        retry_after: Option<Duration>,
    },
    /// The site asks crawlers not to take the page.
    #[error("{url} was not fetched: {refusal}; a page that you may take all the same is had with --ignore-robots")]
    Robots {
        /// The address of the page.
        url: String,
        /// What the site's robots.txt says, or why it could not be read.
        refusal: Refusal,
    },
    /// The page is compressed in a way that can't be undone.
    #[error("{url} could not be fetched: what it sent as {encoding:?} cannot be decompressed: {reason}")]
    BadEncoding {
        /// The address of the page.
        url: String,
        /// Its Content-Encoding.
        encoding: String,
        /// What is wrong.
        reason: String,
    },
    /// The connection ended before the page did. What had come is no page, and is not given.
    #[error("{url} could not be fetched: the connection ended before the page did ({reason}); try again later")]
    CutOff {
        /// The address of the page.
        url: String,
        /// What was said.
        reason: String,
    },
    /// What came is not HTTP as it should be.
    #[error("{url} could not be fetched: the answer is not valid HTTP: {reason}")]
    Protocol {
        /// The address of the page.
        url: String,
        /// What is wrong.
        reason: String,
    },
}

impl FetchError {
    /// Whether it may be otherwise later, so that trying again makes sense.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Dns { .. } | Self::Connect { .. } | Self::Timeout { .. } | Self::CutOff { .. } => true,
            Self::Status { code, .. } => is_transient(*code),
            Self::Robots { refusal, .. } => refusal.is_transient(),
            Self::NotHttp { .. }
            | Self::PrivateAddress { .. }
            | Self::Tls { .. }
            | Self::TooLarge { .. }
            | Self::RedirectLoop { .. }
            | Self::TooManyRedirects { .. }
            | Self::RedirectInvalid { .. }
            | Self::BadEncoding { .. }
            | Self::Protocol { .. } => false,
        }
    }

    /// How long the site asks to wait before anything is asked of it again, counted from its answer.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            Self::Robots { refusal: Refusal::Status { retry_after, .. }, .. } => *retry_after,
            Self::Robots { .. }
            | Self::NotHttp { .. }
            | Self::PrivateAddress { .. }
            | Self::Dns { .. }
            | Self::Connect { .. }
            | Self::Tls { .. }
            | Self::Timeout { .. }
            | Self::TooLarge { .. }
            | Self::RedirectLoop { .. }
            | Self::TooManyRedirects { .. }
            | Self::RedirectInvalid { .. }
            | Self::BadEncoding { .. }
            | Self::CutOff { .. }
            | Self::Protocol { .. } => None,
        }
    }
}

/// What was waited for in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// A connection: the name's addresses, TCP and TLS.
    Connect,
    /// The head of the answer.
    Answer,
    /// The next piece of the body.
    Silence,
    /// The end of the body.
    Body,
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Connect => "there was no connection",
            Self::Answer => "there was no answer",
            Self::Silence => "nothing more of the page came",
            Self::Body => "the page was not complete",
        })
    }
}

/// Whether a status is one of the moment.
pub(super) fn is_transient(code: StatusCode) -> bool {
    const LASTING: [StatusCode; 2] = [StatusCode::NOT_IMPLEMENTED, StatusCode::HTTP_VERSION_NOT_SUPPORTED];
    const OF_THE_MOMENT: [StatusCode; 3] =
        [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS];
    OF_THE_MOMENT.contains(&code) || (code.is_server_error() && !LASTING.contains(&code))
}

fn status_advice(code: StatusCode, retry_after: Option<Duration>) -> String {
    if let Some(wait) = retry_after {
        return format!("it asks to come back in {} s", wait.as_secs());
    }
    match code.as_u16() {
        404 | 410 => "check the address, or the page is gone",
        401 | 402 | 403 | 407 | 451 => "it does not give the page to us",
        429 => "it gets too many requests; try again later, and less often",
        _ if is_transient(code) => "try again later",
        _ => "it has no page to give at this address",
    }
    .to_owned()
}

/// Certificates that nobody vouches for are mostly of a machine that knows no authorities.
fn tls_advice(reason: &str) -> &'static str {
    if reason.contains("UnknownIssuer") || reason.contains("no certificate authorities") {
        "; the machine's list of authorities may be missing: install ca-certificates, or name a file in SSL_CERT_FILE"
    } else {
        ""
    }
}

fn chain(hops: &[Url]) -> String {
    hops.iter().map(Url::as_str).collect::<Vec<_>>().join(" → ")
}
