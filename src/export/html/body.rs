//! Writes the blocks of a body as HTML elements.

use htmlize::escape_text;

use super::{link, link_with};
use crate::model::BlockKind;

/// Writes a block, ending with a newline.
pub(super) fn block(kind: &BlockKind) -> String {
    let html = match kind {
        BlockKind::Paragraph { text } => element("p", text),
        BlockKind::Subheading { text } => element("h2", text),
        BlockKind::Caption { text, image_url, credit } => caption(text, image_url, credit),
        BlockKind::Quote { text, attribution } => {
            let name = if attribution.is_empty() {
                String::new()
            } else {
                format!("<footer>\u{2014} {}</footer>", escape_text(attribution))
            };
            format!("<blockquote>{}{name}</blockquote>", element("p", text))
        }
        BlockKind::List { items, ordered } => {
            let name = if *ordered { "ol" } else { "ul" };
            let items: String = items.iter().map(|item| element("li", item)).collect();
            format!("<{name}>{items}</{name}>")
        }
        BlockKind::Embed { url, text } => {
            let text = if text.is_empty() { String::new() } else { format!("{}<br>", escape_text(text)) };
            format!("<p class=\"embed\">{text}{}</p>", link(url))
        }
        BlockKind::CorrectionNote { text } => format!("<p class=\"correction\">{}</p>", escape_text(text)),
    };
    html + "\n"
}

fn caption(text: &str, url: &str, credit: &str) -> String {
    let credit = if credit.is_empty() {
        String::new()
    } else {
        format!(" <span class=\"credit\">{}</span>", escape_text(credit))
    };
    let picture = if url.is_empty() { String::new() } else { format!(" {}", link_with(url, "Picture")) };
    format!("<figure><figcaption>{}{credit}{picture}</figcaption></figure>", escape_text(text))
}

fn element(name: &str, text: &str) -> String {
    format!("<{name}>{}</{name}>", escape_text(text))
}
