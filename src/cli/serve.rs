//! `serve`: serves an archive until a signal asks it to stop.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::args::ServeArgs;
use super::args::globals::Globals;
use super::connect::{archive_directory, holder, open_to_serve, wait_deadline};
use super::exit::{Exit, Failure};
use super::key::signer;
use super::signals::Signals;
use crate::archive::recover::compact::{CompactMode, compact_directory};
use crate::archive::{Archive, Directory};
use crate::config::{ConfigError, Settings};
use crate::server::{Listener, Tls, TlsFiles, Witness};
use crate::telemetry::Traces;
use crate::{archive, metrics, server, telemetry, web, witness};

pub(super) async fn run(globals: &Globals, args: &ServeArgs) -> Result<(), Failure> {
    if globals.server.is_some() {
        return Err(Failure::new(Exit::Usage, "`serve` opens the archive itself; --server is for other commands"));
    }
    let settings = settings(args)?;
    let traces = start_log(&settings)?;
    let served = serve(globals, settings, traces.is_some()).await;
    if let Some(traces) = traces {
        traces.finish().await;
    }
    served
}

/// Starts the log, and traces if they are to be sent somewhere.
fn start_log(settings: &Settings) -> Result<Option<Traces>, Failure> {
    let (filter, format) = (settings.log_filter.as_deref().unwrap_or("info"), settings.log_format.unwrap_or_default());
    let started = match settings.otlp_endpoint()? {
        Some(endpoint) => telemetry::start_with_traces(filter, format, endpoint).map(Some),
        None => telemetry::start(filter, format).map(|()| None),
    };
    started.map_err(|error| Failure::new(Exit::Usage, format!("--log-filter: {error}")))
}

async fn serve(globals: &Globals, settings: Settings, is_traced: bool) -> Result<(), Failure> {
    let addresses = settings.addresses()?;
    let metrics_address = settings.metrics_address()?;
    let web_address = settings.web_address()?;
    let mut web_options = web_options(&settings)?;
    let mut options = server_options(&settings)?;
    options.tls = tls(&settings)?;
    let witnesses = witnesses(&settings)?;
    options.continue_trace = is_traced.then_some(telemetry::continue_trace);
    let (version, format) = (env!("CARGO_PKG_VERSION"), archive::FORMAT_VERSION);
    tracing::info!(version, format, settings = %settings.given(), "starting");
    options.descriptors_max = server::raise_descriptor_limit();
    if web_address.is_some() {
        share_descriptors(&mut options, &mut web_options);
    }
    // Before the archive is opened, so that a signal in the meantime is not lost.
    let stopping = Signals::listen()?.token();
    let path = archive_directory(globals.archive.as_deref(), settings.archive.clone())?;
    check_access(&settings, &path)?;
    // If there is no archive yet, the ports are bound first, so that no archive is created if that fails. An existing
    // archive is opened first: no client connects before it is open, and if another server holds it, the error says so
    // instead of only that a port is in use.
    let is_new = !path.read_dir().is_ok_and(|mut entries| entries.next().is_some());
    let early_listeners = if is_new { Some(listen(&addresses).await?) } else { None };
    let early_metrics_listener = if is_new { listen_for_metrics(metrics_address).await? } else { None };
    let early_web_listener = if is_new { listen_for_web(web_address).await? } else { None };
    let Some((opened, directory)) = open(&path, &settings, globals, &stopping).await? else { return Ok(()) };
    tracing::info!(archive = %path.display(), changes = opened.tail().next_seq.0, "opened");
    options.signer = signer(&settings.log_key.unwrap_or_default(), settings.log_origin, witnesses, opened.info())?;
    let mut listeners = match early_listeners {
        Some(listeners) => listeners,
        None => listen(&addresses).await?,
    };
    let metrics_listener = match early_metrics_listener {
        Some(listener) => Some(listener),
        None => listen_for_metrics(metrics_address).await?,
    };
    let web_listener = match early_web_listener {
        Some(listener) => Some(listener),
        None => listen_for_web(web_address).await?,
    };
    listeners.push(Listener::archive_socket(&opened).map_err(|error| {
        let socket = Directory::socket(&path);
        Failure::new(Exit::Failed, format!("cannot listen on {}: {error}", socket.display()))
            .hint("the archive needs a file system on which sockets can be created")
    })?);
    if settings.no_auth != Some(true) {
        let access = server::Access::open(&path, Arc::clone(opened.clock()));
        options.access = Some(Arc::new(access.map_err(|error| Failure::new(Exit::Usage, error))?));
    }
    let (archive, signer) = (Arc::new(opened), options.signer.clone());
    let asking = async {
        match &signer {
            Some(signer) => witness::run(&archive, signer, &witness::Options::default()).await,
            None => std::future::pending().await,
        }
    };
    let showing = show_metrics(metrics_listener, &archive, &mut options);
    let pages = show_web(web_listener, &archive, &options, web_options)?;
    let served = tokio::select! {
        served = server::serve(listeners, Arc::clone(&archive), options, stopping.cancelled_owned()) => served,
        never = asking => match never {},
        never = showing => match never {},
        never = pages => match never {},
    };
    drop((archive, directory));
    served.map_err(|error| Failure::new(Exit::Failed, error))
}

