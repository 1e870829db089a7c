//! What pages cost, compared with the calls that read the same.
//!
//! `cargo bench --bench web [-- PART… --seconds N --rounds N --readers N]`. The parts are `page`, `timegate` and `events`;
//! without any, all of them run.
//!
//! - `page`: an article's page, and its JSON, against GetArticle; a comparison against DiffRevisions.
//! - `timegate`: Memento's TimeGate against LookupArticle at the same time.
//! - `events`: what one event costs the server with 1,000 readers of `/changes/events`, against 1,000 subscribers; and N
//!   readers (default 20,000), 32 on a connection: the server's memory, and how long until all have an event.
//!
//! In `page` and `timegate` the server and the clients share this process, and both sides speak HTTP/2 and leave replies
//! as they are. In `events` the server is a process of its own.

#![expect(clippy::print_stdout, reason = "the table is what the program is for")]
#![expect(clippy::indexing_slicing, reason = "an index that is wrong ends the measurement, and nothing else")]

#[allow(dead_code, reason = "each benchmark uses a part")]
mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use dateline::internals::client::Client;
use dateline::internals::config::LogFormat;
use dateline::internals::telemetry;
use dateline::internals::web;
use dateline::internals::wire::pb;
use dateline::internals::wire::pb::revision_selector::Selector;
use dateline::internals::wire::pb::subscribe_response::Event;
use dateline::model::Limits;
use futures_util::future::BoxFuture;
use http::{HeaderValue, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use prost::Message;
use support::arguments;
use support::callers::{Publisher, SOURCE, deal};
use support::child::ChildServer;
use support::corpus::{Corpus, import};
use support::echo::RawCaller;
use support::http::{Browser, Visitor};
use support::load::{Caller, load};
use support::memory::mib;
use support::running::Running;
use support::table::{Table, median, millis};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tonic::Streaming;

const WARM_UP: Duration = Duration::from_millis(400);
const CLIENTS: [usize; 2] = [1, 64];
const ARTICLES: usize = 1_024;
const GET_ARTICLE: &str = "/dateline.v1.ArchiveService/GetArticle";
const DIFF_REVISIONS: &str = "/dateline.v1.ArchiveService/DiffRevisions";
const LOOKUP_ARTICLE: &str = "/dateline.v1.ArchiveService/LookupArticle";
/// Between the third and the fourth revision of the corpus.
const THEN: HeaderValue = HeaderValue::from_static("Thu, 01 Jan 2026 00:02:30 GMT");
/// Streams that a connection may have.
const STREAMS: usize = 32;
const COMPARED_READERS: usize = 1_000;
const WRITES: usize = 100;

/// Measures what pages cost.
#[derive(clap::Parser)]
struct Plan {
    /// What to measure [default: everything]
    #[arg(value_name = "PART", value_parser = ["page", "timegate", "events"])]
    parts: Vec<String>,
    /// The length of a measurement
    #[arg(long, default_value = "2")]
    seconds: u64,
    /// How often each measurement is made
    #[arg(long, default_value = "3")]
    rounds: usize,
    /// The readers of events
    #[arg(long, default_value = "20000")]
    readers: usize,
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
        if plan.has("page") || plan.has("timegate") {
            let site = Site::start(&plan.folder.join("site")).await?;
            if plan.has("page") {
                pages(&plan, &site, &mut table).await?;
            }
            if plan.has("timegate") {
                timegate(&plan, &site, &mut table).await?;
            }
            site.running.stop().await?;
        }
        if plan.has("events") {
            events(&plan, &mut table).await?;
        }
        anyhow::Ok(())
    })?;
    println!("{}", table.render("Pages, loopback HTTP/2, articles of 4 KB"));
    Ok(())
}

/// A server with pages, and a corpus whose articles have a URL each.
struct Site {
    running: Running,
    host: String,
    corpus: Corpus,
    _showing: JoinSet<std::convert::Infallible>,
}

