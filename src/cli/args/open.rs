//! The arguments of `open`.

use clap::Args;

use super::selection::AsOfArgs;
use super::values::revision_number;
use crate::cli::article::ArticleRef;
use crate::model::RevisionNumber;

/// The arguments of `open`.
#[derive(Debug, Args)]
pub(in crate::cli) struct OpenArgs {
    /// The article to open [default: the newest changes]
    #[arg(value_name = "ARTICLE")]
    pub(in crate::cli) article: Option<ArticleRef>,
    #[command(flatten)]
    pub(in crate::cli) as_of: AsOfArgs,
    /// Open the permalink of this revision
    #[arg(long, short, value_name = "N", value_parser = revision_number, conflicts_with_all = ["at", "known_at"])]
    pub(in crate::cli) revision: Option<RevisionNumber>,
    /// Print the address, and start no browser. Without a server, the pages are still shown until Ctrl-C
    #[arg(long)]
    pub(in crate::cli) print: bool,
}
