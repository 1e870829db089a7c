//! A real server on a port of its own, with a real archive in a temporary directory.

use std::path::Path;
use std::sync::Arc;

use dateline::internals::archive::{Archive, Options};
use dateline::internals::client::Client;
use dateline::internals::clock::{Clock, SystemClock};
use dateline::internals::server::{self, ServeError};
use dateline::internals::store::engine::lock::Holder;
use dateline::internals::wire::pb;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::transport::{Channel, Endpoint};

/// A server that runs until it is stopped.
pub(crate) struct TestServer {
    pub(crate) url: String,
    pub(crate) archive: Arc<Archive>,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<Result<(), ServeError>>,
}

impl TestServer {
    /// Serves the archive in `directory`, which is created if need be.
    pub(crate) async fn on_directory(directory: &Path) -> Self {
        Self::with_options(directory, server::Options::default()).await
    }

    /// Serves the archive in `directory`, which is created if need be, with other options than the default.
    pub(crate) async fn with_options(directory: &Path, options: server::Options) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let (archive, _) = Archive::open_or_create(directory, &Options::default(), clock, holder()).unwrap();
        Self::over(archive, options).await
    }

    /// Serves an open archive.
    pub(crate) async fn over(archive: Archive, options: server::Options) -> Self {
        let archive = Arc::new(archive);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel::<()>();
        let stopped = async move { drop(stopped.await) };
        let serving = tokio::spawn(server::serve(vec![listener.into()], Arc::clone(&archive), options, stopped));
        Self { url, archive, stop, serving }
    }

    /// A client with a connection of its own.
    pub(crate) async fn client(&self) -> Client {
        Client::connect(&self.url).await.unwrap()
    }

    /// A connection of its own.
    pub(crate) async fn channel(&self) -> Channel {
        Endpoint::from_shared(self.url.clone()).unwrap().connect().await.unwrap()
    }

    /// Shuts down as on a signal, and waits until the archive is closed.
    pub(crate) async fn stop(self) {
        self.stop.send(()).unwrap();
        self.serving.await.unwrap().unwrap();
        let archive = Arc::try_unwrap(self.archive).ok().expect("nothing else holds the archive any more");
        drop(archive);
    }

    /// Shuts down as on a signal, although clients may still be connected.
    pub(crate) async fn stop_serving(self) {
        self.stop.send(()).unwrap();
        self.serving.await.unwrap().unwrap();
    }

    /// Waits until the server ends by itself, and returns how.
    pub(crate) async fn ended(self) -> Result<(), ServeError> {
        self.serving.await.unwrap()
    }
}

/// A server on a directory that exists as long as the test.
pub(crate) async fn fresh() -> (TempDir, TestServer, Client) {
    let directory = TempDir::new().unwrap();
    let server = TestServer::on_directory(directory.path()).await;
    let client = server.client().await;
    (directory, server, client)
}

pub(crate) fn holder() -> Holder {
    Holder { pid: std::process::id(), command: "test".into(), since: "2026-01-01T00:00:00Z".into() }
}

/// A content with a headline and one paragraph.
pub(crate) fn content(headline: &str, text: &str) -> pb::Content {
    pb::Content { headline: headline.into(), blocks: vec![paragraph(text)], ..pb::Content::default() }
}

pub(crate) fn paragraph(text: &str) -> pb::Block {
    let kind = pb::block::Kind::Paragraph(pb::Paragraph { text: text.into() });
    pb::Block { kind: Some(kind), confidence_percent: 0 }
}

/// A request to record `text` for `sources/courier/articles/{id}`.
pub(crate) fn publish(id: &str, text: &str) -> pb::RecordObservationRequest {
    pb::RecordObservationRequest {
        parent: "sources/courier".into(),
        article_id: id.into(),
        content: Some(content("Bridge to close", text)),
        ..pb::RecordObservationRequest::default()
    }
}

pub(crate) fn name(id: &str) -> String {
    format!("sources/courier/articles/{id}")
}

/// This many seconds after the start of 2026.
pub(crate) fn at(seconds: i64) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: 1_767_225_600 + seconds, nanos: 0 }
}