impl Site {
    async fn start(path: &Path) -> anyhow::Result<Self> {
        let running = Running::start(path).await?;
        let corpus =
            Corpus { prefix: "page".to_owned(), articles: ARTICLES, revisions: 8, bytes: (4_000, 4_000), batch: 128 };
        let with_url = |mut request: pb::RecordObservationRequest| {
            request.urls = vec![url(&request.article_id)];
            request
        };
        let messages = corpus.messages(7).map(move |message| message.into_iter().map(with_url).collect());
        import(&running.clients(1).await?.remove(0), messages).await?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let host = listener.local_addr()?.to_string();
        let sources = web::Sources {
            archive: Arc::clone(&running.archive),
            access: None,
            signer: None,
            limits: Limits::default(),
        };
        let pages = web::Server::new(listener, sources, web::Options::default())?;
        let mut showing = JoinSet::new();
        showing.spawn(pages.run());
        Ok(Self { running, host, corpus, _showing: showing })
    }

    /// The path of an article's page.
    fn path(&self, article: usize) -> String {
        format!("/a/{}/{}", SOURCE.trim_start_matches("sources/"), self.corpus.id(article))
    }
}

/// The URL of an article.
fn url(id: &str) -> String {
    format!("https://gazette.example/news/{id}")
}

/// Two ways to read the same: a page, and a call.
struct Pair {
    what: &'static str,
    paths: Vec<String>,
    then: Option<HeaderValue>,
    status: StatusCode,
    method: &'static str,
    requests: Vec<Bytes>,
    aim: &'static str,
}

async fn pages(plan: &Plan, site: &Site, table: &mut Table) -> anyhow::Result<()> {
    let articles = || 0..site.corpus.articles;
    let get: Vec<Bytes> = articles()
        .map(|article| {
            let request = pb::GetArticleRequest { name: site.corpus.name(article), ..pb::GetArticleRequest::default() };
            request.encode_to_vec().into()
        })
        .collect();
    let diff: Vec<Bytes> = articles()
        .map(|article| {
            let revision = |number| Some(pb::RevisionSelector { selector: Some(Selector::RevisionNumber(number)) });
            let (name, base, target) = (site.corpus.name(article), revision(1), revision(2));
            let request = pb::DiffRevisionsRequest { name, base, target, ..pb::DiffRevisionsRequest::default() };
            request.encode_to_vec().into()
        })
        .collect();
    let article = Pair {
        what: "an article's page",
        paths: articles().map(|article| site.path(article)).collect(),
        then: None,
        status: StatusCode::OK,
        method: GET_ARTICLE,
        requests: get.clone(),
        aim: "p50 ≤ 2 ×",
    };
    let json = Pair {
        what: "its JSON",
        paths: articles().map(|article| format!("{}.json", site.path(article))).collect(),
        then: None,
        status: StatusCode::OK,
        method: GET_ARTICLE,
        requests: get,
        aim: "",
    };
    let comparison = Pair {
        what: "what changed",
        paths: articles().map(|article| format!("{}/diff/1..2", site.path(article))).collect(),
        then: None,
        status: StatusCode::OK,
        method: DIFF_REVISIONS,
        requests: diff,
        aim: "",
    };
    for pair in [article, json, comparison] {
        compare(plan, site, &pair, table).await?;
    }
    Ok(())
}

async fn timegate(plan: &Plan, site: &Site, table: &mut Table) -> anyhow::Result<()> {
    let articles = || 0..site.corpus.articles;
    let requests = articles().map(|article| {
        let request = pb::LookupArticleRequest {
            url: url(&site.corpus.id(article)),
            as_of: Some(pb::AsOf { observe_time: Some(Corpus::observed(2)), ..pb::AsOf::default() }),
            view: pb::ArticleView::Basic.into(),
            min_next_seq: 0,
        };
        request.encode_to_vec().into()
    });
    let pair = Pair {
        what: "TimeGate",
        paths: articles().map(|article| format!("/web/{}", url(&site.corpus.id(article)))).collect(),
        then: Some(THEN),
        status: StatusCode::FOUND,
        method: LOOKUP_ARTICLE,
        requests: requests.collect(),
        aim: "p50 ≤ 1.3 ×",
    };
    compare(plan, site, &pair, table).await
}

