//! Traces: the spans of a server, as a collector receives them.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use dateline::internals::client::Client;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

use super::Cli;
use super::server::Server;
use crate::server::publish;

struct Collector(UnboundedSender<Span>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let spans = request.into_inner().resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
        spans.flat_map(|scope| scope.spans).for_each(|span| self.0.send(span).unwrap());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

/// Where a collector is, and what it receives.
async fn collector() -> (String, UnboundedReceiver<Span>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, received) = unbounded_channel();
    let collecting = tonic::transport::Server::builder().add_service(TraceServiceServer::new(Collector(sender)));
    tokio::spawn(collecting.serve_with_incoming(TcpListenerStream::new(listener)));
    (url, received)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_is_a_part_of_its_callers_trace_and_says_where_its_time_went() {
    let (cli, (url, mut received)) = (Cli::new(), collector().await);
    let server = Server::start(&cli, &["--otlp-endpoint", &url]);
    let mut client = Client::connect(&server.address).await.unwrap();
    let mut request = Request::new(publish("bridge", "It closes."));
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    request.metadata_mut().insert("traceparent", traceparent.parse().unwrap());
    client.archive.record_observation(request).await.unwrap();
    drop(client);
    assert_eq!(tokio::task::spawn_blocking(|| server.terminate()).await.unwrap(), Some(0));

    // A server that has ended has sent all spans.
    let mut spans = HashMap::new();
    while let Ok(span) = received.try_recv() {
        spans.insert(span.name.clone(), span);
    }
    let call = spans.get("dateline.v1.ArchiveService/RecordObservation");
    let call = call.unwrap_or_else(|| panic!("the call is not among {spans:#?}"));
    let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
    assert_eq!(hex(&call.trace_id), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(hex(&call.parent_span_id), "b7ad6b7169203331");
    assert_eq!(call.kind(), SpanKind::Server);
    let code = call.attributes.iter().find(|attribute| attribute.key == "rpc.grpc.status_code");
    assert!(format!("{:?}", code.unwrap().value).contains("IntValue(0)"), "{call:?}");
    for (name, parent) in [("queue", call), ("commit", call), ("sync", &spans["commit"])] {
        let span = &spans[name];
        assert_eq!((&span.trace_id, &span.parent_span_id), (&call.trace_id, &parent.span_id), "{name}");
        let (begin, end) = (span.start_time_unix_nano, span.end_time_unix_nano);
        assert!(parent.start_time_unix_nano <= begin && begin <= end && end <= parent.end_time_unix_nano, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_not_there_delays_neither_calls_nor_the_end() {
    let cli = Cli::new();
    let server = Server::start(&cli, &["--otlp-endpoint", "http://127.0.0.1:1"]);
    let begun = Instant::now();
    for number in 0..20 {
        let done = cli.add(&format!("a{number}"), "Ferry returns", "It did.", &["--server", &server.address]);
        assert_eq!(done.code, 0, "{done:?}");
    }
    assert_eq!(tokio::task::spawn_blocking(|| server.terminate()).await.unwrap(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    cli.fails(&["serve", "--otlp-endpoint", "127.0.0.1:4317"], 2, "--otlp-endpoint: \"127.0.0.1:4317\" is not the URL");
}
