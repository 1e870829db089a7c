//! `withdraw`: records that the publisher took an article down.

use super::args::StateChangeArgs;
use super::connect::Session;
use super::exit::Failure;
use super::output::Output;
use super::short_name::short;
use super::{precondition, style};
use crate::client::as_of;
use crate::model::Timestamp;
use crate::wire::{instant, pb, timestamp_to_pb};

pub(super) async fn run(session: &Session, args: StateChangeArgs, out: &mut Output) -> Result<(), Failure> {
    let dry_run = args.write.dry_run;
    let name = args.article.resolve(session, None, None).await?;
    let before = state_at(session, &name, args.observed_at).await;
    let request = pb::WithdrawArticleRequest {
        name,
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
    let outcome = match done.changed {
        false => "already withdrawn".to_owned(),
        true if dry_run => format!("would withdraw{}", again(before, pb::ArticleState::Withdrawn)),
        true => format!("withdrawn{}", again(before, pb::ArticleState::Withdrawn)),
    };
    report(&outcome, &done.article.unwrap_or_default(), out)
}

/// Says that the article was in this state before. The state change is recorded even so, with its own time and reason.
pub(super) fn again(before: Option<pb::ArticleState>, state: pb::ArticleState) -> &'static str {
    if before == Some(state) { " again" } else { "" }
}

/// The state of an article before a state change at `observed_at`. `None` if it cannot be read; the change then fails
/// with a better error.
pub(super) async fn state_at(
    session: &Session,
    name: &str,
    observed_at: Option<Timestamp>,
) -> Option<pb::ArticleState> {
    let request = pb::GetArticleRequest {
        name: name.to_owned(),
        as_of: as_of(observed_at, None),
        view: pb::ArticleView::Basic.into(),
        min_next_seq: 0,
    };
    let found = session.archive().get_article(request).await.ok()?.into_inner();
    found.article.map(|article| article.state())
}

/// Prints the outcome of a state change, such as `withdrawn  gazette/ferry  since 2026-05-16T18:00:00Z`.
pub(super) fn report(outcome: &str, article: &pb::Article, out: &mut Output) -> Result<(), Failure> {
    let painter = out.painter();
    // After a dry run, the article still has the state from before.
    let state_time = article.state_time.as_ref().filter(|_| !outcome.starts_with("would"));
    let since = instant(state_time).map(|since| format!("  since {}", out.time(since)));
    let outcome = painter.paint(style::CHANGED, outcome);
    let name = painter.paint(style::NAME, &short(&article.name));
    out.line(format_args!("{outcome}  {name}{}", since.unwrap_or_default()))
}
