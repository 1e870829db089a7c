//! The extractors under comparison, each with its default settings.

use dateline::internals::ingest;
use dateline::model::BlockKind;
use dom_query::Document as Tree;

use crate::score::text_of;

/// The address under which the test pages claim to have been published.
const ADDRESS: &str = "http://fakehost/test/page.html";

/// What an extractor found in a page.
#[derive(Default)]
pub struct Found {
    pub title: String,
    pub byline: String,
    pub body: String,
    /// The text above the body, for extractors that take it out of the body.
    pub standfirst: String,
    pub paragraphs: Vec<String>,
}

/// Reads a page; `None` if the extractor rejects it.
pub type Read = fn(&[u8]) -> Option<Found>;

pub const READERS: [(&str, Read); 3] =
    [("Dateline", dateline), ("dom_smoothie alone", dom_smoothie), ("rs-trafilatura", rs_trafilatura)];

fn dateline(page: &[u8]) -> Option<Found> {
    let options = ingest::Options {
        format: Some(ingest::Format::Html),
        url: url::Url::parse(ADDRESS).ok(),
        ..ingest::Options::default()
    };
    let content = ingest::read(page, &options).ok()?.content;
    let (mut body, mut paragraphs) = (String::new(), Vec::new());
    for block in &content.blocks {
        let text = match &block.kind {
            BlockKind::Paragraph { text } => {
                paragraphs.push(text.clone());
                text.clone()
            }
            BlockKind::Subheading { text } | BlockKind::Embed { text, .. } | BlockKind::CorrectionNote { text } => {
                text.clone()
            }
            BlockKind::Caption { text, credit, .. } => format!("{text} {credit}"),
            BlockKind::Quote { text, attribution } => format!("{text} {attribution}"),
            BlockKind::List { items, .. } => items.join(" "),
        };
        body.push_str(&text);
        body.push(' ');
    }
    let (title, standfirst) = (content.headline, content.standfirst);
    Some(Found { title, byline: content.bylines.join(", "), body, standfirst, paragraphs })
}

fn dom_smoothie(page: &[u8]) -> Option<Found> {
    let page = String::from_utf8_lossy(page);
    let found = dom_smoothie::Readability::new(&*page, Some(ADDRESS), None).ok()?.parse().ok()?;
    Some(of_html(&found.content, found.title, found.byline))
}

fn rs_trafilatura(page: &[u8]) -> Option<Found> {
    let page = String::from_utf8_lossy(page);
    let options = rs_trafilatura::Options { url: Some(ADDRESS.to_owned()), ..rs_trafilatura::Options::default() };
    let found = rs_trafilatura::extract_with_options(&page, &options).ok()?;
    let (title, byline) = (found.metadata.title.unwrap_or_default(), found.metadata.author);
    Some(match found.content_html {
        Some(html) => of_html(&html, title, byline),
        None => Found { title, byline: byline.unwrap_or_default(), body: found.content_text, ..Found::default() },
    })
}

fn of_html(html: &str, title: String, byline: Option<String>) -> Found {
    let tree = Tree::from(html);
    let paragraphs = tree.select("p").nodes().iter().map(text_of).collect();
    Found { title, byline: byline.unwrap_or_default(), body: text_of(&tree.root()), paragraphs, ..Found::default() }
}
