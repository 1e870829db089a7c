//! Sets up the diagnostic log: its destination, filter and format; and traces, if they are wanted.

use std::io::IsTerminal;

mod traces;

use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

pub use self::traces::{Traces, continue_trace};

use crate::config::LogFormat;

/// Sends the log to standard error, in colour if that is a terminal. `filter` is a directive list of
/// `tracing_subscriber::EnvFilter`, such as `info` or `dateline=debug`. Fails if the filter is malformed, or if this
/// was called before.
pub fn start(filter: &str, format: LogFormat) -> Result<(), String> {
    let filter = parse(filter)?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_timer(Rfc3339);
    let started = match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    started.map_err(|error| error.to_string())
}

/// Like [`start`], and also sends spans to the collector at `endpoint`, such as `http://127.0.0.1:4317`.
pub fn start_with_traces(filter: &str, format: LogFormat, endpoint: &str) -> Result<Traces, String> {
    let filter = parse(filter)?;
    let traces = Traces::to(endpoint)?;
    let log = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_timer(Rfc3339);
    let log = match format {
        LogFormat::Text => log.with_filter(filter).boxed(),
        LogFormat::Json => log.json().with_filter(filter).boxed(),
    };
    let layers: Vec<Box<dyn Layer<tracing_subscriber::Registry> + Send + Sync>> = vec![log, traces.layer().boxed()];
    tracing_subscriber::registry().with(layers).try_init().map_err(|error| error.to_string())?;
    Ok(traces)
}

/// Checks that [`start`] would accept this filter.
pub fn check(filter: &str) -> Result<(), String> {
    parse(filter).map(drop)
}

fn parse(filter: &str) -> Result<EnvFilter, String> {
    EnvFilter::try_new(filter).map_err(|error| format!("the log filter {filter:?} is not valid: {error}"))
}

struct Rfc3339;

impl FormatTime for Rfc3339 {
    fn format_time(&self, writer: &mut tracing_subscriber::fmt::format::Writer<'_>) -> std::fmt::Result {
        use crate::clock::Clock;
        write!(writer, "{}", crate::clock::SystemClock.now())
    }
}
