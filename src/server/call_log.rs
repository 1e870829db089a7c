//! Logs calls, one line for each, and fewer where there are many.
//!
//! A busy server answers ten thousand calls per second, and its log must neither slow it down nor fill the disk; a client
//! must not be able to make it do so either. So each method may log a few lines per second, and many more of what an
//! operator looks for: failed calls, slow ones, and those of the administration. A line says how many of its method were
//! left out before it.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tonic::Code;

use crate::service::{Required, code_name, required};

/// Calls that take longer are slow.
const SLOW: Duration = Duration::from_secs(1);
/// The lines that a method may log each second.
const LINES_MAX: u32 = 10;
/// The lines that a method may log each second of failed and slow calls, besides those.
const NOTABLE_LINES_MAX: u32 = 100;

/// How a call ended.
#[derive(Debug)]
pub(super) struct CallRecord<'a> {
    pub(super) method: &'a str,
    pub(super) is_stream: bool,
    /// `None` if the server does not tell its callers apart, or rejected the call before it knew.
    pub(super) principal: Option<&'a str>,
    pub(super) peer: Option<IpAddr>,
    pub(super) code: Code,
    pub(super) took: Duration,
    pub(super) request_bytes: u64,
    pub(super) response_bytes: u64,
}

/// Logs the calls of one method.
#[derive(Debug)]
pub(super) struct CallLog {
    is_administration: bool,
    budget: Mutex<Budget>,
}

/// How many more lines there may be in the present second.
#[derive(Debug)]
struct Budget {
    /// When the present second began; `None` before the first line.
    since: Option<Instant>,
    lines: u32,
    notable_lines: u32,
    /// The calls that were left out since the last line.
    left_out: u64,
}

impl CallLog {
    /// The log of the method with this path, such as `/dateline.v1.ArchiveService/GetArticle`.
    pub(super) fn of(path: &str) -> Self {
        let budget = Budget { since: None, lines: 0, notable_lines: 0, left_out: 0 };
        let is_administration = required(path).is_some_and(Required::is_administration);
        Self { is_administration, budget: Mutex::new(budget) }
    }

    /// Logs a call, unless there were too many already.
    pub(super) fn ended(&self, call: &CallRecord<'_>) {
        if !tracing::enabled!(target: "dateline::call", tracing::Level::INFO) {
            return;
        }
        let Some(left_out) = self.place(self.is_notable(call), Instant::now()) else { return };
        tracing::info!(
            target: "dateline::call",
            method = call.method,
            principal = call.principal.unwrap_or("-"),
            peer = %call.peer.map_or_else(|| "-".to_owned(), |peer| peer.to_string()),
            code = code_name(call.code),
            duration_ms = micros(call.took) as f64 / 1_000.0,
            request_bytes = call.request_bytes,
            response_bytes = call.response_bytes,
            left_out = (left_out > 0).then_some(left_out),
            "call"
        );
    }

    /// Streams last as long as their clients want, so they are not slow.
    fn is_notable(&self, call: &CallRecord<'_>) -> bool {
        self.is_administration || call.code != Code::Ok || (call.took > SLOW && !call.is_stream)
    }

    /// Takes the place of a line at `now`, and returns how many calls were left out before it; `None` if this one is.
    fn place(&self, is_notable: bool, now: Instant) -> Option<u64> {
        let mut budget = self.budget.lock().unwrap_or_else(PoisonError::into_inner);
        if budget.since.is_none_or(|since| now.saturating_duration_since(since) >= Duration::from_secs(1)) {
            *budget = Budget { since: Some(now), lines: 0, notable_lines: 0, left_out: budget.left_out };
        }
        let (lines, lines_max) = match is_notable {
            true => (&mut budget.notable_lines, NOTABLE_LINES_MAX),
            false => (&mut budget.lines, LINES_MAX),
        };
        if *lines < lines_max {
            *lines += 1;
            return Some(std::mem::take(&mut budget.left_out));
        }
        budget.left_out += 1;
        None
    }
}

fn micros(took: Duration) -> u32 {
    u32::try_from(took.as_micros()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(code: Code, took: Duration) -> CallRecord<'static> {
        let method = "dateline.v1.ArchiveService/GetArticle";
        CallRecord {
            method,
            is_stream: false,
            principal: None,
            peer: None,
            code,
            took,
            request_bytes: 1,
            response_bytes: 1,
        }
    }

    #[test]
    fn a_busy_method_logs_ten_lines_per_second_and_how_many_were_left_out() {
        let (log, begun) = (CallLog::of("/dateline.v1.ArchiveService/GetArticle"), Instant::now());
        let logged = |at: Duration| (0..1_000).filter_map(|_| log.place(false, begun + at)).collect::<Vec<_>>();
        assert_eq!(logged(Duration::ZERO), [0; 10]);
        assert_eq!(logged(Duration::from_millis(999)), [0; 0]);
        assert_eq!(logged(Duration::from_secs(1)), [&[1_990], [0; 9].as_slice()].concat());
    }

    #[test]
    fn failed_calls_are_logged_among_many_others_and_are_limited_too() {
        let (log, now) = (CallLog::of("/dateline.v1.ArchiveService/GetArticle"), Instant::now());
        while log.place(false, now).is_some() {}
        assert_eq!(log.place(true, now), Some(1));
        assert_eq!((0..1_000).filter_map(|_| log.place(true, now)).count(), 99);
    }

    #[test]
    fn failed_and_slow_calls_and_those_of_the_administration_are_notable() {
        let [reads, administration] =
            ["/dateline.v1.ArchiveService/GetArticle", "/dateline.v1.AdminService/ExpungeRevisions"].map(CallLog::of);
        let (quick, slow) = (Duration::from_millis(1), SLOW + Duration::from_millis(1));
        assert!(!reads.is_notable(&call(Code::Ok, quick)));
        assert!(reads.is_notable(&call(Code::NotFound, quick)));
        assert!(reads.is_notable(&call(Code::Ok, slow)));
        assert!(!reads.is_notable(&CallRecord { is_stream: true, ..call(Code::Ok, slow) }));
        assert!(administration.is_notable(&call(Code::Ok, quick)));
    }
}
