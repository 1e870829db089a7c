//! Connects to an archive: on a server, opened in this process, or through the server that holds it.
//!
//! A command sees only a [`Session`] with a client. Only this module knows whether there is a network in between.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::args::globals::Globals;
use super::credentials;
use super::exit::{Exit, Failure, interrupted};
use super::folders::archive_directory;
use super::key::signer;
use super::pages::Pages;
use super::sharing::{Sharing, Successor};
use super::signals::Signals;
use super::status::size;
use super::times;
use super::waiting::{LockedBy, Waiting, locked_by};
use crate::archive::{Archive, Directory, Holder, OpenArchiveError, OpenError, Options};
use crate::client::{Client, ClientCertificate, ConnectOptions, Connection, Following, TrustedLog, is_on_this_machine};
use crate::clock::SystemClock;
use crate::config::Bytes;
use crate::model::url_key::without_credentials;
use crate::server;
use crate::web;
use crate::wire::pb;
use crate::wire::pb::admin_service_client::AdminServiceClient;
use crate::wire::pb::archive_service_client::ArchiveServiceClient;
use crate::wire::pb::change_feed_service_client::ChangeFeedServiceClient;

/// Timeout for releasing the archive lock; process exit releases it anyway.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(1);
/// Timeout for a server to report which archive it serves.
const STATUS_TIMEOUT: Duration = Duration::from_secs(5);

/// What a command needs of the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// An archive that exists.
    Existing,
    /// An archive that exists, which no other command uses at the same time, except through a server.
    Alone,
    /// An archive, created if it does not exist.
    Create,
    /// Validation of writes only. If no archive exists, an empty one in memory stands in for it.
    Validate,
}

/// How an archive is opened in this process.
#[derive(Clone, Debug)]
pub(super) enum Opening {
    /// In its directory.
    InPlace(Access),
    /// As a private copy.
    Copy(Copying),
}

/// How a private copy of an archive is made.
#[derive(Clone, Debug)]
pub(super) struct Copying {
    /// The folder to make it in.
    scratch: PathBuf,
    /// Cancelled by a signal: the copy must be removed before the process ends.
    pub(super) stopping: CancellationToken,
}

impl Copying {
    /// From now on, a signal no longer ends the process by itself.
    pub(super) fn new(globals: &Globals) -> Result<Self, Failure> {
        let scratch = globals.scratch.clone().unwrap_or_else(std::env::temp_dir);
        Ok(Self { scratch, stopping: Signals::listen()?.token() })
    }

    /// Copies the archive in `path`.
    pub(super) fn copy(&self, path: &Path, holder: &Holder) -> Result<Directory, OpenArchiveError> {
        Ok(Directory::copy_of(path, &self.scratch, holder, &|| self.stopping.is_cancelled())?)
    }
}

/// A connection to an archive.
pub(super) struct Session {
    client: Client,
    embedded: Option<Arc<Archive>>,
    /// The URL of the server; `None` for an archive opened in this process.
    pub(super) server: Option<String>,
    /// Set if the archive is a private copy, which a signal must not leave behind.
    copying: Option<Copying>,
    /// Set while other processes use the archive through this one.
    sharing: Option<Sharing>,
    /// Set if this process uses the archive through another command, which may end before it.
    successor: Option<Arc<Successor>>,
    /// Set while this process shows web pages of the archive that it has open.
    pages: Option<Pages>,
}

impl Session {
    /// Connects to a server or opens an archive, as the arguments and the environment say. While an archive is open,
    /// its lock file names `command` to other processes. With `--read-only`, opens a private copy of it instead.
    pub(super) async fn open(globals: &Globals, command: &str, access: Access) -> Result<Self, Failure> {
        if let Some(url) = server_url(globals)? {
            return Self::remote(&url, globals).await;
        }
        let path = archive_directory(globals.archive.as_deref(), None)?;
        let opening = if globals.read_only { Opening::Copy(Copying::new(globals)?) } else { Opening::InPlace(access) };
        Self::local(&path, command, opening, Waiting::new(globals)).await
    }

