//! `show`: prints what an article says, or said at a given time.

use crate::capture::originals;
use crate::client::{as_of, as_of_snapshot};
use crate::wire::instant;
use bytes::Bytes;
use url::Url;

use super::args::ShowArgs;
use super::connect::Session;
use super::exit::{Exit, Failure};
use super::expunge::headline;
use super::missing::missing;
use super::output::Output;
use super::pages::address;
use super::{log, status, style};
use crate::cli::short_name::short;
use crate::ingest::times::describe;
use crate::model::{Precision, Timestamp};
use crate::web::paths::{page_of, point_query, revision_of};
use crate::wire::{self, pb};

pub(super) async fn run(session: &Session, args: &ShowArgs, out: &mut Output) -> Result<(), Failure> {
    let name = args.article.resolve(session, args.as_of.at(), args.as_of.known_at()).await?;
    if args.original {
        return original(session, &name, args, out).await;
    }
    let request = pb::GetArticleRequest {
        name: name.clone(),
        as_of: as_of(args.as_of.at(), args.as_of.known_at()),
        view: if args.revision.is_none() { pb::ArticleView::Full } else { pb::ArticleView::Basic }.into(),
        min_next_seq: 0,
    };
    let found = session.archive().get_article(request).await?.into_inner();
    let mut article = found.article.unwrap_or_default();
    let Some(number) = args.revision else {
        if out.json {
            return out.message(&article);
        }
        let (at, known_at) = (args.as_of.at(), args.as_of.known_at());
        let address = address(session, &name, |name| page_of(name) + &point_query(at, known_at)).await;
        return print(&article, at, true, address, out);
    };
    let request = pb::GetRevisionRequest {
        name: format!("{name}/revisions/{number}"),
        as_of: as_of_snapshot(found.snapshot.as_ref(), None),
        view: pb::ArticleView::Full.into(),
        ..pb::GetRevisionRequest::default()
    };
    let revision = session.archive().get_revision(request).await?.into_inner().revision.unwrap_or_default();
    if out.json {
        return out.message(&revision);
    }
    let in_force = article.revision.as_ref().map_or(0, |revision| revision.number) == revision.number;
    article.revision = Some(revision);
    let address = address(session, &name, |name| revision_of(name, number.get())).await;
    print(&article, args.as_of.at(), in_force, address, out)
}

/// Writes the original that the content was extracted from.
async fn original(session: &Session, name: &str, args: &ShowArgs, out: &mut Output) -> Result<(), Failure> {
    let number = args.revision.map_or_else(|| "latest".to_owned(), |number| number.to_string());
    let request = pb::GetRevisionRequest {
        name: format!("{name}/revisions/{number}"),
        as_of: as_of(args.as_of.at(), args.as_of.known_at()),
        view: pb::ArticleView::Basic.into(),
        ..pb::GetRevisionRequest::default()
    };
    let response = session.archive().get_revision(request).await?.into_inner();
    let revision = response.revision.unwrap_or_default();
    match revision.original {
        Some(_) => {
            let as_of = as_of_snapshot(response.snapshot.as_ref(), None);
            if !out.is_terminal() {
                return originals::read(session.client(), revision.name, as_of, |piece| out.bytes(&piece)).await;
            }
            let mut bytes = Vec::new();
            let keep = |piece: Bytes| {
                bytes.extend_from_slice(&piece);
                Ok::<_, Failure>(())
            };
            originals::read(session.client(), revision.name, as_of, keep).await?;
            out.document(&bytes)
        }
        None => {
            let what = format!("revision {} of {} has no kept original", revision.number, short(name));
            Err(Failure::new(Exit::NotFound, what).hint(
                "the originals of web pages are kept unless --no-keep-original was given, those of files with \
                 --keep-original; `dateline log` shows where there is one",
            ))
        }
    }
}

