//! What an article says: its fields and its ordered blocks.

use unicode_segmentation::UnicodeSegmentation;

use super::ClaimedTime;

/// What the allocation of a short text takes.
const ALLOCATION_BYTES: usize = 32;

/// The content of a revision. Text is kept as given; only [`Content::labels`] has an order of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// The headline. Never empty in an archived content.
    pub headline: String,
    /// The sentence or two under the headline.
    pub standfirst: String,
    /// The authors, a line each, as printed.
    pub bylines: Vec<String>,
    /// The section of the publication, such as `World`.
    pub section: String,
    /// The language as a BCP 47 tag in canonical case, such as `en-GB`; empty when unknown.
    pub language: String,
    /// The URL that the publisher calls the article's own; empty when unknown.
    pub canonical_url: String,
    /// When the publisher says that it published the article.
    pub publish_time: Option<ClaimedTime>,
    /// When the publisher says that it last changed it.
    pub modify_time: Option<ClaimedTime>,
    /// The publisher's keywords, in its order.
    pub keywords: Vec<String>,
    /// Copyright and usage terms.
    pub rights: String,
    /// The archive's own labels, sorted, each once.
    pub labels: Vec<String>,
    /// The body, in order.
    pub blocks: Vec<Block>,
}

/// One block of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// What it is and says.
    pub kind: BlockKind,
    /// How sure, in percent (1 to 100), the reader of the document was of the kind; `None` where the writer
    /// stated it. No part of the content digest.
    pub confidence_percent: Option<u8>,
}

/// The kinds of block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlockKind {
    /// Running text.
    Paragraph {
        /// The text.
        text: String,
    },
    /// A heading between paragraphs.
    Crosshead {
        /// The text.
        text: String,
    },
    /// The words under a picture or film.
    Caption {
        /// The text, without the credit.
        text: String,
        /// Where the picture is; empty when unknown.
        figure_url: String,
        /// Whose picture it is; empty when unknown.
        credit: String,
    },
    /// A quotation set apart.
    Quote {
        /// The text.
        text: String,
        /// Who is quoted; empty when unknown.
        attribution: String,
    },
    /// A list of items.
    List {
        /// The items, in order.
        items: Vec<String>,
        /// Whether they are numbered.
        ordered: bool,
    },
    /// Something shown from elsewhere.
    Embed {
        /// Where it comes from.
        url: String,
        /// Its text, as far as there is one.
        text: String,
    },
    /// A note that says what was corrected.
    CorrectionNote {
        /// The text.
        text: String,
    },
}

impl Content {
    /// Bytes of memory that it takes, roughly: all of its text, and what holds the text.
    pub fn weight_bytes(&self) -> usize {
        self.text_bytes() + self.structure_bytes()
    }

    /// The same without the text: many short texts take more than they say.
    pub fn structure_bytes(&self) -> usize {
        let items = self.blocks.iter().map(|block| block.kind.texts().len()).sum::<usize>();
        let strings = items + self.bylines.len() + self.keywords.len() + self.labels.len();
        self.blocks.len() * size_of::<Block>() + strings * (size_of::<String>() + ALLOCATION_BYTES)
    }

    fn text_bytes(&self) -> usize {
        let Self { headline, standfirst, section, language, canonical_url, rights, .. } = self;
        let fields = [headline, standfirst, section, language, canonical_url, rights].into_iter();
        let lists = [&self.bylines, &self.keywords, &self.labels].into_iter().flatten();
        let times = [&self.publish_time, &self.modify_time].into_iter().flatten();
        let times = times.flat_map(|time| [&time.words, &time.found_in]);
        let blocks = self.blocks.iter().flat_map(|block| block.kind.strings());
        fields.chain(lists).chain(times).chain(blocks).map(String::len).sum()
    }

    /// The words of the body as Unicode (UAX #29) splits them. Captions are left out, as IPTC counts.
    pub fn word_count(&self) -> u32 {
        let words: usize = self
            .blocks
            .iter()
            .filter(|block| !matches!(block.kind, BlockKind::Caption { .. }))
            .flat_map(|block| block.kind.texts())
            .map(|text| text.unicode_words().count())
            .sum();
        u32::try_from(words).unwrap_or(u32::MAX)
    }
}

impl BlockKind {
    /// The texts that it consists of: a list's items, in order, or its one text.
    pub fn texts(&self) -> &[String] {
        match self {
            Self::Paragraph { text }
            | Self::Crosshead { text }
            | Self::Caption { text, .. }
            | Self::Quote { text, .. }
            | Self::Embed { text, .. }
            | Self::CorrectionNote { text } => std::slice::from_ref(text),
            Self::List { items, .. } => items,
        }
    }
}

impl BlockKind {
    /// Its texts, and what else it says.
    fn strings(&self) -> impl Iterator<Item = &String> {
        let rest: [Option<&String>; 2] = match self {
            Self::Caption { figure_url, credit, .. } => [Some(figure_url), Some(credit)],
            Self::Quote { attribution, .. } => [Some(attribution), None],
            Self::Embed { url, .. } => [Some(url), None],
            Self::Paragraph { .. } | Self::Crosshead { .. } | Self::List { .. } | Self::CorrectionNote { .. } => {
                [None; 2]
            }
        };
        self.texts().iter().chain(rest.into_iter().flatten())
    }
}

impl From<BlockKind> for Block {
    /// A block whose kind the writer states.
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
                BlockKind::Caption { text: "The bridge".into(), figure_url: String::new(), credit: String::new() }
                    .into(),
                BlockKind::List { items: vec!["one way".into(), "another".into()], ordered: false }.into(),
            ],
            ..Content::default()
        };
        assert_eq!(content.word_count(), 9);
    }

    /// Each field once, with a text of 1,000 bytes.
    #[test]
    fn every_text_of_a_content_has_weight() {
        let long = || "x".repeat(1_000);
        let time = || {
            let (time, precision) = (crate::model::Timestamp::from_micros(0).unwrap(), crate::model::Precision::Day);
            Some(ClaimedTime { time, precision, words: long(), found_in: long(), relative: false })
        };
        let content = Content {
            headline: long(),
            standfirst: long(),
            bylines: vec![long()],
            section: long(),
            language: long(),
            canonical_url: long(),
            publish_time: time(),
            modify_time: time(),
            keywords: vec![long()],
            rights: long(),
            labels: vec![long()],
            blocks: [
                BlockKind::Paragraph { text: long() },
                BlockKind::Crosshead { text: long() },
                BlockKind::Caption { text: long(), figure_url: long(), credit: long() },
                BlockKind::Quote { text: long(), attribution: long() },
                BlockKind::List { items: vec![long(), long()], ordered: false },
                BlockKind::Embed { url: long(), text: long() },
                BlockKind::CorrectionNote { text: long() },
            ]
            .map(Block::from)
            .into(),
        };
        assert_eq!(content.weight_bytes() - content.structure_bytes(), 25_000);
    }

    #[test]
    fn many_short_texts_weigh_what_holds_them() {
        let letters = |count: usize| (0..count).map(|_| "x".to_owned());
        let blocks = letters(20_000).map(|text| BlockKind::Paragraph { text }.into()).collect();
        let list = vec![BlockKind::List { items: letters(20_000).collect(), ordered: false }.into()];
        assert!(Content { blocks, ..Content::default() }.weight_bytes() > 20_000 * (size_of::<Block>() + 32));
        assert!(Content { blocks: list, ..Content::default() }.weight_bytes() > 1 << 20);
    }
}
