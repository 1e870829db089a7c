//! A client of pages: HTTP/2 over one connection, as a call has it.

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::load::Caller;

/// A connection to pages.
#[derive(Clone)]
pub(crate) struct Browser {
    host: String,
    sender: SendRequest<Empty<Bytes>>,
}

impl Browser {
    /// Connects to `host`, an address with a port.
    pub(crate) async fn connect(host: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(host).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self { host: host.to_owned(), sender })
    }

    /// Asks for a path, as it was then.
    pub(crate) async fn get(
        &mut self,
        path: &str,
        then: Option<&HeaderValue>,
    ) -> anyhow::Result<http::Response<Incoming>> {
        let mut request = Request::get(format!("http://{}{path}", self.host)).body(Empty::new())?;
        if let Some(then) = then {
            request.headers_mut().insert("accept-datetime", then.clone());
        }
        self.sender.ready().await?;
        Ok(self.sender.send_request(request).await?)
    }
}

/// Asks for pages, one after the other, and reads each to its end.
pub(crate) struct Visitor {
    browser: Browser,
    paths: Vec<String>,
    /// As of when, in the words of Memento.
    then: Option<HeaderValue>,
    expected: StatusCode,
    next: usize,
    /// The bytes of the pages read.
    pub(crate) bytes: usize,
}

impl Visitor {
    pub(crate) fn new(browser: Browser, paths: Vec<String>, then: Option<HeaderValue>, expected: StatusCode) -> Self {
        Self { browser, paths, then, expected, next: 0, bytes: 0 }
    }

    /// The mean size of a page.
    pub(crate) fn page_bytes(&self) -> usize {
        self.bytes / self.next.max(1)
    }
}

impl Caller for Visitor {
    async fn call(&mut self) -> anyhow::Result<bool> {
        let Some(path) = self.paths.get(self.next % self.paths.len().max(1)).cloned() else { return Ok(false) };
        self.next += 1;
        let response = self.browser.get(&path, self.then.as_ref()).await?;
        anyhow::ensure!(response.status() == self.expected, "{path}: {}", response.status());
        self.bytes += response.into_body().collect().await?.to_bytes().len();
        Ok(true)
    }
}
