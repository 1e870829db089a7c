//! Reads the role of an element from its class, where the element's name does not state it.

use super::tokens::Tag;

/// The role of an element according to its class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClassRole {
    /// The text under a picture.
    Caption,
    /// The name of a picture's creator or owner.
    Credit,
    /// A note that says what was corrected.
    Correction,
    /// A visual rendering of a text that the markup already has.
    Repeated,
}

impl ClassRole {
    /// Whether the role makes the element a block, whatever the element's name is.
    pub(super) fn is_block(self) -> bool {
        self != Self::Repeated
    }
}

/// The role that the class of an element gives it; `None` for elements whose class says nothing reliable.
pub(super) fn class_role(tag: Tag<'_>) -> Option<ClassRole> {
    const MARKED: [&str; 14] =
        ["p", "div", "span", "small", "em", "i", "cite", "center", "section", "aside", "figcaption", "td", "dd", "dt"];
    let class = tag.attribute("class").filter(|class| !class.is_empty())?;
    if !MARKED.contains(&tag.name().as_str()) {
        return None;
    }
    if class.split_ascii_whitespace().any(|name| name == "katex-html") {
        return Some(ClassRole::Repeated);
    }
    let names = class.split_ascii_whitespace().filter(|name| !describes_layout(name));
    let words: Vec<String> = names.flat_map(words).collect();
    let has = |known: &[&str]| words.iter().any(|word| known.contains(&word.as_str()));
    match has(&CAPTIONS) {
        _ if has(&CREDITS) => Some(ClassRole::Credit),
        true if has(&CREDITS_OF_CAPTIONS) => Some(ClassRole::Credit),
        true => Some(ClassRole::Caption),
        false => has(&CORRECTIONS).then_some(ClassRole::Correction),
    }
}

const CAPTIONS: [&str; 7] =
    ["caption", "captions", "captiontext", "thumbcaption", "imagecaption", "photocaption", "figcaption"];
/// Words in the class of a caption's part that names the picture's creator or owner.
const CREDITS_OF_CAPTIONS: [&str; 4] = ["author", "byline", "copyright", "source"];
const CORRECTIONS: [&str; 4] = ["correction", "corrections", "clarification", "erratum"];
const CREDITS: [&str; 5] = ["credit", "credits", "photocredit", "imagecredit", "photographer"];

/// Whether a class describes an element's content or layout rather than its role: `has-caption`, `caption-container`.
fn describes_layout(name: &str) -> bool {
    const LAYOUT_WORDS: [&str; 9] = ["has", "no", "with", "without", "container", "wrapper", "wrap", "narrow", "video"];
    words(name).any(|word| LAYOUT_WORDS.contains(&word.as_str()))
}

/// The lower-case words of a class name, such as `media-caption__text` or `photoCredit`.
fn words(name: &str) -> impl Iterator<Item = String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for c in name.chars() {
        let ends_word = !c.is_alphanumeric() || c.is_uppercase() && was_lower;
        was_lower = c.is_lowercase();
        if ends_word {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut()
            && c.is_alphanumeric()
        {
            word.extend(c.to_lowercase());
        }
    }
    words.into_iter().filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::super::tokens::{MarkupToken, tokens};
    use super::*;

    fn of(markup: &str) -> Option<ClassRole> {
        tokens(markup).find_map(|token| match token {
            MarkupToken::Start(tag) => class_role(tag),
            MarkupToken::Text(_) | MarkupToken::Verbatim(_) | MarkupToken::End(_) | MarkupToken::Math(..) => None,
        })
    }

    #[test]
    fn classes_are_read_by_their_words() {
        for class in
            ["caption", "wp-caption-text", "media__caption", "styles_caption__Pe5JC", "imageCaption", "a tr-caption"]
        {
            assert_eq!(of(&format!("<p class='{class}'>")), Some(ClassRole::Caption), "{class}");
        }
        for class in ["credit", "photo-credit", "widget-image__credits", "caption-credit", "caption__source"] {
            assert_eq!(of(&format!("<span class='{class}'>")), Some(ClassRole::Credit), "{class}");
        }
        assert_eq!(of("<aside class='article-correction'>"), Some(ClassRole::Correction));
        for class in
            ["has-caption", "fig--narrow-caption", "tr-caption-container", "_pcaption-w-auto", "accredited", ""]
        {
            assert_eq!(of(&format!("<div class='{class}'>")), None, "{class}");
        }
        assert_eq!(of("<h2 class='caption'>"), None);
    }
}
