//! schema.org's NewsArticle and its kin, as JSON-LD: a file of its own, or a script within a page.
//! Source: <https://schema.org/NewsArticle>, <https://www.w3.org/TR/json-ld11/>.
//!
//! It is read as pages write it, not as a processor of JSON-LD would: contexts are not resolved, and terms are known
//! by their usual names. Whatever was left out of an article that was found is among its guesses.

mod document;
mod fields;
mod graph;
mod values;

use serde_json::Value;

use crate::model::{Block, ClaimedTime};

use super::{Document, Guess, IngestError, json};
use fields::Fields;
use graph::Graph;

/// What JSON-LD says of an article. Texts are on one line, without markup, and empty where it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct NewsArticle {
    /// The type, such as `NewsArticle`.
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
    /// Absolute URLs of the article, each once: its own, then that of its page.
    pub(super) urls: Vec<String>,
    pub(super) publish_time: Option<ClaimedTime>,
    pub(super) modify_time: Option<ClaimedTime>,
    pub(super) keywords: Vec<String>,
    /// Copyright and licence.
    pub(super) rights: String,
    /// The body, with the updates of a live blog after it, newest first or last as they are given.
    pub(super) body: Vec<Block>,
    /// A caption for each picture that has one.
    pub(super) captions: Vec<Block>,
    pub(super) publication: Option<String>,
    /// Whether everybody can read the whole article.
    pub(super) is_free: Option<bool>,
    /// What was guessed of the above, or could not be used.
    pub(super) guesses: Vec<Guess>,
}

/// The article of a page among its scripts of JSON-LD: the first that names the page's address, or else the first that
/// names none; `None` without a node or without JSON. `is_own` judges an address, and says nothing of other text.
pub(super) fn find(scripts: &[String], is_own: &dyn Fn(&str) -> Option<bool>) -> Option<NewsArticle> {
    let values: Vec<Value> = scripts.iter().filter_map(|script| json::parse(script).ok()).collect();
    let graphs: Vec<Graph> = values.iter().map(Graph::of).collect();
    let articles = graphs.iter().filter_map(|graph| graph.article(is_own).map(|(rank, node)| (rank, graph, node)));
    let (_, graph, node) = articles.min_by_key(|(rank, ..)| *rank)?;
    Some(Fields::new(graph, node).read())
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
    Some(Fields::new(&graph, node).read())
}

#[cfg(test)]
mod tests;
