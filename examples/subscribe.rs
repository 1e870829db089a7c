//! Follows the change feed of a server, stops, and resumes where it stopped after the server was restarted.
//!
//! `cargo run --example subscribe` starts a server of its own on a free port, with an archive in a temporary directory.
//! A program that follows another server needs [`follow_from`] only, and `features = ["client"]`. The token of the last
//! bookmark is all that it has to keep: it never expires, and no change is missing or comes twice.

#![allow(clippy::print_stdout, reason = "an example shows its result")]

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use dateline::server::{self, ServeError};
use dateline::{Archive, Client, Followed, pb};
use pb::feed_start::Position;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    for line in follow_over_a_restart(&directory.path().join("archive")).await? {
        println!("{line}");
    }
    Ok(())
}

async fn follow_over_a_restart(archive: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let server = Server::start(archive).await?;
    record(&server.address, "bridge").await?;
    let (mut lines, token) = follow_from(&server.address, Position::Beginning(true)).await?;
    record(&server.address, "ferry").await?;
    server.stop().await?;

    let server = Server::start(archive).await?;
    record(&server.address, "harbour").await?;
    let (more, _) = follow_from(&server.address, Position::ResumeToken(token)).await?;
    lines.push("after a restart:".to_owned());
    lines.extend(more);
    server.stop().await?;
    Ok(lines)
}

/// The changes from a position to the current end of the log, and the token to resume after them. Without
/// `end_when_caught_up` it would wait for more, and reconnect whenever the connection breaks.
async fn follow_from(address: &str, position: Position) -> Result<(Vec<String>, String), Box<dyn Error>> {
    let start = Some(pb::FeedStart { position: Some(position) });
    let request = pb::SubscribeRequest { start, end_when_caught_up: true, ..pb::SubscribeRequest::default() };
    let mut events = Client::connect(address).await?.follow(request);
    let (mut changes, mut token) = (Vec::new(), String::new());
    while let Some(event) = events.next().await {
        match event? {
            Followed::Change(change) => {
                let kind = change.kind().as_str_name().trim_start_matches("CHANGE_KIND_").to_lowercase();
                changes.push(format!("{} {kind} {}", change.seq, change.article));
            }
            // Everything before a bookmark was handed out: once it is processed, store the token.
            Followed::Bookmark(bookmark) => token = bookmark.resume_token,
            Followed::Started { .. }
            | Followed::Article(_)
            | Followed::SnapshotEnd
            | Followed::CaughtUp
            | Followed::FellBehind { .. }
            | Followed::Lost { .. } => {}
        }
    }
    Ok((changes, token))
}

async fn record(address: &str, id: &str) -> Result<(), Box<dyn Error>> {
    let paragraph = pb::block::Kind::Paragraph(pb::Paragraph { text: "Lorries cross by ferry.".to_owned() });
    let blocks = vec![pb::Block { kind: Some(paragraph), ..pb::Block::default() }];
    let request = pb::RecordObservationRequest {
        parent: "sources/gazette".to_owned(),
        article_id: id.to_owned(),
        content: Some(pb::Content { headline: format!("The {id}"), blocks, ..pb::Content::default() }),
        ..pb::RecordObservationRequest::default()
    };
    Client::connect(address).await?.archive.record_observation(request).await?;
    Ok(())
}

/// A server of this process. `dateline serve` is a server of its own.
struct Server {
    address: String,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<Result<(), ServeError>>,
}

impl Server {
    async fn start(archive: &Path) -> Result<Self, Box<dyn Error>> {
        let archive = Arc::new(Archive::open(archive)?);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = format!("http://{}", listener.local_addr()?);
        let (stop, stopped) = oneshot::channel();
        let stopped = async { stopped.await.unwrap_or_default() };
        let serving = tokio::spawn(server::serve(vec![listener.into()], archive, server::Options::default(), stopped));
        Ok(Self { address, stop, serving })
    }

    async fn stop(self) -> Result<(), Box<dyn Error>> {
        // If the server has ended already, its result says why.
        let _ = self.stop.send(());
        Ok(self.serving.await??)
    }
}

#[cfg(test)]
#[tokio::test]
async fn a_consumer_resumes_where_it_stopped() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let expected = [
        "0 created sources/gazette/articles/bridge",
        "after a restart:",
        "1 created sources/gazette/articles/ferry",
        "2 created sources/gazette/articles/harbour",
    ];
    assert_eq!(follow_over_a_restart(&directory.path().join("archive")).await?, expected);
    Ok(())
}