    /// Lets other processes of this user use the archive while this one has it open: they find it by its socket, as they
    /// find a server. For commands that may take long. Does nothing if this process has no archive open in its directory.
    pub(super) fn share(&mut self, globals: &Globals) -> Result<(), Failure> {
        if let Some(archive) = self.embedded.as_ref().filter(|_| self.copying.is_none()) {
            let web_url = self.pages.as_ref().map(|pages| pages.url().clone());
            let options = server::Options { web_url, ..server_options(archive)? };
            self.sharing = Sharing::start(archive, options, globals.quiet);
        }
        Ok(())
    }

    /// Shows web pages of the archive to this machine, until the session is closed. Does nothing if a server has the
    /// archive, which may have pages of its own.
    pub(super) async fn show_pages(&mut self) -> Result<(), Failure> {
        if let Some(archive) = &self.embedded {
            let server::Options { access, signer, limits, .. } = server_options(archive)?;
            let sources = web::Sources { archive: Arc::clone(archive), access, signer, limits };
            self.pages = Some(Pages::show(sources).await?);
        }
        Ok(())
    }

    /// The pages that this process shows.
    pub(super) fn pages(&self) -> Option<&Pages> {
        self.pages.as_ref()
    }

    /// The address of the archive's web pages; `None` if this machine is shown none.
    pub(super) async fn web_url(&self) -> Option<Url> {
        if let Some(pages) = &self.pages {
            return Some(pages.url().clone());
        }
        self.server.as_ref()?;
        // It is shown in addition to what a command is for, which does without it.
        let status = self.admin().get_status(pb::GetStatusRequest {}).await.ok()?.into_inner();
        self.web_url_in(&status)
    }

    /// The address of the web pages of the server with this status; `None` if it shows none to this machine.
    pub(super) fn web_url_in(&self, status: &pb::GetStatusResponse) -> Option<Url> {
        let server = self.server.as_ref()?;
        let url = Url::parse(&status.web_url).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
        let is_local = Url::parse(server).is_ok_and(|server| is_on_this_machine(&server));
        (is_local || !is_on_this_machine(&url)).then_some(url)
    }

    /// Completes when a signal asks a command to stop that does not listen for signals itself. It does so only if a
    /// private copy has to be removed; otherwise the signal ends the process.
    pub(super) async fn interrupted(&self) {
        match &self.copying {
            Some(copying) => copying.stopping.cancelled().await,
            None => std::future::pending().await,
        }
    }

    /// Whether the archive is a private copy, to which nothing is written.
    pub(super) fn is_copy(&self) -> bool {
        self.copying.is_some()
    }

    /// The clients of all services. They share one connection.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// The directory of an archive that is opened in this process and on disk.
    pub(super) fn directory(&self) -> Option<&Path> {
        self.embedded.as_ref()?.info().directory.as_deref()
    }

    /// A client of `ArchiveService`. All clients of a session share its connection.
    pub(super) fn archive(&self) -> ArchiveServiceClient<Connection> {
        self.client.archive.clone()
    }

    /// A client of `AdminService`.
    pub(super) fn admin(&self) -> AdminServiceClient<Connection> {
        self.client.admin.clone()
    }

    /// A client of `ChangeFeedService`.
    pub(super) fn feed(&self) -> ChangeFeedServiceClient<Connection> {
        self.client.feed.clone()
    }

    /// Subscribes to the change feed, and reconnects when the connection breaks. Checks that the log continues `trusted`,
    /// if that is given.
    pub(super) fn follow(&self, request: pb::SubscribeRequest, trusted: Option<TrustedLog>) -> Following {
        match trusted {
            Some(trusted) => self.client.follow_checked(request, trusted),
            None => self.client.follow(request),
        }
    }

    /// Whether the archive is opened in this process.
    pub(super) fn is_embedded(&self) -> bool {
        self.embedded.is_some()
    }

