//! Opens an archive in this process, without a server: records an article, corrects it, reads what it said at a given
//! time, lists its history, and follows every change, today and after a restart.
//!
//! `cargo run --example embed` uses a temporary directory. Nothing here needs more than
//! `dateline = { version = "0.1", default-features = false, features = ["archive"] }` and tokio.

#![allow(clippy::print_stdout, reason = "an example shows its result")]

use std::error::Error;
use std::path::Path;

use dateline::{
    Archive, ArticleName, AsOf, BlockKind, Content, EditOptions, FeedStart, Observation, Position, Timestamp,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    for line in tour(&directory.path().join("archive")).await? {
        println!("{line}");
    }
    Ok(())
}

async fn tour(path: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let mut lines = Vec::new();
    let archive = Archive::open(path)?;
    let name: ArticleName = "express/harbour-bridge".parse()?;

    // Two looks at the page, and a third a little later that finds nothing new.
    let first = Content::new("Bridge to close in June")
        .paragraph("Lorries will cross by ferry.")
        .block(BlockKind::Quote { text: "No date is final.".into(), attribution: "The harbour board".into() });
    let seen = Observation::new(first).observed_at("2026-05-01T09:00:00Z".parse()?).label("traffic");
    archive.record(&name, seen.url("https://express.example/harbour")).await?;
    let corrected = Content::new("Bridge closes today").paragraph("Lorries cross by ferry.");
    for (time, id) in [("2026-05-01T11:00:00Z", "crawl-2"), ("2026-05-01T12:00:00Z", "crawl-3")] {
        let seen = Observation::new(corrected.clone()).observed_at(time.parse()?).request_id(id);
        let receipt = archive.record(&name, seen).await?;
        lines.push(format!("seen at {time}: {:?}, revision {}", receipt.outcome, receipt.revision));
    }

    // What did it say, and when?
    for time in ["2026-05-01T10:00:00Z", "2026-05-01T11:00:00Z"] {
        let article = archive.get(&name, time.parse::<Timestamp>()?).await?;
        lines.push(format!("at {time} it said: {}", article.headline()));
    }
    let found = archive.get_by_url("https://express.example/harbour#top", AsOf::NEWEST).await?;
    lines.push(format!("its labels: {}", found.labels.join(", ")));
    for entry in archive.history(&name).await? {
        let (revision, seen) = (&entry.revision, entry.observation_count);
        lines.push(format!("revision {}, observations: {seen}, headline: {}", revision.number, revision.headline()));
    }

    // An error says what is wrong with what, and nothing is recorded.
    let error = archive.record(&name, Content::new(" ").paragraph("…")).await.err().ok_or("a blank headline?")?;
    lines.push(format!("not recorded: {error}"));

    // Every change until now. The position is all that a consumer has to keep.
    let (changes, position) = changes_from(&archive, FeedStart::Beginning).await?;
    lines.extend(changes);
    let stored: String = position.to_string();
    archive.close().await;
    drop(archive);

    // After a restart it continues there: no change is missing, and none comes twice.
    let archive = Archive::open(path)?;
    archive.withdraw(&name, EditOptions::because("taken down by the publisher")).await?;
    let (changes, _) = changes_from(&archive, stored.parse::<Position>()?).await?;
    lines.push("after a restart:".to_owned());
    lines.extend(changes);
    archive.close().await;
    Ok(lines)
}

/// The changes from a position to the current end of the log, and the position to continue from.
async fn changes_from(
    archive: &Archive,
    from: impl Into<FeedStart>,
) -> Result<(Vec<String>, Position), Box<dyn Error>> {
    let mut changes = archive.subscribe(from).until_caught_up();
    let mut lines = Vec::new();
    while let Some(change) = changes.next().await {
        let change = change?;
        lines.push(format!("change {}: {:?}, {}", change.seq(), change.kind, change.revision.headline()));
    }
    let position = changes.position().ok_or("nothing was read")?;
    Ok((lines, position))
}

#[cfg(test)]
#[tokio::test]
async fn the_tour_shows_what_it_says() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let expected = [
        "seen at 2026-05-01T11:00:00Z: Revised, revision 2",
        "seen at 2026-05-01T12:00:00Z: Unchanged, revision 2",
        "at 2026-05-01T10:00:00Z it said: Bridge to close in June",
        "at 2026-05-01T11:00:00Z it said: Bridge closes today",
        "its labels: traffic",
        "revision 1, observations: 1, headline: Bridge to close in June",
        "revision 2, observations: 2, headline: Bridge closes today",
        "not recorded: content.headline: is empty; an article needs a headline",
        "change 0: Created, Bridge to close in June",
        "change 1: Revised, Bridge closes today",
        "after a restart:",
        "change 3: Withdrawn, Bridge closes today",
    ];
    assert_eq!(tour(&directory.path().join("archive")).await?, expected);
    Ok(())
}
