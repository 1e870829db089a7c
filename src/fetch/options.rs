//! What a fetcher can be told.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use rustls::pki_types::CertificateDer;

use super::{Network, SystemNetwork};

/// What a fetcher can be told. The default is meant for pages of the open web.
#[derive(Clone)]
pub struct Options {
    /// How we present ourselves to sites.
    pub user_agent: HeaderValue,
    /// How long a connection may take: the name's addresses, TCP and TLS together. Default 10 s.
    pub connect_timeout: Duration,
    /// How long the site may be silent: before its answer begins, and between two pieces of it. Default 20 s.
    pub idle_timeout: Duration,
    /// How long a page may take in total, over all redirects and to the last byte. Default 60 s. Waiting for a turn at the
    /// host isn't counted, and a robots.txt that has to be had first may take as long again.
    pub timeout: Duration,
    /// How many bytes a page may have, decompressed. Default 16 MiB.
    pub body_bytes_max: u64,
    /// How many bytes the head of an answer may have, at least 8192. Default 64 KiB. Heads are taken up to twice as large:
    /// it is looked at between two readings.
    pub head_bytes_max: usize,
    /// How many headers an answer may have. Default 256.
    pub headers_max: usize,
    /// How many redirects are followed. Default 10.
    pub redirects_max: usize,
    /// Whether a page may be taken from this machine or a private network. Default no.
    pub allow_private: bool,
    /// Whether the site's robots.txt is obeyed. Default yes.
    pub obey_robots: bool,
    /// How many pages are taken from one host at once, at least 1. Default 2.
    pub per_host_max: usize,
    /// Authorities that are trusted beside those of the machine. Default none.
    pub authorities: Vec<CertificateDer<'static>>,
    /// Where names lead and what connects. Default: the machine's.
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

/// Says what asks, and under which name a robots.txt can address it.
const USER_AGENT: HeaderValue = HeaderValue::from_static(concat!(
    "dateline/",
    env!("CARGO_PKG_VERSION"),
    " (archive of news articles, run by whoever asks; robots.txt: dateline; see its README)"
));
