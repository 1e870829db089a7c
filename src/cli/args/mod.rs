//! The root of the command line, the arguments that several commands share, and those of the short commands.

pub(in crate::cli) mod access;
pub(in crate::cli) mod backup;
pub(in crate::cli) mod cert;
pub(in crate::cli) mod evidence;
pub(in crate::cli) mod export;
pub(in crate::cli) mod expunge;
pub(in crate::cli) mod feed;
pub(in crate::cli) mod globals;
pub(in crate::cli) mod import;
pub(in crate::cli) mod open;
pub(in crate::cli) mod proof;
pub(in crate::cli) mod selection;
pub(in crate::cli) mod status;
pub(in crate::cli) mod values;
pub(in crate::cli) mod verify;
pub(in crate::cli) mod web;
pub(in crate::cli) mod webhook;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::Styles;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use self::access::{AuditArgs, LoginArgs, TokenArgs};
use self::backup::{BackupArgs, RestoreArgs};
use self::cert::CertArgs;
use self::evidence::EvidenceArgs;
use self::export::ExportArgs;
use self::expunge::ExpungeArgs;
use self::feed::{SubscriptionsAction, SubscriptionsArgs, WatchArgs};
use self::globals::Globals;
use self::import::ImportArgs;
use self::open::OpenArgs;
use self::proof::{KeyArgs, ProofArgs};
use self::selection::{AsOfArgs, ChangedPart, FilterArgs, RangeArgs};
use self::status::StatusArgs;
use self::values::{
    State, article_id, article_url, gone_after, instant, label, language, limit, request_id, revision_number,
    source_id, state,
};
use self::verify::VerifyArgs;
use self::web::{FetchArgs, FollowArgs, OriginalArgs, is_address};
use self::webhook::{WebhookAction, WebhookArgs};
use super::article::ArticleRef;
use crate::config::Settings;
use crate::model::{RevisionNumber, SourceId, Timestamp};

/// A versioned archive of news articles
#[derive(Debug, Parser)]
#[command(name = "dateline", version, max_term_width = 100, styles = Styles::styled(), after_help = AFTER_HELP)]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    pub(in crate::cli) globals: Globals,
    #[command(subcommand)]
    pub(in crate::cli) command: Command,
}

impl Arguments {
    /// Reads the arguments of this process. On wrong ones, or with `--help`, prints why or the help, and exits.
    pub(in crate::cli) fn of_process() -> Self {
        // The help of each command explains its placeholders, as the help of all commands does.
        let mut command = Self::command().mut_subcommands(|command| command.after_help(AFTER_HELP));
        let words: Vec<OsString> = std::env::args_os().collect();
        let mut read = |words: &[OsString]| {
            let matches = command.try_get_matches_from_mut(words).unwrap_or_else(|error| error.exit());
            Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
        };
        let arguments = read(&words);
        if let Command::Label(args) = &arguments.command
            && args.labels.iter().any(|word| word.starts_with("--"))
        {
            return read(&label_options_first(&Self::command(), &words, args.labels.len()));
        }
        arguments
    }
}

/// Moves the options that follow the labels of `label` before them. `words` are all arguments, of which the last
/// `count` were taken for labels: since a label to remove begins with a hyphen, everything after the first label was.
fn label_options_first(command: &clap::Command, words: &[OsString], count: usize) -> Vec<OsString> {
    let (before, after) = words.split_at(words.len().saturating_sub(count));
    let takes_value = |word: &str| {
        let label = command.find_subcommand("label").into_iter().flat_map(clap::Command::get_arguments);
        let mut arguments = label.chain(command.get_arguments());
        arguments.any(|argument| {
            argument.get_action().takes_values() && argument.get_long().is_some_and(|long| word == format!("--{long}"))
        })
    };
    let (mut options, mut labels) = (before.to_vec(), Vec::new());
    let mut after = after.iter().peekable();
    while let Some(word) = after.next() {
        match word.to_str() {
            Some(text) if text.starts_with("--") => {
                options.push(word.clone());
                options.extend(after.next_if(|_| takes_value(text)).cloned());
            }
            _ => labels.push(word.clone()),
        }
    }
    options.extend(labels);
    options
}

