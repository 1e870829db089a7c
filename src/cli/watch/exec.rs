//! `watch --exec`: runs a command for each change.

use std::convert::Infallible;
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

/// Runs `command` for a change, again and again until it succeeds. Returns false if a signal asked to stop before that;
/// a command that is running is still waited for.
pub(super) async fn until_done(
    command: &str,
    change: &pb::Change,
    stopping: &CancellationToken,
    out: &Output,
) -> Result<bool, Failure> {
    let line = format!("{}\n", to_json(change));
    let mut pause = FIRST_PAUSE;
    loop {
        let status = run(command, line.as_bytes()).await?;
        if status.success() {
            return Ok(true);
        }
        if stopping.is_cancelled() {
            return Ok(false);
        }
        let seconds = pause.as_secs();
        out.note(format_args!("dateline: change {}: the command failed ({status}); retry in {seconds} s", change.seq));
        tokio::select! {
            () = stopping.cancelled() => return Ok(false),
            () = tokio::time::sleep(pause) => {}
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

async fn run(command: &str, line: &[u8]) -> Result<ExitStatus, Failure> {
    let failed = |error| Failure::new(Exit::Failed, format!("the command cannot be run: {error}"));
    let mut shell = Command::new("sh").arg("-c").arg(command).stdin(Stdio::piped()).spawn().map_err(failed)?;
    let stdin = shell.stdin.take();
    let write_input = async {
        if let Some(mut stdin) = stdin {
            // An error is ignored: a command may end without reading its input.
            drop(stdin.write_all(line).await);
        }
        std::future::pending::<Infallible>().await
    };
    tokio::select! {
        status = shell.wait() => status.map_err(failed),
        never = write_input => match never {},
    }
}
