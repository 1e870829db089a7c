//! Converts the events of the Markdown parser to blocks.
//!
//! A top-level element becomes a block of its own. The outermost quotation or list collects the text of everything in
//! it, so nesting of any depth takes no stack.

use std::collections::BTreeSet;

use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use crate::model::{Block, BlockKind};

use super::super::is_correction;
use super::tags;

/// The body of a document, in document order.
#[derive(Debug, Default)]
pub(super) struct MarkdownBody {
    pub(super) pieces: Vec<Piece>,
    /// Names of the HTML elements whose formatting or content was lost.
    pub(super) tags: BTreeSet<String>,
}

/// A block, with the heading's level if it was a heading.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) block: Block,
    pub(super) heading_level: Option<u8>,
}

/// Reads the Markdown after the front matter.
///
/// Strike-through stays as written (`~~12~~ 92`), since the plain text "12 92" would change the meaning.
pub(super) fn read(markdown: &str) -> MarkdownBody {
    let options = Options::ENABLE_TABLES | Options::ENABLE_FOOTNOTES | Options::ENABLE_HEADING_ATTRIBUTES;
    let mut builder = MarkdownBuilder::default();
    for event in Parser::new_ext(markdown, options) {
        builder.event(event);
    }
    builder.flush();
    builder.body
}

#[derive(Debug, Default)]
struct MarkdownBuilder {
    body: MarkdownBody,
    /// The text of the current block.
    text: String,
    /// The images of the current block.
    images: Vec<Image>,
    /// The outermost quotation or list.
    outer: Option<OuterBlock>,
    /// Number of quotations and lists around the current position.
    depth: usize,
    heading_level: Option<u8>,
    /// The footnote mark that the next block starts with.
    footnote_mark: String,
    /// Whether the current block is verbatim text, whose first line keeps its indent.
    verbatim: bool,
    in_image: bool,
}

#[derive(Debug)]
enum OuterBlock {
    Quote(Vec<String>),
    List { items: Vec<String>, ordered: bool },
}

#[derive(Debug, Default)]
struct Image {
    url: String,
    title: String,
    description: String,
}

