//! The page's description is its standfirst, where it is a text of its own.
//!
//! It is none where it only repeats how the body begins, or was cut off for a search engine. A body that begins with
//! it loses it, if the page sets it apart there: a first paragraph among others is the body's.

use dom_query::{Document as Tree, NodeRef};

use super::head::Head;
use super::{is_same_text, normal};
use crate::model::{Block, BlockKind};

/// A paragraph with fewer letters says nothing of one beside it.
const LETTERS_OF_PARAGRAPH_MIN: usize = 25;
/// What white space may stand around and within the text.
const PADDING_BYTES_MAX: usize = 1_000;
/// So many blocks may stand above the first paragraph: pictures, a kicker, the standfirst as a heading.
const OPENING_BLOCKS_MAX: usize = 4;

/// Whether the page sets the text of its description apart from the paragraphs of the article, or does not show it.
pub(super) fn is_apart(tree: &Tree, description: &str) -> bool {
    let wanted = normal(description);
    if wanted.is_empty() {
        return true;
    }
    let candidates = tree.select("p");
    // Paragraphs may nest, so that one of another length is passed over before its letters are looked at.
    let is_near = |text: &str| text.len() <= 2 * description.len() + PADDING_BYTES_MAX;
    let found = candidates.nodes().iter().find(|node| {
        let text = node.text();
        is_near(&text) && normal(&text) == wanted
    });
    found.is_none_or(|node| is_marked(node) || is_emphasised(node, &wanted) || !has_paragraphs_beside(node))
}

/// Whether its class, or that of what holds it, is one that standfirsts have.
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

/// Whether one element within has all of the text, set in another type.
fn is_emphasised(node: &NodeRef<'_>, wanted: &str) -> bool {
    node.first_element_child().is_some_and(|child| {
        let name = child.node_name();
        matches!(name.as_deref(), Some("b" | "strong" | "i" | "em")) && normal(&child.text()) == wanted
    })
}

fn has_paragraphs_beside(node: &NodeRef<'_>) -> bool {
    let Some(parent) = node.parent() else { return false };
    parent.children_it(false).any(|other| {
        let is_paragraph = other.id != node.id && other.has_name("p");
        is_paragraph && other.text().chars().filter(|c| c.is_alphanumeric()).nth(LETTERS_OF_PARAGRAPH_MIN).is_some()
    })
}

/// The standfirst, which is taken out of the body where it is not a part of that.
pub(super) fn take(head: &Head, blocks: &mut Vec<Block>, is_apart: bool) -> String {
    let description = head.description.trim();
    let is_cut = description.ends_with('…') || description.ends_with("...");
    if description.is_empty() || is_cut || is_same_text(description, &head.headline) {
        return String::new();
    }
    if let Some(at) = blocks.iter().take(OPENING_BLOCKS_MAX).position(|block| is_text(block, description)) {
        let is_heading = blocks.get(at).is_some_and(|block| matches!(block.kind, BlockKind::Subheading { .. }));
        if blocks.len() > 1 && (is_apart || is_heading) {
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

/// Whether the body's paragraphs begin with the words, be it within the first or over several.
fn repeats_opening(blocks: &[Block], description: &str) -> bool {
    let wanted = normal(description.trim_end_matches(['…', '.', ' ']));
    let mut opening = String::new();
    for block in blocks {
        let BlockKind::Paragraph { text } = &block.kind else { continue };
        opening.push_str(&normal(text));
        if opening.len() >= wanted.len() {
            break;
        }
    }
    opening.starts_with(&wanted)
}
