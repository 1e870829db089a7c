//! Content: what an article says, as fields and ordered blocks.

use super::ClaimedTime;
use super::word_bounds::count_words;

/// The estimated overhead of a heap allocation for a short text, in bytes.
const ALLOCATION_BYTES: usize = 32;

/// The content of a revision. Text is kept as given, and lists keep their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// The headline. Never empty in an archived content.
    pub headline: String,
    /// The sentence or two under the headline, also known as dek or summary.
    pub standfirst: String,
    /// The authors as printed, one string per line.
    pub bylines: Vec<String>,
    /// The section of the publication, such as `World`.
    pub section: String,
    /// The language as a BCP 47 tag in canonical case, such as `en-GB`; empty if unknown.
    pub language: String,
    /// The URL that the publisher declares as the article's own; empty if unknown.
    pub canonical_url: String,
    /// When the publisher says the article was published.
    pub publish_time: Option<ClaimedTime>,
    /// When the publisher says the article was last modified.
    pub modify_time: Option<ClaimedTime>,
    /// The publisher's keywords, in its order.
    pub keywords: Vec<String>,
    /// Copyright and usage terms.
    pub rights: String,
    /// The body, in order.
    pub blocks: Vec<Block>,
}

/// One block of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The kind of block, with its text.
    pub kind: BlockKind,
    /// How certain the document reader was of the kind, in percent (1 to 100); `None` if the client stated the kind. It
    /// is not part of the content digest.
    pub confidence_percent: Option<u8>,
}

/// The number of a kind of block in stored contents and in content digests. A number is never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum BlockTag {
    /// [`BlockKind::Paragraph`].
    Paragraph = 1,
    /// [`BlockKind::Subheading`].
    Subheading = 2,
    /// [`BlockKind::Caption`].
    Caption = 3,
    /// [`BlockKind::Quote`].
    Quote = 4,
    /// [`BlockKind::List`].
    List = 5,
    /// [`BlockKind::Embed`].
    Embed = 6,
    /// [`BlockKind::CorrectionNote`].
    CorrectionNote = 7,
}

impl BlockTag {
    const ALL: [Self; 7] =
        [Self::Paragraph, Self::Subheading, Self::Caption, Self::Quote, Self::List, Self::Embed, Self::CorrectionNote];

    /// The number.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The tag with this number, if there is one.
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|tag| u32::from(tag.number()) == number)
    }
}

/// The kinds of block, each with its fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlockKind {
    /// A paragraph of running text.
    Paragraph {
        /// The text of the paragraph.
        text: String,
    },
    /// A heading between paragraphs.
    Subheading {
        /// The text of the heading.
        text: String,
    },
    /// The text under a picture or video.
    Caption {
        /// The text, without the credit.
        text: String,
        /// The URL of the picture; empty if unknown.
        image_url: String,
        /// Who owns or made the picture; empty if unknown.
        credit: String,
    },
    /// A quotation that is set apart from the running text.
    Quote {
        /// The quoted text, without the attribution.
        text: String,
        /// Who is quoted; empty if unknown.
        attribution: String,
    },
    /// A bulleted or numbered list.
    List {
        /// The items, in order.
        items: Vec<String>,
        /// Whether they are numbered.
        ordered: bool,
    },
    /// An item embedded from another site, such as a social media post.
    Embed {
        /// The URL of the embedded item.
        url: String,
        /// Its text; empty if there is none.
        text: String,
    },
    /// A note that says what was corrected.
    CorrectionNote {
        /// The text of the note.
        text: String,
    },
}

impl Content {
    /// A content with a headline and nothing else yet.
    ///
    /// ```
    /// use dateline::Content;
    ///
    /// let content = Content::new("Bridge closes today").paragraph("Lorries cross by ferry.");
    /// assert_eq!(content.word_count(), 4);
    /// // Every field is public, and any may be left out:
    /// let content = Content { section: "Local".into(), blocks: vec!["Lorries cross by ferry.".into()], ..content };
    /// assert_eq!(content.headline, "Bridge closes today");
    /// ```
    pub fn new(headline: impl Into<String>) -> Self {
        Self { headline: headline.into(), ..Self::default() }
    }

    /// The content with one more paragraph at the end of its body.
    #[must_use]
    pub fn paragraph(self, text: impl Into<String>) -> Self {
        self.block(BlockKind::Paragraph { text: text.into() })
    }

    /// The content with one more block at the end of its body.
    #[must_use]
    pub fn block(mut self, block: impl Into<Block>) -> Self {
        self.blocks.push(block.into());
        self
    }

    /// The size that counts towards [`Limits::content_bytes_max`](crate::model::Limits::content_bytes_max), in bytes:
    /// that of the content's message in the gRPC contract. It is the size of all text in UTF-8, and a few bytes more
    /// for each field, list item and block.
    pub fn encoded_bytes(&self) -> usize {
        let Self { headline, standfirst, section, language, canonical_url, rights, .. } = self;
        let fields = [headline, standfirst, section, language, canonical_url, rights].map(|text| field_bytes(text));
        let items = self.bylines.iter().chain(&self.keywords).map(|text| framed_bytes(text.len()));
        let times = [&self.publish_time, &self.modify_time].into_iter().flatten();
        let times = times.map(|time| framed_bytes(time.encoded_bytes()));
        let blocks = self.blocks.iter().map(|block| framed_bytes(block.encoded_bytes()));
        fields.into_iter().chain(items).chain(times).chain(blocks).sum()
    }

