//! Sharing an archive with other commands while this one has it open.
//!
//! Only one process can have an archive open. A command that may take long (`follow --every`, an import) would keep all
//! others from it, so it serves the archive on its socket meanwhile, to this user's processes only. They find it as they
//! find `dateline serve`. When the command ends, it waits a while for those that still use the archive through it; after
//! that, it ends as a server does. A command that continues (`watch`) then opens the archive itself, and shares it in turn.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::connect::{Access, Opening, open, options, server_options};
use super::output::say;
use crate::archive::{Archive, Directory};
use crate::server::{self, Listener};
use crate::unix_socket;

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
        // Texts are destroyed only by a command that has the archive to itself, and then takes them out of its files.
        let options = server::Options { allow_expunge: false, linger: LINGER, ..options };
        let listener = Listener::archive_socket(archive)
            .inspect_err(|error| tracing::debug!(%error, "the archive is not shared with other commands"))
            .ok()?;
        let (archive, ending) = (Arc::clone(archive), CancellationToken::new());
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

/// A command that uses an archive through another command, and takes that one's place when it has ended.
pub(super) struct Successor {
    path: PathBuf,
    id: [u8; 16],
    command: String,
    is_quiet: bool,
    /// Set once this process has the archive open.
    host: Mutex<Option<(Arc<Archive>, Sharing)>>,
}

impl Successor {
    /// `id` is that of the archive in `path`, which no other archive can replace.
    pub(super) fn new(path: PathBuf, id: [u8; 16], command: &str, is_quiet: bool) -> Self {
        Self { path, id, command: command.to_owned(), is_quiet, host: Mutex::default() }
    }

    /// Connects to the process that shares or serves the archive. If there is none, this process does so from now on, and
    /// connects to itself.
    pub(super) async fn connect(&self) -> io::Result<UnixStream> {
        let socket = Directory::socket(&self.path);
        match unix_socket::connect(&socket).await {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {}
            connected => return connected,
        }
        let failed = |error: &dyn std::fmt::Display| io::Error::other(error.to_string());
        let options = options().map_err(|failure| failed(&failure.message))?;
        let opened = open(&self.path, &Opening::InPlace(Access::Existing), options, &self.command).await;
        let (archive, _directory) = opened.map_err(|error| failed(&error))?;
        if archive.info().id != self.id {
            return Err(failed(&format_args!("{} is another archive now", self.path.display())));
        }
        let archive = Arc::new(archive);
        let options = server_options(&archive).map_err(|failure| failed(&failure.message))?;
        let sharing = Sharing::start(&archive, options, self.is_quiet);
        let sharing = sharing.ok_or_else(|| failed(&format_args!("{} cannot be listened on", socket.display())))?;
        *self.host.lock().unwrap_or_else(PoisonError::into_inner) = Some((archive, sharing));
        unix_socket::connect(&socket).await
    }

    /// The archive, if this process has it open. The caller ends the sharing, and closes the archive.
    pub(super) fn take(&self) -> Option<(Arc<Archive>, Sharing)> {
        self.host.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
