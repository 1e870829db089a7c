//! The parts of a content, and which of them differ between two contents.

use super::{Block, BlockKind, ClaimedTime, Content, Precision, Timestamp};

/// A part of a content. Two contents that say the same, that is, have the same digest, differ in none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ContentPart {
    /// The headline.
    Headline,
    /// The standfirst.
    Standfirst,
    /// The words of the body without captions: the texts of its other blocks in order, split at white space.
    Body,
    /// The captions, in order, each with its text, its credit and its picture.
    Captions,
    /// The bylines.
    Byline,
    /// The section.
    Section,
    /// The publisher's keywords.
    Keywords,
    /// The claimed publish and modify times, at their precision. Relative ones are left out, as in the content digest.
    ClaimedTimes,
    /// The canonical URL.
    Address,
    /// Everything else about the blocks, if it differs although the words of the body do not: their kinds, where one
    /// ends and the next begins, white space, whether a list is numbered, the URLs of embeds, and where among them
    /// the captions are.
    Markup,
    /// The language.
    Language,
    /// The rights.
    Rights,
}

impl ContentPart {
    /// All parts, in order.
    pub const ALL: [Self; 12] = [
        Self::Headline,
        Self::Standfirst,
        Self::Body,
        Self::Captions,
        Self::Byline,
        Self::Section,
        Self::Keywords,
        Self::ClaimedTimes,
        Self::Address,
        Self::Markup,
        Self::Language,
        Self::Rights,
    ];

    fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// A set of parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContentParts(u32);

impl ContentParts {
    /// The set without a part.
    pub const NONE: Self = Self(0);

    /// The set of these parts.
    pub fn of(parts: impl IntoIterator<Item = ContentPart>) -> Self {
        Self(parts.into_iter().fold(0, |bits, part| bits | part.bit()))
    }

    /// The parts that differ between two contents. It is empty exactly if their digests are equal.
    pub fn that_differ(base: &Content, target: &Content) -> Self {
        let fields = [
            (ContentPart::Headline, base.headline != target.headline),
            (ContentPart::Standfirst, base.standfirst != target.standfirst),
            (ContentPart::Byline, base.bylines != target.bylines),
            (ContentPart::Section, base.section != target.section),
            (ContentPart::Keywords, base.keywords != target.keywords),
            (ContentPart::ClaimedTimes, claims(base) != claims(target)),
            (ContentPart::Address, base.canonical_url != target.canonical_url),
            (ContentPart::Language, base.language != target.language),
            (ContentPart::Rights, base.rights != target.rights),
        ];
        let fields = fields.into_iter().filter(|(_, differs)| *differs).map(|(part, _)| part);
        Self::of(fields.chain(blocks_that_differ(&base.blocks, &target.blocks)))
    }

    /// The inverse of [`ContentParts::bits`]; `None` if a bit stands for no part.
    pub fn from_bits(bits: u32) -> Option<Self> {
        let all = Self::of(ContentPart::ALL);
        (bits & !all.0 == 0).then_some(Self(bits))
    }

    /// One bit per part, in declaration order from the lowest.
    pub fn bits(self) -> u32 {
        self.0
    }

    /// Whether there is no part in the set.
    pub fn is_empty(self) -> bool {
        self == Self::NONE
    }

