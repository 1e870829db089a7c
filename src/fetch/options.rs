//! Limits and behaviour of a fetcher, with their defaults.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use rustls::pki_types::CertificateDer;

use super::{Network, SystemNetwork};

/// Limits and behaviour of a fetcher. The defaults are meant for pages of the open web.
#[derive(Clone)]
pub struct Options {
    /// The User-Agent header of every request. Default: `dateline/` and the version, with a note for site owners.
    pub user_agent: HeaderValue,
    /// Time limit for making a connection: DNS, TCP and TLS together. Default 10 s.
    pub connect_timeout: Duration,
    /// How long the site may be silent, before its response and between two pieces of the response. Default 20 s.
    pub idle_timeout: Duration,
    /// Total time limit for a page, over all redirects and to the last byte. Default 60 s. Waiting for a host permit
    /// does not count. Fetching robots.txt has a separate limit of the same length.
    pub timeout: Duration,
    /// Maximum size of a page after decompression, in bytes. Default 16 MiB.
    pub body_bytes_max: u64,
    /// Maximum size of a response's headers, in bytes; at least 8192. Default 64 KiB. The size is checked between
    /// reads, so that up to twice as much can be accepted.
    pub head_bytes_max: usize,
    /// Maximum number of headers in a response. Default 256.
    pub headers_max: usize,
    /// Maximum number of redirects followed for one page. Default 10.
    pub redirects_max: usize,
    /// Whether pages may be fetched from this machine or a private network. Default no.
    pub allow_private: bool,
    /// Whether robots.txt is fetched and obeyed. Default yes.
    pub obey_robots: bool,
    /// Maximum number of concurrent requests to one host, at least 1. Default 2.
    pub per_host_max: usize,
    /// Certificate authorities to trust in addition to those of the machine. Default none.
    pub authorities: Vec<CertificateDer<'static>>,
    /// Resolves names and opens connections. Default: the machine's network.
    pub network: Arc<dyn Network>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            user_agent: USER_AGENT,
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(20),
            timeout: Duration::from_secs(60),
            body_bytes_max: 16 << 20,
            head_bytes_max: 64 << 10,
            headers_max: 256,
            redirects_max: 10,
            allow_private: false,
            obey_robots: true,
            per_host_max: 2,
            authorities: Vec::new(),
            network: Arc::new(SystemNetwork),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("user_agent", &self.user_agent)
            .field("connect_timeout", &self.connect_timeout)
            .field("idle_timeout", &self.idle_timeout)
            .field("timeout", &self.timeout)
            .field("body_bytes_max", &self.body_bytes_max)
            .field("head_bytes_max", &self.head_bytes_max)
            .field("headers_max", &self.headers_max)
            .field("redirects_max", &self.redirects_max)
            .field("allow_private", &self.allow_private)
            .field("obey_robots", &self.obey_robots)
            .field("per_host_max", &self.per_host_max)
            .finish_non_exhaustive()
    }
}

/// Tells site owners which program fetches their pages and which name to use for it in robots.txt.
const USER_AGENT: HeaderValue = HeaderValue::from_static(concat!(
    "dateline/",
    env!("CARGO_PKG_VERSION"),
    " (archive of news articles, run by its user; robots.txt: dateline; see its README)"
));
