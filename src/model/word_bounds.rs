//! Splits text at the word boundaries of Unicode (UAX #29).
//!
//! The rules look up the properties of each character. Most of an article needs no lookup: words of ASCII letters and
//! digits between spaces and common marks. These are split here, and everything else by `unicode-segmentation`.

use unicode_segmentation::{UWordBoundIndices, UnicodeSegmentation};

/// The words of `text`: the segments between boundaries that have a letter or a digit.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    word_bound_indices(text).map(|(_, segment)| segment).filter(|segment| is_word(segment))
}

/// The number of [`words`], found without looking at what is between them.
pub(super) fn count_words(text: &str) -> usize {
    let (mut count, mut at) = (0, 0);
    while let Some(rest) = text.as_bytes().get(at..).filter(|rest| !rest.is_empty()) {
        let between = run(rest, |byte| byte.is_ascii() && !is_word_part(byte));
        let word = rest.get(between..).unwrap_or_default();
        if word.is_empty() {
            break;
        }
        let length = if is_word_part(word.first().copied().unwrap_or_default()) { plain_word(word) } else { None };
        if let Some(length) = length {
            count += usize::from(word.iter().take(length).any(u8::is_ascii_alphanumeric));
            at += between + length;
        } else {
            // What is not ASCII may belong to the mark or space before it.
            at += between.saturating_sub(1);
            let rest = text.get(at..).unwrap_or_default();
            let part = rest.get(..looked_up_length(rest)).unwrap_or(rest);
            count += part.unicode_words().count();
            at += part.len();
        }
    }
    count
}

/// Whether a segment is a word.
#[inline]
fn is_word(segment: &str) -> bool {
    match segment.as_bytes().first() {
        Some(first) if first.is_ascii_alphanumeric() => true,
        _ => segment.chars().any(char::is_alphanumeric),
    }
}

/// All segments of `text` between word boundaries, each with its offset. Together they are the text.
pub(super) fn word_bound_indices(text: &str) -> WordBoundIndices<'_> {
    WordBoundIndices { text, at: 0, looked_up: None }
}

/// The iterator of [`word_bound_indices`].
pub(super) struct WordBoundIndices<'a> {
    text: &'a str,
    /// The text before this offset was returned, or is in `looked_up`. It is a boundary, and nothing before it affects
    /// the boundaries after it.
    at: usize,
    /// Text that needs lookups, and its offset.
    looked_up: Option<(usize, UWordBoundIndices<'a>)>,
}

impl<'a> Iterator for WordBoundIndices<'a> {
    type Item = (usize, &'a str);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if let Some((offset, segments)) = &mut self.looked_up {
            if let Some((at, segment)) = segments.next() {
                return Some((*offset + at, segment));
            }
            self.looked_up = None;
        }
        let rest = self.text.get(self.at..).filter(|rest| !rest.is_empty())?;
        let Some(segment) = plain_segment(rest.as_bytes()).and_then(|length| rest.get(..length)) else {
            let part = rest.get(..looked_up_length(rest)).unwrap_or(rest);
            self.looked_up = Some((self.at, part.split_word_bound_indices()));
            self.at += part.len();
            return self.next();
        };
        let at = self.at;
        self.at += segment.len();
        Some((at, segment))
    }
}

/// The length of the segment with which `text` begins, if no lookup is needed to find its end.
#[inline]
fn plain_segment(text: &[u8]) -> Option<usize> {
    let length = match *text.first()? {
        b' ' => run(text, |byte| byte == b' '),
        first if is_word_part(first) => return plain_word(text),
        // A carriage return may be part of a line end of two characters.
        b'\r' | 0x80.. => return None,
        _ => 1,
    };
    // A character that is not ASCII may belong to the one before it, such as an accent.
    text.get(length).is_none_or(u8::is_ascii).then_some(length)
}

/// As [`plain_segment`], for a segment that begins with a letter, a digit or an underscore. A mark between two letters
/// or two digits may join them.
#[inline]
fn plain_word(text: &[u8]) -> Option<usize> {
    let mut length = 0;
    loop {
        length += run(text.get(length..)?, is_word_part);
        let Some(mark) = text.get(length) else { return Some(length) };
        let (letters, digits) = match mark {
            b'.' | b'\'' => (true, true),
            b':' => (true, false),
            b',' | b';' => (false, true),
            0x80.. => return None,
            _ => return Some(length),
        };
        let before = text.get(length - 1)?;
        let Some(after) = text.get(length + 1) else { return Some(length) };
        let joined = (letters && before.is_ascii_alphabetic() && after.is_ascii_alphabetic())
            || (digits && before.is_ascii_digit() && after.is_ascii_digit());
        match joined {
            _ if !after.is_ascii() => return None,
            true => length += 1,
            false => return Some(length),
        }
    }
}

#[inline]
fn is_word_part(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The number of bytes at the beginning of `text` that are of this kind.
#[inline]
fn run(text: &[u8], is_part: impl Fn(u8) -> bool) -> usize {
    text.iter().position(|byte| !is_part(*byte)).unwrap_or(text.len())
}

/// The length of what must be looked up from here on: up to a space after anything but white space, where there always
/// is a boundary.
fn looked_up_length(text: &str) -> usize {
    let mut before = ' ';
    for (at, character) in text.char_indices() {
        if character == ' ' && !before.is_whitespace() {
            return at;
        }
        before = character;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str) {
        let expected: Vec<_> = text.split_word_bound_indices().collect();
        assert_eq!(word_bound_indices(text).collect::<Vec<_>>(), expected, "{text:?}");
        assert_eq!(words(text).collect::<Vec<_>>(), text.unicode_words().collect::<Vec<_>>(), "{text:?}");
        assert_eq!(count_words(text), text.unicode_words().count(), "{text:?}");
    }

    #[test]
    fn boundaries_are_those_of_the_standard() {
        for text in [
            "",
            "The ferry sank.",
            "It didn't cost  £1,200.50 (“more”).",
            "U.S. e.g. a.b_c x_1 3.14.15 a:b a;b 1;2 1:2 'tis ''",
            "line\r\nline\n\n \r x\t\ty",
            "café cafe\u{301} \u{301}x  \u{301} a\u{ad}b a.\u{ad}b \u{200d}",
            "\u{2003} a \u{2003}b\u{3000} c",
            "市长昨天辞职。 カタカナ 🇬🇧🇫🇷 👩‍🚒 a👍 b",
            "שלום\"עולם ש\"א",
        ] {
            check(text);
        }
    }

    proptest! {
        #[test]
        fn boundaries_of_any_text_are_those_of_the_standard(
            pieces in proptest::collection::vec(
                prop_oneof![
                    4 => "[a-zA-Z0-9]{1,3}",
                    3 => Just(" ".to_owned()),
                    3 => "[.,;:'\"_!?()/\\-\r\n\t]",
                    2 => "[é\u{301}\u{ad}\u{200d}\u{200b}\u{2003}\u{3000}’“”—…\u{93e}\u{1f1e6}👍אカ市\u{5f4}]",
                    1 => any::<char>().prop_map(String::from),
                ],
                0..30,
            ),
        ) {
            check(&pieces.concat());
        }
    }
}
