//! Matches changed blocks of the base with blocks of the target by the words they share.
//!
//! Comparing every block with every other would be quadratic. Instead, a block is compared with the blocks at about the
//! same position, and with the blocks with which it shares words that are rare in the document.

use imara_diff::Token;

use super::text::{TokenText, Vocabulary};

/// The similarity, in thousandths, from which a block counts as the same one with changed words. Unrelated English
/// paragraphs reach about 200 through their articles and prepositions.
const SAME_MIN: u32 = 400;
/// The similarity from which a block counts as the same one even if it moved.
const MOVED_MIN: u32 = 750;
/// The number of words that a block needs to be recognised after a move.
pub(super) const MOVED_WORDS_MIN: usize = 4;
/// In a gap with at most this many pairs of blocks, all pairs are compared.
const GAP_PAIRS_MAX: usize = 64;
/// In a larger gap, this many neighbours on either side of a block's expected position are compared.
const GAP_REACH: usize = 2;
/// A word is rare if at most this many blocks of each side have it.
const RARE_BLOCKS_MAX: usize = 4;
/// A block is compared with this many of the blocks that share the most rare words with it.
const RARE_CANDIDATES_MAX: usize = 3;
/// The maximum weight of a word or URL, however long it is.
const WEIGHT_MAX: usize = 16;

/// A block that has no equal block on the other side.
pub(super) struct Leftover {
    /// The block's index in the body.
    pub(super) index: usize,
    /// The gap between blocks that stay in place: the number of such blocks before this one, on either side.
    pub(super) gap: usize,
    pub(super) text: TokenText,
    bag: Bag,
}

impl Leftover {
    /// The block at `index` in gap `gap`.
    pub(super) fn new(index: usize, gap: usize, text: TokenText, vocabulary: &Vocabulary<'_>) -> Self {
        let bag = Bag::new(&text, vocabulary);
        Self { index, gap, text, bag }
    }

    fn can_move(&self) -> bool {
        self.bag.words.len() >= MOVED_WORDS_MIN
    }
}

/// The words of a block, regardless of order. Long words weigh more, since they carry more meaning.
struct Bag {
    /// Each occurrence of a word, with its weight; sorted.
    words: Vec<(u32, usize)>,
    weight: usize,
}

impl Bag {
    fn new(text: &TokenText, vocabulary: &Vocabulary<'_>) -> Self {
        let weigh = |token: &Token| (token.0, vocabulary.bytes(*token).min(WEIGHT_MAX));
        let with_meaning = text.tokens.iter().filter(|token| vocabulary.kind(**token).has_meaning());
        let mut words: Vec<_> = with_meaning.map(weigh).collect();
        words.sort_unstable();
        let weight = words.iter().map(|(_, weight)| weight).sum();
        Self { words, weight }
    }

    /// The Dice coefficient of the two in thousandths; 0 if it is certain to be below [`SAME_MIN`].
    fn similarity(&self, other: &Self) -> u32 {
        let dice = |shared: usize| {
            let thousandths = (2000 * shared).checked_div(self.weight + other.weight).unwrap_or(0);
            u32::try_from(thousandths).unwrap_or(1000)
        };
        if dice(self.weight.min(other.weight)) < SAME_MIN { 0 } else { dice(self.shared_weight(other)) }
    }

    fn shared_weight(&self, other: &Self) -> usize {
        let mut theirs = other.words.iter().peekable();
        let in_both = self.words.iter().filter(|mine| {
            while theirs.next_if(|word| word.0 < mine.0).is_some() {}
            theirs.next_if(|word| word.0 == mine.0).is_some()
        });
        in_both.map(|(_, weight)| weight).sum()
    }
}

/// Two leftovers that may be the same block, by their positions in the lists of leftovers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PairCandidate {
    base: usize,
    target: usize,
    score: u32,
}

/// The pairs of leftovers that are the same block, as positions in the two lists of leftovers.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Pairs {
    /// Pairs in the same gap and in the same order on both sides.
    pub(super) in_place: Vec<(usize, usize)>,
    /// All other pairs, whose blocks have moved.
    pub(super) moved: Vec<(usize, usize)>,
}

