//! Finds the tables and lists that only lay out text. Their content is then read as if they were not there.
//!
//! This is known only at the end of each, so the markup is scanned once before it is read.

use super::element::Element;
use super::tokens::{MarkupToken, Tag, tokens};

/// The maximum nesting depth of tables and lists that are examined. Deeper ones count as real tables and lists.
const DEPTH_MAX: usize = 128;

/// Decides for each table and list, in the order of their start tags, whether it only lays out text.
pub(super) fn layouts(markup: &str) -> Vec<bool> {
    let mut classifier = LayoutClassifier::default();
    for token in tokens(markup) {
        match token {
            MarkupToken::Start(tag) if !tag.is_closed() => classifier.start(tag),
            MarkupToken::Start(tag) if begins(Element::of(&tag.name())) => classifier.verdicts.push(false),
            MarkupToken::End(name) => classifier.end(&name),
            MarkupToken::Start(_) | MarkupToken::Text(_) | MarkupToken::Verbatim(_) | MarkupToken::Math(..) => {}
        }
    }
    while !classifier.open.is_empty() {
        classifier.close();
    }
    classifier.verdicts
}

/// Whether an element is a table or a list.
pub(super) fn begins(element: Element) -> bool {
    matches!(element, Element::Table | Element::List { .. })
}

#[derive(Default)]
struct LayoutClassifier {
    verdicts: Vec<bool>,
    open: Vec<TableFacts>,
}

/// What was found in a table or list, not counting the content of tables and lists within it.
#[derive(Default)]
struct TableFacts {
    index: usize,
    name: String,
    is_list: bool,
    /// Whether its attributes or parts declare it as layout, or as data.
    says_layout: bool,
    says_data: bool,
    holds_table: bool,
    rows: usize,
    cells: usize,
    cells_of_row: usize,
    cells_of_row_max: usize,
    items: usize,
    paragraphs: usize,
    headings: usize,
    /// Figures, lists and quotations.
    others: usize,
}

impl LayoutClassifier {
    #[expect(clippy::wildcard_enum_match_arm, reason = "only a few elements show what a table is for")]
    fn start(&mut self, tag: Tag<'_>) {
        let name = tag.name();
        let element = Element::of(&name);
        if let Some(seen) = self.open.last_mut() {
            match element {
                Element::Row => (seen.rows, seen.cells_of_row) = (seen.rows + 1, 0),
                Element::Cell => seen.cell(&name),
                Element::Item => seen.items += 1,
                Element::Paragraph => seen.paragraphs += 1,
                Element::Heading => seen.headings += 1,
                Element::Figure | Element::Quote | Element::List { .. } => seen.others += 1,
                Element::Table => seen.holds_table = true,
                Element::Block => seen.says_data |= matches!(name.as_str(), "caption" | "thead" | "tfoot"),
                _ => {}
            }
        }
        if begins(element) {
            let role = tag.attribute("role").unwrap_or_default();
            let seen = TableFacts {
                index: self.verdicts.len(),
                is_list: element != Element::Table,
                says_layout: matches!(role.as_str(), "presentation" | "none"),
                says_data: tag.attribute("summary").is_some_and(|summary| !summary.is_empty()),
                name,
                ..TableFacts::default()
            };
            self.verdicts.push(false);
            if self.open.len() < DEPTH_MAX {
                self.open.push(seen);
            }
        }
    }

    fn end(&mut self, name: &str) {
        if begins(Element::of(name))
            && let Some(at) = self.open.iter().rposition(|seen| seen.name == name)
        {
            while self.open.len() > at {
                self.close();
            }
        }
    }

    fn close(&mut self) {
        if let Some(seen) = self.open.pop()
            && let Some(verdict) = self.verdicts.get_mut(seen.index)
        {
            *verdict = seen.lays_out();
        }
    }
}

impl TableFacts {
    fn cell(&mut self, name: &str) {
        self.says_data |= name == "th";
        self.cells += 1;
        self.cells_of_row += 1;
        self.cells_of_row_max = self.cells_of_row_max.max(self.cells_of_row);
    }

    fn lays_out(&self) -> bool {
        if self.is_list {
            // A list of one item is not a real list, nor is a series of articles with headings.
            let holds_text = self.paragraphs >= 2 || self.paragraphs + self.headings + self.others >= 2;
            return self.items <= 1 && holds_text
                || self.headings > 0 && self.headings >= self.items && self.paragraphs >= self.items;
        }
        let holds_blocks = self.paragraphs >= self.cells * 2 || self.headings + self.others > 0;
        self.says_layout
            || !self.says_data && (self.holds_table || self.rows <= 1 || self.cells_of_row_max <= 1 || holds_blocks)
    }
}