pub(in crate::cli) const AFTER_HELP: &str = "\
ARTICLE is source/article, a resource name (sources/…/articles/…) or a URL.
TIME is RFC 3339, a date, month or year (its end in UTC; today means now), \"now\", \"yesterday\" or \"2 days ago\".
DURATION is 500ms, 30s, 10m or 2h.
Exit status: 0 done, 1 failed, 2 usage, 3 not found, 4 conflict, 5 archive or server \
unreachable, 6 damaged data, 7 not allowed.";

impl Command {
    /// Whether it may take long. Such a command listens for signals itself, and shares an archive that it has open with
    /// other commands.
    pub(in crate::cli) fn may_take_long(&self) -> bool {
        matches!(
            self,
            Self::Follow(_) | Self::Import(_) | Self::Export(_) | Self::Watch(_) | Self::Backup(_) | Self::Open(_)
        ) || matches!(self, Self::Add(args) if args.documents.iter().any(|document| is_address(document)))
    }

    /// Whether it writes to an archive.
    pub(in crate::cli) fn writes(&self) -> bool {
        match self {
            Self::Show(_)
            | Self::Open(_)
            | Self::Log(_)
            | Self::Diff(_)
            | Self::List(_)
            | Self::Export(_)
            | Self::Backup(_)
            | Self::Status(_)
            | Self::Whoami
            | Self::Audit(_)
            | Self::Login(_)
            | Self::Logout(_)
            | Self::Cert(_)
            | Self::Key(_)
            | Self::Completions { .. }
            | Self::Config(_)
            | Self::Man { .. } => false,
            // The archive keeps the checkpoints that it signs.
            Self::Proof(args) => args.check.is_none(),
            Self::Evidence(args) => args.check.is_none(),
            Self::Verify(args) => args.rebuild,
            Self::Watch(args) => args.durable.is_some(),
            Self::Subscriptions(args) => !matches!(args.action, None | Some(SubscriptionsAction::Parked { .. })),
            Self::Webhook(args) => !matches!(args.action, WebhookAction::List),
            Self::Add(args) => !args.write.dry_run,
            Self::Follow(args) => !args.dry_run,
            Self::Import(args) => !args.dry_run,
            Self::Label(_)
            | Self::MoveUrl(_)
            | Self::Withdraw(_)
            | Self::Reinstate(_)
            | Self::Absent(_)
            | Self::Rollback(_)
            | Self::Token(_)
            | Self::Expunge(_)
            | Self::Serve(_)
            | Self::Compact
            | Self::Restore(_) => true,
        }
    }
}

