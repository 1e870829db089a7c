//! What the change feed costs, compared with a bare tonic stream of the same messages in the same run.
//!
//! `cargo bench --bench feed [-- PART… --changes N --archive DIR --seconds N --rate N]`. The parts are `replay`, `fanout`, `idle`,
//! `nomatch` and `stalled`; without any, all of them run.
//!
//! - `replay`: N changes (default 1,000,000) from storage to one subscriber, or all changes of the archive in DIR.
//! - `fanout`: live changes to 1, 100 and 1,000 subscribers at a fixed write rate (default 20/s), each subscriber on a
//!   connection of its own. Latency is measured from the writer's announcement of a commit to its receipt.
//! - `idle`: the server's memory with 10,000 subscribers that receive only heartbeats.
//! - `nomatch`: one writer and 1,000 subscribers whose filter matches nothing.
//! - `stalled`: the server's memory and the write rate with subscribers that never read.
//!
//! In `replay` and `fanout` the server and the clients share this process; in the others the server is a process of its
//! own.

#![expect(clippy::print_stdout, reason = "the table is what the program is for")]
#![expect(clippy::indexing_slicing, reason = "an index that is wrong ends the measurement, and nothing else")]

#[allow(dead_code, reason = "each benchmark uses a part")]
mod support;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use dateline::internals::archive::Archive;
use dateline::internals::archive::changefeed::FeedEnd;
use dateline::internals::client::Client;
use dateline::internals::config::LogFormat;
use dateline::internals::telemetry;
use dateline::internals::wire::pb;
use dateline::internals::wire::pb::feed_start::Position;
use dateline::internals::wire::pb::subscribe_response::Event;
use dateline::model::Seq;
use prost::Message;
use support::arguments;
use support::bare_stream;
use support::callers::Publisher;
use support::child::ChildServer;
use support::corpus::{Corpus, import};
use support::load::load;
use support::memory::{mib, processor};
use support::running::Running;
use support::table::{Table, median, millis};
use tokio::task::JoinSet;
use tonic::Streaming;
use tonic::transport::{Channel, Endpoint};

/// How many distinct messages of the feed a bare replay repeats.
const SAMPLE_EVENTS: usize = 400;
const REPLAYS: usize = 3;

/// Measures what the change feed costs.
#[derive(clap::Parser)]
struct Plan {
    /// What to measure [default: everything]
    #[arg(value_name = "PART", value_parser = ["replay", "fanout", "idle", "nomatch", "stalled"])]
    parts: Vec<String>,
    /// The changes that a replay has
    #[arg(long, default_value = "1000000", conflicts_with = "archive")]
    changes: usize,
    /// An archive whose changes are replayed
    #[arg(long)]
    archive: Option<PathBuf>,
    /// The length of a measurement
    #[arg(long, default_value = "10")]
    seconds: u64,
    /// Writes per second
    #[arg(long, default_value = "20")]
    rate: u32,
    /// The folder for the archives.
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
}

fn main() -> anyhow::Result<()> {
    let Some(mut plan) = arguments::arguments::<Plan>() else { return Ok(()) };
    telemetry::start("warn", LogFormat::Text).map_err(anyhow::Error::msg)?;
    let folder = tempfile::tempdir_in(Path::new(env!("CARGO_TARGET_TMPDIR")))?;
    folder.path().clone_into(&mut plan.folder);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut table = Table::default();
    runtime.block_on(async {
        if plan.has("replay") {
            replay(&plan, &mut table).await?;
        }
        for subscribers in [1, 100, 1_000] {
            if plan.has("fanout") {
                fan_out(&plan, subscribers, &mut table).await?;
            }
        }
        if plan.has("idle") {
            idle(&plan, &mut table).await?;
        }
        if plan.has("nomatch") {
            no_match(&plan, &mut table).await?;
        }
        if plan.has("stalled") {
            stalled(&plan, &mut table).await?;
        }
        anyhow::Ok(())
    })?;
    println!("{}", table.render("The change feed, loopback gRPC"));
    Ok(())
}

/// A request to subscribe to all changes from a position on.
fn subscribe_from(position: Position, view: pb::FeedView) -> pb::SubscribeRequest {
    pb::SubscribeRequest {
        start: Some(pb::FeedStart { position: Some(position) }),
        view: view.into(),
        ..pb::SubscribeRequest::default()
    }
}

async fn channel(url: &str) -> anyhow::Result<Channel> {
    Ok(Endpoint::from_shared(url.to_owned())?.tcp_nodelay(true).connect().await?)
}