/// Has the server count, and shows what it counts on `listener`, if there is one. Does not return.
fn show_metrics(
    listener: Option<TcpListener>,
    archive: &Arc<Archive>,
    options: &mut server::Options,
) -> impl Future<Output = Infallible> + use<> {
    let stats = Arc::clone(options.stats.get_or_insert_default());
    let sources = metrics::Sources { archive: Arc::clone(archive), stats, signer: options.signer.clone() };
    async move {
        match listener {
            Some(listener) => metrics::serve(listener, sources).await,
            None => std::future::pending().await,
        }
    }
}

/// Listens where metrics are to be shown, if anywhere.
async fn listen_for_metrics(address: Option<SocketAddr>) -> Result<Option<TcpListener>, Failure> {
    let Some(address) = address else { return Ok(None) };
    let listener = TcpListener::bind(address).await;
    let listener = listener.and_then(|listener| Ok((listener.local_addr()?, listener)));
    let (address, listener) = listener.map_err(|error| {
        Failure::new(Exit::Failed, format!("cannot listen on {address}: {error}"))
            .hint("--metrics-listen sets another address; port 0 selects a free port")
    })?;
    tracing::info!(url = %format_args!("http://{address}/metrics"), "showing metrics");
    Ok(Some(listener))
}

/// Listens where pages for readers are to be shown, if anywhere.
async fn listen_for_web(address: Option<SocketAddr>) -> Result<Option<TcpListener>, Failure> {
    let Some(address) = address else { return Ok(None) };
    TcpListener::bind(address).await.map(Some).map_err(|error| {
        Failure::new(Exit::Failed, format!("cannot listen on {address}: {error}"))
            .hint("--web-listen sets another address; port 0 selects a free port")
    })
}

/// Shows pages for readers on `listener`, if there is one, and logs what they show. Does not return.
fn show_web(
    listener: Option<TcpListener>,
    archive: &Arc<Archive>,
    options: &server::Options,
    web_options: web::Options,
) -> Result<impl Future<Output = Infallible> + use<>, Failure> {
    let sources = web::Sources {
        archive: Arc::clone(archive),
        access: options.access.clone(),
        signer: options.signer.clone(),
        limits: options.limits,
    };
    let pages = listener.map(|listener| web::Server::new(listener, sources, web_options)).transpose();
    let pages = pages.map_err(|error| Failure::new(Exit::Failed, format!("--web-listen: {error}")))?;
    if let Some(pages) = &pages {
        tracing::info!(url = %pages.url(), visitors_see = pages.visibility(), "showing pages");
    }
    Ok(async move {
        match pages {
            Some(pages) => pages.run().await,
            None => std::future::pending().await,
        }
    })
}

