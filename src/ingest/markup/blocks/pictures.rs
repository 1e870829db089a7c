//! Reads pictures and their captions.
//!
//! A figure states which words are its caption. Elsewhere only a class does, and the same class may be on a much larger
//! element. The content of such an element is therefore read like any other, and becomes a caption at its end if it is
//! as short as one.

use crate::ingest::text::credited;
use crate::model::{Block, BlockKind};

use super::super::marks::ClassRole;
use super::super::tokens::Tag;
use super::super::{math, one_line};
use super::{BlockBuilder, Open, add};

/// The maximum number of paragraphs, and of words, in a caption.
const CAPTION_PARAGRAPHS_MAX: usize = 3;
const CAPTION_WORDS_MAX: usize = 120;
const CREDIT_WORDS_MAX: usize = 25;
/// A paragraph with more bytes is running text, in any script.
const SHORT_BYTES_MAX: usize = 4_096;
/// The maximum number of blocks in a correction note.
const CORRECTION_BLOCKS_MAX: usize = 4;

/// The figure that is open, as far as it has been read.
#[derive(Default)]
pub(super) struct OpenFigure {
    url: String,
    pub(super) caption: String,
    pub(super) credit: String,
}

/// A picture outside a figure, until a caption or credit claims it.
pub(super) struct Picture {
    url: String,
    /// The number of blocks before it.
    blocks: usize,
}

/// Builds a caption. If no element marks the credit, it is taken from the caption's words, if they state one.
fn caption_of(text: String, image_url: String, credit: String) -> BlockKind {
    let parted = if credit.is_empty() { credited(&text).filter(|(_, name)| !name.is_empty()) } else { None };
    let (text, credit) = parted.unwrap_or((text, credit));
    BlockKind::Caption { text, image_url, credit }
}

