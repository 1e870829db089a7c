//! `token`, `login`, `logout`, `whoami` and `audit`: who may call, and who called.

use std::io::{BufRead, BufReader};
use std::path::Path;

use super::args::access::{AuditArgs, CreateArgs, LoginArgs, TokenCommand};
use super::args::globals::Globals;
use super::args::values;
use super::connect::Session;
use super::credentials;
use super::exit::{Exit, Failure};
use super::folders::archive_directory;
use super::output::Output;
use super::{style, times};
use crate::model::Timestamp;
use crate::server::{AUDIT_CODES_DENIED, AuditLine, audit_files};
use crate::wire::{instant, pb, timestamp_to_pb};

pub(super) async fn token(session: &Session, command: &TokenCommand, out: &mut Output) -> Result<(), Failure> {
    match command {
        TokenCommand::Create(args) => create(session, args, out).await,
        TokenCommand::List => list(session, out).await,
        TokenCommand::Revoke { name } => {
            let request = pb::RevokeTokenRequest { name: name.clone() };
            session.client().access.clone().revoke_token(request).await?;
            out.line(format_args!("revoked  {}", style::safe_line(name)))
        }
    }
}

async fn create(session: &Session, args: &CreateArgs, out: &mut Output) -> Result<(), Failure> {
    let expire_time = args.expires.as_deref().map(expiry).transpose()?.map(timestamp_to_pb);
    let request = pb::CreateTokenRequest {
        name: args.name.clone(),
        permissions: args.may.iter().map(|may| may.to_pb().into()).collect(),
        sources: args.source.clone(),
        expire_time,
    };
    let created = session.client().access.clone().create_token(request).await?.into_inner();
    if out.json {
        return out.message(&created);
    }
    out.note("This token is shown once, and kept nowhere. `dateline login URL` reads it, or DATELINE_TOKEN_FILE names a file \
              with it.");
    out.line(&created.token)
}

/// When a token ends: `90d` is a number of days from now, anything else is a time.
fn expiry(text: &str) -> Result<Timestamp, Failure> {
    if let Some(days) = text.strip_suffix('d').and_then(|days| days.parse::<i64>().ok()) {
        return Ok(times::now().saturating_add_micros(days.saturating_mul(24 * 60 * 60 * 1_000_000)));
    }
    values::instant(text)
        .map_err(|error| Failure::new(Exit::Usage, format!("--expires: {error}; or days, such as 90d")))
}

async fn list(session: &Session, out: &mut Output) -> Result<(), Failure> {
    let mut request = pb::ListTokensRequest { page_size: 1_000, page_token: String::new() };
    loop {
        let page = session.client().access.clone().list_tokens(request.clone()).await?.into_inner();
        for principal in &page.principals {
            show(principal, out)?;
        }
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            return Ok(());
        }
    }
}

/// Shows who calls, by the credentials that commands send.
pub(super) async fn whoami(session: &Session, out: &mut Output) -> Result<(), Failure> {
    let reply = session.client().access.clone().get_caller(pb::GetCallerRequest {}).await?.into_inner();
    match &reply.caller {
        Some(principal) => show(principal, out),
        None if out.json => out.message(&reply),
        None => out.line("This server does not tell its callers apart; each may do everything."),
    }
}

fn show(principal: &pb::Principal, out: &mut Output) -> Result<(), Failure> {
    if out.json {
        return out.message(principal);
    }
    let expires = instant(principal.expire_time.as_ref()).map(|time| format!("  expires {}", out.time(time)));
    let used = instant(principal.last_use_time.as_ref()).map(|time| format!("  last call {}", out.time(time)));
    let name = out.painter().paint(style::NAME, &style::safe_line(&principal.name));
    out.line(format_args!("{name}{}{}", expires.unwrap_or_default(), used.unwrap_or_default()))?;
    for grant in &principal.grants {
        let may = grant.permissions().map(permission_name).collect::<Vec<_>>().join(", ");
        out.line(format_args!("  {may}: {}", style::safe_line(&grant.sources.join(", "))))?;
    }
    Ok(())
}

fn permission_name(permission: pb::Permission) -> String {
    permission.as_str_name().trim_start_matches("PERMISSION_").to_lowercase()
}

pub(super) fn log_in(args: &LoginArgs, out: &mut Output) -> Result<(), Failure> {
    credentials::log_in(&args.url)?;
    out.line(format_args!("logged in  {}", style::safe_line(&args.url)))
}

pub(super) fn log_out(args: &LoginArgs, out: &mut Output) -> Result<(), Failure> {
    if !credentials::log_out(&args.url)? {
        return Err(Failure::new(Exit::NotFound, format!("no token is kept for {}", args.url)));
    }
    out.line(format_args!("logged out  {}", style::safe_line(&args.url)))
}

/// Prints the audit file of an archive on this machine, earliest line first.
pub(super) fn audit(globals: &Globals, args: &AuditArgs, out: &mut Output) -> Result<(), Failure> {
    let directory = archive_directory(globals.archive.as_deref(), None)?;
    for path in audit_files(&directory) {
        let failed = |error: &dyn std::fmt::Display| {
            Failure::new(Exit::Failed, format!("{} cannot be read: {error}", path.display()))
        };
        let file = std::fs::File::open(&path).map_err(|error| failed(&error))?;
        for line in BufReader::new(file).lines() {
            let line = line.map_err(|error| failed(&error))?;
            // A line that was cut off by a crash says nothing.
            let Ok(call) = serde_json::from_str::<AuditLine>(&line) else { continue };
            let is_denied = AUDIT_CODES_DENIED.contains(&call.code.as_str());
            let is_of = args.principal.as_ref().is_none_or(|name| *name == call.principal);
            if (args.denied && !is_denied) || !is_of {
                continue;
            }
            print(&call, &line, is_denied, out)?;
        }
    }
    Ok(())
}

fn print(call: &AuditLine, line: &str, is_denied: bool, out: &mut Output) -> Result<(), Failure> {
    if out.json {
        return out.line(line);
    }
    let who = if call.principal.is_empty() { "-" } else { &call.principal };
    let code = if is_denied { out.painter().paint(style::BAD, &call.code) } else { call.code.clone() };
    let method = Path::new(&call.method).file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let words = [call.time.as_str(), who, call.peer.as_str(), method, call.resource.as_str()];
    let words: Vec<String> = words.iter().filter(|word| !word.is_empty()).map(|word| style::safe_line(word)).collect();
    let left_out = match call.left_out {
        0 => String::new(),
        count => format!("  ({count} more were left out)"),
    };
    out.line(format_args!("{}  {code}{left_out}", words.join("  ")))
}
