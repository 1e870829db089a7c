//! What a server costs as its archive grows.
//!
//! `cargo bench --bench growth [-- N]` imports N revisions (default 100,000) over gRPC. It prints the import rate and
//! the memory at every twentieth of the way; the cost of recording an observation, a newest read and an as-of read at
//! 10,000 revisions and at N; then the bytes on disk, the time to open, and the memory after opening. The clients share
//! the process, and their articles take some 10 MB of its memory. The archive is in a temporary folder in the target
//! folder.

#![expect(clippy::print_stdout, reason = "the table is what the program is for")]
#![expect(clippy::indexing_slicing, reason = "an index that is wrong ends the measurement, and nothing else")]

#[allow(dead_code, reason = "each benchmark uses a part")]
mod support;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use dateline::internals::wire::pb;
use support::callers::{Publisher, Reader, deal};
use support::corpus::{Corpus, import};
use support::load::{Caller, Load, load};
use support::memory::{memory, mib, reset_peak};
use support::running::{Running, folder_bytes};
use support::table::{Table, millis};

const FIRST_LOOK: usize = 10_000;
/// Articles that are imported concurrently; a limit, so that a client need not hold the texts of all.
const WAVE_ARTICLES: usize = 1_000;
const REVISIONS: usize = 15;
const STREAMS: usize = 2;
/// How many articles each measurement reads: as many as the smaller archive has, which fit the caches; and more than
/// fit them.
const FEW: usize = 600;
const MANY: usize = 8_000;
const WARM_UP: Duration = Duration::from_millis(500);
const LOOK: Duration = Duration::from_secs(3);

fn main() -> anyhow::Result<()> {
    // `cargo test --benches` runs this without `--bench`, and then there is nothing to measure.
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let count = arguments.first().map_or(Ok(100_000), |count| count.replace('_', "").parse())?;
    let waves = waves(count);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    if let Some(path) = arguments.get(1) {
        let mut table = Table::default();
        runtime.block_on(reopen(Path::new(path), &waves, &mut table))?;
        print!("{}", table.rows_only());
        return Ok(());
    }
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let path = folder.path().join("archive");
    let mut table = Table::default();
    runtime.block_on(grow(&path, &waves, &mut table))?;
    // Another process opens the archive, because this one does not return the memory that it has taken.
    let count = count.to_string();
    let reopened = Command::new(std::env::current_exe()?).args(["--bench", &count]).arg(&path).output()?;
    anyhow::ensure!(reopened.status.success(), "reopening: {}", String::from_utf8_lossy(&reopened.stderr));
    println!(
        "{}{}",
        table.render(&format!("Growth to {count} revisions of 2 to 4 KB, {REVISIONS} an article")),
        String::from_utf8_lossy(&reopened.stdout)
    );
    Ok(())
}

/// The import: waves of articles with all their revisions, each as one corpus per stream. The first wave has 10,000
/// revisions.
fn waves(count: usize) -> Vec<[Corpus; STREAMS]> {
    let mut left = count.div_ceil(REVISIONS);
    let mut waves = Vec::new();
    while left > 0 {
        let most = if waves.is_empty() { FIRST_LOOK / REVISIONS } else { WAVE_ARTICLES };
        let articles = left.min(most).next_multiple_of(STREAMS);
        let corpus = |stream| Corpus {
            prefix: format!("grow-{}-{stream}", waves.len()),
            articles: articles / STREAMS,
            revisions: REVISIONS,
            bytes: (2_000, 4_000),
            batch: 128,
        };
        waves.push([corpus(0), corpus(1)]);
        left = left.saturating_sub(articles);
    }
    waves
}

async fn grow(path: &Path, waves: &[[Corpus; STREAMS]], table: &mut Table) -> anyhow::Result<()> {
    reset_peak();
    let mut running = Running::start(path).await?;
    let (mut done, mut step) = (0, Step { since: Instant::now(), from: 0, every: (waves.len() / 20).max(1) });
    for (number, wave) in waves.iter().enumerate() {
        done += import_wave(&running, number, wave).await?;
        if number == 0 {
            // As in the measurement at the end: with empty caches.
            running.stop().await?;
            running = Running::start(path).await?;
            look(&running, &waves[..1], FEW, "at 10,000", table).await?;
            step = Step { since: Instant::now(), from: done, ..step };
        } else if number % step.every == 0 {
            step = step.tell(done, table);
        }
    }
    let publishers = publishers(&running).await?;
    tell("publish, 8 clients, at the end, right after the import", &measure(publishers).await?, table);
    table.fact("memory while writing, at most", &mib(memory().peak), "≤ 1 GB at 1 M");
    running.stop().await?;
    let bytes = folder_bytes(path)?;
    table.fact("folder", &format!("{}, {:.0} B a revision", mib(bytes), bytes as f64 / done as f64), "");
    Ok(())
}

