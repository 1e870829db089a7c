//! Aligns two sequences of tokens: which tokens do they have in common, in order? Knows neither words nor blocks.
//!
//! imara-diff does the work. Its algorithms are near-linear on real text, but each is quadratic in some case: Histogram
//! counts the whole remainder again after each match, and the preprocessing of Myers scans back over whole runs of
//! frequent tokens. So at most [`PIECE_TOKENS_MAX`] tokens per side are passed at once. Longer sequences are first cut
//! at tokens that are unique on both sides (Cohen's patience diff), and pieces that are still too long are cut evenly.
//! That limits the time; in return, the diff is not always the shortest. Histogram is faster than Myers here, both on
//! real revisions and on the worst input found, a long text of few different words.

use std::ops::Range;

use imara_diff::{Algorithm, Diff, Token};

/// The maximum number of tokens per side in one run of the algorithm. Paragraphs have fewer. The worst-case time grows
/// with this limit.
const PIECE_TOKENS_MAX: usize = 512;
/// How many positions are considered for a change that can be placed at several.
const SLIDE_MAX: u32 = 100;
/// Marks a token without a number in the current piece.
const UNSEEN: u32 = u32::MAX;

/// A range in which the two sides differ. At most one of its two ranges is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ChangedRange {
    /// The tokens that are only in the base.
    pub(super) base: Range<usize>,
    /// The tokens that are only in the target.
    pub(super) target: Range<usize>,
}

/// Aligns sequences of tokens, and reuses its buffers from one call to the next.
#[derive(Default)]
pub(super) struct Aligner {
    /// For each token its number in the current piece; [`UNSEEN`] between pieces.
    numbers: Vec<u32>,
    /// For each number in the current piece its token.
    tokens: Vec<Token>,
    base: Vec<Token>,
    target: Vec<Token>,
    diff: Diff,
}

impl Aligner {
    /// Returns the changes that lead from `base` to `target`, in order, with at least one equal token between any two.
    ///
    /// If an insertion or deletion could be placed at several positions, the first one with the highest `rate` is
    /// chosen. `rate` receives the first and the last token that would be marked as changed.
    pub(super) fn align(
        &mut self,
        base: &[Token],
        target: &[Token],
        rate: impl Fn(Token, Token) -> u8,
    ) -> Vec<ChangedRange> {
        let mut changes = Vec::new();
        if base.len().max(target.len()) <= PIECE_TOKENS_MAX {
            self.align_piece(
                base,
                target,
                ChangedRange { base: 0..base.len(), target: 0..target.len() },
                &rate,
                &mut changes,
            );
        } else {
            for piece in pieces(base, target) {
                self.align_piece(base, target, piece, &rate, &mut changes);
            }
        }
        changes
    }

    fn align_piece(
        &mut self,
        base: &[Token],
        target: &[Token],
        piece: ChangedRange,
        rate: &impl Fn(Token, Token) -> u8,
        changes: &mut Vec<ChangedRange>,
    ) {
        let (from, to) = (part(base, &piece.base), part(target, &piece.target));
        if from == to {
            return;
        }
        if from.is_empty() || to.is_empty() {
            push(changes, piece);
            return;
        }
        self.number(from, to);
        let count = u32::try_from(self.tokens.len()).unwrap_or(u32::MAX);
        self.diff.compute_with(Algorithm::Histogram, &self.base, &self.target, count);
        let tokens = &self.tokens;
        let token = |number: &Token| tokens.get(position(*number)).copied();
        self.diff.postprocess_with(&self.base, &self.target, |side: &[Token], hunk: Range<u32>, earliest_end: u32| {
            best_end(&hunk, earliest_end, |place| {
                let ends = side.get(usize_range(place))?;
                Some(rate(token(ends.first()?)?, token(ends.last()?)?))
            })
        });
        for hunk in self.diff.hunks() {
            let (before, after) = (usize_range(hunk.before), usize_range(hunk.after));
            let base = piece.base.start + before.start..piece.base.start + before.end;
            let target = piece.target.start + after.start..piece.target.start + after.end;
            push(changes, ChangedRange { base, target });
        }
    }

    /// Numbers the tokens of a piece from 0. The algorithm allocates a table up to the highest number, so that with
    /// document-wide numbers each small piece would cost as much as the whole document.
    fn number(&mut self, base: &[Token], target: &[Token]) {
        self.tokens.clear();
        number_side(base, &mut self.base, &mut self.numbers, &mut self.tokens);
        number_side(target, &mut self.target, &mut self.numbers, &mut self.tokens);
        for token in &self.tokens {
            if let Some(number) = self.numbers.get_mut(position(*token)) {
                *number = UNSEEN;
            }
        }
    }
}

