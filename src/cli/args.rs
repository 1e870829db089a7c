//! The root of the command line, the arguments that several commands share, and those of the short commands.

use std::path::PathBuf;

use clap::builder::Styles;
use clap::{Args, Parser, Subcommand, ValueEnum};

use super::article::ArticleRef;
use super::backup_args::{BackupArgs, RestoreArgs};
use super::export_args::ExportArgs;
use super::feed_args::{SubscriptionsArgs, WatchArgs};
use super::import_args::ImportArgs;
use super::times::{self, Moment, TimeEnd};
use super::verify::VerifyArgs;
use super::web_args::{FetchArgs, FollowArgs};
use crate::config::Settings;
use crate::model::{NameError, RevisionNumber, SourceId, Timestamp};
use crate::wire::pb;

/// A versioned archive of news articles
#[derive(Debug, Parser)]
#[command(name = "dateline", version, max_term_width = 100, styles = Styles::styled(), after_help = AFTER_HELP)]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) globals: Globals,
    #[command(subcommand)]
    pub(super) command: Command,
}

const AFTER_HELP: &str = "\
ARTICLE is source/article, a resource name (sources/…/articles/…) or a URL.
TIME is RFC 3339, a date (the end of that day in UTC; today means now), \"now\", \"yesterday\" or \"2 days ago\".
Exit status: 0 done, 1 failed, 2 usage, 3 not found, 4 conflict, 5 archive or server \
unreachable, 6 damaged data.";

/// The options that every command accepts.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(super) struct Globals {
    // Not clap's own `env`: with it, the environment variable could not give way to the other flag.
    /// Connect to the server at this URL, such as http://127.0.0.1:7411 [env: DATELINE_SERVER]
    #[arg(long, global = true, value_name = "URL", conflicts_with = "archive")]
    pub(super) server: Option<String>,
    /// Use the archive in this directory [env: DATELINE_ARCHIVE] [default: in the platform's data directory]
    #[arg(long, global = true, value_name = "DIR")]
    pub(super) archive: Option<PathBuf>,
    /// Wait up to this many seconds for another command that holds the archive
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 10)]
    pub(super) wait: u32,
    /// Print one JSON object per line, with proto3 JSON field names
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// Print errors only, and no notes, on standard error
    #[arg(long, short, global = true)]
    pub(super) quiet: bool,
    /// Choose when to use colour
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value_t = Color::Auto)]
    pub(super) color: Color,
    /// Wrap text at this many columns; 0 turns wrapping off [default: the terminal's width; piped text is not wrapped]
    #[arg(long, global = true, value_name = "COLUMNS")]
    pub(super) width: Option<u16>,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Color {
    /// If standard output is a terminal that supports it
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// The commands, in the order in which `--help` lists them.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Archive documents from files or URLs: web pages, text, Markdown, JSON-LD, ninjs or Dateline's own JSON
    Add(Box<AddArgs>),
    /// Archive the entries of syndication feeds (RSS, Atom, JSON Feed), once or repeatedly
    Follow(Box<FollowArgs>),
    /// Import a whole collection: JSON Lines, web archives (WARC) or the history of a git repository
    Import(Box<ImportArgs>),
    /// Show what an article says, or said at a given time
    Show(ShowArgs),
    /// List the revisions of an article
    Log(LogArgs),
    /// Show what changed between two states of an article, word by word
    Diff(DiffArgs),
    /// List articles or sources
    List(Box<ListArgs>),
    /// Record that the publisher took an article down; its history stays readable
    Withdraw(MarkArgs),
    /// Record that a withdrawn article is up again
    Reinstate(MarkArgs),
    /// Record an earlier revision's content again
    Rollback(RollbackArgs),
    /// Export articles: their whole history to one file, or each one as a document
    Export(Box<ExportArgs>),
    /// Watch the change feed, and print a line or run a command for each change
    Watch(Box<WatchArgs>),
    /// List, move or delete durable subscriptions to the change feed
    Subscriptions(SubscriptionsArgs),
    /// Back up the archive to a directory while it is in use; later runs save only what is new
    Backup(BackupArgs),
    /// Restore an archive from a backup, into the new directory that --archive names
    Restore(RestoreArgs),
    /// Read everything that is stored and check it against the log
    Verify(VerifyArgs),
    /// Show the archive's status
    Status,
    /// Serve the archive over gRPC
    Serve(Box<ServeArgs>),
    /// Print a completion script for a shell
    Completions {
        /// The shell to complete for
        shell: clap_complete::Shell,
    },
}

