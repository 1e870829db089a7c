//! Converts a body's markup into blocks: HTML, XHTML, and XML that uses HTML's elements. The body of a whole page has
//! to be found first, which is not this module's job.
//!
//! The module processes a stream of tags with a stack of open elements and builds no tree, so time and memory are
//! proportional to the length of the input, whatever that is. (Parsers that build an HTML tree take time proportional
//! to the square of the depth and of the number of attributes.) Running text is never dropped.

mod blocks;
mod element;
mod layout;
mod marks;
mod math;
mod post;
mod tokens;

use std::borrow::Cow;

use url::Url;

use crate::model::Block;

use element::Element;
pub(super) use post::is_of;
use tokens::{MarkupToken, tokens};

/// The blocks of the markup, in order. Addresses are resolved against `base`; without a base, only absolute ones are
/// kept.
pub(super) fn blocks(markup: &str, base: Option<&Url>) -> Vec<Block> {
    blocks::read(markup, base)
}

/// The text of the markup, on one line.
pub(super) fn text(markup: &str) -> String {
    let mut text = String::new();
    for token in tokens(markup) {
        match token {
            MarkupToken::Text(piece) => text.push_str(&htmlize::unescape(piece)),
            MarkupToken::Verbatim(piece) => text.push_str(piece),
            MarkupToken::Math(tag, inner) => text.push_str(&math::text(tag, inner)),
            MarkupToken::Start(tag) if Element::of(&tag.name()).is_inline() => {}
            MarkupToken::End(name) if Element::of(&name).is_inline() => {}
            MarkupToken::Start(_) | MarkupToken::End(_) => text.push(' '),
        }
    }
    one_line(&text)
}

/// The text with each run of white space replaced by one space, and trimmed.
pub(super) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether a text is markup: it has the end tag of an element that is common in texts, or a `<br>`. `a < b` is not
/// markup, nor is `<script> is an element`.
pub(super) fn is_markup(text: &str) -> bool {
    const COMMON: [&str; 24] = [
        "a",
        "b",
        "blockquote",
        "div",
        "em",
        "figure",
        "h1",
        "h2",
        "h3",
        "h4",
        "i",
        "li",
        "mark",
        "ol",
        "p",
        "q",
        "section",
        "small",
        "span",
        "strong",
        "sub",
        "sup",
        "u",
        "ul",
    ];
    tokens(text).any(|token| match token {
        MarkupToken::End(name) => COMMON.contains(&name.as_str()),
        MarkupToken::Start(tag) => tag.name() == "br",
        MarkupToken::Text(_) | MarkupToken::Verbatim(_) | MarkupToken::Math(..) => false,
    })
}

/// Replaces character references with their characters. Only references with a semicolon count, because in plain text
/// `&copy=2` may be part of a URL.
pub(super) fn unescape(text: &str) -> Cow<'_, str> {
    const REFERENCE_BYTES_MAX: usize = 34;
    if !text.contains('&') {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        plain.push_str(before);
        let name_bytes = after.find(|c: char| !(c.is_ascii_alphanumeric() || c == '#')).unwrap_or(after.len());
        match after.split_at_checked(name_bytes) {
            Some((name, rest_of_text)) if rest_of_text.starts_with(';') && name.len() < REFERENCE_BYTES_MAX => {
                plain.push_str(&htmlize::unescape(format!("&{name};")));
                rest = rest_of_text.get(1..).unwrap_or_default();
            }
            _ => {
                plain.push('&');
                rest = after;
            }
        }
    }
    plain.push_str(rest);
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests;
