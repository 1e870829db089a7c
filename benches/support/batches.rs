//! Batches of revisions from one client: one batch per call, and an import.

use std::path::Path;
use std::time::{Duration, Instant};

use dateline::internals::client::Client;
use dateline::internals::wire::pb;
use prost::Message;

use super::corpus::{Corpus, import};
use super::memory::processor;
use super::running::Running;
use super::sync_loop::records_per_second;
use super::table::Table;

/// The revisions of one batch.
const BATCH: usize = 64;
/// The articles that are revised in turn. A batch has several revisions of none.
const ARTICLES: usize = 512;
/// The revisions of each article in a round.
const REVISIONS: usize = 30;
const ARTICLE_BYTES: usize = 4_000;

type Batches = Vec<Vec<pb::RecordObservationRequest>>;

/// Measures both ways to write batches, compared with appending the same bytes and syncing each batch.
pub(crate) async fn measure(folder: &Path, rounds: usize, length: Duration, table: &mut Table) -> anyhow::Result<()> {
    let (mut recorded, mut imported) = (Vec::new(), Vec::new());
    let (mut recorded_time, mut imported_time) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let batches = batches(round);
        let bytes: usize = batches.iter().flatten().map(Message::encoded_len).sum();
        let (record, scratch) = (vec![b'x'; bytes / count(&batches)], folder.to_owned());
        let floor = tokio::task::spawn_blocking(move || records_per_second(&scratch, &record, BATCH, length)).await??;
        let (rate, time) = timed(&folder.join(format!("recorded-{round}")), batches.clone(), record_all).await?;
        recorded.push((rate, floor));
        recorded_time.push(time);
        let (rate, time) = timed(&folder.join(format!("imported-{round}")), batches, import_all).await?;
        imported.push((rate, floor));
        imported_time.push(time);
    }
    let floor = "append and fdatasync of the same bytes, 64 revisions per sync";
    for (what, rounds, times) in [
        ("BatchRecordObservations, 64 revisions each, 1 client", recorded, recorded_time),
        ("ImportObservations, 64 revisions a message, 1 client", imported, imported_time),
    ] {
        table.rate(what, &rounds, floor, "≥ 25,000/s");
        let micros = super::table::median(times.iter().map(|time| time.as_secs_f64() * 1e6));
        table.fact(&format!("{what}: processor time a revision, both sides"), &format!("{micros:.0} µs"), "");
    }
    Ok(())
}

fn batches(round: usize) -> Batches {
    let bytes = (ARTICLE_BYTES, ARTICLE_BYTES);
    let corpus = Corpus { prefix: "batch".to_owned(), articles: ARTICLES, revisions: REVISIONS, bytes, batch: BATCH };
    corpus.messages(round as u64 + 1).collect()
}

fn count(batches: &Batches) -> usize {
    batches.iter().map(Vec::len).sum::<usize>().max(1)
}

/// Writes the batches to a new archive. Returns the revisions per second, and the processor time of each.
async fn timed<F>(path: &Path, batches: Batches, write: F) -> anyhow::Result<(f64, Duration)>
where
    F: AsyncFnOnce(Client, Batches) -> anyhow::Result<()>,
{
    let running = Running::start(path).await?;
    let client = running.clients(1).await?.remove(0);
    let count = count(&batches);
    let (begun, used) = (Instant::now(), processor());
    write(client, batches).await?;
    let (elapsed, used) = (begun.elapsed(), processor().saturating_sub(used));
    running.stop().await?;
    Ok((count as f64 / elapsed.as_secs_f64(), used / u32::try_from(count)?))
}

async fn record_all(client: Client, batches: Batches) -> anyhow::Result<()> {
    let mut archive = client.archive;
    for requests in batches {
        archive.batch_record_observations(pb::BatchRecordObservationsRequest { requests }).await?;
    }
    Ok(())
}

async fn import_all(client: Client, batches: Batches) -> anyhow::Result<()> {
    import(&client, batches.into_iter()).await?;
    Ok(())
}
