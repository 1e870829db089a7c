//! `serve`: serves an archive until a signal asks it to stop.

mod check;
mod pages;
mod ports;
mod reload;
mod supervisor;

use std::cell::Cell;
use std::convert::Infallible;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use url::{Origin, Url};

use self::ports::Addresses;
use self::reload::Reloadable;
use crate::archive::recover::compact::{CompactMode, compact_directory};
use crate::archive::{Archive, Directory};
use crate::cli::args::ServeArgs;
use crate::cli::args::globals::Globals;
use crate::cli::connect::{holder, open_to_serve};
use crate::cli::count;
use crate::cli::exit::{Exit, Failure};
use crate::cli::folders::archive_directory;
use crate::cli::key::signer;
use crate::cli::output::{Output, tell};
use crate::cli::signals::{Hangups, Signals};
use crate::cli::waiting::Waiting;
use crate::config::{Bytes, ConfigError, LogFormat, Period, Settings};
use crate::model::Limits;
use crate::server::{Listener, Tls, TlsFiles, WebhookUrls, Webhooks, Witness};
use crate::telemetry::Traces;
use crate::{archive, metrics, server, telemetry, web, webhook, witness};

/// What is logged by default.
const LOG_FILTER: &str = "info";
/// How long a shutdown takes at most on top of the grace period: a commit in flight is abandoned after 60 s, and closing
/// the database takes at most 10 s.
const CLOSING: Duration = Duration::from_secs(75);

pub(super) async fn run(globals: &Globals, args: &ServeArgs, out: &mut Output) -> Result<(), Failure> {
    if globals.server.is_some() {
        return Err(Failure::new(Exit::Usage, "`serve` opens the archive itself; --server is for other commands"));
    }
    let settings = settings(args)?;
    if args.check_config {
        return check_config(globals, &settings, out);
    }
    let traces = start_log(&settings)?;
    let served = serve(globals, args, settings, traces.is_some()).await;
    if let Some(traces) = traces {
        traces.finish().await;
    }
    served
}

/// Reports everything that is wrong with the settings.
fn check_config(globals: &Globals, settings: &Settings, out: &mut Output) -> Result<(), Failure> {
    let Err(problems) = check::run(globals, settings, out) else { return Ok(()) };
    problems.iter().for_each(tell);
    let problems = count(problems.len() as u64, "problem");
    Err(Failure::new(Exit::Usage, format!("the server would not start: {problems} in its configuration")))
}

/// Starts the log, and traces if they are to be sent somewhere.
fn start_log(settings: &Settings) -> Result<Option<Traces>, Failure> {
    let (filter, format) =
        (settings.log_filter.as_deref().unwrap_or(LOG_FILTER), settings.log_format.unwrap_or_default());
    let started = match settings.otlp_endpoint()? {
        Some(endpoint) => telemetry::start_with_traces(filter, format, endpoint).map(Some),
        None => telemetry::start(filter, format).map(|()| None),
    };
    started.map_err(|error| Failure::new(Exit::Usage, format!("--log-filter: {error}")))
}

