//! The page that shows what changed between two revisions, word by word.
//!
//! Added text is in `<ins>`, deleted text in `<del>`, and a moved block says where it was. Colour is never the only
//! sign: words are underlined or struck through, and screen readers announce where a change begins and ends.

use htmlize::escape_text;

use super::super::Item;
use super::facts::facts;
use super::{language, page, time};
use crate::model::diff::{ContentDiff, FieldChange, Hunk, HunkKind, Span, SpanKind, WordDelta, diff, word_delta};
use crate::model::unseen::{Sides, visible, visible_change};
use crate::model::{Block, BlockKind, Content};

/// Writes the page that compares `target` with `base`. Without a base, the whole target is shown as added.
pub fn compare(base: Option<&Item>, target: &Item) -> String {
    let nothing = Content::default();
    let old = base.map_or(&nothing, |base| &base.content);
    let changes = diff(old, &target.content);
    let sides = sides(&changes);
    let ContentDiff { fields, hunks } = changes;
    let mut main = String::new();
    let headline = visible(&target.content.headline);
    main.push_str(&format!("<header>\n<h1{}>{}</h1>\n", attributes(target), escape_text(&*headline)));
    let from = base.map_or_else(|| "nothing".to_owned(), revision_and_time);
    main.push_str(&format!("<p class=\"dates\">What changed from {from} to {}.</p>\n", revision_and_time(target)));
    let WordDelta { inserted, deleted } = word_delta(old, &target.content);
    main.push_str(&format!(
        "<p class=\"dates\"><ins>{inserted} words added</ins>, <del>{deleted} words deleted</del>.</p>\n</header>\n"
    ));
    if !fields.is_empty() {
        main.push_str("<table>\n<caption class=\"apart\">Fields that changed</caption>\n");
        for change in &fields {
            let name = change.field.replace('_', " ");
            main.push_str(&format!(
                "<tr><th scope=\"row\">{}</th><td{}>{}</td></tr>\n",
                escape_text(name),
                attributes(target),
                field_spans(change, sides)
            ));
        }
        main.push_str("</table>\n");
    }
    main.push_str(&format!("<article{}>\n", attributes(target)));
    hunks.iter().for_each(|change| main.push_str(&hunk(change, old, &target.content, sides)));
    main.push_str("</article>\n");
    base.into_iter().for_each(|base| main.push_str(&facts(base, "The earlier revision")));
    main.push_str(&facts(target, "The later revision"));
    page(&format!("What changed: {headline}"), &main)
}

fn attributes(item: &Item) -> String {
    language::attributes(&item.content.language)
}

/// `revision 2, observed 16 May 2026`.
fn revision_and_time(item: &Item) -> String {
    format!("revision {}, observed {}", item.revision, time(item.observe_time))
}

fn hunk(hunk: &Hunk, base: &Content, target: &Content, sides: Sides) -> String {
    let block =
        hunk.target_block.map(|at| target.blocks.get(at)).or_else(|| hunk.base_block.map(|at| base.blocks.get(at)));
    let kind = block.flatten().map(|block: &Block| &block.kind);
    let inner = spans(&hunk.spans, sides);
    let element = match kind {
        Some(BlockKind::Subheading { .. }) => format!("<h2>{inner}</h2>"),
        Some(BlockKind::Caption { .. }) => format!("<figure><figcaption>{inner}</figcaption></figure>"),
        Some(BlockKind::Quote { .. }) => format!("<blockquote><p>{inner}</p></blockquote>"),
        Some(BlockKind::Embed { .. }) => format!("<p class=\"embed\">{inner}</p>"),
        Some(BlockKind::CorrectionNote { .. }) => format!("<p class=\"correction\">{inner}</p>"),
        // The items of a list are shown as lines, since a change may span several of them.
        Some(BlockKind::Paragraph { .. } | BlockKind::List { .. }) | None => format!("<p>{inner}</p>"),
    };
    // Positions are shown from 1.
    let shown = |index: Option<usize>| index.map_or(0, |index| index + 1);
    let same_words = hunk.spans.iter().all(|span| span.kind == SpanKind::Equal);
    let (class, remark) = match hunk.kind {
        HunkKind::Equal => ("unchanged", String::new()),
        HunkKind::Insert => ("insert", String::new()),
        HunkKind::Delete => ("delete", String::new()),
        HunkKind::Move => {
            ("move", format!("Moved from position {} to position {}", shown(hunk.base_block), shown(hunk.target_block)))
        }
        HunkKind::Modify if same_words => ("modify", "Same text, different kind of block".to_owned()),
        HunkKind::Modify => ("modify", String::new()),
    };
    let remark = if remark.is_empty() {
        String::new()
    } else {
        format!("<p class=\"remark\" lang=\"en\" dir=\"ltr\">{remark}</p>")
    };
    format!("<div class=\"hunk {class}\">{remark}{element}</div>\n")
}

/// Whether the diff both inserts and deletes, or only does one of the two.
fn sides(diff: &ContentDiff) -> Sides {
    let spans = diff.fields.iter().map(|change| &change.spans).chain(diff.hunks.iter().map(|hunk| &hunk.spans));
    let has = |kind| spans.clone().flatten().any(|span| span.kind == kind);
    if has(SpanKind::Insert) && has(SpanKind::Delete) { Sides::Both } else { Sides::One }
}

/// Writes the value of a field on both sides; a claimed time that moved as `old → new`.
fn field_spans(change: &FieldChange, sides: Sides) -> String {
    let between = if change.is_moved_time() { " → " } else { "" };
    change.spans.iter().map(|span| spans(std::slice::from_ref(span), sides)).collect::<Vec<_>>().join(between)
}

/// Writes the texts of both sides, interleaved. Invisible characters are shown by name, so that changes to them are
/// visible.
fn spans(spans: &[Span], sides: Sides) -> String {
    let marked = |element: &str, begin: &str, end: &str, text: &str| {
        let text = visible_change(text, sides);
        let text = escape_text(&*text);
        format!(
            "<{element}><span class=\"apart\">[{begin}: </span>{text}<span class=\"apart\"> {end}]</span></{element}>"
        )
    };
    let one = |span: &Span| match span.kind {
        SpanKind::Equal => escape_text(&*visible(&span.text)).into_owned(),
        SpanKind::Insert => marked("ins", "inserted", "end of insertion", &span.text),
        SpanKind::Delete => marked("del", "deleted", "end of deletion", &span.text),
    };
    spans.iter().map(one).collect()
}
