//! Errors of a fetch. Each message says what happened, at which URL, and what to do.

use std::net::IpAddr;
use std::time::Duration;

use http::StatusCode;
use url::Url;

use super::RobotsRefusal;

/// Why a page could not be fetched. `url` is the URL that failed; after a redirect it differs from the requested one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The fetcher does not fetch URLs of this kind.
    #[error("{url} cannot be fetched: {reason}")]
    NotHttp {
        /// The URL, without user name and password.
        url: String,
        /// What is wrong with the URL, and what to do.
        reason: &'static str,
    },
    /// The host is this machine, or is on a network that is not public.
    #[error("{url} was not fetched: {} not on the public internet", whereabouts(host, *address))]
    PrivateAddress {
        /// The URL of the page.
        url: String,
        /// The host of the URL.
        host: String,
        /// The first of the host's addresses.
        address: IpAddr,
    },
    /// The host name could not be resolved.
    #[error("{url} could not be fetched: the name {host} was not found ({reason}); check the address and the network")]
    Dns {
        /// The URL of the page.
        url: String,
        /// The host of the URL.
        host: String,
        /// The resolver's message, or that the name has no address.
        reason: String,
    },
    /// None of the host's addresses accepted a connection.
    #[error("{url} could not be fetched: no connection to {host} ({reason}); try again later")]
    Connect {
        /// The URL of the page.
        url: String,
        /// The host of the URL.
        host: String,
        /// The message of the last attempt that failed.
        reason: String,
    },
    /// The TLS handshake failed, or the certificate is not trusted.
    #[error("{url} could not be fetched: no secure connection to {host} ({reason}){}", tls_advice(reason))]
    Tls {
        /// The URL of the page.
        url: String,
        /// The host of the URL.
        host: String,
        /// Why the handshake failed, as the TLS library reports it.
        reason: String,
    },
    /// A time limit passed.
    #[error("{url} could not be fetched: {phase} within {after:?}; try again later, or allow more time")]
    Timeout {
        /// The URL of the page.
        url: String,
        /// What the fetcher was waiting for.
        phase: TimeoutPhase,
        /// The limit that passed.
        after: Duration,
    },
    /// The page is larger than allowed.
    #[error("{url} was not fetched: it has more than {limit} bytes, the limit for a page")]
    TooLarge {
        /// The URL of the page.
        url: String,
        /// The limit in bytes, after decompression.
        limit: u64,
    },
    /// A redirect leads to a URL already visited.
    #[error("{requested} was not fetched: its redirects go in a circle: {}", chain(hops))]
    RedirectLoop {
        /// The URL that was requested, before any redirect.
        requested: String,
        /// The URLs visited, in order. The last one also occurs earlier.
        hops: Vec<Url>,
    },
    /// There were more redirects than the limit.
    #[error("{requested} was not fetched: it redirects more than {limit} times: {}", chain(hops))]
    TooManyRedirects {
        /// The URL that was requested, before any redirect.
        requested: String,
        /// The maximum number of redirects followed.
        limit: usize,
        /// The URLs visited, in order, and finally the one that was not followed.
        hops: Vec<Url>,
    },
    /// The target of a redirect cannot be fetched.
    #[error("{url} could not be fetched: it redirects to {location:?}: {reason}")]
    RedirectInvalid {
        /// The URL that redirects.
        url: String,
        /// The Location header, cut at 200 characters.
        location: String,
        /// What is wrong with the target.
        reason: &'static str,
    },
    /// The site answered with a status other than success.
    #[error("{url} could not be fetched: the site says {code}; {}", status_advice(*code, *retry_after))]
    Status {
        /// The URL of the page.
        url: String,
        /// The HTTP status of the response.
        code: StatusCode,
        /// How long the site asks to wait, counted from its response.
        retry_after: Option<Duration>,
    },
    /// The site's robots.txt does not allow fetching the page.
    #[error("{url} was not fetched: {refusal}")]
    Robots {
        /// The URL of the page.
        url: String,
        /// The rule of the site's robots.txt, or why the file could not be read.
        refusal: RobotsRefusal,
    },
    /// The body could not be decompressed.
    #[error("{url} could not be fetched: its {encoding:?} body cannot be decompressed: {reason}")]
    BadEncoding {
        /// The URL of the page.
        url: String,
        /// The Content-Encoding of the response.
        encoding: String,
        /// The decoder's message, or that the encoding is not supported.
        reason: String,
    },
    /// The connection ended before the page was complete. What had arrived is discarded.
    #[error("{url} could not be fetched: the connection ended before the page did ({reason}); try again later")]
    CutOff {
        /// The URL of the page.
        url: String,
        /// The innermost cause of the failure, as a message.
        reason: String,
    },
    /// The response violates HTTP.
    #[error("{url} could not be fetched: the response is not valid HTTP: {reason}")]
    Protocol {
        /// The URL of the page.
        url: String,
        /// How the response violates HTTP.
        reason: String,
    },
}

