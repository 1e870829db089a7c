//! HTML becomes a tree, however hostile it is.
//!
//! What an HTML parser does for an element grows with the elements that are open about it, what it does for an
//! attribute with the attributes before it in the tag, and a misnested `<b>` is made anew in each paragraph after it.
//! So 8 MiB can cost hours and tens of gigabytes. The parser is fed piece by piece, cut at `<` and `>`, and stopped as
//! soon as the tree or the tag that is being read is past what a page has. Only the parser knows what a `<` means where
//! it stands; that a tag is open is told by its having given no token since, which no trickery with quotes can fake.

use std::cell::Cell;

use dom_query::{Document as Tree, NodeData, NodeId, NodeRef};
use html5ever::TokenizerResult;
use html5ever::tendril::StrTendril;
use html5ever::tokenizer::{BufferQueue, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts};
use html5ever::tree_builder::{TreeBuilder, TreeBuilderOpts};

use super::tag::OpenTag;
use crate::ingest::{DOCUMENT_BYTES_MAX, IngestError};

/// How deep elements may nest. Pages of real publications have some forty levels.
const DEPTH_MAX: usize = 512;
/// How many nodes, texts among them, a document may have. A page of 100 KB has some five thousand.
const NODES_MAX: usize = 400_000;
/// Bytes of text, each counted once for every element that it is in: what the search for the body takes grows with that. A
/// page of 100 KB has some two million.
const NESTED_BYTES_MAX: usize = 100 << 20;
/// How many attributes a tag may have.
const ATTRIBUTES_MAX: usize = 500;
/// A piece of input is at most this long, so that a tag cannot get far past its bound before it is seen.
const PIECE_BYTES_MAX: usize = 1024;
/// The tree is looked at after this many pieces.
const PIECES_BETWEEN_LOOKS: usize = 32;

/// Parses a page or a fragment, scripting off.
///
/// The tree has at most 512 levels, so that what follows may recurse.
///
/// # Errors
/// [`IngestError::TooLarge`], and [`IngestError::Unreasonable`] for what nests or branches beyond what any page does.
pub(super) fn parse(html: &str) -> Result<Tree, IngestError> {
    if html.len() > DOCUMENT_BYTES_MAX {
        return Err(IngestError::TooLarge { bytes: html.len() });
    }
    let options = TreeBuilderOpts { scripting_enabled: false, ..TreeBuilderOpts::default() };
    let sink = Watched { builder: TreeBuilder::new(Tree::default(), options), tokens: Cell::new(0) };
    let parser = Parser { tokenizer: Tokenizer::new(sink, TokenizerOpts::default()), input: BufferQueue::default() };
    parser.read(html)?;
    parser.tokenizer.end();
    let tree = parser.tokenizer.sink.builder.sink;
    let shape = Shape::of(&tree.root());
    if shape.depth > DEPTH_MAX {
        return Err(too_deep());
    }
    if shape.nested_bytes > NESTED_BYTES_MAX {
        let what = format!("it has {} bytes of text, counted once for each element about it", shape.nested_bytes);
        return Err(IngestError::Unreasonable { what });
    }
    Ok(tree)
}

fn too_deep() -> IngestError {
    IngestError::Unreasonable { what: format!("its elements nest more than {DEPTH_MAX} deep") }
}

struct Parser {
    tokenizer: Tokenizer<Watched>,
    input: BufferQueue,
}

impl Parser {
    fn read(&self, html: &str) -> Result<(), IngestError> {
        let mut open = OpenTag::default();
        let mut silent = false;
        for (count, piece) in pieces(html).enumerate() {
            if piece == "<" && !silent {
                open = OpenTag::default();
            }
            // Text that was held back comes out before a `<`: it does not tell that a tag has ended.
            let spoke = self.feed(piece) && piece != "<";
            silent = (silent || piece == "<") && !spoke;
            if silent {
                open.read(piece);
                if open.attributes > ATTRIBUTES_MAX {
                    let what = format!("a tag of it has more than {ATTRIBUTES_MAX} attributes");
                    return Err(IngestError::Unreasonable { what });
                }
            }
            if count % PIECES_BETWEEN_LOOKS == 0 {
                self.look()?;
            }
        }
        self.look()
    }

