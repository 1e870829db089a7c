//! Sends spans to a collector over OTLP, the protocol of OpenTelemetry.
//!
//! The layers below make spans with `tracing` and do not know OpenTelemetry. Those of the target [`TARGET`] are made only
//! while they are exported, so a server without a collector does not pay for them. Spans wait for the collector in a
//! bounded queue, and those that do not fit are dropped: a collector that is slow or gone delays no call.

use std::time::Duration;

use http::HeaderMap;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::{Metadata, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::filter::{FilterFn, Filtered, filter_fn};
use tracing_subscriber::{Layer, Registry};

/// The target of the spans that are made for traces alone.
const TARGET: &str = "dateline::trace";
/// The name of the span of a call.
const CALL: &str = "rpc";
/// How long the end of the program waits for the last spans to be sent.
const FLUSH_WITHIN: Duration = Duration::from_secs(2);

/// The spans that are on their way to a collector.
#[derive(Debug)]
pub struct Traces(SdkTracerProvider);

impl Traces {
    /// Sends spans to the collector at `endpoint`, such as `http://127.0.0.1:4317`. The connection is made when the first
    /// are sent. Must be called within a Tokio runtime.
    pub(super) fn to(endpoint: &str) -> Result<Self, String> {
        let exporter = SpanExporter::builder().with_tonic().with_endpoint(endpoint).build();
        let exporter = exporter.map_err(|error| format!("spans cannot be sent to {endpoint}: {error}"))?;
        let version = opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let resource = Resource::builder().with_service_name("dateline").with_attribute(version).build();
        Ok(Self(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build()))
    }

    /// The layer that passes spans on, and no events: these are the log's.
    pub(super) fn layer(&self) -> Filtered<impl Layer<Registry> + use<>, FilterFn, Registry> {
        let is_exported = |span: &Metadata<'_>| span.is_span() && (span.target() == TARGET || span.name() == CALL);
        let layer = tracing_opentelemetry::layer().with_tracer(self.0.tracer("dateline"));
        layer.with_location(false).with_threads(false).with_filter(filter_fn(is_exported))
    }

    /// Sends what is left, and waits for it, but not long.
    pub async fn finish(self) {
        let flushed = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(FLUSH_WITHIN)).await;
        if let Ok(Err(error)) = flushed {
            tracing::warn!(%error, "the last spans may not have reached the collector");
        }
    }
}

/// Makes a span a part of the trace that the headers of its call name, if they name one. Source: W3C Trace Context.
pub fn continue_trace(span: &Span, headers: &HeaderMap) {
    let context = TraceContextPropagator::new().extract(&Headers(headers));
    // Fails if nothing exports spans.
    drop(span.set_parent(context));
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}
