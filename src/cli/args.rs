//! The arguments of each command.

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

/// An archive of articles that never forgets what a page said.
#[derive(Debug, Parser)]
#[command(name = "dateline", version, max_term_width = 100, styles = Styles::styled(), after_help = AFTER_HELP)]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) globals: Globals,
    #[command(subcommand)]
    pub(super) command: Command,
}

const AFTER_HELP: &str = "\
ARTICLE is source/article, a resource name (sources/…/articles/…), or a URL.
TIME is RFC 3339, a date (its end, in UTC; today: now), \"now\", \"yesterday\", or \"2 days ago\".
Exit status: 0 done, 1 failed, 2 usage, 3 not found, 4 conflict, 5 the archive or server can't be \
reached, 6 damaged data.";

/// What every command takes.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(super) struct Globals {
    // Not clap's own `env`: there the environment could not give way to the other flag.
    /// Talk to the server at this URL, such as http://127.0.0.1:7411 [env: DATELINE_SERVER]
    #[arg(long, global = true, value_name = "URL", conflicts_with = "archive")]
    pub(super) server: Option<String>,
    /// Open the archive in this directory [env: DATELINE_ARCHIVE] [default: in the platform's data directory]
    #[arg(long, global = true, value_name = "DIR")]
    pub(super) archive: Option<PathBuf>,
    /// Wait so many seconds for another command that holds the archive
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 10)]
    pub(super) wait: u32,
    /// Print one JSON object a line, with proto3 JSON names
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// Print no notes on standard error, only errors
    #[arg(long, short, global = true)]
    pub(super) quiet: bool,
    /// When to use colour
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value_t = Color::Auto)]
    pub(super) color: Color,
    /// Wrap text at this many columns; 0 doesn't [default: the terminal's width; piped text is not wrapped]
    #[arg(long, global = true, value_name = "COLUMNS")]
    pub(super) width: Option<u16>,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Color {
    /// On a terminal that can show it
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Archive documents: pages, text, Markdown, JSON-LD, ninjs or our own JSON, and what is at an address
    Add(Box<AddArgs>),
    /// Archive what feeds have, once or again and again
    Follow(Box<FollowArgs>),
    /// Archive a whole collection: JSON Lines, web archives (WARC), or the history in a git repository
    Import(Box<ImportArgs>),
    /// Show what an article says, or said
    Show(ShowArgs),
    /// List an article's revisions
    Log(LogArgs),
    /// Show what changed between two states of an article, word by word
    Diff(DiffArgs),
    /// List articles, or sources
    List(Box<ListArgs>),
    /// Mark an article as taken down by its publisher; its history stays readable
    Withdraw(MarkArgs),
    /// Mark a withdrawn article as up again
    Reinstate(MarkArgs),
    /// Publish an earlier revision's content again
    Rollback(RollbackArgs),
    /// Take articles out: all of their history to one file, or each as a document
    Export(Box<ExportArgs>),
    /// Follow what is archived: a line for each change
    Watch(Box<WatchArgs>),
    /// List, move or delete the places that consumers of changes have in the archive
    Subscriptions(SubscriptionsArgs),
    /// Save the archive, while it is in use, to a folder; what is new since the last time, where there was one
    Backup(BackupArgs),
    /// Make an archive anew from a backup, in the new directory that --archive names
    Restore(RestoreArgs),
    /// Read everything again, and hold it against what the log says
    Verify(VerifyArgs),
    /// Tell how the archive is
    Status,
    /// Serve the archive over gRPC
    Serve(Box<ServeArgs>),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// What every writing command takes.
#[derive(Clone, Debug, Args)]
pub(super) struct WriteArgs {
    /// An id for this request: repeating the request with it changes nothing
    #[arg(long, value_name = "ID")]
    pub(super) request_id: Option<String>,
    /// Fail unless the article's newest revision is this
    #[arg(long, value_name = "N", value_parser = revision_number)]
    pub(super) if_revision: Option<RevisionNumber>,
    /// Say what would happen, and write nothing
    #[arg(long)]
    pub(super) dry_run: bool,
}

/// The arguments of `add`.
#[derive(Debug, Args)]
pub(super) struct AddArgs {
    /// The documents: files, - for standard input, and addresses of the web
    #[arg(required = true, value_name = "FILE|URL")]
    pub(super) documents: Vec<String>,
    /// The publication, such as express-gazette [default: what the document says]
    #[arg(long, short, value_parser = source_id)]
    pub(super) source: Option<SourceId>,
    /// The article's id within its source [default: found by URL, or derived from URL or headline]
    #[arg(long, short, value_name = "ID")]
    pub(super) article: Option<String>,
    /// When the content was seen live [default: what the document says, or now]
    #[arg(long, value_name = "TIME", value_parser = instant)]
    pub(super) observed_at: Option<Timestamp>,
    /// An address of the article; can be repeated
    #[arg(long, value_name = "URL")]
    pub(super) url: Vec<String>,
    /// Keep the document's bytes with the revision
    #[arg(long)]
    pub(super) keep_original: bool,
    /// Fail if the article exists
    #[arg(long, conflicts_with = "if_revision")]
    pub(super) if_new: bool,
    /// A label for the article; can be repeated
    #[arg(long)]
    pub(super) label: Vec<String>,
    /// The language, a BCP 47 tag such as en-GB [default: what the document says]
    #[arg(long, value_name = "TAG")]
    pub(super) language: Option<String>,
    /// The documents' format
    #[arg(long, value_enum, default_value_t = DocumentFormat::Auto)]
    pub(super) format: DocumentFormat,
    #[command(flatten)]
    pub(super) write: WriteArgs,
    #[command(flatten)]
    pub(super) fetch: FetchArgs,
    /// What standard input held, if it is among the files.
    #[arg(skip)]
    pub(super) standard_input: Option<Result<Vec<u8>, String>>,
}

/// The formats that `add` reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum DocumentFormat {
    /// By the file's ending and content
    Auto,
    /// A news page as extracted text
    Text,
    /// Markdown, with or without front matter
    Markdown,
    /// A page of the web; the first --url is where it was had
    Html,
    /// schema.org's NewsArticle or one of its kin, as JSON-LD
    NewsArticle,
    /// An item of IPTC ninjs, version 1, 2 or 3
    Ninjs,
    /// proto3 JSON of dateline.v1.Content, Revision or Article
    Json,
}

