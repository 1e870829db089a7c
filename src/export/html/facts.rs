//! The table of facts about a revision: its name, times, digest, and position in the article's history.

use askama::Template;
use askama::filters::HtmlSafe;

use super::super::Item;
use super::parts::{Link, When, named};

/// The facts under a heading; empty ones are left out.
#[derive(Template)]
#[template(path = "facts.html")]
pub(super) struct Facts {
    heading: &'static str,
    article: String,
    revision: String,
    revision_count: u32,
    observed: When,
    archived: When,
    in_force_from: Option<When>,
    in_force_until: Option<When>,
    address: Option<Link>,
    others: Vec<Link>,
    /// Those that are text, with their names.
    texts: Vec<(&'static str, String)>,
    words: u32,
    digest: String,
}

impl HtmlSafe for Facts {}

impl Facts {
    pub(super) fn of(item: &Item, heading: &'static str) -> Self {
        let content = &item.content;
        let texts = [
            ("Section", content.section.clone()),
            ("Language", content.language.clone()),
            ("Keywords", content.keywords.join(", ")),
            ("Labels", item.labels.join(", ")),
        ];
        let texts = texts.into_iter().filter(|(_, text)| !text.is_empty()).map(|(name, text)| (name, named(&text)));
        Self {
            heading,
            article: item.article.to_string(),
            revision: item.revision.to_string(),
            revision_count: item.revision_count,
            observed: When::exact(item.observe_time),
            archived: When::exact(item.archive_time),
            in_force_from: item.valid_from.map(When::exact),
            in_force_until: item.valid_until.map(When::exact),
            address: Link::to(&content.canonical_url),
            others: item.other_urls().filter_map(Link::to).collect(),
            texts: texts.collect(),
            words: content.word_count(),
            digest: item.digest_hex(),
        }
    }
}
