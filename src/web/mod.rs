//! Pages for readers, over HTTP/1.1 and HTTP/2: what an article said, its history, what changed, and the newest changes.
//!
//! ```text
//! connection ──▶ front: host, method, twin ──▶ route ──▶ page: read messages ──▶ view model ──▶ template
//!                                                            │                                     │
//!                                             the handlers of `service`, as the visitor       HTML, or JSON
//! ```
//!
//! A page shows messages of the contract, which it reads from the handlers of the gRPC service, as any caller would. So
//! a visitor sees nothing that the service would not return, and the JSON of a page is the message that it shows.
//!
//! Invariants:
//! - Nothing is written: there is no route to a write.
//! - What the visitor may not read is shown as if it did not exist.
//! - All text is escaped by the templates, and made visible first ([`crate::model::unseen`]).
//! - Memory is bounded: connections, requests in progress on one, and all that clients have not read yet, of pages and of
//!   streams.
//!
//! docs/WEB.md has the addresses, which stay as they are.

mod activity;
mod assets;
mod budget;
mod cdx;
mod connections;
mod events;
mod feeds;
mod front;
mod log;
mod memento;
mod origins;
mod pages;
pub mod paths;
mod problem;
mod progress;
mod proxies;
mod rates;
mod reads;
mod respond;
mod row;
mod shown;
mod sitemap;
mod stats;
mod turns;
mod visit;
mod visitors;

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use url::Url;

use self::activity::SharedActivity;
use self::budget::Budget;
use self::connections::Connections;
use self::events::EventPages;
pub use self::proxies::{Network, TrustedProxies};
use self::rates::Rates;
use self::reads::Reads;
pub use self::stats::Stats;
use self::turns::Turns;
use self::visitors::Visitors;
use crate::access::Access;
use crate::archive::Archive;
use crate::model::Limits;
use crate::server::Tls;
use crate::service::{PerPeer, Signer};

/// What the pages are made from.
#[derive(Clone)]
pub struct Sources {
    /// The archive.
    pub archive: Arc<Archive>,
    /// Who may do what; `None` if callers are not told apart, and each may do everything.
    pub access: Option<Arc<Access>>,
    /// Who signs checkpoints and proofs.
    pub signer: Option<Arc<Signer>>,
    /// The limits of the server.
    pub limits: Limits,
}

/// Options of the pages.
#[derive(Clone, Debug)]
pub struct Options {
    /// The address under which readers know the pages, such as `https://archive.example.org/`. Without one, pages on
    /// loopback are for this machine alone.
    pub url: Option<Url>,
    /// Whether search engines may fetch the pages. Default: no.
    pub index: bool,
    /// Encrypts the connections. Default: nothing does.
    pub tls: Option<Tls>,
    /// How often the files of [`Self::tls`] are read again. Default 10 s.
    pub tls_files_every: Duration,
    /// Requests that one peer may make in a second, on average; 0 for any number. Default 100.
    pub requests_per_second_max: u32,
    /// Reverse proxies whose clients have limits of their own, by `X-Forwarded-For`. Default: none.
    pub trusted_proxies: TrustedProxies,
    /// Connections that may be open. Default 10,000.
    pub connections_max: usize,
    /// Connections that one peer may have open; a trusted proxy may have all. Default: half of all.
    pub connections_per_peer_max: Option<usize>,
    /// Streams of changes that may be open, over all connections; half of them by one peer. Default 10,000.
    pub streams_max: usize,
    /// How long a client may take to send a request, its first one with the TLS handshake. Default 10 s.
    pub request_within: Duration,
    /// How long a client may take nothing of a response before its HTTP/1.1 connection is closed, or its HTTP/2 stream
    /// reset. Default 60 s.
    pub stalled_after: Duration,
    /// How often a stream of changes without a change sends where it is. Default 20 s.
    pub heartbeat_every: Duration,
    /// Where to count connections, requests and streams.
    pub stats: Arc<Stats>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            url: None,
            index: false,
            tls: None,
            tls_files_every: Duration::from_secs(10),
            requests_per_second_max: 100,
            trusted_proxies: TrustedProxies::default(),
            connections_max: 10_000,
            connections_per_peer_max: None,
            streams_max: 10_000,
            request_within: Duration::from_secs(10),
            stalled_after: Duration::from_secs(60),
            heartbeat_every: Duration::from_secs(20),
            stats: Arc::default(),
        }
    }
}