/// Prints an article that was read at `at`. `in_force` says whether its revision is the one in force at that point,
/// `address` where its web page is.
fn print(
    article: &pb::Article,
    at: Option<Timestamp>,
    in_force: bool,
    address: Option<Url>,
    out: &mut Output,
) -> Result<(), Failure> {
    let painter = out.painter();
    let revision = article.revision.clone().unwrap_or_default();
    let content = revision.content.clone().unwrap_or_default();
    out.wrapped("", &painter.paint(style::STRONG, &headline(&revision)))?;
    if !content.standfirst.is_empty() {
        out.wrapped("", &painter.paint(style::ITALIC, &style::safe(&content.standfirst)))?;
    }
    if !content.bylines.is_empty() {
        out.wrapped("", &format!("By {}", style::safe_line(&join(&content.bylines))))?;
    }
    out.line("")?;
    facts(article, &revision, &content, at, in_force, out)?;
    if let Some(address) = address {
        fact("View", address.as_str(), out)?;
    }
    let stub = article.state() == pb::ArticleState::Withdrawn && in_force && content.blocks.is_empty();
    if stub {
        let command = format!("dateline show {} --revision {}", short(&article.name), revision.number);
        out.line("")?;
        out.wrapped("", "The publisher took this article down. What it said:")?;
        return out.line(format_args!("    {command}"));
    }
    for block in &content.blocks {
        out.line("")?;
        print_block(block, out)?;
    }
    Ok(())
}

/// Prints the attributes of an article that was read at `at`, one per line.
fn facts(
    article: &pb::Article,
    revision: &pb::Revision,
    content: &pb::Content,
    at: Option<Timestamp>,
    in_force: bool,
    out: &mut Output,
) -> Result<(), Failure> {
    let time = |time: Option<&prost_types::Timestamp>| instant(time).map(|time| out.time(time));
    let state = match article.state() {
        pb::ArticleState::Withdrawn => Some(log::withdrawn(article, out)),
        pb::ArticleState::Live | pb::ArticleState::Gone | pb::ArticleState::Unspecified => {
            log::missing_line(article, out)
        }
    };
    let missing = missing(article, out).filter(|_| article.state() == pb::ArticleState::Withdrawn);
    let rollback = match revision.rollback_of {
        0 => String::new(),
        number => format!(", with the content of revision {number}"),
    };
    let valid = match (time(article.valid_from.as_ref()), time(article.valid_until.as_ref())) {
        _ if !in_force => None,
        (Some(from), None) => Some(format!("from {from}")),
        (Some(from), Some(until)) => Some(format!("from {from} until {until}")),
        (None, _) => None,
    };
    let original = revision
        .original
        .as_ref()
        .map(|original| format!("{} of {}", status::size(original.size_bytes), style::safe_line(&original.media_type)));
    let given = |text: &str| (!text.is_empty()).then(|| style::safe_line(text));
    let former: Vec<String> = log::former_urls(article, at, out).collect();
    let rows = [
        ("Article", Some(out.painter().paint(style::NAME, &short(&article.name)))),
        ("State", state),
        ("Page", missing.map(|missing| format!("missing: {missing}"))),
        ("Revision", Some(format!("{} of {}{rollback}", revision.number, article.revision_count))),
        ("Published", content.publish_time.as_ref().and_then(|claim| claimed(claim, out))),
        ("Modified", content.modify_time.as_ref().and_then(|claim| claimed(claim, out))),
        ("Observed", time(revision.observe_time.as_ref())),
        ("Archived", time(revision.archive_time.as_ref())),
        ("In force", valid),
        ("Section", given(&content.section)),
        ("Language", given(&content.language)),
        ("Keywords", given(&content.keywords.join(", "))),
        ("Labels", given(&article.labels.join(", "))),
        ("Rights", given(&content.rights)),
        ("URL", given(&addresses(article, content, at))),
        ("Former URL", (!former.is_empty()).then(|| former.join("; "))),
        ("Original", original),
        ("Words", (!content.blocks.is_empty()).then(|| revision.word_count.to_string())),
    ];
    for (label, value) in rows {
        if let Some(value) = value {
            fact(label, &value, out)?;
        }
    }
    Ok(())
}

/// Prints an attribute.
fn fact(label: &str, value: &str, out: &mut Output) -> Result<(), Failure> {
    let (label, indent) = (out.painter().paint(style::FAINT, &style::pad(label, 11)), " ".repeat(11));
    let wrapped = style::wrap(value, &indent, &indent, out.width);
    out.line(format_args!("{label}{}", wrapped.strip_prefix(&indent).unwrap_or(&wrapped)))
}