/// Pairs each leftover with at most one leftover of the other side. Both lists must be sorted by index.
pub(super) fn pair(base: &[Leftover], target: &[Leftover]) -> Pairs {
    let candidates = score(base, target);
    let same_gap = |candidate: &PairCandidate| {
        base.get(candidate.base).map(|block| block.gap) == target.get(candidate.target).map(|block| block.gap)
    };
    let better_elsewhere = BetterElsewhere::new(base.len(), target.len(), &candidates);
    let near: Vec<PairCandidate> =
        candidates.iter().filter(|one| same_gap(one) && !better_elsewhere.than(one)).copied().collect();
    let in_place = heaviest_chain(near, target.len());
    let moved = pair_moved(base, target, candidates, &in_place);
    Pairs { in_place, moved }
}

fn score(base: &[Leftover], target: &[Leftover]) -> Vec<PairCandidate> {
    let mut pairs = pairs_by_place(base, target);
    pairs.extend(pairs_by_rare_words(base, target));
    pairs.sort_unstable();
    pairs.dedup();
    let scored = pairs.into_iter().filter_map(|(base_at, target_at)| {
        let score = base.get(base_at)?.bag.similarity(&target.get(target_at)?.bag);
        (score >= SAME_MIN).then_some(PairCandidate { base: base_at, target: target_at, score })
    });
    scored.collect()
}

fn pairs_by_place(base: &[Leftover], target: &[Leftover]) -> Vec<(usize, usize)> {
    let mut pairs = Vec::new();
    let mut base_gaps = base.chunk_by(|a, b| a.gap == b.gap).peekable();
    let (mut base_start, mut target_start) = (0, 0);
    for in_target in target.chunk_by(|a, b| a.gap == b.gap) {
        let gap = in_target.first().map(|block| block.gap);
        while let Some(passed) = base_gaps.next_if(|blocks| blocks.first().map(|block| block.gap) < gap) {
            base_start += passed.len();
        }
        if let Some(in_base) = base_gaps.next_if(|blocks| blocks.first().map(|block| block.gap) == gap) {
            let (base_len, target_len) = (in_base.len(), in_target.len());
            let all = base_len * target_len <= GAP_PAIRS_MAX;
            for target_at in 0..target_len {
                let middle = target_at * base_len / target_len;
                let from = if all { 0 } else { middle.saturating_sub(GAP_REACH) };
                let to = if all { base_len } else { base_len.min(middle + GAP_REACH + 1) };
                pairs.extend((from..to).map(|base_at| (base_start + base_at, target_start + target_at)));
            }
            base_start += base_len;
        }
        target_start += in_target.len();
    }
    pairs
}

fn pairs_by_rare_words(base: &[Leftover], target: &[Leftover]) -> Vec<(usize, usize)> {
    let (base_words, target_words) = (words_with_blocks(base), words_with_blocks(target));
    let mut base_groups = base_words.chunk_by(|a, b| a.0 == b.0).peekable();
    let word = |blocks: &[(u32, usize)]| blocks.first().map(|(word, _)| *word);
    // One pair (target, base) for each rare word that the two blocks share.
    let mut shared_words = Vec::new();
    for in_target in target_words.chunk_by(|a, b| a.0 == b.0) {
        while base_groups.next_if(|in_base| word(in_base) < word(in_target)).is_some() {}
        let Some(in_base) = base_groups.next_if(|in_base| word(in_base) == word(in_target)) else { continue };
        if in_base.len().max(in_target.len()) <= RARE_BLOCKS_MAX {
            let of_target = |&(_, target_at): &(u32, usize)| in_base.iter().map(move |&(_, at)| (target_at, at));
            shared_words.extend(in_target.iter().flat_map(of_target));
        }
    }
    shared_words.sort_unstable();
    best_candidates(&shared_words)
}

