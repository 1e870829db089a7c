//! What changed between two contents: fields, then blocks, then words.
//!
//! Blocks are compared first: equal ones are kept, unchanged ones that stand elsewhere followed, and of the
//! rest those paired that share most of their words. Only within such pairs are words compared. A caption's
//! credit, a list's items and whatever else a block holds count as its text, a line each.
//!
//! Time grows about linearly with the size of both contents, whatever they say; where that costs too much
//! precision the diff is longer than it could be, but never wrong. A diff depends on its two contents alone.

mod align;
mod blocks;
mod fields;
mod similar;
#[cfg(test)]
mod tests;
mod text;
mod words;

use std::borrow::Cow;

use self::align::{Aligner, Change};
use self::blocks::{Plan, Step};
use self::text::{Part, Vocabulary};
use self::words::Side;
use super::{Block, Content};

/// All that differs between a base and a target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContentDiff {
    /// The fields that differ, in the order of [`Content`].
    pub fields: Vec<FieldChange>,
    /// Every block of both bodies once, in the order of the target, deleted ones where they stood.
    pub hunks: Vec<Hunk>,
}

/// A field other than the body that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldChange {
    /// The field's name as in the contract, such as `headline`.
    pub field: &'static str,
    /// Its text, base and target interleaved.
    pub spans: Vec<Span>,
}

/// One block, as it stands in the base, the target or both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hunk {
    /// What happened to it.
    pub kind: HunkKind,
    /// Its index in the base's blocks; `None` when inserted.
    pub base_block: Option<usize>,
    /// Its index in the target's blocks; `None` when deleted.
    pub target_block: Option<usize>,
    /// Its text: equal and deleted spans give the base's, equal and inserted ones the target's. None is empty,
    /// and no two neighbours are of one kind.
    pub spans: Vec<Span>,
}

/// What happened to a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HunkKind {
    /// Nothing.
    Equal,
    /// It is new.
    Insert,
    /// It is gone.
    Delete,
    /// It stands elsewhere; its words may have changed too.
    Move,
    /// Its words or its kind changed in place.
    Modify,
}

/// A run of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// On which side it stands.
    pub kind: SpanKind,
    /// The text, spaces included.
    pub text: String,
}

/// On which side a span stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    /// On both.
    Equal,
    /// In the target alone.
    Insert,
    /// In the base alone.
    Delete,
}

/// How many words, as Unicode (UAX #29) bounds them, came and went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WordDelta {
    /// Words of the target that the base does not have.
    pub inserted: u32,
    /// Words of the base that the target does not have.
    pub deleted: u32,
}

impl WordDelta {
    fn plus(self, other: Self) -> Self {
        Self {
            inserted: self.inserted.saturating_add(other.inserted),
            deleted: self.deleted.saturating_add(other.deleted),
        }
    }
}

/// Compares two contents. How sure a reader was of a block's kind is not compared.
pub fn diff(base: &Content, target: &Content) -> ContentDiff {
    let mut aligner = Aligner::default();
    let fields = fields::changes(base, target, &mut aligner);
    let mut vocabulary = Vocabulary::default();
    let plan = blocks::plan(&base.blocks, &target.blocks, &mut vocabulary, &mut aligner);
    let hunk = |step: &Step| Hunk {
        kind: step.kind,
        base_block: step.base,
        target_block: step.target,
        spans: spans(step, &plan, (&base.blocks, &target.blocks), &vocabulary, &mut aligner),
    };
    let hunks = plan.steps.iter().map(hunk).collect();
    ContentDiff { fields, hunks }
}

fn spans(
    step: &Step,
    plan: &Plan,
    (base, target): (&[Block], &[Block]),
    vocabulary: &Vocabulary<'_>,
    aligner: &mut Aligner,
) -> Vec<Span> {
    let whole = |kind, text: String| if text.is_empty() { vec![] } else { vec![Span { kind, text }] };
    match (render(base, step.base), render(target, step.target)) {
        (Some(from), Some(to)) if from == to => whole(SpanKind::Equal, to.into_owned()),
        (Some(from), Some(to)) => {
            let (Some(from_text), Some(to_text)) = (plan.base_texts.get(step.base), plan.target_texts.get(step.target))
            else {
                // The plan holds the texts of all pairs that differ. Were one missing, this would still be true.
                return [whole(SpanKind::Delete, from.into_owned()), whole(SpanKind::Insert, to.into_owned())].concat();
            };
            let changes = words::changes(aligner, vocabulary, from_text, to_text);
            words::spans(Side { rendered: &from, text: from_text }, Side { rendered: &to, text: to_text }, &changes)
        }
        (Some(from), None) => whole(SpanKind::Delete, from.into_owned()),
        (None, Some(to)) => whole(SpanKind::Insert, to.into_owned()),
        (None, None) => vec![],
    }
}

fn render(blocks: &[Block], index: Option<usize>) -> Option<Cow<'_, str>> {
    index.and_then(|index| blocks.get(index)).map(|block| text::render(&block.kind))
}

/// Counts the words that came and went in headline, standfirst and body, captions included. Text that only
/// moved counts nothing, and neither do addresses. Words count where [`diff`] would mark them.
pub fn word_delta(base: &Content, target: &Content) -> WordDelta {
    let mut aligner = Aligner::default();
    let fields = [(&base.headline, &target.headline), (&base.standfirst, &target.standfirst)];
    let in_fields = fields
        .iter()
        .filter(|(from, to)| from != to)
        .fold(WordDelta::default(), |delta, (from, to)| delta.plus(field_delta(from, to, &mut aligner)));
    let same_kinds = base.blocks.iter().map(|block| &block.kind).eq(target.blocks.iter().map(|block| &block.kind));
    if same_kinds { in_fields } else { in_fields.plus(body_delta(&base.blocks, &target.blocks, &mut aligner)) }
}

fn field_delta(base: &str, target: &str, aligner: &mut Aligner) -> WordDelta {
    let mut vocabulary = Vocabulary::default();
    let base = vocabulary.split([Part::Prose(base)].into_iter());
    let target = vocabulary.split([Part::Prose(target)].into_iter());
    let changes = words::changes(aligner, &vocabulary, &base, &target);
    words::count(&vocabulary, &base, &target, &changes)
}

fn body_delta(base: &[Block], target: &[Block], aligner: &mut Aligner) -> WordDelta {
    let mut vocabulary = Vocabulary::default();
    let plan = blocks::plan(base, target, &mut vocabulary, aligner);
    plan.steps.iter().fold(WordDelta::default(), |delta, step| {
        let (from, to) = (plan.base_texts.get(step.base), plan.target_texts.get(step.target));
        let nothing = text::Text::default();
        let changes = match (from, to) {
            (None, None) => return delta,
            (Some(from), Some(to)) => words::changes(aligner, &vocabulary, from, to),
            (from, to) => vec![Change {
                base: 0..from.map_or(0, |text| text.tokens.len()),
                target: 0..to.map_or(0, |text| text.tokens.len()),
            }],
        };
        delta.plus(words::count(&vocabulary, from.unwrap_or(&nothing), to.unwrap_or(&nothing), &changes))
    })
}
