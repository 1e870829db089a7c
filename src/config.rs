//! The settings of `serve`: from flags, the environment and a TOML file, in that order of precedence.
//!
//! A setting has one name: the key `content_bytes_max` is the flag `--content-bytes-max` and the variable
//! `DATELINE_CONTENT_BYTES_MAX`. An unknown key in a file is an error that names the line: a misspelt limit that is
//! silently ignored is worse than a server that does not start.

mod units;

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use self::units::{Bytes, Period};
use crate::model::Limits;

/// An address to listen on, as an example; no other program is known to use its port.
const LISTEN_EXAMPLE: &str = "127.0.0.1:7411";

/// Settings as one source gives them; `None` where it leaves a setting out.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
#[command(next_help_heading = "Settings")]
pub struct Settings {
    /// The archive's directory. Only a file can set it: the command line has an option of its own for the archive.
    #[arg(skip)]
    pub archive: Option<PathBuf>,
    /// Listen on this address and port, too, besides the socket in the archive's directory; port 0 picks a free port. Can be
    /// repeated, with commas in the variable
    #[arg(long, value_name = "ADDRESS", env = "DATELINE_LISTEN", value_delimiter = ',')]
    pub listen: Option<Vec<String>>,
    /// Encrypt connections on TCP with this certificate, in PEM, followed by those of intermediate authorities. Read again
    /// when it changes
    #[arg(long, value_name = "FILE", env = "DATELINE_TLS_CERT")]
    pub tls_cert: Option<PathBuf>,
    /// The private key of the certificate, in PEM
    #[arg(long, value_name = "FILE", env = "DATELINE_TLS_KEY")]
    pub tls_key: Option<PathBuf>,
    /// Accept client certificates of the authorities in this file, in PEM, as identities for the access rules
    #[arg(long, value_name = "FILE", env = "DATELINE_TLS_CLIENT_CA")]
    pub tls_client_ca: Option<PathBuf>,
    /// Listen on an address that other machines can reach without encryption
    #[arg(long, env = "DATELINE_NO_TLS", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub no_tls: Option<bool>,
    /// Listen on an address although the archive has no access rules, so that everyone who connects may do everything
    #[arg(long, env = "DATELINE_NO_AUTH", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub no_auth: Option<bool>,
    /// Show metrics for Prometheus at http://ADDRESS/metrics, and /healthz, to everyone who can reach this address; port 0
    /// picks a free port [default: nowhere]
    #[arg(long, value_name = "ADDRESS", env = "DATELINE_METRICS_LISTEN")]
    pub metrics_listen: Option<String>,
    /// Show pages for readers at http://ADDRESS/, over HTTP/1.1 and HTTP/2. They are read only, and show what the access rules
    /// grant to the principal `anonymous`; if the rules do not mention it, everything on an address that only this machine
    /// can reach, and nothing on others. Port 0 picks a free port [default: nowhere]
    #[arg(long, value_name = "ADDRESS", env = "DATELINE_WEB_LISTEN")]
    pub web_listen: Option<String>,
    /// The public address of the pages, such as `https://archive.example.org`, for canonical links and citations, and the only
    /// host name that requests may have besides that of this machine. With it, the pages show nothing that the access rules
    /// do not grant [default: the address of --web-listen]
    #[arg(long, value_name = "URL", env = "DATELINE_WEB_URL")]
    pub web_url: Option<String>,
    /// Let search engines fetch the pages: robots.txt allows it, and names a sitemap of all articles that visitors may see
    #[arg(long, env = "DATELINE_WEB_INDEX", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub web_index: Option<bool>,
    /// Encrypt connections to the pages with this certificate, in PEM, followed by those of intermediate authorities: they are
    /// then at https://ADDRESS/. Read again when it changes [default: not encrypted]
    #[arg(long, value_name = "FILE", env = "DATELINE_WEB_TLS_CERT")]
    pub web_tls_cert: Option<PathBuf>,
    /// The private key of the certificate of the pages, in PEM
    #[arg(long, value_name = "FILE", env = "DATELINE_WEB_TLS_KEY")]
    pub web_tls_key: Option<PathBuf>,
    /// Maximum number of requests for pages that one address may make in a second, on average over ten; a feed, an index
    /// or a sitemap counts as ten. Addresses of this machine are not limited; 0 limits none [default: 100]
    #[arg(long, value_name = "N", env = "DATELINE_WEB_REQUESTS_PER_SECOND_MAX", value_parser = number)]
    pub web_requests_per_second_max: Option<usize>,
    /// Believe the `X-Forwarded-For` of a reverse proxy that has this address, or is in this network such as 10.0.0.0/8:
    /// limits then count for each of its readers; can be repeated, with commas in the variable [default: none]
    #[arg(long, value_name = "NETWORK", env = "DATELINE_WEB_TRUSTED_PROXY", value_delimiter = ',')]
    pub web_trusted_proxy: Option<Vec<String>>,
    /// Maximum number of open connections to the pages [default: 10000]
    #[arg(long, value_name = "N", env = "DATELINE_WEB_CONNECTIONS_MAX", value_parser = number, hide_short_help = true)]
    pub web_connections_max: Option<usize>,
    /// Send traces to the OpenTelemetry collector at this URL, such as http://127.0.0.1:4317, over gRPC and without
    /// encryption [default: nowhere]
    #[arg(long, value_name = "URL", env = "DATELINE_OTLP_ENDPOINT")]
    pub otlp_endpoint: Option<String>,
    /// Sign checkpoints of the log with the private key in this file, made by `dateline key new`; can be repeated to
    /// replace a key by another, with commas in the variable. Other commands that open the archive honour the variable
    #[arg(long, value_name = "FILE", env = "DATELINE_LOG_KEY", value_delimiter = ',')]
    pub log_key: Option<Vec<PathBuf>>,
    /// Name the log in its checkpoints, such as example.org/news [default: dateline.invalid/ and the archive's id]
    #[arg(long, value_name = "NAME", env = "DATELINE_LOG_ORIGIN")]
    pub log_origin: Option<String>,
    /// Have this witness cosign the checkpoints: its URL, =, and its verifier key; can be repeated, with commas in the
    /// variable
    #[arg(long, value_name = "URL=KEY", env = "DATELINE_WITNESS", value_delimiter = ',')]
    pub witness: Option<Vec<String>>,
    /// Let the web pages of this origin call the server, such as `https://news.example`; can be repeated, with commas in the
    /// variable [default: none]
    #[arg(long, value_name = "ORIGIN", env = "DATELINE_ALLOW_ORIGIN", value_delimiter = ',')]
    pub allow_origin: Option<Vec<String>>,
    /// Let `dateline expunge` destroy texts, from this machine
    #[arg(long, env = "DATELINE_ALLOW_EXPUNGE", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub allow_expunge: Option<bool>,
    /// Let webhooks have addresses of this machine and of private networks, and without encryption
    #[arg(long, env = "DATELINE_WEBHOOK_ALLOW_PRIVATE", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub webhook_allow_private: Option<bool>,
    /// Accept writes after the clock has jumped ahead by more than a day; archive times then stay that far ahead
    #[arg(long, env = "DATELINE_ALLOW_CLOCK_JUMP", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", hide_short_help = true)]
    pub allow_clock_jump: Option<bool>,
    /// How long a shutdown waits for accepted writes; everything else gets 1.5 s [default: 30s]
    #[arg(long, value_name = "DURATION", env = "DATELINE_GRACE_PERIOD")]
    pub grace_period: Option<Period>,
    /// How long reads continue after a storage failure before the server exits [default: 30s]
    #[arg(long, value_name = "DURATION", env = "DATELINE_FAILED_GRACE_PERIOD")]
    pub failed_grace_period: Option<Period>,
    /// Which events to log, such as info or dateline=debug [default: info]
    #[arg(long, value_name = "FILTER", env = "DATELINE_LOG_FILTER")]
    pub log_filter: Option<String>,
    /// Format of the log lines [default: text]
    #[arg(long, value_name = "FORMAT", env = "DATELINE_LOG_FORMAT", value_enum)]
    pub log_format: Option<LogFormat>,
    /// Memory for the storage engine's cache, which may use up to 2.6 times as much [default: 64MiB]
    #[arg(long, value_name = "BYTES", env = "DATELINE_ENGINE_CACHE_BYTES")]
    pub engine_cache_bytes: Option<Bytes>,
    /// Memory for frequently read articles and contents [default: 64MiB]
    #[arg(long, value_name = "BYTES", env = "DATELINE_CACHE_BYTES")]
    pub cache_bytes: Option<Bytes>,
    /// Free disk space below which writes are rejected; other commands that open the archive honour the variable
    /// [default: 256MiB]
    #[arg(long, value_name = "BYTES", env = "DATELINE_FREE_SPACE_FLOOR_BYTES")]
    pub free_space_floor_bytes: Option<Bytes>,
    /// Maximum number of open connections; lower if the process may open fewer files [default: 10000]
    #[arg(long, value_name = "N", env = "DATELINE_CONNECTIONS_MAX", value_parser = number, hide_short_help = true)]
    pub connections_max: Option<usize>,
    /// Maximum number of open connections from one address [default: half of all]
    #[arg(long, value_name = "N", env = "DATELINE_CONNECTIONS_PER_PEER_MAX", value_parser = number, hide_short_help = true)]
    pub connections_per_peer_max: Option<usize>,
    /// Maximum number of concurrent calls on one connection [default: 1024]
    #[arg(long, value_name = "N", env = "DATELINE_CALLS_PER_CONNECTION_MAX", value_parser = number, hide_short_help = true)]
    pub calls_per_connection_max: Option<usize>,
    /// Maximum number of open change streams, over all connections [default: 1000]
    #[arg(long, value_name = "N", env = "DATELINE_SUBSCRIBERS_MAX", value_parser = number, hide_short_help = true)]
    pub subscribers_max: Option<usize>,
    /// Maximum number of open change streams from one address [default: a quarter of all]
    #[arg(long, value_name = "N", env = "DATELINE_SUBSCRIBERS_PER_PEER_MAX", value_parser = number, hide_short_help = true)]
    pub subscribers_per_peer_max: Option<usize>,
    /// Maximum size of an article's content [default: 1MiB]
    #[arg(long, value_name = "BYTES", env = "DATELINE_CONTENT_BYTES_MAX", hide_short_help = true)]
    pub content_bytes_max: Option<Bytes>,
    /// Maximum size of a kept original [default: 8MiB]
    #[arg(long, value_name = "BYTES", env = "DATELINE_ORIGINAL_BYTES_MAX", hide_short_help = true)]
    pub original_bytes_max: Option<Bytes>,
    /// Maximum length of a URL [default and maximum: 4KiB]
    #[arg(long, value_name = "BYTES", env = "DATELINE_URL_BYTES_MAX", hide_short_help = true)]
    pub url_bytes_max: Option<Bytes>,
    /// Maximum number of URLs in one request besides the canonical one [default: 16]
    #[arg(long, value_name = "N", env = "DATELINE_URLS_MAX", value_parser = number, hide_short_help = true)]
    pub urls_max: Option<usize>,
    /// Maximum number of observations in one atomic batch [default and maximum: 256]
    #[arg(long, value_name = "N", env = "DATELINE_BATCH_ITEMS_MAX", value_parser = number, hide_short_help = true)]
    pub batch_items_max: Option<usize>,
    /// Maximum size of one atomic batch [default: 16MiB]
    #[arg(long, value_name = "BYTES", env = "DATELINE_BATCH_BYTES_MAX", hide_short_help = true)]
    pub batch_bytes_max: Option<Bytes>,
    /// Maximum number of labels on one article [default: 64]
    #[arg(long, value_name = "N", env = "DATELINE_LABELS_MAX", value_parser = number, hide_short_help = true)]
    pub labels_max: Option<usize>,
    /// Maximum number of items on one page of a list [default: 1000]
    #[arg(long, value_name = "N", env = "DATELINE_PAGE_SIZE_MAX", value_parser = number, hide_short_help = true)]
    pub page_size_max: Option<usize>,
}