    /// The approximate memory footprint of the structures that hold the text, in bytes. With many short texts they take
    /// more memory than the text.
    pub fn structure_bytes(&self) -> usize {
        let items = self.blocks.iter().map(|block| block.kind.texts().len()).sum::<usize>();
        let strings = items + self.bylines.len() + self.keywords.len();
        self.blocks.len() * size_of::<Block>() + strings * (size_of::<String>() + ALLOCATION_BYTES)
    }

    /// The number of words in the body, split as Unicode (UAX #29) says. Captions do not count, as in IPTC's word
    /// count.
    pub fn word_count(&self) -> u32 {
        let words: usize = self
            .blocks
            .iter()
            .filter(|block| !matches!(block.kind, BlockKind::Caption { .. }))
            .flat_map(|block| block.kind.texts())
            .map(|text| count_words(text))
            .sum();
        u32::try_from(words).unwrap_or(u32::MAX)
    }
}

impl BlockKind {
    /// The number of the kind.
    pub fn tag(&self) -> BlockTag {
        match self {
            Self::Paragraph { .. } => BlockTag::Paragraph,
            Self::Subheading { .. } => BlockTag::Subheading,
            Self::Caption { .. } => BlockTag::Caption,
            Self::Quote { .. } => BlockTag::Quote,
            Self::List { .. } => BlockTag::List,
            Self::Embed { .. } => BlockTag::Embed,
            Self::CorrectionNote { .. } => BlockTag::CorrectionNote,
        }
    }

    /// Its texts in order: the items of a list, or else the single text.
    pub fn texts(&self) -> &[String] {
        match self {
            Self::Paragraph { text }
            | Self::Subheading { text }
            | Self::Caption { text, .. }
            | Self::Quote { text, .. }
            | Self::Embed { text, .. }
            | Self::CorrectionNote { text } => std::slice::from_ref(text),
            Self::List { items, .. } => items,
        }
    }
}

impl BlockKind {
    /// Its texts, URL, credit and attribution.
    fn strings(&self) -> impl Iterator<Item = &String> {
        let rest: [Option<&String>; 2] = match self {
            Self::Caption { image_url, credit, .. } => [Some(image_url), Some(credit)],
            Self::Quote { attribution, .. } => [Some(attribution), None],
            Self::Embed { url, .. } => [Some(url), None],
            Self::Paragraph { .. } | Self::Subheading { .. } | Self::List { .. } | Self::CorrectionNote { .. } => {
                [None; 2]
            }
        };
        self.texts().iter().chain(rest.into_iter().flatten())
    }
}

/// The size of a text field in the contract's encoding, in bytes: nothing if it is empty.
pub(super) fn field_bytes(text: &str) -> usize {
    if text.is_empty() { 0 } else { framed_bytes(text.len()) }
}

/// The size of `bytes` bytes with the tag and the length that precede them in the contract's encoding.
pub(super) fn framed_bytes(bytes: usize) -> usize {
    1 + varint_bytes(bytes as u64) + bytes
}

/// The size of a number in the contract's encoding, in bytes: 7 bits in each.
pub(super) fn varint_bytes(number: u64) -> usize {
    usize::try_from((64 - (number | 1).leading_zeros()).div_ceil(7)).unwrap_or(10)
}

impl Block {
    /// The size in the contract's encoding, in bytes.
    fn encoded_bytes(&self) -> usize {
        let confidence = self.confidence_percent.filter(|percent| *percent > 0);
        framed_bytes(self.kind.encoded_bytes()) + confidence.map_or(0, |percent| 1 + varint_bytes(percent.into()))
    }
}

impl BlockKind {
    /// The size in the contract's encoding, in bytes.
    fn encoded_bytes(&self) -> usize {
        match self {
            Self::List { items, ordered } => {
                items.iter().map(|item| framed_bytes(item.len())).sum::<usize>() + if *ordered { 2 } else { 0 }
            }
            Self::Paragraph { .. }
            | Self::Subheading { .. }
            | Self::Caption { .. }
            | Self::Quote { .. }
            | Self::Embed { .. }
            | Self::CorrectionNote { .. } => self.strings().map(|text| field_bytes(text)).sum(),
        }
    }
}

/// A paragraph with this text.
impl From<&str> for Block {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

/// A paragraph with this text.
impl From<String> for Block {
    fn from(text: String) -> Self {
        BlockKind::Paragraph { text }.into()
    }
}

impl From<BlockKind> for Block {
    /// A block whose kind the client states.
    fn from(kind: BlockKind) -> Self {
        Self { kind, confidence_percent: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captions_do_not_count_as_words() {
        let content = Content {
            blocks: vec![
                BlockKind::Paragraph { text: "The bridge is shut until May.".into() }.into(),
                BlockKind::Caption { text: "The bridge".into(), image_url: String::new(), credit: String::new() }
                    .into(),
                BlockKind::List { items: vec!["one way".into(), "another".into()], ordered: false }.into(),
            ],
            ..Content::default()
        };
        assert_eq!(content.word_count(), 9);
    }

    #[test]
    fn many_short_texts_weigh_as_much_as_their_structures() {
        let letters = |count: usize| (0..count).map(|_| "x".to_owned());
        let blocks = letters(20_000).map(|text| BlockKind::Paragraph { text }.into()).collect();
        let list = vec![BlockKind::List { items: letters(20_000).collect(), ordered: false }.into()];
        assert!(Content { blocks, ..Content::default() }.structure_bytes() > 20_000 * (size_of::<Block>() + 32));
        assert!(Content { blocks: list, ..Content::default() }.structure_bytes() > 1 << 20);
    }
}