async fn serve(globals: &Globals, args: &ServeArgs, settings: Settings, is_traced: bool) -> Result<(), Failure> {
    let addresses = Addresses::of(&settings)?;
    let mut web_options = pages::options(&settings)?;
    let mut options = server_options(&settings)?;
    options.tls = tls(&settings)?;
    web_options.tls = pages::tls(&settings)?;
    web_options.trusted_proxies = pages::trusted_proxies(&settings)?;
    let witnesses = witnesses(&settings)?;
    options.continue_trace = is_traced.then_some(telemetry::continue_trace);
    let (version, format) = (env!("CARGO_PKG_VERSION"), archive::FORMAT_VERSION);
    tracing::info!(version, format, settings = %serde_json::Value::Object(settings.given()), "starting");
    options.descriptors_max = server::raise_descriptor_limit();
    if addresses.has_web() {
        pages::share_descriptors(&mut options, &mut web_options);
    }
    // Before the archive is opened, so that a signal in the meantime is not lost.
    let stopping = Signals::listen()?.token();
    let hangups = Hangups::listen()?;
    let path = archive_directory(globals.archive.as_deref(), settings.archive.clone())?;
    check_access(&settings, &path)?;
    // If there is no archive yet, the ports are bound first, so that no archive is created if that fails. An existing
    // archive is opened first: no client connects before it is open, and if another server holds it, the error says so
    // instead of only that a port is in use.
    let is_new = !path.read_dir().is_ok_and(|mut entries| entries.next().is_some());
    let early_ports = if is_new { Some(addresses.listen()?) } else { None };
    let opening = open(&path, &settings, globals, &stopping);
    let opened = supervisor::with_more_time("opening the archive", opening).await?;
    let Some((opened, directory)) = opened else { return Ok(()) };
    tracing::info!(archive = %path.display(), changes = opened.tail().next_seq.0, "opened");
    let log_keys = settings.log_key.as_deref().unwrap_or_default();
    options.signer = signer(log_keys, settings.log_origin.clone(), witnesses, opened.info())?;
    let ports = match early_ports {
        Some(ports) => ports,
        None => addresses.listen()?,
    };
    let mut listeners: Vec<Listener> = ports.service.into_iter().map(Listener::from).collect();
    listeners.push(Listener::archive_socket(&opened).map_err(|error| {
        let socket = Directory::socket(&path);
        Failure::new(Exit::Failed, format!("cannot listen on {}: {error}", socket.display()))
            .hint("the archive needs a file system on which sockets can be created")
    })?);
    if settings.no_auth != Some(true) {
        let access = server::Access::open(&path, Arc::clone(opened.clock()));
        options.access = Some(Arc::new(access.map_err(|error| Failure::new(Exit::Usage, error))?));
    }
    let urls = if settings.webhook_allow_private == Some(true) { WebhookUrls::Any } else { WebhookUrls::Https };
    let webhooks = Webhooks::open(&path, options.access.clone(), urls);
    let webhooks = webhooks.map_err(|error| Failure::new(Exit::Usage, error))?;
    options.webhooks = Some(Arc::clone(&webhooks));
    let (archive, signer) = (Arc::new(opened), options.signer.clone());
    let asking = async {
        match &signer {
            Some(signer) => witness::run(&archive, signer, &witness::Options::default()).await,
            None => std::future::pending().await,
        }
    };
    let sending_options = webhook::Options::default();
    let sending = webhook::run(&archive, &webhooks, &sending_options);
    let page_stats = ports.web.is_some().then(|| Arc::clone(&web_options.stats));
    let showing = show_metrics(ports.metrics, &archive, &mut options, page_stats)?;
    let web_tls = web_options.tls.clone();
    let pages = pages::show(ports.web, &archive, &mut options, web_options)?;
    let certificates = options.tls.clone().into_iter().chain(web_tls).collect();
    let reloadable = Reloadable { args: args.clone(), settings, certificates, access: options.access.clone() };
    let addresses = listeners.iter().filter_map(|listener| listener.address().ok()).collect::<Vec<_>>().join(", ");
    let graces = Graces { stop: options.grace, failed: options.failed_grace };
    let service = Service { archive: &archive, addresses: &addresses, last_reload: Cell::new("") };
    let supervising =
        async { tokio::join!(report(&service, graces, &stopping), reload(hangups, &reloadable, &service)).0 };
    let served = tokio::select! {
        served = server::serve(listeners, Arc::clone(&archive), options, stopping.clone().cancelled_owned()) => served,
        never = asking => match never {},
        never = sending => match never {},
        never = showing => match never {},
        never = pages => match never {},
        never = supervising => match never {},
    };
    drop((archive, directory));
    served.map_err(|error| Failure::new(Exit::Failed, error))
}

