//! `absent`: records that an article's page was found missing.

use super::args::{AbsentArgs, MissingHow};
use super::connect::Session;
use super::exit::Failure;
use super::missing::{missing, verb};
use super::output::Output;
use super::precondition;
use super::short_name::short;
use super::style;
use crate::wire::{pb, timestamp_to_pb};

const STATUS_GONE: u32 = 410;

pub(super) async fn run(session: &Session, args: AbsentArgs, out: &mut Output) -> Result<(), Failure> {
    let dry_run = args.write.dry_run;
    let name = args.article.resolve(session, args.observed_at, None).await?;
    let reason = match args.how {
        Some(MissingHow::NotFound) => pb::AbsenceReason::NotFound,
        Some(MissingHow::Gone) => pb::AbsenceReason::Gone,
        Some(MissingHow::FrontPage) => pb::AbsenceReason::Redirected,
        None if args.status == Some(STATUS_GONE) => pb::AbsenceReason::Gone,
        None => pb::AbsenceReason::NotFound,
    };
    let default = u32::from(reason == pb::AbsenceReason::Gone);
    let request = pb::RecordAbsenceRequest {
        target: Some(pb::record_absence_request::Target::Name(name)),
        observe_time: args.observed_at.map(timestamp_to_pb),
        reason: reason.into(),
        http_status: args.status.unwrap_or_default(),
        // 0 lets the archive choose.
        gone_after: args.gone_after.unwrap_or(default),
        precondition: precondition(&args.write),
        request_id: args.write.request_id.unwrap_or_default(),
        validate_only: dry_run,
        ..pb::RecordAbsenceRequest::default()
    };
    let done = session.archive().record_absence(request).await?.into_inner();
    if out.json { out.message(&done) } else { print(&done, dry_run, out) }
}

/// Prints what was done about a missing page, such as `missing  gazette/ferry  2 of 3 looks; last seen …`.
pub(super) fn print(done: &pb::RecordAbsenceResponse, dry_run: bool, out: &mut Output) -> Result<(), Failure> {
    let article = done.article.clone().unwrap_or_default();
    let painter = out.painter();
    let name = painter.paint(style::NAME, &short(&article.name));
    if dry_run && done.changed {
        // The article still has the state from before.
        return out.line(format_args!("{}  {name}", painter.paint(style::BAD, "would record as missing")));
    }
    let what = missing(&article, out).map(|what| format!("  {what}")).unwrap_or_default();
    let replayed = if done.replayed { "  (repeated request)" } else { "" };
    out.line(format_args!("{}  {name}{what}{replayed}", painter.paint(style::BAD, verb(&article))))
}
