//! Maps the properties of a node to the fields of an article.

use std::collections::HashSet;

use serde_json::Value;

use crate::model::{Block, BlockKind, ClaimedTime};

use super::super::{
    Guess, article_url, body, claims, distinct, is_absolute_url, note_ignored, quoted, stated_language, without_by,
};
use super::NewsArticle;
use super::graph::{Graph, Node, article_type};

/// Reads the article that one node describes.
pub(super) struct ArticleFields<'g, 'v> {
    graph: &'g Graph<'v>,
    node: &'v Node,
    guesses: Vec<Guess>,
}

/// Properties that are read, and those that only concern the page and not the article. All others are noted as ignored.
const KNOWN: [&str; 42] = [
    "@context",
    "@graph",
    "@id",
    "@type",
    "alternativeHeadline",
    "articleBody",
    "articleSection",
    "associatedMedia",
    "author",
    "commentCount",
    "copyrightHolder",
    "copyrightNotice",
    "copyrightYear",
    "creator",
    "dateModified",
    "datePublished",
    "description",
    "hasPart",
    "headline",
    "identifier",
    "image",
    "inLanguage",
    "interactionStatistic",
    "isAccessibleForFree",
    "isPartOf",
    "keywords",
    "license",
    "liveBlogUpdate",
    "mainEntity",
    "mainEntityOfPage",
    "name",
    "potentialAction",
    "primaryImageOfPage",
    "publisher",
    "sourceOrganization",
    "speakable",
    "text",
    "thumbnailUrl",
    "timeRequired",
    "url",
    "usageInfo",
    "wordCount",
];

impl<'g, 'v> ArticleFields<'g, 'v> {
    pub(super) fn new(graph: &'g Graph<'v>, node: &'v Node) -> Self {
        Self { graph, node, guesses: Vec::new() }
    }

    pub(super) fn read(mut self) -> NewsArticle {
        let (publish_time, modify_time) = self.times();
        let mut article = NewsArticle {
            kind: article_type(self.node).unwrap_or_default().to_owned(),
            headline: self.headline(),
            alternative_headline: self.text("alternativeHeadline"),
            description: self.text("description"),
            authors: self.authors(),
            sections: distinct(self.texts("articleSection")),
            language: self.language(),
            urls: self.urls(),
            publish_time,
            modify_time,
            keywords: self.keywords(),
            rights: self.rights(),
            body: self.body(),
            captions: self.captions(),
            publication: self.publication(),
            is_free: self.value("isAccessibleForFree").and_then(truth),
            guesses: Vec::new(),
        };
        self.note_unknown();
        article.guesses = self.guesses;
        article
    }

