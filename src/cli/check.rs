//! `status --check`: one line and an exit status for monitoring systems.
//!
//! Source: the Monitoring Plugins Development Guidelines, sections "Plugin Return Codes" and "Performance data". The exit
//! statuses are those of plugins and not those of this program, even if the archive cannot be reached.

use std::fmt;
use std::process::ExitCode;
use std::time::Duration;

use super::args::globals::Globals;
use super::args::status::StatusArgs;
use super::connect::{Access, Session, options, server_url};
use super::exit::{Exit, Failure};
use super::folders::archive_directory;
use super::output::Output;
use super::status::size;
use super::{count, style, times};
use crate::model::Timestamp;
use crate::wire::{instant, pb};

/// How long the check may take. Monitoring systems stop a plugin after 10 s to 60 s.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// A witness that has cosigned nothing for this long, in microseconds, and whose last answer was an error, is failing.
const WITNESS_FAILING_MICROS: i64 = 60 * 60 * 1_000_000;
/// Destroyed text may stay in the files for this long, in microseconds.
const DESTRUCTION_OVERDUE_MICROS: i64 = 24 * 60 * 60 * 1_000_000;
/// The disk is nearly full if less is free than this many times the floor below which writes are rejected.
const NEARLY_FULL: u64 = 4;
const PAGE_SIZE: i32 = 1_000;

/// How bad something is. The number is the exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Severity {
    Ok = 0,
    Warning = 1,
    Critical = 2,
    /// It is not known.
    Unknown = 3,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "OK",
            Self::Warning => "WARNING",
            Self::Critical => "CRITICAL",
            Self::Unknown => "UNKNOWN",
        })
    }
}

/// What is checked.
#[derive(Debug)]
struct Facts {
    status: pb::GetStatusResponse,
    now: Timestamp,
    /// The greatest lag of a durable subscription in seconds, and the most that is allowed; `None` if that is not checked.
    lag: Option<(u64, u64)>,
    disk: Option<Disk>,
}

/// The free space of the disk, if it is this machine's.
#[derive(Clone, Copy, Debug)]
struct Disk {
    free_bytes: u64,
    floor_bytes: u64,
}

/// Checks the archive, prints the line, and returns the exit status.
pub(super) async fn run(globals: &Globals, args: &StatusArgs) -> Result<ExitCode, Failure> {
    let mut out = Output::new(globals);
    let checked = tokio::time::timeout(ANSWER_WITHIN, facts(globals, args)).await;
    let (severity, line) = match checked {
        Ok(Ok(facts)) => (facts.severity(), facts.line()),
        Ok(Err(failure)) => {
            let severity = if failure.exit == Exit::Unreachable { Severity::Critical } else { Severity::Unknown };
            (severity, format!("DATELINE {severity} - {}", plain(&failure.message)))
        }
        Err(_) => {
            let seconds = ANSWER_WITHIN.as_secs();
            (Severity::Critical, format!("DATELINE {} - no answer within {seconds} s", Severity::Critical))
        }
    };
    out.line(line)?;
    out.finish()?;
    Ok(ExitCode::from(severity as u8))
}

async fn facts(globals: &Globals, args: &StatusArgs) -> Result<Facts, Failure> {
    let disk = disk(globals)?;
    let session = Session::open(globals, "status", Access::Existing).await?;
    let status = session.admin().get_status(pb::GetStatusRequest {}).await?.into_inner();
    let lag = match args.max_lag {
        Some(max_lag) => Some((greatest_lag(&session).await?, max_lag)),
        None => None,
    };
    session.close().await;
    Ok(Facts { status, now: times::now(), lag, disk })
}

/// The free space of the archive's disk; `None` if a server is named, which may be on another machine.
fn disk(globals: &Globals) -> Result<Option<Disk>, Failure> {
    if server_url(globals)?.is_some() {
        return Ok(None);
    }
    let path = archive_directory(globals.archive.as_deref(), None)?;
    let floor_bytes = options()?.free_space_floor_bytes;
    // That there is no such folder is reported when it is opened.
    let disk = rustix::fs::statvfs(&path).ok();
    Ok(disk.map(|disk| Disk { free_bytes: disk.f_bavail.saturating_mul(disk.f_frsize), floor_bytes }))
}

