//! The arguments of `import`.

use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, ValueEnum};
use url::Url;

use super::values::{glob, label, source_id};
use super::web::{OriginalArgs, web_address};
use crate::capture::import;
use crate::model::SourceId;

/// The arguments of `import`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ImportArgs {
    /// The files to import: JSON Lines as `export` writes them, or web archives (WARC), plain or compressed, or in a WACZ;
    /// - reads standard input
    #[arg(required_unless_present = "git", conflicts_with = "git", value_name = "FILE")]
    pub(in crate::cli) files: Vec<PathBuf>,
    /// Read the files in this format [default: detected from their names and first bytes]
    #[arg(long, value_enum, conflicts_with = "git")]
    pub(in crate::cli) format: Option<CollectionFormat>,
    /// Import the history of the files in this git repository, named by any directory in it
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) git: Option<PathBuf>,
    /// Assign the articles to this source, such as express-gazette; not for JSON Lines, which name their sources
    /// [default: the source that a page states, or its site; for a repository, the name of its directory]
    #[arg(long, short, value_parser = source_id)]
    pub(in crate::cli) source: Option<SourceId>,
    /// Add a label to the articles; can be repeated; not for JSON Lines
    #[arg(long, value_parser = label)]
    pub(in crate::cli) label: Vec<String>,
    #[command(flatten)]
    pub(in crate::cli) originals: OriginalArgs,
    /// Read and validate everything, and write nothing
    #[arg(long)]
    pub(in crate::cli) dry_run: bool,
    /// Keep the progress of interrupted imports in this directory [default: in the platform's state directory]
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) state_dir: Option<PathBuf>,
    // Last, since its help heading also applies to what follows.
    #[command(flatten)]
    pub(in crate::cli) repository: RepositoryArgs,
}

/// Which part of a git repository's history is imported.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Git repositories")]
pub(in crate::cli) struct RepositoryArgs {
    /// Import the files that match this pattern, relative to the top of the repository; * matches within one directory,
    /// ** across directories; can be repeated [default: **/*.md]
    #[arg(long, value_name = "PATTERN", requires = "git", conflicts_with = "files", value_parser = glob)]
    pub(in crate::cli) glob: Vec<String>,
    /// Import the history of this branch, tag or commit
    #[arg(
        long,
        value_name = "NAME",
        requires = "git",
        default_value = "HEAD",
        value_parser = NonEmptyStringValueParser::new()
    )]
    pub(in crate::cli) branch: String,
    /// Import each commit of a merged branch, instead of the merge as one commit
    #[arg(long, requires = "git", conflicts_with = "files")]
    pub(in crate::cli) every_commit: bool,
    /// Give each article a URL: this one, followed by the path of its file
    #[arg(long, value_name = "URL", requires = "git", conflicts_with = "files", value_parser = web_address)]
    pub(in crate::cli) base_url: Option<Url>,
    /// Import a shallow clone, even though its first commits are missing
    #[arg(long, requires = "git", conflicts_with = "files")]
    pub(in crate::cli) allow_shallow: bool,
}

/// The formats of collections in files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum CollectionFormat {
    /// JSON Lines as `export` writes them: one request per line
    Jsonl,
    /// A web archive (WARC)
    Warc,
    /// Web archives in one file (WACZ)
    Wacz,
}

impl From<CollectionFormat> for import::CollectionFormat {
    fn from(format: CollectionFormat) -> Self {
        match format {
            CollectionFormat::Jsonl => Self::JsonLines,
            CollectionFormat::Warc => Self::WebArchive,
            CollectionFormat::Wacz => Self::Wacz,
        }
    }
}