/// Replays stored changes to one subscriber, alternating with a bare stream of the same messages.
async fn replay(plan: &Plan, table: &mut Table) -> anyhow::Result<()> {
    let path = match &plan.archive {
        Some(path) => path.clone(),
        None => interleaved(plan).await?,
    };
    // Opened again, so that the changes are no longer in the ring of recent ones.
    let running = Running::start(&path).await?;
    let imported = usize::try_from(running.archive.tail().next_seq.0)?;
    let client = running.clients(1).await?.remove(0);
    for (view, name) in [(pb::FeedView::Basic, "BASIC"), (pb::FeedView::Full, "FULL")] {
        let (mut ours, mut bare, mut ours_time, mut bare_time) = (vec![], vec![], vec![], vec![]);
        let sample = sample(&client, view).await?;
        let changes_a_message = sample.changes as f64 / sample.messages.len() as f64;
        let messages = imported * sample.messages.len() / sample.changes.max(1);
        let url = bare_stream::cycle(sample.messages, messages).await?;
        for _ in 0..REPLAYS {
            let request = subscribe_from(Position::Beginning(true), view);
            let request = pb::SubscribeRequest { end_when_caught_up: true, ..request };
            let stream = client.feed.clone().subscribe(request).await?.into_inner();
            let (rate, time) = drain(stream).await?;
            ours.push(rate);
            ours_time.push(time);
            let (rate, time) = drain(bare_stream::follow(channel(&url).await?).await?).await?;
            bare.push(rate);
            bare_time.push(time);
        }
        let rounds: Vec<_> = ours.into_iter().zip(bare).collect();
        let aim = match (view, &plan.archive) {
            (pb::FeedView::Full, Some(_)) => "≥ 40 %",
            (pb::FeedView::Full, None) => "≥ 20 %",
            _ => "≥ 60 %",
        };
        let what = format!("replay from storage, one subscriber, {name}, {imported} changes");
        table.rate(&what, &rounds, &format!("bare stream, {changes_a_message:.0} changes per message"), aim);
        let micros = |times: Vec<Duration>| median(times.iter().map(|time| time.as_secs_f64() * 1e6));
        let (ours, bare) = (micros(ours_time), micros(bare_time));
        table.fact(&format!("{what}: processor time per change"), &format!("{ours:.2} µs, bare {bare:.2} µs"), "");
    }
    drop(client);
    running.stop().await
}

/// Writes the archive whose changes are replayed: each article's first revision, then each one's second, and so on.
async fn interleaved(plan: &Plan) -> anyhow::Result<PathBuf> {
    let path = plan.folder.join("replay");
    let articles = (plan.changes / 15).max(1);
    let corpus = Corpus { prefix: "replay".to_owned(), articles, revisions: 15, bytes: (2_000, 4_000), batch: 128 };
    let running = Running::start(&path).await?;
    let imported = import(&running.clients(1).await?.remove(0), corpus.messages(5)).await?;
    eprintln!("imported {imported} changes");
    running.stop().await?;
    Ok(path)
}

struct Sample {
    messages: Vec<Bytes>,
    changes: usize,
}

/// The first messages of a replay, encoded.
async fn sample(client: &Client, view: pb::FeedView) -> anyhow::Result<Sample> {
    let mut stream = client.feed.clone().subscribe(subscribe_from(Position::Beginning(true), view)).await?.into_inner();
    let mut sample = Sample { messages: Vec::new(), changes: 0 };
    while sample.messages.len() < SAMPLE_EVENTS {
        let Some(message) = stream.message().await? else { break };
        match &message.event {
            Some(Event::Delivery(batch)) => {
                sample.changes += batch.changes.len();
                sample.messages.push(message.encode_to_vec().into());
            }
            Some(Event::CaughtUp(_)) => break,
            _ => {}
        }
    }
    Ok(sample)
}

/// Reads a stream to its end. Returns changes per second, and the processor time that one change took.
async fn drain(mut stream: Streaming<pb::SubscribeResponse>) -> anyhow::Result<(f64, Duration)> {
    let (begun, before) = (Instant::now(), processor());
    let mut changes = 0_u32;
    while let Some(message) = stream.message().await? {
        if let Some(Event::Delivery(batch)) = message.event {
            changes += u32::try_from(batch.changes.len())?;
        }
    }
    let per_change = processor().saturating_sub(before) / changes.max(1);
    Ok((f64::from(changes) / begun.elapsed().as_secs_f64(), per_change))
}

