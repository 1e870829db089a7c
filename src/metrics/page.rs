//! Writes the metrics as a page of OpenMetrics. docs/OPERATIONS.md says what each of them means, and a test compares the
//! two.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::Sources;
use super::process::Process;
use crate::archive::stats::{DiskStats, Stats as ArchiveStats};
use crate::archive::{ClockFault, FORMAT_VERSION};
use crate::histogram::Counts;
use crate::model::{Snapshot, Timestamp};
use crate::server::{MethodStats, Stats};
use crate::service::code_name;
use crate::service::{Signer, SubscriberKind, Webhooks};
use crate::web;

const MICROS_PER_SECOND: f64 = 1e6;
/// The codes that each method always has a count of, even if that is 0: OK, and those that an alert watches. A count that
/// appears with its first call has not increased in the eyes of Prometheus.
const CODES_ALWAYS: [&str; 4] = ["OK", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"];

/// All that is shown, as it was at one moment.
#[derive(Debug)]
pub(super) struct Page {
    now: Timestamp,
    opened: Timestamp,
    tail: Snapshot,
    articles: u64,
    has_failed: bool,
    clock_fault: Option<ClockFault>,
    archive: ArchiveStats,
    /// `None` if the disk did not answer in time.
    disk: Option<DiskStats>,
    server: Arc<Stats>,
    signer: Option<Arc<Signer>>,
    webhooks: Option<Arc<Webhooks>>,
    pages: Option<Arc<web::Stats>>,
    process: Process,
}

impl Page {
    pub(super) fn new(sources: &Sources, disk: Option<DiskStats>) -> Self {
        let archive = &sources.archive;
        Self {
            now: archive.clock().now(),
            opened: archive.info().opened,
            tail: archive.tail(),
            articles: archive.article_count(),
            has_failed: archive.has_failed(),
            clock_fault: archive.clock_fault(),
            archive: archive.stats(),
            disk,
            server: Arc::clone(&sources.stats),
            signer: sources.signer.clone(),
            webhooks: sources.webhooks.clone(),
            pages: sources.pages.clone(),
            process: Process::now(),
        }
    }

    /// The page.
    pub(super) fn encode(self) -> Result<String, fmt::Error> {
        let (mut registry, mut page) = (Registry::default(), String::new());
        registry.register_collector(Box::new(self));
        encode(&mut page, &registry)?;
        Ok(page)
    }

    fn encode_calls(&self, to: &mut Encoder<'_>) -> fmt::Result {
        let mut methods: Vec<MethodStats<'_>> = self.server.calls.stats().collect();
        methods.sort_by_key(|method| method.name);
        let mut family = to.family("dateline_calls", "Calls that have ended", MetricType::Counter)?;
        for method in &methods {
            for (code, count) in method.ended.iter().map(|(code, count)| (code_name(*code), count)) {
                if *count > 0 || CODES_ALWAYS.contains(&code) {
                    family.counter(&[("method", method.name), ("code", code)], count)?;
                }
            }
        }
        // Most methods are never called, and what would be shown of them is only zeros.
        methods.retain(|method| method.in_progress > 0 || method.ended.iter().any(|(_, count)| *count > 0));
        let mut family = to.family("dateline_calls_in_progress", "Calls in progress", MetricType::Gauge)?;
        for method in &methods {
            family.gauge(&[("method", method.name)], &method.in_progress)?;
        }
        let help = "How long calls took, without those of streams";
        let mut family = to.family("dateline_call_duration_seconds", help, MetricType::Histogram)?;
        for (method, counts) in methods.iter().filter_map(|method| Some((method, method.duration.as_ref()?))) {
            family.histogram(&[("method", method.name)], counts, MICROS_PER_SECOND)?;
        }
        let mut family = to.family("dateline_call_request_bytes", "Bytes of requests", MetricType::Counter)?;
        for method in &methods {
            family.counter(&[("method", method.name)], &method.request_bytes)?;
        }
        let mut family = to.family("dateline_call_response_bytes", "Bytes of responses", MetricType::Counter)?;
        for method in &methods {
            family.counter(&[("method", method.name)], &method.response_bytes)?;
        }
        Ok(())
    }

    fn encode_clients(&self, to: &mut Encoder<'_>) -> fmt::Result {
        let connections = &self.server.connections;
        to.gauge("dateline_connections", "Open connections", &connections.open())?;
        to.counter("dateline_connections_accepted", "Connections that were accepted", &connections.accepted())?;
        to.counter("dateline_connections_rejected", "Connections over a limit", &connections.rejected())?;
        let subscribers = [("feed", SubscriberKind::Feed), ("durable", SubscriberKind::Durable)]
            .map(|(name, kind)| (name, self.server.feed.of(kind, self.tail.next_seq)));
        let mut family = to.family("dateline_subscribers", "Connected subscribers", MetricType::Gauge)?;
        for (kind, of_kind) in &subscribers {
            family.gauge(&[("kind", *kind)], &of_kind.count)?;
        }
        let help = "Changes that the slowest connected subscriber has yet to examine";
        let mut family = to.family("dateline_subscriber_lag_changes", help, MetricType::Gauge)?;
        for (kind, of_kind) in &subscribers {
            family.gauge(&[("kind", *kind)], &of_kind.lag_changes)?;
        }
        let subscriptions = &self.archive.subscriptions;
        to.gauge("dateline_subscriptions", "Durable subscriptions", &(subscriptions.count as u64))?;
        to.gauge(
            "dateline_subscription_lag_changes",
            "Changes that the slowest durable subscription has not acknowledged",
            &subscriptions.lag_changes,
        )?;
        if let Some(disk) = &self.disk {
            to.gauge(
                "dateline_subscription_lag_seconds",
                "Age of the oldest change that a durable subscription has not acknowledged",
                &self.seconds_since(disk.unacknowledged_since),
            )?;
        }
        to.gauge("dateline_parked_changes", "Changes that consumers have parked", &(subscriptions.parked as u64))
    }

    fn encode_webhooks(&self, to: &mut Encoder<'_>) -> fmt::Result {
        let counts = self.archive.webhooks;
        let mut family = to.family("dateline_webhooks", "Webhooks", MetricType::Gauge)?;
        family.gauge(&[("state", "active")], &u64::from(counts.active))?;
        family.gauge(&[("state", "stopped")], &u64::from(counts.stopped))?;
        if let Some(webhooks) = &self.webhooks {
            let stats = webhooks.stats();
            let help = "Attempts to send a message to a webhook";
            let mut family = to.family("dateline_webhook_attempts", help, MetricType::Counter)?;
            family.counter(&[("outcome", "accepted")], &stats.accepted_count)?;
            family.counter(&[("outcome", "failed")], &stats.failed_count)?;
        }
        let Some(disk) = &self.disk else { return Ok(()) };
        let help = "Age of the oldest change that a webhook has not been able to send";
        to.gauge("dateline_webhook_lag_seconds", help, &self.seconds_since(disk.undelivered_since))
    }

    fn encode_pages(&self, to: &mut Encoder<'_>) -> fmt::Result {
        let Some(pages) = &self.pages else { return Ok(()) };
        let routes: Vec<_> = pages.routes().collect();
        let help = "Requests for pages that were answered";
        let mut family = to.family("dateline_web_requests", help, MetricType::Counter)?;
        for route in &routes {
            for (class, count) in &route.by_class {
                // A failure that appears with the first one has not increased in the eyes of Prometheus.
                if *count > 0 || *class == "5xx" {
                    family.counter(&[("route", route.route), ("status", class)], count)?;
                }
            }
        }
        let help = "How long it took until a response began";
        let mut family = to.family("dateline_web_request_duration_seconds", help, MetricType::Histogram)?;
        for route in routes.iter().filter(|route| route.duration.total() > 0) {
            family.histogram(&[("route", route.route)], &route.duration, MICROS_PER_SECOND)?;
        }
        let help = "Requests over the rate of their address or of all visitors";
        to.counter("dateline_web_requests_limited", help, &pages.rate_limited())?;
        let connections = &pages.connections;
        to.gauge("dateline_web_connections", "Open connections to the pages", &connections.open())?;
        let help = "Connections to the pages that were accepted";
        to.counter("dateline_web_connections_accepted", help, &connections.accepted())?;
        let help = "Connections to the pages over a limit";
        to.counter("dateline_web_connections_rejected", help, &connections.rejected())?;
        to.gauge("dateline_web_streams", "Open streams of changes", &pages.streams())
    }

    fn encode_writes(&self, to: &mut Encoder<'_>) -> fmt::Result {
        let stats = &self.archive;
        to.gauge("dateline_queue_operations", "Writes that are queued", &(stats.queued_operations as u64))?;
        to.gauge("dateline_queue_bytes", "Size of the queued writes", &(stats.queued_bytes as u64))?;
        let mut family =
            to.family("dateline_commit_changes", "Changes in each commit that has any", MetricType::Histogram)?;
        family.histogram(&NO_LABELS, &stats.commit_changes, 1.0)?;
        let help = "How long commits took to become durable";
        let mut family = to.family("dateline_commit_sync_seconds", help, MetricType::Histogram)?;
        family.histogram(&NO_LABELS, &stats.commit_sync, MICROS_PER_SECOND)?;
        let engine = &stats.engine;
        to.gauge("dateline_wal_bytes", "Size of the write-ahead log", &engine.log_bytes)?;
        to.gauge("dateline_unapplied_bytes", "Writes that the database lacks", &engine.pending_bytes)?;
        to.gauge(
            "dateline_unapplied_seconds",
            "Age of the oldest write that the database lacks",
            &engine.pending_for.as_secs_f64(),
        )?;
        to.gauge("dateline_durable_tail", "Position after the last durable change", &self.tail.next_seq.0)?;
        to.gauge("dateline_articles", "Articles", &self.articles)
    }

    fn encode_caches(&self, to: &mut Encoder<'_>) -> fmt::Result {
        let caches = &self.archive.caches;
        let mut family = to.family("dateline_cache_hits", "Lookups that a cache answered", MetricType::Counter)?;
        for (name, cache) in caches {
            family.counter(&[("cache", *name)], &cache.hits)?;
        }
        let help = "Reads of storage because a cache lacked something";
        let mut family = to.family("dateline_cache_misses", help, MetricType::Counter)?;
        for (name, cache) in caches {
            family.counter(&[("cache", *name)], &cache.misses)?;
        }
        let mut family = to.family("dateline_cache_bytes", "Memory of the cached values", MetricType::Gauge)?;
        for (name, cache) in caches {
            family.gauge(&[("cache", *name)], &cache.bytes)?;
        }
        Ok(())
    }

    fn encode_storage(&self, to: &mut Encoder<'_>) -> fmt::Result {
        let is_full = self.disk.is_some_and(|disk| disk.is_full);
        let state = match (self.has_failed, is_full) {
            (true, _) => "failed",
            (false, true) => "full",
            (false, false) => "serving",
        };
        let help = "1 for the state that the storage is in";
        let mut family = to.family("dateline_storage_state", help, MetricType::Gauge)?;
        for known in ["serving", "full", "failed"] {
            family.gauge(&[("state", known)], &u64::from(known == state))?;
        }
        let fault = self.clock_fault.map(|fault| match fault {
            ClockFault::Behind { .. } => "behind",
            ClockFault::JumpedAhead { .. } => "jumped_ahead",
        });
        let mut family = to.family("dateline_clock_fault", "1 for the fault that the clock has", MetricType::Gauge)?;
        for known in ["behind", "jumped_ahead"] {
            family.gauge(&[("fault", known)], &u64::from(fault == Some(known)))?;
        }
        let Some(disk) = &self.disk else { return Ok(()) };
        to.gauge("dateline_disk_used_bytes", "Size of the database on disk", &disk.used_bytes)?;
        to.optional_gauge("dateline_disk_free_bytes", "Free space of its disk", disk.free_bytes)?;
        to.gauge(
            "dateline_destruction_pending_seconds",
            "How long the files have had text that was destroyed",
            &self.seconds_since(disk.destruction_pending),
        )?;
        let help = "1 if the files have text that was destroyed more than a day ago";
        to.gauge("dateline_destruction_overdue", help, &u64::from(disk.destruction_overdue))
    }

    fn encode_proofs(&self, to: &mut Encoder<'_>) -> fmt::Result {
        let Some(signer) = &self.signer else { return Ok(()) };
        if let Some((size, signed)) = signer.newest_in_memory() {
            to.gauge("dateline_checkpoint_size", "Changes that the newest checkpoint signs", &size)?;
            let age = self.seconds_since(Some(signed));
            to.gauge("dateline_checkpoint_age_seconds", "Age of the newest checkpoint", &age)?;
        }
        let witnesses: Vec<_> =
            signer.witnesses().iter().map(|witness| (witness.key().name(), witness.stats())).collect();
        if witnesses.is_empty() {
            return Ok(());
        }
        let mut family =
            to.family("dateline_witness_cosigned", "Checkpoints that a witness has cosigned", MetricType::Counter)?;
        for (name, witness) in &witnesses {
            family.counter(&[("witness", *name)], &witness.cosigned_count)?;
        }
        let help = "Requests to a witness after which it had not cosigned";
        let mut family = to.family("dateline_witness_failed", help, MetricType::Counter)?;
        for (name, witness) in &witnesses {
            family.counter(&[("witness", *name)], &witness.failed_count)?;
        }
        let help = "How long ago a witness last cosigned, or the archive was opened";
        let mut family = to.family("dateline_witness_age_seconds", help, MetricType::Gauge)?;
        for (name, witness) in &witnesses {
            let since = witness.cosigned.map_or(self.opened, |(_, time)| time);
            family.gauge(&[("witness", *name)], &self.seconds_since(Some(since)))?;
        }
        Ok(())
    }

    fn encode_process(&self, to: &mut Encoder<'_>) -> fmt::Result {
        let process = &self.process;
        to.optional_gauge("dateline_allocated_bytes", "Memory allocated and not freed", process.allocated_bytes)?;
        to.optional_gauge("process_resident_memory_bytes", "Memory in RAM", process.resident_bytes)?;
        to.optional_gauge("process_open_fds", "Open file descriptors", process.open_descriptors)?;
        to.optional_gauge("process_max_fds", "File descriptors that may be open", process.descriptors_max)?;
        to.counter("process_cpu_seconds", "Processor time", &process.processor_time.as_secs_f64())?;
        let opened = Duration::from_micros(u64::try_from(self.opened.micros()).unwrap_or(0));
        to.gauge("process_start_time_seconds", "When the archive was opened, since 1970", &opened.as_secs_f64())?;
        let mut family =
            to.family("dateline_build", "The version, and that of the format on disk", MetricType::Info)?;
        let format = FORMAT_VERSION.to_string();
        family.info(&[("version", env!("CARGO_PKG_VERSION")), ("format", format.as_str())])
    }

    /// How long ago `since` was, in seconds; 0 if there is none.
    fn seconds_since(&self, since: Option<Timestamp>) -> f64 {
        let micros = since.map_or(0, |since| self.now.micros_since(since));
        Duration::from_micros(u64::try_from(micros).unwrap_or(0)).as_secs_f64()
    }
}

impl Collector for Page {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let to = &mut Encoder(encoder);
        self.encode_calls(to)?;
        self.encode_clients(to)?;
        self.encode_webhooks(to)?;
        self.encode_pages(to)?;
        self.encode_writes(to)?;
        self.encode_caches(to)?;
        self.encode_storage(to)?;
        self.encode_proofs(to)?;
        self.encode_process(to)
    }
}

