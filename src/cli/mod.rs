//! The command line: parses arguments, connects to an archive, sends requests, and prints the responses.
//!
//! A command talks gRPC to a server, or to an archive opened in this process over an in-memory connection; its code is
//! the same in both cases ([`connect`]). All output goes through [`output`], and [`exit`] defines exit statuses. The
//! rules of the archive itself are not implemented here.

mod absent;
mod access;
mod add;
mod args;
mod article;
mod backup;
mod capture_errors;
mod cert;
mod check;
mod compact;
mod completions;
mod config;
mod connect;
mod credentials;
mod diff;
mod evidence;
mod exit;
mod export;
mod expunge;
mod failures;
mod field_names;
mod folders;
mod follow;
mod import;
mod key;
mod label;
mod list;
mod log;
mod man;
mod missing;
mod move_url;
mod open;
mod outcomes;
mod output;
mod pages;
mod progress;
mod proof;
mod reinstate;
mod report;
mod restore;
mod rollback;
mod serve;
mod sharing;
mod short_name;
mod show;
mod signals;
mod status;
mod style;
mod subscriptions;
mod table;
mod times;
mod verify;
mod waiting;
mod watch;
mod webhook;
mod withdraw;

use std::borrow::Cow;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use self::args::globals::Globals;
use self::args::{Arguments, Command, WriteArgs};
use self::connect::{Access, Session};
use self::exit::{Exit, Failure, interrupted};
use self::folders::check_state_dir;
use self::output::{Output, say, say_panics, tell};
use crate::config::LogFormat;
use crate::telemetry;
use crate::wire::pb;

/// How long running tasks may take to end. Everything that was acknowledged is durable by then.
const ENDING: Duration = Duration::from_millis(500);

/// Runs the command line of this process, and returns its exit status.
pub fn main() -> ExitCode {
    say_panics();
    let Arguments { globals, command } = Arguments::of_process();
    let done = tokio::runtime::Runtime::new()
        .map_err(|error| Failure::new(Exit::Failed, format!("worker threads cannot be started: {error}")))
        .and_then(|runtime| {
            let done = runtime.block_on(async {
                check_read_only(&globals, &command)?;
                if let Command::Status(args) = &command
                    && args.check
                {
                    return check::run(&globals, args).await;
                }
                run(&globals, command).await.map(|()| ExitCode::SUCCESS)
            });
            runtime.shutdown_timeout(ENDING);
            done
        });
    match done {
        Ok(status) => status,
        Err(failure) => {
            tell(&failure);
            ExitCode::from(failure.exit as u8)
        }
    }
}

/// Rejects a command that writes to the archive if that must not be.
fn check_read_only(globals: &Globals, command: &Command) -> Result<(), Failure> {
    if globals.read_only && command.writes() {
        let message = "this command writes to an archive, and --read-only (or DATELINE_READ_ONLY) was given";
        return Err(Failure::new(Exit::Usage, message).hint("without it, the command opens the archive for writing"));
    }
    if globals.scratch.is_some() && !globals.read_only {
        return Err(Failure::new(Exit::Usage, "--scratch has an effect only with --read-only"));
    }
    Ok(())
}

