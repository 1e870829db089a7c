//! `diff`: shows what changed between two states of an article, word by word.
//!
//! With colour, deleted words are red and struck through, and inserted words are green. Without colour, they are marked
//! as wdiff does: `[-deleted-]{+inserted+}`. The marks are for readers, and a text that contains them is ambiguous;
//! `--json` is always exact.

use url::Url;

use super::args::DiffArgs;
use super::args::values::State;
use super::connect::Session;
use super::exit::Failure;
use super::output::Output;
use super::pages::address;
use super::style::{self, Painter};
use super::{count, words};
use crate::capture::article_of_revision;
use crate::capture::export::{OriginalBytes, item, revision_at};
use crate::client::{as_of, as_of_snapshot};
use crate::export::html;
use crate::model::unseen::{Sides, visible_change};
use crate::web::paths::diff_of;
use crate::wire::{instant, pb, timestamp_to_pb};

pub(super) async fn run(session: &Session, args: &DiffArgs, out: &mut Output) -> Result<(), Failure> {
    let request = pb::DiffRevisionsRequest {
        name: args.article.resolve(session, None, args.known_at).await?,
        base: args.from.map(selector),
        target: args.to.map(selector),
        as_of: as_of(None, args.known_at),
        min_next_seq: 0,
    };
    let diff = session.archive().diff_revisions(request).await?.into_inner();
    if out.json {
        return out.message(&diff);
    }
    if args.html {
        return page(session, &diff, out).await;
    }
    let changed = !diff.field_changes.is_empty() || diff.hunks.iter().any(|hunk| hunk.kind() != pb::HunkKind::Equal);
    if diff.base.is_none() && !args.full {
        out.note("no revision came before this one; --full shows all of it as inserted");
        return Ok(());
    }
    let numbers = |revision: &pb::Revision| revision.number;
    let (base, target) = (diff.base.as_ref().map(numbers), diff.target.as_ref().map_or(0, numbers));
    if !changed && !args.full {
        out.note(match base {
            Some(base) if base != target => format!("revisions {base} and {target} have the same text"),
            Some(_) | None => format!("both states are revision {target}"),
        });
        return Ok(());
    }
    let article = article_of_revision(diff.target.as_ref().map_or("", |target| &target.name));
    let address = address(session, article, |name| diff_of(name, base, target)).await;
    print(&diff, args.full, address, out)
}

/// Writes an HTML page with the full text of both states.
async fn page(session: &Session, diff: &pb::DiffRevisionsResponse, out: &mut Output) -> Result<(), Failure> {
    let as_of = as_of_snapshot(diff.snapshot.as_ref(), None);
    let target = diff.target.clone().unwrap_or_default();
    let request = pb::GetArticleRequest {
        name: article_of_revision(&target.name).to_owned(),
        as_of: as_of.clone(),
        view: pb::ArticleView::Basic.into(),
        min_next_seq: 0,
    };
    let article = session.archive().get_article(request).await?.into_inner().article.unwrap_or_default();
    let read = async |revision: &pb::Revision| {
        let full = revision_at(session.client(), revision.name.clone(), as_of.clone(), OriginalBytes::Omit).await?;
        Ok::<_, Failure>(item(&article, full, None)?)
    };
    let base = match &diff.base {
        Some(base) => Some(read(base).await?),
        None => None,
    };
    out.document(html::compare(base.as_ref(), &read(&target).await?).as_bytes())
}

fn selector(state: State) -> pb::RevisionSelector {
    use pb::revision_selector::Selector;
    let selector = match state {
        State::Revision(number) => Selector::RevisionNumber(number.get()),
        State::At(time) => Selector::ObserveTime(timestamp_to_pb(time)),
    };
    pb::RevisionSelector { selector: Some(selector) }
}

