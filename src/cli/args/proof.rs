//! The arguments of `proof` and `key`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use url::Url;

use super::values::revision_number;
use crate::cli::article::ArticleRef;
use crate::model::RevisionNumber;

/// The arguments of `proof`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ProofArgs {
    /// The article whose revision to prove; prints a proof file
    #[arg(required_unless_present_any = ["check", "checkpoint", "timestamp"])]
    pub(in crate::cli) article: Option<ArticleRef>,
    /// Prove this revision [default: the newest]
    #[arg(long, value_name = "N", value_parser = revision_number, requires = "article")]
    pub(in crate::cli) revision: Option<RevisionNumber>,
    /// Show nothing of the revision but its times and its place in the log: no text and no name
    #[arg(long, requires = "article")]
    pub(in crate::cli) withhold: bool,
    /// Check a proof file instead, without an archive; - reads standard input
    #[arg(long, value_name = "FILE", requires = "key", conflicts_with_all = ["article", "checkpoint"])]
    pub(in crate::cli) check: Option<PathBuf>,
    /// The log's verifier key, as `dateline key show` prints it, or a file that has it
    #[arg(long, value_name = "KEY", requires = "check")]
    pub(in crate::cli) key: Option<String>,
    /// End at a checkpoint that a witness has cosigned
    #[arg(long, conflicts_with = "check")]
    pub(in crate::cli) cosigned: bool,
    /// Have the proof, or the newest checkpoint without an article, stamped by this time stamping authority (RFC 3161): it
    /// goes to the file of --output, and the time stamp next to it, to FILE.tsr
    #[arg(long, value_name = "URL", requires = "output", conflicts_with = "check")]
    pub(in crate::cli) timestamp: Option<Url>,
    /// The file for what is stamped; it must not exist
    #[arg(long, value_name = "FILE", requires = "timestamp")]
    pub(in crate::cli) output: Option<PathBuf>,
    /// Print the newest checkpoint of the log instead
    #[arg(long, conflicts_with = "article")]
    pub(in crate::cli) checkpoint: bool,
}

/// The arguments of `key`.
#[derive(Debug, Args)]
pub(in crate::cli) struct KeyArgs {
    #[command(subcommand)]
    pub(in crate::cli) command: KeyCommand,
}

/// What to do with a key.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum KeyCommand {
    /// Make a private key in a new file, for `serve --log-key`; keep it outside the archive
    New {
        /// The file to create
        file: PathBuf,
    },
    /// Print the verifier key with which others check proofs: that of the archive, or that of a private key
    Show {
        /// The file with the private key [default: ask the archive]
        #[arg(requires = "origin")]
        file: Option<PathBuf>,
        /// The log's origin, as in `serve --log-origin`
        #[arg(long, requires = "file")]
        origin: Option<String>,
    },
}
