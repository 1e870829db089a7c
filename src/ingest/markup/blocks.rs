//! Tags and texts become blocks.
//!
//! A block that nothing encloses stands as it is. Within a quotation or a list, the outermost one collects the text
//! of all that it encloses. A table is one paragraph, a line each row. Ends that are missing are put in where HTML
//! does so, as far as text is parted by them.

use url::Url;

use crate::model::{Block, BlockKind, Limits};

use super::super::is_correction;
use super::element::Element;
use super::one_line;
use super::tokens::{Tag, Token, tokens};

/// The most elements that are open at a time. Deeper ones part text no more.
const DEPTH_MAX: usize = 128;

/// Reads markup.
pub(super) fn read(markup: &str, base: Option<&Url>) -> Vec<Block> {
    let mut builder = Builder { base, ..Builder::default() };
    for token in tokens(markup) {
        match token {
            Token::Text(text) => builder.push(&htmlize::unescape(text)),
            Token::Verbatim(text) => builder.push(text),
            Token::Start(tag) => builder.start(tag),
            Token::End(name) => builder.end(&name),
        }
    }
    builder.close_to(0);
    builder.flush();
    builder.blocks
}

#[derive(Default)]
struct Builder<'b> {
    base: Option<&'b Url>,
    blocks: Vec<Block>,
    /// The text of the block being read. Line ends in it are those that were asked for.
    text: String,
    open: Vec<Open>,
    /// The outermost quotation or list.
    outer: Option<Outer>,
    figure: Figure,
    /// Captions within the outermost quotation or list. They stand after it.
    captions: Vec<BlockKind>,
    /// How many elements of these kinds are open.
    depth: Depth,
    /// How many times what was read has been ended.
    flushes: usize,
}

struct Open {
    name: String,
    element: Element,
    /// Whether what it holds says whose the figure or the quotation is.
    is_credit: bool,
    /// How many times what was read had been ended before.
    flushes: usize,
}

#[derive(Default)]
struct Depth {
    outer: usize,
    headings: usize,
    figures: usize,
    captions: usize,
    credits: usize,
    tables: usize,
    verbatim: usize,
}

#[derive(Default)]
struct Outer {
    /// The items of a list; a quotation has none.
    list: Option<(Vec<String>, bool)>,
    paragraphs: Vec<String>,
    attribution: String,
}

#[derive(Default)]
struct Figure {
    url: String,
    caption: String,
    credit: String,
}

