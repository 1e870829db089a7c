//! Splits markup into tags and texts. Comments, declarations, and the content of scripts and styles are left out.
//!
//! Anything that looks like markup but has no end is text. The position of the last possible end of each kind of markup
//! is determined once, so that unclosed markup does not cause repeated searches to the end of the input.

/// A piece of markup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum MarkupToken<'m> {
    /// Text with character references.
    Text(&'m str),
    /// Text without character references, from a CDATA section.
    Verbatim(&'m str),
    /// The start of an element.
    Start(Tag<'m>),
    /// The end of an element, with its name in lower case.
    End(String),
    /// A formula: its start tag and its inner markup.
    Math(Tag<'m>, &'m str),
}

/// The text between the angle brackets of a start tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tag<'m> {
    inner: &'m str,
}

impl<'m> Tag<'m> {
    /// The element's name, in lower case and without a namespace prefix.
    pub(super) fn name(self) -> String {
        name(self.inner)
    }

    /// Whether the tag closes itself with a slash, as in XML.
    pub(super) fn is_closed(self) -> bool {
        self.inner.ends_with('/')
    }

    /// The value of an attribute, empty if it has no value; `None` if there is no such attribute.
    pub(super) fn attribute(self, wanted: &str) -> Option<String> {
        let mut rest = self.inner.get(name_length(self.inner)..)?;
        loop {
            rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
            if rest.is_empty() {
                return None;
            }
            let end = rest.find(|c: char| c.is_ascii_whitespace() || matches!(c, '=' | '/')).unwrap_or(rest.len());
            // If there is no name before an equals sign, the sign and the value are skipped.
            let (name, after) = rest.split_at_checked(end)?;
            let value;
            (value, rest) = match after.trim_ascii_start().strip_prefix('=') {
                Some(after) => attribute_value(after.trim_ascii_start()),
                None => ("", after),
            };
            if name.eq_ignore_ascii_case(wanted) {
                return Some(htmlize::unescape_attribute(value).into_owned());
            }
        }
    }
}

/// Splits an attribute's value, with or without quotes, from the text after it.
fn attribute_value(text: &str) -> (&str, &str) {
    let quoted = ['"', '\''].iter().find_map(|quote| text.strip_prefix(*quote)?.split_once(*quote));
    quoted.unwrap_or_else(|| {
        let end = text.find(|c: char| c.is_ascii_whitespace()).unwrap_or(text.len());
        text.split_at_checked(end).unwrap_or((text, ""))
    })
}

fn name_length(inner: &str) -> usize {
    inner.find(|c: char| c.is_ascii_whitespace() || c == '/').unwrap_or(inner.len())
}

fn name(inner: &str) -> String {
    let name = inner.get(..name_length(inner)).unwrap_or_default();
    name.rsplit(':').next().unwrap_or(name).to_ascii_lowercase()
}

/// The tokens of the markup, in order.
pub(super) fn tokens(markup: &str) -> Tokens<'_> {
    let last = |end: &str| markup.rfind(end).map_or(0, |at| at + end.len());
    Tokens {
        markup,
        rest: markup,
        tags_end: last(">"),
        comments_end: last("-->"),
        sections_end: last("]]>"),
        unclosed: Vec::new(),
    }
}

/// The iterator over the tokens of markup.
pub(super) struct Tokens<'m> {
    markup: &'m str,
    rest: &'m str,
    /// The offsets in `markup` at which the last tag, comment and CDATA section can end; 0 if none can.
    tags_end: usize,
    comments_end: usize,
    sections_end: usize,
    /// Names of skipped elements for which no end tag follows, so that none is searched for again.
    unclosed: Vec<&'static str>,
}

impl<'m> Iterator for Tokens<'m> {
    type Item = MarkupToken<'m>;