/// Measures both ways alternately, and adds the ratio of their latencies.
async fn compare(plan: &Plan, site: &Site, pair: &Pair, table: &mut Table) -> anyhow::Result<()> {
    for clients in CLIENTS {
        let (mut latencies, mut processor, mut bytes) = (vec![], vec![], 0);
        for _ in 0..plan.rounds {
            let mut visitors = Vec::new();
            for paths in deal(&pair.paths, clients) {
                let browser = Browser::connect(&site.host).await?;
                visitors.push(Visitor::new(browser, paths, pair.then.clone(), pair.status));
            }
            let (shown, visitors) = load(visitors, WARM_UP, plan.length()).await?;
            bytes = visitors.first().map_or(0, Visitor::page_bytes);
            let mut callers = Vec::new();
            for requests in deal(&pair.requests, clients) {
                callers.push(RawCaller::connect(&site.running.url, pair.method, requests).await?);
            }
            let (called, _) = load(callers, WARM_UP, plan.length()).await?;
            latencies.push((shown.percentile(50), called.percentile(50), shown.percentile(99)));
            processor.push((shown.processor_a_call(), called.processor_a_call()));
        }
        let middle = |pick: fn(&(Duration, Duration, Duration)) -> Duration| {
            Duration::from_secs_f64(median(latencies.iter().map(|round| pick(round).as_secs_f64())))
        };
        let ratio = median(latencies.iter().map(|round| round.0.as_secs_f64() / round.1.as_secs_f64()));
        let method = pair.method.rsplit('/').next().unwrap_or_default();
        let what = format!("{} ({bytes} bytes), {clients} clients", pair.what);
        let (shown, called, worst) = (middle(|round| round.0), middle(|round| round.1), middle(|round| round.2));
        let measured =
            format!("p50 {}, p99 {}; {method} p50 {}: {ratio:.2} ×", millis(shown), millis(worst), millis(called));
        table.fact(&what, &measured, pair.aim);
        table.time_against(&format!("{what}: processor time, both sides"), &processor, method);
    }
    Ok(())
}

/// What an event costs the server.
async fn events(plan: &Plan, table: &mut Table) -> anyhow::Result<()> {
    // Half of them may be of one address, as all readers are.
    let connections = (2 * plan.readers.max(4 * COMPARED_READERS)).to_string();
    let options = ["--web-listen", "127.0.0.1:0", "--web-connections-max", &connections];
    let server = ChildServer::start_with(&plan.folder.join("events"), &options)?;
    let mut writer = Writer::start(&server).await?;
    writer.write(WRITES).await?;
    let before = server.processor();
    writer.write(WRITES).await?;
    let writes = server.processor().saturating_sub(before);

    let readers = sse_readers(&server, COMPARED_READERS, 1).await?;
    let sse = delivered(&server, &mut writer, readers, WRITES).await?;
    let readers = subscribers(&server, COMPARED_READERS).await?;
    let grpc = delivered(&server, &mut writer, readers, WRITES).await?;
    let each = |done: &Delivered| {
        let spent = done.processor.saturating_sub(writes);
        spent / u32::try_from(done.deliveries.max(1)).unwrap_or(u32::MAX)
    };
    let (sse, grpc) = (each(&sse), each(&grpc));
    let measured = format!(
        "{:.1} µs; a delivery to a subscriber {:.1} µs: {:.2} ×",
        sse.as_secs_f64() * 1e6,
        grpc.as_secs_f64() * 1e6,
        sse.as_secs_f64() / grpc.as_secs_f64()
    );
    table.fact(&format!("an event to {COMPARED_READERS} readers: the server's processor time"), &measured, "≤ 1.5 ×");

    let resident = server.memory().resident;
    let many = sse_readers(&server, plan.readers, STREAMS).await?;
    let grown = server.memory().resident.saturating_sub(resident);
    let done = delivered(&server, &mut writer, many, 10).await?;
    let each = grown / plan.readers.max(1) as u64;
    table.fact(
        &format!("{} readers, {STREAMS} on a connection", plan.readers),
        &format!(
            "{} more ({each} bytes each), at most {} resident while events arrive; eleven writes, and {} events after {}",
            mib(grown),
            mib(server.memory().peak),
            done.deliveries,
            millis(done.elapsed)
        ),
        "",
    );
    Ok(())
}

/// Writes changes, and marks the end of some.
struct Writer {
    publisher: Publisher,
    client: Client,
    marks: usize,
}

impl Writer {
    async fn start(server: &ChildServer) -> anyhow::Result<Self> {
        let client = Client::connect(&server.url).await?;
        Ok(Self { publisher: Publisher::new(client.clone(), 0, 16, 4_000), client, marks: 0 })
    }

