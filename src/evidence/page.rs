//! The page for reading: what the revision says, and what is proved of it, in one HTML file that needs nothing else.
//!
//! It has no script and no link, and its content security policy forbids both. Every text is escaped, and the browser
//! determines its direction from its first letters. The page is a function of what the proof proves alone, so that it can be
//! written again and compared; `examples/python/verify_proof.py` does that, too, so it is as simple as it can be.

use htmlize::escape_text;

use super::facts::Facts;
use crate::model::{BlockKind, Content};

/// All of the page before its body. It is always the same.
pub(super) const HEAD: &str = include_str!("head.html");

/// Stands in for a text that the proof does not show.
const NOT_SHOWN: &str = "This file does not show the text of the revision, only that it was recorded. The archive has \
                         destroyed the text, for example by order of a court, or the text was withheld.";

/// Writes the page.
pub(super) fn write(facts: &Facts<'_>) -> String {
    let mut page = format!("{HEAD}<body>\n<main>\n");
    match &facts.content {
        Some(content) => article(content, &mut page),
        None => page.push_str(&element("p", "notice", NOT_SHOWN)),
    }
    page.push_str("<section dir=\"ltr\">\n<h2>What is proved</h2>\n<dl>\n");
    for (label, value) in facts.rows() {
        page.push_str(&format!("<dt>{label}</dt>\n{}", element("dd", "fact", &value)));
    }
    page.push_str("</dl>\n</section>\n</main>\n</body>\n</html>\n");
    page
}

fn article(content: &Content, page: &mut String) {
    let language = &content.language;
    // Of a tag that is not one, nothing is needed.
    let is_tag = language.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    page.push_str(&format!("<article lang=\"{}\">\n", if is_tag { language } else { "" }));
    page.push_str(&element("h1", "headline", &content.headline));
    page.push_str(&optional("p", "standfirst", &content.standfirst));
    page.push_str(&optional("p", "byline", &content.bylines.join(", ")));
    page.push_str(&optional("p", "dates", &dates(content)));
    content.blocks.iter().for_each(|block| page.push_str(&self::block(&block.kind)));
    page.push_str(&optional("p", "rights", &content.rights));
    page.push_str("</article>\n");
}

/// The times that the publisher claims.
fn dates(content: &Content) -> String {
    let claims = [("Published", &content.publish_time), ("Updated", &content.modify_time)];
    let claims = claims.into_iter().filter_map(|(label, claim)| Some(format!("{label} {}", claim.as_ref()?.iso())));
    claims.collect::<Vec<_>>().join(", ")
}

fn block(block: &BlockKind) -> String {
    match block {
        BlockKind::Paragraph { text } => element("p", "paragraph", text),
        BlockKind::Subheading { text } => element("h2", "subheading", text),
        BlockKind::Caption { text, image_url, credit } => {
            let (credit, address) = (optional("p", "credit", credit), optional("p", "address", image_url));
            format!("<figure>\n{}{credit}{address}</figure>\n", element("p", "caption", text))
        }
        BlockKind::Quote { text, attribution } => {
            let attribution = optional("p", "attribution", attribution);
            format!("<blockquote>\n{}{attribution}</blockquote>\n", element("p", "quote", text))
        }
        BlockKind::List { items, ordered } => {
            let list = if *ordered { "ol" } else { "ul" };
            let items: String = items.iter().map(|item| element("li", "item", item)).collect();
            format!("<{list}>\n{items}</{list}>\n")
        }
        BlockKind::Embed { url, text } => element("p", "embed", text) + &element("p", "address", url),
        BlockKind::CorrectionNote { text } => element("p", "correction", text),
    }
}

fn element(name: &str, class: &str, text: &str) -> String {
    format!("<{name} class=\"{class}\" dir=\"auto\">{}</{name}>\n", escape_text(text))
}

/// The element, or nothing if the text is empty.
fn optional(name: &str, class: &str, text: &str) -> String {
    if text.is_empty() { String::new() } else { element(name, class, text) }
}
