//! `rollback`: records an earlier revision's content again.

use super::args::RollbackArgs;
use super::connect::Session;
use super::exit::Failure;
use super::output::Output;
use super::{precondition, style, words};
use crate::capture::article_of_revision;
use crate::cli::short_name::short;
use crate::wire::{pb, timestamp_to_pb};

pub(super) async fn run(session: &Session, args: &RollbackArgs, out: &mut Output) -> Result<(), Failure> {
    let request = pb::RollbackArticleRequest {
        name: args.article.resolve(session, None, None).await?,
        revision_number: args.to.get(),
        observe_time: args.observed_at.map(timestamp_to_pb),
        precondition: precondition(&args.write),
        request_id: args.write.request_id.clone().unwrap_or_default(),
        validate_only: args.write.dry_run,
    };
    let done = session.archive().rollback_article(request).await?.into_inner();
    if out.json {
        return out.message(&done);
    }
    let changed = done.outcome() != pb::ObservationOutcome::Unchanged;
    if !changed && !out.is_terminal() {
        return Ok(());
    }
    let verb = match (changed, args.write.dry_run) {
        (false, _) => "unchanged",
        (true, false) => "rolled back",
        (true, true) => "would roll back",
    };
    let revision = done.revision.unwrap_or_default();
    let painter = out.painter();
    let verb = painter.paint(style::CHANGED, verb);
    let name = painter.paint(style::NAME, &short(article_of_revision(&revision.name)));
    let delta = revision.word_delta.map(|delta| format!("  {}", words(delta))).unwrap_or_default();
    let number = revision.number;
    out.line(format_args!("{verb}  {name}  revision {number}, with the content of revision {}{delta}", args.to))
}
