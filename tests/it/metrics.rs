//! What monitoring reads: a scrape of a real server, over a socket.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use dateline::internals::archive::{Archive, Options};
use dateline::internals::clock::SystemClock;
use dateline::internals::metrics::{self, Sources};
use dateline::internals::proof::LogKey;
use dateline::internals::server::{self, Signer, WebhookUrls, Webhooks};
use dateline::internals::store::engine::memory::{Fault, MemoryEngine};
use dateline::internals::web;
use dateline::internals::wire::pb;
use dateline::internals::witness;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::server::{TestServer, name, publish};
use crate::web::{Rules, Site};
use crate::witnesses;

/// A server, and where its metrics are.
struct Monitored {
    server: TestServer,
    address: SocketAddr,
    pages: Arc<web::Stats>,
}

impl Monitored {
    async fn over(archive: Archive, options: server::Options) -> Self {
        let stats = Arc::default();
        let options = server::Options { stats: Some(Arc::clone(&stats)), ..options };
        let (signer, webhooks) = (options.signer.clone(), options.webhooks.clone());
        let server = TestServer::over(archive, options).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let pages: Arc<web::Stats> = Arc::default();
        let shown = Some(Arc::clone(&pages));
        let sources = Sources { archive: Arc::clone(&server.archive), stats, signer, webhooks, pages: shown };
        tokio::spawn(metrics::serve(listener, sources));
        Self { server, address, pages }
    }

    async fn in_memory() -> Self {
        let archive = Archive::in_memory_with(&Options::default(), Arc::new(SystemClock)).unwrap();
        Self::over(archive, server::Options::default()).await
    }

    async fn ask(&self, request: &str) -> String {
        let mut connection = TcpStream::connect(self.address).await.unwrap();
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        // A connection that is closed before its request is read is reset.
        drop(connection.read_to_string(&mut answer).await);
        answer
    }

    async fn get(&self, path: &str) -> String {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")).await
    }

    async fn pages_rejected(&self) -> f64 {
        self.scrape().await.value("dateline_web_connections_rejected_total")
    }

    async fn scrape(&self) -> Scrape {
        let answer = self.get("/metrics").await;
        let (head, page) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert!(head.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8"), "{head}");
        Scrape::read(page)
    }
}

/// A page of metrics.
#[derive(Debug, Default)]
struct Scrape {
    /// The type and the labels of each metric, by its name in samples.
    metrics: BTreeMap<String, (String, BTreeSet<String>)>,
    /// The values of all samples, by name and labels as they are written.
    samples: BTreeMap<String, f64>,
}

impl Scrape {
    fn read(page: &str) -> Self {
        assert!(page.ends_with("# EOF\n"));
        let (mut scrape, mut family) = (Self::default(), (String::new(), String::new()));
        for line in page.lines() {
            if let Some(declared) = line.strip_prefix("# TYPE ") {
                let (name, kind) = declared.split_once(' ').unwrap();
                family = (name.to_owned(), kind.to_owned());
            }
            if line.starts_with('#') {
                continue;
            }
            let (sample, value) = line.rsplit_once(' ').unwrap();
            assert!(scrape.samples.insert(sample.to_owned(), value.parse().unwrap()).is_none(), "{sample} twice");
            let (name, labels) = sample.split_once('{').unwrap_or((sample, "}"));
            let name = if family.1 == "histogram" { &family.0 } else { name };
            let labels = labels.trim_end_matches('}').split(',').filter_map(|label| label.split_once('='));
            let labels = labels.map(|(label, _)| label.to_owned()).filter(|label| label != "le");
            let entry = scrape.metrics.entry(name.to_owned()).or_insert((family.1.clone(), BTreeSet::new()));
            entry.1.extend(labels);
        }
        scrape
    }

