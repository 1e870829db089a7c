//! Waiting for another process that holds an archive, and finding out which one it is.

use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use super::args::globals::Globals;
use super::output::say;
use crate::archive::{Directory, Holder, OpenArchiveError, OpenError};
use crate::unix_socket;

/// Interval between attempts to open an archive that another process holds.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);
/// How long a command waits before it says for whom.
const QUIET_FOR: Duration = Duration::from_millis(500);

/// How long a command waits for another process that holds an archive.
#[derive(Debug)]
pub(super) struct Waiting {
    since: Instant,
    until: Instant,
    /// Whether the user knows what the command waits for.
    is_told: bool,
    /// Whether the user wants no notes.
    is_quiet: bool,
}

impl Waiting {
    /// Waits from now on, for as long as `--wait` says.
    pub(super) fn new(globals: &Globals) -> Self {
        let since = Instant::now();
        let until = since + Duration::from_secs(globals.wait.into());
        Self { since, until, is_told: false, is_quiet: globals.quiet }
    }

    /// Whether the user wants no notes.
    pub(super) fn is_quiet(&self) -> bool {
        self.is_quiet
    }

    /// Waits before the next attempt to open an archive, of which the last ended with `error`. Returns false, at once, if
    /// the time is over.
    pub(super) async fn pause(&mut self, error: &OpenArchiveError) -> bool {
        let now = Instant::now();
        if now >= self.until {
            return false;
        }
        if !self.is_told && !self.is_quiet && now.duration_since(self.since) >= QUIET_FOR {
            self.is_told = true;
            if let Some(cause) = cause(error) {
                say(format_args!("dateline: waiting {cause}"));
            }
        }
        tokio::time::sleep(RETRY_INTERVAL).await;
        true
    }
}

/// What a command waits for if the last attempt ended with `error`.
fn cause(error: &OpenArchiveError) -> Option<String> {
    const ADVICE: &str = "`dateline serve` lets several commands use an archive at once";
    match error {
        OpenArchiveError::Directory(OpenError::InUse { path, holder }) => Some(match holder.as_deref() {
            Some(Holder { pid, command, since }) => {
                format!("for `{command}` (process {pid}, since {since}), which holds {}; {ADVICE}", path.display())
            }
            None => format!("for another process, which holds {}; {ADVICE}", path.display()),
        }),
        OpenArchiveError::Directory(OpenError::Changing { path }) => {
            Some(format!("for a moment in which another user writes nothing to {}", path.display()))
        }
        OpenArchiveError::Directory(_)
        | OpenArchiveError::Format { .. }
        | OpenArchiveError::Randomness(_)
        | OpenArchiveError::Thread(_) => None,
    }
}

/// The holder of an archive that could not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LockedBy {
    /// A server, which listens on the archive's socket.
    Server,
    /// Another command, which listens on the archive's socket until it ends.
    SharingCommand,
    /// Another command, which will release it when it ends, or a server that is starting or stopping.
    Command,
    /// No process: the archive could not be opened for another reason.
    NoProcess,
}

/// Whether the holder is a command that will end by itself. Programs that embed an archive may serve it, too.
fn is_command(holder: &Holder) -> bool {
    holder.command.strip_prefix("dateline ").is_some_and(|command| command != "serve")
}

/// Finds the holder of the archive in `path` from the error of opening it.
pub(super) async fn locked_by(path: &Path, error: &OpenArchiveError) -> LockedBy {
    match error {
        OpenArchiveError::Directory(OpenError::InUse { holder, .. }) => {
            let is_served = unix_socket::connect(&Directory::socket(path)).await.is_ok();
            match holder.as_deref() {
                _ if !is_served => LockedBy::Command,
                Some(holder) if is_command(holder) => LockedBy::SharingCommand,
                Some(_) | None => LockedBy::Server,
            }
        }
        OpenArchiveError::Directory(OpenError::Changing { .. }) => LockedBy::Command,
        OpenArchiveError::Directory(_)
        | OpenArchiveError::Format { .. }
        | OpenArchiveError::Randomness(_)
        | OpenArchiveError::Thread(_) => LockedBy::NoProcess,
    }
}
