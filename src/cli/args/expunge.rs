//! The arguments of `expunge`.

use clap::{ArgGroup, Args, ValueEnum};

use super::values::revision_number;
use crate::cli::article::ArticleRef;
use crate::model::RevisionNumber;
use crate::wire::pb;

/// The arguments of `expunge`.
#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("scope").required(true),
    after_help = "The first call prints a plan and changes nothing. Read it; the same command with --confirm and the \
                  plan's digest carries it out. It cannot be undone.\n\nBackups, exports, mirrors and subscribers keep \
                  what they have: see docs/OPERATIONS.md."
)]
pub(in crate::cli) struct ExpungeArgs {
    /// The article whose text to destroy
    pub(in crate::cli) article: ArticleRef,
    /// Destroy the text of this revision; can be repeated
    #[arg(long, value_name = "N", value_parser = revision_number, group = "scope")]
    pub(in crate::cli) revision: Vec<RevisionNumber>,
    /// Destroy all text of the article; its name, URLs and labels stay
    #[arg(long, group = "scope")]
    pub(in crate::cli) all: bool,
    /// Destroy all text of the article, and its name, URLs and labels
    #[arg(long, group = "scope")]
    pub(in crate::cli) with_name: bool,
    /// Why; readers see it
    #[arg(long, value_enum)]
    pub(in crate::cli) reason: Reason,
    /// What the order can be found by, such as a court's file number; readers see it
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub(in crate::cli) reference: String,
    /// Carry out the plan with this digest
    #[arg(long, value_name = "DIGEST")]
    pub(in crate::cli) confirm: Option<String>,
}

/// Why a text is destroyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Reason {
    /// A court or an authority ordered it
    CourtOrder,
    /// A person whose data it has asked for it
    PersonalData,
    /// It infringes a copyright
    Copyright,
    /// Another reason, which --reference states
    Other,
}

impl Reason {
    /// The reason as a message.
    pub(in crate::cli) fn to_pb(self) -> pb::ExpungeReason {
        match self {
            Self::CourtOrder => pb::ExpungeReason::CourtOrder,
            Self::PersonalData => pb::ExpungeReason::PersonalData,
            Self::Copyright => pb::ExpungeReason::Copyright,
            Self::Other => pb::ExpungeReason::Other,
        }
    }
}