/// The greatest lag of a durable subscription, in seconds.
async fn greatest_lag(session: &Session) -> Result<u64, Failure> {
    let mut request = pb::ListSubscriptionsRequest { page_size: PAGE_SIZE, page_token: String::new() };
    let mut greatest = 0;
    loop {
        let page = session.feed().list_subscriptions(request.clone()).await?.into_inner();
        let lags = page.subscriptions.iter().filter_map(|subscription| subscription.lag.as_ref());
        greatest = lags.filter_map(|lag| u64::try_from(lag.seconds).ok()).fold(greatest, u64::max);
        if page.next_page_token.is_empty() {
            return Ok(greatest);
        }
        request.page_token = page.next_page_token;
    }
}

impl Facts {
    /// What is wrong, the worst first.
    fn findings(&self) -> Vec<(Severity, String)> {
        let status = &self.status;
        let mut findings = Vec::new();
        if matches!(status.storage_state(), pb::StorageState::Failed | pb::StorageState::Full) {
            findings.push((Severity::Critical, format!("writes are rejected: {}", plain(&status.storage_message))));
        }
        let since = |time: &Option<prost_types::Timestamp>| instant(time.as_ref());
        let pending = since(&status.destruction_pending_since);
        if pending.is_some_and(|pending| self.now.micros_since(pending) > DESTRUCTION_OVERDUE_MICROS) {
            findings.push((
                Severity::Critical,
                "the files have text that was destroyed more than a day ago; restart the server".to_owned(),
            ));
        }
        if !status.clock_message.is_empty() {
            findings.push((Severity::Warning, plain(&status.clock_message)));
        }
        for witness in &status.witnesses {
            let last = since(&witness.cosign_time).or_else(|| since(&status.start_time));
            let is_long = last.is_none_or(|last| self.now.micros_since(last) > WITNESS_FAILING_MICROS);
            if !witness.error.is_empty() && is_long {
                let (name, error) = (plain(&witness.name), plain(&witness.error));
                findings.push((Severity::Warning, format!("witness {name} has not cosigned for an hour: {error}")));
            }
        }
        if status.stopped_webhook_count > 0 {
            let stopped = count(status.stopped_webhook_count.into(), "webhook");
            findings.push((Severity::Warning, format!("{stopped} paused or disabled; see `dateline webhook list`")));
        }
        if let Some((lag, max_lag)) = self.lag
            && lag > max_lag
        {
            let lag = format!("a durable subscription is {lag} s behind, more than {max_lag} s");
            findings.push((Severity::Warning, lag));
        }
        if let Some(disk) = self.disk
            && disk.free_bytes < disk.floor_bytes.saturating_mul(NEARLY_FULL)
        {
            let (free, floor) = (size(disk.free_bytes), size(disk.floor_bytes));
            let nearly_full = format!("{free} are free on the disk, and writes stop below {floor}");
            findings.push((Severity::Warning, nearly_full));
        }
        findings.sort_by_key(|(severity, _)| std::cmp::Reverse(*severity as u8));
        findings
    }

    fn severity(&self) -> Severity {
        self.findings().first().map_or(Severity::Ok, |(severity, _)| *severity)
    }

    /// The line: what is wrong, or how much there is, and then figures for graphs.
    fn line(&self) -> String {
        let status = &self.status;
        let changes = status.snapshot.as_ref().map_or(0, |snapshot| snapshot.next_seq);
        let found: Vec<_> = self.findings().into_iter().map(|(_, finding)| finding).collect();
        let said = match found.is_empty() {
            true => format!("{} of {}", count(changes, "change"), count(status.article_count, "article")),
            false => found.join("; "),
        };
        let lag = self.lag.map_or_else(String::new, |(lag, max_lag)| format!(" lag={lag}s;{max_lag}"));
        let free = self.disk.map_or_else(String::new, |disk| {
            let Disk { free_bytes, floor_bytes } = disk;
            format!(" free={free_bytes}B;{}:;{floor_bytes}:", floor_bytes.saturating_mul(NEARLY_FULL))
        });
        format!(
            "DATELINE {} - {said} | changes={changes} articles={} used={}B queued={}{free}{lag}",
            self.severity(),
            status.article_count,
            status.disk_bytes,
            status.queued_writes
        )
    }
}

