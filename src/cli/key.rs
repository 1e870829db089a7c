//! `key`: makes the key that signs checkpoints, and prints the key that checks them.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use data_encoding::HEXLOWER;

use super::args::globals::Globals;
use super::args::proof::KeyCommand;
use super::connect::{Access, Session};
use super::exit::{Exit, Failure};
use super::output::Output;
use crate::archive::ArchiveInfo;
use crate::proof::LogKey;
use crate::server::{Signer, Witness};
use crate::wire::pb;

pub(super) async fn run(globals: &Globals, command: &KeyCommand, out: &mut Output) -> Result<(), Failure> {
    match command {
        KeyCommand::New { file } => new(file, out),
        KeyCommand::Show { file: Some(file), origin } => {
            let origin = origin.as_deref().unwrap_or_default();
            let key = LogKey::from_pem(&read(file)?, origin).map_err(|error| unusable(file, &error))?;
            out.line(key.verifier())
        }
        KeyCommand::Show { file: None, .. } => {
            let session = Session::open(globals, "key", Access::Existing).await?;
            let shown = show(&session, out).await;
            session.close().await;
            shown
        }
    }
}

/// Prints the keys of the archive.
async fn show(session: &Session, out: &mut Output) -> Result<(), Failure> {
    let reply = session.client().integrity.clone().list_log_keys(pb::ListLogKeysRequest {}).await?.into_inner();
    if out.json {
        return out.message(&reply);
    }
    if reply.keys.is_empty() {
        return Err(Failure::new(Exit::NotFound, "the archive has no log key").hint(HINT));
    }
    reply.keys.iter().try_for_each(|key| out.line(&key.verifier_key))
}

/// What the default origins of logs begin with. Nobody owns the name.
const UNOWNED: &str = "dateline.invalid/";

const HINT: &str = "make one with `dateline key new FILE`, then start the server with --log-key FILE, or set \
                    DATELINE_LOG_KEY for a command that opens the archive itself";

fn new(path: &Path, out: &mut Output) -> Result<(), Failure> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::new(Exit::Failed, format!("the key cannot be written to {}: {error}", path.display()))
    };
    let pem = LogKey::generate().map_err(|error| failed(&error))?;
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(|error| failed(&error))?;
    file.write_all(pem.as_bytes()).and_then(|()| file.sync_all()).map_err(|error| failed(&error))?;
    out.note(format_args!(
        "{} has a private key. Keep a copy of it outside the archive and its backups: anybody who has it can sign for the log.",
        path.display()
    ));
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| unusable(path, &error))
}

fn unusable(path: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::new(Exit::Usage, format!("the log key {} cannot be used: {error}", path.display()))
}

/// The signer with the keys in these files, for the log of an archive; `None` without files. A restored archive
/// has an origin of its own.
pub(super) fn signer(
    files: &[PathBuf],
    origin: Option<String>,
    witnesses: Vec<Witness>,
    archive: &ArchiveInfo,
) -> Result<Option<Arc<Signer>>, Failure> {
    let origin = origin.unwrap_or_else(|| format!("{UNOWNED}{}", HEXLOWER.encode(&archive.id)));
    let origin = match archive.log_epoch {
        Some(epoch) => format!("{origin}/{}", HEXLOWER.encode(&epoch)),
        None => origin,
    };
    let signer = signer_of(files, &origin)?;
    Ok(signer.map(|signer| Arc::new(signer.with_witnesses(witnesses))))
}

/// Checks that a server could sign with the keys in these files, under this origin.
pub(super) fn check(files: &[PathBuf], origin: Option<&str>) -> Result<(), Failure> {
    signer_of(files, origin.unwrap_or(UNOWNED)).map(drop)
}

fn signer_of(files: &[PathBuf], origin: &str) -> Result<Option<Signer>, Failure> {
    let Some((first, others)) = files.split_first() else { return Ok(None) };
    let mut signer = Signer::from_pem(&read(first)?, origin).map_err(|error| unusable(first, &error))?;
    for file in others {
        signer = signer.with_key(&read(file)?).map_err(|error| unusable(file, &error))?;
    }
    Ok(Some(signer))
}
