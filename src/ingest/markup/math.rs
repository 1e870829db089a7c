//! A formula in MathML as one text.
//!
//! Pages write a formula several times: as elements, as the TeX that it was made from, and as a picture. TeX says
//! it without doubt, so that goes first; what is left are the signs in their order.

use super::one_line;
use super::tokens::{Tag, Token, tokens};

/// The text of a formula, from its start and what it holds.
pub(super) fn text(tag: Tag<'_>, inner: &str) -> String {
    let Read { tex, signs } = read(inner);
    let stated = tag.attribute("alttext").unwrap_or_default();
    let texts = [tex, stated, signs].map(|text| bare(&one_line(&text)).to_owned());
    texts.into_iter().find(|text| !text.is_empty()).unwrap_or_default()
}

/// TeX without what only tells how large it is to be set.
pub(super) fn bare(tex: &str) -> &str {
    const STYLES: [&str; 2] = ["{\\displaystyle ", "{\\textstyle "];
    let inner = STYLES.iter().find_map(|style| tex.trim().strip_prefix(style)?.strip_suffix('}'));
    inner.map_or(tex, str::trim)
}

#[derive(Default)]
struct Read {
    tex: String,
    signs: String,
}

fn read(inner: &str) -> Read {
    let mut read = Read::default();
    // The annotation that is open, and whether it is TeX.
    let mut annotation: Option<(String, bool)> = None;
    for token in tokens(inner) {
        match token {
            Token::Start(tag) if annotation.is_none() && tag.name().starts_with("annotation") => {
                let is_tex = tag.attribute("encoding").is_some_and(|encoding| encoding.to_lowercase().contains("tex"));
                annotation = Some((tag.name(), is_tex));
            }
            Token::End(name) if annotation.as_ref().is_some_and(|(open, _)| *open == name) => annotation = None,
            Token::Text(text) => read.push(&htmlize::unescape(text), &annotation),
            Token::Verbatim(text) => read.push(text, &annotation),
            // Each sign is an element of its own.
            Token::Start(_) | Token::End(_) | Token::Math(..) => read.signs.push(' '),
        }
    }
    read
}

impl Read {
    fn push(&mut self, text: &str, annotation: &Option<(String, bool)>) {
        match annotation {
            Some((_, true)) => self.tex.push_str(text),
            Some((_, false)) => {}
            None => self.signs.push_str(text),
        }
    }
}
