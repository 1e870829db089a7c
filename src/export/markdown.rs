//! Markdown (CommonMark) with YAML front matter.
//!
//! It can't hold: blank lines, and white space around lines, within a block; line ends in a crosshead; the credit of a
//! picture, which stands as its title; an embed, which is a paragraph with a link; the address of a picture that is not one of
//! the web; and how sure a reader was of the kind of a block. What cannot be seen is written as an escape or a character
//! reference. A correction note is a paragraph, known by its first words. Front matter of more than 64 KiB is not read
//! back.

use super::{Item, iso, web_url};
use crate::model::unseen::{in_markup, in_yaml};
use crate::model::{Block, BlockKind, ClaimedTime};

pub(super) fn write(item: &Item) -> String {
    let mut document = front_matter(item);
    let mut mark = Mark::default();
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

/// The fields, as YAML. Each value is a JSON text or a list of such, which YAML takes in.
fn front_matter(item: &Item) -> String {
    let content = &item.content;
    let text = |text: &str| if text.is_empty() { None } else { serde_json::to_string(text).ok() };
    let texts = |texts: &[String]| if texts.is_empty() { None } else { serde_json::to_string(texts).ok() };
    let claimed = |claim: Option<&ClaimedTime>| claim.and_then(|claim| text(&iso(claim)));
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
        ("labels", texts(&content.labels)),
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

/// How the list before was marked: two lists of one mark would be one list.
#[derive(Default)]
struct Mark {
    /// Whether the block before was a list, and an ordered one.
    before: Option<bool>,
    other: bool,
}

fn block_of(block: &Block, mark: &mut Mark) -> String {
    let before = mark.before.take();
    match &block.kind {
        BlockKind::Paragraph { text } | BlockKind::CorrectionNote { text } => lines(text, ""),
        BlockKind::Crosshead { text } => {
            // What ends a heading in braces is its attributes, escaped or not.
            let text = inline(&text.replace(['\n', '\r'], " ")).replace('#', "\\#");
            format!("## {}", text.replace('{', "&#123;").replace('}', "&#125;"))
        }
        BlockKind::Caption { text, figure_url, credit } => caption(text, figure_url, credit),
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
    // A picture without a description is described by its title.
    let title = if credit.is_empty() || text.trim().is_empty() {
        String::new()
    } else {
        format!(" \"{}\"", inline(&credit.replace(['\n', '\r'], " ")).replace('"', "\\\""))
    };
    let url = web_url(url).and(Some(url)).unwrap_or_default();
    format!("![{}]({}{title})", lines(text, ""), destination(url))
}

/// An address, within angle brackets where it has what would end it or be read as something else.
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

/// Text with hard breaks for its line ends, each further line behind `indent`.
fn lines(text: &str, indent: &str) -> String {
    let lines = text.trim().split('\n').map(|line| opening(&inline(line.trim())));
    lines.collect::<Vec<_>>().join(&format!("\\\n{indent}"))
}

/// A line that begins no block.
fn opening(line: &str) -> String {
    let digits = line.len() - line.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    match line.split_at_checked(digits) {
        Some((number, rest)) if digits > 0 && rest.starts_with(['.', ')']) => format!("{number}\\{rest}"),
        Some(_) if line.starts_with(['#', '+', '-', '=', '~', '>', ':']) => format!("\\{line}"),
        Some(_) | None => line.to_owned(),
    }
}

/// Text in which nothing is markup.
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

/// Whether an ampersand before this would be read as a character.
fn begins_reference(text: &str) -> bool {
    let name = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '#'));
    name.is_some_and(|end| end > 0 && text.get(end..).is_some_and(|rest| rest.starts_with(';')))
}
