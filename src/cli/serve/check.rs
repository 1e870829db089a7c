//! `serve --check-config`: everything that would keep the server from starting, as far as that shows from outside the
//! archive.
//!
//! Nothing is created, locked or changed, so that a running server's configuration can be checked. The database is not
//! opened, and ports are not bound.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use super::{allow_origin, check_access, pages, tls, witnesses};
use crate::archive::Directory;
use crate::cli::args::globals::Globals;
use crate::cli::exit::{Exit, Failure};
use crate::cli::folders::archive_directory;
use crate::cli::key;
use crate::cli::output::Output;
use crate::config::Settings;
use crate::{server, telemetry};

/// Prints that the settings can be used, or returns why not.
pub(super) fn run(globals: &Globals, settings: &Settings, out: &mut Output) -> Result<(), Vec<Failure>> {
    let mut problems: Vec<Failure> = settings.errors().into_iter().map(Failure::from).collect();
    let mut check = |result: Result<(), Failure>| problems.extend(result.err());
    if let Some(filter) = &settings.log_filter {
        check(telemetry::check(filter).map_err(|error| usage(format!("--log-filter: {error}"))));
    }
    check(tls(settings).map(drop));
    check(witnesses(settings).map(drop));
    check(allow_origin(settings).map(drop));
    check(key::check(settings.log_key.as_deref().unwrap_or_default(), settings.log_origin.as_deref()));
    for address in settings.addresses().unwrap_or_default() {
        check(is_of_this_machine(address, "listen"));
    }
    if let Ok(Some(address)) = settings.metrics_address() {
        check(is_of_this_machine(address, "metrics-listen"));
    }
    if let Ok(Some(address)) = settings.web_address() {
        check(is_of_this_machine(address, "web-listen"));
    }
    check(pages::options(settings).map(drop));
    check(pages::tls(settings).map(drop));
    check(pages::trusted_proxies(settings).map(drop));
    let path = archive_directory(globals.archive.as_deref(), settings.archive.clone());
    match &path {
        Ok(path) => {
            check(Directory::check(path).map_err(usage));
            check(access(settings, path));
            check(server::Webhooks::check(path).map_err(usage));
        }
        Err(failure) => problems.push(failure.clone()),
    }
    let (Ok(path), []) = (path, problems.as_slice()) else { return Err(problems) };
    out.line(format_args!("the configuration is valid; the archive is {}", path.display()))
        .map_err(|failure| vec![failure])
}

fn usage(error: impl ToString) -> Failure {
    Failure::new(Exit::Usage, error)
}

/// Checks that the machine has this address, on some other port: a server may listen on the port itself.
fn is_of_this_machine(address: SocketAddr, option: &str) -> Result<(), Failure> {
    TcpListener::bind(SocketAddr::new(address.ip(), 0)).map(drop).map_err(|error| {
        usage(format!("--{option}: cannot listen on {}: {error}", address.ip()))
            .hint("give an address of this machine; `ip address` lists them")
    })
}

fn access(settings: &Settings, path: &Path) -> Result<(), Failure> {
    check_access(settings, path)?;
    if settings.no_auth == Some(true) {
        return Ok(());
    }
    server::Access::check(path).map_err(usage)
}