fn print(diff: &pb::DiffRevisionsResponse, full: bool, address: Option<Url>, out: &mut Output) -> Result<(), Failure> {
    let (painter, sides) = (out.painter(), sides(diff));
    let side = |revision: Option<&pb::Revision>| match revision {
        Some(revision) => {
            let observed = instant(revision.observe_time.as_ref()).map(|time| out.time(time)).unwrap_or_default();
            format!("revision {}, observed {observed}", revision.number)
        }
        None => "nothing".to_owned(),
    };
    let (base, target) = (side(diff.base.as_ref()), side(diff.target.as_ref()));
    out.line(painter.paint(style::STRONG, &format!("--- {base}")))?;
    out.line(painter.paint(style::STRONG, &format!("+++ {target}")))?;
    out.line(painter.paint(style::FAINT, &words(diff.word_delta.unwrap_or_default())))?;
    if let Some(address) = address {
        out.line(painter.paint(style::FAINT, &format!("view {address}")))?;
    }
    for change in &diff.field_changes {
        let label = painter.paint(style::NAME, &format!("{}:", change.field.replace('_', " ")));
        out.line("")?;
        out.wrapped("", &format!("{label} {}", field(change, sides, painter)))?;
    }
    body(&diff.hunks, full, sides, out)
}

/// Prints the blocks that changed, and how many unchanged ones are between them.
fn body(hunks: &[pb::Hunk], full: bool, sides: Sides, out: &mut Output) -> Result<(), Failure> {
    let mut unchanged = 0;
    for hunk in hunks {
        if hunk.kind() == pb::HunkKind::Equal && !full {
            unchanged += 1;
            continue;
        }
        print_skipped(&mut unchanged, out)?;
        out.line("")?;
        print_hunk(hunk, sides, out)?;
    }
    print_skipped(&mut unchanged, out)
}

/// Prints how many unchanged blocks are left out, and starts to count again.
fn print_skipped(unchanged: &mut u64, out: &mut Output) -> Result<(), Failure> {
    match std::mem::take(unchanged) {
        0 => Ok(()),
        skipped => {
            let text = format!("… {} unchanged …", count(skipped, "paragraph"));
            out.line("")?;
            out.line(out.painter().paint(style::FAINT, &text))
        }
    }
}

fn print_hunk(hunk: &pb::Hunk, sides: Sides, out: &mut Output) -> Result<(), Failure> {
    let painter = out.painter();
    // People count blocks from 1.
    let place = |index: Option<u32>| index.map_or(0, |index| u64::from(index) + 1);
    let same_words = hunk.spans.iter().all(|span| span.kind() == pb::SpanKind::Equal);
    let remark = match hunk.kind() {
        pb::HunkKind::Move => Some(format!("moved from {} to {}", place(hunk.base_block), place(hunk.target_block))),
        pb::HunkKind::Modify if same_words => Some("same words, different kind of paragraph".to_owned()),
        pb::HunkKind::Modify
        | pb::HunkKind::Insert
        | pb::HunkKind::Delete
        | pb::HunkKind::Equal
        | pb::HunkKind::Unspecified => None,
    };
    if let Some(remark) = remark {
        out.line(painter.paint(style::NAME, &format!("({remark})")))?;
    }
    out.wrapped("", &spans(&hunk.spans, sides, painter))
}

/// Whether the diff only inserts or only deletes, or both.
fn sides(diff: &pb::DiffRevisionsResponse) -> Sides {
    let spans = diff.field_changes.iter().map(|change| &change.spans).chain(diff.hunks.iter().map(|hunk| &hunk.spans));
    let of = |kind| spans.clone().flatten().filter(move |span| span.kind() == kind).map(|span| span.text.as_str());
    Sides::of(of(pb::SpanKind::Delete), of(pb::SpanKind::Insert))
}

/// The value of a field on both sides; a claimed time that moved as `old → new`.
fn field(change: &pb::FieldChange, sides: Sides, painter: Painter) -> String {
    match change.spans.as_slice() {
        [old, new] if matches!(change.field.as_str(), "publish_time" | "modify_time") => {
            let side = |style, span: &pb::Span| painter.paint(style, &style::safe(&span.text));
            format!("{} → {}", side(style::DELETED, old), side(style::INSERTED, new))
        }
        both => spans(both, sides, painter),
    }
}

