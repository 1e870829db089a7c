//! Collects the content of a quotation or list.

use crate::model::BlockKind;

use super::super::element::Element;
use super::super::tokens::Tag;
use super::super::{one_line, post};
use super::{BlockBuilder, add};

/// The outermost open quotation or list.
#[derive(Default)]
pub(super) struct Enclosure {
    /// The list; `None` for a quotation.
    pub(super) list: Option<List>,
    paragraphs: Vec<String>,
    attribution: String,
    /// Whether a class marks the quotation as a post of a social network.
    is_marked_post: bool,
    /// The address of a post that an attribute states or that a link leads to.
    post_url: Option<String>,
}

/// A list so far.
pub(super) struct List {
    pub(super) items: Vec<String>,
    ordered: bool,
}

impl Enclosure {
    /// Starts a quotation or list; `None` if the element is neither.
    pub(super) fn begin(element: Element, tag: Tag<'_>) -> Option<Self> {
        if let Element::List { ordered } = element {
            return Some(Self { list: Some(List { items: Vec::new(), ordered }), ..Self::default() });
        }
        let is_marked_post = post::is_marked(tag);
        let post_url = post::stated_url(tag).filter(|url| is_marked_post || post::is_post(url));
        (element == Element::Quote).then(|| Self { is_marked_post, post_url, ..Self::default() })
    }

    /// Notes a link to a post. A post's link to itself is the last one in it.
    pub(super) fn link(&mut self, tag: Tag<'_>) {
        if self.list.is_none()
            && let Some(url) = tag.attribute("href").filter(|url| post::is_post(url))
        {
            self.post_url = Some(url);
        }
    }

    /// Adds a completed text.
    pub(super) fn add_text(&mut self, text: &str) {
        match &mut self.list {
            Some(List { items, .. }) if items.is_empty() => items.push(text.to_owned()),
            Some(List { items, .. }) => items.last_mut().into_iter().for_each(|item| add(item, text, "\n")),
            None => self.paragraphs.push(text.to_owned()),
        }
    }

    /// Adds a text that names the author of a quotation. A list has no author, so its text is added like any other.
    pub(super) fn add_attribution(&mut self, text: &str) {
        match self.list {
            Some(_) => self.add_text(text),
            None => add(&mut self.attribution, &one_line(text), " "),
        }
    }

    /// Whether the quotation is a post: it has the address of a post, and is marked as one or ends like a post that has
    /// lost its class.
    fn is_post(&self) -> bool {
        let ends_with_name =
            || self.paragraphs.last().is_some_and(|last| last.starts_with(['—', '–']) && last.contains("(@"));
        self.post_url.is_some() && (self.is_marked_post || ends_with_name())
    }
}

impl BlockBuilder<'_> {
    pub(super) fn end_outer(&mut self) {
        let Some(outer) = self.outer.take() else { return };
        let address = outer.post_url.clone().filter(|_| outer.is_post()).and_then(|url| self.absolute(&url));
        let Enclosure { list, paragraphs, attribution, .. } = outer;
        match list {
            Some(List { mut items, ordered }) => {
                items.retain(|item| !item.is_empty());
                if !items.is_empty() {
                    self.block(BlockKind::List { items, ordered });
                }
            }
            None => {
                let author = attribution.trim_start_matches(['—', '–', '-', ' ']).to_owned();
                if let Some(url) = address {
                    let mut text = paragraphs.join("\n");
                    if !attribution.is_empty() {
                        add(&mut text, &attribution, "\n");
                    }
                    self.block(BlockKind::Embed { url, text });
                } else if !paragraphs.is_empty() {
                    self.block(BlockKind::Quote { text: paragraphs.join("\n"), attribution: author });
                } else if !author.is_empty() {
                    self.block(BlockKind::Paragraph { text: author });
                }
            }
        }
        self.add_deferred();
    }
}
