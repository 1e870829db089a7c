//! `label`: puts labels on an article, or takes them off.

use super::args::LabelArgs;
use super::args::values::{SignedLabel, signed_label};
use super::connect::Session;
use super::exit::{Exit, Failure};
use super::output::Output;
use super::short_name::short;
use super::{precondition, style};
use crate::wire::pb;

/// Checks the labels, before the archive is opened.
pub(super) fn check(args: &LabelArgs) -> Result<(), Failure> {
    args.labels.iter().try_for_each(|word| read(word).map(drop))
}

fn read(word: &str) -> Result<SignedLabel, Failure> {
    signed_label(word).map_err(|problem| {
        Failure::new(Exit::Usage, problem)
            .hint("dateline label gazette/ferry +flood -draft --reason \"the river rose\"")
    })
}

pub(super) async fn run(session: &Session, args: LabelArgs, out: &mut Output) -> Result<(), Failure> {
    let dry_run = args.write.dry_run;
    let name = args.article.resolve(session, None, None).await?;
    let (mut add_labels, mut remove_labels) = (args.add, args.remove);
    for word in &args.labels {
        match read(word)? {
            SignedLabel::Add(label) => add_labels.push(label),
            SignedLabel::Remove(label) => remove_labels.push(label),
        }
    }
    let request = pb::LabelArticleRequest {
        name,
        add_labels,
        remove_labels,
        reason: args.reason,
        precondition: precondition(&args.write),
        request_id: args.write.request_id.unwrap_or_default(),
        validate_only: dry_run,
    };
    let done = session.archive().label_article(request).await?.into_inner();
    if out.json {
        return out.message(&done);
    }
    let outcome = match (done.changed, dry_run) {
        (false, _) => "unchanged",
        (true, true) => "would label",
        (true, false) => "labelled",
    };
    let article = done.article.unwrap_or_default();
    let painter = out.painter();
    let (outcome, name) = (painter.paint(style::CHANGED, outcome), painter.paint(style::NAME, &short(&article.name)));
    // After a dry run, the article still has the labels from before.
    let labels = if dry_run || article.labels.is_empty() {
        String::new()
    } else {
        format!("  {}", style::safe_line(&article.labels.join(", ")))
    };
    out.line(format_args!("{outcome}  {name}{labels}"))
}
