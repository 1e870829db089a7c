//! The tokens that `login` keeps, one for each server, and which token a command sends.
//!
//! A token comes from the file that DATELINE_TOKEN_FILE names, from DATELINE_TOKEN, or from `login`. It is never an
//! argument, since other users see those, and it is never sent where others on the network could read it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, IsTerminal, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use etcetera::AppStrategy;
use serde::{Deserialize, Serialize};
use url::Url;

use super::exit::{Exit, Failure};
use super::folders::platform_dirs;
use crate::capture::replace::replace_privately;
use crate::client::is_safe_for_secrets;

/// The largest token that is read, in bytes.
const TOKEN_BYTES_MAX: u64 = 4 << 10;

#[derive(Debug, Default, Deserialize, Serialize)]
struct Credentials {
    /// The token of each server, by its origin.
    #[serde(default)]
    tokens: BTreeMap<String, String>,
}

/// The token to send to the server at `url`, if one is known.
pub(super) fn token_for(url: &str) -> Result<Option<String>, Failure> {
    let Some(token) = known_token(url)? else { return Ok(None) };
    if is_safe_for_secrets(url) {
        return Ok(Some(token));
    }
    let message = format!("a token is not sent to {url}, where others on the network could read it");
    Err(Failure::new(Exit::Usage, message).hint("use https://, or call the server on its own machine"))
}

fn known_token(url: &str) -> Result<Option<String>, Failure> {
    if let Some(path) = std::env::var_os("DATELINE_TOKEN_FILE").filter(|path| !path.is_empty()) {
        let path = PathBuf::from(path);
        let failed = |error: io::Error| {
            Failure::new(Exit::Usage, format!("DATELINE_TOKEN_FILE: {} cannot be read: {error}", path.display()))
        };
        let mut token = String::new();
        fs::File::open(&path).map_err(failed)?.take(TOKEN_BYTES_MAX).read_to_string(&mut token).map_err(failed)?;
        return Ok(Some(token.trim().to_owned()));
    }
    if let Some(token) = std::env::var("DATELINE_TOKEN").ok().filter(|token| !token.is_empty()) {
        return Ok(Some(token.trim().to_owned()));
    }
    Ok(read()?.tokens.get(&origin(url)).cloned())
}

/// Keeps the token on standard input for a server.
pub(super) fn log_in(url: &str) -> Result<(), Failure> {
    if !is_safe_for_secrets(url) {
        let message = format!("a token for {url} could be read by others on the network");
        return Err(Failure::new(Exit::Usage, message).hint("use https://"));
    }
    let failed = |error: io::Error| Failure::new(Exit::Failed, format!("the token cannot be read: {error}"));
    let mut token = String::new();
    if io::stdin().is_terminal() {
        super::output::say("Paste the token, then press Enter:");
        io::stdin().read_line(&mut token).map_err(failed)?;
    } else {
        io::stdin().take(TOKEN_BYTES_MAX).read_to_string(&mut token).map_err(failed)?;
    }
    let token = token.trim();
    if !token.starts_with("dln_") {
        return Err(Failure::new(Exit::Usage, "that is not a token; tokens begin with dln_")
            .hint("an administrator makes one with `dateline token create`"));
    }
    let mut credentials = read()?;
    credentials.tokens.insert(origin(url), token.to_owned());
    write(&credentials)
}

/// Forgets the token for a server. Returns whether there was one.
pub(super) fn log_out(url: &str) -> Result<bool, Failure> {
    let mut credentials = read()?;
    let was_there = credentials.tokens.remove(&origin(url)).is_some();
    if was_there {
        write(&credentials)?;
    }
    Ok(was_there)
}

fn origin(url: &str) -> String {
    Url::parse(url).map_or_else(
        |_| url.to_owned(),
        |url| match url.scheme() {
            "http" | "https" => url.origin().ascii_serialization(),
            _ => url.to_string(),
        },
    )
}

fn path() -> Result<PathBuf, Failure> {
    let no_home = || {
        Failure::new(Exit::Usage, "there is no home directory to keep tokens in")
            .hint("set DATELINE_TOKEN_FILE instead")
    };
    platform_dirs().map(|dirs| dirs.config_dir().join("credentials.toml")).ok_or_else(no_home)
}

fn read() -> Result<Credentials, Failure> {
    let Ok(path) = path() else { return Ok(Credentials::default()) };
    let failed = |error: &dyn std::fmt::Display| {
        Failure::new(Exit::Failed, format!("{} cannot be used: {error}", path.display()))
    };
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Credentials::default()),
        text => text.map_err(|error| failed(&error))?,
    };
    let mode = fs::metadata(&path).map_err(|error| failed(&error))?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(failed(&"others can read it").hint(format!("run `chmod 600 {}`", path.display())));
    }
    toml::from_str(&text).map_err(|error| failed(&error.message()))
}

fn write(credentials: &Credentials) -> Result<(), Failure> {
    let path = path()?;
    let mut text = String::from("# Tokens kept by `dateline login`.\n[tokens]\n");
    for (origin, token) in &credentials.tokens {
        text.push_str(&format!("{origin:?} = {token:?}\n"));
    }
    replace_privately(&path, text.as_bytes())
        .map_err(|error| Failure::new(Exit::Failed, format!("{} cannot be written: {error}", path.display())))
}
