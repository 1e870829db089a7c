//! Markdown (CommonMark) with YAML front matter.
//!
//! Markdown loses: blank lines, and white space around lines, within a block; line breaks in a subheading; the credit
//! of a picture, which becomes its title; an embed, which becomes a paragraph with a link; the URL of a picture that is
//! neither http nor https; and how sure a reader was of the kind of a block. A correction note becomes a paragraph,
//! which a reader recognises by its first words. Invisible characters are written as escapes or character references.
//! Front matter of more than 64 KiB is not read back.

use super::{Item, web_url};
use crate::model::unseen::{in_markup, in_yaml};
use crate::model::{Block, BlockKind, ClaimedTime};

pub(super) fn write(item: &Item) -> String {
    let mut document = front_matter(item);
    let mut mark = ListMarker::default();
    for block in &item.content.blocks {
        let block = block_of(block, &mut mark);
        if !block.is_empty() {
            document.push('\n');
            document.push_str(&block);
            document.push('\n');
        }
    }
    document
}

/// The fields as YAML. Each value is a JSON string or an array of strings, which is valid YAML too.
fn front_matter(item: &Item) -> String {
    let content = &item.content;
    let text = |text: &str| if text.is_empty() { None } else { serde_json::to_string(text).ok() };
    let texts = |texts: &[String]| if texts.is_empty() { None } else { serde_json::to_string(texts).ok() };
    let claimed = |claim: Option<&ClaimedTime>| claim.and_then(|claim| text(&claim.iso()));
    let urls: Vec<String> = item.other_urls().map(str::to_owned).collect();
    let reason = item.withdrawn.as_ref().map(|withdrawal| withdrawal.reason.as_str());
    let since = item.withdrawn.as_ref().and_then(|withdrawal| withdrawal.since);
    let rows = [
        ("headline", text(&content.headline)),
        ("standfirst", text(&content.standfirst)),
        ("bylines", texts(&content.bylines)),
        ("section", text(&content.section)),
        ("language", text(&content.language)),
        ("canonical_url", text(&content.canonical_url)),
        ("other_urls", texts(&urls)),
        ("publish_time", claimed(content.publish_time.as_ref())),
        ("modify_time", claimed(content.modify_time.as_ref())),
        ("keywords", texts(&content.keywords)),
        ("rights", text(&content.rights)),
        ("labels", texts(&item.labels)),
        ("source", text(item.article.source.as_str())),
        ("observe_time", text(&item.observe_time.to_string())),
        ("archive_time", text(&item.archive_time.to_string())),
        ("revision", text(&item.revision_name())),
        ("content_digest", text(&item.digest_hex())),
        ("state", item.withdrawn.as_ref().and_then(|_| text("withdrawn"))),
        ("withdrawn_since", since.and_then(|since| text(&since.to_string()))),
        ("withdrawn_reason", reason.and_then(text)),
    ];
    let rows = rows.into_iter().filter_map(|(key, value)| Some(format!("{key}: {}\n", value?)));
    format!("---\n{}---\n", in_yaml(&rows.collect::<String>()))
}

/// The marker of the preceding list. Two adjacent lists with the same marker would be read as one.
#[derive(Default)]
struct ListMarker {
    /// Whether the preceding block is an ordered list; `None` if it is not a list.
    before: Option<bool>,
    /// Whether that list uses the alternative marker (`*` or `1)`).
    other: bool,
}

