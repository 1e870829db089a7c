//! Finds the tables and lists that only lay out text. The content of such a table or list is then read as if the table
//! or list were not there.
//!
//! What a table or list is for is known only at its end, so the markup is scanned once before it is read.

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
            MarkupToken::Start(tag) if is_table_or_list(Element::of(&tag.name())) => classifier.verdicts.push(false),
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
pub(super) fn is_table_or_list(element: Element) -> bool {
    matches!(element, Element::Table | Element::List { .. })
}

#[derive(Default)]
struct LayoutClassifier {
    verdicts: Vec<bool>,
    open: Vec<LayoutFacts>,
}

/// What was found in a table or list, not counting the content of tables and lists within it.
#[derive(Default)]
struct LayoutFacts {
    index: usize,
    name: String,
    is_list: bool,
    /// Whether attributes declare it as layout, and whether attributes or parts declare it as data.
    says_layout: bool,
    says_data: bool,
    contains_table: bool,
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
        if let Some(facts) = self.open.last_mut() {
            match element {
                Element::Row => (facts.rows, facts.cells_of_row) = (facts.rows + 1, 0),
                Element::Cell => facts.cell(&name),
                Element::Item => facts.items += 1,
                Element::Paragraph => facts.paragraphs += 1,
                Element::Heading => facts.headings += 1,
                Element::Figure | Element::Quote | Element::List { .. } => facts.others += 1,
                Element::Table => facts.contains_table = true,
                Element::Block => facts.says_data |= matches!(name.as_str(), "caption" | "thead" | "tfoot"),
                _ => {}
            }
        }
        if is_table_or_list(element) {
            let role = tag.attribute("role").unwrap_or_default();
            let facts = LayoutFacts {
                index: self.verdicts.len(),
                is_list: element != Element::Table,
                says_layout: matches!(role.as_str(), "presentation" | "none"),
                says_data: tag.attribute("summary").is_some_and(|summary| !summary.is_empty()),
                name,
                ..LayoutFacts::default()
            };
            self.verdicts.push(false);
            if self.open.len() < DEPTH_MAX {
                self.open.push(facts);
            }
        }
    }

    fn end(&mut self, name: &str) {
        if is_table_or_list(Element::of(name))
            && let Some(at) = self.open.iter().rposition(|facts| facts.name == name)
        {
            while self.open.len() > at {
                self.close();
            }
        }
    }

    fn close(&mut self) {
        if let Some(facts) = self.open.pop()
            && let Some(verdict) = self.verdicts.get_mut(facts.index)
        {
            *verdict = facts.lays_out();
        }
    }
}

impl LayoutFacts {
    fn cell(&mut self, name: &str) {
        self.says_data |= name == "th";
        self.cells += 1;
        self.cells_of_row += 1;
        self.cells_of_row_max = self.cells_of_row_max.max(self.cells_of_row);
    }

    fn lays_out(&self) -> bool {
        if self.is_list {
            // A list of one item is not a real list, nor is a series of articles with headings.
            let contains_text = self.paragraphs >= 2 || self.paragraphs + self.headings + self.others >= 2;
            return self.items <= 1 && contains_text
                || self.headings > 0 && self.headings >= self.items && self.paragraphs >= self.items;
        }
        let contains_blocks = self.paragraphs >= self.cells * 2 || self.headings + self.others > 0;
        self.says_layout
            || !self.says_data
                && (self.contains_table || self.rows <= 1 || self.cells_of_row_max <= 1 || contains_blocks)
    }
}
