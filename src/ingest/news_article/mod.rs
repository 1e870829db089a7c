//! Reads schema.org's NewsArticle and related types as JSON-LD, from a file or from a script in a page.
//! Source: <https://schema.org/NewsArticle>, <https://www.w3.org/TR/json-ld11/>.
//!
//! This module reads JSON-LD as pages write it, and is not a JSON-LD processor: contexts are not resolved, and terms
//! are recognised by their usual names. What is left out of an article is listed in the article's guesses.

mod document;
mod fields;
mod graph;
mod values;

use serde_json::Value;

use crate::model::{Block, ClaimedTime};

use super::{Document, Guess, IngestError, json};
use fields::ArticleFields;
use graph::Graph;

/// An article as described in JSON-LD. Texts are on one line and without markup; they are empty if not stated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct NewsArticle {
    /// The schema.org type, such as `NewsArticle`.
    pub(super) kind: String,
    pub(super) headline: String,
    pub(super) alternative_headline: String,
    /// A summary, often written for search engines.
    pub(super) description: String,
    /// The authors, without "By".
    pub(super) authors: Vec<String>,
    pub(super) sections: Vec<String>,
    /// A BCP 47 tag in canonical case.
    pub(super) language: String,
    /// Absolute URLs of the article without duplicates: its own first, then that of its page.
    pub(super) urls: Vec<String>,
    pub(super) publish_time: Option<ClaimedTime>,
    pub(super) modify_time: Option<ClaimedTime>,
    pub(super) keywords: Vec<String>,
    /// Copyright notice and licence, joined by `; `.
    pub(super) rights: String,
    /// The body, followed by the updates of a live blog in document order.
    pub(super) body: Vec<Block>,
    /// A caption for each picture that has one.
    pub(super) captions: Vec<Block>,
    pub(super) publication: Option<String>,
    /// Whether the full article is accessible without payment, if stated.
    pub(super) is_free: Option<bool>,
    /// What was guessed, and what could not be used.
    pub(super) guesses: Vec<Guess>,
}

/// Finds a page's own article in its JSON-LD scripts: the first with the page's address, or else the first without an
/// address; `None` if there is neither. Nodes without any text rank last. `is_own` returns whether an address is the
/// page's, and `None` for a text that is not an address. Scripts that are not valid JSON are ignored.
pub(super) fn find(scripts: &[String], is_own: &dyn Fn(&str) -> Option<bool>) -> Option<NewsArticle> {
    let values: Vec<Value> = scripts.iter().filter_map(|script| json::parse(script).ok()).collect();
    let graphs: Vec<Graph> = values.iter().map(Graph::of).collect();
    let articles = graphs.iter().filter_map(|graph| graph.article(is_own).map(|(rank, node)| (rank, graph, node)));
    let (_, graph, node) = articles.min_by_key(|(rank, ..)| *rank)?;
    Some(ArticleFields::new(graph, node).read())
}

/// Reads a file of JSON-LD.
pub(super) fn read(text: &str) -> Result<Document, IngestError> {
    let value = json::parse(text)?;
    let article = article_in(&value).ok_or_else(|| IngestError::NoArticle { reason: graph::no_article(&value) })?;
    document::of(article)
}

fn article_in(value: &Value) -> Option<NewsArticle> {
    let graph = Graph::of(value);
    let (_, node) = graph.article(&|_| None)?;
    Some(ArticleFields::new(&graph, node).read())
}

#[cfg(test)]
mod tests;