    /// Closes an archive opened in this process and releases its lock, so that the next command can open it.
    pub(super) async fn close(self) {
        drop((self.client, self.pages));
        let succeeded = self.successor.and_then(|successor| successor.take()).unzip();
        let (embedded, sharing) = (self.embedded.or(succeeded.0), self.sharing.or(succeeded.1));
        if let Some(sharing) = sharing {
            sharing.end().await;
        }
        let Some(archive) = embedded else { return };
        archive.close().await;
        // The services in this process still hold the archive. They end shortly after their connection.
        let released = Arc::downgrade(&archive);
        drop(archive);
        let deadline = Instant::now() + RELEASE_TIMEOUT;
        while released.strong_count() > 0 && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Connects to the server at `url`.
    pub(super) async fn remote(url: &str, globals: &Globals) -> Result<Self, Failure> {
        let client = connect_options(globals)?.connect(url).await.map_err(|error| {
            Failure::new(Exit::Unreachable, format!("the server at {url} cannot be reached: {}", innermost(&error)))
                .hint("is it running? `dateline serve` starts one; without --server, commands open the archive")
        })?;
        let client = match credentials::token_for(url)? {
            None => client,
            Some(token) => client.with_token(&token).map_err(|error| Failure::new(Exit::Usage, error))?,
        };
        Ok(Self {
            client,
            embedded: None,
            server: Some(url.to_owned()),
            copying: None,
            sharing: None,
            successor: None,
            pages: None,
        })
    }

    /// Opens an archive, or connects to the process that holds and serves it. Waits for any other process that holds it.
    async fn local(path: &Path, command: &str, opening: Opening, mut waiting: Waiting) -> Result<Self, Failure> {
        let options = options()?;
        loop {
            let error = match open(path, &opening, options.clone(), command).await {
                Ok((archive, _directory)) => return Self::embed(archive, opening).await,
                Err(NotOpened::Archive(error)) => error,
                Err(NotOpened::Process(failure)) => return Err(failure),
            };
            let unusable_server = match locked_by(path, &error).await {
                LockedBy::SharingCommand if matches!(opening, Opening::InPlace(Access::Alone)) => None,
                LockedBy::Server => match Self::connect_to_holder(path).await {
                    Ok(session) => return Ok(session),
                    Err(unusable_server) => unusable_server,
                },
                LockedBy::SharingCommand => match Self::connect_to_command(path, command, waiting.is_quiet()).await {
                    Ok(session) => return Ok(session),
                    Err(unusable_server) => unusable_server,
                },
                LockedBy::Command => None,
                LockedBy::NoProcess if matches!(opening, Opening::InPlace(Access::Validate)) && is_missing(&error) => {
                    return Self::embed(empty()?, opening).await;
                }
                LockedBy::NoProcess => return Err(open_failure(error)),
            };
            if !waiting.pause(&error).await {
                return Err(unusable_server.unwrap_or_else(|| open_failure(error)));
            }
        }
    }

    /// Connects to the server that holds the archive in `path`, on the archive's socket.
    ///
    /// The socket belongs to this user, or the archive would not have been opened as far as to find its lock held. The
    /// server there must report the id of this archive: it may serve another one if the directory was copied or moved
    /// while it was running. Until then, only that status request is sent.
    ///
    /// Fails with the reason why the server is not used. Fails with `None` if no server responds: it is starting or
    /// stopping, and the next attempt will find out more.
    pub(super) async fn connect_to_holder(path: &Path) -> Result<Self, Option<Failure>> {
        let id = id_of(path)?;
        let client = Client::connect_socket(Directory::socket(path)).await.map_err(|_| None)?;
        Self::on_socket(path, client, id).await
    }

    /// As [`Self::connect_to_holder`], for a command that shares the archive. When that one has ended, this process opens
    /// the archive itself the next time it needs a connection.
    async fn connect_to_command(path: &Path, command: &str, is_quiet: bool) -> Result<Self, Option<Failure>> {
        let id = id_of(path)?;
        let successor = Arc::new(Successor::new(path.to_path_buf(), id, command, is_quiet));
        let next = Arc::clone(&successor);
        let client = Client::connect_over(move || {
            let next = Arc::clone(&next);
            async move { next.connect().await }
        });
        let session =
            Self { successor: Some(successor), ..Self::on_socket(path, client.await.map_err(|_| None)?, id).await? };
        Ok(session)
    }

    /// A session on the socket of the archive in `path`, once the server there has reported the archive's `id`.
    async fn on_socket(path: &Path, client: Client, id: [u8; 16]) -> Result<Self, Option<Failure>> {
        let server = Some(format!("unix:{}", Directory::socket(path).display()));
        let session =
            Self { client, embedded: None, server, copying: None, sharing: None, successor: None, pages: None };
        let reply = tokio::time::timeout(STATUS_TIMEOUT, session.admin().get_status(pb::GetStatusRequest {})).await;
        let Ok(Ok(status)) = reply else { return Err(None) };
        if status.into_inner().archive_id != id {
            return Err(unusable(path, "it serves another archive"));
        }
        Ok(session)
    }

    async fn embed(archive: Archive, opening: Opening) -> Result<Self, Failure> {
        let archive = Arc::new(archive);
        let (options, copying) = match opening {
            Opening::InPlace(_) => (server_options(&archive)?, None),
            // Nothing of a copy is signed, since the archive could not keep what was signed.
            Opening::Copy(copying) => (server::Options::default(), Some(copying)),
        };
        let channel = server::in_process(Arc::clone(&archive), &options).await;
        let channel = channel.map_err(|error| Failure::new(Exit::Failed, innermost(&error)))?;
        Ok(Self {
            client: Client::over(channel),
            embedded: Some(archive),
            server: None,
            copying,
            sharing: None,
            successor: None,
            pages: None,
        })
    }
}

/// The id of the archive in `path`, by which its server is recognised.
fn id_of(path: &Path) -> Result<[u8; 16], Option<Failure>> {
    match Directory::read_id(path) {
        Ok(Some(id)) => Ok(id),
        Ok(None) => Err(unusable(path, "the directory has no archive id (file ID)")),
        Err(error) => Err(unusable(path, &format!("the archive's id cannot be read: {error}"))),
    }
}

/// The failure of a command that does not use the server on the socket of the archive in `path`.
fn unusable(path: &Path, why: &str) -> Option<Failure> {
    let message = format!("the server on {} is not used: {why}; nothing was sent", Directory::socket(path).display());
    Some(Failure::new(Exit::Unreachable, message).hint("if you trust the server, name it with --server"))
}

/// What this process may do with an archive that it has open: whatever it likes, since it has the archive's files.
pub(super) fn server_options(archive: &Archive) -> Result<server::Options, Failure> {
    let keys = std::env::var("DATELINE_LOG_KEY").unwrap_or_default();
    let keys: Vec<PathBuf> = keys.split(',').filter(|key| !key.is_empty()).map(PathBuf::from).collect();
    let signer = signer(&keys, std::env::var("DATELINE_LOG_ORIGIN").ok(), Vec::new(), archive.info())?;
    let access = archive.info().directory.as_deref().and_then(|directory| {
        let access = server::Access::open(directory, Arc::clone(archive.clock()));
        // They are for others, not for the owner of the files.
        access.inspect_err(|error| tracing::warn!(%error, "the access rules cannot be used")).ok()
    });
    let access = access.map(Arc::new);
    Ok(server::Options { signer, allow_expunge: true, access, ..server::Options::default() })
}

type OpenedArchive = (Archive, Arc<Directory>);

/// How the lock file describes this process while it holds an archive.
pub(super) fn holder(command: &str) -> Holder {
    Holder { pid: std::process::id(), command: format!("dateline {command}"), since: times::now().to_string() }
}

/// Why an archive was not opened.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotOpened {
    /// The archive could not be opened.
    #[error(transparent)]
    Archive(OpenArchiveError),
    /// This process could not try.
    #[error("{}", .0.message)]
    Process(Failure),
}