/// How long the server continues after it was asked to stop, and after its storage has failed.
#[derive(Clone, Copy)]
struct Graces {
    stop: Duration,
    failed: Duration,
}

/// What the service manager shows of the server.
struct Service<'a> {
    archive: &'a Archive,
    addresses: &'a str,
    /// The outcome of the last reload, if there was one.
    last_reload: Cell<&'static str>,
}

impl Service<'_> {
    fn status(&self) -> String {
        let articles = count(self.archive.article_count(), "article");
        format!("serving {articles} at {}{}", self.addresses, self.last_reload.get())
    }
}

/// Reports to the service manager that the archive is served, how it is doing, and that the server stops. Does not return.
async fn report(service: &Service<'_>, graces: Graces, stopping: &CancellationToken) -> Infallible {
    if supervisor::is_present() {
        supervisor::ready(&service.status());
        let failing = async {
            service.archive.failed().await;
            supervisor::status("the storage failed; reads continue for a while, then the server ends");
            tokio::time::sleep(graces.failed).await;
        };
        tokio::select! {
            // Once it returns, the watchdog ends a server that does not end by itself.
            () = failing => {}
            () = stopping.cancelled() => {}
            never = keep_alive(service) => match never {},
        }
        supervisor::stopping(graces.stop.saturating_add(CLOSING));
    }
    std::future::pending().await
}

/// Reports at intervals that the server works: its tasks run, and its disk answers.
async fn keep_alive(service: &Service<'_>) -> Infallible {
    let mut interval = tokio::time::interval(supervisor::alive_every());
    loop {
        interval.tick().await;
        match service.archive.check_writable().await {
            Ok(()) => supervisor::alive(&service.status()),
            Err(error) => supervisor::alive(&format!("{}; {error}", service.status())),
        }
    }
}

/// Reloads at each SIGHUP. Does not return.
async fn reload(mut hangups: Hangups, reloadable: &Reloadable, service: &Service<'_>) -> Infallible {
    loop {
        hangups.next().await;
        supervisor::reloading();
        service.last_reload.set(reloadable.reload().await);
        supervisor::ready(&service.status());
    }
}

