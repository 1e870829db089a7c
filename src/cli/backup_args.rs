//! The arguments of `backup` and `restore`.

use std::path::PathBuf;

use clap::Args;

use super::args;
use crate::backup::Until;
use crate::model::Seq;

/// The arguments of `backup`.
#[derive(Debug, Args)]
pub(super) struct BackupArgs {
    /// The folder of the backup, which is made if need be; - is standard output. With --check: folders and files, and
    /// - is standard input
    #[arg(required = true, value_name = "DIR")]
    pub(super) places: Vec<PathBuf>,
    /// Back everything up, and don't go on behind the last backup
    #[arg(long)]
    pub(super) full: bool,
    /// Back up the changes from this position on
    #[arg(long, value_name = "SEQ", conflicts_with = "full")]
    pub(super) since: Option<u64>,
    /// Read a backup, and check that all of it is as it was written; needs no archive
    #[arg(long, conflicts_with_all = ["full", "since"])]
    pub(super) check: bool,
}

/// The arguments of `restore`.
#[derive(Debug, Args)]
pub(super) struct RestoreArgs {
    /// The folder of the backup, or its files; - is standard input
    #[arg(required = true, value_name = "FROM")]
    pub(super) from: Vec<PathBuf>,
    /// Restore the changes below this position, or those archived at or before this time [default: all]
    #[arg(long, value_name = "SEQ|TIME", value_parser = until)]
    pub(super) to: Option<Until>,
}

/// Digits alone are a position: no time is written so.
fn until(text: &str) -> Result<Until, String> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let seq = text.parse().map_err(|_| "that is more than a position can be".to_owned())?;
        return Ok(Until::Seq(Seq(seq)));
    }
    args::instant(text).map(Until::ArchiveTime)
}
