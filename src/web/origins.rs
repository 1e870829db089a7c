//! Which revision brought each word of a text.
//!
//! It is followed backwards, from comparison to comparison: what a comparison says was inserted came with its target, and
//! what it says is equal was at another place in its base, where the comparison before that one continues. Words that were
//! moved keep their origin. Words that were taken out and came back are as new as their return.

use std::collections::HashMap;

use crate::wire::pb;

/// The words of a text, of which some have been followed to the revision that brought them.
pub(super) struct Origins {
    parts: Vec<(Place, String, Vec<Piece>)>,
}

/// A part of a revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Place {
    Headline,
    Standfirst,
    /// The block with this index.
    Block(u32),
}

/// Some bytes of a part.
#[derive(Clone, Copy)]
struct Piece {
    bytes: usize,
    origin: Origin,
}

#[derive(Clone, Copy)]
enum Origin {
    /// The revision with this number.
    Revision(u32),
    /// Not known yet: it is also in this part of the oldest revision compared, from this byte on.
    At(Place, usize),
}

/// Words with the revision that brought them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) text: String,
    pub(super) revision: u32,
}

/// Some bytes of a part of the target: where they begin, and where they were in the base.
struct Stretch {
    start: usize,
    end: usize,
    base: Option<(Place, usize)>,
}

impl Origins {
    /// The text of the target of a comparison, nothing of which has been followed.
    pub(super) fn of(headline: &str, standfirst: &str, diff: &pb::DiffRevisionsResponse) -> Self {
        let mut blocks: Vec<(u32, String)> =
            diff.hunks.iter().filter_map(|hunk| Some((hunk.target_block?, target_text(&hunk.spans)))).collect();
        blocks.sort_by_key(|(number, _)| *number);
        let fields = [(Place::Headline, headline.to_owned()), (Place::Standfirst, standfirst.to_owned())];
        let blocks = blocks.into_iter().map(|(number, text)| (Place::Block(number), text));
        let whole = |(place, text): (Place, String)| {
            let piece = Piece { bytes: text.len(), origin: Origin::At(place, 0) };
            (place, text, vec![piece])
        };
        Self { parts: fields.into_iter().chain(blocks).map(whole).collect() }
    }

    /// Follows what is left through the comparison of the oldest revision reached with the one before it.
    pub(super) fn follow(&mut self, diff: &pb::DiffRevisionsResponse) {
        let target = diff.target.as_ref().map_or(0, |target| target.number);
        let blocks = diff.hunks.iter().filter_map(|hunk| {
            let base = hunk.base_block.map(Place::Block);
            Some((Place::Block(hunk.target_block?), stretches(&hunk.spans, base)))
        });
        let fields = diff.field_changes.iter().filter_map(|change| {
            let place = match change.field.as_str() {
                "headline" => Place::Headline,
                "standfirst" => Place::Standfirst,
                _ => return None,
            };
            Some((place, stretches(&change.spans, Some(place))))
        });
        let stretches: HashMap<Place, Vec<Stretch>> = blocks.chain(fields).collect();
        for (_, _, pieces) in &mut self.parts {
            let mut followed = Vec::with_capacity(pieces.len());
            for piece in pieces.iter() {
                match piece.origin {
                    Origin::Revision(_) => followed.push(*piece),
                    Origin::At(place, at) => match stretches.get(&place) {
                        Some(of_place) => split(of_place, at, piece.bytes, target, &mut followed),
                        // A comparison has each block, and only the fields that differ.
                        None => followed.push(*piece),
                    },
                }
            }
            *pieces = followed;
        }
    }

    /// Whether all words have been followed to the end.
    pub(super) fn is_known(&self) -> bool {
        let mut pieces = self.parts.iter().flat_map(|(_, _, pieces)| pieces).filter(|piece| piece.bytes > 0);
        pieces.all(|piece| matches!(piece.origin, Origin::Revision(_)))
    }

    /// The runs of each part: of the headline, of the standfirst, and of each block. What is left was there in the revision
    /// with this number.
    pub(super) fn runs(self, oldest: u32) -> Vec<(Place, Vec<Run>)> {
        let runs = |(place, text, pieces): (Place, String, Vec<Piece>)| {
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
            (place, runs)
        };
        self.parts.into_iter().map(runs).collect()
    }
}

/// What a part says in the target.
fn target_text(spans: &[pb::Span]) -> String {
    let spans = spans.iter().filter(|span| span.kind() != pb::SpanKind::Delete);
    spans.map(|span| span.text.as_str()).collect()
}