/// A point of both axes.
#[derive(Clone, Debug, Args)]
pub(super) struct AsOfArgs {
    /// As it stood at this time
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(super) at: Option<Moment>,
    /// As far as the archive knew at this time
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(super) known_at: Option<Moment>,
}

impl AsOfArgs {
    /// A time on the observe axis.
    pub(super) fn at(&self) -> Option<Timestamp> {
        self.at.as_ref().map(|moment| moment.time)
    }

    /// A time on the archive axis.
    pub(super) fn known_at(&self) -> Option<Timestamp> {
        self.known_at.as_ref().map(|moment| moment.time)
    }
}

/// The arguments of `show`.
#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// The article
    #[arg(value_name = "ARTICLE")]
    pub(super) article: ArticleRef,
    #[command(flatten)]
    pub(super) as_of: AsOfArgs,
    /// This revision, whatever is in force
    #[arg(long, short, value_name = "N", value_parser = revision_number, conflicts_with = "at")]
    pub(super) revision: Option<RevisionNumber>,
    /// Write the kept original's bytes, and nothing else
    #[arg(long, conflicts_with = "json")]
    pub(super) original: bool,
}

/// The arguments of `log`.
#[derive(Debug, Args)]
pub(super) struct LogArgs {
    /// The article
    #[arg(value_name = "ARTICLE")]
    pub(super) article: ArticleRef,
    #[command(flatten)]
    pub(super) as_of: AsOfArgs,
    /// Begin with the first revision
    #[arg(long)]
    pub(super) oldest_first: bool,
    /// At most so many revisions
    #[arg(long, short = 'n', value_name = "N")]
    pub(super) limit: Option<usize>,
}

/// One side of a comparison.
#[derive(Clone, Copy, Debug)]
pub(super) enum State {
    /// The revision of this number.
    Revision(RevisionNumber),
    /// What was in force at this time.
    At(Timestamp),
}

/// The arguments of `diff`.
#[derive(Debug, Args)]
pub(super) struct DiffArgs {
    /// The article
    #[arg(value_name = "ARTICLE")]
    pub(super) article: ArticleRef,
    /// The earlier state: a revision's number, or a time [default: what was in force before the later one]
    #[arg(long, value_name = "N|TIME", value_parser = state)]
    pub(super) from: Option<State>,
    /// The later state: a revision's number, or a time [default: the newest]
    #[arg(long, value_name = "N|TIME", value_parser = state)]
    pub(super) to: Option<State>,
    /// As far as the archive knew at this time
    #[arg(long, value_name = "TIME", value_parser = instant)]
    pub(super) known_at: Option<Timestamp>,
    /// Show unchanged paragraphs too
    #[arg(long)]
    pub(super) full: bool,
    /// Write a page on it, with all of both texts, to be sent to a file: dateline diff … --html > page.html
    #[arg(long, conflicts_with_all = ["full", "json"])]
    pub(super) html: bool,
}

