//! Progress of long work, on standard error: a bar on a terminal, or a line every ten seconds in a log.

use std::time::Duration;

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::Instant;

use super::args::globals::Globals;
use super::output::say;
use super::{times, units};

/// Work that ends sooner than this shows no bar, which would only flash up.
const BAR_AFTER: Duration = Duration::from_millis(500);
/// Interval between lines when there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

const BAR: &str = "{prefix} {wide_bar} {human_pos} of {human_len} {msg}, {eta} left";
const BAR_OF_BYTES: &str = "{prefix} {wide_bar} {msg}, {bytes} of {total_bytes}, {eta} left";
/// The bar for work of unknown size.
const BAR_WITHOUT_END: &str = "{prefix} {spinner} {msg}, {bytes}";

/// The progress of one piece of work, shown until it ends.
pub(super) struct Progress {
    shown: Shown,
    work: Work,
}

enum Shown {
    Bar(Bar),
    Lines { written: Instant },
    Nothing,
}

/// A bar that is drawn once the command has worked for [`BAR_AFTER`].
struct Bar {
    bar: ProgressBar,
    since: Instant,
    drawn: bool,
}

impl Bar {
    fn new() -> Self {
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::hidden());
        Self { bar, since: Instant::now(), drawn: false }
    }

    /// Draws the bar from now on, if it is time.
    fn draw_if_due(&mut self) {
        if !self.drawn && self.since.elapsed() >= BAR_AFTER {
            self.drawn = true;
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
    }
}

/// The current piece of work.
struct Work {
    /// What is being done, such as `verifying the log`.
    what: String,
    /// The name of the units, in the plural.
    unit: &'static str,
    done: u64,
    total: u64,
    failed: u64,
    /// Bytes transferred so far, if they are worth showing.
    bytes: Option<u64>,
    /// Units found so far, if `done` and `total` count bytes.
    found: Option<u64>,
    since: Instant,
}

impl Progress {
    /// Shows a bar on a terminal, lines elsewhere, and nothing with `--quiet`.
    pub(super) fn new(globals: &Globals) -> Self {
        let is_terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
        Self::showing(match (globals.quiet, is_terminal) {
            (true, _) => Shown::Nothing,
            (false, true) => Shown::Bar(Bar::new()),
            (false, false) => Shown::Lines { written: Instant::now() },
        })
    }

    /// Shows nothing, for a command that runs until it is stopped.
    pub(super) fn none() -> Self {
        Self::showing(Shown::Nothing)
    }

    fn showing(shown: Shown) -> Self {
        Self { shown, work: Work::new(String::new(), "", 0) }
    }

    /// Begins a piece of work of `total` units.
    pub(super) fn begin(&mut self, what: impl Into<String>, unit: &'static str, total: u64) {
        self.begin_work(Work::new(what.into(), unit, total), BAR);
    }

    /// Begins a piece of work whose units are found in `total` bytes; 0 if the size is unknown.
    pub(super) fn begin_bytes(&mut self, what: impl Into<String>, unit: &'static str, total: u64) {
        let work = Work { found: Some(0), ..Work::new(what.into(), unit, total) };
        self.begin_work(work, if total == 0 { BAR_WITHOUT_END } else { BAR_OF_BYTES });
    }

    fn begin_work(&mut self, work: Work, template: &str) {
        self.work = work;
        if let Shown::Bar(Bar { bar, .. }) = &self.shown {
            bar.reset();
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar.set_prefix(self.work.what.clone());
        }
        self.show();
    }

    /// Reports how many units are done, out of a total that may have changed.
    pub(super) fn set(&mut self, done: u64, total: u64) {
        (self.work.done, self.work.total) = (done, total);
        self.show();
    }

    /// Reports how many units failed; the next [`Self::set`] shows it.
    pub(super) fn set_failed(&mut self, failed: u64) {
        self.work.failed = failed;
    }

    /// Like [`Self::set`], and reports how many bytes were transferred.
    pub(super) fn set_bytes(&mut self, done: u64, total: u64, bytes: u64) {
        self.work.bytes = Some(bytes);
        self.set(done, total);
    }

    /// Reports how many units were found in how many bytes.
    pub(super) fn set_found(&mut self, found: u64, bytes: u64) {
        self.work.found = Some(found);
        self.set(bytes, self.work.total);
    }

