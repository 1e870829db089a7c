//! The arguments of `export`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::super::article::ArticleRef;
use super::selection::{AsOfArgs, FilterArgs, RangeArgs};
use super::values::revision_number;
use crate::export::Format;
use crate::model::RevisionNumber;

/// The arguments of `export`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct ExportArgs {
    /// The articles to export [default: all that the options below select]
    #[arg(value_name = "ARTICLE")]
    pub(in crate::cli) articles: Vec<ArticleRef>,
    /// Export in this format: jsonl loses nothing, wacz is for readers of web archives, the others are for reading; import
    /// reads jsonl and wacz [default: wacz if the file name ends in .wacz, or else jsonl]
    #[arg(long, value_enum)]
    pub(in crate::cli) format: Option<ExportFormat>,
    /// Write to this file, or to a file per article in this directory; - writes to standard output [default: standard
    /// output]
    #[arg(long, short, value_name = "FILE|DIR")]
    pub(in crate::cli) output: Option<PathBuf>,
    #[command(flatten)]
    pub(in crate::cli) filter: FilterArgs,
    #[command(flatten)]
    pub(in crate::cli) ranges: RangeArgs,
    #[command(flatten)]
    pub(in crate::cli) as_of: AsOfArgs,
    /// Export this revision of the article, whether or not it is in force
    #[arg(long, short, value_name = "N", value_parser = revision_number, conflicts_with = "at")]
    pub(in crate::cli) revision: Option<RevisionNumber>,
    /// With jsonl and wacz, export only what is in force, without the history
    #[arg(long)]
    pub(in crate::cli) newest: bool,
    /// With jsonl, include the kept originals
    #[arg(long)]
    pub(in crate::cli) originals: bool,
    /// Compress with gzip [default: if the file name ends in .gz]
    #[arg(long, conflicts_with = "zstd")]
    pub(in crate::cli) gzip: bool,
    /// Compress with zstd [default: if the file name ends in .zst]
    #[arg(long)]
    pub(in crate::cli) zstd: bool,
    /// Overwrite existing files, and discard an unfinished export
    #[arg(long)]
    pub(in crate::cli) force: bool,
    /// Report what would be written, and write nothing
    #[arg(long)]
    pub(in crate::cli) dry_run: bool,
}

const EXAMPLES: &str = "\
Examples:
  dateline export -o archive.jsonl.zst                     everything, to keep or to import elsewhere
  dateline export --source courier --newest -o courier.jsonl
  dateline export --format html -o pages --label flood     a page for each article, in pages/SOURCE/
  dateline export courier/bridge --format markdown         one article, on standard output
  dateline export --source courier -o courier.wacz         a web archive, for ReplayWeb.page and others
An interrupted export continues when the same command is run again; one of a web archive starts over.";

/// The formats of exports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum ExportFormat {
    /// JSON Lines: one observation or state change per line, with everything needed to reproduce it
    Jsonl,
    /// A web archive in one file: the kept originals, pages written from the text of revisions without one, and when they
    /// were seen
    Wacz,
    /// IPTC ninjs 3.1
    Ninjs,
    /// A schema.org NewsArticle, as JSON-LD
    JsonLd,
    /// Markdown with front matter
    Markdown,
    /// Plain text
    Text,
    /// A self-contained HTML page
    Html,
}

impl ExportFormat {
    /// The format of one document; `None` for the formats that have all articles in one file.
    pub(in crate::cli) fn of_documents(self) -> Option<Format> {
        match self {
            Self::Jsonl | Self::Wacz => None,
            Self::Ninjs => Some(Format::Ninjs),
            Self::JsonLd => Some(Format::JsonLd),
            Self::Markdown => Some(Format::Markdown),
            Self::Text => Some(Format::Text),
            Self::Html => Some(Format::Html),
        }
    }
}