/// Pages with a listener.
pub struct Server {
    listener: TcpListener,
    connections: Connections,
    site: Arc<Site>,
}

/// What all requests share.
struct Site {
    reads: Reads,
    visitors: Visitors,
    events: EventPages,
    /// The streams of each peer.
    streams: PerPeer,
    activity: SharedActivity,
    turns: Turns,
    budget: Budget,
    rates: Rates,
    options: Options,
    /// The address of the pages, with a slash at its end.
    origin: Url,
    /// The hosts that a request may name; empty for any.
    hosts: Vec<String>,
}

impl Server {
    /// Prepares pages on `listener`. Fails if the listener has no address.
    pub fn new(listener: TcpListener, sources: Sources, options: Options) -> std::io::Result<Self> {
        let address = listener.local_addr()?;
        let origin = options.url.clone().map_or_else(|| local_origin(address, options.tls.is_some()), Ok)?;
        let is_loopback = address.ip().to_canonical().is_loopback();
        let shows_all = is_loopback && options.url.is_none();
        let site = Site {
            visitors: Visitors::new(sources.access.clone(), shows_all),
            hosts: hosts(is_loopback, options.url.as_ref()),
            events: EventPages::default(),
            streams: PerPeer::default(),
            activity: SharedActivity::default(),
            reads: Reads::new(sources, &options, origin.clone()),
            turns: Turns::default(),
            budget: Budget::default(),
            rates: Rates::new(options.requests_per_second_max),
            origin,
            options: options.clone(),
        };
        Ok(Self { listener, connections: Connections::new(&options), site: Arc::new(site) })
    }

    /// The address of the pages.
    pub fn url(&self) -> &Url {
        &self.site.origin
    }

    /// What visitors may read now, for the log.
    pub fn visibility(&self) -> &'static str {
        self.site.visitors.describe()
    }

    /// Answers requests. Does not return; connections end when this is dropped.
    pub async fn run(self) -> Infallible {
        let Self { listener, connections, site } = self;
        let front = front::Front::new(Arc::clone(&site));
        tokio::select! {
            never = connections.serve(listener, front) => never,
            never = Tls::follow(site.options.tls.as_ref(), site.options.tls_files_every) => never,
        }
    }
}

/// The address of pages that have no public one.
fn local_origin(address: SocketAddr, is_encrypted: bool) -> std::io::Result<Url> {
    let scheme = if is_encrypted { "https" } else { "http" };
    let host = match address.ip() {
        ip if ip.is_unspecified() => format!("localhost:{}", address.port()),
        IpAddr::V4(_) | IpAddr::V6(_) => address.to_string(),
    };
    Url::parse(&format!("{scheme}://{host}/")).map_err(std::io::Error::other)
}

/// The hosts that a request may name. Without this check on loopback, a page on the web could have its own host name
/// lead there, and read the archive with the visitor's browser (DNS rebinding).
fn hosts(is_loopback: bool, url: Option<&Url>) -> Vec<String> {
    let local = ["localhost", "127.0.0.1", "[::1]"].map(str::to_owned);
    let public = url.and_then(Url::host_str).map(str::to_owned);
    match (is_loopback, public) {
        (true, public) => local.into_iter().chain(public).collect(),
        (false, Some(public)) => local.into_iter().chain([public]).collect(),
        (false, None) => Vec::new(),
    }
}
