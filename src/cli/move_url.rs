//! `move-url`: moves an address to another article, or ends it.

use super::args::MoveUrlArgs;
use super::connect::Session;
use super::exit::Failure;
use super::output::Output;
use super::short_name::short;
use super::{precondition, style};
use crate::wire::pb::move_url_request::Destination;
use crate::wire::{pb, timestamp_to_pb};

pub(super) async fn run(session: &Session, args: MoveUrlArgs, out: &mut Output) -> Result<(), Failure> {
    let dry_run = args.write.dry_run;
    // An article that is named by another of its URLs is the one to which that leads at the time of the move.
    let resolve = async |article: &Option<super::article::ArticleRef>| match article {
        Some(article) => article.resolve(session, args.observed_at, None).await,
        None => Ok(String::new()),
    };
    let (name, from_name) = (resolve(&args.article).await?, resolve(&args.from).await?);
    let destination = if args.end { Destination::Ends(true) } else { Destination::Name(name.clone()) };
    let request = pb::MoveUrlRequest {
        url: args.url.clone(),
        destination: Some(destination),
        from_name,
        observe_time: args.observed_at.map(timestamp_to_pb),
        reason: args.reason,
        precondition: precondition(&args.write),
        request_id: args.write.request_id.unwrap_or_default(),
        validate_only: dry_run,
    };
    let done = session.archive().move_url(request).await?.into_inner();
    if out.json {
        return out.message(&done);
    }
    let outcome = match (done.changed, args.end, dry_run) {
        (false, _, _) => "unchanged",
        (true, true, true) => "would end",
        (true, true, false) => "ended",
        (true, false, true) => "would move",
        (true, false, false) => "moved",
    };
    let painter = out.painter();
    let paint = |name: &str| painter.paint(style::NAME, &short(name));
    let from = if done.lost_by.is_empty() { String::new() } else { format!("  from {}", paint(&done.lost_by)) };
    let to = if args.end || !done.changed { String::new() } else { format!("  to {}", paint(&name)) };
    let line = format!("{}  {}{from}{to}", painter.paint(style::CHANGED, outcome), style::safe_line(&args.url));
    let leads_elsewhere = !dry_run && done.leads_to != name;
    out.line(line)?;
    if leads_elsewhere {
        out.note(match done.leads_to.as_str() {
            "" => "the address ends later, and now leads nowhere".to_owned(),
            article => format!("the address was moved on later, and now leads to {}", short(article)),
        });
    }
    Ok(())
}
