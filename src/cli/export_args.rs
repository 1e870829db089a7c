//! The arguments of `export`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::args::{AsOfArgs, FilterArgs, RangeArgs, revision_number};
use super::article::ArticleRef;
use crate::export::Format;
use crate::model::RevisionNumber;

/// The arguments of `export`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ExportArgs {
    /// The articles [default: all that the options below choose]
    #[arg(value_name = "ARTICLE")]
    pub(super) articles: Vec<ArticleRef>,
    /// The format: jsonl loses nothing and can be imported, the others are for reading
    #[arg(long, value_enum, default_value_t = ExportFormat::Jsonl)]
    pub(super) format: ExportFormat,
    /// Write to this file, or to a file for each article in this folder; - is standard output
    #[arg(long, short, value_name = "FILE|DIR")]
    pub(super) out: Option<PathBuf>,
    #[command(flatten)]
    pub(super) filter: FilterArgs,
    #[command(flatten)]
    pub(super) ranges: RangeArgs,
    #[command(flatten)]
    pub(super) as_of: AsOfArgs,
    /// This revision of the article, whatever is in force
    #[arg(long, short, value_name = "N", value_parser = revision_number, conflicts_with = "at")]
    pub(super) revision: Option<RevisionNumber>,
    /// With jsonl: only what is in force, without the history
    #[arg(long)]
    pub(super) newest: bool,
    /// With jsonl: the kept originals too
    #[arg(long)]
    pub(super) originals: bool,
    /// Compress with gzip [default: if the file's name ends in .gz]
    #[arg(long, conflicts_with = "zstd")]
    pub(super) gzip: bool,
    /// Compress with zstd [default: if the file's name ends in .zst]
    #[arg(long)]
    pub(super) zstd: bool,
    /// Write over files that are there and are not of an export, and begin anew what was left unfinished
    #[arg(long)]
    pub(super) force: bool,
    /// Say what would be written, and write nothing
    #[arg(long)]
    pub(super) dry_run: bool,
}

const EXAMPLES: &str = "\
Examples:
  dateline export -o archive.jsonl.zst                     everything, to be kept or imported elsewhere
  dateline export --source courier --newest -o courier.jsonl
  dateline export --format html -o pages --label flood     a page of each article, in pages/SOURCE/
  dateline export courier/bridge --format markdown         one article, on standard output
An export that was interrupted goes on when the same command is run again.";

/// Formats of exports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ExportFormat {
    /// JSON Lines: one observation or mark a line, with all that makes it again
    Jsonl,
    /// IPTC ninjs 3.1
    Ninjs,
    /// schema.org's NewsArticle
    JsonLd,
    /// Markdown with front matter
    Markdown,
    /// Plain text
    Text,
    /// A page that needs nothing but itself
    Html,
}

impl ExportFormat {
    /// The format of a document; none for lines.
    pub(super) fn of_documents(self) -> Option<Format> {
        match self {
            Self::Jsonl => None,
            Self::Ninjs => Some(Format::Ninjs),
            Self::JsonLd => Some(Format::JsonLd),
            Self::Markdown => Some(Format::Markdown),
            Self::Text => Some(Format::Text),
            Self::Html => Some(Format::Html),
        }
    }
}