impl FetchError {
    /// Whether the error may be temporary, so that a retry makes sense.
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

    /// The stable reason, in the form of the reason in `google.rpc.ErrorInfo`.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotHttp { .. } => "NOT_HTTP",
            Self::PrivateAddress { .. } => "PRIVATE_ADDRESS",
            Self::Dns { .. } => "NAME_NOT_FOUND",
            Self::Connect { .. } => "NO_CONNECTION",
            Self::Timeout { .. } => "TIMEOUT",
            Self::CutOff { .. } => "CUT_OFF",
            Self::Status { code, .. } if is_gone(*code) => "NOT_FOUND",
            Self::Status { .. } => "STATUS",
            Self::Robots { .. } => "ROBOTS",
            Self::Tls { .. } => "TLS",
            Self::TooLarge { .. } => "TOO_LARGE",
            Self::RedirectLoop { .. } | Self::TooManyRedirects { .. } | Self::RedirectInvalid { .. } => "REDIRECTS",
            Self::BadEncoding { .. } | Self::Protocol { .. } => "PROTOCOL",
        }
    }

    /// Whether the site says that there is no page at this address: 404 or 410.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Status { code, .. } if is_gone(*code))
    }

    /// How long the site asks to wait before the next request, counted from its response.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            Self::Robots { refusal: RobotsRefusal::Status { retry_after, .. }, .. } => *retry_after,
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

/// What the fetcher was waiting for when a time limit passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeoutPhase {
    /// A connection: DNS, TCP and TLS.
    Connect,
    /// The status line and headers of the response.
    Response,
    /// The next piece of the body.
    Silence,
    /// The end of the body.
    Body,
}

impl std::fmt::Display for TimeoutPhase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Connect => "there was no connection",
            Self::Response => "there was no answer",
            Self::Silence => "no more of the page arrived",
            Self::Body => "the page was not complete",
        })
    }
}

/// Whether a status may be temporary.
pub(super) fn is_transient(code: StatusCode) -> bool {
    const PERMANENT: [StatusCode; 2] = [StatusCode::NOT_IMPLEMENTED, StatusCode::HTTP_VERSION_NOT_SUPPORTED];
    const TEMPORARY: [StatusCode; 3] =
        [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS];
    TEMPORARY.contains(&code) || (code.is_server_error() && !PERMANENT.contains(&code))
}

fn is_gone(code: StatusCode) -> bool {
    matches!(code, StatusCode::NOT_FOUND | StatusCode::GONE)
}

fn status_advice(code: StatusCode, retry_after: Option<Duration>) -> String {
    if let Some(wait) = retry_after {
        return format!("it asks to try again in {} s", wait.as_secs());
    }
    match code.as_u16() {
        404 | 410 => "check the address: the page may be gone",
        401 | 402 | 403 | 407 | 451 => "it does not allow us to read the page",
        429 => "it received too many requests; try again later, and less often",
        _ if is_transient(code) => "try again later",
        _ => "it offers no page at this address",
    }
    .to_owned()
}

/// The beginning of a sentence about a host. It includes the address, unless the host's name is that address.
fn whereabouts(host: &str, address: IpAddr) -> String {
    match host.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(literal) if literal == address => format!("{host} is"),
        Ok(_) | Err(_) => format!("{host} is at {address}, which is"),
    }
}

/// An unknown issuer usually means that this machine has no list of certificate authorities.
fn tls_advice(reason: &str) -> &'static str {
    if reason.contains("UnknownIssuer") || reason.contains("no certificate authorities") {
        "; this machine's certificate authorities may be missing: install ca-certificates, or set SSL_CERT_FILE"
    } else {
        ""
    }
}

fn chain(hops: &[Url]) -> String {
    hops.iter().map(Url::as_str).collect::<Vec<_>>().join(" → ")
}