fn block_of(block: &Block, mark: &mut ListMarker) -> String {
    let before = mark.before.take();
    match &block.kind {
        BlockKind::Paragraph { text } | BlockKind::CorrectionNote { text } => lines(text, ""),
        BlockKind::Subheading { text } => {
            // Readers with heading attributes take braces at the end for attributes, even when escaped.
            let text = inline(&text.replace(['\n', '\r'], " ")).replace('#', "\\#");
            format!("## {}", text.replace('{', "&#123;").replace('}', "&#125;"))
        }
        BlockKind::Caption { text, image_url, credit } => caption(text, image_url, credit),
        BlockKind::Quote { text, attribution } => {
            let name =
                if attribution.is_empty() { String::new() } else { format!("\n>\n> \u{2014} {}", inline(attribution)) };
            format!("> {}{name}", lines(text, "> "))
        }
        BlockKind::List { items, ordered } => {
            mark.other = before == Some(*ordered) && !mark.other;
            mark.before = Some(*ordered);
            list(items, *ordered, mark.other)
        }
        BlockKind::Embed { url, text } => match web_url(url) {
            Some(url) if text.is_empty() => format!("[{}]({})", inline(&url), destination(&url)),
            Some(url) => format!("[{}]({})", lines(text, ""), destination(&url)),
            None => lines(text, ""),
        },
    }
}

fn caption(text: &str, url: &str, credit: &str) -> String {
    // The title of a picture without a description would be read as its description.
    let title = if credit.is_empty() || text.trim().is_empty() {
        String::new()
    } else {
        format!(" \"{}\"", inline(&credit.replace(['\n', '\r'], " ")).replace('"', "\\\""))
    };
    let url = web_url(url).and(Some(url)).unwrap_or_default();
    format!("![{}]({}{title})", lines(text, ""), destination(url))
}

/// A link destination. It is put in angle brackets if it has characters that would end it or be read as markup.
fn destination(url: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~:/?#@!$,;=%+".contains(c);
    if !url.is_empty() && url.chars().all(is_plain) {
        return url.to_owned();
    }
    let mut written = String::from("<");
    for c in url.chars() {
        match c {
            '<' | '>' | '\\' => written.extend(['\\', c]),
            '&' => written.push_str("&amp;"),
            '\n' | '\r' => written.push(' '),
            c => written.push(c),
        }
    }
    written.push('>');
    in_markup(&written).into_owned()
}

fn list(items: &[String], ordered: bool, other: bool) -> String {
    let item = |(index, text): (usize, &String)| {
        let mark = match (ordered, other) {
            (false, false) => "- ".to_owned(),
            (false, true) => "* ".to_owned(),
            (true, false) => format!("{}. ", index + 1),
            (true, true) => format!("{}) ", index + 1),
        };
        format!("{mark}{}", lines(text, &" ".repeat(mark.len())))
    };
    items.iter().enumerate().map(item).collect::<Vec<_>>().join("\n")
}

/// Escapes text and writes its line breaks as hard breaks. Each line after the first starts with `indent`.
fn lines(text: &str, indent: &str) -> String {
    let lines = text.trim().split('\n').map(|line| opening(&inline(line.trim())));
    lines.collect::<Vec<_>>().join(&format!("\\\n{indent}"))
}

/// Escapes the beginning of a line so that it does not start a heading, a list or another block.
fn opening(line: &str) -> String {
    let digits = line.len() - line.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    match line.split_at_checked(digits) {
        Some((number, rest)) if digits > 0 && rest.starts_with(['.', ')']) => format!("{number}\\{rest}"),
        Some(_) if line.starts_with(['#', '+', '-', '=', '~', '>', ':']) => format!("\\{line}"),
        Some(_) | None => line.to_owned(),
    }
}

/// Escapes the characters that would begin inline markup.
fn inline(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        let is_special = match c {
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '|' => true,
            '&' => begins_reference(text.get(at + 1..).unwrap_or_default()),
            _ => false,
        };
        if is_special {
            written.push('\\');
        }
        written.push(c);
    }
    in_markup(&written).into_owned()
}

/// Whether `text` completes a character reference when it follows an ampersand.
fn begins_reference(text: &str) -> bool {
    let name = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '#'));
    name.is_some_and(|end| end > 0 && text.get(end..).is_some_and(|rest| rest.starts_with(';')))
}
