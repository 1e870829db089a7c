//! The body of an article as XHTML, for formats that store the whole body as one string.
//!
//! XHTML loses: white space other than single spaces and line breaks; the text of an embed, which becomes a caption;
//! the URL of a picture or embed that is neither http nor https; and the confidence in the kind of a block.

use htmlize::{escape_all_quotes, escape_text};

use super::web_url;
use crate::model::{Block, BlockKind};

/// Writes each block as one element on a line of its own.
pub(super) fn body(blocks: &[Block]) -> String {
    blocks.iter().map(|block| block_of(&block.kind)).collect::<Vec<_>>().join("\n")
}

fn block_of(kind: &BlockKind) -> String {
    match kind {
        BlockKind::Paragraph { text } | BlockKind::CorrectionNote { text } => element("p", text),
        BlockKind::Subheading { text } => element("h2", text),
        BlockKind::Caption { text, image_url, credit } => figure(text, image_url, credit),
        BlockKind::Quote { text, attribution } if attribution.is_empty() => {
            format!("<blockquote>{}</blockquote>", element("p", text))
        }
        BlockKind::Quote { text, attribution } => {
            format!("<blockquote>{}{}</blockquote>", element("p", text), element("footer", attribution))
        }
        BlockKind::List { items, ordered } => {
            let name = if *ordered { "ol" } else { "ul" };
            let items: String = items.iter().map(|item| element("li", item)).collect();
            format!("<{name}>{items}</{name}>")
        }
        BlockKind::Embed { url, text } => embed(url, text),
    }
}

fn figure(text: &str, url: &str, credit: &str) -> String {
    let picture = web_url(url).map(|url| format!("<img src=\"{}\" alt=\"\"/>", escape_all_quotes(url)));
    let credit =
        if credit.is_empty() { String::new() } else { format!(" <span class=\"credit\">{}</span>", lines(credit)) };
    format!("<figure>{}<figcaption>{}{credit}</figcaption></figure>", picture.unwrap_or_default(), lines(text))
}

fn embed(url: &str, text: &str) -> String {
    let Some(url) = web_url(url) else { return element("p", text) };
    let caption = if text.is_empty() { String::new() } else { element("figcaption", text) };
    format!("<figure><iframe src=\"{}\"></iframe>{caption}</figure>", escape_all_quotes(url))
}

fn element(name: &str, text: &str) -> String {
    format!("<{name}>{}</{name}>", lines(text))
}

/// Escapes text and writes its line breaks as `<br/>`.
fn lines(text: &str) -> String {
    escape_text(text).replace('\n', "<br/>")
}
