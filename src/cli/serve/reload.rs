//! What SIGHUP has a server read again: its certificates and its access rules. Everything else takes a restart.

use std::sync::Arc;

use crate::cli::args::ServeArgs;
use crate::cli::exit::Failure;
use crate::config::Settings;
use crate::server::{Access, Tls};

/// The files of a running server that can be read again, and its settings.
#[derive(Clone)]
pub(super) struct Reloadable {
    pub(super) args: ServeArgs,
    /// The settings that the server runs with.
    pub(super) settings: Settings,
    /// Those of the service and of the pages, if they have any.
    pub(super) certificates: Vec<Tls>,
    pub(super) access: Option<Arc<Access>>,
}

impl Reloadable {
    /// Reads the files again. One that cannot be used leaves the old one in force. Logs the outcome, and returns it to
    /// follow a status.
    pub(super) async fn reload(&self) -> &'static str {
        let this = self.clone();
        match tokio::task::spawn_blocking(move || this.read()).await {
            Ok(true) => "; reloaded",
            Ok(false) => "; the last reload failed, see the log",
            Err(error) => {
                tracing::error!(%error, "the reload ended unexpectedly");
                "; the last reload failed, see the log"
            }
        }
    }

    /// Reads everything, even after a failure. Returns whether all of it could be used.
    fn read(&self) -> bool {
        let is_refused = |tls: &&Tls| {
            let read = tls.reload();
            read.inspect_err(|error| {
                tracing::error!(%error, "the certificate was not replaced; the old one stays in use");
            })
            .is_err()
        };
        // Each is read, even after a failure.
        let certificates = self.certificates.iter().filter(is_refused).count() == 0;
        let rules = self.access.as_ref().is_none_or(|access| {
            let read = access.reload();
            read.inspect_err(|error| {
                tracing::error!(%error, "the rules were not read again; the old ones stay in force");
            })
            .is_ok()
        });
        let settings = self.check_settings();
        if certificates && rules && settings {
            tracing::info!("reloaded the certificates and the access rules");
        }
        certificates && rules && settings
    }

    /// Reads the configuration file again, to say which settings need a restart. Returns whether it could be read.
    fn check_settings(&self) -> bool {
        match super::settings(&self.args) {
            Ok(settings) => {
                let changed = changed(&self.settings, &settings);
                if !changed.is_empty() {
                    tracing::warn!(
                        settings = changed.join(", "),
                        "these settings have changed; restart the server to apply them"
                    );
                }
                true
            }
            Err(Failure { message, .. }) => {
                tracing::error!(
                    error = message,
                    "the configuration file has a mistake; the server could not be started with it"
                );
                false
            }
        }
    }
}

/// The keys of the settings that differ.
fn changed(before: &Settings, after: &Settings) -> Vec<String> {
    let (before, after) = (before.given(), after.given());
    let mut keys: Vec<String> = before.keys().chain(after.keys()).cloned().collect();
    keys.sort();
    keys.dedup();
    keys.retain(|key| before.get(key) != after.get(key));
    keys
}
