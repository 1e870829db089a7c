//! Offers what an operator sees to monitoring, over HTTP: `/metrics` in the text format of OpenMetrics, and `/healthz`.
//!
//! It reads counts that the layers below keep anyway, and they do not know it. A scrape waits for no write, and no write
//! for a scrape. What takes a look at the disk is left out if the disk does not answer soon, so that the rest can still
//! be seen when the disk hangs.
//!
//! Anyone who can connect may read, so the address should be one that only monitoring reaches. Connections are few and
//! short: each carries one request.

mod page;
mod process;

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use self::page::Page;
use crate::archive::Archive;
use crate::archive::stats::DiskStats;
use crate::server::Stats;
use crate::service::{Signer, Webhooks};
use crate::web;

/// The connections that may be open at once. More are closed at once.
const CONNECTIONS_MAX: usize = 16;
/// How long a client may take to send its request.
const REQUEST_WITHIN: Duration = Duration::from_secs(5);
/// How long a connection may last altogether.
const CONNECTION_WITHIN: Duration = Duration::from_secs(15);
/// How long a scrape waits for the disk.
const DISK_WITHIN: Duration = Duration::from_secs(1);
/// The pause after a failed accept, so that a process without free descriptors does not retry in a busy loop.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(100);
/// The media type of the format: OpenMetrics 1.0.0, section "Content Type".
const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// What is shown.
pub struct Sources {
    /// The archive.
    pub archive: Arc<Archive>,
    /// What its server counts.
    pub stats: Arc<Stats>,
    /// Who signs its checkpoints.
    pub signer: Option<Arc<Signer>>,
    /// Its webhooks.
    pub webhooks: Option<Arc<Webhooks>>,
    /// What its pages count; `None` if it shows none.
    pub pages: Option<Arc<web::Stats>>,
}

/// Answers requests on `listener`. Does not return.
pub async fn serve(listener: TcpListener, sources: Sources) -> Infallible {
    let pages = Arc::new(Pages { sources, disk_turn: Arc::new(Semaphore::new(1)) });
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        match accept(&listener, &places).await {
            Ok(Some((stream, place))) => drop(tokio::spawn(answer(stream, place, Arc::clone(&pages)))),
            Ok(None) => {}
            Err(error) => {
                tracing::debug!(%error, "a connection to the metrics was not accepted");
                tokio::time::sleep(ACCEPT_AGAIN_AFTER).await;
            }
        }
    }
}

/// The next connection and its place; `None` if there was no place for it.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<Option<(TcpStream, OwnedSemaphorePermit)>> {
    let (stream, _) = listener.accept().await?;
    Ok(Arc::clone(places).try_acquire_owned().ok().map(|place| (stream, place)))
}

/// Answers the one request of a connection.
async fn answer(stream: TcpStream, place: OwnedSemaphorePermit, pages: Arc<Pages>) {
    let service = service_fn(move |request| {
        let pages = Arc::clone(&pages);
        async move { Ok::<_, Infallible>(pages.respond(&request).await) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(REQUEST_WITHIN).keep_alive(false);
    let connection = http.serve_connection(TokioIo::new(stream), service);
    // A client that is gone or too slow asks again.
    drop(tokio::time::timeout(CONNECTION_WITHIN, connection).await);
    drop(place);
}

/// The pages that are shown.
struct Pages {
    sources: Sources,
    /// Held during a look at the disk. Otherwise, each scrape while the disk hangs would take one more thread.
    disk_turn: Arc<Semaphore>,
}

impl Pages {
    async fn respond(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let is_get = request.method() == Method::GET;
        match request.uri().path() {
            "/metrics" | "/healthz" if !is_get => {
                let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "only GET is answered here\n");
                response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
                response
            }
            "/metrics" => match self.page().await.encode() {
                Ok(page) => respond(StatusCode::OK, OPEN_METRICS, page),
                Err(error) => {
                    tracing::error!(%error, "the metrics could not be written");
                    text(StatusCode::INTERNAL_SERVER_ERROR, "the metrics could not be written\n")
                }
            },
            "/healthz" if self.sources.archive.has_failed() => {
                text(StatusCode::SERVICE_UNAVAILABLE, "the storage failed; restart the server\n")
            }
            "/healthz" => text(StatusCode::OK, "serving\n"),
            _ => text(StatusCode::NOT_FOUND, "there is only /metrics and /healthz\n"),
        }
    }

    /// Reads all that is shown.
    async fn page(&self) -> Page {
        let disk = tokio::time::timeout(DISK_WITHIN, self.disk()).await;
        Page::new(&self.sources, disk.ok().flatten())
    }

    /// What takes a look at the disk, one scrape after the other. A look ends when the disk answers, even if its scrape
    /// has ended. `None` if it fails: that the storage failed is shown anyway.
    async fn disk(&self) -> Option<DiskStats> {
        let turn = Arc::clone(&self.disk_turn).acquire_owned().await.ok()?;
        let archive = Arc::clone(&self.sources.archive);
        let look = tokio::spawn(async move {
            let _turn = turn;
            archive.disk_stats().await.ok()
        });
        look.await.ok().flatten()
    }
}

fn text(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    respond(status, TEXT, text)
}

fn respond(status: StatusCode, media_type: HeaderValue, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, media_type);
    response
}
