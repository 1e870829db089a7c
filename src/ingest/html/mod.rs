//! A page of the web. Its article has to be found first: what it says of itself ([`head`]), and its body ([`body`]).
//!
//! A page may come from anybody. It is decoded ([`charset`]) and parsed ([`parse`]) within bounds of time and memory that no
//! page can stretch, and neither fetched from nor run.

mod body;
mod charset;
mod head;
mod parse;
mod site;
mod tag;

use crate::model::{Block, BlockKind, Content};

use super::{Document, Guess, IngestError, Options};
use body::Body;
use head::Head;

pub(super) use site::source_of;

/// Reads a page.
pub(super) fn read(bytes: &[u8], options: &Options) -> Result<Document, IngestError> {
    let (text, mut guesses) = charset::decode(bytes, options.charset.as_deref());
    if text.trim().is_empty() {
        return Err(IngestError::Empty);
    }
    let tree = parse::parse(&text)?;
    let head = head::read(&tree, options, &mut guesses);
    let Body { blocks, title, byline } = body::read(tree, options.url.as_ref(), &head, &mut guesses)?;
    let headline = if head.headline.is_empty() { title } else { head.headline.clone() };
    if headline.is_empty() {
        return Err(IngestError::NoHeadline { reason: "the page has neither a title nor a heading".to_owned() });
    }
    let mut blocks = without_opening(blocks, &headline);
    let standfirst = standfirst(&head, &mut blocks);
    Ok(document(head, byline, (headline, standfirst, blocks), guesses))
}

fn document(
    head: Head,
    byline: Option<String>,
    (headline, standfirst, blocks): (String, String, Vec<Block>),
    mut guesses: Vec<Guess>,
) -> Document {
    let bylines = match byline {
        Some(byline) if head.authors.is_empty() => {
            guesses.push(Guess::new("byline", byline.clone(), "by its place and marks in the page"));
            vec![byline]
        }
        _ => head.authors,
    };
    let content = Content {
        headline,
        standfirst,
        bylines,
        section: head.section,
        language: head.language,
        canonical_url: head.canonical_url,
        publish_time: head.publish_time,
        modify_time: head.modify_time,
        keywords: head.keywords,
        rights: head.rights,
        blocks,
        ..Content::default()
    };
    Document { content, publication: head.publication, urls: head.urls, guesses, ..Document::default() }
}

/// The body without the headline, where it begins with that.
fn without_opening(mut blocks: Vec<Block>, headline: &str) -> Vec<Block> {
    let is_headline = |block: &Block| match &block.kind {
        BlockKind::Crosshead { text } | BlockKind::Paragraph { text } => is_same_text(text, headline),
        BlockKind::Caption { .. }
        | BlockKind::Quote { .. }
        | BlockKind::List { .. }
        | BlockKind::Embed { .. }
        | BlockKind::CorrectionNote { .. } => false,
    };
    // A kicker or a picture may stand above it.
    if let Some(at) = blocks.iter().take(3).position(is_headline) {
        blocks.remove(at);
    }
    blocks
}

/// The page's description, where it is a text of its own: not the beginning of the body, nor cut off for a search engine.
/// A body that begins with the whole of it loses that.
fn standfirst(head: &Head, blocks: &mut Vec<Block>) -> String {
    let description = head.description.trim();
    let is_cut = description.ends_with('…') || description.ends_with("...");
    let opening = blocks.iter().position(|block| matches!(block.kind, BlockKind::Paragraph { .. }));
    let Some(BlockKind::Paragraph { text }) = opening.and_then(|at| blocks.get(at)).map(|block| &block.kind) else {
        return if is_cut { String::new() } else { description.to_owned() };
    };
    if is_same_text(text, description) {
        let standfirst = description.to_owned();
        if blocks.len() > 1
            && let Some(at) = opening
        {
            blocks.remove(at);
            return standfirst;
        }
        return String::new();
    }
    let begins = normal(text).starts_with(normal(description.trim_end_matches(['…', '.', ' '])).as_str());
    if is_cut || begins || is_same_text(description, &head.headline) { String::new() } else { description.to_owned() }
}

fn is_same_text(one: &str, other: &str) -> bool {
    normal(one) == normal(other)
}

/// The letters and digits, in lower case: what two forms of one text have in common.
fn normal(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests;
