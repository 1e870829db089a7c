//! Follows the change feed, stops, and resumes where it stopped.
//!
//! `cargo run --example subscribe` starts a server of its own over an archive in memory. The token of the last bookmark
//! is all that a consumer has to keep: it never expires, and no change is missing or comes twice.

#![allow(clippy::print_stdout, reason = "an example shows its result")]

use std::sync::Arc;

use dateline::server;
use dateline::{Archive, ArchiveOptions, Client, Followed, SystemClock, pb};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let archive = Arc::new(Archive::in_memory(&ArchiveOptions::default(), Arc::new(SystemClock))?);
    let client = Client::over(server::in_process(archive, &server::Options::default()).await?);
    for change in follow_twice(client).await? {
        println!("{change}");
    }
    Ok(())
}

async fn follow_twice(mut client: Client) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    record(&mut client, "bridge").await?;
    let (mut changes, token) = changes_from(&client, pb::feed_start::Position::Beginning(true)).await?;
    record(&mut client, "ferry").await?;
    let (more, _) = changes_from(&client, pb::feed_start::Position::ResumeToken(token)).await?;
    changes.extend(more);
    Ok(changes)
}

/// The changes from a position to the current end of the log, and the token to resume after them.
async fn changes_from(
    client: &Client,
    position: pb::feed_start::Position,
) -> Result<(Vec<String>, String), Box<dyn std::error::Error>> {
    let start = Some(pb::FeedStart { position: Some(position) });
    let request = pb::SubscribeRequest { start, end_when_caught_up: true, ..pb::SubscribeRequest::default() };
    let mut events = client.follow(request);
    let (mut changes, mut token) = (Vec::new(), String::new());
    while let Some(event) = events.next().await {
        match event? {
            Followed::Change(change) => {
                let kind = change.kind().as_str_name().trim_start_matches("CHANGE_KIND_").to_lowercase();
                changes.push(format!("{} {kind} {}", change.seq, change.article));
            }
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

async fn record(client: &mut Client, id: &str) -> Result<(), tonic::Status> {
    let paragraph = pb::block::Kind::Paragraph(pb::Paragraph { text: "Lorries cross by ferry.".to_owned() });
    let blocks = vec![pb::Block { kind: Some(paragraph), ..pb::Block::default() }];
    let request = pb::RecordObservationRequest {
        parent: "sources/gazette".to_owned(),
        article_id: id.to_owned(),
        content: Some(pb::Content { headline: format!("The {id}"), blocks, ..pb::Content::default() }),
        ..pb::RecordObservationRequest::default()
    };
    client.archive.record_observation(request).await.map(drop)
}

#[cfg(test)]
#[tokio::test]
async fn a_consumer_resumes_where_it_stopped() -> Result<(), Box<dyn std::error::Error>> {
    let archive = Arc::new(Archive::in_memory(&ArchiveOptions::default(), Arc::new(SystemClock))?);
    let client = Client::over(server::in_process(archive, &server::Options::default()).await?);
    let expected = ["0 created sources/gazette/articles/bridge", "1 created sources/gazette/articles/ferry"];
    assert_eq!(follow_twice(client).await?, expected);
    Ok(())
}