/// Opens the archive. If its files have text that was destroyed, takes it out of them first. `None` if a signal asked
/// the server to stop meanwhile.
async fn open(
    path: &Path,
    settings: &Settings,
    globals: &Globals,
    stopping: &CancellationToken,
) -> Result<Option<(Archive, Arc<Directory>)>, Failure> {
    let options = archive_options(settings);
    let reopen = || open_to_serve(path, options.clone(), wait_deadline(globals));
    let (archive, directory) = reopen().await?;
    let pending = archive.destruction_pending().await.map_err(|error| Failure::new(Exit::Failed, error))?;
    let Some(since) = pending else { return Ok(Some((archive, directory))) };
    archive.close().await;
    drop((archive, directory));
    tracing::info!(%since, "taking destroyed text out of the files of the archive, before it is served");
    let (compacted_path, compact_options, stopped) = (path.to_path_buf(), options.clone(), stopping.clone());
    let compacting = tokio::task::spawn_blocking(move || {
        let listener = &mut |_| if stopped.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        compact_directory(&compacted_path, CompactMode::Copy, &compact_options, holder("serve"), listener)
    });
    match compacting.await.map_err(|error| Failure::new(Exit::Failed, format!("compacting failed: {error}")))? {
        Ok(Some(_)) => tracing::info!("the files of the archive have no destroyed text any more"),
        Ok(None) => return Ok(None),
        // The text is not served in any case.
        Err(error) => {
            tracing::error!(%error, "the files of the archive still have destroyed text; compact the archive")
        }
    }
    reopen().await.map(Some)
}

/// The TLS of the server, if it has a certificate.
fn tls(settings: &Settings) -> Result<Option<Tls>, Failure> {
    let usage = |message: &str| Err(Failure::new(Exit::Usage, message));
    let (certificate, key) = match (settings.tls_cert.clone(), settings.tls_key.clone()) {
        (Some(certificate), Some(key)) => (certificate, key),
        (None, None) if settings.tls_client_ca.is_none() => return Ok(None),
        (None, None) => {
            return usage("--tls-client-ca: clients can have certificates only if the server has one (--tls-cert)");
        }
        (Some(_), None) => return usage("--tls-cert: the private key is missing; name its file with --tls-key"),
        (None, Some(_)) => return usage("--tls-key: the certificate is missing; name its file with --tls-cert"),
    };
    if settings.no_tls == Some(true) {
        return usage("--no-tls and --tls-cert contradict each other; pass one of them");
    }
    let files = TlsFiles { certificate, key, client_ca: settings.tls_client_ca.clone() };
    Tls::read(files).map(Some).map_err(|error| {
        Failure::new(Exit::Usage, error).hint("`dateline cert server` makes a certificate to try TLS with")
    })
}

/// Fails if everyone who connects could do everything, and the settings do not say that this is intended.
fn check_access(settings: &Settings, path: &Path) -> Result<(), Failure> {
    let rules = path.join(server::ACCESS_FILE);
    let Some(address) = settings.listen.iter().flatten().next() else { return Ok(()) };
    if settings.no_auth == Some(true) || rules.exists() {
        return Ok(());
    }
    let message = format!(
        "--listen: everyone who can connect to {address} could read and change the whole archive, because it has no access \
         rules ({})",
        rules.display()
    );
    Err(Failure::new(Exit::Usage, message).hint(
        "start the server without --listen, make the first principal with `dateline token create`, and start it again; \
         or pass --no-auth if everyone may",
    ))
}

/// The settings; flags and environment variables override the file.
fn settings(args: &ServeArgs) -> Result<Settings, Failure> {
    let file = args.config.as_deref().map(Settings::read).transpose()?;
    Ok(args.settings.clone().or(file.unwrap_or_default()))
}