/// The stretches of a part of the target, in order.
fn stretches(spans: &[pb::Span], base: Option<Place>) -> Vec<Stretch> {
    let (mut stretches, mut start, mut in_base) = (Vec::new(), 0, 0);
    for span in spans {
        let bytes = span.text.len();
        let at = base.map(|place| (place, in_base));
        match span.kind() {
            pb::SpanKind::Equal | pb::SpanKind::Unspecified => {
                stretches.push(Stretch { start, end: start + bytes, base: at });
                (start, in_base) = (start + bytes, in_base + bytes);
            }
            pb::SpanKind::Insert => {
                stretches.push(Stretch { start, end: start + bytes, base: None });
                start += bytes;
            }
            pb::SpanKind::Delete => in_base += bytes,
        }
    }
    stretches
}

/// Splits the bytes from `at` on where the stretches of their part end. What came with the target is known by that.
fn split(stretches: &[Stretch], at: usize, bytes: usize, target: u32, pieces: &mut Vec<Piece>) {
    let end = at + bytes;
    let first = stretches.partition_point(|stretch| stretch.end <= at);
    for stretch in stretches.get(first..).unwrap_or_default().iter().take_while(|stretch| stretch.start < end) {
        let (from, to) = (stretch.start.max(at), stretch.end.min(end));
        let origin = match stretch.base {
            Some((place, base)) => Origin::At(place, base + (from - stretch.start)),
            None => Origin::Revision(target),
        };
        pieces.push(Piece { bytes: to - from, origin });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spans(texts: &[&str]) -> Vec<pb::Span> {
        let span = |text: &&str| {
            let (kind, text) = match text.split_at(1) {
                ("+", text) => (pb::SpanKind::Insert, text),
                ("-", text) => (pb::SpanKind::Delete, text),
                _ => (pb::SpanKind::Equal, *text),
            };
            pb::Span { kind: kind.into(), text: text.to_owned() }
        };
        texts.iter().map(span).collect()
    }

    /// A comparison of blocks: their places, and their spans, `+` inserted, `-` deleted.
    fn hunk(base: Option<u32>, target: Option<u32>, texts: &[&str]) -> pb::Hunk {
        pb::Hunk { base_block: base, target_block: target, spans: spans(texts), ..pb::Hunk::default() }
    }

    fn diff(target: u32, hunks: Vec<pb::Hunk>) -> pb::DiffRevisionsResponse {
        let target = pb::Revision { number: target, ..pb::Revision::default() };
        pb::DiffRevisionsResponse { target: Some(target), hunks, ..pb::DiffRevisionsResponse::default() }
    }

    fn run(text: &str, revision: u32) -> Run {
        Run { text: text.to_owned(), revision }
    }

    #[test]
    fn words_are_followed_through_edits_and_moves() {
        // 1: "a b" | "x"; 2: "x y" | "a q b"; 3: "x y" | "é a c b".
        let third = vec![hunk(Some(0), Some(0), &["x y"]), hunk(Some(1), Some(1), &["+é ", "a ", "-q ", "+c ", "b"])];
        let second = vec![
            hunk(Some(1), Some(0), &["x", "+ y"]),
            hunk(Some(0), Some(1), &["a ", "+q ", "b"]),
            hunk(Some(2), None, &["-gone"]),
        ];
        let (mut third, second) = (diff(3, third), diff(2, second));
        let change = pb::FieldChange { field: "headline".to_owned(), spans: spans(&["One", "+ more"]) };
        third.field_changes.push(change);
        let mut origins = Origins::of("One more", "", &third);
        origins.follow(&third);
        assert!(!origins.is_known());
        origins.follow(&second);
        let expected = vec![
            (Place::Headline, vec![run("One", 1), run(" more", 3)]),
            (Place::Standfirst, vec![]),
            (Place::Block(0), vec![run("x", 1), run(" y", 2)]),
            (Place::Block(1), vec![run("é ", 3), run("a ", 1), run("c ", 3), run("b", 1)]),
        ];
        assert_eq!(origins.runs(1), expected);
    }

    #[test]
    fn all_words_of_a_new_block_are_known() {
        let first = diff(4, vec![hunk(None, Some(0), &["+All of it."])]);
        let mut origins = Origins::of("", "", &first);
        origins.follow(&first);
        assert!(origins.is_known());
        assert_eq!(origins.runs(1).pop(), Some((Place::Block(0), vec![run("All of it.", 4)])));
    }

    /// Each piece once looked through all stretches of its block: 10¹⁰ steps.
    #[test]
    fn a_text_of_which_every_second_word_changes_is_followed_as_fast_as_it_is_read() {
        let words: Vec<String> =
            (0..200_000).map(|number| if number % 2 == 0 { "+new ".into() } else { "old ".into() }).collect();
        let texts: Vec<&str> = words.iter().map(String::as_str).collect();
        let second = diff(2, vec![hunk(Some(0), Some(0), &texts)]);
        let third = diff(3, vec![hunk(Some(0), Some(0), &[target_text(&second.hunks[0].spans).as_str()])]);
        let mut origins = Origins::of("", "", &third);
        origins.follow(&third);
        origins.follow(&second);
        assert_eq!(origins.runs(1).pop().map(|(_, runs)| runs.len()), Some(200_000));
    }
}