async fn run(globals: &Globals, mut command: Command) -> Result<(), Failure> {
    let mut out = Output::new(globals);
    let (name, access) = match &mut command {
        Command::Serve(args) => {
            serve::run(globals, args, &mut out).await?;
            return out.finish();
        }
        Command::Config(args) => {
            config::run(globals, args, &mut out)?;
            return out.finish();
        }
        Command::Man { directory } => return man::run(directory),
        Command::Completions { shell } => {
            completions::run(*shell, &mut out)?;
            return out.finish();
        }
        Command::Verify(args) => {
            start_log(globals);
            let done = verify::run(globals, args, &mut out).await;
            let shown = out.finish();
            return done.and(shown);
        }
        Command::Cert(args) => {
            cert::run(&args.command, &mut out)?;
            return out.finish();
        }
        Command::Key(args) => {
            start_log(globals);
            key::run(globals, &args.command, &mut out).await?;
            return out.finish();
        }
        Command::Proof(args) if let Some((path, key)) = args.check.as_ref().zip(args.key.as_ref()) => {
            proof::check(path, key, &mut out)?;
            return out.finish();
        }
        Command::Proof(_) => ("proof", Access::Existing),
        Command::Evidence(args) if let Some(path) = &args.check => {
            evidence::check(path, args, &mut out)?;
            return out.finish();
        }
        Command::Evidence(_) => ("evidence", Access::Existing),
        Command::Compact => {
            start_log(globals);
            compact::run(globals, &mut out).await?;
            return out.finish();
        }
        Command::Add(args) => {
            // Read before the archive is opened: our input may come from another command on the same archive.
            args.standard_input = add::standard_input(&args.documents);
            ("add", if args.write.dry_run { Access::Validate } else { Access::Create })
        }
        Command::Follow(args) => {
            check_state_dir(args.state_dir.as_deref())?;
            ("follow", if args.dry_run { Access::Validate } else { Access::Create })
        }
        Command::Import(args) => {
            check_state_dir(args.state_dir.as_deref())?;
            ("import", if args.dry_run { Access::Validate } else { Access::Create })
        }
        Command::Show(_) => ("show", Access::Existing),
        Command::Open(_) => ("open", Access::Existing),
        Command::Log(_) => ("log", Access::Existing),
        Command::Diff(_) => ("diff", Access::Existing),
        Command::List(_) => ("list", Access::Existing),
        Command::Label(args) => {
            label::check(args)?;
            ("label", Access::Existing)
        }
        Command::MoveUrl(_) => ("move-url", Access::Existing),
        Command::Withdraw(_) => ("withdraw", Access::Existing),
        Command::Reinstate(_) => ("reinstate", Access::Existing),
        Command::Rollback(_) => ("rollback", Access::Existing),
        Command::Absent(_) => ("absent", Access::Existing),
        Command::Export(_) => ("export", Access::Existing),
        Command::Watch(_) => ("watch", Access::Existing),
        Command::Subscriptions(_) => ("subscriptions", Access::Existing),
        Command::Webhook(_) => ("webhook", Access::Existing),
        Command::Backup(args) if args.check => {
            backup::check(globals, args, &mut out).await?;
            return out.finish();
        }
        Command::Backup(args) if !args.register.is_empty() => {
            backup::scrub(globals, args, &mut out).await?;
            return out.finish();
        }
        Command::Backup(_) => ("backup", Access::Existing),
        Command::Restore(args) => {
            start_log(globals);
            restore::run(globals, args, &mut out).await?;
            return out.finish();
        }
        Command::Login(args) => {
            access::log_in(args, &mut out)?;
            return out.finish();
        }
        Command::Logout(args) => {
            access::log_out(args, &mut out)?;
            return out.finish();
        }
        Command::Audit(args) => {
            out.page();
            access::audit(globals, args, &mut out)?;
            return out.finish();
        }
        // The first principal is made before there is a server, and perhaps before there is an article.
        Command::Token(_) => ("token", Access::Create),
        Command::Whoami => ("whoami", Access::Existing),
        Command::Expunge(_) => ("expunge", Access::Alone),
        Command::Status(_) => ("status", Access::Existing),
    };
    start_log(globals);
    let mut session = Session::open(globals, name, access).await?;
    if matches!(command, Command::Open(_)) {
        session.show_pages().await?;
    }
    if command.may_take_long() {
        session.share(globals)?;
    }
    if matches!(command, Command::Show(_) | Command::Log(_) | Command::Diff(_) | Command::List(_)) {
        out.page();
        if session.is_embedded() {
            out.hold();
        }
    }
    let expunges = matches!(&command, Command::Expunge(args) if args.confirm.is_some());
    let to_compact = session.directory().filter(|_| expunges).map(Path::to_path_buf);
    let listens_for_signals = command.may_take_long();
    let mut done = tokio::select! {
        done = dispatch(&session, command, globals, &mut out) => done,
        () = session.interrupted(), if !listens_for_signals => Err(interrupted("nothing was changed")),
    };
    session.close().await;
    if let Some(path) = to_compact.filter(|_| done.is_ok()) {
        done = compact::remove_destroyed_text(globals, &path, &mut out).await;
    }
    // Output from before a failure is shown before the failure is reported.
    let shown = out.finish();
    done.and(shown)
}