impl BlockBuilder<'_> {
    pub(super) fn picture(&mut self, tag: Tag<'_>) {
        self.formula_picture(tag);
        let url = tag.attribute("src").or_else(|| tag.attribute("source")).unwrap_or_default();
        let Some(url) = self.absolute(&url) else { return };
        if self.depth.figures > 0 && self.figure.url.is_empty() {
            self.figure.url = url;
        } else if self.depth.figures == 0 {
            let blocks = self.blocks.len() + usize::from(!self.text.trim().is_empty());
            self.picture = Some(Picture { url, blocks });
        }
    }

    /// Reads the text of a picture that shows a formula, unless the formula itself is right before it.
    fn formula_picture(&mut self, tag: Tag<'_>) {
        const CLASSES: [&str; 5] = ["fallback-image", "latex", "tex", "math", "mathjax"];
        let class = tag.attribute("class").unwrap_or_default().to_ascii_lowercase();
        let is_formula = |name: &str| CLASSES.iter().any(|known| name == *known || name.contains("fallback-image"));
        if !class.split_ascii_whitespace().any(is_formula) {
            return;
        }
        let text = one_line(&tag.attribute("alt").unwrap_or_default());
        let text = math::bare(&text);
        if std::mem::take(&mut self.formula) != text {
            self.push(text);
        }
    }

    /// Turns the words of a figure into a caption. A picture without words has none.
    pub(super) fn end_figure(&mut self, open: &Open) {
        let OpenFigure { mut url, caption, credit } = std::mem::take(&mut self.figure);
        if url.is_empty() {
            url = self.picture_before(open);
        }
        if !(caption.is_empty() && credit.is_empty()) {
            self.block_after(caption_of(caption, url, credit));
        } else if !url.is_empty()
            && let Some(text) = self.take_short(open, CAPTION_WORDS_MAX)
        {
            // The only text in a figure, next to the picture, is its caption.
            self.block(caption_of(text, url, credit));
        }
    }

    /// Converts the blocks of an element to what its class says it is.
    pub(super) fn end_marked(&mut self, open: &Open) {
        if open.is_within {
            if open.mark == Some(ClassRole::Caption) && self.depth.figures + self.depth.captions == 0 {
                self.keep_long_caption();
                self.end_figure(open);
            }
            return;
        }
        match open.mark {
            Some(ClassRole::Caption) => self.end_marked_caption(open),
            Some(ClassRole::Credit) => self.end_marked_credit(open),
            Some(ClassRole::Correction) => self.end_marked_correction(open),
            Some(ClassRole::Repeated) | None => {}
        }
    }

    /// Moves a caption that is too long to be one to the enclosing quotation or list.
    fn keep_long_caption(&mut self) {
        if self.figure.caption.split_whitespace().count() > CAPTION_WORDS_MAX
            && let Some(outer) = &mut self.outer
        {
            outer.add_text(&std::mem::take(&mut self.figure.caption));
        }
    }

    fn end_marked_caption(&mut self, open: &Open) {
        let text = self.take_short(open, CAPTION_WORDS_MAX);
        let credit = std::mem::take(&mut self.figure.credit);
        match text {
            None if credit.is_empty() => {}
            None if self.blocks.len() > open.blocks => self.block(BlockKind::Paragraph { text: credit }),
            text => {
                let image_url = self.picture_before(open);
                self.block(caption_of(text.unwrap_or_default(), image_url, credit));
            }
        }
    }

    /// Adds a credit to the caption that it is in or follows, or to the picture that it follows.
    fn end_marked_credit(&mut self, open: &Open) {
        let follows_picture = self.picture.as_ref().is_some_and(|picture| picture.blocks == open.blocks);
        let follows_caption = open
            .blocks
            .checked_sub(1)
            .and_then(|at| self.blocks.get(at))
            .is_some_and(|block| matches!(&block.kind, BlockKind::Caption { credit, .. } if credit.is_empty()));
        if self.depth.marked_captions == 0 && !follows_picture && !follows_caption {
            return;
        }
        let Some(text) = self.take_short(open, CREDIT_WORDS_MAX) else { return };
        if let Some(Block { kind: BlockKind::Caption { credit, .. }, .. }) =
            self.blocks.last_mut().filter(|_| follows_caption)
        {
            *credit = text;
        } else if self.depth.marked_captions > 0 {
            add(&mut self.figure.credit, &text, " ");
        } else {
            let image_url = self.picture_before(open);
            self.block(BlockKind::Caption { text: String::new(), image_url, credit: text });
        }
    }

    /// Takes a paragraph as the credit of the caption or picture right before it if it states nothing else. Otherwise
    /// returns it.
    pub(super) fn credit_line(&mut self, text: String) -> Option<String> {
        let follows_picture = self.picture.as_ref().is_some_and(|picture| picture.blocks == self.blocks.len());
        let last = self.blocks.last_mut().map(|block| &mut block.kind);
        let caption = match last {
            Some(BlockKind::Caption { credit, .. }) if credit.is_empty() => Some(credit),
            _ => None,
        };
        if !follows_picture && caption.is_none() {
            return Some(text);
        }
        let Some((_, name)) = credited(&text).filter(|(caption, name)| caption.is_empty() && !name.is_empty()) else {
            return Some(text);
        };
        match caption {
            Some(credit) => *credit = name,
            None => {
                let image_url = self.picture.take().map_or_else(String::new, |picture| picture.url);
                self.block(BlockKind::Caption { text: String::new(), image_url, credit: name });
            }
        }
        None
    }

    /// Joins the blocks of a correction note into one. Its heading stays, since often only that says that it corrects.
    fn end_marked_correction(&mut self, open: &Open) {
        let blocks = self.blocks.get(open.blocks..).unwrap_or_default();
        let texts = blocks.iter().map(|block| match &block.kind {
            BlockKind::Paragraph { text } | BlockKind::Subheading { text } | BlockKind::CorrectionNote { text } => {
                Some(text.as_str()).filter(|text| text.len() <= SHORT_BYTES_MAX)
            }
            BlockKind::Caption { .. } | BlockKind::Quote { .. } | BlockKind::List { .. } | BlockKind::Embed { .. } => {
                None
            }
        });
        let Some(texts) = texts.take(CORRECTION_BLOCKS_MAX + 1).collect::<Option<Vec<_>>>() else { return };
        if (1..=CORRECTION_BLOCKS_MAX).contains(&texts.len()) {
            let kind = BlockKind::CorrectionNote { text: texts.join("\n") };
            self.blocks.truncate(open.blocks);
            self.blocks.push(Block { kind, confidence_percent: Some(90) });
        }
    }

    /// Takes the URL of the picture in or right before the element; empty if there is none. Each picture is used once.
    fn picture_before(&mut self, open: &Open) -> String {
        let is_near = |picture: &mut Picture| picture.blocks >= open.blocks;
        self.picture.take_if(is_near).map_or_else(String::new, |picture| picture.url)
    }

    /// Takes the text of the element's blocks if they are only a few short paragraphs.
    fn take_short(&mut self, open: &Open, words_max: usize) -> Option<String> {
        let blocks = self.blocks.get(open.blocks..).filter(|blocks| blocks.len() <= CAPTION_PARAGRAPHS_MAX)?;
        let mut text = String::new();
        for block in blocks {
            let BlockKind::Paragraph { text: paragraph } = &block.kind else { return None };
            if paragraph.len() > SHORT_BYTES_MAX {
                return None;
            }
            add(&mut text, &one_line(paragraph), " ");
        }
        if text.is_empty() || text.split_whitespace().count() > words_max {
            return None;
        }
        self.blocks.truncate(open.blocks);
        Some(text)
    }
}