    /// Whether both sets have a part in common.
    pub fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The parts, in declaration order.
    pub fn iter(self) -> impl Iterator<Item = ContentPart> {
        ContentPart::ALL.into_iter().filter(move |part| self.0 & part.bit() != 0)
    }
}

/// The claimed times that count, each with its precision.
fn claims(content: &Content) -> [Option<(Precision, Timestamp)>; 2] {
    let counted = |claim: &Option<ClaimedTime>| {
        claim.as_ref().filter(|claim| !claim.relative).map(|claim| (claim.precision, claim.time))
    };
    [counted(&content.publish_time), counted(&content.modify_time)]
}

/// The parts of the body that differ.
fn blocks_that_differ(base: &[Block], target: &[Block]) -> impl Iterator<Item = ContentPart> {
    let (base, target) = without_equal_ends(base, target);
    let same_captions = captions(base).eq(captions(target));
    let body = if !body_words(base).eq(body_words(target)) {
        Some(ContentPart::Body)
    } else if !without_captions(base).flatten().eq(without_captions(target).flatten())
        || (same_captions && !without_captions(base).eq(without_captions(target)))
    {
        Some(ContentPart::Markup)
    } else {
        None
    };
    let captions = (!same_captions).then_some(ContentPart::Captions);
    [body, captions].into_iter().flatten()
}

/// Leaves out the equal blocks with which both bodies begin, and those with which they end: they make no difference.
fn without_equal_ends<'a>(base: &'a [Block], target: &'a [Block]) -> (&'a [Block], &'a [Block]) {
    let equal = |(one, other): &(&Block, &Block)| one.kind == other.kind;
    let start = base.iter().zip(target).take_while(equal).count();
    let (base, target) = (base.get(start..).unwrap_or_default(), target.get(start..).unwrap_or_default());
    let end = base.iter().rev().zip(target.iter().rev()).take_while(equal).count();
    let kept = |blocks: &'a [Block]| blocks.get(..blocks.len() - end).unwrap_or_default();
    (kept(base), kept(target))
}

fn captions(blocks: &[Block]) -> impl Iterator<Item = &BlockKind> {
    blocks.iter().map(|block| &block.kind).filter(|kind| is_caption(kind))
}

/// The blocks, with `None` in the place of each caption.
fn without_captions(blocks: &[Block]) -> impl Iterator<Item = Option<&BlockKind>> {
    blocks.iter().map(|block| Some(&block.kind).filter(|kind| !is_caption(kind)))
}

fn is_caption(kind: &BlockKind) -> bool {
    matches!(kind, BlockKind::Caption { .. })
}

