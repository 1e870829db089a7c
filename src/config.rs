//! What `serve` can be told: by flags, by the environment, by a TOML file, in that order of precedence.
//!
//! A setting has one name: the key `content_bytes_max` is the flag `--content-bytes-max` and the variable
//! `DATELINE_CONTENT_BYTES_MAX`. A file's key that is not known is refused with its place, since a misspelt limit that
//! is silently not there is worse than a server that does not start.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

use crate::model::Limits;

/// Where a server listens unless it is told otherwise.
pub const LISTEN_DEFAULT: &str = "127.0.0.1:7411";

/// Settings as they were given: what is not given is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[command(next_help_heading = "Settings")]
pub struct Settings {
    /// The archive's directory, in a file only: the command line has its own option for it.
    #[arg(skip)]
    pub archive: Option<PathBuf>,
    /// Listen on this address; port 0 takes a free one [default: 127.0.0.1:7411]
    #[arg(long, value_name = "ADDRESS", env = "DATELINE_LISTEN")]
    pub listen: Option<String>,
    /// Listen on an address that others can reach, though nothing is encrypted and nobody asked who they are
    #[arg(long, env = "DATELINE_INSECURE", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub insecure: Option<bool>,
    /// Take writes after the clock has jumped ahead by more than a day, and keep archive times that far ahead
    #[arg(long, env = "DATELINE_ALLOW_CLOCK_JUMP", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", hide_short_help = true)]
    pub allow_clock_jump: Option<bool>,
    /// How long a shutdown waits for writes that were accepted; all else has 1.5 s [default: 30s]
    #[arg(long, value_name = "TIME", env = "DATELINE_GRACE_PERIOD")]
    pub grace_period: Option<Period>,
    /// How long reads go on after the storage failed, before the server ends [default: 30s]
    #[arg(long, value_name = "TIME", env = "DATELINE_FAILED_GRACE_PERIOD")]
    pub failed_grace_period: Option<Period>,
    /// What is logged, such as info or dateline=debug [default: info]
    #[arg(long, value_name = "FILTER", env = "DATELINE_LOG_FILTER")]
    pub log_filter: Option<String>,
    /// The form of the log's lines [default: text]
    #[arg(long, value_name = "FORMAT", env = "DATELINE_LOG_FORMAT", value_enum)]
    pub log_format: Option<LogFormat>,
    /// Memory for the storage engine's cache, which overshoots it up to 2.6 times [default: 64MiB]
    #[arg(long, value_name = "BYTES", env = "DATELINE_ENGINE_CACHE_BYTES")]
    pub engine_cache_bytes: Option<Bytes>,
    /// Memory for articles and contents that are read often [default: 64MiB]
    #[arg(long, value_name = "BYTES", env = "DATELINE_CACHE_BYTES")]
    pub cache_bytes: Option<Bytes>,
    /// Writes stop when less than this is free on the disk; other commands that open the archive heed the variable
    /// [default: 256MiB]
    #[arg(long, value_name = "BYTES", env = "DATELINE_FREE_SPACE_FLOOR_BYTES")]
    pub free_space_floor_bytes: Option<Bytes>,
    /// Connections open at once; fewer where the process may have fewer file descriptors [default: 10000]
    #[arg(long, value_name = "N", env = "DATELINE_CONNECTIONS_MAX", hide_short_help = true)]
    pub connections_max: Option<usize>,
    /// Connections from one address open at once [default: half of all]
    #[arg(long, value_name = "N", env = "DATELINE_CONNECTIONS_PER_PEER_MAX", hide_short_help = true)]
    pub connections_per_peer_max: Option<usize>,
    /// Calls at once on one connection [default: 1024]
    #[arg(long, value_name = "N", env = "DATELINE_CALLS_PER_CONNECTION_MAX", hide_short_help = true)]
    pub calls_per_connection_max: Option<usize>,
    /// Streams of changes open at once, over all connections [default: 1000]
    #[arg(long, value_name = "N", env = "DATELINE_SUBSCRIBERS_MAX", hide_short_help = true)]
    pub subscribers_max: Option<usize>,
    /// Streams of changes from one address open at once [default: a quarter of all]
    #[arg(long, value_name = "N", env = "DATELINE_SUBSCRIBERS_PER_PEER_MAX", hide_short_help = true)]
    pub subscribers_per_peer_max: Option<usize>,
    /// The largest content of an article [default: 1MiB]
    #[arg(long, value_name = "BYTES", env = "DATELINE_CONTENT_BYTES_MAX", hide_short_help = true)]
    pub content_bytes_max: Option<Bytes>,
    /// The largest original that is kept [default: 8MiB]
    #[arg(long, value_name = "BYTES", env = "DATELINE_ORIGINAL_BYTES_MAX", hide_short_help = true)]
    pub original_bytes_max: Option<Bytes>,
    /// The longest URL [default, and most: 4KiB]
    #[arg(long, value_name = "BYTES", env = "DATELINE_URL_BYTES_MAX", hide_short_help = true)]
    pub url_bytes_max: Option<Bytes>,
    /// URLs of one request, beside the canonical one [default: 16]
    #[arg(long, value_name = "N", env = "DATELINE_URLS_MAX", hide_short_help = true)]
    pub urls_max: Option<usize>,
    /// Observations in one atomic batch [default, and most: 256]
    #[arg(long, value_name = "N", env = "DATELINE_BATCH_ITEMS_MAX", hide_short_help = true)]
    pub batch_items_max: Option<usize>,
    /// Bytes in one atomic batch [default: 16MiB]
    #[arg(long, value_name = "BYTES", env = "DATELINE_BATCH_BYTES_MAX", hide_short_help = true)]
    pub batch_bytes_max: Option<Bytes>,
    /// Labels of one article [default: 64]
    #[arg(long, value_name = "N", env = "DATELINE_LABELS_MAX", hide_short_help = true)]
    pub labels_max: Option<usize>,
    /// Items of one page of a list [default: 1000]
    #[arg(long, value_name = "N", env = "DATELINE_PAGE_SIZE_MAX", hide_short_help = true)]
    pub page_size_max: Option<usize>,
}