fn number_side(side: &[Token], out: &mut Vec<Token>, numbers: &mut Vec<u32>, tokens: &mut Vec<Token>) {
    out.clear();
    for &token in side {
        let at = position(token);
        if at >= numbers.len() {
            numbers.resize(at + 1, UNSEEN);
        }
        let Some(number) = numbers.get_mut(at) else { continue };
        if *number == UNSEEN {
            *number = u32::try_from(tokens.len()).unwrap_or(UNSEEN);
            tokens.push(token);
        }
        out.push(Token(*number));
    }
}

/// The end of a change that can slide: the first of the best positions.
fn best_end(hunk: &Range<u32>, earliest_end: u32, rate: impl Fn(Range<u32>) -> Option<u8>) -> u32 {
    let len = hunk.end.saturating_sub(hunk.start);
    // As in git, a change slides back by at most its own length plus one token.
    let earliest = earliest_end.max(hunk.start.saturating_sub(1)).max(hunk.end.saturating_sub(SLIDE_MAX));
    (earliest..=hunk.end)
        .rev()
        .max_by_key(|&end| end.checked_sub(len).and_then(|start| rate(start..end)))
        .unwrap_or(hunk.end)
}

/// Cuts two long sequences into pieces of at most [`PIECE_TOKENS_MAX`] tokens per side, leaving out equal tokens.
fn pieces(base: &[Token], target: &[Token]) -> Vec<ChangedRange> {
    let same = |(a, b): &(&Token, &Token)| a == b;
    let head = base.iter().zip(target).take_while(same).count();
    let (base_rest, target_rest) = (base.get(head..).unwrap_or_default(), target.get(head..).unwrap_or_default());
    let tail = base_rest.iter().rev().zip(target_rest.iter().rev()).take_while(same).count();
    let whole = ChangedRange { base: head..base.len() - tail, target: head..target.len() - tail };

    let mut pieces = Vec::new();
    let (mut base_at, mut target_at) = (head, head);
    for (base_anchor, target_anchor) in anchors(part(base, &whole.base), part(target, &whole.target)) {
        let (base_end, target_end) = (head + base_anchor, head + target_anchor);
        cut_evenly(&ChangedRange { base: base_at..base_end, target: target_at..target_end }, &mut pieces);
        (base_at, target_at) = (base_end + 1, target_end + 1);
    }
    cut_evenly(&ChangedRange { base: base_at..whole.base.end, target: target_at..whole.target.end }, &mut pieces);
    pieces
}

/// The positions, on both sides, of the longest series of tokens that are unique on each side and in the same order on
/// both.
fn anchors(base: &[Token], target: &[Token]) -> Vec<(usize, usize)> {
    let (base_once, target_once) = (unique(base), unique(target));
    let mut base_once = base_once.into_iter().peekable();
    let mut pairs: Vec<(usize, usize)> = target_once
        .into_iter()
        .filter_map(|(token, target_at)| {
            while base_once.next_if(|(other, _)| *other < token).is_some() {}
            base_once.next_if(|(other, _)| *other == token).map(|(_, base_at)| (base_at, target_at))
        })
        .collect();
    pairs.sort_unstable();
    longest_increasing(&pairs)
}

/// The tokens that occur once in `side` with their positions, sorted by token.
fn unique(side: &[Token]) -> Vec<(u32, usize)> {
    let mut places: Vec<(u32, usize)> = side.iter().enumerate().map(|(at, token)| (token.0, at)).collect();
    places.sort_unstable();
    places.chunk_by(|a, b| a.0 == b.0).filter(|same| same.len() == 1).flatten().copied().collect()
}

/// The longest subsequence that increases in its second member, by patience sorting: O(n log n).
fn longest_increasing(pairs: &[(usize, usize)]) -> Vec<(usize, usize)> {
    let second = |at: usize| pairs.get(at).map_or(0, |pair| pair.1);
    let mut tops: Vec<usize> = Vec::new();
    let mut previous: Vec<Option<usize>> = Vec::with_capacity(pairs.len());
    for (at, pair) in pairs.iter().enumerate() {
        let pile = tops.partition_point(|&top| second(top) < pair.1);
        previous.push(pile.checked_sub(1).and_then(|below| tops.get(below).copied()));
        match tops.get_mut(pile) {
            Some(top) => *top = at,
            None => tops.push(at),
        }
    }
    let last = tops.last().copied();
    let mut chain: Vec<_> = std::iter::successors(last, |&at| previous.get(at).copied().flatten())
        .filter_map(|at| pairs.get(at).copied())
        .collect();
    chain.reverse();
    chain
}