/// The names and values of labels.
type Labels<'a, const N: usize> = [(&'a str, &'a str); N];

const NO_LABELS: Labels<'static, 0> = [];

/// Writes families of metrics. The encoder adds `_total` to the names of counters and `_info` to those of infos.
struct Encoder<'a>(DescriptorEncoder<'a>);

impl Encoder<'_> {
    fn family(&mut self, name: &'static str, help: &'static str, kind: MetricType) -> Result<Family<'_>, fmt::Error> {
        self.0.encode_descriptor(name, help, None, kind).map(Family)
    }

    fn gauge(&mut self, name: &'static str, help: &'static str, value: &impl EncodeGaugeValue) -> fmt::Result {
        self.family(name, help, MetricType::Gauge)?.gauge(&NO_LABELS, value)
    }

    /// A gauge that is left out if its value is not known.
    fn optional_gauge(&mut self, name: &'static str, help: &'static str, value: Option<u64>) -> fmt::Result {
        value.map_or(Ok(()), |value| self.gauge(name, help, &value))
    }

    fn counter(&mut self, name: &'static str, help: &'static str, value: &impl EncodeCounterValue) -> fmt::Result {
        self.family(name, help, MetricType::Counter)?.counter(&NO_LABELS, value)
    }
}

/// Writes the metrics of one family.
struct Family<'a>(MetricEncoder<'a>);

impl Family<'_> {
    fn gauge<const N: usize>(&mut self, labels: &Labels<'_, N>, value: &impl EncodeGaugeValue) -> fmt::Result {
        self.0.encode_family(labels)?.encode_gauge(value)
    }

    fn counter<const N: usize>(&mut self, labels: &Labels<'_, N>, value: &impl EncodeCounterValue) -> fmt::Result {
        self.0.encode_family(labels)?.encode_counter::<NoLabelSet, _, f64>(value, None)
    }

    fn info<const N: usize>(&mut self, labels: &Labels<'_, N>) -> fmt::Result {
        self.0.encode_info(labels)
    }

    /// Writes a histogram whose values are in fractions of the unit of the metric, `per_unit` of them in each.
    fn histogram<const N: usize>(&mut self, labels: &Labels<'_, N>, counts: &Counts, per_unit: f64) -> fmt::Result {
        let bounds = counts.bounds.iter().map(|bound| *bound as f64 / per_unit).chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = bounds.zip(counts.counts.iter().copied()).collect();
        let sum = counts.sum as f64 / per_unit;
        self.0.encode_family(labels)?.encode_histogram::<NoLabelSet>(sum, counts.total(), &buckets, None)
    }
}
