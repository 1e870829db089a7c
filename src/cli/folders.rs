//! The directories of the archive, and of what commands keep outside it for their next run.

use std::path::{Path, PathBuf};

use etcetera::{AppStrategy, AppStrategyArgs, choose_app_strategy};

use super::connect::Session;
use super::exit::{Exit, Failure};
use crate::capture::state_file::StateDir;

/// The archive's directory: from the flag, the environment, the configuration, or the platform.
pub(super) fn archive_directory(flag: Option<&Path>, configured: Option<PathBuf>) -> Result<PathBuf, Failure> {
    if let Some(flag) = flag {
        return Ok(flag.to_path_buf());
    }
    if let Some(path) = std::env::var_os("DATELINE_ARCHIVE").filter(|path| !path.is_empty()) {
        return Ok(path.into());
    }
    if let Some(configured) = configured {
        return Ok(configured);
    }
    let no_home = Failure::new(Exit::Usage, "there is no home directory to keep an archive in")
        .hint("name a directory with --archive DIR, or in DATELINE_ARCHIVE");
    platform_dirs().map(|dirs| dirs.data_dir()).ok_or(no_home)
}

/// The state directory of the platform, for what commands keep outside the archive.
fn state_folder() -> Result<PathBuf, Failure> {
    let no_home = Failure::new(Exit::Usage, "there is no home directory to keep state in")
        .hint("name a directory with --state-dir DIR");
    platform_dirs().map(|dirs| dirs.state_dir().unwrap_or_else(|| dirs.data_dir())).ok_or(no_home)
}

/// Rejects a `--state-dir` that is not a directory. Called before the archive is opened, since opening may create the
/// archive.
pub(super) fn check_state_dir(flag: Option<&Path>) -> Result<(), Failure> {
    match flag {
        Some(folder) if folder.exists() && !folder.is_dir() => {
            Err(Failure::new(Exit::Usage, format!("--state-dir: {} is not a directory", folder.display())))
        }
        Some(_) | None => Ok(()),
    }
}

/// The directory of a command's state files for this archive: that of `--state-dir`, or the command's own in the
/// platform's state directory.
pub(super) async fn state_dir(session: &Session, flag: Option<&Path>, command: &str) -> Result<StateDir, Failure> {
    let folder = match flag {
        Some(folder) => folder.to_owned(),
        None => state_folder()?.join(command),
    };
    Ok(StateDir::of(session.client(), folder).await?)
}

/// The directories that the platform assigns to this program; `None` without a home directory.
pub(super) fn platform_dirs() -> Option<impl AppStrategy> {
    let names = AppStrategyArgs {
        top_level_domain: "org".to_owned(),
        author: "dateline".to_owned(),
        app_name: "dateline".to_owned(),
    };
    choose_app_strategy(names).ok()
}
