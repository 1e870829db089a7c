//! Converts an article that was read from JSON-LD alone to a document.

use std::collections::HashSet;

use crate::model::{Block, BlockKind, Content};

use super::super::{Document, Guess, IngestError, quoted};
use super::NewsArticle;

/// Converts an article to a document; fails if it has no headline.
pub(super) fn of(article: NewsArticle) -> Result<Document, IngestError> {
    if article.headline.is_empty() {
        let reason = format!("the {} has neither `headline` nor `name`", article.kind);
        return Err(IngestError::NoHeadline { reason });
    }
    let mut guesses = article.guesses;
    let standfirst = Some(article.description).filter(|description| *description != article.headline);
    let standfirst = standfirst.unwrap_or_default();
    if !standfirst.is_empty() {
        guesses.push(Guess::new("standfirst", quoted(&standfirst), "the description, which may not be on the page"));
    }
    if !article.alternative_headline.is_empty() {
        let what = format!("alternative headline {}", quoted(&article.alternative_headline));
        guesses.push(Guess::new("ignored", what, "an article has one headline"));
    }
    let mut sections = article.sections.into_iter();
    let section = sections.next().unwrap_or_default();
    let others = sections.map(|section| quoted(&section)).collect::<Vec<_>>().join(", ");
    if !others.is_empty() {
        guesses.push(Guess::new("ignored", format!("sections {others}"), "an article has one section"));
    }
    if article.body.is_empty() {
        guesses.push(Guess::new("body", "none", "there is no `articleBody`; only the other properties are archived"));
    } else if article.is_free == Some(false) {
        guesses.push(Guess::new("body", "maybe an excerpt", "the article is not accessible for free"));
    }
    let mut blocks = article.body;
    // Some captions are already in the body, at their pictures.
    let placed: HashSet<String> = blocks.iter().filter_map(caption).map(str::to_owned).collect();
    let is_placed = |block: &Block| caption(block).is_some_and(|text| placed.contains(text));
    blocks.extend(article.captions.into_iter().filter(|block| !is_placed(block)));
    let mut urls = article.urls.into_iter();
    let content = Content {
        headline: article.headline,
        standfirst,
        bylines: article.authors,
        section,
        language: article.language,
        canonical_url: urls.next().unwrap_or_default(),
        publish_time: article.publish_time,
        modify_time: article.modify_time,
        keywords: article.keywords,
        rights: article.rights,
        blocks,
    };
    Ok(Document { content, publication: article.publication, urls: urls.collect(), guesses, ..Document::default() })
}

fn caption(block: &Block) -> Option<&str> {
    if let BlockKind::Caption { text, .. } = &block.kind { Some(text) } else { None }
}
