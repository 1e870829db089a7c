//! The way to an archive: a server, an archive of this process, or the server of whoever holds that archive.
//!
//! A command sees one thing, a [`Session`] with a client. Here alone it is known whether a network lies between.

use std::error::Error;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use etcetera::{AppStrategy, AppStrategyArgs, choose_app_strategy};
use tokio::time::Instant;
use tonic::transport::Channel;

use super::args::Globals;
use super::exit::{Exit, Failure};
use super::{listener, times};
use crate::archive::{Archive, Directory, Holder, OpenArchiveError, OpenError, Options};
use crate::client::{Client, Following};
use crate::clock::SystemClock;
use crate::config::Bytes;
use crate::server;
use crate::wire::pb;
use crate::wire::pb::admin_service_client::AdminServiceClient;
use crate::wire::pb::archive_service_client::ArchiveServiceClient;
use crate::wire::pb::feed_service_client::FeedServiceClient;

/// How often a held archive is tried.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(100);
/// How long letting go of an archive may take. The end of the process lets go of it anyway.
const LETTING_GO: Duration = Duration::from_secs(1);
/// How long a server may take to say which archive it has.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// What a command is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Work on what is there.
    Existing,
    /// Make the archive if there is none.
    Create,
    /// Judge a write. Where there is no archive it is judged on an empty one, in memory.
    Judge,
}

/// A way to an archive.
pub(super) struct Session {
    client: Client,
    embedded: Option<Arc<Archive>>,
    /// The server, for people; none for an archive of this process.
    pub(super) server: Option<String>,
}

impl Session {
    /// Finds the way. `command` tells other processes who holds the archive meanwhile.
    pub(super) async fn open(globals: &Globals, command: &str, access: Access) -> Result<Self, Failure> {
        match server_url(globals) {
            Some(url) => Self::remote(&url).await,
            None => {
                let path = archive_directory(globals.archive.as_deref(), None)?;
                Self::local(&path, command, access, patience(globals)).await
            }
        }
    }

    /// `ArchiveService`. Clients of one session share its connection.
    pub(super) fn archive(&self) -> ArchiveServiceClient<Channel> {
        self.client.archive.clone()
    }

    /// `AdminService`.
    pub(super) fn admin(&self) -> AdminServiceClient<Channel> {
        self.client.admin.clone()
    }

    /// `FeedService`.
    pub(super) fn feed(&self) -> FeedServiceClient<Channel> {
        self.client.feed.clone()
    }

    /// Follows the change feed, across broken connections.
    pub(super) fn follow(&self, request: pb::SubscribeRequest) -> Following {
        self.client.follow(request)
    }

    /// Whether the archive is this process's, so that no other command has it meanwhile.
    pub(super) fn is_embedded(&self) -> bool {
        self.embedded.is_some()
    }

