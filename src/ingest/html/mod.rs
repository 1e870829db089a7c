//! Extracts the article of a web page: what the page says about it ([`head`]), and its body ([`body`]).
//!
//! A page may come from anyone. It is decoded ([`charset`]) and parsed ([`parse`]) within fixed limits of time and
//! memory. Nothing that it links to is fetched, and none of its scripts run.

mod body;
mod boilerplate;
mod byline;
pub(super) mod charset;
mod head;
mod header_lines;
mod parse;
mod preprocess;
mod site;
mod standfirst;
mod tag;

use crate::model::Content;

use super::{Document, Guess, IngestError, Options};
use body::PageBody;
use head::PageMetadata;

pub(super) use site::source_of;

/// Extracts the article of a page in any encoding.
pub(super) fn read(bytes: &[u8], options: &Options) -> Result<Document, IngestError> {
    let (text, mut guesses) = charset::decode(bytes, options.charset.as_deref());
    if text.trim().is_empty() {
        return Err(IngestError::Empty);
    }
    let tree = parse::parse(&text)?;
    let head = head::read(&tree, options, &mut guesses);
    let placement = standfirst::placement(&tree, &head.description);
    preprocess::preprocess(&tree);
    let PageBody { blocks, title, byline } = body::read(tree, options.url.as_ref(), &head, &mut guesses)?;
    let headline = if head.headline.is_empty() { title } else { head.headline.clone() };
    if headline.is_empty() {
        return Err(IngestError::NoHeadline { reason: "the page has neither a title nor a heading".to_owned() });
    }
    let bylines = bylines(&head, byline, &mut guesses);
    let mut blocks = boilerplate::without(blocks, &mut guesses);
    header_lines::drop_headline(&mut blocks, &headline);
    let standfirst = standfirst::extract(&head, &mut blocks, placement);
    header_lines::drop_repeated(&mut blocks, &bylines, [head.publish_time.as_ref(), head.modify_time.as_ref()]);
    let content = Content { headline, standfirst, bylines, blocks, ..Content::default() };
    Ok(document(head, content, guesses))
}

/// The authors that the page's metadata names, or else a byline found in its text.
fn bylines(head: &PageMetadata, byline: Option<String>, guesses: &mut Vec<Guess>) -> Vec<String> {
    match byline.as_deref().and_then(byline::name) {
        Some(byline) if head.authors.is_empty() => {
            guesses.push(Guess::new("byline", byline.clone(), "by its position and markup on the page"));
            vec![byline]
        }
        _ => head.authors.clone(),
    }
}

/// Completes a content with the page's metadata.
fn document(head: PageMetadata, content: Content, guesses: Vec<Guess>) -> Document {
    let content = Content {
        section: head.section,
        language: head.language,
        canonical_url: head.canonical_url,
        publish_time: head.publish_time,
        modify_time: head.modify_time,
        keywords: head.keywords,
        rights: head.rights,
        ..content
    };
    Document { content, publication: head.publication, urls: head.urls, guesses, ..Document::default() }
}

#[cfg(test)]
mod tests;
