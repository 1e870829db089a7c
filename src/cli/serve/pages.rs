//! The web pages of a server: where they listen, what they show, and the threads that write them.

use std::convert::Infallible;
use std::io;
use std::num::NonZero;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::runtime::{self, Runtime};
use url::Url;

use super::{read_tls, tls_files};
use crate::archive::Archive;
use crate::cli::exit::{Exit, Failure};
use crate::config::Settings;
use crate::server::Tls;
use crate::{server, web};

/// The options of the pages.
pub(super) fn options(settings: &Settings) -> Result<web::Options, Failure> {
    let default = web::Options::default();
    let of_pages = [
        ("--web-url", settings.web_url.is_some()),
        ("--web-index", settings.web_index == Some(true)),
        ("--web-tls-cert", settings.web_tls_cert.is_some()),
        ("--web-tls-key", settings.web_tls_key.is_some()),
        ("--web-trusted-proxy", settings.web_trusted_proxy.is_some()),
    ];
    if let Some((given, _)) = of_pages.iter().find(|(_, is_given)| *is_given && settings.web_listen.is_none()) {
        let message = format!("{given}: no pages are shown; say where with --web-listen");
        return Err(Failure::new(Exit::Usage, message));
    }
    let url = settings.web_url.as_deref().map(site).transpose()?;
    let connections_max = settings.web_connections_max.unwrap_or(default.connections_max).max(1);
    let index = settings.web_index.unwrap_or(default.index);
    let requests = settings.web_requests_per_second_max.map(|max| u32::try_from(max).unwrap_or(u32::MAX));
    let requests_per_second_max = requests.unwrap_or(default.requests_per_second_max);
    let streams_max = connections_max;
    Ok(web::Options { url, index, requests_per_second_max, connections_max, streams_max, ..default })
}

/// The TLS of the pages, if they have a certificate.
pub(super) fn tls(settings: &Settings) -> Result<Option<Tls>, Failure> {
    let files = tls_files(["--web-tls-cert", "--web-tls-key"], [&settings.web_tls_cert, &settings.web_tls_key])?;
    files.map(read_tls).transpose()
}

/// The reverse proxies whose clients have limits of their own.
pub(super) fn trusted_proxies(settings: &Settings) -> Result<web::TrustedProxies, Failure> {
    let networks = settings.web_trusted_proxy.iter().flatten().map(|text| {
        let failed = |error| Failure::new(Exit::Usage, format!("--web-trusted-proxy: {text:?} is {error}"));
        text.parse::<web::Network>().map_err(failed)
    });
    networks.collect()
}

/// The address of a site, which has no path.
fn site(text: &str) -> Result<Url, Failure> {
    let is_site = |url: &Url| {
        let is_plain = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
        matches!(url.scheme(), "http" | "https") && url.has_host() && url.path() == "/" && is_plain
    };
    Url::parse(text).ok().filter(is_site).ok_or_else(|| {
        Failure::new(Exit::Usage, format!("--web-url: {text:?} is not the address of a site"))
            .hint("give the scheme and the host, such as https://archive.example.org; a path is not possible")
    })
}

/// Gives the pages at most half of the file descriptors, so that the service and the storage keep theirs.
pub(super) fn share_descriptors(options: &mut server::Options, web_options: &mut web::Options) {
    let Some(descriptors) = options.descriptors_max else { return };
    let half = usize::try_from(descriptors / 2).unwrap_or(usize::MAX).max(1);
    web_options.connections_max = web_options.connections_max.min(half);
    options.descriptors_max = Some(descriptors.saturating_sub(web_options.connections_max as u64));
}

/// Shows pages on `listener`, if there is one, logs what they show, and has the server say where. Does not return.
pub(super) fn show(
    listener: Option<TcpListener>,
    archive: &Arc<Archive>,
    options: &mut server::Options,
    web_options: web::Options,
) -> Result<impl Future<Output = Infallible> + use<>, Failure> {
    let sources = web::Sources {
        archive: Arc::clone(archive),
        access: options.access.clone(),
        signer: options.signer.clone(),
        limits: options.limits,
    };
    let begin = |listener| Ok((web::Server::new(listener, sources, web_options)?, PageThreads::start()?));
    let pages = listener.map(begin).transpose();
    let pages = pages.map_err(|error: io::Error| Failure::new(Exit::Failed, format!("--web-listen: {error}")))?;
    if let Some((pages, _)) = &pages {
        tracing::info!(url = %pages.url(), visitors_see = pages.visibility(), "showing pages");
        options.web_url = Some(pages.url().clone());
    }
    Ok(async move {
        if let Some((pages, threads)) = pages {
            let ended = threads.run(pages.run()).await;
            tracing::error!(?ended, "the pages are not shown any more");
        }
        std::future::pending().await
    })
}

/// The threads that write pages. A page of a long article takes milliseconds to write, which must not delay the calls of
/// the service, so the pages have threads of their own: one for each two cores.
struct PageThreads(Option<Runtime>);

impl PageThreads {
    fn start() -> io::Result<Self> {
        let cores = std::thread::available_parallelism().map_or(2, NonZero::get);
        let threads = runtime::Builder::new_multi_thread()
            .thread_name("pages")
            .worker_threads(cores.div_ceil(2))
            .enable_all()
            .build()?;
        Ok(Self(Some(threads)))
    }

    /// Runs `task` on the threads. It ends when this is dropped.
    async fn run<T: Send + 'static>(&self, task: impl Future<Output = T> + Send + 'static) -> Option<T> {
        self.0.as_ref()?.spawn(task).await.ok()
    }
}

impl Drop for PageThreads {
    fn drop(&mut self) {
        // A runtime must not be waited for within another.
        if let Some(threads) = self.0.take() {
            threads.shutdown_background();
        }
    }
}