    fn value(&self, key: &str) -> Option<&'v Value> {
        self.node.get(key).filter(|value| !value.is_null())
    }

    fn text(&self, key: &str) -> String {
        self.value(key).and_then(|value| self.graph.text(value)).unwrap_or_default()
    }

    fn texts(&self, key: &str) -> Vec<String> {
        self.value(key).map(|value| self.graph.texts(value)).unwrap_or_default()
    }

    fn headline(&mut self) -> String {
        let headline = self.text("headline");
        let name = self.text("name");
        if headline.is_empty() && !name.is_empty() {
            self.guesses.push(Guess::new("headline", quoted(&name), "the name, since there is no headline"));
            return name;
        }
        headline
    }

    fn times(&mut self) -> (Option<ClaimedTime>, Option<ClaimedTime>) {
        let (published, modified) = (self.text("datePublished"), self.text("dateModified"));
        claims::stated_pair([&published, &modified], "json-ld", &mut self.guesses)
    }

    /// The authors' names. The profile URLs that some pages state instead of names are ignored.
    fn authors(&mut self) -> Vec<String> {
        let authors = Some(self.texts("author")).filter(|authors| !authors.is_empty());
        let authors = authors.unwrap_or_else(|| self.texts("creator"));
        let (addresses, names): (Vec<_>, Vec<_>) = authors.into_iter().partition(|author| is_absolute_url(author));
        if let Some(address) = addresses.first().filter(|_| names.is_empty()) {
            self.guesses.push(Guess::new("ignored", format!("author {}", quoted(address)), "an address, not a name"));
        }
        distinct(names.iter().map(|name| without_by(name).to_owned()))
    }

    fn language(&mut self) -> String {
        // A Language object has its tag in `alternateName`.
        let own = self.value("inLanguage").map(|value| value.get("alternateName").unwrap_or(value));
        let Some(written) = own.or_else(|| self.graph.language()).and_then(|value| self.graph.text(value)) else {
            return String::new();
        };
        stated_language(&written, &mut self.guesses)
    }

    /// The URL of the article, then that of its page. An id may also be a URL, but one with a fragment only names a
    /// node.
    fn urls(&mut self) -> Vec<String> {
        let written = self.graph.addresses(self.node);
        let urls = distinct(written.iter().filter_map(|url| article_url(url)).filter(|url| !url.contains('#')));
        if let Some(url) = written.first().filter(|_| urls.is_empty()) {
            let why = "not the absolute address of an article";
            self.guesses.push(Guess::new("ignored", format!("URL {}", quoted(url)), why));
        }
        urls
    }

    /// The keywords, from a list or from one text with commas.
    fn keywords(&self) -> Vec<String> {
        let words = self.texts("keywords");
        match words.as_slice() {
            [text] => distinct(text.split(',').map(|word| word.trim().to_owned())),
            _ => distinct(words),
        }
    }

    fn rights(&self) -> String {
        let holder = self.text("copyrightHolder");
        let notice = Some(self.text("copyrightNotice")).filter(|notice| !notice.is_empty());
        let notice = notice.unwrap_or_else(|| match (holder.as_str(), self.text("copyrightYear")) {
            ("", _) => String::new(),
            (holder, year) if year.is_empty() => format!("© {holder}"),
            (holder, year) => format!("© {year} {holder}"),
        });
        let licence = ["license", "usageInfo"].iter().find_map(|key| {
            let value = self.value(key)?;
            let url = || ["url", "@id"].iter().find_map(|key| value.get(*key)?.as_str()).map(str::to_owned);
            self.graph.text(value).or_else(url)
        });
        let parts = [notice, licence.unwrap_or_default()];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ")
    }

    fn publication(&self) -> Option<String> {
        ["publisher", "sourceOrganization", "isPartOf"].iter().find_map(|key| {
            let name = self.graph.text(self.value(key)?)?;
            Some(name).filter(|name| !is_absolute_url(name))
        })
    }

    fn body(&self) -> Vec<Block> {
        let text = |node: &'v Node| {
            let value = ["articleBody", "text"].iter().find_map(|key| node.get(*key))?;
            self.graph.raw_text(value)
        };
        let mut blocks = text(self.node).map(|text| body::blocks(&text)).unwrap_or_default();
        for update in self.objects("liveBlogUpdate") {
            let headline = update.get("headline").and_then(|value| self.graph.text(value));
            blocks.extend(headline.map(|text| Block::from(BlockKind::Subheading { text })));
            blocks.extend(text(update).map(|text| body::blocks(&text)).unwrap_or_default());
        }
        blocks
    }

    /// The captions of pictures. A caption that occurs several times, for a picture in several sizes, is kept once.
    fn captions(&self) -> Vec<Block> {
        let mut captions: Vec<Block> = Vec::new();
        let mut seen = HashSet::new();
        for picture in self.objects("image").into_iter().chain(self.objects("associatedMedia")) {
            let text =
                |keys: &[&str]| keys.iter().find_map(|key| self.graph.text(picture.get(*key)?)).unwrap_or_default();
            let caption = text(&["caption"]);
            let url = text(&["contentUrl", "url"]);
            if caption.is_empty() || !seen.insert(caption.clone()) {
                continue;
            }
            let kind = BlockKind::Caption {
                text: caption,
                image_url: if is_absolute_url(&url) { url } else { String::new() },
                credit: text(&["creditText", "creator", "author", "copyrightHolder", "copyrightNotice"]),
            };
            captions.push(kind.into());
        }
        captions
    }

    /// The nodes in a property, without duplicates.
    fn objects(&self, key: &str) -> Vec<&'v Node> {
        let nodes: Vec<_> = match self.value(key) {
            Some(Value::Array(items)) => items.iter().filter_map(Value::as_object).collect(),
            value => value.and_then(Value::as_object).into_iter().collect(),
        };
        let mut seen = HashSet::new();
        let nodes = nodes.into_iter().map(|node| self.graph.described(node));
        nodes.filter(|node| seen.insert(std::ptr::from_ref::<Node>(node))).collect()
    }

    /// Notes the properties that are not in [`KNOWN`] as ignored.
    fn note_unknown(&mut self) {
        let is_unknown = |(key, value): &(&String, &Value)| !(KNOWN.contains(&key.as_str()) || value.is_null());
        let unknown = self.node.iter().filter(is_unknown).map(|(key, _)| key.as_str());
        note_ignored(unknown, &mut self.guesses);
    }
}

fn truth(value: &Value) -> Option<bool> {
    value.as_bool().or_else(|| value.as_str()?.to_ascii_lowercase().parse().ok())
}
