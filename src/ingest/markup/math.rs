//! Converts a MathML formula into one line of text.
//!
//! Pages state a formula in several forms: as elements, as TeX, and as a picture. TeX is unambiguous and therefore
//! takes precedence, then the alternative text; the last resort is the sequence of the elements' symbols.

use super::one_line;
use super::tokens::{MarkupToken, Tag, tokens};

/// The text of a formula, from its start tag and its inner markup.
pub(super) fn text(tag: Tag<'_>, inner: &str) -> String {
    let Formula { tex, symbols } = read(inner);
    let stated = tag.attribute("alttext").unwrap_or_default();
    let texts = [tex, stated, symbols].map(|text| without_style(&one_line(&text)).to_owned());
    texts.into_iter().find(|text| !text.is_empty()).unwrap_or_default()
}

/// Strips the TeX command that only sets the style of the whole formula.
pub(super) fn without_style(tex: &str) -> &str {
    const STYLES: [&str; 2] = ["{\\displaystyle ", "{\\textstyle "];
    let inner = STYLES.iter().find_map(|style| tex.trim().strip_prefix(style)?.strip_suffix('}'));
    inner.map_or(tex, str::trim)
}

#[derive(Default)]
struct Formula {
    tex: String,
    symbols: String,
}

fn read(inner: &str) -> Formula {
    let mut read = Formula::default();
    // The name of the open annotation, and whether it is TeX.
    let mut annotation: Option<(String, bool)> = None;
    for token in tokens(inner) {
        match token {
            MarkupToken::Start(tag) if annotation.is_none() && tag.name().starts_with("annotation") => {
                let is_tex = tag.attribute("encoding").is_some_and(|encoding| encoding.to_lowercase().contains("tex"));
                annotation = Some((tag.name(), is_tex));
            }
            MarkupToken::End(name) if annotation.as_ref().is_some_and(|(open, _)| *open == name) => annotation = None,
            MarkupToken::Text(text) => read.push(&htmlize::unescape(text), &annotation),
            MarkupToken::Verbatim(text) => read.push(text, &annotation),
            // Each symbol is an element of its own.
            MarkupToken::Start(_) | MarkupToken::End(_) | MarkupToken::Math(..) => read.symbols.push(' '),
        }
    }
    read
}

impl Formula {
    fn push(&mut self, text: &str, annotation: &Option<(String, bool)>) {
        match annotation {
            Some((_, true)) => self.tex.push_str(text),
            Some((_, false)) => {}
            None => self.symbols.push_str(text),
        }
    }
}
