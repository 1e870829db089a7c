//! Builds blocks from tags and texts.
//!
//! A top-level element becomes a block of its own. The outermost quotation or list collects the text of everything
//! within it ([`enclosed`]). The text under a picture becomes its caption ([`pictures`]). A table becomes one paragraph
//! with a line for each row. A table or list that only lays out text is read as if it were not there. Missing end tags
//! are supplied as in HTML, as far as they separate text.

mod enclosed;
mod pictures;

use url::Url;

use crate::model::{Block, BlockKind, Limits};

use super::super::is_correction;
use super::element::Element;
use super::marks::{self, ClassRole};
use super::tokens::{MarkupToken, Tag, tokens};
use super::{layout, math, one_line, post};
use enclosed::{Enclosure, List};
use pictures::{OpenFigure, Picture};

/// The maximum number of open elements. Deeper ones start blocks but are not tracked to their end.
const DEPTH_MAX: usize = 128;

/// Reads markup into blocks. See [`super::blocks()`].
pub(super) fn read(markup: &str, base: Option<&Url>) -> Vec<Block> {
    let mut builder = BlockBuilder { base, layouts: layout::layouts(markup).into_iter(), ..BlockBuilder::default() };
    for token in tokens(markup) {
        match token {
            MarkupToken::Text(text) => builder.push(&htmlize::unescape(text)),
            MarkupToken::Verbatim(text) => builder.push(text),
            MarkupToken::Math(tag, inner) => builder.formula(math::text(tag, inner)),
            MarkupToken::Start(tag) => builder.start(tag),
            MarkupToken::End(name) => builder.end(&name),
        }
    }
    builder.close_to(0);
    builder.flush();
    builder.blocks
}

#[derive(Default)]
struct BlockBuilder<'b> {
    base: Option<&'b Url>,
    blocks: Vec<Block>,
    /// The text of the block being read. Its line breaks are deliberate; other white space is already collapsed.
    text: String,
    open: Vec<OpenElement>,
    /// For each table and list that is still unread, whether it only lays out text.
    layouts: std::vec::IntoIter<bool>,
    /// The outermost open quotation or list.
    outer: Option<Enclosure>,
    figure: OpenFigure,
    /// The last picture outside a figure, until a caption or credit uses it.
    picture: Option<Picture>,
    /// The last formula; empty once other text has followed it.
    formula: String,
    /// Captions and embeds within the outermost quotation, list or table, which become blocks after it.
    deferred: Vec<BlockKind>,
    /// How many elements of each kind are open.
    depth: Depth,
    /// The number of texts that have been ended so far.
    flushes: usize,
    /// Whether the text being read contains a link with a fragment, such as a heading's link to itself.
    has_anchor: bool,
}

/// An open element.
struct OpenElement {
    name: String,
    element: Element,
    /// Whether it is a table or list that only lays out text.
    lays_out: bool,
    /// Whether its text is the credit of the figure or the attribution of the quotation.
    is_credit: bool,
    role: Option<ClassRole>,
    /// Whether it is within a figure, a quotation or a list.
    is_within: bool,
    /// The value of [`BlockBuilder::flushes`] when the element was opened.
    flushes: usize,
    /// The number of blocks when the element was opened.
    blocks: usize,
}

#[derive(Default)]
struct Depth {
    outer: usize,
    headings: usize,
    figures: usize,
    captions: usize,
    credits: usize,
    /// Captions that only a class marks as such.
    marked_captions: usize,
    /// Elements whose text repeats the formula before them.
    repeated: usize,
    tables: usize,
    verbatim: usize,
}

