//! A real server on a port, with an archive in a directory.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use dateline::internals::archive::{Archive, Options};
use dateline::internals::client::{Client, ConnectOptions};
use dateline::internals::clock::SystemClock;
use dateline::internals::proof::LogKey;
use dateline::internals::server::{self, ServeError, Signer};
use dateline::internals::store::engine::lock::Holder;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A running server.
pub(crate) struct Running {
    pub(crate) url: String,
    /// How clients connect to it.
    pub(crate) connect: ConnectOptions,
    pub(crate) archive: Arc<Archive>,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<Result<(), ServeError>>,
}

impl Running {
    /// Opens or creates the archive in `path`, and serves it.
    pub(crate) async fn start(path: &Path) -> anyhow::Result<Self> {
        Self::start_with(path, options()?).await
    }

    /// Like [`Self::start`], with other options of the server.
    pub(crate) async fn start_with(path: &Path, options: server::Options) -> anyhow::Result<Self> {
        let path = path.to_owned();
        let opened = tokio::task::spawn_blocking(move || {
            Archive::open_or_create(&path, &Options::default(), Arc::new(SystemClock), holder())
        });
        let (archive, _directory) = opened.await??;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let (stop, stopped) = oneshot::channel();
        let stopped = async move { drop(stopped.await) };
        let archive = Arc::new(archive);
        let served = Arc::clone(&archive);
        let serving = tokio::spawn(async move { server::serve(vec![listener.into()], served, options, stopped).await });
        let connect = ConnectOptions::default();
        Ok(Self { url, connect, archive, stop, serving })
    }

    /// `count` clients, each with a connection of its own.
    pub(crate) async fn clients(&self, count: usize) -> anyhow::Result<Vec<Client>> {
        let mut clients = Vec::with_capacity(count);
        for _ in 0..count {
            clients.push(self.connect.clone().connect(&self.url).await?);
        }
        Ok(clients)
    }

    /// Stops serving and closes the archive. The clients should have been dropped before.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        drop(self.archive);
        // A server that has ended by itself reports that below.
        let _gone = self.stop.send(());
        Ok(self.serving.await??)
    }
}

/// The lock holder that the benchmarks register.
pub(crate) fn holder() -> Holder {
    Holder { pid: std::process::id(), command: "bench".to_owned(), since: String::new() }
}

/// Drops the archive's files from the system's page cache, so that the next read goes to the disk.
pub(crate) fn forget_pages(path: &Path) -> anyhow::Result<()> {
    let log = std::fs::File::open(path.join("db/sled/db"))?;
    log.sync_all()?;
    Ok(rustix::fs::fadvise(&log, 0, None, rustix::fs::Advice::DontNeed)?)
}

/// Bytes that a folder takes on disk.
pub(crate) fn folder_bytes(path: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() { folder_bytes(&entry.path())? } else { metadata.blocks() * 512 };
    }
    Ok(bytes)
}

/// Server options without per-address limits, because all subscribers come from one address here, and with a log key,
/// which signs nothing unless proofs are asked for.
pub(crate) fn options() -> anyhow::Result<server::Options> {
    let signer = Signer::from_pem(LogKey::generate()?.as_bytes(), "example.org/bench")?;
    Ok(server::Options {
        subscribers_max: 20_000,
        subscribers_per_peer_max: Some(20_000),
        signer: Some(Arc::new(signer)),
        ..server::Options::default()
    })
}
