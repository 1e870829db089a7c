//! The web pages: a real listener, and HTTP as a browser speaks it.

mod access;
mod blame;
mod cdx;
mod connections;
mod events;
mod feeds;
mod headers;
mod hostile;
mod memento;
mod pages;
mod sitemap;
mod states;
mod tls;

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use dateline::internals::access::Access;
use dateline::internals::archive::{Archive, Options as ArchiveOptions};
use dateline::internals::clock::{Clock, ManualClock};
use dateline::internals::proof::LogKey;
use dateline::internals::server::Signer;
use dateline::internals::web::{Options, Server, Sources};
use dateline::model::{ArticleName, Content, Limits, Timestamp};
use dateline::{BlockKind, Observation};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Pages over an archive in memory, whose clock stands where it is set.
pub(crate) struct Site {
    pub(crate) archive: Arc<Archive>,
    pub(crate) clock: Arc<ManualClock>,
    address: SocketAddr,
    serving: JoinHandle<std::convert::Infallible>,
}

impl Drop for Site {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Parses an instant.
pub(crate) fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Parses a name such as `express/harbour`.
pub(crate) fn name(text: &str) -> ArticleName {
    text.parse().unwrap()
}

/// A content of one paragraph.
pub(crate) fn content(headline: &str, text: &str) -> Content {
    Content::new(headline).paragraph(text)
}

/// An answer to a request.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        assert_eq!((self.status, self.header("content-type")), (200, Some("application/json")), "{self:?}");
        serde_json::from_str(&self.body).unwrap()
    }

    /// Fails unless the page has all of these.
    #[track_caller]
    pub(crate) fn shows(&self, expected: &[&str]) {
        for text in expected {
            assert!(self.body.contains(text), "no {text:?} in {}", self.body);
        }
    }

    /// Fails if the page has any of these.
    #[track_caller]
    pub(crate) fn hides(&self, secrets: &[&str]) {
        for text in secrets {
            assert!(!self.body.contains(text), "{text:?} in {}", self.body);
        }
    }
}

/// What access rules a site has.
pub(crate) enum Rules {
    /// None, since callers are not told apart.
    Off,
    /// Those of this file.
    Of(Arc<Access>),
}

impl Site {
    /// Pages on loopback that show everything.
    pub(crate) async fn open() -> Self {
        Self::with(Rules::Off, Options::default()).await
    }

    pub(crate) async fn with(rules: Rules, options: Options) -> Self {
        let clock = Arc::new(ManualClock::new(time("2026-06-10T12:00:00Z")));
        Self::with_clock(rules, options, Arc::clone(&clock), clock).await
    }

    /// Pages over an archive whose clock shows `clock` in some way.
    pub(crate) async fn with_clock(
        rules: Rules,
        options: Options,
        clock: Arc<ManualClock>,
        archive_clock: Arc<dyn Clock>,
    ) -> Self {
        let archive = Arc::new(Archive::in_memory_with(&ArchiveOptions::default(), archive_clock).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let access = match rules {
            Rules::Off => None,
            Rules::Of(access) => Some(access),
        };
        let signer = Signer::from_pem(LogKey::generate().unwrap().as_bytes(), "example.org/log").unwrap();
        let sources = Sources {
            archive: Arc::clone(&archive),
            access,
            signer: Some(Arc::new(signer)),
            limits: Limits::default(),
        };
        let serving = tokio::spawn(Server::new(listener, sources, options).unwrap().run());
        Self { archive, clock, address, serving }
    }

    /// Records a content as seen at a time.
    pub(crate) async fn record(&self, article: &str, content: Content, at: &str) {
        self.observe(article, Observation::new(content).observed_at(time(at))).await;
    }

    pub(crate) async fn observe(&self, article: &str, observation: Observation) {
        self.archive.record(&name(article), observation).await.unwrap();
    }

    /// The harbour bridge: three revisions, the last of them archived late.
    pub(crate) async fn with_bridge(self) -> Self {
        let first = content("Bridge to close in June", "Lorries will cross by ferry.");
        let second = content("Bridge closes today", "Lorries cross by ferry. Cars go round by Westport.");
        self.record("express/harbour", first.clone(), "2026-05-01T09:00:00Z").await;
        self.clock.set(time("2026-06-11T12:00:00Z"));
        self.record("express/harbour", second, "2026-06-02T08:00:00Z").await;
        self.clock.set(time("2026-06-12T12:00:00Z"));
        let late = first.block(BlockKind::CorrectionNote { text: "It will close on 2 June.".to_owned() });
        self.record("express/harbour", late, "2026-05-20T08:00:00Z").await;
        self
    }

    /// A connection of its own.
    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[]).await
    }

    /// Sends a request, and reads the answer to its end.
    pub(crate) async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut connection = self.connect().await;
        let host = headers.iter().find(|(name, _)| *name == "host").map_or("localhost", |(_, host)| host);
        let mut request = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n");
        for (name, value) in headers.iter().filter(|(name, _)| *name != "host") {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        connection.write_all(format!("{request}\r\n").as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        // A connection that is closed before its request is read to the end is reset.
        drop(connection.read_to_end(&mut bytes).await);
        answer(&bytes)
    }

    /// All addresses of pages about the bridge and the archive.
    pub(crate) fn addresses() -> [&'static str; 15] {
        [
            "/",
            "/changes",
            "/takedowns",
            "/sources",
            "/status",
            "/s/express",
            "/a/express/harbour",
            "/a/express/harbour?at=2026-05-10T00%3A00%3A00Z",
            "/a/express/harbour/history",
            "/a/express/harbour/r/1",
            "/a/express/harbour/diff/1..2",
            "/a/express/harbour/diff/1..2?view=side",
            "/a/express/harbour/diff/..3",
            "/a/express/harbour/blame",
            "/a/express/harbour/calendar/2026",
        ]
    }
}

fn answer(bytes: &[u8]) -> Answer {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).unwrap().parse().unwrap();
    let headers = lines.filter_map(|line| line.split_once(": "));
    let headers: Vec<_> = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
    let is_chunked = headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked");
    let body = if is_chunked { dechunked(body) } else { body.to_owned() };
    Answer { status, headers, body }
}

/// The body of chunks, which are text.
fn dechunked(mut chunks: &str) -> String {
    let mut body = String::new();
    while let Some((length, rest)) = chunks.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).unwrap();
        if length == 0 {
            break;
        }
        body.push_str(&rest[..length]);
        chunks = rest[length..].trim_start_matches("\r\n");
    }
    body
}

/// The address of a page's JSON.
pub(crate) fn twin(address: &str) -> String {
    let (path, query) =
        address.split_once('?').map_or((address, String::new()), |(path, query)| (path, format!("?{query}")));
    let path = if path == "/" { "/index" } else { path };
    format!("{path}.json{query}")
}

/// Rules in a directory.
pub(crate) fn rules(directory: &TempDir, text: &str) -> Arc<Access> {
    write_rules(directory.path(), text);
    let clock = Arc::new(ManualClock::new(time("2026-06-10T12:00:00Z")));
    Arc::new(Access::open(directory.path(), clock).unwrap())
}

pub(crate) fn write_rules(directory: &Path, text: &str) {
    let path = directory.join("access.toml");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
}
