//! Records two captures of an article and reads what it said between them.
//!
//! `cargo run --example record_and_read` starts a server of its own over an archive in memory. A program that uses a
//! running server needs the first line of [`archive_and_ask`] only: `Client::connect("http://127.0.0.1:7411")`.

#![allow(clippy::print_stdout, reason = "an example shows its result")]

use std::sync::Arc;

use dateline::server;
use dateline::{Archive, Client, pb};

/// 1 May 2026, 09:00 UTC, in seconds since 1970.
const FIRST_SEEN: i64 = 1_777_626_000;
const HOUR: i64 = 3_600;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let archive = Arc::new(Archive::in_memory()?);
    let client = Client::over(server::in_process(archive, &server::Options::default()).await?);
    for line in archive_and_ask(client).await? {
        println!("{line}");
    }
    Ok(())
}

async fn archive_and_ask(mut client: Client) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    client.archive.record_observation(capture("Bridge to close in June", FIRST_SEEN)).await?;
    let second = capture("Bridge closes today", FIRST_SEEN + 2 * HOUR);
    let recorded = client.archive.record_observation(second).await?.into_inner();
    let outcome = recorded.outcome().as_str_name();

    let mut lines = vec![format!("the second capture: {outcome}")];
    for (when, hours) in [("at nine", 0), ("an hour later", 1), ("two hours later", 2)] {
        let as_of = pb::AsOf { observe_time: Some(time(FIRST_SEEN + hours * HOUR)), ..pb::AsOf::default() };
        let name = "sources/gazette/articles/bridge".to_owned();
        let get = pb::GetArticleRequest { name, as_of: Some(as_of), ..pb::GetArticleRequest::default() };
        let article = client.archive.get_article(get).await?.into_inner().article.unwrap_or_default();
        let headline = article.revision.and_then(|revision| revision.content).unwrap_or_default().headline;
        lines.push(format!("{when}: {headline}"));
    }
    Ok(lines)
}

/// What a crawler saw at `seconds`.
fn capture(headline: &str, seconds: i64) -> pb::RecordObservationRequest {
    let text = "Lorries cross by ferry.".to_owned();
    let paragraph = pb::block::Kind::Paragraph(pb::Paragraph { text });
    let blocks = vec![pb::Block { kind: Some(paragraph), ..pb::Block::default() }];
    pb::RecordObservationRequest {
        parent: "sources/gazette".to_owned(),
        article_id: "bridge".to_owned(),
        content: Some(pb::Content { headline: headline.to_owned(), blocks, ..pb::Content::default() }),
        observe_time: Some(time(seconds)),
        ..pb::RecordObservationRequest::default()
    }
}

fn time(seconds: i64) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds, nanos: 0 }
}

#[cfg(test)]
#[tokio::test]
async fn an_article_reads_as_it_was_at_each_time() -> Result<(), Box<dyn std::error::Error>> {
    let archive = Arc::new(Archive::in_memory()?);
    let client = Client::over(server::in_process(archive, &server::Options::default()).await?);
    let expected = [
        "the second capture: OBSERVATION_OUTCOME_REVISED",
        "at nine: Bridge to close in June",
        "an hour later: Bridge to close in June",
        "two hours later: Bridge closes today",
    ];
    assert_eq!(archive_and_ask(client).await?, expected);
    Ok(())
}
