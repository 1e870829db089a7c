//! Chooses the content that a new one is stored as a delta of.
//!
//! Most revisions are small edits of the one before, and their deltas are small too. But pages also return to what they
//! said, alternate between two templates, or lose a section and get it back; then one of the last few contents is a much
//! better base than the latest. [`pack`] looks for it only if the delta of the latest content is large, so an ordinary
//! edit costs what it did before. [`pack_thoroughly`] tries every candidate, for work that no client waits for.
//!
//! Which base is chosen has no effect on what is read: any base gives the same bytes.

use std::collections::HashSet;

use bytes::Bytes;

use super::content::{Base, Effort, PackedContent};
use crate::model::Seq;

/// A delta of at most this many bytes is small, whatever the size of the text.
const SMALL_DELTA_BYTES: usize = 512;
/// A delta of at most the text's length divided by this is small.
const SMALL_DELTA_SHARE: usize = 8;
/// How many of the candidates are compressed with, at most: those that share most text with the new content.
const TRIALS_MAX: usize = 2;

/// An older content that may become the base.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The change that it is stored with.
    pub seq: Seq,
    /// How many contents must be read before it.
    pub depth: u32,
    /// Its storage encoding, before compression.
    pub bytes: Bytes,
}

impl Candidate {
    fn base(&self) -> Base<'_> {
        Base { seq: self.seq, depth: self.depth, bytes: &self.bytes }
    }
}

/// Compresses `bytes` quickly, as a delta of `latest`. If that is not small, asks for the `others`, and uses one of them
/// if that saves space.
pub fn pack(bytes: &[u8], latest: Base<'_>, others: impl FnOnce() -> Vec<Candidate>) -> PackedContent {
    better(PackedContent::pack(bytes, Some(latest), Effort::Quick), bytes, latest, others)
}

/// As [`pack`], if `bytes` were packed as a delta of `latest` already.
pub fn better(
    packed: PackedContent,
    bytes: &[u8],
    latest: Base<'_>,
    others: impl FnOnce() -> Vec<Candidate>,
) -> PackedContent {
    if packed.data_bytes() <= SMALL_DELTA_BYTES.max(bytes.len() / SMALL_DELTA_SHARE) {
        return packed;
    }
    let others: Vec<Candidate> = others().into_iter().filter(|other| other.base().is_usable()).collect();
    if others.is_empty() {
        return packed;
    }
    let pieces: Vec<Piece> = Pieces::of(bytes).collect();
    // What a keyframe lacks is everything.
    let lacked_by_latest = packed.base().map_or(bytes.len(), |_| lacked_by(latest.bytes, &pieces));
    let mut promising: Vec<(usize, &Candidate)> =
        others.iter().map(|other| (lacked_by(&other.bytes, &pieces), other)).collect();
    promising.retain(|(lacked, _)| lacked + lacked / 8 < lacked_by_latest);
    promising.sort_by_key(|(lacked, other)| (*lacked, std::cmp::Reverse(other.seq)));
    let trials = promising.iter().take(TRIALS_MAX);
    trials.fold(packed, |best, (_, other)| smaller(best, PackedContent::pack(bytes, Some(other.base()), Effort::Quick)))
}

/// Compresses `bytes` as well as possible, as a delta of the best of the `candidates` or as a keyframe.
pub fn pack_thoroughly(bytes: &[u8], candidates: &[Candidate]) -> PackedContent {
    let quick = |base: &Base<'_>| PackedContent::pack(bytes, Some(*base), Effort::Quick).data_bytes();
    let bases = candidates.iter().map(Candidate::base).filter(Base::is_usable);
    let best = bases.min_by_key(|base| (quick(base), base.depth));
    PackedContent::pack(bytes, best, Effort::Thorough)
}

/// The one with less data.
fn smaller(one: PackedContent, other: PackedContent) -> PackedContent {
    if other.data_bytes() < one.data_bytes() { other } else { one }
}

/// How many of the bytes in `pieces` do not occur in `bytes`, approximately.
fn lacked_by(bytes: &[u8], pieces: &[Piece]) -> usize {
    let there: HashSet<u64> = Pieces::of(bytes).map(|piece| piece.hash).collect();
    pieces.iter().filter(|piece| !there.contains(&piece.hash)).map(|piece| piece.bytes).sum()
}

/// A piece of a content: some thirty bytes between two places that depend only on the bytes around them. So two contents
/// with a passage in common have its pieces in common, wherever it is.
struct Piece {
    hash: u64,
    bytes: usize,
}

/// Cuts bytes into pieces by a rolling sum, as FastCDC does ("A Fast and Efficient Content-Defined Chunking Approach",
/// Xia and others 2016).
struct Pieces<'a>(&'a [u8]);

impl<'a> Pieces<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }
}

