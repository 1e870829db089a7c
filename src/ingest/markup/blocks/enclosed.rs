//! What a quotation or a list encloses.

use crate::model::BlockKind;

use super::super::element::Element;
use super::super::tokens::Tag;
use super::super::{one_line, post};
use super::{Builder, add};

/// The outermost quotation or list that is open.
#[derive(Default)]
pub(super) struct Outer {
    /// The items of a list; a quotation has none.
    pub(super) list: Option<(Vec<String>, bool)>,
    paragraphs: Vec<String>,
    attribution: String,
    /// Whether the quotation is marked as a post from elsewhere.
    is_post: bool,
    /// The address of a post, as the quotation states or links it.
    post: Option<String>,
}

impl Outer {
    /// What an element encloses; `None` when it is neither quotation nor list.
    pub(super) fn begin(element: Element, tag: Tag<'_>) -> Option<Self> {
        if let Element::List { ordered } = element {
            return Some(Self { list: Some((Vec::new(), ordered)), ..Self::default() });
        }
        let is_post = post::is_marked(tag);
        let stated = post::stated(tag).filter(|url| is_post || post::is_post(url));
        (element == Element::Quote).then(|| Self { is_post, post: stated, ..Self::default() })
    }

    /// Looks at a link. Of the links in a post, the last is the one to itself.
    pub(super) fn link(&mut self, tag: Tag<'_>) {
        if self.list.is_none()
            && let Some(url) = tag.attribute("href").filter(|url| post::is_post(url))
        {
            self.post = Some(url);
        }
    }

    /// Adds a text that ended.
    pub(super) fn add(&mut self, text: &str, is_credit: bool) {
        match &mut self.list {
            Some((items, _)) if items.is_empty() => items.push(text.to_owned()),
            Some((items, _)) => items.last_mut().into_iter().for_each(|item| add(item, text, "\n")),
            None if is_credit => add(&mut self.attribution, &one_line(text), " "),
            None => self.paragraphs.push(text.to_owned()),
        }
    }

    /// Whether it is a post: by its mark, or since it ends as posts do that lost theirs.
    fn is_post(&self) -> bool {
        let ends_with_name =
            || self.paragraphs.last().is_some_and(|last| last.starts_with(['—', '–']) && last.contains("(@"));
        self.post.is_some() && (self.is_post || ends_with_name())
    }
}

impl Builder<'_> {
    pub(super) fn end_outer(&mut self) {
        let Some(outer) = self.outer.take() else { return };
        let address = outer.post.clone().filter(|_| outer.is_post()).and_then(|url| self.absolute(&url));
        let Outer { list, paragraphs, attribution, .. } = outer;
        match list {
            Some((mut items, ordered)) => {
                items.retain(|item| !item.is_empty());
                if !items.is_empty() {
                    self.block(BlockKind::List { items, ordered });
                }
            }
            None => {
                let named = attribution.trim_start_matches(['—', '–', '-', ' ']).to_owned();
                if let Some(url) = address {
                    let mut text = paragraphs.join("\n");
                    if !attribution.is_empty() {
                        add(&mut text, &attribution, "\n");
                    }
                    self.block(BlockKind::Embed { url, text });
                } else if !paragraphs.is_empty() {
                    self.block(BlockKind::Quote { text: paragraphs.join("\n"), attribution: named });
                } else if !named.is_empty() {
                    self.block(BlockKind::Paragraph { text: named });
                }
            }
        }
        self.end_after();
    }
}
