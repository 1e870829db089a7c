//! `withdraw`: records that the publisher took an article down.

use super::args::MarkArgs;
use super::connect::Session;
use super::exit::Failure;
use super::output::Output;
use super::short_name::short;
use super::{instant, precondition, style};
use crate::wire::{pb, timestamp_to_pb};

pub(super) async fn run(session: &Session, args: MarkArgs, out: &mut Output) -> Result<(), Failure> {
    let dry_run = args.write.dry_run;
    let request = pb::WithdrawArticleRequest {
        name: args.article.resolve(session, None).await?,
        observe_time: args.observed_at.map(timestamp_to_pb),
        precondition: precondition(&args.write),
        reason: args.reason,
        request_id: args.write.request_id.unwrap_or_default(),
        validate_only: dry_run,
    };
    let done = session.archive().withdraw_article(request).await?.into_inner();
    if out.json {
        return out.message(&done);
    }
    let article = done.article.unwrap_or_default();
    report(&article, done.changed, if dry_run { "would withdraw" } else { "withdrawn" }, out)
}

/// Prints the outcome of a state change. If it changed nothing, that is shown on a terminal only.
pub(super) fn report(article: &pb::Article, changed: bool, verb: &str, out: &mut Output) -> Result<(), Failure> {
    if !changed && !out.is_terminal() {
        return Ok(());
    }
    let verb = if changed { verb } else { "unchanged" };
    let painter = out.painter();
    let since = instant(article.state_time.as_ref()).map(|since| format!("  since {}", out.time(since)));
    let verb = painter.paint(style::CHANGED, verb);
    let name = painter.paint(style::NAME, &short(&article.name));
    out.line(format_args!("{verb}  {name}{}", since.unwrap_or_default()))
}
