//! The table that a benchmark prints, in Markdown.

use std::fmt::Write;
use std::process::Command;
use std::time::Duration;

/// The rows of the table.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<[String; 5]>,
}

impl Table {
    /// Adds a rate and its floor: the medians of the rounds, and the median of the ratios.
    pub(crate) fn rate(&mut self, what: &str, rounds: &[(f64, f64)], floor: &str, aim: &str) {
        let measured = median(rounds.iter().map(|(measured, _)| *measured));
        let floors = median(rounds.iter().map(|(_, floor)| *floor));
        let ratio = median(rounds.iter().map(|(measured, floor)| measured / floor));
        self.row([
            what.to_owned(),
            format!("{measured:.0}/s"),
            format!("{floors:.0}/s {floor}"),
            format!("{:.0} %", ratio * 100.0),
            aim.to_owned(),
        ]);
    }

    /// Adds a processor time and the echo's. Other load on the machine disturbs it less than it does a rate.
    pub(crate) fn time(&mut self, what: &str, rounds: &[(Duration, Duration)]) {
        self.time_against(what, rounds, "echo");
    }

    /// Like [`Self::time`], with another floor than the echo.
    pub(crate) fn time_against(&mut self, what: &str, rounds: &[(Duration, Duration)], against: &str) {
        let micros = |pick: fn(&(Duration, Duration)) -> Duration| {
            median(rounds.iter().map(|round| pick(round).as_secs_f64() * 1e6))
        };
        let (measured, floor) = (micros(|round| round.0), micros(|round| round.1));
        self.row([
            what.to_owned(),
            format!("{measured:.0} µs"),
            format!("{floor:.0} µs {against}"),
            format!("{:.0} %", floor / measured * 100.0),
            String::new(),
        ]);
    }

    /// Adds a measurement that has no floor.
    pub(crate) fn fact(&mut self, what: &str, measured: &str, aim: &str) {
        self.row([what, measured, "", "", aim].map(str::to_owned));
    }

    fn row(&mut self, row: [String; 5]) {
        eprintln!("{}", row.join(" | "));
        self.rows.push(row);
    }

    /// The table, under a line with the machine and the commit.
    pub(crate) fn render(&self, title: &str) -> String {
        let mut text = format!("### {title}\n\n{}\n\n", circumstances());
        text.push_str("| what | measured | floor | ratio | aim |\n| --- | --- | --- | --- | --- |\n");
        text.push_str(&self.rows_only());
        text
    }

    /// The rows alone, to be put below those of another table.
    pub(crate) fn rows_only(&self) -> String {
        let mut text = String::new();
        for row in &self.rows {
            // Writing to a string does not fail.
            let _infallible = writeln!(text, "| {} |", row.join(" | "));
        }
        text
    }
}

/// The median; 0 for no values.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// A latency in milliseconds.
pub(crate) fn millis(latency: Duration) -> String {
    format!("{:.2} ms", latency.as_secs_f64() * 1_000.0)
}

fn circumstances() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let said = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output();
        output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
    };
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split_whitespace().next().unwrap_or("?").to_owned();
    format!(
        "{cores} cores, {}, commit {}, load average {load} at the end",
        said("date", &["-u", "+%Y-%m-%d %H:%M UTC"]),
        said("git", &["describe", "--always", "--dirty"]),
    )
}
