//! `subscriptions parked`, `retry` and `resolve`: the changes that a consumer could not process.

use super::{PAGE_SIZE, View, print};
use crate::cli::connect::Session;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::Output;
use crate::cli::short_name::short;
use crate::cli::table::table;
use crate::cli::watch::{exec, lines};
use crate::cli::{count, style};
use crate::model::SubscriptionId;
use crate::wire::{instant, pb};

/// The pages of a list, one after the other.
struct Pages<'a> {
    session: &'a Session,
    /// The request for the next page; `None` after the last.
    next: Option<pb::ListParkedChangesRequest>,
}

impl<'a> Pages<'a> {
    fn new(session: &'a Session, id: &SubscriptionId, view: Option<View>) -> Self {
        let view = view.unwrap_or(View::Basic).to_pb().into();
        let (page_size, page_token) = (PAGE_SIZE, String::new());
        Self { session, next: Some(pb::ListParkedChangesRequest { name: id.to_string(), page_size, page_token, view }) }
    }

    async fn next(&mut self) -> Result<Option<Vec<pb::ParkedChange>>, Failure> {
        let Some(request) = self.next.take() else { return Ok(None) };
        let page = self.session.feed().list_parked_changes(request.clone()).await?.into_inner();
        if !page.next_page_token.is_empty() {
            self.next = Some(pb::ListParkedChangesRequest { page_token: page.next_page_token, ..request });
        }
        Ok(Some(page.parked_changes))
    }
}

pub(super) async fn list(
    session: &Session,
    id: &SubscriptionId,
    view: Option<View>,
    out: &mut Output,
) -> Result<(), Failure> {
    if view.is_some() && !out.json {
        return Err(Failure::new(Exit::Usage, "--view has an effect only with --json"));
    }
    let mut pages = Pages::new(session, id, view);
    while !out.is_closed()
        && let Some(page) = pages.next().await?
    {
        if out.json {
            page.iter().try_for_each(|parked| out.message(parked))?;
            continue;
        }
        let rows: Vec<_> = page.iter().map(|parked| row(parked, out)).collect();
        table(&rows, out)?;
    }
    Ok(())
}

/// The columns: position, when it was parked, kind, article, attempts and reason.
fn row(parked: &pb::ParkedChange, out: &Output) -> [(String, anstyle::Style); 6] {
    let plain = anstyle::Style::new();
    let change = parked.change.clone().unwrap_or_default();
    let time = instant(parked.park_time.as_ref()).map(|time| out.brief_time(time)).unwrap_or_default();
    let (kind, kind_style) = lines::kind(&change);
    let attempts = u64::from(parked.attempts);
    let attempts = if out.is_terminal() { count(attempts, "attempt") } else { attempts.to_string() };
    [
        (change.seq.to_string(), plain),
        (time, style::FAINT),
        (kind.to_owned(), kind_style),
        (short(&change.article), style::NAME),
        (attempts, plain),
        (style::safe_line(&parked.reason), plain),
    ]
}

pub(super) async fn resolve(
    session: &Session,
    id: &SubscriptionId,
    seqs: &[u64],
    out: &mut Output,
) -> Result<(), Failure> {
    let request = pb::ResolveParkedChangesRequest { name: id.to_string(), seqs: seqs.to_vec() };
    let resolved = session.feed().resolve_parked_changes(request).await?.into_inner();
    print(resolved.subscription.as_slice(), out)
}

/// Runs the command for each parked change. Each change is resolved as soon as its command has succeeded, so that an
/// interruption repeats as little as possible.
pub(super) async fn retry(
    session: &Session,
    id: &SubscriptionId,
    command: &str,
    view: Option<View>,
    out: &mut Output,
) -> Result<(), Failure> {
    let mut pages = Pages::new(session, id, view);
    let (mut done, mut failed) = (0_u64, 0_u64);
    while let Some(page) = pages.next().await? {
        for change in page.iter().filter_map(|parked| parked.change.as_ref()) {
            let status = exec::run(command, change).await?;
            if status.success() {
                let request = pb::ResolveParkedChangesRequest { name: id.to_string(), seqs: vec![change.seq] };
                session.feed().resolve_parked_changes(request).await?;
                done += 1;
            } else {
                out.note(format_args!(
                    "dateline: change {}: the command failed ({status}); it stays parked",
                    change.seq
                ));
                failed += 1;
            }
        }
    }
    if failed > 0 {
        let changes = count(failed, "change");
        return Err(Failure::new(Exit::Failed, format!("the command failed for {changes}, and succeeded for {done}")));
    }
    if done > 0 && out.is_terminal() && !out.json {
        out.line(format_args!("resolved {}", count(done, "change")))?;
    }
    Ok(())
}
