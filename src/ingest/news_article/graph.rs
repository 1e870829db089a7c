//! The node graph of a JSON-LD document: finds the article and resolves ids.

use std::collections::{HashMap, VecDeque};

use serde_json::{Map, Value};

/// A JSON-LD node: an object with its properties.
pub(super) type Node = Map<String, Value>;

/// Maximum number of values that are searched for an article.
const NODES_MAX: usize = 10_000;

/// The types that are articles, in lower case. Source: <https://schema.org/Article> and its subtypes.
const ARTICLES: [&str; 20] = [
    "article",
    "newsarticle",
    "analysisnewsarticle",
    "askpublicnewsarticle",
    "backgroundnewsarticle",
    "opinionnewsarticle",
    "reportagenewsarticle",
    "reviewnewsarticle",
    "advertisercontentarticle",
    "satiricalarticle",
    "scholarlyarticle",
    "medicalscholarlyarticle",
    "techarticle",
    "apireference",
    "report",
    "socialmediaposting",
    "blogposting",
    "liveblogposting",
    "discussionforumposting",
    "blogpost",
];

/// How well an article fits the page it is on. The smallest rank is the best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    /// Whether the node has no text of the article.
    is_empty: bool,
    /// Whether the node has no address.
    is_unaddressed: bool,
}

/// The nodes of a document, with an index by id.
pub(super) struct Graph<'v> {
    root: &'v Value,
    by_id: HashMap<&'v str, &'v Node>,
}

impl<'v> Graph<'v> {
    pub(super) fn of(root: &'v Value) -> Self {
        let mut by_id: HashMap<&str, &Node> = HashMap::new();
        let mut values = vec![root];
        while let Some(value) = values.pop() {
            match value {
                Value::Array(items) => values.extend(items),
                Value::Object(node) => {
                    // Of several nodes with the same id, the one with the most properties describes it.
                    if let Some(id) = id(node)
                        && by_id.get(id).is_none_or(|known| known.len() < node.len())
                    {
                        by_id.insert(id, node);
                    }
                    values.extend(node.values());
                }
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
            }
        }
        Self { root, by_id }
    }

    /// The best article at the top level, in `@graph`, or as a page's `mainEntity`. Articles that a page merely lists
    /// do not count, nor do those with only addresses of other pages. An article with the page's own address ranks
    /// before one without an address, and a node without any text ranks last. `is_own` returns whether an address is
    /// the page's, and `None` for a text that is not an address.
    pub(super) fn article(&self, is_own: &dyn Fn(&str) -> Option<bool>) -> Option<(Rank, &'v Node)> {
        let ranked = self.nodes().filter(|node| is_article(node)).filter_map(|node| {
            let are_own: Vec<bool> = self.addresses(node).iter().filter_map(|url| is_own(url)).collect();
            let is_other = !are_own.is_empty() && !are_own.contains(&true);
            (!is_other).then(|| (Rank { is_empty: !has_text(node), is_unaddressed: are_own.is_empty() }, node))
        });
        ranked.min_by_key(|(rank, _)| *rank)
    }

    /// The addresses of a node as written, in this order: the node's URL, those of the page, the node's id.
    pub(super) fn addresses(&self, node: &'v Node) -> Vec<String> {
        let value = |key: &str| node.get(key).filter(|value| !value.is_null());
        let page = value("mainEntityOfPage");
        let of =
            |page: Option<&'v Value>, key: &str| page.and_then(|page| page.get(key).or(page.as_str().and(Some(page))));
        let values = [value("url"), of(page, "url"), of(page, "@id"), value("@id")];
        let written = values.into_iter().flatten().filter_map(|value| self.raw_text(value));
        written.map(|url| url.trim().to_owned()).collect()
    }

    /// The nodes that can be the article, in breadth-first order.
    fn nodes(&self) -> impl Iterator<Item = &'v Node> {
        let mut queue = VecDeque::from([self.root]);
        let mut values_left = NODES_MAX;
        std::iter::from_fn(move || {
            while let Some(value) = queue.pop_front() {
                values_left = values_left.checked_sub(1)?;
                match value {
                    Value::Array(items) => queue.extend(items.iter().take(NODES_MAX)),
                    Value::Object(node) => {
                        let node = self.described(node);
                        queue.extend(["@graph", "mainEntity"].iter().filter_map(|key| node.get(*key)));
                        return Some(node);
                    }
                    Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
                }
            }
            None
        })
    }

    /// Resolves a node that is only a reference (an id, and at most a type) to the node that describes the id.
    pub(super) fn described(&self, node: &'v Node) -> &'v Node {
        let described = id(node).and_then(|id| self.by_id.get(id).copied());
        described.filter(|_| node.len() <= 2).unwrap_or(node)
    }

    /// The language of the whole document, as its context states it.
    pub(super) fn language(&self) -> Option<&'v Value> {
        let context = self.root.get("@context").or_else(|| self.root.get(0)?.get("@context"))?;
        let contexts = context.as_array().map_or(std::slice::from_ref(context), Vec::as_slice);
        contexts.iter().find_map(|context| context.get("@language"))
    }
}

fn id(node: &Node) -> Option<&str> {
    node.get("@id").and_then(Value::as_str)
}

/// The types of a node, without the prefix of their vocabulary.
pub(super) fn types(node: &Node) -> Vec<&str> {
    let types = match node.get("@type") {
        Some(Value::Array(types)) => types.as_slice(),
        value => value.map(std::slice::from_ref).unwrap_or_default(),
    };
    types.iter().filter_map(Value::as_str).map(|name| name.rsplit(['/', ':', '#']).next().unwrap_or(name)).collect()
}

/// The first of a node's types that is an article.
pub(super) fn article_type(node: &Node) -> Option<&str> {
    types(node).into_iter().find(|name| ARTICLES.contains(&name.to_ascii_lowercase().as_str()))
}

fn is_article(node: &Node) -> bool {
    article_type(node).is_some()
}

fn has_text(node: &Node) -> bool {
    ["headline", "name", "articleBody", "text"].iter().any(|key| node.get(*key).is_some_and(|value| !value.is_null()))
}

/// Describes what a document has instead of an article, for an error message.
pub(super) fn no_article(value: &Value) -> String {
    const NAMED_MAX: usize = 8;
    let graph = Graph::of(value);
    let mut found: Vec<&str> = Vec::new();
    for name in graph.nodes().flat_map(types) {
        if found.len() < NAMED_MAX && !found.contains(&name) && name.len() <= 64 {
            found.push(name);
        }
    }
    if found.is_empty() {
        return "the JSON-LD has no node with a type".to_owned();
    }
    format!("the JSON-LD only has the types {}", found.join(", "))
}
