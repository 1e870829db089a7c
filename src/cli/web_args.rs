//! The arguments of what fetches from the web.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use http::HeaderValue;
use url::Url;

use crate::config::Period;
use crate::model::SourceId;

/// How pages are fetched.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Fetching")]
pub(super) struct FetchArgs {
    /// Fetch from private and loopback addresses too
    #[arg(long)]
    pub(super) allow_private: bool,
    /// Fetch what robots.txt asks not to fetch
    #[arg(long)]
    pub(super) ignore_robots: bool,
    /// How long one address may take
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = period)]
    pub(super) timeout: Duration,
    /// How many addresses are fetched at once; of one host, two at most
    #[arg(long, value_name = "N", default_value = "8")]
    pub(super) at_once: NonZeroUsize,
    /// Say who fetches, in the User-Agent header [default: dateline with its version]
    #[arg(long, value_name = "NAME")]
    pub(super) user_agent: Option<HeaderValue>,
}

/// The arguments of `follow`.
#[derive(Debug, Args)]
pub(super) struct FollowArgs {
    /// The feeds: RSS, Atom or JSON Feed
    #[arg(required = true, value_name = "URL", value_parser = web_address)]
    pub(super) feeds: Vec<Url>,
    /// Archive the pages that the entries lead to, and not what the feed says of them
    #[arg(long)]
    pub(super) pages: bool,
    /// Go on, and look at the feeds again after so long [default: look once]
    #[arg(long, value_name = "TIME", value_parser = interval)]
    pub(super) every: Option<Duration>,
    /// The publication, such as express-gazette [default: what the page or the feed says]
    #[arg(long, short, value_parser = super::args::source_id)]
    pub(super) source: Option<SourceId>,
    /// A label for the articles; can be repeated
    #[arg(long)]
    pub(super) label: Vec<String>,
    /// Keep the pages' bytes with the revisions
    #[arg(long, requires = "pages")]
    pub(super) keep_original: bool,
    /// Say what would be archived, and write nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Remember in this folder what was archived [default: in the platform's folder for state]
    #[arg(long, value_name = "DIR")]
    pub(super) memory: Option<PathBuf>,
    #[command(flatten)]
    pub(super) fetch: FetchArgs,
}

/// Whether an argument is an address of the web, and not a file.
pub(super) fn is_address(text: &str) -> bool {
    let scheme = text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    scheme.is_some_and(|scheme| matches!(scheme.as_str(), "http" | "https"))
}

/// An address of the web.
pub(super) fn web_address(text: &str) -> Result<Url, String> {
    if !is_address(text) {
        return Err("an address begins with http:// or https://".to_owned());
    }
    Url::parse(text).map_err(|error| error.to_string())
}

fn period(text: &str) -> Result<Duration, String> {
    text.parse::<Period>().map(|period| period.0)
}

/// Feeds are not asked more often than once a second.
fn interval(text: &str) -> Result<Duration, String> {
    let period = period(text)?;
    if period < Duration::from_secs(1) { Err("once a second is as often as can be".to_owned()) } else { Ok(period) }
}
