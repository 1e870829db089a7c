//! How many calls a server answers per second, compared with what the protocol stack and the disk allow in the same
//! run.
//!
//! `cargo bench --bench service [-- PART… --seconds N --rounds N]`; `-- --help` lists the parts. The server, the clients
//! and the floors share this process and its cores. The floors are a bare tonic echo of the same bytes, a loop of append
//! and fdatasync, and the engine alone. Each pair is measured alternately, and the table has the medians of the rounds.
//! The archive is in a temporary folder in the target folder.

#![expect(clippy::print_stdout, reason = "the table is what the program is for")]
#![expect(clippy::indexing_slicing, reason = "an index that is wrong ends the measurement, and nothing else")]

#[allow(dead_code, reason = "each benchmark uses a part")]
mod support;

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use dateline::internals::config::LogFormat;
use dateline::internals::store::engine::directory::Directory;
use dateline::internals::store::engine::sled::{Options as EngineOptions, SledEngine};
use dateline::internals::store::engine::{Direction, KeyRange, Read};
use dateline::internals::telemetry;
use dateline::internals::wire::pb;
use prost::Message;
use support::arguments;
use support::callers::{Publisher, Reader, deal};
use support::corpus::{Corpus, import};
use support::echo::{self, RawCaller};
use support::engine_alone::revisions_per_second;
use support::load::{Caller, Load, load};
use support::memory::{memory, mib, reset_peak};
use support::prose::Writer;
use support::running::{Running, folder_bytes, forget_pages, holder};
use support::sync_loop::records_per_second;
use support::table::{Table, median, millis};

const ARTICLE_BYTES: usize = 4_000;
const CHAIN_ARTICLE_BYTES: usize = 6_000;
const CLIENTS: usize = 64;
const PUBLISHER_ARTICLES: usize = 16;
const WARM_UP: Duration = Duration::from_millis(400);
const PARTS: [&str; 15] = [
    "publish",
    "publish-1",
    "publish-64",
    "batch",
    "read",
    "read-newest",
    "read-observe",
    "read-knowledge",
    "read-both",
    "proof",
    "control",
    "counted",
    "encrypted",
    "depth",
    "disk",
];
const GET_ARTICLE: &str = "/dateline.v1.ArchiveService/GetArticle";
const GET_REVISION: &str = "/dateline.v1.ArchiveService/GetRevision";
const GET_INCLUSION_PROOF: &str = "/dateline.v1.IntegrityService/GetInclusionProof";

/// Measures how many calls a server answers per second.
#[derive(clap::Parser)]
struct Plan {
    /// What to measure [default: everything]
    #[arg(value_name = "PART", value_parser = PARTS)]
    parts: Vec<String>,
    /// The length of a measurement
    #[arg(long, default_value = "2")]
    seconds: u64,
    /// How often each measurement is made
    #[arg(long, default_value = "3")]
    rounds: usize,
    /// Measure no floors, which makes a profile clearer
    #[arg(long)]
    no_floors: bool,
    /// The folder for the archives and for the file of the sync loop.
    #[arg(skip)]
    folder: PathBuf,
}

impl Plan {
    fn has(&self, part: &str) -> bool {
        arguments::has(&self.parts, part)
    }

