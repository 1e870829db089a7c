//! `reinstate`: records that a withdrawn article is up again.

use super::args::MarkArgs;
use super::connect::Session;
use super::exit::Failure;
use super::output::Output;
use super::{precondition, withdraw};
use crate::wire::{pb, timestamp_to_pb};

pub(super) async fn run(session: &Session, args: MarkArgs, out: &mut Output) -> Result<(), Failure> {
    let dry_run = args.write.dry_run;
    let request = pb::ReinstateArticleRequest {
        name: args.article.resolve(session, None).await?,
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
    withdraw::report(&article, done.changed, if dry_run { "would reinstate" } else { "reinstated" }, out)
}