    /// Hands a piece to the parser, and tells whether it gave any token.
    fn feed(&self, piece: &str) -> bool {
        let before = self.tokenizer.sink.tokens.get();
        self.input.push_back(StrTendril::from(piece));
        while !matches!(self.tokenizer.feed(&self.input), TokenizerResult::Done) {}
        self.tokenizer.sink.tokens.get() != before
    }

    fn look(&self) -> Result<(), IngestError> {
        let tree = &self.tokenizer.sink.builder.sink.tree;
        if tree.len() > NODES_MAX {
            return Err(IngestError::Unreasonable { what: format!("it has more than {NODES_MAX} nodes") });
        }
        // The open elements are the last of their parents.
        let mut depth = 0;
        let mut at = tree.root().last_child();
        while let Some(node) = at {
            depth += 1;
            if depth > DEPTH_MAX {
                return Err(too_deep());
            }
            at = node.last_child();
        }
        Ok(())
    }
}

/// A tree builder whose tokens are counted. Parse errors are no news.
struct Watched {
    builder: TreeBuilder<NodeId, Tree>,
    tokens: Cell<u64>,
}

impl TokenSink for Watched {
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

/// The input, cut before and after each `<`, after each `>`, and where a piece would be too long.
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

/// How a tree nests.
#[derive(Default)]
struct Shape {
    /// The greatest number of nodes on the way down from the root.
    depth: usize,
    /// Bytes of text, each counted once for every node above it.
    nested_bytes: usize,
}

impl Shape {
    fn of(root: &NodeRef<'_>) -> Self {
        let mut shape = Self::default();
        let mut depth = 0_usize;
        let mut at = root.first_child();
        while let Some(node) = at {
            shape.depth = shape.depth.max(depth + 1);
            shape.nested_bytes += text_bytes(&node) * (depth + 1);
            at = node.first_child().inspect(|_| depth += 1).or_else(|| node.next_sibling()).or_else(|| {
                let mut above = node.parent();
                while let Some(parent) = above {
                    if depth == 0 {
                        return None;
                    }
                    depth -= 1;
                    if let Some(next) = parent.next_sibling() {
                        return Some(next);
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
    fn pieces_make_up_the_input() {
        let html = format!("a<b c='>'>é{}<i", "ü".repeat(PIECE_BYTES_MAX));
        let pieces: Vec<&str> = pieces(&html).collect();
        assert_eq!(pieces.concat(), html);
        assert_eq!(pieces.get(..5), Some(&["a", "<", "b c='>", "'>", pieces[4]][..]));
        assert!(pieces.iter().all(|piece| piece.len() <= PIECE_BYTES_MAX));
    }

    #[test]
    fn a_page_cut_in_pieces_is_the_same_page() {
        for html in [
            "<p>a &amp<b title='x > y < z'>b</b>&lt;<!-- <p a b c> --><script>if (a<b) '</p>'</script>c",
            "<table><p>x<td>y<svg><style><b a='</style>'></b></style></svg><![CDATA[x]]>",
            "<textarea><p></textarea><title>a<b></title>&notit; &#x80; &",
        ] {
            let once = Tree::from(html);
            assert_eq!(parse(html).unwrap().html(), once.html(), "{html}");
        }
    }

    /// Each of these took the parser more than 20 seconds, or gigabytes, as it is.
    #[test]
    fn what_no_page_has_is_refused_early() {
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
            ("<object>".repeat(120) + &"<p>Some text, and more of it.</p>".repeat(60_000), "each element about it"),
        ] {
            match parse(&html) {
                Err(IngestError::Unreasonable { what: found }) => assert!(found.contains(what), "{what}: {found}"),
                Err(other) => panic!("{what}: {other}"),
                Ok(_) => panic!("{what}: {:?} was read", &html[..60]),
            }
        }
    }

    #[test]
    fn what_pages_do_have_is_read() {
        let image = format!("<img src='data:image/png;base64,{}'>", "iVBORw0KGgo/AAA ".repeat(60_000));
        let comment = format!("<!-- {} -->", "a=b ".repeat(100_000));
        let script = format!("<script>a<b{}</script>", " c=d".repeat(100_000));
        for html in [image, comment, script, "<p>x".repeat(50_000), "<li>x".repeat(50_000)] {
            assert!(parse(&html).is_ok(), "{:?}", &html[..40]);
        }
    }
}
