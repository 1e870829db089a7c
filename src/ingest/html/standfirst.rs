//! Decides whether a page's description is the standfirst of its article.
//!
//! A description that only repeats the beginning of the body, or was cut off for a search engine, is not the
//! standfirst. If one of the first blocks is the whole description, and the page sets that block apart from the
//! paragraphs, the block is moved from the body to the standfirst. A first paragraph like the others stays in the body.

use dom_query::{Document as Tree, NodeRef};

use super::head::PageMetadata;
use crate::ingest::words::{fold_text, is_same_text};
use crate::model::{Block, BlockKind};

/// A neighbouring paragraph counts only if it has more letters and digits than this.
const LETTERS_OF_PARAGRAPH_MIN: usize = 25;
/// The maximum white space in an element around and within the description, in bytes.
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

/// Determines where the page shows the description.
pub(super) fn placement(tree: &Tree, description: &str) -> Placement {
    let folded = fold_text(description);
    if folded.is_empty() {
        return Placement::Apart;
    }
    let candidates = tree.select("p");
    // Paragraphs may nest. To save time, the letters of a much longer paragraph are not compared.
    let is_near_length = |text: &str| text.len() <= 2 * description.len() + PADDING_BYTES_MAX;
    let found = candidates.nodes().iter().find(|node| {
        let text = node.text();
        is_near_length(&text) && fold_text(&text) == folded
    });
    match found {
        Some(node) if !is_marked(node) && !is_emphasised(node, &folded) && has_sibling_paragraphs(node) => {
            Placement::AmongParagraphs
        }
        _ => Placement::Apart,
    }
}

/// Whether the class, id or `itemprop` of the element or its parent contains a word that is typical of standfirsts.
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
    let has_word = |node: &NodeRef<'_>| {
        let names = ["class", "id", "itemprop"].map(|name| node.attr_or(name, "").to_lowercase());
        WORDS.iter().any(|word| names.iter().any(|name| name.contains(word)))
    };
    has_word(node) || node.parent().is_some_and(|parent| has_word(&parent))
}

/// Whether the element's first child contains the whole text, in bold or italics.
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

/// Returns the standfirst, empty if there is none. If a block of the body is the standfirst, removes that block.
pub(super) fn extract(head: &PageMetadata, blocks: &mut Vec<Block>, placement: Placement) -> String {
    let description = head.description.trim();
    let is_cut_off = description.ends_with('…') || description.ends_with("...");
    if description.is_empty() || is_cut_off || is_same_text(description, &head.headline) {
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
