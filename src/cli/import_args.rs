//! The arguments of `import`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use url::Url;

use super::args::source_id;
use super::web_args::web_address;
use crate::model::SourceId;

/// The arguments of `import`.
#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    /// Files of JSON Lines as `export` writes them, or web archives (WARC), also compressed; - for standard input
    #[arg(required_unless_present = "git", conflicts_with = "git", value_name = "FILE")]
    pub(super) files: Vec<PathBuf>,
    /// What the files are [default: as they begin]
    #[arg(long, value_enum, conflicts_with = "git")]
    pub(super) format: Option<CollectionFormat>,
    /// Import the history of the files in this git repository; any folder of it stands for the whole
    #[arg(long, value_name = "DIR")]
    pub(super) git: Option<PathBuf>,
    #[command(flatten)]
    pub(super) repository: RepositoryArgs,
    /// The publication, such as express-gazette; not for JSON Lines, which name it [default: what a page says, or
    /// the site; the name of the repository's folder]
    #[arg(long, short, value_parser = source_id)]
    pub(super) source: Option<SourceId>,
    /// A label for the articles; can be repeated. Not for JSON Lines
    #[arg(long)]
    pub(super) label: Vec<String>,
    /// Keep the documents' bytes with the revisions. JSON Lines have them, or not
    #[arg(long)]
    pub(super) keep_original: bool,
    /// Read and judge everything, and write nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Remember in this folder how far an interrupted import came [default: in the platform's folder for state]
    #[arg(long, value_name = "DIR")]
    pub(super) memory: Option<PathBuf>,
}

/// What of a git repository is imported.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Git repositories")]
pub(super) struct RepositoryArgs {
    /// Which files, counted from the top of the repository, as git's globs have it: * is within one folder, ** any
    /// folders; can be repeated [default: **/*.md]
    #[arg(long, value_name = "PATTERN", requires = "git", conflicts_with = "files")]
    pub(super) glob: Vec<String>,
    /// The branch, tag or commit whose history it is
    #[arg(long, value_name = "NAME", requires = "git", default_value = "HEAD")]
    pub(super) branch: String,
    /// Take the commits of branches that were merged one by one, and not the merge alone
    #[arg(long, requires = "git", conflicts_with = "files")]
    pub(super) every_commit: bool,
    /// The address under which the files are found: each article gets it, followed by its path
    #[arg(long, value_name = "URL", requires = "git", conflicts_with = "files", value_parser = web_address)]
    pub(super) base_url: Option<Url>,
    /// Import a shallow clone, whose first commits are missing
    #[arg(long, requires = "git", conflicts_with = "files")]
    pub(super) allow_shallow: bool,
}

/// The collections that files hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum CollectionFormat {
    /// One request to the archive a line, as `export` writes them
    Jsonl,
    /// A web archive
    Warc,
}