/// The form of the log's lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Why settings were refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("the configuration file {} can't be read: {source}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not what it should be.
    #[error("the configuration file {}, line {line}: {reason}", .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A setting has a value that can't be.
    #[error("{setting}: {reason}")]
    Invalid {
        /// The setting's key.
        setting: &'static str,
        /// What is wrong, and what would be right.
        reason: String,
    },
}

impl Settings {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_path_buf(), source })?;
        toml::from_str(&text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            ConfigError::Malformed { path: path.to_path_buf(), line, reason: error.message().replace('\n', "; ") }
        })
    }

    /// These settings, and where they say nothing, those of `other`.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            archive: self.archive.or(other.archive),
            listen: self.listen.or(other.listen),
            insecure: self.insecure.or(other.insecure),
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

    /// The address to listen on. Until there is encryption, one that other machines can reach must be asked for.
    pub fn address(&self) -> Result<SocketAddr, ConfigError> {
        let invalid = |reason: String| ConfigError::Invalid { setting: "listen", reason };
        let listen = self.listen.as_deref().unwrap_or(LISTEN_DEFAULT);
        let listen =
            listen.strip_prefix("localhost:").map_or_else(|| listen.to_owned(), |port| format!("127.0.0.1:{port}"));
        let address: SocketAddr = listen.parse().map_err(|_| {
            invalid(format!("{listen:?} is no address and port, such as {LISTEN_DEFAULT} or [::1]:7411"))
        })?;
        if is_loopback(address.ip()) || self.insecure == Some(true) {
            return Ok(address);
        }
        Err(invalid(format!(
            "{address} can be reached from other machines, and this server neither encrypts nor asks who calls; say \
             --insecure if that is meant"
        )))
    }

    /// The limits on input.
    pub fn limits(&self) -> Result<Limits, ConfigError> {
        let default = Limits::default();
        Ok(Limits {
            content_bytes_max: bytes(
                "content_bytes_max",
                self.content_bytes_max,
                default.content_bytes_max,
                Limits::CONTENT_BYTES_CEILING,
            )?,
            original_bytes_max: bytes(
                "original_bytes_max",
                self.original_bytes_max,
                default.original_bytes_max,
                256 << 20,
            )?,
            url_bytes_max: bytes("url_bytes_max", self.url_bytes_max, default.url_bytes_max, 4 << 10)?,
            urls_max: within("urls_max", self.urls_max, default.urls_max, 0, 256)?,
            batch_items_max: within(
                "batch_items_max",
                self.batch_items_max,
                default.batch_items_max,
                1,
                Limits::COMMIT_CHANGES_MAX,
            )?,
            batch_bytes_max: bytes("batch_bytes_max", self.batch_bytes_max, default.batch_bytes_max, 256 << 20)?,
            labels_max: within("labels_max", self.labels_max, default.labels_max, 0, 1_024)?,
            page_size_max: within("page_size_max", self.page_size_max, default.page_size_max, 1, 10_000)?,
        })
    }
}

fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

fn bytes(setting: &'static str, given: Option<Bytes>, default: usize, most: usize) -> Result<usize, ConfigError> {
    // What is over the address space is over any limit, too.
    let given = given.map(|bytes| usize::try_from(bytes.0).unwrap_or(usize::MAX));
    within(setting, given, default, 1, most)
}

