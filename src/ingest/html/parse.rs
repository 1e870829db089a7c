//! Parses HTML into a tree, however hostile it is.
//!
//! An HTML parser's work for an element grows with the number of elements that enclose it, and its work for an
//! attribute with the number of earlier attributes in the tag. It also recreates a misnested `<b>` in each later
//! paragraph. So 8 MiB of input can cost hours and tens of gigabytes.
//!
//! The parser is therefore fed in pieces, cut at `<` and `>`, and stopped as soon as the tree, or the tag being read,
//! exceeds what real pages have. Only the parser knows what a `<` means where it occurs. A tag therefore counts as
//! open while the parser has emitted no token since the `<`, which no trick with quotes can fake.

use std::cell::Cell;

use dom_query::{Document as Tree, NodeData, NodeId, NodeRef};
use html5ever::TokenizerResult;
use html5ever::tendril::StrTendril;
use html5ever::tokenizer::{BufferQueue, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts};
use html5ever::tree_builder::{TreeBuilder, TreeBuilderOpts};

use super::tag::OpenTag;
use crate::ingest::{DOCUMENT_BYTES_MAX, IngestError};

/// The maximum nesting depth of elements. Pages of real publications have about forty levels.
const DEPTH_MAX: usize = 512;
/// The maximum number of nodes, including texts. A page of 100 KB has about five thousand.
const NODES_MAX: usize = 400_000;
/// The maximum number of bytes of text, each counted once per enclosing element: the time to find the body grows with
/// it. A page of 100 KB has about two million.
const NESTED_BYTES_MAX: usize = 100 << 20;
/// The maximum number of attributes of a tag.
const ATTRIBUTES_MAX: usize = 500;
/// The maximum length of a piece of input, so that a tag cannot exceed its limit by much before it is checked.
const PIECE_BYTES_MAX: usize = 1024;
/// The number of pieces between two checks of the tree.
const PIECES_BETWEEN_CHECKS: usize = 32;

/// Parses a page or a fragment, with scripting off.
///
/// The tree has at most 512 levels, so later steps may recurse.
///
/// # Errors
/// [`IngestError::TooLarge`], and [`IngestError::Unreasonable`] for a page over one of the limits above.
pub(super) fn parse(html: &str) -> Result<Tree, IngestError> {
    if html.len() > DOCUMENT_BYTES_MAX {
        return Err(IngestError::TooLarge { bytes: html.len() });
    }
    let options = TreeBuilderOpts { scripting_enabled: false, ..TreeBuilderOpts::default() };
    let sink = CountingSink { builder: TreeBuilder::new(Tree::default(), options), tokens: Cell::new(0) };
    let parser = Parser { tokenizer: Tokenizer::new(sink, TokenizerOpts::default()), input: BufferQueue::default() };
    parser.read(html)?;
    parser.tokenizer.end();
    let tree = parser.tokenizer.sink.builder.sink;
    let shape = TreeShape::of(&tree.root());
    if shape.depth > DEPTH_MAX {
        return Err(too_deep());
    }
    if shape.nested_bytes > NESTED_BYTES_MAX {
        let what = format!("it has {} bytes of text, counted once per enclosing element", shape.nested_bytes);
        return Err(IngestError::Unreasonable { what });
    }
    Ok(tree)
}

fn too_deep() -> IngestError {
    IngestError::Unreasonable { what: format!("its elements nest more than {DEPTH_MAX} deep") }
}

struct Parser {
    tokenizer: Tokenizer<CountingSink>,
    input: BufferQueue,
}

impl Parser {
    fn read(&self, html: &str) -> Result<(), IngestError> {
        let mut tag = OpenTag::default();
        let mut is_tag_open = false;
        for (count, piece) in pieces(html).enumerate() {
            if piece == "<" && !is_tag_open {
                tag = OpenTag::default();
            }
            // At a `<` the parser may emit text that it has buffered. That token does not mean that a tag has ended.
            let ends_tag = self.feed(piece) && piece != "<";
            is_tag_open = (is_tag_open || piece == "<") && !ends_tag;
            if is_tag_open {
                tag.read(piece);
                if tag.attributes > ATTRIBUTES_MAX {
                    let what = format!("one of its tags has more than {ATTRIBUTES_MAX} attributes");
                    return Err(IngestError::Unreasonable { what });
                }
            }
            if count % PIECES_BETWEEN_CHECKS == 0 {
                self.check_tree()?;
            }
        }
        self.check_tree()
    }

    /// Feeds a piece to the parser. Returns whether the parser emitted a token.
    fn feed(&self, piece: &str) -> bool {
        let before = self.tokenizer.sink.tokens.get();
        self.input.push_back(StrTendril::from(piece));
        while !matches!(self.tokenizer.feed(&self.input), TokenizerResult::Done) {}
        self.tokenizer.sink.tokens.get() != before
    }

    /// Checks the number of nodes and the depth of the tree so far.
    fn check_tree(&self) -> Result<(), IngestError> {
        let tree = &self.tokenizer.sink.builder.sink.tree;
        if tree.len() > NODES_MAX {
            return Err(IngestError::Unreasonable { what: format!("it has more than {NODES_MAX} nodes") });
        }
        // Each open element is the last child of its parent, so only last children can still get deeper.
        let mut depth = 0;
        let mut next = tree.root().last_child();
        while let Some(node) = next {
            depth += 1;
            if depth > DEPTH_MAX {
                return Err(too_deep());
            }
            next = node.last_child();
        }
        Ok(())
    }
}

/// A tree builder that counts the tokens it receives. Parse errors are neither counted nor reported, since most pages
/// have some.
struct CountingSink {
    builder: TreeBuilder<NodeId, Tree>,
    tokens: Cell<u64>,
}

