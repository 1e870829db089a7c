//! The arguments of `backup` and `restore`.

use std::path::PathBuf;

use clap::Args;

use super::values;
use crate::backup::Until;
use crate::model::Seq;

/// The arguments of `backup`.
#[derive(Debug, Args)]
pub(in crate::cli) struct BackupArgs {
    /// The directory of the backup, created if it does not exist; - writes to standard output. With --check, the
    /// directories and files to check; - reads standard input
    #[arg(required = true, value_name = "DIR")]
    pub(in crate::cli) places: Vec<PathBuf>,
    /// Make a full backup instead of an incremental one
    #[arg(long)]
    pub(in crate::cli) full: bool,
    /// Back up the changes from this position on [default: continue the backup in the directory]
    #[arg(long, value_name = "SEQ", conflicts_with = "full", value_parser = values::position)]
    pub(in crate::cli) since: Option<u64>,
    /// Read a backup and check that it is undamaged, instead of making one; needs no archive
    #[arg(long, conflicts_with_all = ["full", "since"])]
    pub(in crate::cli) check: bool,
}

/// The arguments of `restore`.
#[derive(Debug, Args)]
pub(in crate::cli) struct RestoreArgs {
    /// The directory of the backup, or its files; - reads standard input
    #[arg(required = true, value_name = "FROM")]
    pub(in crate::cli) from: Vec<PathBuf>,
    /// Restore only the changes below this position, or those archived by this time [default: all]
    #[arg(long, value_name = "SEQ|TIME", value_parser = until)]
    pub(in crate::cli) to: Option<Until>,
}

/// Parses the end of a restore. Digits alone are a position, since no format of times has only digits.
fn until(text: &str) -> Result<Until, String> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let seq = text.parse().map_err(|_| "no change has a position this high".to_owned())?;
        return Ok(Until::Seq(Seq(seq)));
    }
    values::instant(text).map(Until::ArchiveTime).map_err(|error| format!("{error}; or a change's position"))
}
