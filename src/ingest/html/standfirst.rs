//! Decides whether a page's description is the standfirst of its article.
//!
//! It is not if it only repeats the beginning of the body, or was cut off for a search engine. If the body begins with
//! the whole description, that block is the standfirst and leaves the body, but only if the page sets it apart there: a
//! first paragraph like the others belongs to the body.

use dom_query::{Document as Tree, NodeRef};

use super::head::PageMetadata;
use crate::ingest::words::{fold_text, is_same_text};
use crate::model::{Block, BlockKind};

/// A neighbouring paragraph counts only if it has more letters and digits than this.
const LETTERS_OF_PARAGRAPH_MIN: usize = 25;
/// How much white space an element may have around and within the description, in bytes.
const PADDING_BYTES_MAX: usize = 1_000;
/// The description is looked for in this many blocks: pictures, a kicker or the headline may precede it.
const OPENING_BLOCKS_MAX: usize = 4;

/// Where a page shows its description.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Placement {
    /// Set apart from the paragraphs of the article, or nowhere.
    Apart,
    /// As one paragraph among the others.
    AmongParagraphs,
}

/// Finds the description on the page.
pub(super) fn placement(tree: &Tree, description: &str) -> Placement {
    let folded = fold_text(description);
    if folded.is_empty() {
        return Placement::Apart;
    }
    let candidates = tree.select("p");
    // Paragraphs may nest, so a much longer one is skipped before its letters are compared.
    let is_near = |text: &str| text.len() <= 2 * description.len() + PADDING_BYTES_MAX;
    let found = candidates.nodes().iter().find(|node| {
        let text = node.text();
        is_near(&text) && fold_text(&text) == folded
    });
    match found {
        Some(node) if !is_marked(node) && !is_emphasised(node, &folded) && has_sibling_paragraphs(node) => {
            Placement::AmongParagraphs
        }
        _ => Placement::Apart,
    }
}

/// Whether a class, id or `itemprop` of the element or its parent is one that standfirsts have.
fn is_marked(node: &NodeRef<'_>) -> bool {
    const WORDS: [&str; 14] = [
        "standfirst",
        "subhead",
        "subtitle",
        "sub-title",
        "strap",
        "dek",
        "chapo",
        "summary",
        "abstract",
        "teaser",
        "intro",
        "description",
        "excerpt",
        "anriss",
    ];
    let names = |node: &NodeRef<'_>| {
        let names = ["class", "id", "itemprop"].map(|name| node.attr_or(name, "").to_lowercase());
        WORDS.iter().any(|word| names.iter().any(|name| name.contains(word)))
    };
    names(node) || node.parent().is_some_and(|parent| names(&parent))
}

/// Whether the element's first child holds the whole text in bold or italics.
fn is_emphasised(node: &NodeRef<'_>, folded: &str) -> bool {
    node.first_element_child().is_some_and(|child| {
        let name = child.node_name();
        matches!(name.as_deref(), Some("b" | "strong" | "i" | "em")) && fold_text(&child.text()) == folded
    })
}

fn has_sibling_paragraphs(node: &NodeRef<'_>) -> bool {
    let Some(parent) = node.parent() else { return false };
    parent.children_it(false).any(|other| {
        let is_paragraph = other.id != node.id && other.has_name("p");
        is_paragraph && other.text().chars().filter(|c| c.is_alphanumeric()).nth(LETTERS_OF_PARAGRAPH_MIN).is_some()
    })
}

/// Returns the standfirst, empty if there is none, and removes it from the body where the page sets it apart.
pub(super) fn take(head: &PageMetadata, blocks: &mut Vec<Block>, placement: Placement) -> String {
    let description = head.description.trim();
    let is_cut = description.ends_with('…') || description.ends_with("...");
    if description.is_empty() || is_cut || is_same_text(description, &head.headline) {
        return String::new();
    }
    if let Some(at) = blocks.iter().take(OPENING_BLOCKS_MAX).position(|block| is_text(block, description)) {
        let is_heading = blocks.get(at).is_some_and(|block| matches!(block.kind, BlockKind::Subheading { .. }));
        if blocks.len() > 1 && (placement == Placement::Apart || is_heading) {
            blocks.remove(at);
            return description.to_owned();
        }
        return String::new();
    }
    if repeats_opening(blocks, description) { String::new() } else { description.to_owned() }
}

fn is_text(block: &Block, text: &str) -> bool {
    let (BlockKind::Paragraph { text: own } | BlockKind::Subheading { text: own }) = &block.kind else { return false };
    is_same_text(own, text)
}

/// Whether the body's paragraphs, read as one text, begin with the words of the description.
fn repeats_opening(blocks: &[Block], description: &str) -> bool {
    let folded = fold_text(description.trim_end_matches(['…', '.', ' ']));
    let mut opening = String::new();
    for block in blocks {
        let BlockKind::Paragraph { text } = &block.kind else { continue };
        opening.push_str(&fold_text(text));
        if opening.len() >= folded.len() {
            break;
        }
    }
    opening.starts_with(&folded)
}