/// Opens an archive, or with [`Access::Create`] creates it if there is none.
pub(super) async fn open(
    path: &Path,
    opening: &Opening,
    options: Options,
    command: &str,
) -> Result<OpenedArchive, NotOpened> {
    let (holder, path, how) = (holder(command), path.to_path_buf(), opening.clone());
    let opened = tokio::task::spawn_blocking(move || {
        let clock = Arc::new(SystemClock);
        match how {
            Opening::InPlace(Access::Create) => Archive::open_or_create(&path, &options, clock, holder),
            Opening::InPlace(_) => Archive::open_existing(&path, &options, clock, holder),
            Opening::Copy(copying) => Archive::open_copy(copying.copy(&path, &holder)?, &path, &options, clock),
        }
    });
    let opened = opened.await.map_err(|error| {
        NotOpened::Process(Failure::new(Exit::Failed, format!("opening the archive failed: {error}")))
    })?;
    match opening {
        Opening::Copy(copying) if copying.stopping.is_cancelled() => {
            Err(NotOpened::Process(interrupted("nothing was changed")))
        }
        Opening::Copy(_) | Opening::InPlace(_) => opened.map_err(NotOpened::Archive),
    }
}

/// Opens an archive for a server. Waits for a command that holds it, but not for another server, which would not release
/// it.
pub(super) async fn open_to_serve(
    path: &Path,
    options: Options,
    mut waiting: Waiting,
) -> Result<OpenedArchive, Failure> {
    loop {
        let error = match open(path, &Opening::InPlace(Access::Create), options.clone(), "serve").await {
            Ok(opened) => return Ok(opened),
            Err(NotOpened::Archive(error)) => error,
            Err(NotOpened::Process(failure)) => return Err(failure),
        };
        match locked_by(path, &error).await {
            LockedBy::Command | LockedBy::SharingCommand if waiting.pause(&error).await => {}
            LockedBy::Server | LockedBy::SharingCommand | LockedBy::Command | LockedBy::NoProcess => {
                return Err(open_failure(error));
            }
        }
    }
}