/// Has the server count, and shows what it counts on `listener`, if there is one. Does not return.
fn show_metrics(
    listener: Option<TcpListener>,
    archive: &Arc<Archive>,
    options: &mut server::Options,
    pages: Option<Arc<web::Stats>>,
) -> Result<impl Future<Output = Infallible> + use<>, Failure> {
    if let Some(listener) = &listener {
        let address = listener.local_addr().map_err(|error| Failure::new(Exit::Failed, error))?;
        tracing::info!(url = %format_args!("http://{address}/metrics"), "showing metrics");
    }
    let stats = Arc::clone(options.stats.get_or_insert_default());
    let (signer, webhooks) = (options.signer.clone(), options.webhooks.clone());
    let sources = metrics::Sources { archive: Arc::clone(archive), stats, signer, webhooks, pages };
    Ok(async move {
        match listener {
            Some(listener) => metrics::serve(listener, sources).await,
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
    let reopen = || open_to_serve(path, options.clone(), Waiting::new(globals));
    let (archive, directory) = reopen().await?;
    let pending = archive.destruction_pending().await.map_err(|error| Failure::new(Exit::Failed, error))?;
    let Some(since) = pending else { return Ok(Some((archive, directory))) };
    archive.close().await;
    drop((archive, directory));
    supervisor::status("taking destroyed text out of the files of the archive");
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
    let Some(files) = tls_files(["--tls-cert", "--tls-key"], [&settings.tls_cert, &settings.tls_key])? else {
        return match settings.tls_client_ca {
            None => Ok(None),
            Some(_) => usage("--tls-client-ca: clients can have certificates only if the server has one (--tls-cert)"),
        };
    };
    if settings.no_tls == Some(true) {
        return usage("--no-tls and --tls-cert contradict each other; pass one of them");
    }
    read_tls(TlsFiles { client_ca: settings.tls_client_ca.clone(), ..files }).map(Some)
}

/// The files of a certificate and of its private key, by their options; `None` if neither is given.
fn tls_files(options: [&str; 2], given: [&Option<PathBuf>; 2]) -> Result<Option<TlsFiles>, Failure> {
    let usage = |message: String| Err(Failure::new(Exit::Usage, message));
    let [certificate_option, key_option] = options;
    match given.map(Option::clone) {
        [Some(certificate), Some(key)] => Ok(Some(TlsFiles { certificate, key, client_ca: None })),
        [None, None] => Ok(None),
        [Some(_), None] => {
            usage(format!("{certificate_option}: the private key is missing; name its file with {key_option}"))
        }
        [None, Some(_)] => {
            usage(format!("{key_option}: the certificate is missing; name its file with {certificate_option}"))
        }
    }
}

fn read_tls(files: TlsFiles) -> Result<Tls, Failure> {
    Tls::read(files).map_err(|error| {
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

/// The settings that have a default, with it. Those whose default depends on another setting are left out.
pub(super) fn defaults() -> Settings {
    let (server, archive, limits) = (server::Options::default(), archive::Options::default(), Limits::default());
    let size = |bytes: usize| Some(Bytes(bytes as u64));
    Settings {
        no_tls: Some(false),
        no_auth: Some(false),
        webhook_allow_private: Some(false),
        allow_expunge: Some(server.allow_expunge),
        allow_clock_jump: Some(archive.clock_jump_allowed),
        grace_period: Some(Period(server.grace)),
        failed_grace_period: Some(Period(server.failed_grace)),
        log_filter: Some(LOG_FILTER.to_owned()),
        log_format: Some(LogFormat::default()),
        engine_cache_bytes: Some(Bytes(archive.engine_cache_bytes)),
        cache_bytes: Some(Bytes(archive.cache_bytes)),
        free_space_floor_bytes: Some(Bytes(archive.free_space_floor_bytes)),
        connections_max: Some(server.connections_max),
        web_index: Some(web::Options::default().index),
        web_requests_per_second_max: Some(web::Options::default().requests_per_second_max as usize),
        web_connections_max: Some(web::Options::default().connections_max),
        calls_per_connection_max: Some(server.calls_per_connection_max),
        subscribers_max: Some(server.subscribers_max),
        content_bytes_max: size(limits.content_bytes_max),
        original_bytes_max: size(limits.original_bytes_max),
        url_bytes_max: size(limits.url_bytes_max),
        urls_max: Some(limits.urls_max),
        batch_items_max: Some(limits.batch_items_max),
        batch_bytes_max: size(limits.batch_bytes_max),
        labels_max: Some(limits.labels_max),
        page_size_max: Some(limits.page_size_max),
        ..Settings::default()
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
        allow_origin: allow_origin(settings)?,
        grace: settings.grace_period.map_or(default.grace, |period| period.0),
        allow_expunge: settings.allow_expunge.unwrap_or(default.allow_expunge),
        failed_grace: settings.failed_grace_period.map_or(default.failed_grace, |period| period.0),
        ..default
    })
}

/// The origins whose web pages may call, as browsers write them.
fn allow_origin(settings: &Settings) -> Result<Vec<HeaderValue>, Failure> {
    let origins = settings.allow_origin.iter().flatten().map(|text| {
        let origin = Url::parse(text).ok().map(|url| url.origin()).filter(Origin::is_tuple);
        let origin = origin.map(|origin| origin.ascii_serialization()).filter(|origin| origin == text);
        origin.and_then(|origin| HeaderValue::try_from(origin).ok()).ok_or_else(|| {
            let message = format!("--allow-origin: {text:?} is not an origin");
            Failure::new(Exit::Usage, message).hint(
                "an origin is the scheme, the host, and the port unless it is the usual one, such as https://news.example",
            )
        })
    });
    origins.collect()
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
