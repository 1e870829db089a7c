//! Callers that send their next request as soon as they have a reply, and the resulting measurements.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::memory::processor;

/// One client.
pub(crate) trait Caller: Send + 'static {
    /// Makes a call and waits for its reply. Returns `false` if there is nothing left to call.
    fn call(&mut self) -> impl Future<Output = anyhow::Result<bool>> + Send;
}

/// The measurements of a load.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    pub(crate) elapsed: Duration,
    /// The latency of each call, in ascending order.
    pub(crate) latencies: Vec<Duration>,
    /// The processor time of the whole process, warm-up included, for all calls.
    processor: Duration,
    calls: u32,
}

impl Load {
    /// The processor time of one call, on both sides together.
    pub(crate) fn processor_a_call(&self) -> Duration {
        self.processor / self.calls.max(1)
    }

    pub(crate) fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.elapsed.as_secs_f64()
    }

    /// The latency that `percent` of the calls did not exceed.
    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        let last = self.latencies.len().saturating_sub(1);
        self.latencies
            .get(self.latencies.len() * percent / 100)
            .or(self.latencies.get(last))
            .copied()
            .unwrap_or_default()
    }
}

/// Lets all callers call, first for `warm_up` and then, measured, for `length` or until they have nothing left.
pub(crate) async fn load<C: Caller>(
    callers: Vec<C>,
    warm_up: Duration,
    length: Duration,
) -> anyhow::Result<(Load, Vec<C>)> {
    let barrier = Arc::new(Barrier::new(callers.len()));
    let mut tasks = JoinSet::new();
    for caller in callers {
        tasks.spawn(call_until(caller, Arc::clone(&barrier), warm_up, length));
    }
    let (mut latencies, mut callers, mut calls) = (Vec::new(), Vec::new(), 0);
    let processor_before = processor();
    let (mut first, mut last): (Option<Instant>, Option<Instant>) = (None, None);
    while let Some(done) = tasks.join_next().await {
        let done = done??;
        first = first.min(Some(done.begun)).or(Some(done.begun));
        last = last.max(Some(done.ended));
        latencies.extend(done.latencies);
        callers.push(done.caller);
        calls += done.calls;
    }
    latencies.sort_unstable();
    let elapsed = last.zip(first).map_or(length, |(last, first)| last - first);
    let processor = processor().saturating_sub(processor_before);
    Ok((Load { elapsed, latencies, processor, calls }, callers))
}

struct Done<C> {
    caller: C,
    begun: Instant,
    ended: Instant,
    calls: u32,
    latencies: Vec<Duration>,
}

async fn call_until<C: Caller>(
    mut caller: C,
    barrier: Arc<Barrier>,
    warm_up: Duration,
    length: Duration,
) -> anyhow::Result<Done<C>> {
    barrier.wait().await;
    let begun = Instant::now() + warm_up;
    let end = begun + length;
    let mut latencies = Vec::with_capacity(4_096);
    let (mut now, mut calls) = (Instant::now(), 0);
    loop {
        let called = now;
        let more = caller.call().await?;
        now = Instant::now();
        calls += u32::from(more);
        if !more || now > end {
            return Ok(Done { caller, begun, ended: now.min(end), calls, latencies });
        }
        if called >= begun {
            latencies.push(now - called);
        }
    }
}
