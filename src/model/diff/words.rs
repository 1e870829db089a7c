//! Compares two texts word by word, and arranges the changes for a human reader.

use imara_diff::Token;

use super::align::{Aligner, ChangedRange};
use super::text::{TokenKind, TokenText, Vocabulary};
use super::{Span, SpanKind, WordDelta};

/// If there are at most this many equal words between two changes, the two are joined …
const SLIVER_WORDS_MAX: usize = 2;
/// … provided that each of them has at least this many times as many words as are between them.
const SLIVER_RATIO: usize = 3;

/// The changes from one text to another, as ranges of their tokens.
pub(super) fn changes(
    aligner: &mut Aligner,
    vocabulary: &Vocabulary<'_>,
    base: &TokenText,
    target: &TokenText,
) -> Vec<ChangedRange> {
    let changes =
        aligner.align(&base.tokens, &target.tokens, |first, last| rate(vocabulary.kind(first), vocabulary.kind(last)));
    join_over_slivers(changes, |change| Meaning::of(vocabulary, base, target, change))
}

/// Rates how readable a change is that begins and ends with these tokens: `blue,` is better than `, blue`, and `and
/// south coast` better than `coast and south`.
fn rate(first: TokenKind, last: TokenKind) -> u8 {
    let end = match last {
        TokenKind::SentenceEnd => 6,
        TokenKind::Closing => 4,
        TokenKind::Word { leading: false } | TokenKind::Url => 2,
        TokenKind::Word { leading: true } | TokenKind::Sign => 1,
        TokenKind::Opening => 0,
    };
    end + u8::from(matches!(first, TokenKind::Word { leading: true }))
}

/// The number of words and URLs that a range has on each side.
#[derive(Clone, Copy)]
struct Meaning {
    base: usize,
    target: usize,
}

impl Meaning {
    fn of(vocabulary: &Vocabulary<'_>, base: &TokenText, target: &TokenText, change: &ChangedRange) -> Self {
        let count = |tokens: Option<&[Token]>| {
            tokens.unwrap_or_default().iter().filter(|&&token| vocabulary.kind(token).has_meaning()).count()
        };
        Self {
            base: count(base.tokens.get(change.base.clone())),
            target: count(target.tokens.get(change.target.clone())),
        }
    }

    fn larger_side(self) -> usize {
        self.base.max(self.target)
    }
}

/// Joins neighbouring changes if the equal tokens between them are too few to help a reader: punctuation alone between
/// changed words, or a word or two between long changes.
fn join_over_slivers(changes: Vec<ChangedRange>, meaning: impl Fn(&ChangedRange) -> Meaning) -> Vec<ChangedRange> {
    let mut joined: Vec<ChangedRange> = Vec::with_capacity(changes.len());
    let mut last_meaning = Meaning { base: 0, target: 0 };
    for change in changes {
        let this_meaning = meaning(&change);
        if let Some(last) = joined.last_mut() {
            let between =
                ChangedRange { base: last.base.end..change.base.start, target: last.target.end..change.target.start };
            let sliver = meaning(&between);
            if is_sliver(sliver.base, last_meaning.larger_side().min(this_meaning.larger_side())) {
                last.base.end = change.base.end;
                last.target.end = change.target.end;
                last_meaning.base += sliver.base + this_meaning.base;
                last_meaning.target += sliver.target + this_meaning.target;
                continue;
            }
        }
        joined.push(change);
        last_meaning = this_meaning;
    }
    joined
}

fn is_sliver(words: usize, words_of_smaller_change: usize) -> bool {
    words <= SLIVER_WORDS_MAX && words_of_smaller_change >= (words * SLIVER_RATIO).max(1)
}

/// Counts the words that `changes` insert and delete.
pub(super) fn count(
    vocabulary: &Vocabulary<'_>,
    base: &TokenText,
    target: &TokenText,
    changes: &[ChangedRange],
) -> WordDelta {
    changes.iter().fold(WordDelta::default(), |delta, change| {
        let inserted = count_words(vocabulary, target.tokens.get(change.target.clone()).unwrap_or_default());
        let deleted = count_words(vocabulary, base.tokens.get(change.base.clone()).unwrap_or_default());
        delta.plus(WordDelta { inserted, deleted })
    })
}

/// The number of tokens that are words.
pub(super) fn count_words(vocabulary: &Vocabulary<'_>, tokens: &[Token]) -> u32 {
    let words = tokens.iter().filter(|&&token| vocabulary.kind(token).is_word()).count();
    u32::try_from(words).unwrap_or(u32::MAX)
}