impl Builder<'_> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "few of the many elements mean something here")]
    fn start(&mut self, tag: Tag<'_>) {
        let name = tag.name();
        let element = Element::of(&name);
        match element {
            Element::LineBreak => return self.break_line(),
            Element::Picture => return self.picture(tag),
            Element::Rule => return self.flush(),
            Element::Frame => return self.frame(tag),
            Element::Item => self.close_item(),
            Element::Cell => self.part_cells(),
            _ => {}
        }
        if element.is_void() {
            return;
        }
        let is_credit = self.is_credit(element, tag);
        if !element.is_inline() || is_credit {
            self.close_paragraph();
            self.part();
        }
        if !tag.is_closed() && self.open.len() < DEPTH_MAX {
            let flushes = self.flushes;
            self.open(Open { name, element, is_credit, flushes });
        }
    }

    /// Whether the element says whose the figure or the quotation is.
    fn is_credit(&self, element: Element, tag: Tag<'_>) -> bool {
        let quoted = self.outer.as_ref().is_some_and(|outer| outer.list.is_none());
        if self.depth.figures > 0 {
            let class = tag.attribute("class").unwrap_or_default().to_ascii_lowercase();
            let named = ["credit", "byline", "photographer"].iter().any(|known| class.contains(known));
            return named || matches!(tag.name().as_str(), "media-producer");
        }
        // A title within a sentence is cited too.
        quoted && (element == Element::Footer || element == Element::Cite && self.text.trim().is_empty())
    }

    fn open(&mut self, open: Open) {
        self.count(&open, true);
        if let Element::Quote | Element::List { .. } = open.element
            && self.outer.is_none()
        {
            let ordered = if let Element::List { ordered } = open.element { Some(ordered) } else { None };
            self.outer = Some(Outer { list: ordered.map(|ordered| (Vec::new(), ordered)), ..Outer::default() });
        }
        if open.element == Element::Item
            && let Some(Outer { list: Some((items, _)), .. }) = &mut self.outer
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

    fn count(&mut self, open: &Open, opens: bool) {
        let depth = &mut self.depth;
        let counts = [
            (matches!(open.element, Element::Quote | Element::List { .. }), &mut depth.outer),
            (open.element == Element::Heading, &mut depth.headings),
            (open.element == Element::Figure, &mut depth.figures),
            (open.element == Element::Caption, &mut depth.captions),
            (open.is_credit, &mut depth.credits),
            (open.element == Element::Table, &mut depth.tables),
            (open.element == Element::Verbatim, &mut depth.verbatim),
        ];
        for (_, count) in counts.into_iter().filter(|(concerned, _)| *concerned) {
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
            None => self.part(),
        }
    }

    /// Closes the elements that were opened since `depth` were open.
    #[expect(clippy::wildcard_enum_match_arm, reason = "few of the many elements mean something here")]
    fn close_to(&mut self, depth: usize) {
        while self.open.len() > depth
            && let Some(open) = self.open.pop()
        {
            match open.element {
                // The mark at the beginning may be gone, with the block that it stood in.
                Element::Struck | Element::Quoted if open.flushes < self.flushes => {}
                Element::Struck => self.push("~~"),
                Element::Quoted => self.push("\u{201d}"),
                Element::Row => self.end_row(),
                Element::Cell => {}
                element if element.is_inline() && !open.is_credit => {}
                Element::Table if self.depth.tables == 1 => self.flush(),
                _ => self.part(),
            }
            self.count(&open, false);
            match open.element {
                Element::Quote | Element::List { .. } if self.depth.outer == 0 => self.end_outer(),
                Element::Figure | Element::Caption if self.depth.figures + self.depth.captions == 0 => {
                    self.end_figure()
                }
                _ => {}
            }
        }
    }

    /// A paragraph ends where a block begins.
    fn close_paragraph(&mut self) {
        let last = self.open.iter().rposition(|open| !open.element.is_inline());
        if let Some(at) = last
            && self.open.get(at).is_some_and(|open| open.element == Element::Paragraph)
        {
            self.close_to(at);
        }
    }

    /// An item ends where the next one of its list begins.
    fn close_item(&mut self) {
        let last = self.open.iter().rposition(|open| matches!(open.element, Element::Item | Element::List { .. }));
        if let Some(at) = last
            && self.open.get(at).is_some_and(|open| open.element == Element::Item)
        {
            self.close_to(at);
        }
    }

    /// Adds running text.
    fn push(&mut self, text: &str) {
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

    fn break_line(&mut self) {
        self.text.truncate(self.text.trim_end_matches(' ').len());
        self.text.push('\n');
    }

    fn part_cells(&mut self) {
        if !(self.text.is_empty() || self.text.ends_with('\n')) {
            self.text.truncate(self.text.trim_end_matches(' ').len());
            self.text.push_str(" | ");
        }
    }

    fn end_row(&mut self) {
        if !self.text.is_empty() {
            self.break_line();
        }
    }

    /// Ends what is being read, unless it is a table, whose cells have blocks of their own.
    fn part(&mut self) {
        if self.depth.tables > 0 { self.push(" ") } else { self.flush() }
    }

    fn picture(&mut self, tag: Tag<'_>) {
        let url = tag.attribute("src").or_else(|| tag.attribute("source")).unwrap_or_default();
        if self.depth.figures > 0
            && self.figure.url.is_empty()
            && let Some(url) = self.absolute(&url)
        {
            self.figure.url = url;
        }
    }

    fn frame(&mut self, tag: Tag<'_>) {
        self.part();
        let url = tag.attribute("src").unwrap_or_default();
        if self.outer.is_none()
            && self.depth.tables == 0
            && let Some(url) = self.absolute(&url)
        {
            self.block(BlockKind::Embed { url, text: String::new() });
        }
    }

    /// An address of the web; `None` where it is another one, or nobody knows what it is relative to.
    fn absolute(&self, url: &str) -> Option<String> {
        let url = match self.base {
            Some(base) => base.join(url),
            None => Url::parse(url),
        };
        url.ok().filter(|url| matches!(url.scheme(), "http" | "https")).map(String::from)
    }

    /// Ends the block being read.
    fn flush(&mut self) {
        let text = std::mem::take(&mut self.text);
        self.flushes += 1;
        let text = if self.depth.verbatim > 0 { text.trim_end() } else { text.trim() };
        // The mark of an element that holds whole blocks.
        if matches!(text, "" | "~~" | "\u{201c}") {
            return;
        }
        if self.depth.credits > 0 && self.depth.figures > 0 {
            add(&mut self.figure.credit, &one_line(text), " ");
        } else if self.depth.captions > 0 {
            add(&mut self.figure.caption, &one_line(text), " ");
        } else if let Some(outer) = &mut self.outer {
            match &mut outer.list {
                Some((items, _)) if items.is_empty() => items.push(text.to_owned()),
                Some((items, _)) => items.last_mut().into_iter().for_each(|item| add(item, text, "\n")),
                None if self.depth.credits > 0 => add(&mut outer.attribution, &one_line(text), " "),
                None => outer.paragraphs.push(text.to_owned()),
            }
        } else if self.depth.headings > 0 {
            self.block(BlockKind::Crosshead { text: one_line(text) });
        } else if self.depth.verbatim > 0 || self.depth.tables > 0 {
            self.block(BlockKind::Paragraph { text: text.to_owned() });
        } else {
            // Two line breaks are as good as a paragraph's end.
            text.split("\n\n").map(str::trim).filter(|text| !text.is_empty()).for_each(|text| self.paragraph(text));
        }
    }

    fn paragraph(&mut self, text: &str) {
        let text = text.to_owned();
        if is_correction(&text) {
            let kind = BlockKind::CorrectionNote { text };
            self.blocks.push(Block { kind, confidence_percent: Some(95) });
        } else {
            self.block(BlockKind::Paragraph { text });
        }
    }

    fn end_outer(&mut self) {
        let Some(Outer { list, paragraphs, attribution }) = self.outer.take() else { return };
        match list {
            Some((mut items, ordered)) => {
                items.retain(|item| !item.is_empty());
                if !items.is_empty() {
                    self.block(BlockKind::List { items, ordered });
                }
            }
            None => {
                let attribution = attribution.trim_start_matches(['—', '–', '-', ' ']).to_owned();
                match paragraphs.is_empty() {
                    true if attribution.is_empty() => {}
                    true => self.block(BlockKind::Paragraph { text: attribution }),
                    false => self.block(BlockKind::Quote { text: paragraphs.join("\n"), attribution }),
                }
            }
        }
        std::mem::take(&mut self.captions).into_iter().for_each(|caption| self.block(caption));
    }

    /// Makes a caption of what a figure says. A picture that says nothing has none.
    fn end_figure(&mut self) {
        let Figure { url, caption, credit } = std::mem::take(&mut self.figure);
        if caption.is_empty() && credit.is_empty() {
            return;
        }
        let caption = BlockKind::Caption { text: caption, figure_url: url, credit };
        if self.outer.is_some() { self.captions.push(caption) } else { self.block(caption) }
    }

    /// Adds a block. When there are more than an article may have, further paragraphs become lines of the last.
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

fn add(text: &mut String, more: &str, between: &str) {
    if !text.is_empty() {
        text.push_str(between);
    }
    text.push_str(more);
}
