//! How far long work is, on standard error: a bar for a person, a line every ten seconds for a log.

use std::time::Duration;

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};
use tokio::time::Instant;

use super::args::Globals;
use super::output::say;
use super::times;

/// How often a line is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

const BAR: &str = "{prefix} {wide_bar} {human_pos} of {human_len} {msg}, {per_sec}, {eta} left";

/// How far one piece of work is.
pub(super) struct Progress {
    shown: Shown,
    work: Work,
}

enum Shown {
    Bar(ProgressBar),
    Lines { written: Instant },
    Nothing,
}

/// The piece of work under way.
struct Work {
    /// What is done, such as `verifying the log`.
    what: String,
    /// What is counted, in the plural.
    unit: &'static str,
    done: u64,
    total: u64,
    failed: u64,
    /// Bytes of it that were moved, where they count.
    bytes: Option<u64>,
    since: Instant,
}

impl Progress {
    /// Shows a bar on a terminal, lines elsewhere, and nothing with `--quiet`.
    pub(super) fn new(globals: &Globals) -> Self {
        let is_terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
        Self::showing(match (globals.quiet, is_terminal) {
            (true, _) => Shown::Nothing,
            (false, true) => Shown::Bar(bar()),
            (false, false) => Shown::Lines { written: Instant::now() },
        })
    }

    /// Shows nothing.
    pub(super) fn none() -> Self {
        Self::showing(Shown::Nothing)
    }

    fn showing(shown: Shown) -> Self {
        let what = String::new();
        let work = Work { what, unit: "", done: 0, total: 0, failed: 0, bytes: None, since: Instant::now() };
        Self { shown, work }
    }

    /// Begins a piece of work of `total` units.
    pub(super) fn begin(&mut self, what: impl Into<String>, unit: &'static str, total: u64) {
        self.work = Work { what: what.into(), unit, done: 0, total, failed: 0, bytes: None, since: Instant::now() };
        if let Shown::Bar(bar) = &self.shown {
            bar.reset();
            bar.set_prefix(self.work.what.clone());
            bar.set_message(unit);
        }
        self.show();
    }

    /// Says how much of it is done, out of a total that may have become better known.
    pub(super) fn set(&mut self, done: u64, total: u64) {
        (self.work.done, self.work.total) = (done, total);
        self.show();
    }

    /// Says how many units failed; [`Self::set`] shows it.
    pub(super) fn set_failed(&mut self, failed: u64) {
        self.work.failed = failed;
    }

    /// Says also how many bytes were moved.
    pub(super) fn set_bytes(&mut self, done: u64, total: u64, bytes: u64) {
        self.work.bytes = Some(bytes);
        self.set(done, total);
    }

    /// Writes something beside the bar, which would be overwritten by it otherwise.
    pub(super) fn beside<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.shown {
            Shown::Bar(bar) => bar.suspend(write),
            Shown::Lines { .. } | Shown::Nothing => write(),
        }
    }

    /// Takes the bar away.
    pub(super) fn end(&mut self) {
        if let Shown::Bar(bar) = &self.shown {
            bar.finish_and_clear();
        }
    }

    fn show(&mut self) {
        let work = &self.work;
        match &mut self.shown {
            Shown::Bar(bar) => {
                bar.set_length(work.total.max(work.done));
                bar.set_message(format!("{}{}", work.unit, work.beside()));
                bar.set_position(work.done);
            }
            Shown::Lines { written } if written.elapsed() >= LINE_EVERY => {
                *written = Instant::now();
                say(work.line());
            }
            Shown::Lines { .. } | Shown::Nothing => {}
        }
    }
}

impl Work {
    /// `verifying the log: 120,000 of 1,000,000 changes, 54,000/s, 16 s left`.
    fn line(&self) -> String {
        let Self { what, unit, done, total, .. } = self;
        let beside = self.beside();
        let (done_text, total_text) = (HumanCount(*done), HumanCount((*total).max(*done)));
        let mut line = format!("{what}: {done_text} of {total_text} {unit}{beside}");
        let millis = self.since.elapsed().as_millis();
        if let Some(rate) = u128::from(*done).saturating_mul(1000).checked_div(millis).filter(|rate| *rate > 0) {
            let left = u128::from(total.saturating_sub(*done)) / rate;
            let left = i64::try_from(left).unwrap_or(i64::MAX);
            let rate = HumanCount(u64::try_from(rate).unwrap_or(u64::MAX));
            line.push_str(&format!(", {rate}/s, {} left", times::span(left)));
        }
        line
    }
}

impl Work {
    /// `, 1.2 MiB, 3 failed`: what is not counted in units.
    fn beside(&self) -> String {
        let mut beside = self.bytes.map(|bytes| format!(", {}", HumanBytes(bytes))).unwrap_or_default();
        if self.failed > 0 {
            beside.push_str(&format!(", {} failed", HumanCount(self.failed)));
        }
        beside
    }
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template(BAR) {
        bar.set_style(style);
    }
    bar
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}