/// The options of every command that writes to an article.
#[derive(Clone, Debug, Args)]
pub(super) struct WriteArgs {
    /// Identify this request: repeating it with the same id has no further effect
    #[arg(long, value_name = "ID")]
    pub(super) request_id: Option<String>,
    /// Fail unless this is the article's newest revision
    #[arg(long, value_name = "N", value_parser = revision_number)]
    pub(super) if_revision: Option<RevisionNumber>,
    /// Report what would happen, and write nothing
    #[arg(long)]
    pub(super) dry_run: bool,
}

/// The arguments of `add`.
#[derive(Debug, Args)]
pub(super) struct AddArgs {
    /// The files and URLs to archive; - reads standard input
    #[arg(required = true, value_name = "FILE|URL")]
    pub(super) documents: Vec<String>,
    /// Assign the articles to this source, such as express-gazette [default: the source that the document states]
    #[arg(long, short, value_parser = source_id)]
    pub(super) source: Option<SourceId>,
    /// Use this article id within the source [default: found by URL, or derived from the URL or the headline]
    #[arg(long, short, value_name = "ID")]
    pub(super) article: Option<String>,
    /// Record the content as seen at this time [default: the time that the document states, or now]
    #[arg(long, value_name = "TIME", value_parser = instant)]
    pub(super) observed_at: Option<Timestamp>,
    /// Add a URL of the article; can be repeated
    #[arg(long, value_name = "URL")]
    pub(super) url: Vec<String>,
    /// Keep the document's bytes as the revision's original
    #[arg(long)]
    pub(super) keep_original: bool,
    /// Fail if the article exists
    #[arg(long, conflicts_with = "if_revision")]
    pub(super) if_new: bool,
    /// Add a label to the article; can be repeated
    #[arg(long)]
    pub(super) label: Vec<String>,
    /// Set the language, as a BCP 47 tag such as en-GB [default: the language that the document states]
    #[arg(long, value_name = "TAG")]
    pub(super) language: Option<String>,
    /// Read the documents in this format
    #[arg(long, value_enum, default_value_t = DocumentFormat::Auto)]
    pub(super) format: DocumentFormat,
    #[command(flatten)]
    pub(super) write: WriteArgs,
    #[command(flatten)]
    pub(super) fetch: FetchArgs,
    /// The bytes of standard input, if it is among the documents; read before the archive is opened.
    #[arg(skip)]
    pub(super) standard_input: Option<Result<Vec<u8>, String>>,
}

/// The formats that `add` reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum DocumentFormat {
    /// Detected from the file's extension and content
    Auto,
    /// A news page as extracted text
    Text,
    /// Markdown, with or without front matter
    Markdown,
    /// A web page; the first --url is the address it was fetched from
    Html,
    /// A schema.org NewsArticle or a related type, as JSON-LD
    NewsArticle,
    /// An IPTC ninjs item, version 1, 2 or 3
    Ninjs,
    /// The proto3 JSON of a dateline.v1.Content, Revision or Article
    Json,
}

/// The point of both time axes at which a command reads.
#[derive(Clone, Debug, Args)]
pub(super) struct AsOfArgs {
    /// Read what was in force at this time
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(super) at: Option<Moment>,
    /// Use only what the archive knew at this time
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(super) known_at: Option<Moment>,
}

impl AsOfArgs {
    /// The observe time to read at; `None` means the end of that axis.
    pub(super) fn at(&self) -> Option<Timestamp> {
        self.at.as_ref().map(|moment| moment.time)
    }

    /// The archive time to read at; `None` means the end of that axis.
    pub(super) fn known_at(&self) -> Option<Timestamp> {
        self.known_at.as_ref().map(|moment| moment.time)
    }
}