/// The commands, in the order in which `--help` lists them.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Command {
    /// Archive documents from files or URLs: web pages, text, Markdown, JSON-LD, ninjs or Dateline's own JSON
    Add(Box<AddArgs>),
    /// Archive the entries of syndication feeds (RSS, Atom, JSON Feed), once or repeatedly
    Follow(Box<FollowArgs>),
    /// Import a whole collection: JSON Lines, web archives (WARC, WACZ) or the history of a git repository
    Import(Box<ImportArgs>),
    /// Show what an article says, or said at a given time
    Show(ShowArgs),
    /// Open the web page of an article in the browser
    ///
    /// Opens the pages of the server that has the archive. If no server has it, shows the pages itself, on a free port of
    /// this machine, until it is interrupted.
    #[command(mut_args(|arg| match arg.get_id().as_str() {
        "at" | "known_at" | "revision" => arg.requires("article"),
        _ => arg,
    }))]
    Open(OpenArgs),
    /// List the revisions of an article
    Log(LogArgs),
    /// Show what changed between two states of an article, word by word
    Diff(DiffArgs),
    /// List articles or sources
    List(Box<ListArgs>),
    /// Put labels on an article, or take them off: dateline label ARTICLE +flood -draft
    Label(LabelArgs),
    /// Move an address that the publisher reused to another article, or end it
    MoveUrl(MoveUrlArgs),
    /// Record that the publisher took an article down; its history stays readable
    #[command(mut_arg("article", |article| article.help("The article to withdraw")))]
    Withdraw(StateChangeArgs),
    /// Record that a withdrawn article is up again
    #[command(mut_arg("article", |article| article.help("The article to reinstate")))]
    Reinstate(StateChangeArgs),
    /// Record that an article's page was found missing; `add` and `follow` do this for the pages that they fetch
    Absent(AbsentArgs),
    /// Record an earlier revision's content again
    Rollback(RollbackArgs),
    /// Export articles: their whole history to one file, a web archive (WACZ), or each one as a document
    Export(Box<ExportArgs>),
    /// Watch the change feed, and print a line or run a command for each change
    Watch(Box<WatchArgs>),
    /// List, move or delete durable subscriptions to the change feed
    Subscriptions(SubscriptionsArgs),
    /// Send changes to a URL by HTTP POST (Standard Webhooks), or see what became of that
    Webhook(WebhookArgs),
    /// Back up the archive to a directory while it is in use; later runs save only what is new
    Backup(BackupArgs),
    /// Restore an archive from a backup, into the new directory that --archive names
    Restore(RestoreArgs),
    /// Read everything that is stored and check it against the log
    Verify(VerifyArgs),
    /// Prove that a revision is in the log, in a way that anybody can check; or check such a proof
    Proof(ProofArgs),
    /// Write a revision with all that proves it to one file, which anybody can check; or check such a file
    Evidence(Box<EvidenceArgs>),
    /// Make the key that signs what the log has, or print the key that checks it
    Key(KeyArgs),
    /// Make certificates for TLS, from an authority of your own
    Cert(CertArgs),
    /// Destroy texts that the archive may no longer keep, such as by order of a court; it cannot be undone
    Expunge(ExpungeArgs),
    /// Rewrite the archive's database into a smaller one; no server may hold the archive
    Compact,
    /// Make, list and revoke the tokens by which a server recognises its callers
    Token(TokenArgs),
    /// Keep the token on standard input for a server, for later commands
    Login(LoginArgs),
    /// Forget the token for a server
    Logout(LoginArgs),
    /// Show who calls, and what that principal may do
    Whoami,
    /// Show which calls a server of this archive refused, and which ones administrators made
    Audit(AuditArgs),
    /// Show the archive's size and last change, and whether it accepts writes
    Status(StatusArgs),
    /// Serve the archive over gRPC
    Serve(Box<ServeArgs>),
    /// Show the settings that `serve` would use and where each comes from, or all settings with their defaults
    Config(ConfigArgs),
    /// Write the manual pages to a directory, for packages
    #[command(hide = true)]
    Man {
        /// The directory to write to
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
    /// Print a completion script for a shell
    Completions {
        /// The shell to complete for
        shell: clap_complete::Shell,
    },
}

/// The options of every command that writes to an article.
#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct WriteArgs {
    /// Identify this request: repeating it with the same id has no further effect
    #[arg(long, value_name = "ID", value_parser = request_id)]
    pub(in crate::cli) request_id: Option<String>,
    /// Fail unless this is the article's newest revision
    #[arg(long, value_name = "N", value_parser = revision_number)]
    pub(in crate::cli) if_revision: Option<RevisionNumber>,
    /// Report what would happen, and write nothing
    #[arg(long)]
    pub(in crate::cli) dry_run: bool,
}