/// Each word with each block that has it, without duplicates; sorted.
fn words_with_blocks(blocks: &[Leftover]) -> Vec<(u32, usize)> {
    let of_block =
        |(at, block): (usize, &Leftover)| block.bag.words.iter().map(|(word, _)| (*word, at)).collect::<Vec<_>>();
    let mut words: Vec<_> = blocks.iter().enumerate().flat_map(of_block).collect();
    words.sort_unstable();
    words.dedup();
    words
}

/// For each block of the target, the blocks of the base with which it shares the most rare words, as pairs (base,
/// target).
fn best_candidates(shared_words: &[(usize, usize)]) -> Vec<(usize, usize)> {
    let mut pairs = Vec::new();
    for of_target in shared_words.chunk_by(|a, b| a.0 == b.0) {
        let same_pair = of_target.chunk_by(|a, b| a == b);
        let mut counted: Vec<_> =
            same_pair.filter_map(|same| same.first().map(|&(target, base)| (same.len(), base, target))).collect();
        counted.sort_unstable_by(|a, b| b.cmp(a));
        pairs.extend(counted.into_iter().take(RARE_CANDIDATES_MAX).map(|(_, base, target)| (base, target)));
    }
    pairs
}

/// The best score of each leftover. It shows whether a block that seems to have changed a lot in its gap has an almost
/// unchanged match in another place.
struct BetterElsewhere {
    base: Vec<u32>,
    target: Vec<u32>,
}

impl BetterElsewhere {
    fn new(base_len: usize, target_len: usize, candidates: &[PairCandidate]) -> Self {
        let mut best = Self { base: vec![0; base_len], target: vec![0; target_len] };
        for candidate in candidates {
            for score in best.base.get_mut(candidate.base).into_iter().chain(best.target.get_mut(candidate.target)) {
                *score = candidate.score.max(*score);
            }
        }
        best
    }

    /// Whether one of the candidate's two blocks has an almost unchanged match, and the candidate is not it.
    fn than(&self, candidate: &PairCandidate) -> bool {
        let best = self.base.get(candidate.base).max(self.target.get(candidate.target));
        candidate.score < MOVED_MIN && best.is_some_and(|score| *score >= MOVED_MIN)
    }
}

/// The candidates that do not cross and together have the greatest similarity.
fn heaviest_chain(mut candidates: Vec<PairCandidate>, target_len: usize) -> Vec<(usize, usize)> {
    // The candidates of one base block go from the last target to the first, so that no chain contains two of them.
    candidates.sort_unstable_by(|a, b| a.base.cmp(&b.base).then(b.target.cmp(&a.target)));
    let mut best = BestBefore(vec![ChainEnd::default(); target_len]);
    let mut previous = Vec::with_capacity(candidates.len());
    for (at, candidate) in candidates.iter().enumerate() {
        let before = best.before(candidate.target);
        previous.push(before.last);
        let weight = before.weight + u64::from(candidate.score);
        best.raise(candidate.target, ChainEnd { weight, last: Some(at) });
    }
    let last = best.before(target_len).last;
    let mut chain: Vec<_> = std::iter::successors(last, |&at| previous.get(at).copied().flatten())
        .filter_map(|at| candidates.get(at).map(|candidate| (candidate.base, candidate.target)))
        .collect();
    chain.reverse();
    chain
}

/// The total weight of a chain, and its last candidate.
#[derive(Clone, Copy, Default)]
struct ChainEnd {
    weight: u64,
    last: Option<usize>,
}

/// The heaviest chain that ends before each target: a Fenwick tree of maxima.
struct BestBefore(Vec<ChainEnd>);

impl BestBefore {
    fn before(&self, target: usize) -> ChainEnd {
        let mut best = ChainEnd::default();
        let mut node = target;
        while let Some(end) = node.checked_sub(1).and_then(|at| self.0.get(at)) {
            if end.weight > best.weight {
                best = *end;
            }
            node &= node - 1;
        }
        best
    }