/// One side of a comparison.
#[derive(Clone, Copy)]
pub(super) struct Side<'a> {
    /// The text as rendered.
    pub(super) rendered: &'a str,
    /// The same text as tokens.
    pub(super) text: &'a TokenText,
}

/// Interleaves both texts. White space goes with the token after it.
pub(super) fn spans(base: Side<'_>, target: Side<'_>, changes: &[ChangedRange]) -> Vec<Span> {
    let mut spans = Spans::default();
    let (mut base, mut target) = (Cursor::new(base), Cursor::new(target));
    for change in changes {
        spans.equal_tokens(&mut base, &mut target, change.base.start);
        spans.delete(base.take_tokens(change.base.end));
        spans.insert(target.take_tokens(change.target.end));
    }
    spans.equal_tokens(&mut base, &mut target, usize::MAX);
    spans.either(base.rest(), target.rest());
    spans.finish()
}

/// A position in a text. The text before it has already become part of spans.
struct Cursor<'a> {
    side: Side<'a>,
    byte: usize,
    token: usize,
}

impl<'a> Cursor<'a> {
    fn new(side: Side<'a>) -> Self {
        Self { side, byte: 0, token: 0 }
    }

    /// Takes the white space before the next token.
    fn take_gap(&mut self) -> &'a str {
        let end = self.side.text.ranges.get(self.token).map_or(self.byte, |range| range.start);
        let gap = self.side.rendered.get(self.byte..end).unwrap_or_default();
        self.byte += gap.len();
        gap
    }

    /// Takes everything up to the end of the token before index `end`, including white space.
    fn take_tokens(&mut self, end: usize) -> &'a str {
        let last = self.side.text.ranges.get(self.token..end).and_then(<[_]>::last);
        let byte_end = last.map_or(self.byte, |range| range.end);
        let taken = self.side.rendered.get(self.byte..byte_end).unwrap_or_default();
        self.byte += taken.len();
        self.token = end;
        taken
    }

    fn rest(&self) -> &'a str {
        self.side.rendered.get(self.byte..).unwrap_or_default()
    }
}

/// Spans under construction. Between two equal spans there is at most one deleted span, then one inserted span.
#[derive(Default)]
struct Spans {
    done: Vec<Span>,
    deleted: String,
    inserted: String,
}

impl Spans {
    /// Adds the tokens up to index `base_end`. They are equal on both sides, but the white space before each may
    /// differ.
    fn equal_tokens(&mut self, base: &mut Cursor<'_>, target: &mut Cursor<'_>, base_end: usize) {
        let end = base_end.min(base.side.text.ranges.len());
        while base.token < end {
            self.either(base.take_gap(), target.take_gap());
            self.equal(base.take_tokens(base.token + 1));
            target.take_tokens(target.token + 1);
        }
    }

    fn either(&mut self, base: &str, target: &str) {
        if base == target {
            self.equal(base);
        } else {
            self.delete(base);
            self.insert(target);
        }
    }

    fn equal(&mut self, text: &str) {
        if !text.is_empty() {
            self.flush();
            self.push(SpanKind::Equal, text);
        }
    }

    fn delete(&mut self, text: &str) {
        self.deleted.push_str(text);
    }

    fn insert(&mut self, text: &str) {
        self.inserted.push_str(text);
    }

    /// Ends the change under construction. White space that begins or ends it on both sides is not part of the change.
    fn flush(&mut self) {
        let (deleted, inserted) = (std::mem::take(&mut self.deleted), std::mem::take(&mut self.inserted));
        let before = common_space(deleted.chars(), inserted.chars());
        let (space_before, deleted) = deleted.split_at_checked(before).unwrap_or_default();
        let inserted = inserted.get(before..).unwrap_or_default();
        let after = common_space(deleted.chars().rev(), inserted.chars().rev());
        let (deleted, space_after) = deleted.split_at_checked(deleted.len() - after).unwrap_or_default();
        let inserted = inserted.get(..inserted.len() - after).unwrap_or_default();
        self.push(SpanKind::Equal, space_before);
        self.push(SpanKind::Delete, deleted);
        self.push(SpanKind::Insert, inserted);
        self.push(SpanKind::Equal, space_after);
    }

    fn push(&mut self, kind: SpanKind, text: &str) {
        match self.done.last_mut() {
            _ if text.is_empty() => {}
            Some(last) if last.kind == kind => last.text.push_str(text),
            Some(_) | None => self.done.push(Span { kind, text: text.to_owned() }),
        }
    }

