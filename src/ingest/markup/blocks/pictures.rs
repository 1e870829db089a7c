//! Reads pictures and their captions.
//!
//! A figure states which words are its caption. Elsewhere, only a class states it, and the same class may be on a much
//! larger element. The content of an element with such a class is therefore read like any other, and becomes a caption
//! at the end of the element if it is short enough.

use crate::ingest::text::credited;
use crate::model::{Block, BlockKind};

use super::super::marks::ClassRole;
use super::super::tokens::Tag;
use super::super::{math, one_line};
use super::{BlockBuilder, OpenElement, add};

/// The maximum number of paragraphs, and of words, in a caption.
const CAPTION_PARAGRAPHS_MAX: usize = 3;
const CAPTION_WORDS_MAX: usize = 120;
/// The maximum number of words in a credit.
const CREDIT_WORDS_MAX: usize = 25;
/// A paragraph with more bytes is running text, in any script.
const SHORT_BYTES_MAX: usize = 4_096;
/// The maximum number of blocks in a correction note.
const CORRECTION_BLOCKS_MAX: usize = 4;

/// The open figure, as far as it has been read.
#[derive(Default)]
pub(super) struct OpenFigure {
    url: String,
    pub(super) caption: String,
    pub(super) credit: String,
}

/// A picture outside a figure that no caption or credit has used yet.
pub(super) struct Picture {
    url: String,
    /// The number of blocks before it.
    blocks: usize,
}

/// Builds a caption. If no element marks the credit, a credit that the caption's words state is split off.
fn caption_of(text: String, image_url: String, credit: String) -> BlockKind {
    let split = if credit.is_empty() { credited(&text).filter(|(_, name)| !name.is_empty()) } else { None };
    let (text, credit) = split.unwrap_or((text, credit));
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
        let text = math::without_style(&text);
        if std::mem::take(&mut self.formula) != text {
            self.push(text);
        }
    }

    /// Turns the words of a figure into a caption. A figure without words gets no caption.
    pub(super) fn end_figure(&mut self, open: &OpenElement) {
        let OpenFigure { mut url, caption, credit } = std::mem::take(&mut self.figure);
        if url.is_empty() {
            url = self.picture_before(open);
        }
        if !(caption.is_empty() && credit.is_empty()) {
            self.add_block_after(caption_of(caption, url, credit));
        } else if !url.is_empty()
            && let Some(text) = self.take_short(open, CAPTION_WORDS_MAX)
        {
            // The only text in a figure, next to the picture, is its caption.
            self.block(caption_of(text, url, credit));
        }
    }

    /// Converts the blocks of an element that has ended to what the element's class says they are.
    pub(super) fn end_marked(&mut self, open: &OpenElement) {
        if open.is_within {
            if open.role == Some(ClassRole::Caption) && self.depth.figures + self.depth.captions == 0 {
                self.keep_long_caption();
                self.end_figure(open);
            }
            return;
        }
        match open.role {
            Some(ClassRole::Caption) => self.end_marked_caption(open),
            Some(ClassRole::Credit) => self.end_marked_credit(open),
            Some(ClassRole::Correction) => self.end_marked_correction(open),
            Some(ClassRole::Repeated) | None => {}
        }
    }

    /// Moves a text that is too long for a caption to the enclosing quotation or list.
    fn keep_long_caption(&mut self) {
        if self.figure.caption.split_whitespace().count() > CAPTION_WORDS_MAX
            && let Some(outer) = &mut self.outer
        {
            outer.add_text(&std::mem::take(&mut self.figure.caption));
        }
    }

    fn end_marked_caption(&mut self, open: &OpenElement) {
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

    /// Adds a credit to the caption that contains it, or to the caption or picture right before it.
    fn end_marked_credit(&mut self, open: &OpenElement) {
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

    /// If a paragraph states a picture credit and nothing else, adds it to the caption or picture right before the
    /// paragraph, and returns `None`. Otherwise returns the paragraph.
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

    /// Joins the blocks of a correction note into one. A heading is part of the note, since often nothing else says
    /// that it is a correction.
    fn end_marked_correction(&mut self, open: &OpenElement) {
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

    /// Returns the URL of the picture in or right before the element; empty if there is none. Each picture is used
    /// once.
    fn picture_before(&mut self, open: &OpenElement) -> String {
        let is_near = |picture: &mut Picture| picture.blocks >= open.blocks;
        self.picture.take_if(is_near).map_or_else(String::new, |picture| picture.url)
    }

    /// Removes the element's blocks and returns their text, if they are only a few short paragraphs with at most
    /// `words_max` words.
    fn take_short(&mut self, open: &OpenElement, words_max: usize) -> Option<String> {
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