/// The arguments of `show`.
#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// The article to show
    #[arg(value_name = "ARTICLE")]
    pub(super) article: ArticleRef,
    #[command(flatten)]
    pub(super) as_of: AsOfArgs,
    /// Show this revision, whether or not it is in force
    #[arg(long, short, value_name = "N", value_parser = revision_number, conflicts_with = "at")]
    pub(super) revision: Option<RevisionNumber>,
    /// Write the bytes of the kept original, and nothing else
    #[arg(long, conflicts_with = "json")]
    pub(super) original: bool,
}

/// The arguments of `log`.
#[derive(Debug, Args)]
pub(super) struct LogArgs {
    /// The article whose revisions to list
    #[arg(value_name = "ARTICLE")]
    pub(super) article: ArticleRef,
    #[command(flatten)]
    pub(super) as_of: AsOfArgs,
    /// List the oldest revision first
    #[arg(long)]
    pub(super) oldest_first: bool,
    /// List at most this many revisions
    #[arg(long, short = 'n', value_name = "N")]
    pub(super) limit: Option<usize>,
}

/// One side of a comparison: a revision, or whatever was in force at a time.
#[derive(Clone, Copy, Debug)]
pub(super) enum State {
    /// The revision with this number.
    Revision(RevisionNumber),
    /// The revision in force at this time.
    At(Timestamp),
}

/// The arguments of `diff`.
#[derive(Debug, Args)]
pub(super) struct DiffArgs {
    /// The article to compare
    #[arg(value_name = "ARTICLE")]
    pub(super) article: ArticleRef,
    /// Compare from this state, a revision number or a time [default: what was in force before the later state]
    #[arg(long, value_name = "N|TIME", value_parser = state)]
    pub(super) from: Option<State>,
    /// Compare to this state, a revision number or a time [default: the newest]
    #[arg(long, value_name = "N|TIME", value_parser = state)]
    pub(super) to: Option<State>,
    /// Use only what the archive knew at this time
    #[arg(long, value_name = "TIME", value_parser = instant)]
    pub(super) known_at: Option<Timestamp>,
    /// Show unchanged paragraphs too
    #[arg(long)]
    pub(super) full: bool,
    /// Write an HTML page with the full text of both states: dateline diff … --html > page.html
    #[arg(long, conflicts_with_all = ["full", "json"])]
    pub(super) html: bool,
}

/// The options of `list` that select or order articles; `--sources` conflicts with each of them.
const LIST_OPTIONS: [&str; 13] = [
    "source",
    "state",
    "language",
    "label",
    "url_prefix",
    "published_from",
    "published_to",
    "observed_from",
    "observed_to",
    "at",
    "known_at",
    "sort",
    "limit",
];

/// Selects articles by attribute in `list`, `export` and `watch`. Different options are ANDed, the values of one are
/// ORed.
#[derive(Clone, Debug, Args)]
pub(super) struct FilterArgs {
    /// Select articles of this source; can be repeated
    #[arg(long, short, value_parser = source_id)]
    pub(super) source: Vec<SourceId>,
    /// Select articles in this state
    #[arg(long, value_enum)]
    pub(super) state: Option<ArticleState>,
    /// Select articles in this language, where en includes en-GB; can be repeated
    #[arg(long, value_name = "TAG")]
    pub(super) language: Vec<String>,
    /// Select articles with this label; can be repeated
    #[arg(long)]
    pub(super) label: Vec<String>,
    /// Select articles with a URL that begins with this one
    #[arg(long, value_name = "URL")]
    pub(super) url_prefix: Option<String>,
}

impl FilterArgs {
    /// The filter as a message, without the time ranges.
    pub(super) fn to_pb(&self) -> pb::ArticleFilter {
        let states = self.state.map(|state| match state {
            ArticleState::Live => pb::ArticleState::Live.into(),
            ArticleState::Withdrawn => pb::ArticleState::Withdrawn.into(),
        });
        pb::ArticleFilter {
            sources: self.source.iter().map(SourceId::to_string).collect(),
            states: states.into_iter().collect(),
            languages: self.language.clone(),
            labels: self.label.clone(),
            url_prefix: self.url_prefix.clone().unwrap_or_default(),
            ..pb::ArticleFilter::default()
        }
    }
}

