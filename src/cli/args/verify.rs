//! The arguments of `verify`.

use clap::Args;

/// The arguments of `verify`.
#[derive(Debug, Args)]
pub(in crate::cli) struct VerifyArgs {
    /// Rebuild all indexes from the log and the contents; no server may hold the archive
    #[arg(long)]
    pub(in crate::cli) rebuild: bool,
}