/// The format of the log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text for people, coloured on a terminal.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// An error in the settings.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The configuration file cannot be read.
    #[error("cannot read the configuration file {}: {source}", .path.display())]
    Unreadable {
        /// The path of the configuration file.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// The file is not valid TOML, or has an unknown key or a value of the wrong type.
    #[error("the configuration file {}, line {line}: {reason}", .path.display())]
    Malformed {
        /// The path of the configuration file.
        path: PathBuf,
        /// The line number, from 1.
        line: usize,
        /// What is wrong on that line.
        reason: String,
    },
    /// A setting has a value that is out of range or malformed.
    #[error("--{}: {reason}", setting.replace('_', "-"))]
    Invalid {
        /// The key of the setting, such as `listen`; the message names its flag.
        setting: &'static str,
        /// What is wrong and which values are accepted.
        reason: String,
    },
}

impl Settings {
    /// Reads settings from a TOML file. Values are checked by [`Self::addresses`] and [`Self::limits`], not here.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_path_buf(), source })?;
        toml::from_str(&text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            // The library names Rust's types.
            let reason = error.message().replace('\n', "; ").replace("expected usize", "expected a whole number");
            let reason = match text.lines().nth(line - 1).and_then(key_of) {
                Some(key) if !reason.contains(key) => format!("{key}: {reason}"),
                Some(_) | None => reason,
            };
            ConfigError::Malformed { path: path.to_path_buf(), line, reason }
        })
    }

    /// Merges two sources: a setting of `self` takes precedence over the same one of `other`.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            archive: self.archive.or(other.archive),
            listen: self.listen.or(other.listen),
            tls_cert: self.tls_cert.or(other.tls_cert),
            tls_key: self.tls_key.or(other.tls_key),
            tls_client_ca: self.tls_client_ca.or(other.tls_client_ca),
            no_tls: self.no_tls.or(other.no_tls),
            no_auth: self.no_auth.or(other.no_auth),
            metrics_listen: self.metrics_listen.or(other.metrics_listen),
            web_listen: self.web_listen.or(other.web_listen),
            web_url: self.web_url.or(other.web_url),
            web_index: self.web_index.or(other.web_index),
            web_tls_cert: self.web_tls_cert.or(other.web_tls_cert),
            web_tls_key: self.web_tls_key.or(other.web_tls_key),
            web_requests_per_second_max: self.web_requests_per_second_max.or(other.web_requests_per_second_max),
            web_trusted_proxy: self.web_trusted_proxy.or(other.web_trusted_proxy),
            web_connections_max: self.web_connections_max.or(other.web_connections_max),
            otlp_endpoint: self.otlp_endpoint.or(other.otlp_endpoint),
            log_key: self.log_key.or(other.log_key),
            allow_expunge: self.allow_expunge.or(other.allow_expunge),
            log_origin: self.log_origin.or(other.log_origin),
            witness: self.witness.or(other.witness),
            webhook_allow_private: self.webhook_allow_private.or(other.webhook_allow_private),
            allow_origin: self.allow_origin.or(other.allow_origin),
            allow_clock_jump: self.allow_clock_jump.or(other.allow_clock_jump),
            grace_period: self.grace_period.or(other.grace_period),
            failed_grace_period: self.failed_grace_period.or(other.failed_grace_period),
            log_filter: self.log_filter.or(other.log_filter),
            log_format: self.log_format.or(other.log_format),
            engine_cache_bytes: self.engine_cache_bytes.or(other.engine_cache_bytes),
            cache_bytes: self.cache_bytes.or(other.cache_bytes),
            free_space_floor_bytes: self.free_space_floor_bytes.or(other.free_space_floor_bytes),
            connections_max: self.connections_max.or(other.connections_max),
            connections_per_peer_max: self.connections_per_peer_max.or(other.connections_per_peer_max),
            calls_per_connection_max: self.calls_per_connection_max.or(other.calls_per_connection_max),
            subscribers_max: self.subscribers_max.or(other.subscribers_max),
            subscribers_per_peer_max: self.subscribers_per_peer_max.or(other.subscribers_per_peer_max),
            content_bytes_max: self.content_bytes_max.or(other.content_bytes_max),
            original_bytes_max: self.original_bytes_max.or(other.original_bytes_max),
            url_bytes_max: self.url_bytes_max.or(other.url_bytes_max),
            urls_max: self.urls_max.or(other.urls_max),
            batch_items_max: self.batch_items_max.or(other.batch_items_max),
            batch_bytes_max: self.batch_bytes_max.or(other.batch_bytes_max),
            labels_max: self.labels_max.or(other.labels_max),
            page_size_max: self.page_size_max.or(other.page_size_max),
        }
    }

    /// The settings that were given, by key. None of them is a secret: keys and rules are in files, and the settings have
    /// their paths. A value is the same in JSON as in TOML. Empty if a path is not UTF-8, which neither can hold.
    pub fn given(&self) -> serde_json::Map<String, serde_json::Value> {
        let Ok(serde_json::Value::Object(mut given)) = serde_json::to_value(self) else {
            return serde_json::Map::new();
        };
        given.retain(|_, value| !value.is_null());
        given
    }

    /// The addresses to listen on. One that other machines can reach requires encryption, or `no_tls`.
    pub fn addresses(&self) -> Result<Vec<SocketAddr>, ConfigError> {
        self.listen.iter().flatten().map(|listen| self.address(listen)).collect()
    }

    fn address(&self, listen: &str) -> Result<SocketAddr, ConfigError> {
        let invalid = |reason: String| ConfigError::Invalid { setting: "listen", reason };
        let address = socket_address("listen", listen)?;
        if is_loopback(address.ip()) || self.tls_cert.is_some() || self.no_tls == Some(true) {
            return Ok(address);
        }
        Err(invalid(format!(
            "other machines can reach {address}, and what they send and receive would not be encrypted; give a certificate with \
             --tls-cert and --tls-key, or pass --no-tls to allow that"
        )))
    }

    /// The address at which metrics are shown; `None` if they are not.
    pub fn metrics_address(&self) -> Result<Option<SocketAddr>, ConfigError> {
        self.metrics_listen.as_deref().map(|listen| socket_address("metrics_listen", listen)).transpose()
    }

    /// The address at which pages for readers are shown; `None` if they are not.
    pub fn web_address(&self) -> Result<Option<SocketAddr>, ConfigError> {
        self.web_listen.as_deref().map(|listen| socket_address("web_listen", listen)).transpose()
    }

    /// Where traces are sent; `None` if they are not.
    pub fn otlp_endpoint(&self) -> Result<Option<&str>, ConfigError> {
        let Some(endpoint) = self.otlp_endpoint.as_deref() else { return Ok(None) };
        match url::Url::parse(endpoint) {
            Ok(url) if url.scheme() == "http" && url.has_host() => Ok(Some(endpoint)),
            Ok(_) | Err(_) => Err(ConfigError::Invalid {
                setting: "otlp_endpoint",
                reason: format!("{endpoint:?} is not the URL of a collector, such as http://127.0.0.1:4317"),
            }),
        }
    }

    /// The limits on input, each checked against its range.
    pub fn limits(&self) -> Result<Limits, ConfigError> {
        if let Some(error) = self.limit_errors().next() {
            return Err(error);
        }
        let default = Limits::default();
        let size = |given, default| count(given).unwrap_or(default);
        Ok(Limits {
            content_bytes_max: size(self.content_bytes_max, default.content_bytes_max),
            original_bytes_max: size(self.original_bytes_max, default.original_bytes_max),
            url_bytes_max: size(self.url_bytes_max, default.url_bytes_max),
            urls_max: self.urls_max.unwrap_or(default.urls_max),
            batch_items_max: self.batch_items_max.unwrap_or(default.batch_items_max),
            batch_bytes_max: size(self.batch_bytes_max, default.batch_bytes_max),
            labels_max: self.labels_max.unwrap_or(default.labels_max),
            page_size_max: self.page_size_max.unwrap_or(default.page_size_max),
        })
    }

    /// Everything that is wrong with the values, as far as they say it themselves.
    pub fn errors(&self) -> Vec<ConfigError> {
        let listen = self.listen.iter().flatten().filter_map(|listen| self.address(listen).err());
        let others = [self.metrics_address().err(), self.web_address().err(), self.otlp_endpoint().err()];
        listen.chain(others.into_iter().flatten()).chain(self.limit_errors()).collect()
    }

    /// The least and the greatest value of the setting with this key, as a file gives them; `None` if any number will do,
    /// or if it is not a number.
    pub fn range(key: &str) -> Option<[String; 2]> {
        let (_, _, range) = Self::default().ranged().into_iter().find(|(setting, _, _)| *setting == key)?;
        Some([shown(key, *range.start()), shown(key, *range.end())])
    }

    fn limit_errors(&self) -> impl Iterator<Item = ConfigError> {
        self.ranged().into_iter().filter_map(|(setting, given, range)| {
            let value = given.filter(|given| !range.contains(given))?;
            let shown = |value: usize| shown(setting, value);
            let reason =
                format!("{} is not between {} and {}", shown(value), shown(*range.start()), shown(*range.end()));
            Some(ConfigError::Invalid { setting, reason })
        })
    }

    /// The settings that have a range: the key, the given value, and the values that are accepted.
    fn ranged(&self) -> [(&'static str, Option<usize>, RangeInclusive<usize>); 8] {
        let most = Limits::GREATEST;
        [
            ("content_bytes_max", count(self.content_bytes_max), 1..=most.content_bytes_max),
            ("original_bytes_max", count(self.original_bytes_max), 1..=most.original_bytes_max),
            ("url_bytes_max", count(self.url_bytes_max), 1..=most.url_bytes_max),
            ("urls_max", self.urls_max, 0..=most.urls_max),
            ("batch_items_max", self.batch_items_max, 1..=most.batch_items_max),
            ("batch_bytes_max", count(self.batch_bytes_max), 1..=most.batch_bytes_max),
            ("labels_max", self.labels_max, 0..=most.labels_max),
            ("page_size_max", self.page_size_max, 1..=most.page_size_max),
        ]
    }
}