/// The measurements of one fan-out.
#[derive(Debug, Default)]
struct FanOut {
    latencies: Vec<Duration>,
    processor: Duration,
}

impl FanOut {
    fn percentile(&self, percent: usize) -> Duration {
        let index = (self.latencies.len() * percent / 100).min(self.latencies.len().saturating_sub(1));
        self.latencies.get(index).copied().unwrap_or_default()
    }
}

/// Sends live changes to many subscribers, and the same messages over as many bare streams.
async fn fan_out(plan: &Plan, subscribers: usize, table: &mut Table) -> anyhow::Result<()> {
    let running = Running::start(&plan.folder.join(format!("fanout-{subscribers}"))).await?;
    let writes = u32::try_from(plan.length().as_secs())? * plan.rate;
    let deliveries = writes * u32::try_from(subscribers)?;
    // The processor time of the writes themselves is subtracted.
    let writing = write_at_rate(&running, plan.rate, writes).await?;
    let ours = live(&running, subscribers, plan.rate, writes).await?;
    let message = last_message(&running).await?;
    let bare = bare_live(subscribers, plan.rate, writes, &message).await?;
    let what =
        format!("live, {subscribers} subscriber{}, {} writes/s", if subscribers == 1 { "" } else { "s" }, plan.rate);
    let shown = |fan_out: &FanOut| {
        let (p50, p99) = (fan_out.percentile(50), fan_out.percentile(99));
        format!("p50 {}, p99 {}", millis(p50), millis(p99))
    };
    table.fact(&format!("{what}: commit to receipt"), &shown(&ours), "p99 < 10 ms");
    table.fact(&format!("{what}: send to receipt, bare stream"), &shown(&bare), "");
    let micros = |time: Duration| time.as_secs_f64() * 1e6 / f64::from(deliveries);
    let (our_micros, bare_micros) = (micros(ours.processor.saturating_sub(writing)), micros(bare.processor));
    let shown = format!("{our_micros:.1} µs, bare {bare_micros:.1} µs, {:.2} ×", our_micros / bare_micros);
    table.fact(&format!("{what}: processor time per delivery, both sides"), &shown, "≤ 1.5 ×");
    running.stop().await
}

/// Records observations at a fixed rate, and returns the processor time that this took.
async fn write_at_rate(running: &Running, rate: u32, writes: u32) -> anyhow::Result<Duration> {
    let mut publisher = Publisher::new(running.clients(1).await?.remove(0), 1, 16, 4_000);
    let before = processor();
    let mut clock = tokio::time::interval(Duration::from_secs(1) / rate);
    for _ in 0..writes {
        clock.tick().await;
        support::load::Caller::call(&mut publisher).await?;
    }
    Ok(processor().saturating_sub(before))
}

async fn live(running: &Running, subscribers: usize, rate: u32, writes: u32) -> anyhow::Result<FanOut> {
    let announced = Announced::watch(&running.archive);
    let mut tasks = JoinSet::new();
    let (ready, mut started) = tokio::sync::mpsc::channel(subscribers.max(1));
    for client in running.clients(subscribers).await? {
        let ready = ready.clone();
        tasks.spawn(async move { receive(client, writes, ready).await });
    }
    drop(ready);
    while started.recv().await.is_some() {}
    let before = processor();
    write_at_rate(running, rate, writes).await?;
    let mut received = Vec::new();
    while let Some(task) = tasks.join_next().await {
        received.extend(task??);
    }
    let processor = processor().saturating_sub(before);
    let mut latencies: Vec<_> =
        received.into_iter().filter_map(|(seq, at)| Some(at.saturating_duration_since(announced.of(seq)?))).collect();
    latencies.sort_unstable();
    Ok(FanOut { latencies, processor })
}

/// Receives the changes of `writes` writes, and returns the position of each and when it arrived.
async fn receive(
    client: Client,
    writes: u32,
    ready: tokio::sync::mpsc::Sender<()>,
) -> anyhow::Result<Vec<(u64, Instant)>> {
    let request = subscribe_from(Position::Now(true), pb::FeedView::Basic);
    let mut stream = client.feed.clone().subscribe(request).await?.into_inner();
    let mut received = Vec::with_capacity(writes as usize);
    let mut ready = Some(ready);
    while received.len() < writes as usize {
        let message = stream.message().await?.ok_or_else(|| anyhow::anyhow!("the feed ended"))?;
        match message.event {
            Some(Event::CaughtUp(_)) => drop(ready.take()),
            Some(Event::Delivery(batch)) => {
                let now = Instant::now();
                received.extend(batch.changes.iter().map(|change| (change.seq, now)));
            }
            _ => {}
        }
    }
    Ok(received)
}

