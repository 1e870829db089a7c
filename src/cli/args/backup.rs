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
    /// Then rewrite the files in the directory that have text which was destroyed since
    #[arg(long, conflicts_with_all = ["check", "since"])]
    pub(in crate::cli) scrub: bool,
    /// With --scrub, make no backup, and destroy what this register says was destroyed: a file of a backup, or the file
    /// EXPUNGED of the archive; needs no archive. Can be repeated
    #[arg(long, value_name = "FILE", requires = "scrub", conflicts_with = "full")]
    pub(in crate::cli) register: Vec<PathBuf>,
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
    /// Leave out what this register says was destroyed, besides what the backup says: a later file of a backup, or the
    /// file EXPUNGED of the archive. Can be repeated
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) register: Vec<PathBuf>,
}

/// Parses the end of a restore. Digits alone are a position, since no format of times has only digits.
fn until(text: &str) -> Result<Until, String> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let seq = text.parse().map_err(|_| "no change has a position this high".to_owned())?;
        return Ok(Until::Seq(Seq(seq)));
    }
    values::instant(text).map(Until::ArchiveTime).map_err(|error| format!("{error}; or a change's position"))
}