fn cut_evenly(stretch: &ChangedRange, pieces: &mut Vec<ChangedRange>) {
    let (base_len, target_len) = (stretch.base.len(), stretch.target.len());
    let count = base_len.max(target_len).div_ceil(PIECE_TOKENS_MAX);
    let cut = |range: &Range<usize>, n: usize| range.start + range.len() * n / count;
    for n in 0..count {
        let base = cut(&stretch.base, n)..cut(&stretch.base, n + 1);
        let target = cut(&stretch.target, n)..cut(&stretch.target, n + 1);
        pieces.push(ChangedRange { base, target });
    }
}

/// Appends a change, or extends the last one if they touch.
fn push(changes: &mut Vec<ChangedRange>, change: ChangedRange) {
    match changes.last_mut() {
        Some(last) if last.base.end == change.base.start && last.target.end == change.target.start => {
            last.base.end = change.base.end;
            last.target.end = change.target.end;
        }
        Some(_) | None => changes.push(change),
    }
}

fn part<'a>(side: &'a [Token], range: &Range<usize>) -> &'a [Token] {
    side.get(range.clone()).unwrap_or_default()
}

fn usize_range(range: Range<u32>) -> Range<usize> {
    position(Token(range.start))..position(Token(range.end))
}

/// A token's number as an index.
pub(super) fn position(token: Token) -> usize {
    usize::try_from(token.0).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tokens(numbers: &[u32]) -> Vec<Token> {
        numbers.iter().copied().map(Token).collect()
    }

    /// Fails unless everything outside the changes is equal and no two changes touch.
    fn check(base: &[Token], target: &[Token]) {
        let changes = Aligner::default().align(base, target, |first, last| u8::from(first.0 * 3 > last.0 * 2));
        let (mut base_at, mut target_at) = (0, 0);
        for (n, change) in changes.iter().enumerate() {
            assert!(!change.base.is_empty() || !change.target.is_empty());
            assert!(n == 0 || change.base.start > base_at);
            assert_eq!(base[base_at..change.base.start], target[target_at..change.target.start]);
            (base_at, target_at) = (change.base.end, change.target.end);
        }
        assert_eq!(base[base_at..], target[target_at..]);
    }

    proptest! {
        #[test]
        fn everything_outside_the_changes_is_equal(
            base in proptest::collection::vec(0_u32..6, 0..40),
            target in proptest::collection::vec(0_u32..6, 0..40),
        ) {
            check(&tokens(&base), &tokens(&target));
        }
    }

    #[test]
    fn long_sequences_are_cut_and_still_aligned() {
        let base: Vec<u32> = (0..5000).collect();
        let target: Vec<u32> = (0..5000).map(|n| if n % 1000 == 500 { n + 90_000 } else { n }).collect();
        let (base, target) = (tokens(&base), tokens(&target));
        check(&base, &target);
        let changes = Aligner::default().align(&base, &target, |_, _| 0);
        let places: Vec<usize> = changes.iter().map(|change| change.base.start).collect();
        assert_eq!(places, [500, 1500, 2500, 3500, 4500]);
    }

    #[test]
    fn long_sequences_without_a_unique_token_are_cut_evenly() {
        let base: Vec<u32> = (0..5000).map(|n| n % 7).collect();
        let target: Vec<u32> = (0..7000).map(|n| n * n % 11).collect();
        check(&tokens(&base), &tokens(&target));
    }

    #[test]
    fn a_change_slides_to_the_first_of_the_best_positions() {
        let (base, target) = (tokens(&[1, 2, 3, 9]), tokens(&[1, 2, 3, 7, 1, 2, 3, 9]));
        let ending_in = |wanted: u32| {
            let changes = Aligner::default().align(&base, &target, |_, last| u8::from(last.0 == wanted));
            changes.first().map(|change| change.target.clone())
        };
        assert_eq!(ending_in(7), Some(0..4));
        assert_eq!(ending_in(2), Some(2..6));
        assert_eq!(ending_in(3), Some(3..7));
        assert_eq!(ending_in(8), Some(0..4));
    }
}