/// What chooses and orders articles, and says nothing of sources.
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
    "by",
    "limit",
];

/// A choice of articles, as `list`, `export` and `watch` have it.
#[derive(Clone, Debug, Args)]
pub(super) struct FilterArgs {
    /// Of this source; can be repeated
    #[arg(long, short, value_parser = source_id)]
    pub(super) source: Vec<SourceId>,
    /// In this state
    #[arg(long, value_enum)]
    pub(super) state: Option<ArticleState>,
    /// In this language: en finds en-GB too; can be repeated
    #[arg(long, value_name = "TAG")]
    pub(super) language: Vec<String>,
    /// With this label; can be repeated
    #[arg(long)]
    pub(super) label: Vec<String>,
    /// With an address that begins so
    #[arg(long, value_name = "URL")]
    pub(super) url_prefix: Option<String>,
}

impl FilterArgs {
    /// As the contract has it.
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

/// A choice of articles by time, as `list` and `export` have it.
#[derive(Clone, Debug, Args)]
pub(super) struct RangeArgs {
    /// Published, as it claims, at this time or later
    #[arg(long, value_name = "TIME", value_parser = first_moment)]
    pub(super) published_from: Option<Moment>,
    /// Published, as it claims, at this time or earlier
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(super) published_to: Option<Moment>,
    /// What is in force is so since this time or later
    #[arg(long, value_name = "TIME", value_parser = first_moment)]
    pub(super) observed_from: Option<Moment>,
    /// What is in force is so since this time or earlier
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(super) observed_to: Option<Moment>,
}

/// The arguments of `list`.
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// List the sources
    #[arg(long, conflicts_with_all = LIST_OPTIONS)]
    pub(super) sources: bool,
    #[command(flatten)]
    pub(super) filter: FilterArgs,
    #[command(flatten)]
    pub(super) ranges: RangeArgs,
    #[command(flatten)]
    pub(super) as_of: AsOfArgs,
    /// The order: by name, or the latest change first
    #[arg(long, value_enum, default_value_t = ListOrder::Name)]
    pub(super) by: ListOrder,
    /// At most so many articles
    #[arg(long, short = 'n', value_name = "N")]
    pub(super) limit: Option<usize>,
}

/// States of an article.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ArticleState {
    /// Up
    Live,
    /// Taken down
    Withdrawn,
}

/// Orders of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ListOrder {
    /// By name
    Name,
    /// The latest change first
    Latest,
}

/// The arguments of `withdraw` and `reinstate`.
#[derive(Debug, Args)]
pub(super) struct MarkArgs {
    /// The article
    #[arg(value_name = "ARTICLE")]
    pub(super) article: ArticleRef,
    /// From when on [default: now]
    #[arg(long, value_name = "TIME", value_parser = instant)]
    pub(super) observed_at: Option<Timestamp>,
    /// Why, for the record
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub(super) reason: String,
    #[command(flatten)]
    pub(super) write: WriteArgs,
}

/// The arguments of `rollback`.
#[derive(Debug, Args)]
pub(super) struct RollbackArgs {
    /// The article
    #[arg(value_name = "ARTICLE")]
    pub(super) article: ArticleRef,
    /// The revision whose content is published again
    #[arg(long, value_name = "N", value_parser = revision_number)]
    pub(super) to: RevisionNumber,
    /// From when on [default: now]
    #[arg(long, value_name = "TIME", value_parser = instant)]
    pub(super) observed_at: Option<Timestamp>,
    #[command(flatten)]
    pub(super) write: WriteArgs,
}

/// The arguments of `serve`.
#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// Read settings from this TOML file; flags and environment go before it
    #[arg(long, value_name = "FILE", env = "DATELINE_CONFIG")]
    pub(super) config: Option<PathBuf>,
    #[command(flatten)]
    pub(super) settings: Settings,
}

/// `express-gazette`, or `sources/express-gazette`.
pub(super) fn source_id(text: &str) -> Result<SourceId, NameError> {
    SourceId::parse(text.strip_prefix("sources/").unwrap_or(text))
}

pub(super) fn revision_number(text: &str) -> Result<RevisionNumber, &'static str> {
    text.parse().ok().and_then(RevisionNumber::new).ok_or("a revision's number is wanted, from 1")
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

/// Digits alone are a revision's number: no time is written so.
fn state(text: &str) -> Result<State, String> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(State::Revision(revision_number(text)?));
    }
    instant(text).map(State::At)
}