/// When the writer announced each position, recorded by a thread that does nothing else.
struct Announced(Arc<Mutex<HashMap<u64, Instant>>>);

impl Announced {
    fn watch(archive: &Archive) -> Self {
        let times: Arc<Mutex<HashMap<u64, Instant>>> = Arc::default();
        let (mut end, written) = (archive.feed_end(), Arc::clone(&times));
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            if let Ok(runtime) = runtime {
                runtime.block_on(record(&mut end, &written));
            }
        });
        Self(times)
    }

    fn of(&self, seq: u64) -> Option<Instant> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&seq).copied()
    }
}

async fn record(end: &mut FeedEnd, times: &Mutex<HashMap<u64, Instant>>) {
    let mut recorded = end.now();
    loop {
        let next = end.beyond(recorded).await;
        let now = Instant::now();
        times.lock().unwrap_or_else(PoisonError::into_inner).extend((recorded.0..next.0).map(|seq| (seq, now)));
        recorded = Seq(next.0);
    }
}

/// The last change, encoded as a message of the feed.
async fn last_message(running: &Running) -> anyhow::Result<Bytes> {
    let client = running.clients(1).await?.remove(0);
    let tail = running.archive.tail().next_seq;
    let request = subscribe_from(Position::Seq(tail.0.saturating_sub(1)), pb::FeedView::Basic);
    let mut stream = client.feed.clone().subscribe(request).await?.into_inner();
    loop {
        let message = stream.message().await?.ok_or_else(|| anyhow::anyhow!("the feed ended"))?;
        if matches!(message.event, Some(Event::Delivery(_))) {
            return Ok(message.encode_to_vec().into());
        }
    }
}

async fn bare_live(subscribers: usize, rate: u32, writes: u32, message: &Bytes) -> anyhow::Result<FanOut> {
    let (url, speaker) = bare_stream::live().await?;
    let mut streams = Vec::new();
    for _ in 0..subscribers {
        let channel = channel(&url).await?;
        // A stream exists once its first message has arrived.
        streams.push(tokio::spawn(async move { bare_stream::follow::<pb::SubscribeResponse>(channel).await }));
    }
    let mut tasks = JoinSet::new();
    for stream in streams {
        let mut stream = stream.await??;
        tasks.spawn(async move {
            let mut received = Vec::with_capacity(writes as usize);
            while received.len() < writes as usize {
                stream.message().await?.ok_or_else(|| anyhow::anyhow!("the stream ended"))?;
                received.push(Instant::now());
            }
            anyhow::Ok(received)
        });
    }
    let before = processor();
    let mut sent = Vec::new();
    let mut clock = tokio::time::interval(Duration::from_secs(1) / rate);
    for _ in 0..writes {
        clock.tick().await;
        sent.push(Instant::now());
        speaker.say(message).await;
    }
    let mut latencies = Vec::new();
    while let Some(task) = tasks.join_next().await {
        latencies.extend(task??.into_iter().zip(&sent).map(|(at, sent)| at.saturating_duration_since(*sent)));
    }
    latencies.sort_unstable();
    Ok(FanOut { latencies, processor: processor().saturating_sub(before) })
}

/// Opens connections, each of which has already made a call.
async fn connect_many(url: &str, connections: usize) -> anyhow::Result<Vec<Client>> {
    let mut clients = Vec::with_capacity(connections);
    for _ in 0..connections {
        let mut client = Client::connect(url).await?;
        client.feed.list_subscriptions(pb::ListSubscriptionsRequest::default()).await?;
        clients.push(client);
    }
    Ok(clients)
}

/// Opens many subscriptions, spread over the connections.
async fn subscribe_many(
    clients: &[Client],
    subscribers: usize,
    request: &pb::SubscribeRequest,
) -> anyhow::Result<Vec<Streaming<pb::SubscribeResponse>>> {
    let mut streams = Vec::with_capacity(subscribers);
    for number in 0..subscribers {
        let mut feed = clients[number % clients.len()].feed.clone();
        streams.push(feed.subscribe(request.clone()).await?.into_inner());
    }
    Ok(streams)
}