/// Formats a claimed time at its stated precision, with the words that it was read from.
fn claimed(claim: &pb::ClaimedTime, out: &Output) -> Option<String> {
    let claim = wire::claimed_time("claim", claim.clone()).ok()?;
    let value = match claim.precision {
        Precision::Instant => out.time(claim.time),
        Precision::Day | Precision::Month | Precision::Year => describe(&claim),
    };
    let words = (claim.relative && !claim.words.is_empty()).then(|| format!("\"{}\"", style::safe_line(&claim.words)));
    let origin = [words, (!claim.found_in.is_empty()).then(|| style::safe_line(&claim.found_in))];
    let origin: Vec<String> = origin.into_iter().flatten().collect();
    Some(if origin.is_empty() { value } else { format!("{value} ({})", origin.join(", ")) })
}

/// The canonical URL, followed by the others. Those that no longer lead to the article at `at` are left out.
fn addresses(article: &pb::Article, content: &pb::Content, at: Option<Timestamp>) -> String {
    let (former, current): (Vec<_>, Vec<_>) = article.urls.iter().partition(|url| log::is_former(url, at));
    let is_former = |url: &str| former.iter().any(|former| former.url == url);
    let is_current = |url: &str| current.iter().any(|current| current.url == url);
    let canonical = content.canonical_url.as_str();
    let canonical = Some(canonical).filter(|url| is_current(url) || !is_former(url));
    let others = current.iter().map(|url| url.url.as_str()).filter(|url| *url != content.canonical_url);
    canonical.into_iter().chain(others).collect::<Vec<_>>().join(" ").trim().to_owned()
}

fn join(names: &[String]) -> String {
    match names {
        [all @ .., last] if !all.is_empty() => format!("{} and {last}", all.join(", ")),
        _ => names.join(", "),
    }
}

/// Prints a block of the body. Anything but running text is indented.
fn print_block(block: &pb::Block, out: &mut Output) -> Result<(), Failure> {
    use pb::block::Kind;
    let painter = out.painter();
    match &block.kind {
        None => Ok(()),
        Some(Kind::Paragraph(paragraph)) => out.wrapped("", &style::safe(&paragraph.text)),
        Some(Kind::Subheading(subheading)) => {
            out.wrapped("", &painter.paint(style::STRONG, &format!("## {}", style::safe_line(&subheading.text))))
        }
        Some(Kind::Caption(caption)) => {
            let credit = if caption.credit.is_empty() { String::new() } else { format!(" ({})", caption.credit) };
            let text = format!("Picture: {}{credit}", caption.text);
            out.wrapped("    ", &painter.paint(style::FAINT, &style::safe(&text)))
        }
        Some(Kind::Quote(quote)) => {
            out.wrapped("  > ", &style::safe(&quote.text))?;
            if quote.attribution.is_empty() {
                return Ok(());
            }
            out.wrapped("  > ", &format!("\u{2014} {}", style::safe_line(&quote.attribution)))
        }
        Some(Kind::List(list)) => print_list(list, out),
        Some(Kind::Embed(embed)) => {
            let text = format!("Embedded: {} {}", embed.text, embed.url);
            out.wrapped("    ", &painter.paint(style::FAINT, &style::safe_line(&text)))
        }
        Some(Kind::CorrectionNote(note)) => {
            out.wrapped("    ", &painter.paint(style::ITALIC, &style::safe(&note.text)))
        }
    }
}

fn print_list(list: &pb::List, out: &mut Output) -> Result<(), Failure> {
    for (index, item) in list.items.iter().enumerate() {
        let mark = if list.ordered { format!("  {}. ", index + 1) } else { "  - ".to_owned() };
        let indent = " ".repeat(mark.len());
        out.line(style::wrap(&style::safe(item), &mark, &indent, out.width))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bylines_are_joined_with_commas_and_a_final_and() {
        let names = |names: &[&str]| join(&names.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(names(&["A"]), "A");
        assert_eq!(names(&["A", "B"]), "A and B");
        assert_eq!(names(&["A", "B", "C"]), "A, B and C");
    }
}
