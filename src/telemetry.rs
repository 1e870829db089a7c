//! Sets up the diagnostic log: its destination, filter and format.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::time::FormatTime;

use crate::config::LogFormat;

/// Sends the log to standard error, in colour if that is a terminal. `filter` is a directive list of
/// `tracing_subscriber::EnvFilter`, such as `info` or `dateline=debug`. Fails if the filter is malformed, or if this
/// was called before.
pub fn start(filter: &str, format: LogFormat) -> Result<(), String> {
    let filter =
        EnvFilter::try_new(filter).map_err(|error| format!("the log filter {filter:?} is not valid: {error}"))?;
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

struct Rfc3339;

impl FormatTime for Rfc3339 {
    fn format_time(&self, writer: &mut tracing_subscriber::fmt::format::Writer<'_>) -> std::fmt::Result {
        use crate::clock::Clock;
        write!(writer, "{}", crate::clock::SystemClock.now())
    }
}
