//! What changed between two contents: fields, then blocks, then words.
//!
//! Blocks are compared before words: equal blocks are matched first, then unchanged blocks that moved, then blocks that
//! share most of their words. Words are compared only within such pairs. A block's text includes all of its attributes,
//! one per line: a caption's credit, a list's items and so on.
//!
//! The time grows about linearly with the size of both contents, for any input. This can cost precision: a diff can be
//! longer than necessary, but it is never wrong. A diff depends on its two contents alone.

mod align;
mod blocks;
mod fields;
mod similar;
#[cfg(test)]
mod tests;
mod text;
mod words;

use std::borrow::Cow;

use self::align::{Aligner, ChangedRange};
use self::blocks::{BlockAlignment, BlockStep};
use self::text::{TextLine, Vocabulary};
use self::words::Side;
use super::{Block, Content, ContentParts};

/// The difference between a base and a target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContentDiff {
    /// The fields that differ, in the order of [`Content`].
    pub fields: Vec<FieldChange>,
    /// Every block of both bodies exactly once, in the order of the target, with deleted blocks where they were.
    pub hunks: Vec<Hunk>,
}

/// A field other than the body that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldChange {
    /// The field's name as in the contract, such as `headline`.
    pub field: &'static str,
    /// Its text, with base and target interleaved. A claimed time is deleted and inserted as a whole.
    pub spans: Vec<Span>,
}

impl FieldChange {
    /// Whether the field is a claimed time that has another value on each side, so that it reads best as `old → new`.
    pub fn is_moved_time(&self) -> bool {
        matches!(self.field, "publish_time" | "modify_time") && self.spans.len() == 2
    }
}

/// One block, which is in the base, the target or both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hunk {
    /// What happened to it.
    pub kind: HunkKind,
    /// Its index in the base's blocks; `None` if inserted.
    pub base_block: Option<usize>,
    /// Its index in the target's blocks; `None` if deleted.
    pub target_block: Option<usize>,
    /// Its text: equal and deleted spans together are the base's text, equal and inserted ones the target's. No span is
    /// empty, and neighbours differ in kind.
    pub spans: Vec<Span>,
}

/// What happened to a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HunkKind {
    /// It is the same on both sides.
    Equal,
    /// It is only in the target.
    Insert,
    /// It is only in the base.
    Delete,
    /// It moved; its words may have changed too.
    Move,
    /// Its words or its kind changed, in place.
    Modify,
}

/// A run of text that is on one side or on both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The side it is on.
    pub kind: SpanKind,
    /// The text, including white space.
    pub text: String,
}

/// The side that a span is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    /// The text is on both sides.
    Equal,
    /// The text is only in the target.
    Insert,
    /// The text is only in the base.
    Delete,
}

/// How much a content differs from the one in force before it, as a revision records it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiffSummary {
    /// The words inserted and deleted; see [`word_delta`].
    pub word_delta: WordDelta,
    /// The parts that differ.
    pub changed_parts: ContentParts,
}

/// The number of words inserted and deleted. Words are split as Unicode (UAX #29) says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WordDelta {
    /// Words in the target that are not in the base.
    pub inserted: u32,
    /// Words in the base that are not in the target.
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

/// Compares two contents. The confidence in a block's kind is ignored.
pub fn diff(base: &Content, target: &Content) -> ContentDiff {
    let mut aligner = Aligner::default();
    let fields = fields::changes(base, target, &mut aligner);
    let mut vocabulary = Vocabulary::default();
    let alignment = blocks::align(&base.blocks, &target.blocks, &mut vocabulary, &mut aligner);
    let hunk = |step: &BlockStep| Hunk {
        kind: step.kind,
        base_block: step.base,
        target_block: step.target,
        spans: spans(step, &alignment, &base.blocks, &target.blocks, &vocabulary, &mut aligner),
    };
    let hunks = alignment.steps.iter().map(hunk).collect();
    ContentDiff { fields, hunks }
}

fn spans(
    step: &BlockStep,
    alignment: &BlockAlignment,
    base: &[Block],
    target: &[Block],
    vocabulary: &Vocabulary<'_>,
    aligner: &mut Aligner,
) -> Vec<Span> {
    let whole = |kind, text: String| if text.is_empty() { vec![] } else { vec![Span { kind, text }] };
    match (render(base, step.base), render(target, step.target)) {
        (Some(from), Some(to)) if from == to => whole(SpanKind::Equal, to.into_owned()),
        (Some(from), Some(to)) => {
            let texts = (alignment.base_texts.get(step.base), alignment.target_texts.get(step.target));
            let (Some(from_text), Some(to_text)) = texts else {
                // The alignment has the texts of all pairs that differ. If one were missing, this result would still be
                // valid.
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

/// Counts the words inserted and deleted in headline, standfirst and body, captions included. Text that only moved does
/// not count, and neither do URLs. A word counts if [`diff`] would mark it as inserted or deleted.
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

/// The summary that a revision with the content `target` records, if `base` was in force before it.
pub fn summary(base: &Content, target: &Content) -> DiffSummary {
    DiffSummary { word_delta: word_delta(base, target), changed_parts: ContentParts::that_differ(base, target) }
}

/// The words that a text must have so that another can be wholly different from it.
const DIFFERENT_WORDS_MIN: u32 = 20;

/// Whether `target` is another text than `base`, given [`word_delta`] between them: both have at least 20 words, and
/// fewer than a tenth of the words of the shorter one are in the other, in the same order.
pub fn is_wholly_different(base: &Content, target: &Content, delta: WordDelta) -> bool {
    let words = |content| word_delta(&Content::default(), content).inserted;
    // A cheap test first. What is counted here leaves out headline, standfirst and captions, which the delta includes.
    if u64::from(delta.deleted) * 10 < u64::from(base.word_count()) * 9 {
        return false;
    }
    let (from, to) = (words(base), words(target));
    let kept = from.saturating_sub(delta.deleted).max(to.saturating_sub(delta.inserted));
    let shorter = from.min(to);
    shorter >= DIFFERENT_WORDS_MIN && u64::from(kept) * 10 < u64::from(shorter)
}

fn field_delta(base: &str, target: &str, aligner: &mut Aligner) -> WordDelta {
    let mut vocabulary = Vocabulary::default();
    let base = vocabulary.split([TextLine::Prose(base)].into_iter());
    let target = vocabulary.split([TextLine::Prose(target)].into_iter());
    let changes = words::changes(aligner, &vocabulary, &base, &target);
    words::count(&vocabulary, &base, &target, &changes)
}

fn body_delta(base: &[Block], target: &[Block], aligner: &mut Aligner) -> WordDelta {
    let mut vocabulary = Vocabulary::default();
    let alignment = blocks::align(base, target, &mut vocabulary, aligner);
    alignment.steps.iter().fold(WordDelta::default(), |delta, step| {
        let (from, to) = (alignment.base_texts.get(step.base), alignment.target_texts.get(step.target));
        let nothing = text::TokenText::default();
        let changes = match (from, to) {
            (None, None) => return delta,
            (Some(from), Some(to)) => words::changes(aligner, &vocabulary, from, to),
            (from, to) => vec![ChangedRange {
                base: 0..from.map_or(0, |text| text.tokens.len()),
                target: 0..to.map_or(0, |text| text.tokens.len()),
            }],
        };
        delta.plus(words::count(&vocabulary, from.unwrap_or(&nothing), to.unwrap_or(&nothing), &changes))
    })
}
