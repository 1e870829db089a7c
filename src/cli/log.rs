//! `log`: lists the revisions of an article.

use super::args::LogArgs;
use super::args::selection::changed_parts;
use super::connect::Session;
use super::exit::Failure;
use super::expunge::headline;
use super::missing::{missing, verb};
use super::output::Output;
use super::pages::address;
use super::short_name::short;
use super::{status, style, words};
use crate::client::{as_of, as_of_snapshot};
use crate::model::Timestamp;
use crate::web::paths::history_of;
use crate::wire::{instant, pb};

const PAGE_SIZE: usize = 100;

pub(super) async fn run(session: &Session, args: &LogArgs, out: &mut Output) -> Result<(), Failure> {
    let name = args.article.resolve(session, args.as_of.at(), args.as_of.known_at()).await?;
    let limit = args.limit.unwrap_or(usize::MAX);
    let as_of = if out.json {
        as_of(args.as_of.at(), args.as_of.known_at())
    } else {
        print_state(session, &name, args, out).await?
    };
    let order = if args.oldest_first { pb::RevisionOrder::OldestFirst } else { pb::RevisionOrder::NewestFirst };
    let mut request = pb::ListRevisionsRequest {
        parent: name,
        page_size: i32::try_from(limit.clamp(1, PAGE_SIZE)).unwrap_or_default(),
        as_of,
        order: order.into(),
        changed_parts: changed_parts(&args.changed),
        ..pb::ListRevisionsRequest::default()
    };
    let mut remaining = limit;
    while remaining > 0 && !out.is_closed() {
        let page = session.archive().list_revisions(request.clone()).await?.into_inner();
        for entry in page.entries.iter().take(remaining) {
            if out.json { out.message(entry)? } else { print(entry, out)? }
        }
        remaining = remaining.saturating_sub(page.entries.len());
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    Ok(())
}

/// Prints a line if the article is withdrawn, one if its page is missing, one for each former URL, one if it has labels,
/// and one with the address of its history on the web, and returns the point at which to list the revisions.
async fn print_state(
    session: &Session,
    name: &str,
    args: &LogArgs,
    out: &mut Output,
) -> Result<Option<pb::AsOf>, Failure> {
    let request = pb::GetArticleRequest {
        name: name.to_owned(),
        as_of: as_of(args.as_of.at(), args.as_of.known_at()),
        view: pb::ArticleView::Basic.into(),
        min_next_seq: 0,
    };
    let found = session.archive().get_article(request).await?.into_inner();
    let article = found.article.unwrap_or_default();
    if article.state() == pb::ArticleState::Withdrawn {
        out.line(withdrawn(&article, out))?;
    }
    if let Some(line) = missing_line(&article, out) {
        out.line(line)?;
    }
    let former: Vec<String> = former_urls(&article, args.as_of.at(), out).collect();
    for url in former {
        out.line(format_args!("former URL {url}"))?;
    }
    if !article.labels.is_empty() {
        out.line(format_args!("labels {}", style::safe_line(&article.labels.join(", "))))?;
    }
    if let Some(address) = address(session, name, history_of).await {
        out.line(format_args!("view {address}"))?;
    }
    Ok(as_of_snapshot(found.snapshot.as_ref(), args.as_of.at()))
}

/// Formats the absences of an article as `gone: last seen …, first missed …; 3 looks, status 404`; `None` if the latest
/// look did not find its page missing.
pub(super) fn missing_line(article: &pb::Article, out: &Output) -> Option<String> {
    let missing = missing(article, out)?;
    Some(format!("{}: {missing}", out.painter().paint(style::BAD, verb(article))))
}

/// Whether a URL no longer leads to the article at `at` (`None`: at the end of the observe axis).
pub(super) fn is_former(url: &pb::ArticleUrl, at: Option<Timestamp>) -> bool {
    instant(url.end_time.as_ref()).is_some_and(|end| at.is_none_or(|at| end <= at))
}

/// Formats each URL that no longer leads to the article at `at` as `https://… from … until …, then gazette/ferry`.
pub(super) fn former_urls<'a>(
    article: &'a pb::Article,
    at: Option<Timestamp>,
    out: &'a Output,
) -> impl Iterator<Item = String> + 'a {
    article.urls.iter().filter(move |url| is_former(url, at)).filter_map(|url| {
        let until = out.time(instant(url.end_time.as_ref())?);
        let since = instant(url.observe_time.as_ref()).map(|since| format!(" from {}", out.time(since)));
        let then = match url.moved_to.as_str() {
            "" => String::new(),
            article => format!(", then {}", short(article)),
        };
        Some(format!("{}{} until {until}{then}", style::safe_line(&url.url), since.unwrap_or_default()))
    })
}

/// Formats the state of a withdrawn article as `withdrawn since …: reason`.
pub(super) fn withdrawn(article: &pb::Article, out: &Output) -> String {
    let since = instant(article.state_time.as_ref()).map(|since| format!(" since {}", out.time(since)));
    let reason = match style::safe_line(&article.state_reason).as_str() {
        "" => String::new(),
        reason => format!(": {reason}"),
    };
    format!("{}{}{reason}", out.painter().paint(style::BAD, "withdrawn"), since.unwrap_or_default())
}

fn print(entry: &pb::RevisionEntry, out: &mut Output) -> Result<(), Failure> {
    let revision = entry.revision.clone().unwrap_or_default();
    let painter = out.painter();
    let time = |time: Option<&prost_types::Timestamp>| instant(time).map(|time| out.time(time)).unwrap_or_default();
    let digest = data_encoding::HEXLOWER.encode(revision.content_digest.get(..4).unwrap_or_default());
    let delta = revision.word_delta.map(|delta| format!("  {}", words(delta))).unwrap_or_default();
    let parts = match super::changed_parts(&revision) {
        parts if parts.is_empty() => parts,
        parts => format!("  {parts}"),
    };
    let number = painter.paint(style::CHANGED, &format!("revision {}", revision.number));
    let digest = painter.paint(style::FAINT, &digest);
    let observed = time(revision.observe_time.as_ref());
    let seen = match entry.observation_count {
        0 | 1 => String::new(),
        count => format!(
            "; seen {count} times, {} to {}",
            time(entry.first_seen_time.as_ref()),
            time(entry.last_seen_time.as_ref())
        ),
    };
    let rollback = match revision.rollback_of {
        0 => String::new(),
        number => format!("; content of revision {number} again"),
    };
    let original = revision.original.as_ref().map(|original| {
        format!("; original kept, {} of {}", status::size(original.size_bytes), style::safe_line(&original.media_type))
    });
    let archived = time(revision.archive_time.as_ref());
    out.line(format_args!("{number}  observed {observed}{delta}{parts}  {digest}"))?;
    out.wrapped("    ", &painter.paint(style::STRONG, &headline(&revision)))?;
    let details = format!("archived {archived}{seen}{rollback}{}", original.unwrap_or_default());
    out.wrapped("    ", &painter.paint(style::FAINT, &details))
}