    /// Closes an archive of this process and lets go of its lock, so that the next command finds it in order and free.
    pub(super) async fn close(self) {
        drop(self.client);
        let Some(archive) = self.embedded else { return };
        archive.close().await;
        // The services at the other end of the connection end with it, in their own time.
        let held = Arc::downgrade(&archive);
        drop(archive);
        let patience = Instant::now() + LETTING_GO;
        while held.strong_count() > 0 && Instant::now() < patience {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// The way to the server at a URL.
    pub(super) async fn remote(url: &str) -> Result<Self, Failure> {
        if url.starts_with("https:") {
            return Err(Failure::new(Exit::Usage, "there is no TLS in this version; give an http:// URL"));
        }
        let client = Client::connect(url).await.map_err(|error| {
            Failure::new(Exit::Unreachable, format!("the server at {url} can't be reached: {}", innermost(&error)))
                .hint("is it running? `dateline serve` starts one; without --server the archive is opened directly")
        })?;
        Ok(Self { client, embedded: None, server: Some(url.to_owned()) })
    }

    /// Opens an archive, or goes to the server that has it. Waits until `patience` ends for anybody else.
    async fn local(path: &Path, command: &str, access: Access, patience: Instant) -> Result<Self, Failure> {
        let options = options()?;
        loop {
            let error = match open(path, access == Access::Create, options.clone(), command).await? {
                Ok((archive, _directory)) => return Self::over(archive).await,
                Err(error) => error,
            };
            let refusal = match held(&error) {
                Held::Server(address) => match Self::of_holder(path, &address).await {
                    Ok(session) => return Ok(session),
                    Err(refusal) => refusal,
                },
                Held::Command => None,
                Held::Nobody if access == Access::Judge && is_missing(&error) => return Self::over(empty()?).await,
                Held::Nobody => return Err(closed(error)),
            };
            if Instant::now() >= patience {
                return Err(refusal.unwrap_or_else(|| closed(error)));
            }
            look_again().await;
        }
    }

    /// The way to the server that holds the archive in `path`, which the lock says is at `address`. Another program may have
    /// written that, or listen there by now. So it is believed only if it is an address of this machine, where no other
    /// user's process listens, and what answers there has this archive. Until then nothing is sent but the question.
    ///
    /// Fails with why it is not believed, or with nothing where no server answers: then the server is starting or ending, and
    /// what holds the archive is known better in a moment.
    pub(super) async fn of_holder(path: &Path, address: &str) -> Result<Self, Option<Failure>> {
        let refused = |why: String| {
            let message =
                format!("{} is in use, and its server cannot be trusted: {why}; nothing was sent", path.display());
            Some(Failure::new(Exit::Unreachable, message).hint("if you know the server, name it with --server"))
        };
        let local = address.parse::<SocketAddr>().ok().filter(|address| address.ip().to_canonical().is_loopback());
        let Some(local) = local else {
            return Err(refused(format!("the lock names {address}, which is not a loopback address")));
        };
        if let Some(uid) = listener::stranger_at(local) {
            return Err(refused(format!(
                "at {address}, which the lock names, a process of another user (uid {uid}) listens"
            )));
        }
        let id = match Directory::id_in(path) {
            Ok(Some(id)) => id,
            Ok(None) => return Err(refused("the directory does not say which archive it is (file ID)".to_owned())),
            Err(error) => return Err(refused(format!("the archive's id cannot be read: {error}"))),
        };
        let session = Self::remote(&format!("http://{address}")).await.map_err(|_| None)?;
        let asked = tokio::time::timeout(ANSWERS_WITHIN, session.admin().get_status(pb::GetStatusRequest {})).await;
        let Ok(Ok(answered)) = asked else { return Err(None) };
        if answered.into_inner().archive_id != id {
            return Err(refused(format!("what answers at {address}, which the lock names, has another archive")));
        }
        Ok(session)
    }

    async fn over(archive: Archive) -> Result<Self, Failure> {
        let archive = Arc::new(archive);
        let channel = server::in_process(Arc::clone(&archive), &server::Options::default()).await;
        let channel = channel.map_err(|error| Failure::new(Exit::Failed, innermost(&error)))?;
        Ok(Self { client: Client::over(channel), embedded: Some(archive), server: None })
    }
}

type Archived = (Archive, Arc<Directory>);

/// What this process tells others of itself while it has an archive.
pub(super) fn holder(command: &str) -> Holder {
    Holder {
        pid: std::process::id(),
        command: format!("dateline {command}"),
        address: None,
        since: times::now().to_string(),
    }
}

/// Who has an archive that could not be opened.
pub(super) enum Held {
    /// A server, which says that it listens at this address.
    Server(String),
    /// Another command, which ends sometime.
    Command,
    /// Nobody: it could not be opened for another reason.
    Nobody,
}

/// Who has the archive, going by why it could not be opened.
pub(super) fn held(error: &OpenArchiveError) -> Held {
    match error {
        OpenArchiveError::Directory(OpenError::InUse { holder, .. }) => {
            match holder.as_ref().and_then(|holder| holder.address.as_ref()) {
                Some(address) => Held::Server(address.clone()),
                None => Held::Command,
            }
        }
        OpenArchiveError::Directory(_)
        | OpenArchiveError::Format { .. }
        | OpenArchiveError::Randomness(_)
        | OpenArchiveError::Thread(_) => Held::Nobody,
    }
}

/// Waits a moment before a held archive is tried again.
pub(super) async fn look_again() {
    tokio::time::sleep(LOOK_AGAIN_AFTER).await;
}

/// Opens an archive, without waiting for whoever holds it.
async fn open(
    path: &Path,
    create: bool,
    options: Options,
    command: &str,
) -> Result<Result<Archived, OpenArchiveError>, Failure> {
    let holder = holder(command);
    let path = path.to_path_buf();
    let opened =
        tokio::task::spawn_blocking(move || Archive::open(&path, create, &options, Arc::new(SystemClock), holder));
    opened.await.map_err(|error| Failure::new(Exit::Failed, format!("opening the archive ended early: {error}")))
}

/// Opens an archive for a server: waits until `patience` ends for a command that holds it, and not for another server,
/// which would not let go.
pub(super) async fn open_to_serve(path: &Path, options: Options, patience: Instant) -> Result<Archived, Failure> {
    loop {
        let error = match open(path, true, options.clone(), "serve").await? {
            Ok(opened) => return Ok(opened),
            Err(error) => error,
        };
        match held(&error) {
            Held::Command if Instant::now() < patience => look_again().await,
            Held::Server(_) | Held::Command | Held::Nobody => return Err(closed(error)),
        }
    }
}

fn is_missing(error: &OpenArchiveError) -> bool {
    matches!(error, OpenArchiveError::Directory(OpenError::Missing { .. }))
}

fn empty() -> Result<Archive, Failure> {
    Archive::in_memory(&Options::default(), Arc::new(SystemClock)).map_err(closed)
}

/// Why the archive stays closed.
pub(super) fn closed(error: OpenArchiveError) -> Failure {
    if let OpenArchiveError::Directory(OpenError::Missing { path }) = &error {
        return Failure::new(Exit::Unreachable, format!("there is no archive in {}", path.display()))
            .hint("`dateline add FILE` makes one there; --archive DIR names another");
    }
    let exit = if error.is_damage() { Exit::Damaged } else { Exit::Unreachable };
    let failure = Failure::new(exit, &error);
    match error {
        // The store says what it found, and not what to do.
        OpenArchiveError::Format { .. } if exit == Exit::Damaged => {
            failure.hint("leave the directory as it is, and restore a backup into a new one")
        }
        OpenArchiveError::Directory(_)
        | OpenArchiveError::Format { .. }
        | OpenArchiveError::Randomness(_)
        | OpenArchiveError::Thread(_) => failure,
    }
}

/// The server to talk to. A flag goes before the environment, so that `--archive` is heard in either case.
pub(super) fn server_url(globals: &Globals) -> Option<String> {
    let url = match (&globals.server, &globals.archive) {
        (Some(url), _) => url.clone(),
        (None, Some(_)) => return None,
        (None, None) => std::env::var("DATELINE_SERVER").ok()?,
    };
    match url.as_str() {
        "" => None,
        url if url.contains("://") => Some(url.to_owned()),
        address => Some(format!("http://{address}")),
    }
}

/// When a command stops waiting for another one that holds the archive.
pub(super) fn patience(globals: &Globals) -> Instant {
    Instant::now() + Duration::from_secs(globals.wait.into())
}

/// The archive's directory: from the flag, the environment, the configuration, or the platform.
pub(super) fn archive_directory(flag: Option<&Path>, configured: Option<PathBuf>) -> Result<PathBuf, Failure> {
    if let Some(flag) = flag {
        return Ok(flag.to_path_buf());
    }
    if let Some(path) = std::env::var_os("DATELINE_ARCHIVE").filter(|path| !path.is_empty()) {
        return Ok(path.into());
    }
    if let Some(configured) = configured {
        return Ok(configured);
    }
    let homeless = Failure::new(Exit::Usage, "there is no home directory to keep an archive in")
        .hint("name a directory with --archive DIR, or in DATELINE_ARCHIVE");
    places().map(|places| places.data_dir()).ok_or(homeless)
}

/// Where commands remember what is no part of an archive.
pub(super) fn state_folder() -> Result<PathBuf, Failure> {
    let homeless = Failure::new(Exit::Usage, "there is no home directory to remember in what was archived")
        .hint("name a folder with --memory DIR");
    places().map(|places| places.state_dir().unwrap_or_else(|| places.data_dir())).ok_or(homeless)
}

/// The folders that the platform gives to a program.
fn places() -> Option<impl AppStrategy> {
    let names = AppStrategyArgs {
        top_level_domain: "org".to_owned(),
        author: "dateline".to_owned(),
        app_name: "dateline".to_owned(),
    };
    choose_app_strategy(names).ok()
}

/// How a command runs an archive that it opens itself: writes stop where the environment tells `serve` that they do.
pub(super) fn options() -> Result<Options, Failure> {
    const FLOOR: &str = "DATELINE_FREE_SPACE_FLOOR_BYTES";
    let Some(text) = std::env::var_os(FLOOR) else { return Ok(Options::default()) };
    let floor = text.to_string_lossy().parse::<Bytes>();
    let floor = floor.map_err(|reason| Failure::new(Exit::Usage, format!("{FLOOR}: {reason}")))?;
    Ok(Options { free_space_floor_bytes: floor.0, ..Options::default() })
}

/// The cause at the end of a chain of errors: a transport's own message says next to nothing.
pub(super) fn innermost(error: &dyn Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