    fn next(&mut self) -> Option<MarkupToken<'m>> {
        loop {
            let rest = self.rest;
            if rest.is_empty() {
                return None;
            }
            let Some(after) = rest.strip_prefix('<') else {
                let end = rest.find('<').unwrap_or(rest.len());
                let (text, rest) = rest.split_at_checked(end)?;
                self.rest = rest;
                return Some(MarkupToken::Text(text));
            };
            let at = self.markup.len() - after.len();
            if after.starts_with("!--") && at + "!--".len() < self.comments_end {
                // Only the `!` is skipped, because "<!-->" is a complete comment.
                self.rest = after.get(1..)?.split_once("-->").map_or("", |(_, rest)| rest);
            } else if let Some(section) = after.strip_prefix("![CDATA[").filter(|_| at < self.sections_end) {
                let (text, rest) = section.split_once("]]>").unwrap_or((section, ""));
                self.rest = rest;
                return Some(MarkupToken::Verbatim(text));
            } else if at >= self.tags_end {
                return self.less_than(after);
            } else if after.starts_with(['!', '?']) {
                self.rest = after.split_once('>').map_or("", |(_, rest)| rest);
            } else if let Some(end) = after.strip_prefix('/').filter(|end| begins_name(end)) {
                let (inner, rest) = end.split_once('>').unwrap_or((end, ""));
                self.rest = rest;
                return Some(MarkupToken::End(name(inner)));
            } else if begins_name(after) {
                let (inner, rest) = split_tag(after);
                let tag = Tag { inner };
                self.rest = rest;
                match self.content_of(tag) {
                    ElementContent::Text => return Some(MarkupToken::Start(tag)),
                    ElementContent::Frame if !tag.is_closed() => {
                        self.skip_to_end("iframe");
                        return Some(MarkupToken::Start(tag));
                    }
                    ElementContent::Frame => return Some(MarkupToken::Start(tag)),
                    ElementContent::Formula => {
                        if let Some(formula) = self.skip_to_end("math") {
                            return Some(MarkupToken::Math(tag, formula));
                        }
                    }
                    ElementContent::None(name) if !tag.is_closed() => {
                        self.skip_to_end(name);
                    }
                    ElementContent::None(_) => {}
                }
            } else {
                return self.less_than(after);
            }
        }
    }
}

impl<'m> Tokens<'m> {
    /// Returns a `<` that begins no markup as text.
    fn less_than(&mut self, after: &'m str) -> Option<MarkupToken<'m>> {
        let (bracket, _) = self.rest.split_at_checked(1)?;
        self.rest = after;
        Some(MarkupToken::Text(bracket))
    }

    /// How to read the content of the element that starts here.
    fn content_of(&self, tag: Tag<'_>) -> ElementContent {
        const SKIPPED: [&str; 5] = ["script", "style", "head", "template", "svg"];
        let name = tag.name();
        match name.as_str() {
            "math" if !tag.is_closed() => ElementContent::Formula,
            "iframe" => ElementContent::Frame,
            _ => SKIPPED.into_iter().find(|known| *known == name).map_or(ElementContent::Text, ElementContent::None),
        }
    }

    /// Skips the content and the end tag of the element that has just been opened, and returns the content; `None` if
    /// the element has no end tag.
    fn skip_to_end(&mut self, name: &'static str) -> Option<&'m str> {
        if self.unclosed.contains(&name) {
            return None;
        }
        let Some((content, rest)) = split_at_end(self.rest, name) else {
            self.unclosed.push(name);
            return None;
        };
        self.rest = rest;
        Some(content)
    }
}

/// How the content of an element is read.
enum ElementContent {
    /// Text and other elements.
    Text,
    /// Nothing that belongs to the body: skipped. Holds the element's name.
    None(&'static str),
    /// A fallback for browsers without frames: skipped.
    Frame,
    Formula,
}

fn begins_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
}

/// Splits a start tag from the text after it. A `>` in a quoted value does not end the tag, unless the quotation mark
/// is never closed.
fn split_tag(tag: &str) -> (&str, &str) {
    let mut at = 0;
    let mut value_begins = false;
    while let Some(c) = tag.get(at..).and_then(|rest| rest.chars().next()) {
        match c {
            '>' => return (tag.get(..at).unwrap_or_default(), tag.get(at + 1..).unwrap_or_default()),
            '"' | '\'' if value_begins => match tag.get(at + 1..).and_then(|rest| rest.find(c)) {
                Some(length) => at += length + 1,
                None => break,
            },
            _ => {}
        }
        value_begins = c == '=' || value_begins && c.is_ascii_whitespace();
        at += c.len_utf8();
    }
    tag.split_once('>').unwrap_or((tag, ""))
}

/// Splits the text at the first end tag with this name. The tag itself is in neither part.
fn split_at_end<'m>(rest: &'m str, name: &str) -> Option<(&'m str, &'m str)> {
    rest.match_indices("</").find_map(|(at, end)| {
        let tag = rest.get(at + end.len()..)?;
        let named = tag.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
        named.then(|| (rest.get(..at).unwrap_or_default(), tag.split_once('>').map_or("", |(_, rest)| rest)))
    })
}
