//! `reinstate`: records that a withdrawn article is up again.

use super::args::StateChangeArgs;
use super::connect::Session;
use super::exit::Failure;
use super::output::Output;
use super::precondition;
use super::withdraw::{again, report, state_at};
use crate::wire::{pb, timestamp_to_pb};

pub(super) async fn run(session: &Session, args: StateChangeArgs, out: &mut Output) -> Result<(), Failure> {
    let dry_run = args.write.dry_run;
    let name = args.article.resolve(session, None, None).await?;
    let before = state_at(session, &name, args.observed_at).await;
    let request = pb::ReinstateArticleRequest {
        name,
        observe_time: args.observed_at.map(timestamp_to_pb),
        precondition: precondition(&args.write),
        reason: args.reason,
        request_id: args.write.request_id.unwrap_or_default(),
        validate_only: dry_run,
    };
    let done = session.archive().reinstate_article(request).await?.into_inner();
    if out.json {
        return out.message(&done);
    }
    let article = done.article.unwrap_or_default();
    // Looks found the page missing, and only a look that finds it makes the article live.
    let is_gone = article.state() == pb::ArticleState::Gone;
    let outcome = match done.changed {
        false if is_gone => "already reinstated".to_owned(),
        false => "already live".to_owned(),
        true if dry_run => format!("would reinstate{}", again(before, pb::ArticleState::Live)),
        true => format!("reinstated{}", again(before, pb::ArticleState::Live)),
    };
    let outcome = if is_gone { format!("{outcome}, still gone") } else { outcome };
    report(&outcome, &article, out)
}
