//! Sharing an archive with other commands while this one has it open.
//!
//! Only one process can have an archive open. A command that may take long (`follow --every`, an import) would keep all
//! others from it, so it serves the archive on its socket meanwhile, to this user's processes only. They find it as they
//! find `dateline serve`. When the command ends, it waits a while for those that still use the archive through it; after
//! that, it ends as a server does.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::output::say;
use crate::archive::Archive;
use crate::server::{self, Listener};

/// How long a command that has ended lets others continue.
const LINGER: Duration = Duration::from_secs(60);
/// How long it does so before it says so.
const QUIET_FOR: Duration = Duration::from_millis(500);

/// An archive that this process shares with others.
pub(super) struct Sharing {
    ending: CancellationToken,
    serving: JoinHandle<()>,
    is_quiet: bool,
}

impl Sharing {
    /// Serves `archive` on its socket. `None` if it has none: it is in memory, or its file system has no sockets. Other
    /// commands then wait for this one.
    pub(super) fn start(archive: &Arc<Archive>, options: server::Options, is_quiet: bool) -> Option<Self> {
        let listener = Listener::archive_socket(archive)
            .inspect_err(|error| tracing::debug!(%error, "the archive is not shared with other commands"))
            .ok()?;
        let (archive, ending) = (Arc::clone(archive), CancellationToken::new());
        let options = server::Options { linger: LINGER, ..options };
        let ended = ending.clone().cancelled_owned();
        let serving = tokio::spawn(async move {
            // A failed archive also fails the command's own calls, which report it.
            if let Err(error) = server::serve(vec![listener], archive, options, ended).await {
                tracing::debug!(%error, "the archive is no longer shared with other commands");
            }
        });
        Some(Self { ending, serving, is_quiet })
    }

    /// Waits for the other commands to end, and closes the archive.
    pub(super) async fn end(mut self) {
        self.ending.cancel();
        if tokio::time::timeout(QUIET_FOR, &mut self.serving).await.is_ok() {
            return;
        }
        if !self.is_quiet {
            let seconds = LINGER.as_secs();
            say(format_args!(
                "dateline: done; waiting up to {seconds} s for other commands, which use the archive through this one"
            ));
        }
        // Its panic would have been reported.
        drop(self.serving.await);
    }
}