async fn idle(plan: &Plan, table: &mut Table) -> anyhow::Result<()> {
    for connections in [100, 10_000] {
        let server = ChildServer::start(&plan.folder.join(format!("idle-{connections}")))?;
        let unconnected = server.memory().resident;
        let clients = connect_many(&server.url, connections).await?;
        let before = server.memory().resident;
        let request = subscribe_from(Position::Now(true), pb::FeedView::Basic);
        let streams = subscribe_many(&clients, 10_000, &request).await?;
        tokio::time::sleep(plan.length()).await;
        let processor = server.processor();
        tokio::time::sleep(plan.length()).await;
        let share = server.processor().saturating_sub(processor).as_secs_f64() / plan.length().as_secs_f64();
        let grown = server.memory().resident.saturating_sub(before);
        let connected = mib(before.saturating_sub(unconnected));
        let shown = format!(
            "{} more resident, besides {connected} for the connections; {:.0} % of a core for heartbeats",
            mib(grown),
            share * 100.0
        );
        table.fact(&format!("10,000 idle subscribers on {connections} connections"), &shown, "< 200 MB");
        drop(streams);
    }
    Ok(())
}

/// One writer at a steady rate, so that spare capacity of the machine does not matter. Measures the latency of its
/// writes and the server's processor time, with and without subscribers whose filter matches nothing.
async fn no_match(plan: &Plan, table: &mut Table) -> anyhow::Result<()> {
    const WRITES_A_SECOND: u32 = 200;
    let filter = |sources: &[&str], labels: &[&str]| pb::ArticleFilter {
        sources: sources.iter().map(ToString::to_string).collect(),
        labels: labels.iter().map(ToString::to_string).collect(),
        ..pb::ArticleFilter::default()
    };
    let cases = [
        ("no subscribers", 0, filter(&[], &[])),
        ("1,000 that filter by a source", 1_000, filter(&["sources/nobody"], &[])),
        ("1,000 that filter by a label", 1_000, filter(&[], &["nothing"])),
    ];
    for (number, (what, subscribers, filter)) in cases.into_iter().enumerate() {
        let server = ChildServer::start(&plan.folder.join(format!("nomatch-{number}")))?;
        let request = subscribe_from(Position::Now(true), pb::FeedView::Basic);
        let request = pb::SubscribeRequest { filter: Some(filter), ..request };
        let streams = subscribe_many(&connect_many(&server.url, 10).await?, subscribers, &request).await?;
        let mut publisher = Publisher::new(Client::connect(&server.url).await?, 1, 16, 4_000);
        let mut clock = tokio::time::interval(Duration::from_secs(1) / WRITES_A_SECOND);
        let (begun, before) = (Instant::now(), server.processor());
        let mut latencies = Vec::new();
        while begun.elapsed() < plan.length() {
            clock.tick().await;
            let called = Instant::now();
            support::load::Caller::call(&mut publisher).await?;
            latencies.push(called.elapsed());
        }
        let share = server.processor().saturating_sub(before).as_secs_f64() / begun.elapsed().as_secs_f64();
        latencies.sort_unstable();
        let written = FanOut { latencies, processor: Duration::ZERO };
        let (p50, p99) = (millis(written.percentile(50)), millis(written.percentile(99)));
        let shown = format!("write latency p50 {p50}, p99 {p99}; server {:.0} % of a core", share * 100.0);
        table.fact(&format!("{WRITES_A_SECOND} writes/s, subscribers that match nothing: {what}"), &shown, "");
        drop(streams);
    }
    Ok(())
}

async fn stalled(plan: &Plan, table: &mut Table) -> anyhow::Result<()> {
    for subscribers in [0, 100] {
        let server = ChildServer::start(&plan.folder.join(format!("stalled-{subscribers}")))?;
        let request = subscribe_from(Position::Now(true), pb::FeedView::Full);
        // Nothing reads these streams.
        let streams = subscribe_many(&connect_many(&server.url, 100).await?, subscribers, &request).await?;
        let before = server.memory().resident;
        let mut publishers = Vec::new();
        for number in 0..8 {
            publishers.push(Publisher::new(Client::connect(&server.url).await?, number, 16, 4_000));
        }
        let (load, _) = load(publishers, Duration::from_secs(1), plan.length() * 2).await?;
        let grown = server.memory().resident.saturating_sub(before);
        let shown = format!("{:.0} writes/s, server grew by {}", load.rate(), mib(grown));
        table.fact(&format!("8 writers, {subscribers} subscribers that never read, FULL"), &shown, "");
        drop(streams);
    }
    Ok(())
}