/// The arguments of `add`.
#[derive(Debug, Args)]
pub(in crate::cli) struct AddArgs {
    /// The files and URLs to archive; - reads standard input
    #[arg(required = true, value_name = "FILE|URL")]
    pub(in crate::cli) documents: Vec<String>,
    /// Assign the articles to this source, such as express-gazette [default: the source that the document states]
    #[arg(long, short, value_parser = source_id)]
    pub(in crate::cli) source: Option<SourceId>,
    /// Use this article id within the source [default: found by URL, or derived from the URL or the headline]
    #[arg(long, short, value_name = "ID", value_parser = article_id)]
    pub(in crate::cli) article: Option<String>,
    /// Record the content as seen at this time [default: the time that the document states, or now]
    #[arg(long, value_name = "TIME", value_parser = instant)]
    pub(in crate::cli) observed_at: Option<Timestamp>,
    /// Add a URL of the article; can be repeated
    #[arg(long, value_name = "URL", value_parser = article_url)]
    pub(in crate::cli) url: Vec<String>,
    #[command(flatten)]
    pub(in crate::cli) originals: OriginalArgs,
    /// Fail if the article exists
    #[arg(long, conflicts_with = "if_revision")]
    pub(in crate::cli) if_new: bool,
    /// Add a label to the article; can be repeated
    #[arg(long, value_parser = label)]
    pub(in crate::cli) label: Vec<String>,
    /// Set the language, as a BCP 47 tag such as en-GB [default: the language that the document states]
    #[arg(long, value_name = "TAG", value_parser = language)]
    pub(in crate::cli) language: Option<String>,
    /// Read the documents in this format
    #[arg(long, value_enum, default_value_t = DocumentFormat::Auto)]
    pub(in crate::cli) format: DocumentFormat,
    #[command(flatten)]
    pub(in crate::cli) write: WriteArgs,
    #[command(flatten)]
    pub(in crate::cli) fetch: FetchArgs,
    /// The bytes of standard input, if it is among the documents; read before the archive is opened.
    #[arg(skip)]
    pub(in crate::cli) standard_input: Option<Result<Vec<u8>, String>>,
}

/// The formats that `add` reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum DocumentFormat {
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

/// The arguments of `show`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ShowArgs {
    /// The article to show
    #[arg(value_name = "ARTICLE")]
    pub(in crate::cli) article: ArticleRef,
    #[command(flatten)]
    pub(in crate::cli) as_of: AsOfArgs,
    /// Show this revision, whether or not it is in force
    #[arg(long, short, value_name = "N", value_parser = revision_number, conflicts_with = "at")]
    pub(in crate::cli) revision: Option<RevisionNumber>,
    /// Write the bytes of the kept original, and nothing else
    #[arg(long, conflicts_with = "json")]
    pub(in crate::cli) original: bool,
}

/// The arguments of `log`.
#[derive(Debug, Args)]
pub(in crate::cli) struct LogArgs {
    /// The article whose revisions to list
    #[arg(value_name = "ARTICLE")]
    pub(in crate::cli) article: ArticleRef,
    #[command(flatten)]
    pub(in crate::cli) as_of: AsOfArgs,
    /// List only revisions that changed one of these parts, and the first; separated by commas
    #[arg(long, value_name = "PART", value_enum, value_delimiter = ',')]
    pub(in crate::cli) changed: Vec<ChangedPart>,
    /// List the oldest revision first
    #[arg(long)]
    pub(in crate::cli) oldest_first: bool,
    /// List at most this many revisions
    #[arg(long, short = 'n', value_name = "N", value_parser = limit)]
    pub(in crate::cli) limit: Option<usize>,
}

