//! Callers that call as fast as they are answered, and what that came to.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Barrier;
use tokio::task::JoinSet;

/// One client.
pub(crate) trait Caller: Send + 'static {
    /// Makes a call and waits for its answer. `false` where there is nothing left to call.
    fn call(&mut self) -> impl Future<Output = anyhow::Result<bool>> + Send;
}

/// What a load came to.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    pub(crate) elapsed: Duration,
    /// Of each call, ascending.
    pub(crate) latencies: Vec<Duration>,
}

impl Load {
    pub(crate) fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.elapsed.as_secs_f64()
    }

    /// The latency that `percent` of the calls did not exceed.
    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        let last = self.latencies.len().saturating_sub(1);
        self.latencies.get(self.latencies.len() * percent / 100).or(self.latencies.get(last)).copied().unwrap_or_default()
    }
}

/// Lets all callers call for `warm_up` and, measured, for `length`, or until they have nothing left.
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
    let (mut latencies, mut callers) = (Vec::new(), Vec::new());
    let (mut first, mut last): (Option<Instant>, Option<Instant>) = (None, None);
    while let Some(done) = tasks.join_next().await {
        let done = done??;
        first = first.min(Some(done.begun)).or(Some(done.begun));
        last = last.max(Some(done.ended));
        latencies.extend(done.latencies);
        callers.push(done.caller);
    }
    latencies.sort_unstable();
    let elapsed = last.zip(first).map_or(length, |(last, first)| last - first);
    Ok((Load { elapsed, latencies }, callers))
}

struct Done<C> {
    caller: C,
    begun: Instant,
    ended: Instant,
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
    let mut now = Instant::now();
    loop {
        let called = now;
        let more = caller.call().await?;
        now = Instant::now();
        if !more || now > end {
            return Ok(Done { caller, begun, ended: now.min(end), latencies });
        }
        if called >= begun {
            latencies.push(now - called);
        }
    }
}