fn is_missing(error: &OpenArchiveError) -> bool {
    matches!(error, OpenArchiveError::Directory(OpenError::Missing { .. }))
}

fn empty() -> Result<Archive, Failure> {
    Archive::in_memory_with(&Options::default(), Arc::new(SystemClock)).map_err(open_failure)
}

/// The failure of a command whose archive could not be opened.
pub(super) fn open_failure(error: OpenArchiveError) -> Failure {
    if let OpenArchiveError::Directory(OpenError::Missing { path }) = &error {
        return Failure::new(Exit::Unreachable, format!("there is no archive in {}", path.display()))
            .hint("`dateline add FILE` creates one there; --archive DIR names another");
    }
    if let OpenArchiveError::Directory(OpenError::NoSpaceForCopy { path, scratch, needed_bytes, free_bytes }) = &error {
        let (needed, free) = (size(*needed_bytes), size(*free_bytes));
        let message = format!(
            "reading {} without writing to it needs {needed} for a private copy, and {free} are free in {}",
            path.display(),
            scratch.display()
        );
        return Failure::new(Exit::Unreachable, message)
            .hint("name a directory on a larger disk with --scratch DIR, or in TMPDIR");
    }
    let exit = if error.is_damage() { Exit::Damaged } else { Exit::Unreachable };
    let failure = Failure::new(exit, &error);
    match error {
        // The error says what is wrong, but not what to do.
        OpenArchiveError::Format { .. } if exit == Exit::Damaged => {
            failure.hint("leave the directory as it is, and restore a backup into a new one")
        }
        OpenArchiveError::Directory(OpenError::InUse { .. }) => {
            failure.hint("`dateline serve` lets several commands use an archive at once; --wait SECONDS waits longer")
        }
        OpenArchiveError::Directory(OpenError::Io { source, .. })
            if matches!(source.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem) =>
        {
            failure.hint("commands that read an archive can do so without writing to its directory: pass --read-only")
        }
        OpenArchiveError::Directory(_)
        | OpenArchiveError::Format { .. }
        | OpenArchiveError::Randomness(_)
        | OpenArchiveError::Thread(_) => failure,
    }
}