/// The arguments of `diff`.
#[derive(Debug, Args)]
pub(in crate::cli) struct DiffArgs {
    /// The article to compare
    #[arg(value_name = "ARTICLE")]
    pub(in crate::cli) article: ArticleRef,
    /// Compare from this state, a revision number or a time [default: what was in force before the later state]
    #[arg(long, value_name = "N|TIME", value_parser = state)]
    pub(in crate::cli) from: Option<State>,
    /// Compare to this state, a revision number or a time [default: the newest]
    #[arg(long, value_name = "N|TIME", value_parser = state)]
    pub(in crate::cli) to: Option<State>,
    /// Use only what the archive knew at this time
    #[arg(long, value_name = "TIME", value_parser = instant)]
    pub(in crate::cli) known_at: Option<Timestamp>,
    /// Show unchanged paragraphs too
    #[arg(long)]
    pub(in crate::cli) full: bool,
    /// Write an HTML page with the full text of both states: dateline diff … --html > page.html
    #[arg(long, conflicts_with_all = ["full", "json"])]
    pub(in crate::cli) html: bool,
}

/// The options of `list` that select or order articles; `--sources` conflicts with each of them.
const LIST_OPTIONS: [&str; 14] = [
    "source",
    "state",
    "language",
    "label",
    "changed",
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

/// The arguments of `list`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ListArgs {
    /// List sources instead of articles
    #[arg(long, conflicts_with_all = LIST_OPTIONS)]
    pub(in crate::cli) sources: bool,
    #[command(flatten)]
    pub(in crate::cli) filter: FilterArgs,
    #[command(flatten)]
    pub(in crate::cli) ranges: RangeArgs,
    #[command(flatten)]
    pub(in crate::cli) as_of: AsOfArgs,
    /// List articles in this order
    #[arg(long, value_enum, default_value_t = ListOrder::Name)]
    pub(in crate::cli) sort: ListOrder,
    /// List at most this many articles
    #[arg(long, short = 'n', value_name = "N", value_parser = limit)]
    pub(in crate::cli) limit: Option<usize>,
}

/// The orders in which articles are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum ListOrder {
    /// By name
    Name,
    /// Most recently changed first
    Updated,
}

/// The arguments of `withdraw` and `reinstate`.
#[derive(Debug, Args)]
pub(in crate::cli) struct StateChangeArgs {
    /// The article
    #[arg(value_name = "ARTICLE")]
    pub(in crate::cli) article: ArticleRef,
    /// Take effect at this time [default: now]
    #[arg(long, value_name = "TIME", value_parser = instant)]
    pub(in crate::cli) observed_at: Option<Timestamp>,
    /// Record this reason
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub(in crate::cli) reason: String,
    #[command(flatten)]
    pub(in crate::cli) write: WriteArgs,
}

/// The arguments of `label`.
#[derive(Debug, Args)]
pub(in crate::cli) struct LabelArgs {
    /// The article to label
    #[arg(value_name = "ARTICLE")]
    pub(in crate::cli) article: ArticleRef,
    /// Labels to add, such as +flood, and labels to remove, such as -draft
    #[arg(required_unless_present_any = ["add", "remove"], value_name = "+LABEL|-LABEL", allow_hyphen_values = true)]
    pub(in crate::cli) labels: Vec<String>,
    /// Add this label; the same as +LABEL; can be repeated
    #[arg(long, value_parser = label, allow_hyphen_values = true)]
    pub(in crate::cli) add: Vec<String>,
    /// Remove this label, even one that begins with a hyphen; can be repeated
    #[arg(long, value_parser = label, allow_hyphen_values = true)]
    pub(in crate::cli) remove: Vec<String>,
    /// Record this reason
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub(in crate::cli) reason: String,
    #[command(flatten)]
    pub(in crate::cli) write: WriteArgs,
}