    fn raise(&mut self, target: usize, chain: ChainEnd) {
        let mut node = target + 1;
        while let Some(end) = self.0.get_mut(node - 1) {
            if chain.weight > end.weight {
                *end = chain;
            }
            node += node & node.wrapping_neg();
        }
    }
}

/// Pairs the remaining blocks by similarity alone, the most similar first.
fn pair_moved(
    base: &[Leftover],
    target: &[Leftover],
    mut candidates: Vec<PairCandidate>,
    in_place: &[(usize, usize)],
) -> Vec<(usize, usize)> {
    let (mut base_taken, mut target_taken) = (vec![false; base.len()], vec![false; target.len()]);
    let mut claim =
        |base_at: usize, target_at: usize| match (base_taken.get_mut(base_at), target_taken.get_mut(target_at)) {
            (Some(base), Some(target)) if !*base && !*target => {
                (*base, *target) = (true, true);
                true
            }
            _ => false,
        };
    for &(base_at, target_at) in in_place {
        claim(base_at, target_at);
    }
    candidates.retain(|one| {
        let can_move = base.get(one.base).is_some_and(Leftover::can_move)
            && target.get(one.target).is_some_and(Leftover::can_move);
        can_move && one.score >= MOVED_MIN
    });
    candidates.sort_by_key(|one| std::cmp::Reverse(one.score));
    candidates.retain(|one| claim(one.base, one.target));
    candidates.into_iter().map(|one| (one.base, one.target)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::text::TextLine;
    use super::*;

    fn leftovers<'a>(vocabulary: &mut Vocabulary<'a>, blocks: &[(usize, &'a str)]) -> Vec<Leftover> {
        let mut leftover = |(index, &(gap, text)): (usize, &(usize, &'a str))| {
            let text = vocabulary.split([TextLine::Prose(text)].into_iter());
            Leftover::new(index, gap, text, vocabulary)
        };
        blocks.iter().enumerate().map(&mut leftover).collect()
    }

    fn pair_texts(base: &[(usize, &str)], target: &[(usize, &str)]) -> Pairs {
        let mut vocabulary = Vocabulary::default();
        let (base, target) = (leftovers(&mut vocabulary, base), leftovers(&mut vocabulary, target));
        pair(&base, &target)
    }

    const FERRY: &str = "The ferry to Arnholm caught fire on Tuesday evening.";
    const FERRY_LATER: &str = "The ferry to Arnholm caught fire late on Tuesday.";
    const MAYOR: &str = "Mayor Ines Cole promised an inquiry before the summer.";
    const MAYOR_LATER: &str = "Mayor Ines Cole promised an inquiry before the autumn.";

    #[test]
    fn similar_blocks_of_a_gap_are_paired_in_order() {
        let pairs =
            pair_texts(&[(0, FERRY), (0, MAYOR)], &[(0, "Nothing like it."), (0, FERRY_LATER), (0, MAYOR_LATER)]);
        assert_eq!(pairs, Pairs { in_place: vec![(0, 1), (1, 2)], moved: vec![] });
    }

    #[test]
    fn of_two_pairs_that_cross_one_counts_as_moved() {
        let pairs = pair_texts(&[(0, FERRY), (0, MAYOR)], &[(0, MAYOR_LATER), (0, FERRY_LATER)]);
        assert_eq!((pairs.in_place.len(), pairs.moved.len()), (1, 1));
    }

    #[test]
    fn a_slightly_changed_block_is_matched_in_another_gap() {
        let pairs = pair_texts(&[(0, FERRY), (1, MAYOR)], &[(3, MAYOR_LATER), (4, "The ferry burned.")]);
        assert_eq!(pairs, Pairs { in_place: vec![], moved: vec![(1, 0)] });
    }

    #[test]
    fn unrelated_blocks_are_not_paired() {
        assert_eq!(pair_texts(&[(0, FERRY)], &[(0, MAYOR)]), Pairs::default());
        let (base, target) = ("市长昨天在议会宣布辞职。", "渡轮周二晚上起火，造成十二人死亡。");
        assert_eq!(pair_texts(&[(0, base)], &[(0, target)]), Pairs::default());
    }
}