/// One line of text, without the character that begins the figures.
fn plain(text: &str) -> String {
    style::safe_line(text).replace('|', "/")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600;

    fn at(seconds: i64) -> Option<prost_types::Timestamp> {
        Some(prost_types::Timestamp { seconds, nanos: 0 })
    }

    fn facts(change: impl FnOnce(&mut Facts)) -> Facts {
        let status = pb::GetStatusResponse {
            storage_state: pb::StorageState::Serving.into(),
            start_time: at(0),
            article_count: 1,
            disk_bytes: 4_096,
            ..Default::default()
        };
        let now = Timestamp::from_micros(100 * HOUR * 1_000_000).unwrap();
        let mut facts = Facts { status, now, lag: None, disk: None };
        change(&mut facts);
        facts
    }

    fn witness(cosigned: i64, error: &str) -> pb::WitnessStatus {
        pb::WitnessStatus {
            name: "w".into(),
            cosign_time: at(cosigned),
            error: error.into(),
            ..pb::WitnessStatus::default()
        }
    }

    #[test]
    fn what_is_wrong_decides_the_status() {
        let gib = 1 << 30;
        for (facts, severity, words) in [
            (facts(|_| ()), Severity::Ok, "DATELINE OK - 0 changes of 1 article | changes=0 articles=1 used=4096B"),
            (
                facts(|facts| {
                    facts.status.set_storage_state(pb::StorageState::Full);
                    facts.status.storage_message = "1 byte | is free".into();
                }),
                Severity::Critical,
                "DATELINE CRITICAL - writes are rejected: 1 byte / is free | ",
            ),
            (
                facts(|facts| facts.status.clock_message = "it is slow".into()),
                Severity::Warning,
                "WARNING - it is slow",
            ),
            (facts(|facts| facts.status.destruction_pending_since = at(77 * HOUR)), Severity::Ok, "OK"),
            (facts(|facts| facts.status.destruction_pending_since = at(75 * HOUR)), Severity::Critical, "destroyed"),
            (facts(|facts| facts.status.witnesses = vec![witness(98 * HOUR, "")]), Severity::Ok, "OK"),
            (facts(|facts| facts.status.witnesses = vec![witness(99 * HOUR + 1, "gone")]), Severity::Ok, "OK"),
            (facts(|facts| facts.status.witnesses = vec![witness(98 * HOUR, "gone")]), Severity::Warning, "gone"),
            (facts(|facts| facts.status.webhook_count = 2), Severity::Ok, "OK"),
            (
                facts(|facts| facts.status.stopped_webhook_count = 1),
                Severity::Warning,
                "1 webhook paused or disabled; ",
            ),
            (facts(|facts| facts.lag = Some((300, 300))), Severity::Ok, " lag=300s;300"),
            (facts(|facts| facts.lag = Some((301, 300))), Severity::Warning, "301 s behind, more than 300 s"),
            (
                facts(|facts| facts.disk = Some(Disk { free_bytes: gib - 1, floor_bytes: gib / 4 })),
                Severity::Warning,
                "free=1073741823B;1073741824:;268435456:",
            ),
            (
                facts(|facts| facts.disk = Some(Disk { free_bytes: gib, floor_bytes: gib / 4 })),
                Severity::Ok,
                "free=1073741824B",
            ),
        ] {
            assert_eq!(facts.severity(), severity, "{facts:?}");
            assert!(facts.line().contains(words), "{}", facts.line());
        }
    }

    #[test]
    fn the_worst_comes_first() {
        let facts = facts(|facts| {
            facts.status.clock_message = "it is slow".into();
            facts.status.set_storage_state(pb::StorageState::Failed);
            facts.status.storage_message = "it failed".into();
        });
        assert!(facts.line().starts_with("DATELINE CRITICAL - writes are rejected: it failed; it is slow | "));
    }
}
