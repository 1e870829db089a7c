//! `expunge`: destroys texts that the archive may no longer keep, in two steps: a plan, and its execution.

use data_encoding::HEXLOWER_PERMISSIVE;

use super::args::expunge::ExpungeArgs;
use super::connect::Session;
use super::count;
use super::exit::{Exit, Failure};
use super::output::Output;
use super::short_name::short;
use super::style;
use crate::wire::pb;

/// What the destruction does not reach, for people.
const OUT_OF_REACH: &str = "Out of reach, and yours to deal with: backups (`dateline backup --scrub DIR`), exports, \
                            mirrors and subscribers (they get a change of kind expunged), copies of the disk, and what \
                            a disk keeps of deleted files.";

pub(super) async fn run(session: &Session, args: ExpungeArgs, out: &mut Output) -> Result<(), Failure> {
    let plan_digest = args.confirm.as_deref().map(digest).transpose()?;
    let name = args.article.resolve(session, None, None).await?;
    let scope = match (args.all, args.with_name) {
        (_, true) => pb::ExpungeScope::ArticleAndName,
        (true, false) => pb::ExpungeScope::Article,
        (false, false) => pb::ExpungeScope::Revisions,
    };
    let request = pb::ExpungeRevisionsRequest {
        article: name.clone(),
        scope: scope.into(),
        revision_numbers: args.revision.iter().map(|number| number.get()).collect(),
        reason: args.reason.to_pb().into(),
        reference: args.reference.clone(),
        validate_only: plan_digest.is_none(),
        plan_digest: plan_digest.clone().unwrap_or_default(),
    };
    let done = session.admin().expunge_revisions(request).await?.into_inner();
    if out.json {
        return out.message(&done);
    }
    let plan = done.plan.clone().unwrap_or_default();
    let painter = out.painter();
    let outcome = if plan_digest.is_some() { "expunged" } else { "would expunge" };
    let outcome = painter.paint(style::BAD, outcome);
    let is_renamed = !done.article.is_empty() && done.article != name;
    let renamed = if is_renamed { format!("  now {}", short(&done.article)) } else { String::new() };
    out.line(format_args!("{outcome}  {}{renamed}", painter.paint(style::NAME, &short(&name))))?;
    show(&plan, out)?;
    if plan_digest.is_some() {
        if session.server.is_some() {
            out.line(
                "The files of the server's archive have it until the archive is compacted: restart the server, which does \
                 that first.",
            )?;
        }
        return out.line(OUT_OF_REACH);
    }
    if plan.change_count == 0 {
        return out.line("Nothing is left to destroy.");
    }
    out.line(OUT_OF_REACH)?;
    let digest = HEXLOWER_PERMISSIVE.encode(&plan.digest);
    out.line(format_args!("To destroy this, repeat the command with --confirm {digest}"))
}

fn show(plan: &pb::ExpungePlan, out: &mut Output) -> Result<(), Failure> {
    let numbers = |numbers: &[u32]| numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let rows = [
        ("Revisions", numbers(&plan.revision_numbers)),
        ("Changes", plan.change_count.to_string()),
        ("Originals", plan.original_count.to_string()),
        ("Same text", numbers(&plan.same_content_revision_numbers)),
        ("Delivered", plan.subscriptions.join(", ")),
    ];
    let painter = out.painter();
    for (label, value) in rows {
        if !value.is_empty() && value != "0" {
            let value = style::safe_line(&value);
            out.line(format_args!("  {}{value}", painter.paint(style::FAINT, &style::pad(label, 11))))?;
        }
    }
    if plan.reencoded_count > 0 {
        out.line(format_args!("  {} stored again", count(plan.reencoded_count.into(), "other revision")))?;
    }
    if !plan.same_content_revision_numbers.is_empty() {
        out.line("  The revisions with the same text keep it, unless you name them, too.")?;
    }
    Ok(())
}

fn digest(text: &str) -> Result<Vec<u8>, Failure> {
    let decoded = HEXLOWER_PERMISSIVE.decode(text.trim().as_bytes()).ok().filter(|digest| digest.len() == 32);
    decoded.ok_or_else(|| {
        Failure::new(Exit::Usage, "--confirm must be the digest of the plan, 64 hexadecimal digits")
            .hint("run the command without --confirm to see the plan and its digest")
    })
}

/// The headline of a revision or, if its text was destroyed, why, such as `(destroyed: court order 14 O 82/26)`.
pub(super) fn headline(revision: &pb::Revision) -> String {
    match &revision.expunged {
        Some(expunged) => format!("(destroyed: {})", why(expunged.reason(), &expunged.reference)),
        None => revision.content.as_ref().map(|content| style::safe_line(&content.headline)).unwrap_or_default(),
    }
}

/// Why a text was destroyed, for people, with what the order can be found by.
pub(super) fn why(reason: pb::ExpungeReason, reference: &str) -> String {
    format!("{} {}", expunge_reason(reason), style::safe_line(reference)).trim_end().to_owned()
}

fn expunge_reason(reason: pb::ExpungeReason) -> &'static str {
    match reason {
        pb::ExpungeReason::CourtOrder => "court order",
        pb::ExpungeReason::PersonalData => "personal data",
        pb::ExpungeReason::Copyright => "copyright",
        pb::ExpungeReason::Other => "other reason",
        pb::ExpungeReason::Unspecified => "unknown reason",
    }
}