/// The witnesses that are to cosign the checkpoints.
fn witnesses(settings: &Settings) -> Result<Vec<Witness>, Failure> {
    let usage = |error| Failure::new(Exit::Usage, format!("--witness: {error}"));
    let witnesses = settings.witness.iter().flatten().map(|text| witness::parse(text));
    let witnesses: Vec<_> = witnesses.collect::<Result<_, _>>().map_err(usage)?;
    if !witnesses.is_empty() && settings.log_key.is_none() {
        return Err(usage("without a log key, there is nothing to cosign".to_owned())
            .hint("make a key with `dateline key new FILE`, and name it with --log-key"));
    }
    Ok(witnesses)
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::new(Exit::Usage, error)
    }
}

fn server_options(settings: &Settings) -> Result<server::Options, Failure> {
    let default = server::Options::default();
    Ok(server::Options {
        limits: settings.limits()?,
        calls_per_connection_max: settings.calls_per_connection_max.unwrap_or(default.calls_per_connection_max).max(1),
        subscribers_max: settings.subscribers_max.unwrap_or(default.subscribers_max),
        subscribers_per_peer_max: settings.subscribers_per_peer_max,
        connections_max: settings.connections_max.unwrap_or(default.connections_max).max(1),
        connections_per_peer_max: settings.connections_per_peer_max,
        grace: settings.grace_period.map_or(default.grace, |period| period.0),
        allow_expunge: settings.allow_expunge.unwrap_or(default.allow_expunge),
        failed_grace: settings.failed_grace_period.map_or(default.failed_grace, |period| period.0),
        ..default
    })
}

fn web_options(settings: &Settings) -> Result<web::Options, Failure> {
    let default = web::Options::default();
    let of_pages = [("--web-url", settings.web_url.is_some()), ("--web-index", settings.web_index == Some(true))];
    if let Some((given, _)) = of_pages.iter().find(|(_, is_given)| *is_given && settings.web_listen.is_none()) {
        let message = format!("{given}: no pages are shown; say where with --web-listen");
        return Err(Failure::new(Exit::Usage, message));
    }
    let connections_max = settings.web_connections_max.unwrap_or(default.connections_max).max(1);
    Ok(web::Options {
        url: settings.web_url()?,
        index: settings.web_index.unwrap_or(default.index),
        connections_max,
        streams_max: connections_max,
        ..default
    })
}

/// Gives the pages at most half of the file descriptors, so that the service and the storage keep theirs.
fn share_descriptors(options: &mut server::Options, web_options: &mut web::Options) {
    let Some(descriptors) = options.descriptors_max else { return };
    let half = usize::try_from(descriptors / 2).unwrap_or(usize::MAX).max(1);
    web_options.connections_max = web_options.connections_max.min(half);
    options.descriptors_max = Some(descriptors.saturating_sub(web_options.connections_max as u64));
}

fn archive_options(settings: &Settings) -> archive::Options {
    let default = archive::Options::default();
    archive::Options {
        engine_cache_bytes: settings.engine_cache_bytes.map_or(default.engine_cache_bytes, |bytes| bytes.0),
        cache_bytes: settings.cache_bytes.map_or(default.cache_bytes, |bytes| bytes.0),
        clock_jump_allowed: settings.allow_clock_jump.unwrap_or(default.clock_jump_allowed),
        free_space_floor_bytes: settings.free_space_floor_bytes.map_or(default.free_space_floor_bytes, |bytes| bytes.0),
        ..default
    }
}

async fn listen(addresses: &[SocketAddr]) -> Result<Vec<Listener>, Failure> {
    let mut listeners = Vec::with_capacity(addresses.len() + 1);
    for address in addresses {
        let listener = TcpListener::bind(address).await.map_err(|error| {
            Failure::new(Exit::Failed, format!("cannot listen on {address}: {error}"))
                .hint("--listen sets another address; port 0 selects a free port")
        })?;
        listeners.push(listener.into());
    }
    Ok(listeners)
}
