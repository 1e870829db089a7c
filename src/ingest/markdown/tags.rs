//! Reduces HTML within Markdown to its text. This is not an HTML parser: it drops everything in angle brackets and the
//! content of scripts and styles, and never fails.

use std::collections::BTreeSet;

/// Returns the text of a piece of HTML, and adds the names of elements whose formatting or content is lost to `lost`.
pub(super) fn text_of(html: &str, lost: &mut BTreeSet<String>) -> String {
    let mut text = String::new();
    let mut rest = html;
    // An opening bracket with no closing bracket after it is text. The last closing bracket is looked for only once, so
    // that the time is linear.
    let tags_end = html.rfind('>').unwrap_or(0);
    while let Some((before, after)) = rest.split_once('<').filter(|(_, after)| html.len() - after.len() <= tags_end) {
        text.push_str(before);
        rest = match after.chars().next() {
            Some('!' | '?') => skip_comment(after),
            Some(c) if c.is_ascii_alphabetic() || c == '/' => skip_tag(after, &mut text, lost),
            _ => {
                text.push('<');
                after
            }
        };
    }
    text.push_str(rest);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if html.contains('\n') { unescape(&lines.join("\n")) } else { unescape(&text) }
}

fn skip_comment(after: &str) -> &str {
    let end = if after.starts_with("!--") { "-->" } else { ">" };
    after.split_once(end).map_or("", |(_, rest)| rest)
}

fn skip_tag<'a>(after: &'a str, text: &mut String, lost: &mut BTreeSet<String>) -> &'a str {
    // Elements whose loss is not worth a note.
    const UNNOTED: [&str; 22] = [
        "a", "abbr", "b", "br", "cite", "code", "div", "em", "i", "kbd", "li", "mark", "ol", "p", "section", "small",
        "span", "strong", "sub", "sup", "u", "ul",
    ];
    let closing = after.starts_with('/');
    let name: String = after.trim_start_matches('/').chars().take_while(char::is_ascii_alphanumeric).collect();
    let name = name.to_ascii_lowercase();
    let rest = after_tag(after);
    if matches!(name.as_str(), "br" | "p" | "div" | "li" | "tr") {
        text.push('\n');
    }
    if !closing && !UNNOTED.contains(&name.as_str()) {
        lost.insert(name.clone());
    }
    match name.as_str() {
        "script" | "style" if !closing => skip_element(rest, &name),
        _ => rest,
    }
}

/// The text after a tag. A bracket in a quoted attribute does not end the tag, unless the quotation is unclosed. If the
/// tag has no end, its name and what follows count as text.
fn after_tag(tag: &str) -> &str {
    let mut quote = None;
    for (at, c) in tag.char_indices() {
        match (quote, c) {
            (None, '>') => return tag.get(at + 1..).unwrap_or_default(),
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            _ => {}
        }
    }
    tag.split_once('>').map_or(tag, |(_, rest)| rest)
}

fn skip_element<'a>(rest: &'a str, name: &str) -> &'a str {
    let is_end = |at: usize| {
        let tag = rest.get(at + "</".len()..).and_then(|tag| tag.get(..name.len()));
        tag.is_some_and(|tag| tag.eq_ignore_ascii_case(name))
    };
    rest.match_indices("</").find_map(|(at, _)| is_end(at).then(|| rest.get(at..))?).unwrap_or_default()
}

/// Replaces the few character references that are common in Markdown.
fn unescape(text: &str) -> String {
    if !text.contains('&') {
        return text.to_owned();
    }
    [("&nbsp;", " "), ("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")]
        .iter()
        .fold(text.to_owned(), |text, (entity, plain)| text.replace(entity, plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_is_reduced_to_its_text() {
        for (html, text, lost) in [
            ("<div class=\"a>b\">\n<p>One &amp; <b>two</b></p>\n</div>", "One & two", ""),
            ("<iframe src='x'></iframe>", "", "iframe"),
            ("<script>\nlet a = '<b>';\n</script>\nAfter", "After", "script"),
            ("<!-- gone\nand gone -->\nStays", "Stays", ""),
            ("a <b title=\"oops>c</b>", "a c", ""),
            ("<STYLE></sTyle >x", "x", "style"),
            ("1 < 2", "1 < 2", ""),
            ("<style>p{}", "", "style"),
            ("&amp;lt;", "&lt;", ""),
        ] {
            let mut tags = BTreeSet::new();
            assert_eq!(text_of(html, &mut tags), text, "{html:?}");
            assert_eq!(tags.into_iter().collect::<String>(), lost, "{html:?}");
        }
    }
}