/// Opens the grown archive in a process that has done nothing else.
async fn reopen(path: &Path, waves: &[[Corpus; STREAMS]], table: &mut Table) -> anyhow::Result<()> {
    reset_peak();
    let before = Instant::now();
    let running = Running::start(path).await?;
    table.fact("opening", &format!("{:.1} s", before.elapsed().as_secs_f64()), "");
    let opened = memory();
    let shown = format!("{}, {} at most", mib(opened.resident), mib(opened.peak));
    table.fact("memory after reopening", &shown, "≤ 400 MB at 1 M");
    look(&running, waves, FEW, "reopened", table).await?;
    look(&running, waves, MANY, "reopened", table).await?;
    table.fact("memory after reopening and these calls", &mib(memory().resident), "≤ 400 MB at 1 M");
    running.stop().await
}

async fn import_wave(running: &Running, number: usize, wave: &[Corpus; STREAMS]) -> anyhow::Result<usize> {
    let mut imports = tokio::task::JoinSet::new();
    for (stream, corpus) in wave.iter().enumerate() {
        let client = running.clients(1).await?.remove(0);
        let messages = corpus.messages((number * STREAMS + stream) as u64);
        imports.spawn(async move { import(&client, messages).await });
    }
    let mut count = 0;
    while let Some(imported) = imports.join_next().await {
        count += imported??;
    }
    Ok(count)
}

/// The rate and the memory, reported at every twentieth of the way.
struct Step {
    since: Instant,
    from: usize,
    /// Number of waves between two reports.
    every: usize,
}

impl Step {
    fn tell(self, done: usize, table: &mut Table) -> Self {
        let rate = (done - self.from) as f64 / self.since.elapsed().as_secs_f64();
        let shown = format!("{rate:.0} revisions/s, {} resident", mib(memory().resident));
        table.fact(&format!("import, from {} to {done}", self.from), &shown, "");
        Self { since: Instant::now(), from: done, ..self }
    }
}

async fn publishers(running: &Running) -> anyhow::Result<Vec<Publisher>> {
    let clients = running.clients(8).await?.into_iter().enumerate();
    Ok(clients.map(|(number, client)| Publisher::new(client, number, 16, 4_000)).collect())
}

/// Measures what calls cost now, on some articles spread over all waves.
async fn look(
    running: &Running,
    waves: &[[Corpus; STREAMS]],
    articles: usize,
    when: &str,
    table: &mut Table,
) -> anyhow::Result<()> {
    tell(&format!("publish, 8 clients, {when}"), &measure(publishers(running).await?).await?, table);
    let newest: Vec<_> = (0..articles)
        .map(|index| {
            let corpus = &waves[index * waves.len() / articles][index % STREAMS];
            let name = corpus.name(index / STREAMS % corpus.articles);
            pb::GetArticleRequest { name, ..pb::GetArticleRequest::default() }
        })
        .collect();
    let as_of = Some(pb::AsOf { observe_time: Some(Corpus::observed(REVISIONS / 2)), ..pb::AsOf::default() });
    let past = newest.iter().map(|request| pb::GetArticleRequest { as_of: as_of.clone(), ..request.clone() });
    let past: Vec<_> = past.collect();
    for (what, requests) in [("newest", &newest), ("as-of, observe axis", &past)] {
        for (round, kind) in [("first reads", true), ("again", false)] {
            let clients = running.clients(8).await?.into_iter().zip(deal(requests, 8));
            let make = if kind { Reader::once } else { Reader::new };
            let callers: Vec<_> = clients.map(|(client, requests)| make(client, requests)).collect();
            let warm_up = if kind { Duration::ZERO } else { WARM_UP };
            let (read, _) = load(callers, warm_up, LOOK).await?;
            tell(&format!("{what}, 8 clients, {articles} articles, {round}, {when}"), &read, table);
        }
    }
    Ok(())
}

async fn measure<C: Caller>(callers: Vec<C>) -> anyhow::Result<Load> {
    Ok(load(callers, WARM_UP, LOOK).await?.0)
}

fn tell(what: &str, load: &Load, table: &mut Table) {
    let latency = format!("p50 {}, p99 {}", millis(load.percentile(50)), millis(load.percentile(99)));
    let time = load.processor_a_call().as_secs_f64() * 1e6;
    table.fact(what, &format!("{:.0}/s, {latency}, processor {time:.0} µs per call", load.rate()), "");
}