    fn value(&self, sample: &str) -> f64 {
        *self.samples.get(sample).unwrap_or_else(|| panic!("there is no {sample} in {:#?}", self.samples))
    }
}

/// The metrics of the table in docs/OPERATIONS.md.
fn documented() -> BTreeMap<String, (String, BTreeSet<String>)> {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/OPERATIONS.md")).unwrap();
    let rows = page.lines().filter(|line| line.starts_with("| `dateline_") || line.starts_with("| `process_"));
    let cells = rows.map(|row| row.split('|').skip(1).map(|cell| cell.trim().replace('`', "")).collect::<Vec<_>>());
    cells
        .map(|cells| {
            let labels = cells[2].split(", ").filter(|label| !label.is_empty()).map(str::to_owned);
            (cells[0].clone(), (cells[1].clone(), labels.collect()))
        })
        .collect()
}

#[tokio::test]
async fn the_table_of_metrics_has_what_a_scrape_has_and_nothing_else() {
    let directory = TempDir::new().unwrap();
    let signer = Signer::from_pem(LogKey::generate().unwrap().as_bytes(), "example.org/log").unwrap();
    let signer = Arc::new(signer.with_witnesses([witness::parse(&witnesses::unreachable()).unwrap()]));
    let webhooks = Webhooks::open(directory.path(), None, WebhookUrls::Https).unwrap();
    let options = server::Options { signer: Some(signer), webhooks: Some(webhooks), ..server::Options::default() };
    let (archive, clock) = (directory.path().join("archive"), Arc::new(SystemClock));
    let (archive, _) = Archive::open_or_create(&archive, &Options::default(), clock, crate::server::holder()).unwrap();
    let monitored = Monitored::over(archive, options).await;
    let mut client = monitored.server.client().await;
    client.archive.record_observation(publish("bridge", "It closes.")).await.unwrap();
    client.integrity.get_checkpoint(pb::GetCheckpointRequest::default()).await.unwrap();
    let pages = web::Options { stats: Arc::clone(&monitored.pages), ..web::Options::default() };
    assert_eq!(Site::with(Rules::Off, pages).await.get("/").await.status, 200);
    assert_eq!(monitored.scrape().await.metrics, documented());
}

#[tokio::test]
async fn calls_are_counted_by_method_and_code() {
    let monitored = Monitored::in_memory().await;
    let mut client = monitored.server.client().await;
    client.archive.record_observation(publish("bridge", "It closes.")).await.unwrap();
    let get = |id: &str| pb::GetArticleRequest { name: name(id), ..Default::default() };
    for _ in 0..3 {
        client.archive.get_article(get("bridge")).await.unwrap();
    }
    client.archive.get_article(get("ferry")).await.unwrap_err();
    let scrape = monitored.scrape().await;
    let method = "method=\"dateline.v1.ArchiveService/GetArticle\"";
    assert_eq!(scrape.value(&format!("dateline_calls_total{{{method},code=\"OK\"}}")), 3.0);
    assert_eq!(scrape.value(&format!("dateline_calls_total{{{method},code=\"NOT_FOUND\"}}")), 1.0);
    assert_eq!(scrape.value(&format!("dateline_calls_total{{{method},code=\"INTERNAL\"}}")), 0.0);
    assert_eq!(scrape.value(&format!("dateline_calls_in_progress{{{method}}}")), 0.0);
    assert_eq!(scrape.value(&format!("dateline_call_duration_seconds_count{{{method}}}")), 4.0);
    assert_eq!(scrape.value(&format!("dateline_call_duration_seconds_bucket{{le=\"+Inf\",{method}}}")), 4.0);
    // The header of a message has five bytes.
    let sent = prost::Message::encoded_len(&get("bridge")) * 3 + prost::Message::encoded_len(&get("ferry")) + 4 * 5;
    assert_eq!(scrape.value(&format!("dateline_call_request_bytes_total{{{method}}}")), sent as f64);
    assert!(scrape.value(&format!("dateline_call_response_bytes_total{{{method}}}")) > 300.0);
    for (sample, expected) in [
        ("dateline_connections", 1.0),
        ("dateline_durable_tail", 1.0),
        ("dateline_articles", 1.0),
        ("dateline_queue_operations", 0.0),
        ("dateline_commit_changes_count", 1.0),
        ("dateline_commit_changes_sum", 1.0),
        ("dateline_commit_sync_seconds_count", 1.0),
        ("dateline_storage_state{state=\"serving\"}", 1.0),
        ("dateline_clock_fault{fault=\"behind\"}", 0.0),
    ] {
        assert_eq!(scrape.value(sample), expected, "{sample}");
    }
    assert!(scrape.value("dateline_cache_hits_total{cache=\"heads\"}") >= 3.0);
}

/// What a client makes up as a method must not become a name in the memory of the server, and of Prometheus.
#[tokio::test]
async fn unknown_methods_count_as_one_and_what_is_not_grpc_as_well() {
    let monitored = Monitored::in_memory().await;
    let channel = tonic::transport::Endpoint::new(monitored.server.url.clone()).unwrap().connect().await.unwrap();
    let mut client = tonic::client::Grpc::new(channel);
    for number in 0..5 {
        client.ready().await.unwrap();
        let path = format!("/dateline.v1.ArchiveService/Invented{number}").parse().unwrap();
        let codec = tonic_prost::ProstCodec::<pb::GetStatusRequest, pb::GetStatusResponse>::default();
        let done = client.unary(tonic::Request::new(pb::GetStatusRequest {}), path, codec).await;
        assert_eq!(done.unwrap_err().code(), tonic::Code::Unimplemented);
    }
    let scrape = monitored.scrape().await;
    assert_eq!(scrape.value("dateline_calls_total{method=\"other\",code=\"UNIMPLEMENTED\"}"), 5.0);
    assert!(!scrape.samples.keys().any(|sample| sample.contains("Invented")));
}

/// What a visitor makes up as an address must not become a name in the memory of the server, and of Prometheus.
#[tokio::test]
async fn requests_for_pages_are_counted_by_route_and_never_by_address() {
    let monitored = Monitored::in_memory().await;
    let stats = Arc::clone(&monitored.pages);
    let options = web::Options { stats, connections_per_peer_max: Some(2), ..web::Options::default() };
    let site = Site::with(Rules::Off, options).await.with_bridge().await;
    for (path, status) in [
        ("/a/express/harbour", 200),
        ("/a/express/harbour.json", 200),
        ("/a/express/secret", 404),
        ("/secret", 404),
        ("/lookup?url=https://secret.example/", 404),
    ] {
        assert_eq!(site.get(path).await.status, status, "{path}");
    }
    assert_eq!(site.ask("POST", "/", &[]).await.status, 405);
    let mut stream = site.connect().await;
    stream.write_all(b"GET /changes/events HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    stream.read_exact(&mut [0; 8]).await.unwrap();
    let idle = site.connect().await;
    // Each is closed at once, as soon as the server has accepted both of the others.
    while monitored.pages_rejected().await == 0.0 {
        drop(site.connect().await.read(&mut [0]).await);
    }
    let scrape = monitored.scrape().await;
    for (sample, expected) in [
        ("dateline_web_requests_total{route=\"/a/{source}/{article}\",status=\"2xx\"}", 2.0),
        ("dateline_web_requests_total{route=\"/a/{source}/{article}\",status=\"4xx\"}", 1.0),
        ("dateline_web_requests_total{route=\"/a/{source}/{article}\",status=\"5xx\"}", 0.0),
        ("dateline_web_requests_total{route=\"/lookup\",status=\"4xx\"}", 1.0),
        ("dateline_web_requests_total{route=\"other\",status=\"4xx\"}", 2.0),
        ("dateline_web_request_duration_seconds_count{route=\"/a/{source}/{article}\"}", 3.0),
        ("dateline_web_requests_limited_total", 0.0),
        ("dateline_web_connections", 2.0),
        ("dateline_web_streams", 1.0),
    ] {
        assert_eq!(scrape.value(sample), expected, "{sample}");
    }
    assert!(scrape.value("dateline_web_connections_accepted_total") >= 8.0);
    assert!(!scrape.samples.keys().any(|sample| sample.contains("secret")), "{scrape:?}");
    drop((stream, idle));
    while monitored.scrape().await.value("dateline_web_streams") > 0.0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_stream_is_in_progress_until_its_client_goes_and_has_no_duration() {
    let monitored = Monitored::in_memory().await;
    let mut client = monitored.server.client().await;
    let position = pb::feed_start::Position::Now(true);
    let start = Some(pb::FeedStart { position: Some(position) });
    let mut subscribed = client.feed.subscribe(pb::SubscribeRequest { start, ..Default::default() }).await.unwrap();
    subscribed.get_mut().message().await.unwrap().unwrap();
    let method = "method=\"dateline.v1.ChangeFeedService/Subscribe\"";
    let scrape = monitored.scrape().await;
    assert_eq!(scrape.value(&format!("dateline_calls_in_progress{{{method}}}")), 1.0);
    assert_eq!(scrape.value("dateline_subscribers{kind=\"feed\"}"), 1.0);
    assert!(!scrape.samples.contains_key(&format!("dateline_call_duration_seconds_count{{{method}}}")));
    drop(subscribed);
    // The server learns of it when the transport tells it.
    loop {
        let scrape = monitored.scrape().await;
        let gone = scrape.value("dateline_subscribers{kind=\"feed\"}") == 0.0;
        if gone && scrape.value(&format!("dateline_calls_in_progress{{{method}}}")) == 0.0 {
            assert_eq!(scrape.value(&format!("dateline_calls_total{{{method},code=\"CANCELLED\"}}")), 1.0);
            return;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_lag_of_a_durable_subscription_is_shown_without_its_name() {
    let monitored = Monitored::in_memory().await;
    let mut client = monitored.server.client().await;
    let request = pb::CreateSubscriptionRequest {
        subscription_id: "search-engine".into(),
        subscription: Some(pb::Subscription::default()),
        ..Default::default()
    };
    client.feed.create_subscription(request).await.unwrap();
    for article in ["bridge", "ferry"] {
        client.archive.record_observation(publish(article, "It closes.")).await.unwrap();
    }
    let scrape = monitored.scrape().await;
    assert_eq!(scrape.value("dateline_subscriptions"), 1.0);
    assert_eq!(scrape.value("dateline_subscription_lag_changes"), 2.0);
    assert!(scrape.value("dateline_subscription_lag_seconds") > 0.0);
    assert!(!monitored.get("/metrics").await.contains("search-engine"));
}

#[tokio::test]
async fn only_a_get_of_the_two_pages_is_answered() {
    let monitored = Monitored::in_memory().await;
    for (request, status) in [
        ("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", "200 OK"),
        ("GET /metrics HTTP/1.0\r\n\r\n", "200 OK"),
        ("HEAD /metrics HTTP/1.1\r\nHost: a\r\n\r\n", "405 Method Not Allowed"),
        ("POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx", "405 Method Not Allowed"),
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "404 Not Found"),
        ("GET /metrics/../etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n", "404 Not Found"),
        ("anything\r\n\r\n", "400 Bad Request"),
    ] {
        let answer = monitored.ask(request).await;
        let (_, said) = answer.lines().next().unwrap().split_once(' ').unwrap();
        assert_eq!(said, status, "{request:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_does_not_arrive_is_given_up_after_five_seconds() {
    let monitored = Monitored::in_memory().await;
    let begun = tokio::time::Instant::now();
    assert_eq!(monitored.ask("GET /metrics HTTP/1.1\r\nHost:").await, "");
    assert_eq!(begun.elapsed().as_secs(), 5);
}

#[tokio::test]
async fn connections_are_few_and_a_place_is_free_again_once_one_is_closed() {
    let monitored = Monitored::in_memory().await;
    let mut open = Vec::new();
    for _ in 0..16 {
        open.push(TcpStream::connect(monitored.address).await.unwrap());
    }
    assert_eq!(monitored.get("/healthz").await, "", "closed at once");
    drop(open);
    while !monitored.get("/healthz").await.contains("200 OK") {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_failed_storage_is_unhealthy_and_its_metrics_can_still_be_read() {
    let engine = MemoryEngine::new();
    let archive = crate::faults::archive_over(&engine, Duration::from_secs(60));
    let monitored = Monitored::over(archive, server::Options::default()).await;
    let mut client = monitored.server.client().await;
    client.archive.record_observation(publish("bridge", "It closes.")).await.unwrap();
    engine.fault_at(1, Fault::FailBeforeWrite);
    client.archive.record_observation(publish("ferry", "It returns.")).await.unwrap_err();
    assert!(monitored.get("/healthz").await.starts_with("HTTP/1.1 503 "));
    let scrape = monitored.scrape().await;
    assert_eq!(scrape.value("dateline_storage_state{state=\"failed\"}"), 1.0);
    assert_eq!(scrape.value("dateline_storage_state{state=\"serving\"}"), 0.0);
    let method = "dateline.v1.ArchiveService/RecordObservation";
    assert_eq!(scrape.value(&format!("dateline_calls_total{{method=\"{method}\",code=\"UNAVAILABLE\"}}")), 1.0);
}