    /// Runs `write` while the bar is hidden, since the bar would overwrite its output.
    pub(super) fn beside<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.shown {
            Shown::Bar(Bar { bar, .. }) => bar.suspend(write),
            Shown::Lines { .. } | Shown::Nothing => write(),
        }
    }

    /// Removes the bar from the terminal, if one is shown.
    pub(super) fn end(&mut self) {
        if let Shown::Bar(Bar { bar, .. }) = &self.shown {
            bar.finish_and_clear();
        }
    }

    fn show(&mut self) {
        let work = &self.work;
        match &mut self.shown {
            Shown::Bar(shown) => {
                shown.draw_if_due();
                let bar = &shown.bar;
                if work.total > 0 {
                    bar.set_length(work.total.max(work.done));
                }
                bar.set_message(work.message());
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
    fn new(what: String, unit: &'static str, total: u64) -> Self {
        Self { what, unit, done: 0, total, failed: 0, bytes: None, found: None, since: Instant::now() }
    }

    /// Formats the progress as one line: `verifying the log: 120,000 of 1,000,000 changes, 54,000/s, 16 s left`, or
    /// `importing: 12,000 observations, 4,000/s, 45 MiB of 164 MiB, 16 s left`.
    fn line(&self) -> String {
        let Self { what, done, total, .. } = self;
        let mut line = match self.found {
            Some(_) if *total == 0 => format!("{what}: {}, {}", self.message(), HumanBytes(*done)),
            Some(_) => format!("{what}: {}, {} of {}", self.message(), HumanBytes(*done), HumanBytes(*total)),
            None => format!("{what}: {} of {} {}", HumanCount(*done), HumanCount((*total).max(*done)), self.message()),
        };
        if let Some(rate) = self.rate(*done).filter(|_| *total > 0) {
            let left = total.saturating_sub(*done) / rate;
            line.push_str(&format!(", {} left", times::span(i64::try_from(left).unwrap_or(i64::MAX))));
        }
        line
    }

    /// The part of a line that the bar does not show itself: `changes, 1.2 MiB, 3 failed, 54,000/s`, or
    /// `12,000 observations, 3 failed, 4,000/s`.
    fn message(&self) -> String {
        let mut message = match self.found {
            Some(found) => format!("{} {}", HumanCount(found), units(found, self.unit)),
            None => units(self.total.max(self.done), self.unit).into_owned(),
        };
        if let Some(bytes) = self.bytes {
            message.push_str(&format!(", {}", HumanBytes(bytes)));
        }
        if self.failed > 0 {
            message.push_str(&format!(", {} failed", HumanCount(self.failed)));
        }
        if let Some(rate) = self.rate(self.found.unwrap_or(self.done)) {
            message.push_str(&format!(", {}/s", HumanCount(rate)));
        }
        message
    }

    /// Units per second; `None` while that is below one.
    fn rate(&self, done: u64) -> Option<u64> {
        let millis = self.since.elapsed().as_millis();
        let rate = u128::from(done).saturating_mul(1000).checked_div(millis)?;
        u64::try_from(rate).ok().filter(|rate| *rate > 0)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn work_that_ends_at_once_shows_no_bar() {
        let mut progress = Progress::showing(Shown::Bar(Bar::new()));
        let is_drawn = |progress: &Progress| matches!(&progress.shown, Shown::Bar(bar) if bar.drawn);
        progress.begin("checking", "changes", 10);
        tokio::time::advance(BAR_AFTER - Duration::from_millis(1)).await;
        progress.set(5, 10);
        assert!(!is_drawn(&progress));
        tokio::time::advance(Duration::from_millis(1)).await;
        progress.set(6, 10);
        assert!(is_drawn(&progress));
        // A command has worked that long when its next piece of work begins.
        progress.begin("checking again", "changes", 10);
        assert!(is_drawn(&progress));
    }

    #[test]
    fn one_unit_is_named_in_the_singular() {
        let line = |unit, total| Work::new("checking".to_owned(), unit, total).line();
        assert_eq!(line("changes", 1), "checking: 0 of 1 change");
        assert_eq!(line("entries", 1), "checking: 0 of 1 entry");
        assert_eq!(line("entries", 2), "checking: 0 of 2 entries");
        let found = |found| Work { found: Some(found), ..Work::new("importing".to_owned(), "observations", 0) };
        assert!(found(1).message().starts_with("1 observation"), "{}", found(1).message());
        assert!(!found(1).message().starts_with("1 observations"), "{}", found(1).message());
        assert!(found(2).message().starts_with("2 observations"), "{}", found(2).message());
    }
}