    fn finish(mut self) -> Vec<Span> {
        self.flush();
        self.done
    }
}

/// The number of bytes of the white space with which both texts begin.
fn common_space(base: impl Iterator<Item = char>, target: impl Iterator<Item = char>) -> usize {
    let both = base.zip(target).take_while(|(base, target)| base == target && base.is_whitespace());
    both.map(|(space, _)| space.len_utf8()).sum()
}

#[cfg(test)]
mod tests {
    use super::super::text::TextLine;
    use super::*;

    /// Both texts in one, with `[-deleted-]` and `{+inserted+}` marks.
    fn marked(base: &str, target: &str) -> String {
        let mut vocabulary = Vocabulary::default();
        let base_text = vocabulary.split([TextLine::Prose(base)].into_iter());
        let target_text = vocabulary.split([TextLine::Prose(target)].into_iter());
        let changes = changes(&mut Aligner::default(), &vocabulary, &base_text, &target_text);
        let (base, target) = (Side { rendered: base, text: &base_text }, Side { rendered: target, text: &target_text });
        spans(base, target, &changes)
            .into_iter()
            .map(|span| match span.kind {
                SpanKind::Equal => span.text,
                SpanKind::Insert => format!("{{+{}+}}", span.text),
                SpanKind::Delete => format!("[-{}-]", span.text),
            })
            .collect()
    }

    #[test]
    fn a_number_changes_as_a_whole() {
        assert_eq!(
            marked("The fire on the ferry killed 12 people.", "The fire on the ferry killed 92 people."),
            "The fire on the ferry killed [-12-]{+92+} people."
        );
    }

    #[test]
    fn only_the_punctuation_that_changed_is_marked() {
        assert_eq!(marked("The port is shut.", "The port is shut!"), "The port is shut[-.-]{+!+}");
        assert_eq!(marked("The port is shut", "The port is shut."), "The port is shut{+.+}");
        assert_eq!(marked("Yes, he said", "“Yes”, he said"), "{+“+}Yes{+”+}, he said");
    }

    #[test]
    fn only_changed_white_space_is_marked() {
        assert_eq!(marked("The  port is\tshut ", "The port is shut"), "The [- -]port is[-\t-]{+ +}shut[- -]");
    }

    #[test]
    fn spaces_go_with_adjacent_words() {
        assert_eq!(marked("Fire in Selby", "Big fire in North Selby"), "[-Fire-]{+Big fire+} in{+ North+} Selby");
        assert_eq!(marked("A big old house", "A house"), "A[- big old-] house");
        assert_eq!(marked("Sources say the mayor left", "The mayor left"), "[-Sources say the-]{+The+} mayor left");
        assert_eq!(marked("see the guide", "see the [guide]"), "see the {+[+}guide{+]+}");
        assert_eq!(marked("", "New"), "{+New+}");
    }

    #[test]
    fn changes_slide_to_where_a_reader_expects_them() {
        assert_eq!(
            marked("The mayor spoke. The port is shut.", "The mayor spoke. The mayor left. The port is shut."),
            "The mayor spoke.{+ The mayor left.+} The port is shut."
        );
        assert_eq!(marked("red, green and", "red, blue, green and"), "red,{+ blue,+} green and");
        assert_eq!(
            marked("snow in the north", "snow in the south and in the north"),
            "snow{+ in the south and+} in the north"
        );
        assert_eq!(
            marked("the north coast is shut", "the north coast and south coast is shut"),
            "the north coast{+ and south coast+} is shut"
        );
    }

    #[test]
    fn no_lone_mark_or_word_remains_between_rewritten_words() {
        assert_eq!(
            marked("He left, smiling: home.", "She stayed, weeping: home."),
            "[-He left, smiling-]{+She stayed, weeping+}: home."
        );
        assert_eq!(
            marked(
                "Rescuers pulled four men from the water",
                "The coastguard saved several sailors from icy seas nearby"
            ),
            "[-Rescuers pulled four men from the water-]{+The coastguard saved several sailors from icy seas nearby+}"
        );
    }

    #[test]
    fn scripts_without_spaces_are_compared_by_character() {
        assert_eq!(marked("火灾造成12人死亡。", "火灾造成92人死亡。"), "火灾造成[-12-]{+92+}人死亡。");
        assert_eq!(marked("市长昨天辞职。", "市长今天辞职了。"), "市长[-昨-]{+今+}天辞职{+了+}。");
    }
}
