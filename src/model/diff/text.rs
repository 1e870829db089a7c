//! The text of a block or field in the form in which it is compared, and its tokens.

use std::borrow::Cow;
use std::hash::{Hash, Hasher};
use std::ops::Range;

use imara_diff::{Interner, Token};

use super::align::position;
use crate::model::BlockKind;
use crate::model::word_bounds::word_bound_indices;

/// Separates the lines of one text.
const LINE_SEPARATOR: &str = "\n";
/// The maximum length, in bytes, of a word that rarely ends a phrase: `in`, `the`, `and`.
const LEADING_WORD_BYTES_MAX: usize = 3;

/// One attribute of a block or field, which is one line of its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TextLine<'a> {
    /// Running text, which is compared word by word.
    Prose(&'a str),
    /// A URL, which changes as a whole and contains no words.
    Url(&'a str),
}

impl<'a> TextLine<'a> {
    /// The text of the line.
    pub(super) fn text(self) -> &'a str {
        match self {
            Self::Prose(text) | Self::Url(text) => text,
        }
    }
}

/// The lines of a block's text: all attributes of the block except empty ones.
pub(super) fn lines(kind: &BlockKind) -> impl Iterator<Item = TextLine<'_>> {
    let (prose, url, items): ([&str; 2], &str, &[String]) = match kind {
        BlockKind::Paragraph { text } | BlockKind::Subheading { text } | BlockKind::CorrectionNote { text } => {
            ([text, ""], "", &[])
        }
        BlockKind::Caption { text, image_url, credit } => ([text, credit], image_url, &[]),
        BlockKind::Quote { text, attribution } => ([text, attribution], "", &[]),
        BlockKind::List { items, ordered: _ } => ([""; 2], "", items),
        BlockKind::Embed { url, text } => ([text, ""], url, &[]),
    };
    prose
        .into_iter()
        .map(TextLine::Prose)
        .chain([TextLine::Url(url)])
        .chain(items.iter().map(|item| TextLine::Prose(item)))
        .filter(|line| !line.text().is_empty())
}

/// The text of a block, one attribute per line.
pub(super) fn render(kind: &BlockKind) -> Cow<'_, str> {
    let mut lines = lines(kind).map(TextLine::text);
    let first = Cow::Borrowed(lines.next().unwrap_or_default());
    lines.fold(first, |mut text, line| {
        text.to_mut().push_str(LINE_SEPARATOR);
        text.to_mut().push_str(line);
        text
    })
}

/// A hashable key of a block's kind and attributes.
#[derive(PartialEq, Eq)]
pub(super) struct BlockKey<'a>(pub(super) &'a BlockKind);

impl Hash for BlockKey<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::mem::discriminant(self.0).hash(state);
        lines(self.0).for_each(|line| line.text().hash(state));
    }
}

/// The kind of a token, as far as it matters to a diff.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// A word or a number.
    Word {
        /// Whether it is so short that it is more likely to begin a phrase than to end one.
        leading: bool,
    },
    /// A URL, kept as one token.
    Url,
    /// A full stop or the like.
    SentenceEnd,
    /// A comma or another mark that attaches to the preceding token.
    Closing,
    /// A bracket or a quotation mark that attaches to the following token.
    Opening,
    /// Any other character, such as a dash.
    Sign,
}

impl TokenKind {
    /// Whether it carries meaning, unlike punctuation.
    pub(super) fn has_meaning(self) -> bool {
        matches!(self, Self::Word { .. } | Self::Url)
    }

    /// Whether it counts as a word in a word delta.
    pub(super) fn is_word(self) -> bool {
        matches!(self, Self::Word { .. })
    }
}

/// The tokens of all texts in one comparison.
#[derive(Default)]
pub(super) struct Vocabulary<'a> {
    /// The flag distinguishes a URL from an equal word.
    interner: Interner<(bool, &'a str)>,
    tokens: Vec<(TokenKind, usize)>,
}