    /// The article that is created at the end of the next writes.
    fn next_mark(&self) -> String {
        format!("{SOURCE}/articles/mark-{}", self.marks)
    }

    /// Revises articles, which need not change each time, and creates one.
    async fn write(&mut self, count: usize) -> anyhow::Result<()> {
        for _ in 0..count {
            self.publisher.call().await?;
        }
        let content = pb::Content { headline: "The end".to_owned(), ..pb::Content::default() };
        let request = pb::RecordObservationRequest {
            parent: SOURCE.to_owned(),
            article_id: format!("mark-{}", self.marks),
            content: Some(content),
            ..pb::RecordObservationRequest::default()
        };
        self.client.archive.record_observation(request).await?;
        self.marks += 1;
        Ok(())
    }
}

/// What it took until all readers had all changes.
struct Delivered {
    deliveries: usize,
    processor: Duration,
    elapsed: Duration,
}

/// Readers, each of which counts the changes that it gets, up to the one of this article.
type Readers = Vec<Box<dyn FnOnce(String) -> BoxFuture<'static, anyhow::Result<usize>> + Send>>;

async fn delivered(
    server: &ChildServer,
    writer: &mut Writer,
    readers: Readers,
    writes: usize,
) -> anyhow::Result<Delivered> {
    let mut reading = JoinSet::new();
    for reader in readers {
        reading.spawn(reader(writer.next_mark()));
    }
    let (begun, before) = (Instant::now(), server.processor());
    writer.write(writes).await?;
    let mut deliveries = 0;
    while let Some(read) = reading.join_next().await {
        deliveries += read??;
    }
    let processor = server.processor().saturating_sub(before);
    Ok(Delivered { deliveries, processor, elapsed: begun.elapsed() })
}

/// Opens streams of events, `streams` on a connection.
async fn sse_readers(server: &ChildServer, count: usize, streams: usize) -> anyhow::Result<Readers> {
    let host = server.web_host.clone().ok_or_else(|| anyhow::anyhow!("the server shows no pages"))?;
    let (mut readers, mut browser) = (Readers::new(), None);
    for number in 0..count {
        let mut open = match browser.take().filter(|_| number % streams > 0) {
            Some(open) => open,
            None => Browser::connect(&host).await?,
        };
        let mut body = open.get("/changes/events", None).await?.into_body();
        browser = Some(open);
        // A stream is open once its first bytes have arrived.
        body.frame().await.ok_or_else(|| anyhow::anyhow!("the stream ended"))??;
        readers.push(Box::new(move |mark| Box::pin(read_events(body, format!("\"article\":\"{mark}\"")))));
    }
    Ok(readers)
}

async fn read_events(mut body: Incoming, mark: String) -> anyhow::Result<usize> {
    let (mut events, mut rest) = (0, String::new());
    loop {
        let frame = body.frame().await.ok_or_else(|| anyhow::anyhow!("the stream ended"))??;
        rest.push_str(std::str::from_utf8(frame.data_ref().map_or(&[][..], |data| data))?);
        while let Some((event, later)) = rest.split_once("\n\n") {
            events += usize::from(event.contains("event: change"));
            if event.contains(&mark) {
                return Ok(events);
            }
            rest = later.to_owned();
        }
    }
}

/// Opens subscriptions, each on a connection of its own.
async fn subscribers(server: &ChildServer, count: usize) -> anyhow::Result<Readers> {
    let mut readers = Readers::new();
    for _ in 0..count {
        let mut client = Client::connect(&server.url).await?;
        let request = pb::SubscribeRequest { view: pb::FeedView::Basic.into(), ..pb::SubscribeRequest::default() };
        let stream = client.feed.subscribe(request).await?.into_inner();
        readers.push(Box::new(move |mark| Box::pin(read_changes(client, stream, mark))));
    }
    Ok(readers)
}

async fn read_changes(
    _open: Client,
    mut stream: Streaming<pb::SubscribeResponse>,
    mark: String,
) -> anyhow::Result<usize> {
    let mut changes = 0;
    loop {
        let message = stream.message().await?.ok_or_else(|| anyhow::anyhow!("the stream ended"))?;
        let Some(Event::Delivery(delivery)) = message.event else { continue };
        changes += delivery.changes.len();
        if delivery.changes.iter().any(|change| change.article == mark) {
            return Ok(changes);
        }
    }
}