impl BlockBuilder<'_> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "only a few elements matter here")]
    fn start(&mut self, tag: Tag<'_>) {
        let name = tag.name();
        let element = Element::of(&name);
        match element {
            Element::LineBreak => return self.break_line(),
            Element::Picture => return self.picture(tag),
            Element::Rule => return self.flush(),
            Element::Frame => return self.frame(tag),
            Element::Item => self.close_item(),
            Element::Cell => self.separate_cells(),
            _ => {}
        }
        let lays_out = layout::is_table_or_list(element) && self.layouts.next().unwrap_or_default();
        if element.is_void() {
            return;
        }
        let is_credit = self.is_credit(element, tag);
        let role = self.role(tag);
        if !element.is_inline() || is_credit || role.is_some_and(ClassRole::is_block) {
            self.close_paragraph();
            self.end_text();
        }
        if !tag.is_closed() && self.open.len() < DEPTH_MAX {
            let (flushes, blocks) = (self.flushes, self.blocks.len());
            let is_within = self.depth.figures > 0 || self.outer.is_some();
            self.open(OpenElement { name, element, lays_out, is_credit, role, is_within, flushes, blocks }, tag);
        }
        if element == Element::Link {
            self.has_anchor |= tag.attribute("href").is_some_and(|href| href.contains('#'));
            if let Some(outer) = &mut self.outer {
                outer.link(tag);
            }
        }
    }

    /// The role that its class gives the element, outside tables. [`ClassRole::Repeated`] counts only right after a
    /// formula.
    fn role(&self, tag: Tag<'_>) -> Option<ClassRole> {
        let role = marks::class_role(tag).filter(|_| self.depth.tables == 0);
        role.filter(|role| *role != ClassRole::Repeated || !self.formula.is_empty())
    }

    /// Whether the element names the credit of the open figure or the attribution of the open quotation.
    fn is_credit(&self, element: Element, tag: Tag<'_>) -> bool {
        let in_quotation = self.outer.as_ref().is_some_and(|outer| outer.list.is_none());
        if self.depth.figures + self.depth.captions > 0 && element != Element::Caption {
            let class = tag.attribute("class").unwrap_or_default().to_ascii_lowercase();
            let has_word = ["credit", "byline", "photographer"].iter().any(|word| class.contains(word));
            return has_word || tag.name() == "media-producer" || marks::class_role(tag) == Some(ClassRole::Credit);
        }
        // Within a sentence, `cite` marks the title of a work.
        in_quotation && (element == Element::Footer || element == Element::Cite && self.text.trim().is_empty())
    }

    fn open(&mut self, open: OpenElement, tag: Tag<'_>) {
        self.count(&open, true);
        if self.outer.is_none() && !open.lays_out {
            self.outer = Enclosure::begin(open.element, tag);
        }
        if open.element == Element::Item
            && let Some(Enclosure { list: Some(List { items, .. }), .. }) = &mut self.outer
        {
            items.push(String::new());
        }
        if open.element == Element::Struck {
            self.push("~~");
        } else if open.element == Element::Quoted {
            self.push("\u{201c}");
        }
        self.open.push(open);
    }

    fn count(&mut self, open: &OpenElement, opens: bool) {
        let depth = &mut self.depth;
        let encloses = matches!(open.element, Element::Quote | Element::List { .. }) && !open.lays_out;
        // Within a figure, a quotation or a list, the text of a caption is kept separate while it is read.
        let is_separate = open.role == Some(ClassRole::Caption) && open.is_within;
        let counts = [
            (encloses, &mut depth.outer),
            (open.element == Element::Heading, &mut depth.headings),
            (open.element == Element::Figure, &mut depth.figures),
            (open.element == Element::Caption || is_separate, &mut depth.captions),
            (open.is_credit, &mut depth.credits),
            (open.role == Some(ClassRole::Caption) && !is_separate, &mut depth.marked_captions),
            (open.role == Some(ClassRole::Repeated), &mut depth.repeated),
            (open.element == Element::Table && !open.lays_out, &mut depth.tables),
            (open.element == Element::Verbatim, &mut depth.verbatim),
        ];
        for (_, count) in counts.into_iter().filter(|(applies, _)| *applies) {
            *count = if opens { *count + 1 } else { count.saturating_sub(1) };
        }
    }

    fn end(&mut self, name: &str) {
        let element = Element::of(name);
        if element == Element::LineBreak {
            return self.break_line();
        }
        match self.open.iter().rposition(|open| open.name == name) {
            Some(at) => self.close_to(at),
            None if element.is_inline() => {}
            None => self.end_text(),
        }
    }

    /// Closes the innermost open elements until `depth` are left.
    #[expect(clippy::wildcard_enum_match_arm, reason = "only a few elements matter here")]
    fn close_to(&mut self, depth: usize) {
        while self.open.len() > depth
            && let Some(open) = self.open.pop()
        {
            match open.element {
                // The opening mark was in a block that has ended, so a closing mark would be unpaired.
                Element::Struck | Element::Quoted if open.flushes < self.flushes => {}
                Element::Struck => self.push("~~"),
                Element::Quoted => self.push("\u{201d}"),
                Element::Row if self.depth.tables > 0 => self.end_row(),
                Element::Block if open.name == "caption" && self.depth.tables > 0 => self.end_row(),
                Element::Cell if self.depth.tables > 0 => {}
                element if element.is_inline() && !open.is_credit && !open.role.is_some_and(ClassRole::is_block) => {}
                Element::Table if self.depth.tables == 1 && !open.lays_out => self.flush(),
                _ => self.end_text(),
            }
            self.count(&open, false);
            match open.element {
                Element::Quote | Element::List { .. } if self.depth.outer == 0 => self.end_outer(),
                Element::Figure | Element::Caption if self.depth.figures + self.depth.captions == 0 => {
                    self.end_figure(&open)
                }
                Element::Table if self.outer.is_none() && self.depth.tables == 0 => self.add_deferred(),
                _ => self.end_marked(&open),
            }
        }
    }

    /// Ends an open paragraph where a block begins.
    fn close_paragraph(&mut self) {
        let last = self.open.iter().rposition(|open| !open.element.is_inline());
        if let Some(at) = last
            && self.open.get(at).is_some_and(|open| open.element == Element::Paragraph)
        {
            self.close_to(at);
        }
    }

    /// Ends an open item where the next item of its list begins.
    fn close_item(&mut self) {
        let last = self.open.iter().rposition(|open| matches!(open.element, Element::Item | Element::List { .. }));
        if let Some(at) = last
            && self.open.get(at).is_some_and(|open| open.element == Element::Item)
        {
            self.close_to(at);
        }
    }

    /// Adds running text, and collapses white space except in verbatim text.
    fn push(&mut self, text: &str) {
        if self.depth.repeated > 0 {
            return;
        }
        if !(self.formula.is_empty() || text.trim().is_empty()) {
            self.formula.clear();
        }
        if self.depth.verbatim > 0 {
            self.text.push_str(text);
            return;
        }
        for c in text.chars() {
            match c {
                ' ' | '\n' | '\t' | '\r' | '\u{c}' => {
                    if !(self.text.is_empty() || self.text.ends_with([' ', '\n'])) {
                        self.text.push(' ');
                    }
                }
                c => self.text.push(c),
            }
        }
    }

    fn formula(&mut self, text: String) {
        self.push(&text);
        self.formula = text;
    }

    fn break_line(&mut self) {
        self.text.truncate(self.text.trim_end_matches(' ').len());
        self.text.push('\n');
    }

    fn separate_cells(&mut self) {
        if self.depth.tables > 0 && !(self.text.is_empty() || self.text.ends_with('\n')) {
            self.text.truncate(self.text.trim_end_matches(' ').len());
            self.text.push_str(" | ");
        }
    }

    fn end_row(&mut self) {
        if !self.text.is_empty() {
            self.break_line();
        }
    }

    /// Ends the block being read. Within a table, only adds a space, because the whole table is one block.
    fn end_text(&mut self) {
        if self.depth.tables > 0 { self.push(" ") } else { self.flush() }
    }

    fn frame(&mut self, tag: Tag<'_>) {
        self.end_text();
        let Some(url) = post::frame_url(tag).and_then(|url| self.absolute(&url)) else { return };
        self.add_block_after(BlockKind::Embed { url, text: String::new() });
    }

    /// The absolute `http` or `https` URL for an address; `None` for other schemes, and for a relative one without a
    /// base.
    fn absolute(&self, url: &str) -> Option<String> {
        let url = match self.base {
            _ if url.trim().is_empty() => return None,
            Some(base) => base.join(url),
            None => Url::parse(url),
        };
        url.ok().filter(|url| matches!(url.scheme(), "http" | "https")).map(String::from)
    }

    /// Ends the block being read.
    fn flush(&mut self) {
        let text = std::mem::take(&mut self.text);
        let has_anchor = std::mem::take(&mut self.has_anchor);
        self.flushes += 1;
        let text = if self.depth.verbatim > 0 { text.trim_end().trim_start_matches('\n') } else { text.trim() };
        // The text has only the opening mark of an element that contains whole blocks, or nothing.
        if matches!(text, "" | "~~" | "\u{201c}") {
            return;
        }
        if self.depth.credits > 0 && self.depth.figures + self.depth.captions > 0 {
            add(&mut self.figure.credit, &one_line(text), " ");
        } else if self.depth.captions > 0 {
            add(&mut self.figure.caption, &one_line(text), " ");
        } else if let Some(outer) = &mut self.outer {
            if self.depth.credits > 0 { outer.add_attribution(text) } else { outer.add_text(text) }
        } else if self.depth.headings > 0 {
            let text = one_line(text);
            // Drop the sign that links to the heading itself.
            let text = match has_anchor {
                true => text.strip_suffix(['¶', '#']).unwrap_or(&text).trim_end(),
                false => &text,
            };
            if !text.is_empty() {
                self.block(BlockKind::Subheading { text: text.to_owned() });
            }
        } else if self.depth.verbatim > 0 || self.depth.tables > 0 {
            self.block(BlockKind::Paragraph { text: text.to_owned() });
        } else {
            // Two line breaks end a paragraph.
            text.split("\n\n").map(str::trim).filter(|text| !text.is_empty()).for_each(|text| self.paragraph(text));
        }
    }

    fn paragraph(&mut self, text: &str) {
        let text = text.to_owned();
        if is_correction(&text) {
            let kind = BlockKind::CorrectionNote { text };
            self.blocks.push(Block { kind, confidence_percent: Some(95) });
        } else if let Some(text) = self.credit_line(text) {
            self.block(BlockKind::Paragraph { text });
        }
    }

    /// Adds a block, or keeps it until the outermost quotation, list or table has ended.
    fn add_block_after(&mut self, kind: BlockKind) {
        if self.outer.is_some() || self.depth.tables > 0 { self.deferred.push(kind) } else { self.block(kind) }
    }

    fn add_deferred(&mut self) {
        std::mem::take(&mut self.deferred).into_iter().for_each(|kind| self.block(kind));
    }

    /// Adds a block. If there are already as many as an article may have, a paragraph becomes a line of the last one.
    fn block(&mut self, kind: BlockKind) {
        if self.blocks.len() >= Limits::BLOCKS_MAX
            && let BlockKind::Paragraph { text } = &kind
            && let Some(Block { kind: BlockKind::Paragraph { text: last }, .. }) = self.blocks.last_mut()
        {
            return add(last, text, "\n");
        }
        self.blocks.push(kind.into());
    }
}

/// Appends `more` to `text`, after `separator` unless `text` is empty.
fn add(text: &mut String, more: &str, separator: &str) {
    if !text.is_empty() {
        text.push_str(separator);
    }
    text.push_str(more);
}
