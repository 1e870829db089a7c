//! Matches the blocks of the base with those of the target. This module decides which blocks belong together and where
//! they are, not which of their words changed.

use imara_diff::{Interner, Token};

use super::HunkKind;
use super::align::{Aligner, ChangedRange, position};
use super::similar::{self, Leftover, MOVED_WORDS_MIN};
use super::text::{BlockKey, TextLine, TokenText, Vocabulary, lines};
use crate::model::Block;
use crate::model::word_bounds::words;

/// A block that is on one side, or a pair of blocks that match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BlockStep {
    /// What happened to the block.
    pub(super) kind: HunkKind,
    /// Its index in the base; `None` if inserted.
    pub(super) base: Option<usize>,
    /// Its index in the target; `None` if deleted.
    pub(super) target: Option<usize>,
}

/// How the base body became the target body.
pub(super) struct BlockAlignment {
    /// Every block of both sides exactly once, in the order of the target, with deleted blocks where they were.
    pub(super) steps: Vec<BlockStep>,
    /// The texts of the base's blocks that have no equal block in the target.
    pub(super) base_texts: BlockTexts,
    /// The texts of the target's blocks that have no equal block in the base.
    pub(super) target_texts: BlockTexts,
}

/// The texts of some blocks, by index.
#[derive(Default)]
pub(super) struct BlockTexts(Vec<Leftover>);

impl BlockTexts {
    /// The text of a block; `None` if the other side has an equal block.
    pub(super) fn get(&self, block: Option<usize>) -> Option<&TokenText> {
        let at = self.0.binary_search_by_key(&block?, |leftover| leftover.index).ok()?;
        self.0.get(at).map(|leftover| &leftover.text)
    }
}

/// Matches equal blocks in place first, then equal blocks that moved, then similar ones.
pub(super) fn align<'a>(
    base: &'a [Block],
    target: &'a [Block],
    vocabulary: &mut Vocabulary<'a>,
    aligner: &mut Aligner,
) -> BlockAlignment {
    let (base_keys, target_keys) = keys(base, target);
    let mut matching = Matching::new(base.len(), target.len());
    matching.keep_all_but(&aligner.align(&base_keys, &target_keys, |_, _| 0));
    matching.pair_moved_equal_blocks(base, &base_keys, &target_keys);

    let base_texts = leftovers(base, &matching.base, vocabulary);
    let target_texts = leftovers(target, &matching.target, vocabulary);
    let pairs = similar::pair(&base_texts, &target_texts);
    let in_place = pairs.in_place.into_iter().map(|pair| (pair, PairOrder::Kept));
    for ((base_at, target_at), order) in in_place.chain(pairs.moved.into_iter().map(|pair| (pair, PairOrder::Moved))) {
        if let (Some(base), Some(target)) = (base_texts.get(base_at), target_texts.get(target_at)) {
            matching.join(base.index, target.index, order);
        }
    }
    let steps = matching
        .steps(|base_at, target_at| base_keys.get(base_at).is_some_and(|key| target_keys.get(target_at) == Some(key)));
    BlockAlignment { steps, base_texts: BlockTexts(base_texts), target_texts: BlockTexts(target_texts) }
}

/// Numbers the blocks so that equal blocks have equal numbers.
fn keys(base: &[Block], target: &[Block]) -> (Vec<Token>, Vec<Token>) {
    let mut interner = Interner::new(base.len() + target.len());
    let mut number = |block| interner.intern(BlockKey(block));
    let base_keys = base.iter().map(|block| number(&block.kind)).collect();
    let target_keys = target.iter().map(|block| number(&block.kind)).collect();
    (base_keys, target_keys)
}

/// The blocks without a partner so far.
fn leftovers<'a>(blocks: &'a [Block], partners: &[Option<Partner>], vocabulary: &mut Vocabulary<'a>) -> Vec<Leftover> {
    let mut gap = 0;
    let mut leftovers = Vec::new();
    for (index, (block, partner)) in blocks.iter().zip(partners).enumerate() {
        match partner {
            Some(Partner { order: PairOrder::Kept, .. }) => gap += 1,
            Some(Partner { order: PairOrder::Moved, .. }) => {}
            None => {
                let text = vocabulary.split(lines(&block.kind));
                leftovers.push(Leftover::new(index, gap, text, vocabulary));
            }
        }
    }
    leftovers
}

/// Whether a pair has the same place among the pairs on both sides.
#[derive(Clone, Copy, PartialEq, Eq)]
enum PairOrder {
    /// It does not cross any other kept pair.
    Kept,
    Moved,
}

/// The matching block on the other side.
#[derive(Clone, Copy)]
struct Partner {
    index: usize,
    order: PairOrder,
}

/// The pairs found so far.
struct Matching {
    base: Vec<Option<Partner>>,
    target: Vec<Option<Partner>>,
}

impl Matching {
    fn new(base_len: usize, target_len: usize) -> Self {
        Self { base: vec![None; base_len], target: vec![None; target_len] }
    }

