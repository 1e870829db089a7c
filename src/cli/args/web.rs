//! The arguments of commands that fetch from the web: the shared fetch options, and `follow`.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use http::HeaderValue;
use url::Url;

use super::values;
use crate::config::Period;
use crate::fetch::{Fetcher, Options};
use crate::model::SourceId;

/// How pages are fetched.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Fetching")]
pub(in crate::cli) struct FetchArgs {
    /// Allow URLs on private and loopback addresses
    #[arg(long)]
    pub(in crate::cli) allow_private: bool,
    /// Fetch URLs that robots.txt disallows
    #[arg(long)]
    pub(in crate::cli) ignore_robots: bool,
    /// Give up on a URL after this time
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = timeout)]
    pub(in crate::cli) timeout: Duration,
    /// Fetch at most this many URLs at once, from 1 to 64, and at most two of them from one host
    #[arg(long, value_name = "N", default_value = "8", value_parser = values::jobs)]
    pub(in crate::cli) jobs: NonZeroUsize,
    /// Count an archived article as gone once this many looks in a row, from 1 to 1000, found its page missing
    /// [default: 3, or 1 if the site says 410 Gone]
    #[arg(long, value_name = "N", value_parser = values::gone_after())]
    pub(in crate::cli) gone_after: Option<u32>,
    /// Send this User-Agent header to sites [default: dateline and its version]
    #[arg(long, value_name = "NAME", value_parser = user_agent)]
    pub(in crate::cli) user_agent: Option<HeaderValue>,
}

impl FetchArgs {
    /// A fetcher with these options.
    pub(in crate::cli) fn fetcher(&self) -> Fetcher {
        let default = Options::default();
        Fetcher::new(Options {
            user_agent: self.user_agent.clone().unwrap_or(default.user_agent),
            timeout: self.timeout,
            allow_private: self.allow_private,
            obey_robots: !self.ignore_robots,
            ..default
        })
    }
}

/// The arguments of `follow`.
#[derive(Debug, Args)]
pub(in crate::cli) struct FollowArgs {
    /// The URLs of the feeds: RSS, Atom or JSON Feed
    #[arg(required = true, value_name = "URL", value_parser = web_address)]
    pub(in crate::cli) feeds: Vec<Url>,
    /// Archive the pages that the entries link to, instead of the text in the feed
    #[arg(long)]
    pub(in crate::cli) pages: bool,
    /// Keep running, and fetch the feeds again at this interval [default: fetch once]
    #[arg(long, value_name = "DURATION", value_parser = interval)]
    pub(in crate::cli) every: Option<Duration>,
    /// Assign the articles to this source, such as express-gazette [default: the source that the page or the feed
    /// states]
    #[arg(long, short, value_parser = values::source_id)]
    pub(in crate::cli) source: Option<SourceId>,
    /// Add a label to the articles; can be repeated
    #[arg(long, value_parser = values::label)]
    pub(in crate::cli) label: Vec<String>,
    /// Do not keep the pages' bytes as the revisions' originals
    #[arg(long, requires = "pages")]
    pub(in crate::cli) no_keep_original: bool,
    /// Report what would be archived, and write nothing
    #[arg(long)]
    pub(in crate::cli) dry_run: bool,
    /// Remember which entries are archived in files in this directory [default: in the platform's state directory]
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) state_dir: Option<PathBuf>,
    #[command(flatten)]
    pub(in crate::cli) fetch: FetchArgs,
}

/// Of which documents the bytes are kept as the revisions' originals. Those of pages from the web are evidence, and those
/// of a file are still in the file.
#[derive(Clone, Copy, Debug, Args)]
pub(in crate::cli) struct OriginalArgs {
    /// Keep the bytes of files as the revisions' originals, as those of web pages are kept
    #[arg(long, conflicts_with = "no_keep_original")]
    keep_original: bool,
    /// Do not keep the bytes of web pages
    #[arg(long)]
    no_keep_original: bool,
}

impl OriginalArgs {
    /// Whether the bytes of web pages are kept.
    pub(in crate::cli) fn of_pages(self) -> bool {
        !self.no_keep_original
    }

    /// Whether the bytes of files are kept.
    pub(in crate::cli) fn of_files(self) -> bool {
        self.keep_original
    }

    /// What was chosen; `None` for the default.
    pub(in crate::cli) fn choice(self) -> Option<bool> {
        match self {
            Self { keep_original: true, .. } => Some(true),
            Self { no_keep_original: true, .. } => Some(false),
            Self { .. } => None,
        }
    }
}

/// Whether an argument is a URL to fetch, and not the path of a file.
pub(in crate::cli) fn is_address(text: &str) -> bool {
    let scheme = text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    scheme.is_some_and(|scheme| matches!(scheme.as_str(), "http" | "https"))
}

/// Parses an `http` or `https` URL.
pub(in crate::cli) fn web_address(text: &str) -> Result<Url, String> {
    if !is_address(text) {
        return Err("expected a URL that begins with http:// or https://".to_owned());
    }
    Url::parse(text).map_err(|error| error.to_string())
}

fn period(text: &str) -> Result<Duration, String> {
    text.parse::<Period>().map(|period| period.0)
}

/// Parses a time limit, which is not zero.
fn timeout(text: &str) -> Result<Duration, String> {
    let period = period(text)?;
    if period.is_zero() { Err("the time must be longer than 0".to_owned()) } else { Ok(period) }
}

/// Parses the value of the User-Agent header.
fn user_agent(text: &str) -> Result<HeaderValue, &'static str> {
    if text.trim().is_empty() {
        return Err("the name is empty");
    }
    HeaderValue::from_str(text).map_err(|_| "contains a line break or another character that a header cannot have")
}

/// Parses the interval of `--every`, which is at least one second.
fn interval(text: &str) -> Result<Duration, String> {
    let period = period(text)?;
    if period < Duration::from_secs(1) { Err("the interval must be at least 1 second".to_owned()) } else { Ok(period) }
}