    fn length(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    async fn load<C: Caller>(&self, callers: Vec<C>) -> anyhow::Result<(Load, Vec<C>)> {
        load(callers, WARM_UP, self.length()).await
    }

    /// The call rate of a floor and the processor time per call; 0 if floors are omitted.
    async fn floor<C: Caller>(&self, callers: Vec<C>) -> anyhow::Result<(f64, Duration)> {
        if self.no_floors {
            return Ok((0.0, Duration::ZERO));
        }
        let (floor, _) = self.load(callers).await?;
        Ok((floor.rate(), floor.processor_a_call()))
    }

    /// The rate of the engine alone; 0 if floors are omitted.
    async fn engine_floor(&self, clients: usize, batch: f64) -> anyhow::Result<f64> {
        if self.no_floors {
            return Ok(0.0);
        }
        let (folder, length, articles) = (self.folder.clone(), self.length(), clients * PUBLISHER_ARTICLES);
        tokio::task::spawn_blocking(move || revisions_per_second(&folder, articles, rounded(batch), length)).await?
    }

    /// The rate of the sync loop; 0 if floors are omitted.
    async fn sync_floor(&self, record: &Bytes, batch: f64) -> anyhow::Result<f64> {
        if self.no_floors {
            return Ok(0.0);
        }
        let (folder, record, length) = (self.folder.clone(), record.clone(), self.length());
        tokio::task::spawn_blocking(move || records_per_second(&folder, &record, rounded(batch), length)).await?
    }
}

/// The mean size of a commit, rounded to the nearest whole number from 1 to 256, the maximum size of a commit.
fn rounded(batch: f64) -> usize {
    (1..=256_u32).find(|rounded| f64::from(*rounded) + 0.5 > batch).unwrap_or(256) as usize
}

fn main() -> anyhow::Result<()> {
    let Some(mut plan) = arguments::arguments::<Plan>() else { return Ok(()) };
    // As in `serve`: the span of each call is part of its cost.
    telemetry::start("info", LogFormat::Text).map_err(anyhow::Error::msg)?;
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let folder = tempfile::tempdir_in(target)?;
    folder.path().clone_into(&mut plan.folder);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut table = Table::default();
    runtime.block_on(async {
        for clients in [1, CLIENTS] {
            if plan.has("publish") || plan.has(&format!("publish-{clients}")) {
                publish(&plan, clients, &mut table).await?;
            }
        }
        if plan.has("batch") {
            support::batches::measure(&plan.folder, plan.rounds, plan.length(), &mut table).await?;
        }
        if plan.parts.is_empty() || plan.parts.iter().any(|part| part.starts_with("read")) {
            read(&plan, &mut table).await?;
        }
        if plan.has("proof") {
            proof(&plan, &mut table).await?;
        }
        if plan.has("control") {
            support::pair::control(&plan.folder, plan.rounds, plan.length(), &mut table).await?;
        }
        if plan.has("counted") {
            support::counted::measure(&plan.folder, plan.rounds, plan.length(), &mut table).await?;
        }
        if plan.has("encrypted") {
            support::encrypted::measure(&plan.folder, plan.rounds, plan.length(), &mut table).await?;
        }
        if plan.has("depth") {
            depth(&plan, &mut table).await?;
        }
        if plan.has("disk") {
            disk(&plan, &mut table).await?;
        }
        anyhow::Ok(())
    })?;
    println!("{}", table.render("One server, loopback gRPC, articles of 4 KB"));
    Ok(())
}

/// Durable observations of small edits, compared with the echo and the sync loop.
async fn publish(plan: &Plan, clients: usize, table: &mut Table) -> anyhow::Result<()> {
    let path = plan.folder.join(format!("publish-{clients}"));
    let running = Running::start(&path).await?;
    reset_peak();
    let mut publishers = Vec::new();
    for (number, client) in running.clients(clients).await?.into_iter().enumerate() {
        publishers.push(Publisher::new(client, number, PUBLISHER_ARTICLES, ARTICLE_BYTES));
    }
    let (request, reply) = sample_publish(&running).await?;
    let echo = echo::serve(reply).await?;
    let (mut against_echo, mut against_sync, mut against_engine) = (vec![], vec![], vec![]);
    let (mut latencies, mut processor, mut sizes) = (vec![], vec![], vec![]);
    for _ in 0..plan.rounds {
        let (ours, back) = plan.load(publishers).await?;
        publishers = back;
        let batch = commit_size(&mut publishers);
        let (echoed, echo_time) = plan.floor(echo_callers(&echo, clients, &request).await?).await?;
        against_echo.push((ours.rate(), echoed));
        against_sync.push((ours.rate(), plan.sync_floor(&request, batch).await?));
        against_engine.push((ours.rate(), plan.engine_floor(clients, batch).await?));
        latencies.push((ours.percentile(50), ours.percentile(99)));
        processor.push((ours.processor_a_call(), echo_time));
        sizes.push(batch);
    }
    let size = median(sizes.into_iter());
    let (aim_sync, aim_echo) = if clients == 1 { ("≥ 60 %", "") } else { ("≥ 50 %", "≥ 50 %") };
    let what = format!("durable publish, {clients} client{}", if clients == 1 { "" } else { "s" });
    table.rate(&what, &against_sync, &format!("fdatasync loop, {size:.1} per sync"), aim_sync);
    table.rate(&what, &against_echo, "echo", aim_echo);
    table.rate(&what, &against_engine, &format!("the engine alone, {size:.1} per commit"), "");
    table.fact(&format!("{what}: p50, p99"), &latency_pair(&latencies), "");
    table.time(&format!("{what}: processor time per call, both sides"), &processor);
    table.fact(&format!("{what}: resident now, at most"), &memory_pair(), "");
    drop(publishers);
    running.stop().await
}

/// A request that revises an article, and the reply to it, both encoded.
async fn sample_publish(running: &Running) -> anyhow::Result<(Bytes, Bytes)> {
    let mut writer = Writer::new(99);
    let mut content = writer.article("sample", ARTICLE_BYTES);
    let mut client = running.clients(1).await?.remove(0);
    let mut pair = (Bytes::new(), Bytes::new());
    for _ in 0..2 {
        writer.edit(&mut content);
        let request = pb::RecordObservationRequest {
            parent: support::callers::SOURCE.to_owned(),
            article_id: "sample".to_owned(),
            content: Some(content.clone()),
            ..pb::RecordObservationRequest::default()
        };
        let bytes = request.encode_to_vec().into();
        let reply = client.archive.record_observation(request).await?.into_inner();
        pair = (bytes, reply.encode_to_vec().into());
    }
    Ok(pair)
}

fn commit_size(publishers: &mut [Publisher]) -> f64 {
    let mut commits = std::collections::HashSet::new();
    let mut replies = 0;
    for publisher in publishers {
        commits.extend(std::mem::take(&mut publisher.commits));
        replies += std::mem::take(&mut publisher.replies);
    }
    replies as f64 / commits.len().max(1) as f64
}

async fn echo_callers(url: &str, count: usize, request: &Bytes) -> anyhow::Result<Vec<RawCaller>> {
    let mut callers = Vec::with_capacity(count);
    for _ in 0..count {
        callers.push(RawCaller::connect(url, echo::PATH, vec![request.clone()]).await?);
    }
    Ok(callers)
}

fn latency_pair(latencies: &[(Duration, Duration)]) -> String {
    let of = |pick: fn(&(Duration, Duration)) -> Duration| {
        Duration::from_secs_f64(median(latencies.iter().map(|pair| pick(pair).as_secs_f64())))
    };
    format!("{}, {}", millis(of(|pair| pair.0)), millis(of(|pair| pair.1)))
}

fn memory_pair() -> String {
    let memory = memory();
    format!("{}, {}", mib(memory.resident), mib(memory.peak))
}

/// One way to read each article of a corpus.
struct Reading {
    part: &'static str,
    what: &'static str,
    aim: &'static str,
    as_of: fn(&Corpus) -> Option<pb::AsOf>,
}

const READINGS: [Reading; 4] = [
    Reading { part: "newest", what: "newest", aim: "≥ 70 %", as_of: |_| None },
    Reading { part: "observe", what: "as-of, observe axis", aim: "≥ 56 %", as_of: |_| Some(observed(3)) },
    Reading {
        part: "knowledge",
        what: "as-of, knowledge axis",
        aim: "≥ 56 %",
        as_of: |corpus| Some(known(corpus.seq(0, 4))),
    },
    Reading {
        part: "both",
        what: "as-of, both axes",
        aim: "≥ 56 %",
        as_of: |corpus| Some(pb::AsOf { known_at: known(corpus.seq(0, 6)).known_at, ..observed(3) }),
    },
];

fn observed(revision: usize) -> pb::AsOf {
    pb::AsOf { observe_time: Some(Corpus::observed(revision)), ..pb::AsOf::default() }
}

fn known(next_seq: u64) -> pb::AsOf {
    pb::AsOf { known_at: Some(pb::as_of::KnownAt::NextSeq(next_seq)), ..pb::AsOf::default() }
}

/// Reads of 1,024 articles of eight revisions at 64 clients, warm and cold.
async fn read(plan: &Plan, table: &mut Table) -> anyhow::Result<()> {
    let corpus = Corpus { prefix: "read".to_owned(), articles: 1_024, revisions: 8, bytes: (4_000, 4_000), batch: 128 };
    let path = plan.folder.join("read");
    let mut running = Running::start(&path).await?;
    import(&running.clients(1).await?.remove(0), corpus.messages(7)).await?;
    reset_peak();
    let chosen = |reading: &&Reading| plan.has("read") || plan.has(&format!("read-{}", reading.part));
    for reading in READINGS.iter().filter(chosen) {
        let requests = requests(&corpus, reading);
        running.stop().await?;
        running = Running::start(&path).await?;
        forget_pages(&path)?;
        let cold = first_reads(&running, &requests).await?;
        let what = format!("{}, 64 clients, cold", reading.what);
        let shown =
            format!("{:.0}/s; p50 {}, p99 {}", cold.rate(), millis(cold.percentile(50)), millis(cold.percentile(99)));
        warm(plan, &running, &requests, reading, table).await?;
        table.fact(&what, &shown, "");
    }
    table.fact("reads: resident now, at most", &memory_pair(), "");
    running.stop().await
}

fn requests(corpus: &Corpus, reading: &Reading) -> Vec<pb::GetArticleRequest> {
    let request = |article| pb::GetArticleRequest {
        name: corpus.name(article),
        as_of: (reading.as_of)(corpus),
        ..pb::GetArticleRequest::default()
    };
    (0..corpus.articles).map(request).collect()
}

/// Sends each request once, spread over 64 clients.
async fn first_reads(running: &Running, requests: &[pb::GetArticleRequest]) -> anyhow::Result<Load> {
    let clients = running.clients(CLIENTS).await?.into_iter().zip(deal(requests, CLIENTS));
    let callers = clients.map(|(client, requests)| Reader::once(client, requests)).collect();
    Ok(load(callers, Duration::ZERO, Duration::from_secs(60)).await?.0)
}

/// Repeats the same reads over 64 connections, compared with an echo of the same bytes: with our client, which decodes
/// the replies, and with one that leaves them encoded, as the client of the echo does.
async fn warm(
    plan: &Plan,
    running: &Running,
    requests: &[pb::GetArticleRequest],
    reading: &Reading,
    table: &mut Table,
) -> anyhow::Result<()> {
    let reply = running.clients(1).await?.remove(0).archive.get_article(requests[0].clone()).await?.into_inner();
    let echo = echo::serve(reply.encode_to_vec().into()).await?;
    let raw: Vec<Bytes> = requests.iter().map(|request| request.encode_to_vec().into()).collect();
    let (mut typed, mut bytes, mut latencies) = (vec![], vec![], vec![]);
    let (mut typed_time, mut bytes_time) = (vec![], vec![]);
    for _ in 0..plan.rounds {
        let clients = running.clients(CLIENTS).await?.into_iter().zip(deal(requests, CLIENTS));
        let (ours, _) = plan.load(clients.map(|(client, requests)| Reader::new(client, requests)).collect()).await?;
        let (echoed, echo_time) = plan.floor(echo_callers(&echo, CLIENTS, &raw[0]).await?).await?;
        let mut callers = Vec::new();
        for requests in deal(&raw, CLIENTS) {
            callers.push(RawCaller::connect(&running.url, GET_ARTICLE, requests).await?);
        }
        typed.push((ours.rate(), echoed));
        let (undecoded, undecoded_time) = plan.floor(callers).await?;
        bytes.push((undecoded, echoed));
        latencies.push((ours.percentile(50), ours.percentile(99)));
        typed_time.push((ours.processor_a_call(), echo_time));
        bytes_time.push((undecoded_time, echo_time));
    }
    let what = format!("{}, 64 clients, cached", reading.what);
    table.rate(&what, &typed, "echo", reading.aim);
    table.rate(&format!("{what}, replies left encoded"), &bytes, "echo", "");
    table.fact(&format!("{what}: p50, p99"), &latency_pair(&latencies), "");
    table.time(&format!("{what}: processor time per call, both sides"), &typed_time);
    table.time(&format!("{what}, replies left encoded: processor time per call, both sides"), &bytes_time);
    Ok(())
}

/// Proofs of revisions, compared with reading the same revisions, with replies left encoded on both sides.
async fn proof(plan: &Plan, table: &mut Table) -> anyhow::Result<()> {
    let corpus =
        Corpus { prefix: "proof".to_owned(), articles: 1_024, revisions: 8, bytes: (4_000, 4_000), batch: 128 };
    let running = Running::start(&plan.folder.join("proof")).await?;
    import(&running.clients(1).await?.remove(0), corpus.messages(7)).await?;
    let names: Vec<_> = (0..corpus.articles).map(|article| format!("{}/revisions/5", corpus.name(article))).collect();
    let read = names.iter().map(|name| {
        let request = pb::GetRevisionRequest { name: name.clone(), ..pb::GetRevisionRequest::default() };
        request.encode_to_vec().into()
    });
    let read: Vec<Bytes> = read.collect();
    for (disclosure, what) in
        [(pb::ProofDisclosure::Full, "with the text"), (pb::ProofDisclosure::Withheld, "without the text")]
    {
        let prove = names.iter().map(|name| {
            let change = Some(pb::get_inclusion_proof_request::Change::Revision(name.clone()));
            let disclosure = disclosure.into();
            pb::GetInclusionProofRequest { change, disclosure, ..Default::default() }.encode_to_vec().into()
        });
        let prove: Vec<Bytes> = prove.collect();
        for clients in [1, CLIENTS] {
            let (mut rates, mut processor) = (vec![], vec![]);
            for _ in 0..plan.rounds {
                let (proved, _) =
                    plan.load(raw_callers(&running.url, GET_INCLUSION_PROOF, &prove, clients).await?).await?;
                let (as_read, _) = plan.load(raw_callers(&running.url, GET_REVISION, &read, clients).await?).await?;
                rates.push((proved.rate(), as_read.rate()));
                processor.push((proved.processor_a_call(), as_read.processor_a_call()));
            }
            let what = format!("inclusion proof {what}, {clients} clients");
            table.rate(&what, &rates, "GetRevision", "≥ 50 %");
            table.time(&format!("{what}: processor time per call, both sides"), &processor);
        }
    }
    running.stop().await
}

/// Callers with a connection each, which share the requests.
async fn raw_callers(
    url: &str,
    method: &'static str,
    requests: &[Bytes],
    count: usize,
) -> anyhow::Result<Vec<RawCaller>> {
    let mut callers = Vec::with_capacity(count);
    for requests in deal(requests, count) {
        callers.push(RawCaller::connect(url, method, requests).await?);
    }
    Ok(callers)
}

/// As-of reads of one article with 10,000 revisions, from 1 to 9,999 revisions deep.
async fn depth(plan: &Plan, table: &mut Table) -> anyhow::Result<()> {
    let corpus = Corpus { prefix: "deep".to_owned(), articles: 1, revisions: 10_000, bytes: (4_000, 4_000), batch: 1 };
    let path = plan.folder.join("depth");
    let mut running = Running::start(&path).await?;
    import(&running.clients(1).await?.remove(0), corpus.messages(8)).await?;
    let newest = pb::GetArticleRequest { name: corpus.name(0), ..pb::GetArticleRequest::default() };
    for deep in [1, 100, 9_999] {
        let revision = corpus.revisions - 1 - deep;
        let points = [("observe axis", observed(revision)), ("knowledge axis", known(corpus.seq(0, revision) + 1))];
        for (axis, as_of) in points {
            running.stop().await?;
            running = Running::start(&path).await?;
            forget_pages(&path)?;
            let request = pb::GetArticleRequest { as_of: Some(as_of), ..newest.clone() };
            let first = first_reads(&running, std::slice::from_ref(&request)).await?;
            let mut rounds = Vec::new();
            for _ in 0..plan.rounds {
                let (ours, _) = plan.load(readers(&running, &request).await?).await?;
                let (of_newest, _) = plan.load(readers(&running, &newest).await?).await?;
                rounds.push((ours.rate(), of_newest.rate()));
            }
            let what = format!("as-of, {axis}, {deep} revisions deep, 64 clients, cached");
            table.rate(&what, &rounds, "newest", "≥ 80 %");
            let what = format!("as-of, {axis}, {deep} revisions deep: 64 first reads at once after opening, p50, p99");
            table.fact(&what, &format!("{}, {}", millis(first.percentile(50)), millis(first.percentile(99))), "");
        }
    }
    for (axis, as_of) in [("observe", observed as fn(usize) -> pb::AsOf), ("knowledge", |it| known(it as u64 + 1))] {
        running.stop().await?;
        running = Running::start(&path).await?;
        forget_pages(&path)?;
        let points = (0..200).map(|point| point * 7_919 % corpus.revisions);
        let requests = points.map(|point| pb::GetArticleRequest { as_of: Some(as_of(point)), ..newest.clone() });
        let caller = Reader::once(running.clients(1).await?.remove(0), requests.collect());
        let (cold, _) = load(vec![caller], Duration::ZERO, Duration::from_secs(60)).await?;
        let what = format!("as-of, {axis} axis, 200 points among 10,000 revisions, 1 client, content cold: p50, p99");
        table.fact(&what, &format!("{}, {}", millis(cold.percentile(50)), millis(cold.percentile(99))), "");
    }
    running.stop().await
}

async fn readers(running: &Running, request: &pb::GetArticleRequest) -> anyhow::Result<Vec<Reader>> {
    let clients = running.clients(CLIENTS).await?.into_iter();
    Ok(clients.map(|client| Reader::new(client, vec![request.clone()])).collect())
}

/// Bytes on disk per revision, for a chain of small edits of one article of 6 KB.
async fn disk(plan: &Plan, table: &mut Table) -> anyhow::Result<()> {
    for batch in [1, 250] {
        let corpus = Corpus {
            prefix: "chain".to_owned(),
            articles: 1,
            revisions: 1_000,
            bytes: (CHAIN_ARTICLE_BYTES, CHAIN_ARTICLE_BYTES),
            batch,
        };
        let path = plan.folder.join(format!("disk-{batch}"));
        let running = Running::start(&path).await?;
        import(&running.clients(1).await?.remove(0), corpus.messages(9)).await?;
        running.stop().await?;
        let of = format!("of 1,000 edits of 6 KB, {batch} a commit");
        let per_revision = |bytes: u64| format!("{:.0} B a revision", bytes as f64 / 1_000.0);
        if batch == 1 {
            let stored = logical_bytes(&path)?;
            table.fact(&format!("content {of}"), &per_revision(stored.content), "");
            table.fact(&format!("log record {of}"), &per_revision(stored.log), "");
            table.fact(&format!("content and record {of}"), &per_revision(stored.content + stored.log), "≤ 600 B");
            table.fact(&format!("indexes {of}"), &per_revision(stored.indexes), "");
        }
        table.fact(&format!("folder {of}"), &per_revision(folder_bytes(&path)?), "reported");
    }
    Ok(())
}

/// The sizes of keys and values as we store them, before sled adds its overhead.
#[derive(Default)]
struct Stored {
    content: u64,
    log: u64,
    indexes: u64,
}

fn logical_bytes(path: &Path) -> anyhow::Result<Stored> {
    use dateline::internals::store::key::Kind;
    use std::ops::Bound::Unbounded;
    let directory = std::sync::Arc::new(Directory::open(path, holder())?);
    let engine = SledEngine::open(directory, EngineOptions::default())?;
    let mut stored = Stored::default();
    for entry in engine.scan(KeyRange { start: Unbounded, end: Unbounded }, Direction::Forward) {
        let (key, value) = entry?;
        let bytes = (key.len() + value.len()) as u64;
        match key.first() {
            Some(kind) if *kind == Kind::Content as u8 => stored.content += bytes,
            Some(kind) if *kind == Kind::Log as u8 => stored.log += bytes,
            Some(_) | None => stored.indexes += bytes,
        }
    }
    Ok(stored)
}