async fn dispatch(session: &Session, command: Command, globals: &Globals, out: &mut Output) -> Result<(), Failure> {
    match command {
        Command::Add(args) => add::run(session, &args, globals, out).await,
        Command::Follow(args) => follow::run(session, &args, globals, out).await,
        Command::Import(args) => import::run(session, &args, globals, out).await,
        Command::Show(args) => show::run(session, &args, out).await,
        Command::Open(args) => open::run(session, &args, out).await,
        Command::Log(args) => log::run(session, &args, out).await,
        Command::Diff(args) => diff::run(session, &args, out).await,
        Command::List(args) => list::run(session, &args, out).await,
        Command::Label(args) => label::run(session, args, out).await,
        Command::MoveUrl(args) => move_url::run(session, args, out).await,
        Command::Withdraw(args) => withdraw::run(session, args, out).await,
        Command::Reinstate(args) => reinstate::run(session, args, out).await,
        Command::Rollback(args) => rollback::run(session, &args, out).await,
        Command::Absent(args) => absent::run(session, args, out).await,
        Command::Export(args) => export::run(session, &args, globals, out).await,
        Command::Watch(args) => watch::run(session, &args, out).await,
        Command::Subscriptions(args) => subscriptions::run(session, &args, out).await,
        Command::Webhook(args) => webhook::run(session, &args, out).await,
        Command::Token(args) => access::token(session, &args.command, out).await,
        Command::Whoami => access::whoami(session, out).await,
        Command::Expunge(args) => expunge::run(session, args, out).await,
        Command::Status(_) => status::run(session, out).await,
        Command::Proof(args) => proof::run(session, &args, out).await,
        Command::Evidence(args) => evidence::run(session, &args, out).await,
        Command::Backup(args) => backup::run(session, &args, globals, out).await,
        // `run` has dealt with these, which need no session.
        Command::Serve(_)
        | Command::Completions { .. }
        | Command::Config(_)
        | Command::Man { .. }
        | Command::Verify(_)
        | Command::Compact
        | Command::Key(_)
        | Command::Login(_)
        | Command::Logout(_)
        | Command::Audit(_)
        | Command::Cert(_)
        | Command::Restore(_) => Ok(()),
    }
}

/// Logs to standard error. An archive opened in this process reports damage and failures only through its log.
fn start_log(globals: &Globals) {
    let default = if globals.quiet { "off" } else { "warn" };
    let filter = std::env::var("DATELINE_LOG_FILTER").unwrap_or_else(|_| default.to_owned());
    if let Err(error) = telemetry::start(&filter, LogFormat::Text) {
        say(format_args!("dateline: logging is off: {error}"));
    }
}

/// The precondition of a write: the article's newest revision is the one given with `--if-revision`.
fn precondition(write: &WriteArgs) -> Option<pb::Precondition> {
    use pb::precondition::Condition;
    let condition = Condition::RevisionNumber(write.if_revision?.get());
    Some(pb::Precondition { condition: Some(condition) })
}

/// Formats a delta as `+12 -3 words`.
fn words(delta: pb::WordDelta) -> String {
    format!("+{} -{} words", delta.inserted, delta.deleted)
}

/// Formats the parts that a revision changed as `headline, claimed-times`, spelled as `--changed` accepts them.
fn changed_parts(revision: &pb::Revision) -> String {
    let names = revision.changed_parts().map(|part| part.as_str_name().trim_start_matches("CONTENT_PART_"));
    names.map(|name| name.to_lowercase().replace('_', "-")).collect::<Vec<_>>().join(", ")
}

/// Formats the labels that a change adds and removes as `+flood -draft`.
fn label_edit(added: &[String], removed: &[String]) -> String {
    let added = added.iter().map(|label| format!("+{}", style::safe_line(label)));
    let removed = removed.iter().map(|label| format!("-{}", style::safe_line(label)));
    added.chain(removed).collect::<Vec<_>>().join(" ")
}

/// Formats a count with its noun: `1 change`, `2 changes`, `2 entries`.
fn count(count: u64, noun: &str) -> String {
    match noun.strip_suffix('y') {
        _ if count == 1 => format!("1 {noun}"),
        Some(stem) => format!("{count} {stem}ies"),
        None => format!("{count} {noun}s"),
    }
}

/// The name of this many units, of which `plural` is the plural: `change`, `changes`; `entry`, `entries`.
fn units(count: u64, plural: &'static str) -> Cow<'static, str> {
    match plural.strip_suffix("ies") {
        _ if count != 1 => Cow::Borrowed(plural),
        Some(stem) => Cow::Owned(format!("{stem}y")),
        None => Cow::Borrowed(plural.strip_suffix('s').unwrap_or(plural)),
    }
}
