//! `watch --exec` and `subscriptions retry`: run a command for each change.

use std::convert::Infallible;
use std::num::NonZeroU32;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use crate::cli::exit::{Exit, Failure};
use crate::cli::output::Output;
use crate::wire::json::to_json;
use crate::wire::pb;

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// How the attempts to process a change ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Executed {
    /// The command succeeded.
    Done,
    /// A signal asked to stop before that.
    Stopped,
    /// The command failed as often as it may, at last with this status.
    Failed { attempts: NonZeroU32, status: ExitStatus },
}

/// Runs `command` for a change, again and again until it succeeds or has failed `attempts_max` times. If a signal asks
/// to stop, a command that is running is still waited for.
pub(super) async fn until_done(
    command: &str,
    change: &pb::Change,
    attempts_max: Option<NonZeroU32>,
    stopping: &CancellationToken,
    out: &Output,
) -> Result<Executed, Failure> {
    let (mut pause, mut attempts) = (FIRST_PAUSE, NonZeroU32::MIN);
    loop {
        let status = run(command, change).await?;
        if status.success() {
            return Ok(Executed::Done);
        }
        if attempts_max.is_some_and(|attempts_max| attempts >= attempts_max) {
            return Ok(Executed::Failed { attempts, status });
        }
        if stopping.is_cancelled() {
            return Ok(Executed::Stopped);
        }
        let seconds = pause.as_secs();
        out.note(format_args!("dateline: change {}: the command failed ({status}); retry in {seconds} s", change.seq));
        tokio::select! {
            () = stopping.cancelled() => return Ok(Executed::Stopped),
            () = tokio::time::sleep(pause) => {}
        }
        attempts = attempts.saturating_add(1);
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Runs `command` once, with the change as a line of JSON on its standard input.
pub(in crate::cli) async fn run(command: &str, change: &pb::Change) -> Result<ExitStatus, Failure> {
    let line = format!("{}\n", to_json(change));
    let failed = |error| Failure::new(Exit::Failed, format!("the command cannot be run: {error}"));
    let mut shell = Command::new("sh").arg("-c").arg(command).stdin(Stdio::piped()).spawn().map_err(failed)?;
    let stdin = shell.stdin.take();
    let write_input = async {
        if let Some(mut stdin) = stdin {
            // An error is ignored: a command may end without reading its input.
            drop(stdin.write_all(line.as_bytes()).await);
        }
        std::future::pending::<Infallible>().await
    };
    tokio::select! {
        status = shell.wait() => status.map_err(failed),
        never = write_input => match never {},
    }
}
