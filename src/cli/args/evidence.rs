//! The arguments of `evidence`.

use std::path::PathBuf;

use clap::Args;

use super::values::revision_number;
use crate::cli::article::ArticleRef;
use crate::model::RevisionNumber;
use crate::proof::VerifierKey;

/// The arguments of `evidence`.
#[derive(Debug, Args)]
pub(in crate::cli) struct EvidenceArgs {
    /// The article of which to write evidence
    #[arg(required_unless_present = "check")]
    pub(in crate::cli) article: Option<ArticleRef>,
    /// Write evidence of this revision [default: the newest]
    #[arg(long, short, value_name = "N", value_parser = revision_number, requires = "article")]
    pub(in crate::cli) revision: Option<RevisionNumber>,
    /// Write to this file, which must not exist, such as ferry.zip
    #[arg(long, short, value_name = "FILE", required_unless_present = "check", requires = "article")]
    pub(in crate::cli) output: Option<PathBuf>,
    /// Use this proof, which `dateline proof` wrote, with its checkpoint and the signatures on it [default: a new one]
    #[arg(long, value_name = "FILE", requires = "article", conflicts_with = "revision")]
    pub(in crate::cli) from: Option<PathBuf>,
    /// End the proof at a checkpoint that a witness has cosigned
    #[arg(long, requires = "article", conflicts_with = "from")]
    pub(in crate::cli) cosigned: bool,
    /// Add this time stamp of the checkpoint: an RFC 3161 response for the checkpoint in the proof of --from; can be
    /// repeated
    #[arg(long, value_name = "FILE", requires = "from")]
    pub(in crate::cli) timestamp: Vec<PathBuf>,
    /// Check an evidence file instead, without an archive
    #[arg(long, value_name = "FILE", conflicts_with = "article")]
    pub(in crate::cli) check: Option<PathBuf>,
    /// Check with this verifier key, as `dateline key show` prints it, or a file that has it [default: the one in the
    /// evidence file, which proves less]
    #[arg(long, value_name = "KEY", requires = "check")]
    pub(in crate::cli) key: Option<String>,
    /// Require that the witness with this verifier key has cosigned the checkpoint; can be repeated
    #[arg(long, value_name = "KEY", requires = "check")]
    pub(in crate::cli) witness: Vec<VerifierKey>,
}