/// The text of both sides. Invisible characters are named, so that a change of them shows.
fn spans(spans: &[pb::Span], sides: Sides, painter: Painter) -> String {
    let changed = |span: &pb::Span, style, open, close| {
        let text = visible_change(&span.text, sides);
        // Colour does not show on white space.
        let is_colored = painter.colored && !text.trim().is_empty();
        painter.paint(style, &if is_colored { text.into_owned() } else { mark(open, &text, close) })
    };
    let show = |span: &pb::Span| match span.kind() {
        pb::SpanKind::Equal | pb::SpanKind::Unspecified => style::safe(&span.text),
        pb::SpanKind::Insert => changed(span, style::INSERTED, "{+", "+}"),
        pb::SpanKind::Delete => changed(span, style::DELETED, "[-", "-]"),
    };
    spans.iter().map(show).collect()
}

/// Puts the marks around the words and leaves the surrounding space outside, so that both sides still read well.
fn mark(open: &str, text: &str, close: &str) -> String {
    let words = text.trim();
    if words.is_empty() {
        return format!("{open}{text}{close}");
    }
    let (before, after) = text.split_once(words).unwrap_or_default();
    format!("{before}{open}{words}{close}{after}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_leave_out_the_space_around_words() {
        let span = |kind: pb::SpanKind, text: &str| pb::Span { kind: kind.into(), text: text.to_owned() };
        let line = [
            span(pb::SpanKind::Equal, "Bridge "),
            span(pb::SpanKind::Delete, "to "),
            span(pb::SpanKind::Insert, "could "),
            span(pb::SpanKind::Equal, "close"),
        ];
        assert_eq!(spans(&line, Sides::Both, Painter { colored: false }), "Bridge [-to-] {+could+} close");
        assert!(spans(&line, Sides::Both, Painter { colored: true }).contains("\u{1b}[32mcould \u{1b}[0m"));
    }

    #[test]
    fn a_claimed_time_that_moved_is_shown_once_as_old_and_new() {
        let span = |kind: pb::SpanKind, text: &str| pb::Span { kind: kind.into(), text: text.to_owned() };
        let (old, new) = (span(pb::SpanKind::Delete, "2025-11-08"), span(pb::SpanKind::Insert, "2025-11-09"));
        let change = |spans| pb::FieldChange { field: "publish_time".to_owned(), spans };
        let plain = Painter { colored: false };
        assert_eq!(field(&change(vec![old, new.clone()]), Sides::Both, plain), "2025-11-08 → 2025-11-09");
        assert_eq!(field(&change(vec![new]), Sides::One, plain), "{+2025-11-09+}");
    }

    #[test]
    fn a_change_of_invisible_characters_shows_with_and_without_colour() {
        let span = |kind: pb::SpanKind, text: &str| pb::Span { kind: kind.into(), text: text.to_owned() };
        let replaced = |old: &str, new: &str| [span(pb::SpanKind::Delete, old), span(pb::SpanKind::Insert, new)];
        let (plain, colored) = (Painter { colored: false }, Painter { colored: true });
        assert_eq!(
            spans(&replaced("می\u{200c}خواهم", "میخواهم"), Sides::Alike, plain),
            "[-می<U+200C>خواهم-]{+میخواهم+}"
        );
        assert!(
            spans(&replaced("pay", "pay\u{202e}"), Sides::Both, colored).contains("\u{1b}[32mpay<U+202E>\u{1b}[0m")
        );
        assert!(spans(&replaced(" ", "\u{a0}"), Sides::Both, colored).contains("\u{1b}[32m<U+00A0>\u{1b}[0m"));
        let new = [span(pb::SpanKind::Equal, "a"), span(pb::SpanKind::Insert, " ")];
        assert_eq!(spans(&new, Sides::One, colored), "a\u{1b}[32m{+ +}\u{1b}[0m");
    }
}