impl TokenSink for CountingSink {
    type Handle = NodeId;

    fn process_token(&self, token: Token, line: u64) -> TokenSinkResult<NodeId> {
        if matches!(token, Token::ParseError(_)) {
            return TokenSinkResult::Continue;
        }
        self.tokens.set(self.tokens.get() + 1);
        self.builder.process_token(token, line)
    }

    fn end(&self) {
        self.builder.end();
    }

    fn adjusted_current_node_present_but_not_in_html_namespace(&self) -> bool {
        self.builder.adjusted_current_node_present_but_not_in_html_namespace()
    }
}

/// Splits the input before and after each `<`, after each `>`, and wherever a piece would be too long.
fn pieces(html: &str) -> impl Iterator<Item = &str> {
    let mut rest = html;
    std::iter::from_fn(move || {
        let length = match rest.bytes().take(PIECE_BYTES_MAX).position(|byte| matches!(byte, b'<' | b'>')) {
            Some(0) => 1,
            Some(at) if rest.as_bytes().get(at) == Some(&b'>') => at + 1,
            Some(at) => at,
            None => rest.floor_char_boundary(PIECE_BYTES_MAX),
        };
        let (piece, after) = rest.split_at_checked(length)?;
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

/// The measurements of a tree that have a limit.
#[derive(Default)]
struct TreeShape {
    /// The number of nodes on the longest path down from the root.
    depth: usize,
    /// Bytes of text, each counted once for every node on the path to it.
    nested_bytes: usize,
}

impl TreeShape {
    fn of(root: &NodeRef<'_>) -> Self {
        let mut shape = Self::default();
        let mut depth = 0_usize;
        let mut next = root.first_child();
        while let Some(node) = next {
            shape.depth = shape.depth.max(depth + 1);
            shape.nested_bytes += text_bytes(&node) * (depth + 1);
            next = node.first_child().inspect(|_| depth += 1).or_else(|| node.next_sibling()).or_else(|| {
                let mut above = node.parent();
                while let Some(parent) = above {
                    if depth == 0 {
                        return None;
                    }
                    depth -= 1;
                    if let Some(sibling) = parent.next_sibling() {
                        return Some(sibling);
                    }
                    above = parent.parent();
                }
                None
            });
        }
        shape
    }
}

fn text_bytes(node: &NodeRef<'_>) -> usize {
    node.query_or(0, |node| if let NodeData::Text { contents } = &node.data { contents.len() } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pieces_concatenate_to_the_input() {
        let html = format!("a<b c='>'>é{}<i", "ü".repeat(PIECE_BYTES_MAX));
        let pieces: Vec<&str> = pieces(&html).collect();
        assert_eq!(pieces.concat(), html);
        assert_eq!(pieces.get(..5), Some(&["a", "<", "b c='>", "'>", pieces[4]][..]));
        assert!(pieces.iter().all(|piece| piece.len() <= PIECE_BYTES_MAX));
    }

    #[test]
    fn parsing_in_pieces_gives_the_same_tree_as_parsing_at_once() {
        for html in [
            "<p>a &amp<b title='x > y < z'>b</b>&lt;<!-- <p a b c> --><script>if (a<b) '</p>'</script>c",
            "<table><p>x<td>y<svg><style><b a='</style>'></b></style></svg><![CDATA[x]]>",
            "<textarea><p></textarea><title>a<b></title>&notit; &#x80; &",
        ] {
            let once = Tree::from(html);
            assert_eq!(parse(html).unwrap().html(), once.html(), "{html}");
        }
    }

    /// Without limits, each of these takes the parser more than 20 seconds or gigabytes of memory.
    #[test]
    fn pathological_pages_are_rejected_early() {
        let attributes: String = (0..300_000).map(|n| format!(" a{n}=''")).collect();
        let hidden = format!("<svg><style>&amp<b c='</style><p{attributes}>");
        let wide: String = (0..600).map(|n| format!("<b id={n}>")).collect();
        for (html, what) in [
            ("<div>".repeat(1_000_000), "nest"),
            ("<span>".repeat(300_000) + "x", "nest"),
            (format!("<p{attributes}>x"), "attributes"),
            (format!("<p title='>'{attributes}>x"), "attributes"),
            (format!("</p{attributes}>x"), "attributes"),
            (format!("x &amp<p{attributes}>x"), "attributes"),
            (format!("<script>a<b c='</script><p{attributes}>"), "attributes"),
            (hidden, "attributes"),
            (format!("<p>{wide}</p>{}", "<p>x</p>".repeat(500_000)), "nest"),
            (format!("<p>{}</p>{}", &wide[..2_000], "<p>x</p>".repeat(500_000)), "nodes"),
            ("<i></i>".repeat(1_000_000), "nodes"),
            ("<object>".repeat(120) + &"<p>Some text, and more of it.</p>".repeat(60_000), "per enclosing element"),
        ] {
            match parse(&html) {
                Err(IngestError::Unreasonable { what: found }) => assert!(found.contains(what), "{what}: {found}"),
                Err(other) => panic!("{what}: {other}"),
                Ok(_) => panic!("{what}: {:?} was read", &html[..60]),
            }
        }
    }

    #[test]
    fn large_but_harmless_pages_are_parsed() {
        let image = format!("<img src='data:image/png;base64,{}'>", "iVBORw0KGgo/AAA ".repeat(60_000));
        let comment = format!("<!-- {} -->", "a=b ".repeat(100_000));
        let script = format!("<script>a<b{}</script>", " c=d".repeat(100_000));
        for html in [image, comment, script, "<p>x".repeat(50_000), "<li>x".repeat(50_000)] {
            assert!(parse(&html).is_ok(), "{:?}", &html[..40]);
        }
    }
}