impl<'a> Vocabulary<'a> {
    /// The kind of a token.
    pub(super) fn kind(&self, token: Token) -> TokenKind {
        self.tokens.get(position(token)).map_or(TokenKind::Sign, |(kind, _)| *kind)
    }

    /// A token's length in bytes.
    pub(super) fn bytes(&self, token: Token) -> usize {
        self.tokens.get(position(token)).map_or(0, |(_, bytes)| *bytes)
    }

    /// Splits a text into tokens.
    pub(super) fn split(&mut self, lines: impl Iterator<Item = TextLine<'a>>) -> TokenText {
        let mut text = TokenText::default();
        let mut offset = 0;
        for line in lines {
            match line {
                TextLine::Prose(prose) => {
                    for (at, word) in word_bound_indices(prose) {
                        if !word.chars().all(char::is_whitespace) {
                            text.push(self.intern(false, word), offset + at..offset + at + word.len());
                        }
                    }
                }
                TextLine::Url(url) => text.push(self.intern(true, url), offset..offset + url.len()),
            }
            offset += line.text().len() + LINE_SEPARATOR.len();
        }
        text
    }

    fn intern(&mut self, is_url: bool, text: &'a str) -> Token {
        let token = self.interner.intern((is_url, text));
        if position(token) == self.tokens.len() {
            self.tokens.push((if is_url { TokenKind::Url } else { kind_of(text) }, text.len()));
        }
        token
    }
}

/// A text as tokens: words as Unicode (UAX #29) splits them, punctuation marks and URLs. White space is what remains
/// between tokens, so that it never makes two texts similar.
#[derive(Debug, Default)]
pub(super) struct TokenText {
    /// The tokens, in order.
    pub(super) tokens: Vec<Token>,
    /// For each token its byte range in the rendered text.
    pub(super) ranges: Vec<Range<usize>>,
}

impl TokenText {
    fn push(&mut self, token: Token, range: Range<usize>) {
        self.tokens.push(token);
        self.ranges.push(range);
    }
}

fn kind_of(token: &str) -> TokenKind {
    if token.chars().any(char::is_alphanumeric) {
        let leading = token.len() <= LEADING_WORD_BYTES_MAX && token.bytes().all(|byte| byte.is_ascii_lowercase());
        return TokenKind::Word { leading };
    }
    match token.chars().next() {
        Some('.' | '!' | '?' | '…' | '。' | '！' | '？') => TokenKind::SentenceEnd,
        Some(',' | ';' | ':' | ')' | ']' | '”' | '’' | '»' | '、' | '，' | '；' | '：' | '」' | '）') => {
            TokenKind::Closing
        }
        Some('(' | '[' | '“' | '‘' | '«' | '「' | '（') => TokenKind::Opening,
        Some(_) | None => TokenKind::Sign,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<&str> {
        let text_of = Vocabulary::default().split([TextLine::Prose(text)].into_iter());
        text_of.ranges.into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn numbers_and_contractions_are_one_token_each() {
        assert_eq!(
            split("It didn't cost  £1,200.50 (“more”)."),
            ["It", "didn't", "cost", "£", "1,200.50", "(", "“", "more", "”", ")", "."]
        );
    }

    #[test]
    fn every_attribute_has_a_line_of_its_own() {
        let caption = BlockKind::Caption {
            text: "The bridge".into(),
            image_url: "https://example.com/bridge.jpg".into(),
            credit: "Ada Holm".into(),
        };
        assert_eq!(render(&caption), "The bridge\nAda Holm\nhttps://example.com/bridge.jpg");
        let text = Vocabulary::default().split(lines(&caption));
        let rendered = render(&caption);
        let tokens: Vec<&str> = text.ranges.into_iter().map(|range| &rendered[range]).collect();
        assert_eq!(tokens, ["The", "bridge", "Ada", "Holm", "https://example.com/bridge.jpg"]);
        assert_eq!(
            render(&BlockKind::List { items: vec!["a".into(), String::new(), "b".into()], ordered: true }),
            "a\nb"
        );
    }
}