impl MarkdownBuilder {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) | Event::Code(text) => self.push(&text),
            Event::SoftBreak => self.push(" "),
            Event::HardBreak => self.push("\n"),
            Event::Html(html) => self.text.push_str(&html),
            Event::InlineHtml(html) => self.inline_html(&html),
            Event::FootnoteReference(name) => self.push(&format!("[{name}]")),
            Event::Rule => self.flush(),
            Event::TaskListMarker(_) | Event::InlineMath(_) | Event::DisplayMath(_) => {}
        }
    }

    fn start(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Paragraph | Tag::HtmlBlock => self.flush(),
            Tag::Heading { level, .. } => {
                self.flush();
                self.heading_level = Some(level_number(level));
            }
            Tag::BlockQuote(_) => self.open_outer(OuterBlock::Quote(Vec::new())),
            Tag::List(first) => self.open_outer(OuterBlock::List { items: Vec::new(), ordered: first.is_some() }),
            Tag::Item => self.start_item(),
            Tag::CodeBlock(_) => {
                self.flush();
                self.verbatim = true;
            }
            Tag::Image { dest_url, title, .. } => {
                self.in_image = true;
                let image = Image { url: dest_url.into_string(), title: title.into_string(), ..Image::default() };
                self.images.push(image);
            }
            Tag::FootnoteDefinition(name) => {
                self.flush();
                self.footnote_mark = format!("[{name}] ");
            }
            Tag::Emphasis | Tag::Strong | Tag::Strikethrough | Tag::Superscript | Tag::Subscript | Tag::Link { .. } => {
            }
            Tag::Table(_) | Tag::TableHead | Tag::TableRow | Tag::TableCell | Tag::MetadataBlock(_) => {}
            Tag::DefinitionList | Tag::DefinitionListTitle | Tag::DefinitionListDefinition => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Paragraph | TagEnd::Heading(_) | TagEnd::CodeBlock | TagEnd::Table | TagEnd::FootnoteDefinition => {
                self.flush();
            }
            TagEnd::HtmlBlock => {
                let html = std::mem::take(&mut self.text);
                self.text = tags::text_of(&html, &mut self.body.tags);
                self.flush();
            }
            TagEnd::BlockQuote(_) | TagEnd::List(_) => self.close_outer(),
            TagEnd::Item => self.flush(),
            TagEnd::Image => self.in_image = false,
            TagEnd::TableCell => self.text.push_str(" | "),
            TagEnd::TableHead | TagEnd::TableRow => {
                self.text.truncate(self.text.trim_end_matches(" | ").len());
                self.text.push('\n');
            }
            TagEnd::Emphasis | TagEnd::Strong | TagEnd::Strikethrough | TagEnd::Superscript | TagEnd::Subscript => {}
            TagEnd::Link | TagEnd::MetadataBlock(_) => {}
            TagEnd::DefinitionList | TagEnd::DefinitionListTitle | TagEnd::DefinitionListDefinition => {}
        }
    }

    /// Adds running text. Text within an image is the image's description and not part of the paragraph.
    fn push(&mut self, text: &str) {
        match self.images.last_mut().filter(|_| self.in_image) {
            Some(image) => image.description.push_str(text),
            None => self.text.push_str(text),
        }
    }

    fn inline_html(&mut self, html: &str) {
        if html.to_ascii_lowercase().starts_with("<br") {
            self.push("\n");
        } else {
            let text = tags::text_of(html, &mut self.body.tags);
            self.push(&text);
        }
    }

    fn open_outer(&mut self, outer: OuterBlock) {
        self.flush();
        self.depth += 1;
        self.outer.get_or_insert(outer);
    }

    fn close_outer(&mut self) {
        self.flush();
        self.depth = self.depth.saturating_sub(1);
        if self.depth > 0 {
            return;
        }
        match self.outer.take() {
            Some(OuterBlock::Quote(paragraphs)) => self.quote(paragraphs),
            Some(OuterBlock::List { mut items, ordered }) => {
                items.retain(|item| !item.is_empty());
                if !items.is_empty() {
                    self.block(BlockKind::List { items, ordered });
                }
            }
            None => {}
        }
        self.captions();
    }

    fn quote(&mut self, mut paragraphs: Vec<String>) {
        let last = paragraphs.last().map(String::as_str).unwrap_or_default();
        let (said, name) = last.rsplit_once('\n').unwrap_or(("", last));
        let attribution =
            ["— ", "– ", "-- "].iter().find_map(|dash| name.strip_prefix(dash)).map(|name| name.trim().to_owned());
        if attribution.is_some() {
            let said = said.trim_end().to_owned();
            paragraphs.pop();
            paragraphs.extend(Some(said).filter(|said| !said.is_empty()));
        }
        if !paragraphs.is_empty() {
            self.block(BlockKind::Quote { text: paragraphs.join("\n"), attribution: attribution.unwrap_or_default() });
        }
    }

    fn start_item(&mut self) {
        self.flush();
        if let Some(OuterBlock::List { items, .. }) = &mut self.outer {
            items.push(String::new());
        }
    }

    /// Ends the current block.
    fn flush(&mut self) {
        let text = std::mem::take(&mut self.text);
        let verbatim = std::mem::take(&mut self.verbatim);
        let text = if verbatim { text.trim_end().to_owned() } else { text.trim().to_owned() };
        let level = self.heading_level.take();
        if !text.is_empty() {
            let text = std::mem::take(&mut self.footnote_mark) + &text;
            match &mut self.outer {
                Some(OuterBlock::Quote(paragraphs)) => paragraphs.push(text),
                Some(OuterBlock::List { items, .. }) => add_to_item(items, &text),
                None => self.top_level_block(text, level, verbatim),
            }
        }
        if self.outer.is_none() {
            self.captions();
        }
    }

    fn top_level_block(&mut self, text: String, level: Option<u8>, verbatim: bool) {
        if let Some(level) = level {
            let block = Block::from(BlockKind::Subheading { text });
            self.body.pieces.push(Piece { block, heading_level: Some(level) });
        } else if !verbatim && is_correction(&text) {
            let block = Block { kind: BlockKind::CorrectionNote { text }, confidence_percent: Some(95) };
            self.body.pieces.push(Piece { block, heading_level: None });
        } else {
            self.block(BlockKind::Paragraph { text });
        }
    }

    fn captions(&mut self) {
        for Image { url, title, description } in std::mem::take(&mut self.images) {
            let text = if description.trim().is_empty() { title } else { description };
            self.block(BlockKind::Caption { text: text.trim().to_owned(), image_url: url, credit: String::new() });
        }
    }

    fn block(&mut self, kind: BlockKind) {
        self.body.pieces.push(Piece { block: kind.into(), heading_level: None });
    }
}

/// Adds a block's text to the last item. Each further block of an item starts a new line.
fn add_to_item(items: &mut [String], text: &str) {
    if let Some(item) = items.last_mut() {
        if !item.is_empty() {
            item.push('\n');
        }
        item.push_str(text);
    }
}

fn level_number(level: HeadingLevel) -> u8 {
    match level {
        HeadingLevel::H1 => 1,
        HeadingLevel::H2 => 2,
        HeadingLevel::H3 => 3,
        HeadingLevel::H4 => 4,
        HeadingLevel::H5 => 5,
        HeadingLevel::H6 => 6,
    }
}