impl Iterator for Pieces<'_> {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        /// A piece ends where these bits of the sum are zero: after 32 bytes on average.
        const END_MASK: u64 = 0b1_1111 << 59;
        const BYTES_MAX: usize = 256;
        if self.0.is_empty() {
            return None;
        }
        let (mut sum, mut hash, mut length) = (0_u64, 0_u64, 0);
        for byte in self.0.iter().take(BYTES_MAX) {
            let mixed = MIXED.get(usize::from(*byte)).copied().unwrap_or_default();
            sum = (sum << 1).wrapping_add(mixed);
            hash = (hash.rotate_left(5) ^ mixed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            length += 1;
            if sum & END_MASK == 0 {
                break;
            }
        }
        self.0 = self.0.get(length..).unwrap_or_default();
        Some(Piece { hash, bytes: length })
    }
}

/// A random number for each byte (splitmix64, Vigna 2015).
static MIXED: [u64; 256] = mixed();

#[expect(clippy::indexing_slicing, reason = "the index is below the array's length, and this runs at compile time")]
const fn mixed() -> [u64; 256] {
    let (mut numbers, mut state, mut index) = ([0; 256], 0_u64, 0);
    while index < numbers.len() {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut number = state;
        number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        numbers[index] = number ^ (number >> 31);
        index += 1;
    }
    numbers
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::content::DEPTH_LIMIT;

    /// A text of words that do not compress, which the seed determines.
    fn text(seed: u64, words: u64) -> Vec<u8> {
        let word = |number: u64| format!("{:x} ", (seed << 32 | number).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        (0..words).map(word).collect::<String>().into_bytes()
    }

    fn candidate(seq: u64, depth: u32, bytes: &[u8]) -> Candidate {
        Candidate { seq: Seq(seq), depth, bytes: Bytes::copy_from_slice(bytes) }
    }

    fn unpacked(packed: PackedContent, candidates: &[Candidate]) -> Vec<u8> {
        let base = packed.base().map(|base| candidates.iter().find(|other| other.seq == base).unwrap());
        packed.at(Seq(100)).unpack(base.map(|base| base.bytes.as_ref())).unwrap()
    }

    #[test]
    fn a_text_that_returns_is_a_delta_of_what_it_returns_to() {
        let (one, other) = (text(1, 300), text(2, 300));
        let again = [one.as_slice(), b" a little more"].concat();
        let all = [candidate(7, 3, &one), candidate(8, 4, &other)];
        for packed in [pack(&again, all[1].base(), || vec![all[0].clone()]), pack_thoroughly(&again, &all)] {
            assert_eq!((packed.base(), packed.depth()), (Some(Seq(7)), 4));
            assert!(packed.data_bytes() < 100);
            assert!(unpacked(packed, &all) == again);
        }
    }

    #[test]
    fn the_others_are_not_asked_for_if_the_delta_of_the_latest_is_small() {
        let (one, edited) = (text(1, 300), [text(1, 300).as_slice(), b" a little more"].concat());
        let packed = pack(&edited, candidate(8, 4, &one).base(), || panic!("the others are not needed"));
        assert_eq!(packed.base(), Some(Seq(8)));
    }

    #[test]
    fn a_chain_that_is_too_deep_continues_from_a_shallower_content() {
        let (one, edited) = (text(1, 300), [text(1, 300).as_slice(), b" a little more"].concat());
        let (deep, shallow) = (candidate(8, DEPTH_LIMIT - 1, &one), candidate(7, DEPTH_LIMIT - 2, &one));
        let packed = pack(&edited, deep.base(), || vec![shallow.clone()]);
        assert_eq!((packed.base(), packed.depth()), (Some(Seq(7)), DEPTH_LIMIT - 1));
        let packed = pack(&edited, deep.base(), || vec![deep.clone()]);
        assert_eq!((packed.base(), packed.depth()), (None, 0));
        assert_eq!(pack_thoroughly(&edited, &[deep]).base(), None);
    }

    proptest! {
        #[test]
        fn every_choice_gives_the_same_bytes(
            texts in prop::collection::vec((0..4_u64, 0..200_u64, 0..DEPTH_LIMIT), 1..6),
            (seed, words) in (0..5_u64, 0..200_u64),
        ) {
            let bytes = text(seed, words);
            let texts: Vec<_> = texts.into_iter().map(|(seed, words, depth)| (text(seed, words), depth)).collect();
            let all: Vec<_> =
                (1..).zip(&texts).map(|(seq, (text, depth))| candidate(seq, *depth, text)).collect();
            let (latest, others) = all.split_last().unwrap();
            for packed in [pack(&bytes, latest.base(), || others.to_vec()), pack_thoroughly(&bytes, &all)] {
                prop_assert!(packed.depth() < DEPTH_LIMIT);
                prop_assert!(unpacked(packed, &all) == bytes);
            }
        }
    }
}