/// The value of a setting, with a unit if it has one.
fn shown(setting: &str, value: usize) -> String {
    if setting.contains("bytes") { Bytes(value as u64).to_string() } else { value.to_string() }
}

/// The number of bytes. One that exceeds `usize` exceeds every limit, too.
fn count(bytes: Option<Bytes>) -> Option<usize> {
    bytes.map(|bytes| usize::try_from(bytes.0).unwrap_or(usize::MAX))
}

/// The key that a line of a TOML file sets.
fn key_of(line: &str) -> Option<&str> {
    let (key, _) = line.split_once('=')?;
    let is_part = |character: char| character.is_ascii_alphanumeric() || character == '_';
    Some(key.trim()).filter(|key| !key.is_empty() && key.chars().all(is_part))
}

fn socket_address(setting: &'static str, listen: &str) -> Result<SocketAddr, ConfigError> {
    let listen =
        listen.strip_prefix("localhost:").map_or_else(|| listen.to_owned(), |port| format!("127.0.0.1:{port}"));
    listen.parse().map_err(|_| ConfigError::Invalid {
        setting,
        reason: format!("{listen:?} is not an address with a port, such as {LISTEN_EXAMPLE} or [::1]:7411"),
    })
}

fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

/// Parses a number of things, such as connections.
fn number(text: &str) -> Result<usize, &'static str> {
    text.parse().map_err(|_| "expected a whole number")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn read(text: &str) -> Result<Settings, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("dateline.toml");
        std::fs::write(&path, text).unwrap();
        Settings::read(&path).map_err(|error| error.to_string().replace(dir.path().to_str().unwrap(), "…"))
    }

    #[test]
    fn a_file_is_read() {
        let settings = read(
            "archive = \"/srv/news\"\nlisten = [\"[::1]:0\"]\ngrace_period = \"1m 30s\"\nlog_format = \"json\"\n\
             content_bytes_max = \"1536KiB\"\nurl_bytes_max = 1024\n",
        );
        let settings = settings.unwrap();
        assert_eq!(settings.archive, Some(PathBuf::from("/srv/news")));
        assert_eq!(settings.addresses().unwrap(), ["[::1]:0".parse().unwrap()]);
        assert_eq!(settings.grace_period, Some(Period(Duration::from_secs(90))));
        assert_eq!(settings.log_format, Some(LogFormat::Json));
        let limits = settings.limits().unwrap();
        assert_eq!((limits.content_bytes_max, limits.url_bytes_max, limits.labels_max), (3 << 19, 1024, 64));
    }

    #[test]
    fn a_mistake_is_reported_with_its_line() {
        for (text, expected) in [
            ("listen = [\"[::1]:0\"]\nlisen = 1\n", "…/dateline.toml, line 2: unknown field `lisen`"),
            ("\ngrace_period = 30\n", "line 2: grace_period: \"30\" is not a duration; expected a value such as 500ms"),
            ("cache_bytes = \"1 MB\"\n", "line 1: cache_bytes: \"1 MB\" is not a number of bytes"),
            ("\nurls_max = \"many\"\n", "line 2: urls_max: invalid type: string \"many\", expected a whole number"),
            ("page_size_max = -3\n", "line 1: page_size_max: invalid value: integer `-3`, expected a whole number"),
            ("listen = [\n", "line 1: "),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(expected), "{text:?}: {error}");
        }
    }

    #[test]
    fn a_public_address_requires_encryption() {
        let listening =
            |listen: &str, no_tls| Settings { listen: Some(vec![listen.to_owned()]), no_tls, ..Settings::default() };
        for local in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "localhost:1", "[::ffff:127.0.0.1]:1"] {
            assert!(listening(local, None).addresses().is_ok(), "{local}");
        }
        for open in ["0.0.0.0:1", "[::]:1", "192.0.2.1:1"] {
            assert!(listening(open, Some(false)).addresses().unwrap_err().to_string().contains("--no-tls"), "{open}");
            assert!(listening(open, Some(true)).addresses().is_ok(), "{open}");
        }
        assert!(listening("7411", None).addresses().unwrap_err().to_string().contains("is not an address with a port"));
        assert_eq!(Settings::default().addresses().unwrap(), []);
    }

    #[test]
    fn limits_outside_their_range_are_rejected() {
        let settings = Settings { batch_items_max: Some(257), ..Settings::default() };
        assert_eq!(settings.limits().unwrap_err().to_string(), "--batch-items-max: 257 is not between 1 and 256");
        let settings = Settings { content_bytes_max: Some(Bytes(0)), ..Settings::default() };
        assert!(settings.limits().is_err());
    }

    #[test]
    fn the_log_shows_the_settings_that_were_given() {
        let shown = |settings: &Settings| serde_json::Value::Object(settings.given()).to_string();
        let settings = Settings {
            listen: Some(vec!["[::1]:0".to_owned()]),
            grace_period: Some(Period(Duration::from_millis(1_500))),
            cache_bytes: Some(Bytes(1 << 20)),
            ..Settings::default()
        };
        assert_eq!(shown(&settings), r#"{"cache_bytes":"1MiB","grace_period":"1.5s","listen":["[::1]:0"]}"#);
        assert_eq!(shown(&Settings::default()), "{}");
    }

    #[test]
    fn the_first_source_takes_precedence() {
        let flags = Settings { listen: Some(vec!["a".to_owned()]), ..Settings::default() };
        let file = Settings { listen: Some(vec!["b".to_owned()]), labels_max: Some(1), ..Settings::default() };
        let both = flags.or(file);
        assert_eq!((both.listen, both.labels_max), (Some(vec!["a".to_owned()]), Some(1)));
    }
}
