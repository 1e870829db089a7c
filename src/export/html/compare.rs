//! The page that shows what changed between two revisions, word by word.
//!
//! Added text is in `<ins>`, deleted text in `<del>`, and a moved block says where it was. Colour is never the only
//! sign: words are underlined or struck through, and screen readers announce where a change begins and ends.

use askama::Template;

use super::super::Item;
use super::facts::Facts;
use super::parts::{Runs, Tongue, When, named};
use super::written;
use crate::model::diff::{ContentDiff, FieldChange, Hunk, HunkKind, SpanKind, WordDelta, diff, word_delta};
use crate::model::unseen::Sides;
use crate::model::{Block, BlockKind, Content};

#[derive(Template)]
#[template(path = "compare.html")]
struct Comparison {
    title: String,
    headline: String,
    tongue: Tongue,
    base: Option<Side>,
    target: Side,
    inserted: u32,
    deleted: u32,
    fields: Vec<ShownField>,
    hunks: Vec<ShownHunk>,
    facts: Vec<Facts>,
}

/// A revision that is compared.
struct Side {
    number: String,
    observed: When,
}

/// A field that differs.
struct ShownField {
    name: String,
    runs: Runs,
}

/// A block that is in either of the two.
struct ShownHunk {
    class: &'static str,
    remark: Option<String>,
    element: Element,
    runs: Runs,
}

/// What a block is shown as. The items of a list are shown as lines of a paragraph, since a change may span several of
/// them.
enum Element {
    Paragraph,
    Subheading,
    Caption,
    Quote,
    Embed,
    Correction,
}

/// Writes the page that compares `target` with `base`. Without a base, the whole target is shown as added.
pub fn compare(base: Option<&Item>, target: &Item) -> String {
    let nothing = Content::default();
    let old = base.map_or(&nothing, |base| &base.content);
    let changes = diff(old, &target.content);
    let sides = sides(&changes);
    let ContentDiff { fields, hunks } = changes;
    let headline = named(&target.content.headline);
    let WordDelta { inserted, deleted } = word_delta(old, &target.content);
    let facts = base.map(|base| Facts::of(base, "The earlier revision"));
    written(&Comparison {
        title: format!("What changed: {headline}"),
        headline,
        tongue: Tongue::of(&target.content.language),
        base: base.map(Side::of),
        target: Side::of(target),
        inserted,
        deleted,
        fields: fields.iter().map(|change| ShownField::of(change, sides)).collect(),
        hunks: hunks.iter().map(|hunk| ShownHunk::of(hunk, old, &target.content, sides)).collect(),
        facts: facts.into_iter().chain([Facts::of(target, "The later revision")]).collect(),
    })
}

impl Side {
    fn of(item: &Item) -> Self {
        Self { number: item.revision.to_string(), observed: When::exact(item.observe_time) }
    }
}

impl ShownField {
    fn of(change: &FieldChange, sides: Sides) -> Self {
        let runs = Runs::of_field(&change.spans, change.is_moved_time(), sides);
        Self { name: change.field.replace('_', " "), runs }
    }
}

impl ShownHunk {
    fn of(hunk: &Hunk, base: &Content, target: &Content, sides: Sides) -> Self {
        let block =
            hunk.target_block.map(|at| target.blocks.get(at)).or_else(|| hunk.base_block.map(|at| base.blocks.get(at)));
        // Positions are shown from 1.
        let shown = |index: Option<usize>| index.map_or(0, |index| index + 1);
        let same_words = hunk.spans.iter().all(|span| span.kind == SpanKind::Equal);
        let (class, remark) = match hunk.kind {
            HunkKind::Equal => ("unchanged", None),
            HunkKind::Insert => ("insert", None),
            HunkKind::Delete => ("delete", None),
            HunkKind::Move => {
                let (from, to) = (shown(hunk.base_block), shown(hunk.target_block));
                ("move", Some(format!("Moved from position {from} to position {to}")))
            }
            HunkKind::Modify if same_words => ("modify", Some("Same text, different kind of block".to_owned())),
            HunkKind::Modify => ("modify", None),
        };
        Self { class, remark, element: Element::of(block.flatten()), runs: Runs::of(&hunk.spans, sides) }
    }
}

impl Element {
    fn of(block: Option<&Block>) -> Self {
        match block.map(|block| &block.kind) {
            Some(BlockKind::Subheading { .. }) => Self::Subheading,
            Some(BlockKind::Caption { .. }) => Self::Caption,
            Some(BlockKind::Quote { .. }) => Self::Quote,
            Some(BlockKind::Embed { .. }) => Self::Embed,
            Some(BlockKind::CorrectionNote { .. }) => Self::Correction,
            Some(BlockKind::Paragraph { .. } | BlockKind::List { .. }) | None => Self::Paragraph,
        }
    }
}

/// Whether the diff both inserts and deletes, or only does one of the two.
fn sides(diff: &ContentDiff) -> Sides {
    let spans = diff.fields.iter().map(|change| &change.spans).chain(diff.hunks.iter().map(|hunk| &hunk.spans));
    let of = |kind| spans.clone().flatten().filter(move |span| span.kind == kind).map(|span| span.text.as_str());
    Sides::of(of(SpanKind::Delete), of(SpanKind::Insert))
}