/// The arguments of `move-url`.
#[derive(Debug, Args)]
#[command(after_help = MOVE_URL_HELP)]
pub(in crate::cli) struct MoveUrlArgs {
    /// The address
    #[arg(value_name = "URL", value_parser = article_url)]
    pub(in crate::cli) url: String,
    /// The article that it leads to from then on
    #[arg(value_name = "ARTICLE", required_unless_present = "end", conflicts_with = "end")]
    pub(in crate::cli) article: Option<ArticleRef>,
    /// End the address: it leads nowhere, until an article is observed there again
    #[arg(long)]
    pub(in crate::cli) end: bool,
    /// Fail unless the address leads to this article
    #[arg(long, value_name = "ARTICLE")]
    pub(in crate::cli) from: Option<ArticleRef>,
    /// Take effect at this time [default: now]
    #[arg(long, value_name = "TIME", value_parser = instant)]
    pub(in crate::cli) observed_at: Option<Timestamp>,
    /// Record this reason
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub(in crate::cli) reason: String,
    #[command(flatten)]
    pub(in crate::cli) write: WriteArgs,
}

const MOVE_URL_HELP: &str = "\
Until that time the address leads where it led, and observations from before still go to that article.
--if-revision is about the article that gets the address or, with --end, the one that loses it.

Examples:
  dateline move-url https://www.example.com/live gazette/storm-live --observed-at 2026-05-16T06:00:00Z
  dateline move-url https://www.example.com/front/1 --end --reason \"a slot of the front page\"";

/// The arguments of `rollback`.
#[derive(Debug, Args)]
pub(in crate::cli) struct RollbackArgs {
    /// The article to roll back
    #[arg(value_name = "ARTICLE")]
    pub(in crate::cli) article: ArticleRef,
    /// Record the content of this revision again
    #[arg(long, value_name = "N", value_parser = revision_number)]
    pub(in crate::cli) to: RevisionNumber,
    /// Take effect at this time [default: now]
    #[arg(long, value_name = "TIME", value_parser = instant)]
    pub(in crate::cli) observed_at: Option<Timestamp>,
    #[command(flatten)]
    pub(in crate::cli) write: WriteArgs,
}

/// The arguments of `absent`.
#[derive(Debug, Args)]
pub(in crate::cli) struct AbsentArgs {
    /// The article whose page is missing
    #[arg(value_name = "ARTICLE")]
    pub(in crate::cli) article: ArticleRef,
    /// The HTTP status of the response, such as 404
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(100..=599))]
    pub(in crate::cli) status: Option<u32>,
    /// How the page was missing [default: gone with --status 410, otherwise not-found]
    #[arg(long, value_enum)]
    pub(in crate::cli) how: Option<MissingHow>,
    /// Count the article as gone after this many such looks in a row, from 1 to 1000 [default: 3, or 1 if it is gone]
    #[arg(long, value_name = "N", value_parser = gone_after())]
    pub(in crate::cli) gone_after: Option<u32>,
    /// Record the page as missing at this time [default: now]
    #[arg(long, value_name = "TIME", value_parser = instant)]
    pub(in crate::cli) observed_at: Option<Timestamp>,
    #[command(flatten)]
    pub(in crate::cli) write: WriteArgs,
}

/// How a page can be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum MissingHow {
    /// There is no such page, as with status 404
    NotFound,
    /// The page was removed permanently, as with status 410
    Gone,
    /// Its URL leads to the front page of the site
    FrontPage,
}

/// The arguments of `serve`.
#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct ServeArgs {
    /// Check the settings and the files that they name, report everything that is wrong, and exit
    #[arg(long)]
    pub(in crate::cli) check_config: bool,
    /// Read settings from this TOML file; flags and environment variables override it
    #[arg(long, value_name = "FILE", env = "DATELINE_CONFIG")]
    pub(in crate::cli) config: Option<PathBuf>,
    #[command(flatten)]
    pub(in crate::cli) settings: Settings,
}

/// The arguments of `config`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ConfigArgs {
    /// Print a configuration file with every setting, commented out: what it does, its default and its range
    #[arg(long)]
    pub(in crate::cli) defaults: bool,
    /// Read settings from this TOML file; environment variables override it
    #[arg(long, value_name = "FILE", env = "DATELINE_CONFIG")]
    pub(in crate::cli) config: Option<PathBuf>,
}