/// Selects articles by time in `list` and `export`. Both ends of a range are included.
#[derive(Clone, Debug, Args)]
pub(super) struct RangeArgs {
    /// Select articles whose claimed publication time is at or after this time
    #[arg(long, value_name = "TIME", value_parser = first_moment)]
    pub(super) published_from: Option<Moment>,
    /// Select articles whose claimed publication time is at or before this time
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(super) published_to: Option<Moment>,
    /// Select articles whose revision in force took effect at or after this time
    #[arg(long, value_name = "TIME", value_parser = first_moment)]
    pub(super) observed_from: Option<Moment>,
    /// Select articles whose revision in force took effect at or before this time
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(super) observed_to: Option<Moment>,
}

/// The arguments of `list`.
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// List sources instead of articles
    #[arg(long, conflicts_with_all = LIST_OPTIONS)]
    pub(super) sources: bool,
    #[command(flatten)]
    pub(super) filter: FilterArgs,
    #[command(flatten)]
    pub(super) ranges: RangeArgs,
    #[command(flatten)]
    pub(super) as_of: AsOfArgs,
    /// List articles in this order
    #[arg(long, value_enum, default_value_t = ListOrder::Name)]
    pub(super) sort: ListOrder,
    /// List at most this many articles
    #[arg(long, short = 'n', value_name = "N")]
    pub(super) limit: Option<usize>,
}

/// The states of an article.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ArticleState {
    /// Not taken down
    Live,
    /// Taken down by the publisher
    Withdrawn,
}

/// The orders in which articles are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ListOrder {
    /// By name
    Name,
    /// Most recently changed first
    Updated,
}

/// The arguments of `withdraw` and `reinstate`.
#[derive(Debug, Args)]
pub(super) struct MarkArgs {
    /// The article to withdraw or reinstate
    #[arg(value_name = "ARTICLE")]
    pub(super) article: ArticleRef,
    /// Take effect at this time [default: now]
    #[arg(long, value_name = "TIME", value_parser = instant)]
    pub(super) observed_at: Option<Timestamp>,
    /// Record this reason
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub(super) reason: String,
    #[command(flatten)]
    pub(super) write: WriteArgs,
}

/// The arguments of `rollback`.
#[derive(Debug, Args)]
pub(super) struct RollbackArgs {
    /// The article to roll back
    #[arg(value_name = "ARTICLE")]
    pub(super) article: ArticleRef,
    /// Record the content of this revision again
    #[arg(long, value_name = "N", value_parser = revision_number)]
    pub(super) to: RevisionNumber,
    /// Take effect at this time [default: now]
    #[arg(long, value_name = "TIME", value_parser = instant)]
    pub(super) observed_at: Option<Timestamp>,
    #[command(flatten)]
    pub(super) write: WriteArgs,
}

/// The arguments of `serve`.
#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// Read settings from this TOML file; flags and environment variables override it
    #[arg(long, value_name = "FILE", env = "DATELINE_CONFIG")]
    pub(super) config: Option<PathBuf>,
    #[command(flatten)]
    pub(super) settings: Settings,
}

/// Parses `express-gazette` or `sources/express-gazette`.
pub(super) fn source_id(text: &str) -> Result<SourceId, NameError> {
    SourceId::parse(text.strip_prefix("sources/").unwrap_or(text))
}

pub(super) fn revision_number(text: &str) -> Result<RevisionNumber, &'static str> {
    text.parse().ok().and_then(RevisionNumber::new).ok_or("expected a revision number, from 1")
}

pub(super) fn instant(text: &str) -> Result<Timestamp, String> {
    times::parse(text, times::now(), TimeEnd::Last)
}

fn moment(text: &str) -> Result<Moment, String> {
    Moment::parse(text, TimeEnd::Last)
}

fn first_moment(text: &str) -> Result<Moment, String> {
    Moment::parse(text, TimeEnd::First)
}

pub(super) fn start(text: &str) -> Result<Timestamp, String> {
    times::parse(text, times::now(), TimeEnd::First)
}

/// Parses a side of a comparison. Digits alone are a revision number, since no format of times has only digits.
fn state(text: &str) -> Result<State, String> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(State::Revision(revision_number(text)?));
    }
    instant(text).map(State::At)
}