    fn join(&mut self, base: usize, target: usize, order: PairOrder) {
        if let (Some(from), Some(to)) = (self.base.get_mut(base), self.target.get_mut(target)) {
            *from = Some(Partner { index: target, order });
            *to = Some(Partner { index: base, order });
        }
    }

    /// Pairs all blocks outside `changes`, which are equal and in the same order on both sides.
    fn keep_all_but(&mut self, changes: &[ChangedRange]) {
        let end = ChangedRange { base: self.base.len()..self.base.len(), target: self.target.len()..self.target.len() };
        let (mut base_at, mut target_at) = (0, 0);
        for change in changes.iter().chain([&end]) {
            for (base, target) in (base_at..change.base.start).zip(target_at..change.target.start) {
                self.join(base, target, PairOrder::Kept);
            }
            (base_at, target_at) = (change.base.end, change.target.end);
        }
    }

    /// Pairs deleted blocks with equal inserted ones, in order. Short blocks, such as a row of asterisks, are paired
    /// only if they are the only ones of their kind.
    fn pair_moved_equal_blocks(&mut self, base: &[Block], base_keys: &[Token], target_keys: &[Token]) {
        let mut deleted = unpaired(base_keys, &self.base).into_iter().peekable();
        let mut pairs = Vec::new();
        for (key, target_at) in unpaired(target_keys, &self.target) {
            while deleted.next_if(|(other, _)| *other < key).is_some() {}
            pairs.extend(deleted.next_if(|(other, _)| *other == key).map(|(_, base_at)| (key, base_at, target_at)));
        }
        let (base_counts, target_counts) = (counts(base_keys, pairs.len()), counts(target_keys, pairs.len()));
        for (key, base_at, target_at) in pairs {
            let is_only_one = [&base_counts, &target_counts].iter().all(|counts| counts.get(key) == Some(&1));
            if is_only_one || base.get(base_at).is_some_and(is_long_enough) {
                self.join(base_at, target_at, PairOrder::Moved);
            }
        }
    }

    fn steps(&self, is_equal: impl Fn(usize, usize) -> bool) -> Vec<BlockStep> {
        let mut steps = Vec::with_capacity(self.base.len().max(self.target.len()));
        let mut deleted = self.deleted_from(0);
        for (target_at, partner) in self.target.iter().enumerate() {
            steps.append(&mut deleted);
            let step = |kind, base| BlockStep { kind, base, target: Some(target_at) };
            match partner {
                None => steps.push(step(HunkKind::Insert, None)),
                Some(Partner { index, order: PairOrder::Moved }) => steps.push(step(HunkKind::Move, Some(*index))),
                Some(Partner { index, order: PairOrder::Kept }) => {
                    let kind = if is_equal(*index, target_at) { HunkKind::Equal } else { HunkKind::Modify };
                    steps.push(step(kind, Some(*index)));
                    deleted = self.deleted_from(index + 1);
                }
            }
        }
        steps.extend(deleted);
        steps
    }

    /// The deleted blocks from `start` up to the next block that is kept in place.
    fn deleted_from(&self, start: usize) -> Vec<BlockStep> {
        let is_kept = |partner: &Option<Partner>| partner.is_some_and(|partner| partner.order == PairOrder::Kept);
        let rest = self.base.iter().enumerate().skip(start);
        rest.take_while(|(_, partner)| !is_kept(partner))
            .filter(|(_, partner)| partner.is_none())
            .map(|(base_at, _)| BlockStep { kind: HunkKind::Delete, base: Some(base_at), target: None })
            .collect()
    }
}

/// The blocks without a partner, sorted by key and then by index.
fn unpaired(keys: &[Token], partners: &[Option<Partner>]) -> Vec<(usize, usize)> {
    let mut unpaired: Vec<_> = keys
        .iter()
        .zip(partners)
        .enumerate()
        .filter(|(_, (_, partner))| partner.is_none())
        .map(|(at, (key, _))| (position(*key), at))
        .collect();
    unpaired.sort_unstable();
    unpaired
}

/// How often each key occurs in `keys`. Returns nothing, without counting, if `lookups`, the number of keys that will
/// be looked up, is 0.
fn counts(keys: &[Token], lookups: usize) -> Vec<u32> {
    let mut counts = Vec::new();
    for key in keys.iter().filter(|_| lookups > 0).map(|key| position(*key)) {
        if key >= counts.len() {
            counts.resize(key + 1, 0);
        }
        if let Some(count) = counts.get_mut(key) {
            *count += 1;
        }
    }
    counts
}

fn is_long_enough(block: &Block) -> bool {
    let prose = lines(&block.kind).filter_map(|line| match line {
        TextLine::Prose(prose) => Some(prose),
        TextLine::Url(_) => None,
    });
    prose.flat_map(words).take(MOVED_WORDS_MIN).count() == MOVED_WORDS_MIN
}