/// The files by which a server is trusted, and by which it recognises this client.
fn connect_options(globals: &Globals) -> Result<ConnectOptions, Failure> {
    let read = |option: &str, path: &Path| {
        std::fs::read(path)
            .map_err(|error| Failure::new(Exit::Usage, format!("{option}: {} cannot be read: {error}", path.display())))
    };
    let certificate = match (&globals.tls_client_cert, &globals.tls_client_key) {
        (None, None) => None,
        (Some(chain), Some(key)) => {
            Some(ClientCertificate { chain: read("--tls-client-cert", chain)?, key: read("--tls-client-key", key)? })
        }
        (Some(_), None) | (None, Some(_)) => {
            let message = "a client certificate needs both --tls-client-cert and --tls-client-key";
            return Err(Failure::new(Exit::Usage, message));
        }
    };
    Ok(ConnectOptions { ca: globals.ca.as_deref().map(|ca| read("--ca", ca)).transpose()?, certificate })
}

/// The URL of the server to use, if any. Flags take precedence over the environment, so `--archive` overrides
/// DATELINE_SERVER.
pub(super) fn server_url(globals: &Globals) -> Result<Option<String>, Failure> {
    let url = match (&globals.server, &globals.archive) {
        (Some(url), _) => url.clone(),
        (None, Some(_)) => return Ok(None),
        (None, None) => std::env::var("DATELINE_SERVER").unwrap_or_default(),
    };
    let url = match url.as_str() {
        "" => return Ok(None),
        url if url.starts_with("unix:") => return Ok(Some(url.to_owned())),
        url if url.contains("://") => url.to_owned(),
        address => format!("http://{address}"),
    };
    check_server_url(&url)?;
    Ok(Some(url))
}

/// Rejects a URL that names more than a server, since everything else in it would be ignored.
fn check_server_url(url: &str) -> Result<(), Failure> {
    let invalid = |reason: &str| {
        let message = format!("{} is not the URL of a server: {reason}", without_credentials(url));
        Failure::new(Exit::Usage, message)
    };
    let parsed = Url::parse(url).map_err(|error| invalid(&error.to_string()))?;
    let server = parsed.origin().ascii_serialization();
    if !matches!(parsed.scheme(), "http" | "https") {
        return Err(invalid("it must begin with https://, http:// or unix:"));
    }
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err(invalid("user name and password are not supported").hint(format!("give {server}")));
    }
    if parsed.path() != "/" || parsed.query().is_some() || parsed.fragment().is_some() {
        return Err(invalid("it names something on the server").hint(format!("give {server}")));
    }
    Ok(())
}

/// The options for an archive that a command opens itself. The free-space floor comes from the same environment
/// variable as for `serve`.
pub(super) fn options() -> Result<Options, Failure> {
    const FLOOR: &str = "DATELINE_FREE_SPACE_FLOOR_BYTES";
    let Some(text) = std::env::var_os(FLOOR) else { return Ok(Options::default()) };
    let floor = text.to_string_lossy().parse::<Bytes>();
    let floor = floor.map_err(|reason| Failure::new(Exit::Usage, format!("{FLOOR}: {reason}")))?;
    Ok(Options { free_space_floor_bytes: floor.0, ..Options::default() })
}

/// The last cause in a chain of errors; a transport error's own message says very little.
pub(super) fn innermost(error: &dyn Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
