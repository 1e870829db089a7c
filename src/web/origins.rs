//! Which revision brought each word of a text.
//!
//! It is followed backwards, from comparison to comparison: what a comparison says was inserted came with its target, and
//! what it says is equal was at another place in its base, where the comparison before that one continues. Words that were
//! moved keep their origin. Words that were taken out and came back are as new as their return.

use std::collections::HashMap;

use crate::wire::pb;

/// The words of a text, of which some have been followed to the revision that brought them.
pub(super) struct Origins {
    blocks: Vec<(String, Vec<Piece>)>,
}

/// A part of a block.
#[derive(Clone, Copy)]
struct Piece {
    bytes: usize,
    origin: Origin,
}

#[derive(Clone, Copy)]
enum Origin {
    /// The revision with this number.
    Revision(u32),
    /// Not known so far: it is also in this block of the oldest revision compared, from this byte on.
    At(u32, usize),
}

/// Words with the revision that brought them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) text: String,
    pub(super) revision: u32,
}

/// A part of a block of the target: how many bytes, and where in the base it was.
struct Stretch {
    bytes: usize,
    base: Option<(u32, usize)>,
}

impl Origins {
    /// The text of the target of a comparison, nothing of which has been followed.
    pub(super) fn of(hunks: &[pb::Hunk]) -> Self {
        let mut blocks: Vec<(u32, String)> =
            hunks.iter().filter_map(|hunk| Some((hunk.target_block?, target_text(hunk)))).collect();
        blocks.sort_by_key(|(number, _)| *number);
        let whole = |(number, text): (u32, String)| {
            let piece = Piece { bytes: text.len(), origin: Origin::At(number, 0) };
            (text, vec![piece])
        };
        Self { blocks: blocks.into_iter().map(whole).collect() }
    }

    /// Follows what is left through the comparison of the oldest revision so far, which has this number, with the one
    /// before it.
    pub(super) fn follow(&mut self, hunks: &[pb::Hunk], target: u32) {
        let stretches: HashMap<u32, Vec<Stretch>> =
            hunks.iter().filter_map(|hunk| Some((hunk.target_block?, stretches(hunk)))).collect();
        for (_, pieces) in &mut self.blocks {
            let followed = pieces.iter().flat_map(|piece| match piece.origin {
                Origin::Revision(_) => vec![*piece],
                Origin::At(block, at) => {
                    let of_block = stretches.get(&block).map(Vec::as_slice).unwrap_or_default();
                    split(of_block, at, piece.bytes, target)
                }
            });
            *pieces = followed.collect();
        }
    }

    /// Whether all words have been followed to the end.
    pub(super) fn is_known(&self) -> bool {
        self.blocks.iter().flat_map(|(_, pieces)| pieces).all(|piece| matches!(piece.origin, Origin::Revision(_)))
    }

    /// The runs of each block. What is left was there in the revision with this number.
    pub(super) fn runs(self, oldest: u32) -> Vec<Vec<Run>> {
        let runs = |(text, pieces): (String, Vec<Piece>)| {
            let (mut runs, mut at): (Vec<Run>, usize) = (Vec::new(), 0);
            for piece in pieces {
                let revision = match piece.origin {
                    Origin::Revision(number) => number,
                    Origin::At(..) => oldest,
                };
                let words = text.get(at..at + piece.bytes).unwrap_or_default();
                at += piece.bytes;
                match runs.last_mut() {
                    Some(last) if last.revision == revision => last.text.push_str(words),
                    Some(_) | None => runs.push(Run { text: words.to_owned(), revision }),
                }
            }
            runs.retain(|run| !run.text.is_empty());
            runs
        };
        self.blocks.into_iter().map(runs).collect()
    }
}

/// What a block says in the target.
fn target_text(hunk: &pb::Hunk) -> String {
    let spans = hunk.spans.iter().filter(|span| span.kind() != pb::SpanKind::Delete);
    spans.map(|span| span.text.as_str()).collect()
}

/// The parts of a block of the target, in order.
fn stretches(hunk: &pb::Hunk) -> Vec<Stretch> {
    let (mut stretches, mut in_base) = (Vec::new(), 0);
    for span in &hunk.spans {
        let bytes = span.text.len();
        match span.kind() {
            pb::SpanKind::Equal | pb::SpanKind::Unspecified => {
                stretches.push(Stretch { bytes, base: hunk.base_block.map(|block| (block, in_base)) });
                in_base += bytes;
            }
            pb::SpanKind::Insert => stretches.push(Stretch { bytes, base: None }),
            pb::SpanKind::Delete => in_base += bytes,
        }
    }
    stretches
}

/// Splits the bytes from `at` on where the stretches of their block end. What came with the target is known by that.
fn split(stretches: &[Stretch], at: usize, bytes: usize, target: u32) -> Vec<Piece> {
    let (mut pieces, mut start, end) = (Vec::new(), 0, at + bytes);
    for stretch in stretches {
        let (from, to) = (start.max(at), (start + stretch.bytes).min(end));
        if from < to {
            let origin = match stretch.base {
                Some((block, base)) => Origin::At(block, base + (from - start)),
                None => Origin::Revision(target),
            };
            pieces.push(Piece { bytes: to - from, origin });
        }
        start += stretch.bytes;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A comparison of blocks: their places, and their spans, `+` inserted, `-` deleted.
    fn hunk(base: Option<u32>, target: Option<u32>, spans: &[&str]) -> pb::Hunk {
        let span = |text: &&str| {
            let (kind, text) = match text.split_at(1) {
                ("+", text) => (pb::SpanKind::Insert, text),
                ("-", text) => (pb::SpanKind::Delete, text),
                _ => (pb::SpanKind::Equal, *text),
            };
            pb::Span { kind: kind.into(), text: text.to_owned() }
        };
        let spans = spans.iter().map(span).collect();
        pb::Hunk { base_block: base, target_block: target, spans, ..pb::Hunk::default() }
    }

    #[test]
    fn words_are_followed_through_edits_and_moves() {
        // 1: "a b" | "x"; 2: "x y" | "a b"; 3: "x y" | "a c b" with the é of another length before it.
        let third = [hunk(Some(0), Some(0), &["x y"]), hunk(Some(1), Some(1), &["+é ", "a ", "-q ", "+c ", "b"])];
        let second = [
            hunk(Some(1), Some(0), &["x", "+ y"]),
            hunk(Some(0), Some(1), &["a ", "+q ", "b"]),
            hunk(Some(2), None, &["-gone"]),
        ];
        let mut origins = Origins::of(&third);
        origins.follow(&third, 3);
        assert!(!origins.is_known());
        origins.follow(&second, 2);
        let run = |text: &str, revision| Run { text: text.to_owned(), revision };
        let expected =
            vec![vec![run("x", 1), run(" y", 2)], vec![run("é ", 3), run("a ", 1), run("c ", 3), run("b", 1)]];
        assert_eq!(origins.runs(1), expected);
    }

    #[test]
    fn the_first_revision_brought_all_of_its_words() {
        let first = [hunk(None, Some(0), &["+All of it."])];
        let mut origins = Origins::of(&first);
        origins.follow(&first, 1);
        assert!(origins.is_known());
        assert_eq!(origins.runs(1), [[Run { text: "All of it.".to_owned(), revision: 1 }]]);
    }
}