/// The words of all blocks except captions. Punctuation belongs to the word that it is attached to.
fn body_words(blocks: &[Block]) -> impl Iterator<Item = &str> {
    let blocks = without_captions(blocks).flatten();
    let texts = blocks.flat_map(|kind| {
        let attribution = if let BlockKind::Quote { attribution, .. } = kind { Some(attribution) } else { None };
        kind.texts().iter().chain(attribution)
    });
    texts.flat_map(|text| text.split_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> String {
        text.to_owned()
    }

    fn paragraph(words: &str) -> BlockKind {
        BlockKind::Paragraph { text: text(words) }
    }

    fn caption(words: &str, image: &str) -> BlockKind {
        BlockKind::Caption { text: text(words), image_url: text(image), credit: text("Ada Holm") }
    }

    fn list(items: &[&str], ordered: bool) -> BlockKind {
        BlockKind::List { items: items.iter().copied().map(text).collect(), ordered }
    }

    fn body(blocks: Vec<BlockKind>) -> Content {
        Content { blocks: blocks.into_iter().map(Block::from).collect(), ..Content::default() }
    }

    fn differ(base: &Content, target: &Content) -> Vec<ContentPart> {
        let parts = ContentParts::that_differ(base, target);
        assert_eq!(ContentParts::that_differ(target, base), parts, "the order of the two makes no difference");
        assert_eq!(ContentParts::from_bits(parts.bits()), Some(parts));
        parts.iter().collect()
    }

    fn blocks_differ(base: &[BlockKind], target: &[BlockKind]) -> Vec<ContentPart> {
        differ(&body(base.to_vec()), &body(target.to_vec()))
    }

    #[test]
    fn each_field_is_a_part_of_its_own() {
        let claim = |micros, relative| {
            let time = Timestamp::from_micros(micros).unwrap();
            Some(ClaimedTime { time, precision: Precision::Day, words: text(""), found_in: text(""), relative })
        };
        let base = Content::default();
        let all = [
            (ContentPart::Headline, Content { headline: text("a"), ..base.clone() }),
            (ContentPart::Standfirst, Content { standfirst: text("a"), ..base.clone() }),
            (ContentPart::Body, body(vec![paragraph("a")])),
            (ContentPart::Captions, body(vec![caption("a", "")])),
            (ContentPart::Byline, Content { bylines: vec![text("a")], ..base.clone() }),
            (ContentPart::Section, Content { section: text("a"), ..base.clone() }),
            (ContentPart::Keywords, Content { keywords: vec![text("a")], ..base.clone() }),
            (ContentPart::ClaimedTimes, Content { modify_time: claim(1, false), ..base.clone() }),
            (ContentPart::Address, Content { canonical_url: text("a"), ..base.clone() }),
            (ContentPart::Markup, body(vec![BlockKind::Embed { url: text("a"), text: text("") }])),
            (ContentPart::Language, Content { language: text("a"), ..base.clone() }),
            (ContentPart::Rights, Content { rights: text("a"), ..base.clone() }),
        ];
        assert_eq!(all.each_ref().map(|(part, _)| *part), ContentPart::ALL);
        for (part, target) in all {
            assert_eq!(differ(&base, &target), [part]);
        }
        let relative = Content { publish_time: claim(1, true), ..base.clone() };
        assert_eq!(differ(&base, &relative), []);
        assert_eq!(ContentParts::from_bits(1 << ContentPart::ALL.len()), None);
    }

    #[test]
    fn the_same_words_in_other_blocks_are_a_change_of_markup() {
        let base = [paragraph("One two."), paragraph("Three.")];
        let markup = [ContentPart::Markup];
        assert_eq!(blocks_differ(&base, &[paragraph("One two. Three.")]), markup);
        assert_eq!(blocks_differ(&base, &[paragraph("One  two."), paragraph("Three.")]), markup);
        assert_eq!(blocks_differ(&base, &[list(&["One two.", "Three."], false)]), markup);
        assert_eq!(blocks_differ(&[list(&["a", "b"], false)], &[list(&["a", "b"], true)]), markup);
        let quote = BlockKind::Quote { text: text("One two."), attribution: text("Three.") };
        assert_eq!(blocks_differ(&base, &[quote]), markup);
    }

    #[test]
    fn other_words_and_words_in_another_order_are_a_change_of_the_body_alone() {
        let base = [paragraph("One two."), paragraph("Three.")];
        assert_eq!(blocks_differ(&base, &[paragraph("Three."), paragraph("One two.")]), [ContentPart::Body]);
        assert_eq!(blocks_differ(&base, &[paragraph("One two, three.")]), [ContentPart::Body]);
        let quote = |by: &str| [BlockKind::Quote { text: text("Sorry."), attribution: text(by) }];
        assert_eq!(blocks_differ(&quote("The mayor"), &quote("The minister")), [ContentPart::Body]);
    }

    #[test]
    fn captions_are_apart_from_the_body() {
        let [one, two] = [paragraph("One."), paragraph("Two.")];
        let at_dusk = caption("The bridge at dusk", "https://example.com/1.jpg");
        let base = [one.clone(), at_dusk.clone(), two.clone()];
        let captions = [ContentPart::Captions];
        assert_eq!(blocks_differ(&base, &[one.clone(), two.clone()]), captions);
        let replaced = caption("The bridge at dusk", "https://example.com/2.jpg");
        assert_eq!(blocks_differ(&base, &[one.clone(), replaced.clone(), two.clone()]), captions);
        let moved = [at_dusk.clone(), one.clone(), two];
        assert_eq!(blocks_differ(&base, &moved), [ContentPart::Markup], "the captions are the same");
        let both = [one, replaced, paragraph("Three.")];
        assert_eq!(blocks_differ(&base, &both), [ContentPart::Body, ContentPart::Captions]);
        let joined = [paragraph("One. Two."), caption("The bridge", "")];
        assert_eq!(blocks_differ(&base, &joined), [ContentPart::Captions, ContentPart::Markup]);
    }
}