fn within(
    setting: &'static str,
    given: Option<usize>,
    default: usize,
    least: usize,
    most: usize,
) -> Result<usize, ConfigError> {
    let value = given.unwrap_or(default);
    if (least..=most).contains(&value) {
        return Ok(value);
    }
    Err(ConfigError::Invalid { setting, reason: format!("{value} is not within {least} and {most}") })
}

/// A number of bytes: `1048576`, `512KiB`, `64MiB` or `2GiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes(pub u64);

impl FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wanted = || format!("{text:?} is no number of bytes, such as 1048576, 512KiB, 64MiB or 2GiB");
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == ' ');
        let shift = match text.get(digits.len()..).unwrap_or_default().trim() {
            "" | "B" => 0,
            "KiB" => 10,
            "MiB" => 20,
            "GiB" => 30,
            _ => return Err(wanted()),
        };
        let number: u64 = digits.parse().map_err(|_| wanted())?;
        number.checked_mul(1 << shift).map(Self).ok_or_else(wanted)
    }
}

/// A length of time: `30s`, `2m` or `1h 30m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period(pub Duration);

impl FromStr for Period {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let length = text.parse::<jiff::SignedDuration>().ok().and_then(|length| Duration::try_from(length).ok());
        length.map(Self).ok_or_else(|| format!("{text:?} is no length of time, such as 500ms, 30s or 2m"))
    }
}

/// Reads a value that a file may give as text, or as a number where that is enough.
struct Text<T>(std::marker::PhantomData<T>, &'static str);

impl<T: FromStr<Err = String>> Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.1)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Text(std::marker::PhantomData, "a number of bytes, such as 1048576 or \"64MiB\""))
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Text(std::marker::PhantomData, "a length of time, such as \"30s\""))
    }
}

#[cfg(test)]
mod tests {
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
            "archive = \"/srv/news\"\nlisten = \"[::1]:0\"\ngrace_period = \"1m 30s\"\nlog_format = \"json\"\n\
             content_bytes_max = \"1536KiB\"\nurl_bytes_max = 1024\n",
        );
        let settings = settings.unwrap();
        assert_eq!(settings.archive, Some(PathBuf::from("/srv/news")));
        assert_eq!(settings.address().unwrap().to_string(), "[::1]:0");
        assert_eq!(settings.grace_period, Some(Period(Duration::from_secs(90))));
        assert_eq!(settings.log_format, Some(LogFormat::Json));
        let limits = settings.limits().unwrap();
        assert_eq!((limits.content_bytes_max, limits.url_bytes_max, limits.labels_max), (3 << 19, 1024, 64));
    }

    #[test]
    fn a_mistake_is_told_with_its_place() {
        for (text, expected) in [
            ("listen = \"[::1]:0\"\nlisen = 1\n", "…/dateline.toml, line 2: unknown field `lisen`"),
            ("\ngrace_period = 30\n", "line 2: \"30\" is no length of time, such as 500ms, 30s or 2m"),
            ("cache_bytes = \"1 MB\"\n", "line 1: \"1 MB\" is no number of bytes"),
            ("listen = [\n", "line 1: "),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(expected), "{text:?}: {error}");
        }
    }

    #[test]
    fn what_others_can_reach_must_be_asked_for() {
        let listening =
            |listen: &str, insecure| Settings { listen: Some(listen.to_owned()), insecure, ..Settings::default() };
        for local in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "localhost:1", "[::ffff:127.0.0.1]:1"] {
            assert!(listening(local, None).address().is_ok(), "{local}");
        }
        for open in ["0.0.0.0:1", "[::]:1", "192.0.2.1:1"] {
            assert!(listening(open, Some(false)).address().unwrap_err().to_string().contains("--insecure"), "{open}");
            assert!(listening(open, Some(true)).address().is_ok(), "{open}");
        }
        assert!(listening("7411", None).address().unwrap_err().to_string().contains("is no address and port"));
        assert_eq!(Settings::default().address().unwrap().to_string(), LISTEN_DEFAULT);
    }

    #[test]
    fn limits_have_limits() {
        let settings = Settings { batch_items_max: Some(257), ..Settings::default() };
        assert_eq!(settings.limits().unwrap_err().to_string(), "batch_items_max: 257 is not within 1 and 256");
        let settings = Settings { content_bytes_max: Some(Bytes(0)), ..Settings::default() };
        assert!(settings.limits().is_err());
    }

    #[test]
    fn what_comes_first_wins() {
        let flags = Settings { listen: Some("a".to_owned()), ..Settings::default() };
        let file = Settings { listen: Some("b".to_owned()), labels_max: Some(1), ..Settings::default() };
        let both = flags.or(file);
        assert_eq!((both.listen.as_deref(), both.labels_max), (Some("a"), Some(1)));
    }
}
