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

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use dateline::internals::wire::pb;
use support::arguments;
use support::callers::{Publisher, Reader, deal};
use support::corpus::{Corpus, import};
use support::load::{Caller, Load, load};
use support::memory::{memory, mib, reset_peak};
use support::running::{Running, folder_bytes};
use support::table::{Table, millis};

/// The number of revisions after which calls are measured for the first time.
const FIRST_REVISIONS: usize = 10_000;
/// The maximum number of articles that are imported concurrently, so that a client need not hold the texts of all.
const WAVE_ARTICLES: usize = 1_000;
/// Revisions of each article.
const REVISIONS: usize = 15;
/// Concurrent import streams.
const STREAMS: usize = 2;
/// How many articles a measurement reads: few enough for the caches, and no more than the smaller archive has.
const ARTICLES_CACHED: usize = 600;
/// How many articles a measurement reads: more than fit the caches.
const ARTICLES_UNCACHED: usize = 8_000;
const WARM_UP: Duration = Duration::from_millis(500);
/// How long a measurement takes.
const MEASURED: Duration = Duration::from_secs(3);

/// Measures an archive as it grows.
#[derive(clap::Parser)]
struct Arguments {
    /// The revisions that are recorded
    #[arg(default_value = "100000", value_parser = |count: &str| count.replace('_', "").parse::<usize>())]
    count: usize,
    /// Measures an archive that has them, instead
    #[arg(long, value_name = "DIR", hide = true)]
    reopen: Option<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    let Some(Arguments { count, reopen: archive }) = arguments::arguments() else { return Ok(()) };
    let waves = waves(count);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    if let Some(path) = archive {
        let mut table = Table::default();
        runtime.block_on(reopen(&path, &waves, &mut table))?;
        print!("{}", table.rows_only());
        return Ok(());
    }
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let path = folder.path().join("archive");
    let mut table = Table::default();
    runtime.block_on(grow(&path, &waves, &mut table))?;
    // Another process opens the archive, because this one does not return its memory to the system.
    let count = count.to_string();
    let reopened = Command::new(std::env::current_exe()?).args(["--bench", &count, "--reopen"]).arg(&path).output()?;
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
    let mut remaining = count.div_ceil(REVISIONS);
    let mut waves = Vec::new();
    while remaining > 0 {
        let articles_max = if waves.is_empty() { FIRST_REVISIONS / REVISIONS } else { WAVE_ARTICLES };
        let articles = remaining.min(articles_max).next_multiple_of(STREAMS);
        let corpus = |stream| Corpus {
            prefix: format!("grow-{}-{stream}", waves.len()),
            articles: articles / STREAMS,
            revisions: REVISIONS,
            bytes: (2_000, 4_000),
            batch: 128,
        };
        waves.push([corpus(0), corpus(1)]);
        remaining = remaining.saturating_sub(articles);
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
            measure_calls(&running, &waves[..1], ARTICLES_CACHED, "at 10,000", table).await?;
            step = Step { since: Instant::now(), from: done, ..step };
        } else if number % step.every == 0 {
            step = step.report(done, table);
        }
    }
    let publishers = publishers(&running).await?;
    report("publish, 8 clients, at the end, right after the import", &measure(publishers).await?, table);
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
    measure_calls(&running, waves, ARTICLES_CACHED, "reopened", table).await?;
    measure_calls(&running, waves, ARTICLES_UNCACHED, "reopened", table).await?;
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
    fn report(self, done: usize, table: &mut Table) -> Self {
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
async fn measure_calls(
    running: &Running,
    waves: &[[Corpus; STREAMS]],
    articles: usize,
    when: &str,
    table: &mut Table,
) -> anyhow::Result<()> {
    report(&format!("publish, 8 clients, {when}"), &measure(publishers(running).await?).await?, table);
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
        for (round, is_first) in [("first reads", true), ("again", false)] {
            let clients = running.clients(8).await?.into_iter().zip(deal(requests, 8));
            let make = if is_first { Reader::once } else { Reader::new };
            let callers: Vec<_> = clients.map(|(client, requests)| make(client, requests)).collect();
            let warm_up = if is_first { Duration::ZERO } else { WARM_UP };
            let (read, _) = load(callers, warm_up, MEASURED).await?;
            report(&format!("{what}, 8 clients, {articles} articles, {round}, {when}"), &read, table);
        }
    }
    Ok(())
}

async fn measure<C: Caller>(callers: Vec<C>) -> anyhow::Result<Load> {
    Ok(load(callers, WARM_UP, MEASURED).await?.0)
}

fn report(what: &str, load: &Load, table: &mut Table) {
    let latency = format!("p50 {}, p99 {}", millis(load.percentile(50)), millis(load.percentile(99)));
    let time = load.processor_a_call().as_secs_f64() * 1e6;
    table.fact(what, &format!("{:.0}/s, {latency}, processor {time:.0} µs per call", load.rate()), "");
}
