//! Plain text for people. It is not meant to be read back by `ingest`.

use super::Item;
use crate::model::{Block, BlockKind, ClaimedTime};

pub(super) fn write(item: &Item) -> String {
    let content = &item.content;
    let head = [&content.headline, &content.standfirst].into_iter().filter(|text| !text.is_empty());
    let mut parts: Vec<String> = head.cloned().collect();
    if !content.bylines.is_empty() {
        parts.push(format!("By {}", content.bylines.join(", ")));
    }
    parts.push(facts(item));
    parts.extend(content.blocks.iter().map(block));
    if !content.rights.is_empty() {
        parts.push(content.rights.clone());
    }
    let mut text = parts.join("\n\n");
    text.push('\n');
    text
}

/// The facts that the archive has about the revision, one per line; empty ones are left out.
fn facts(item: &Item) -> String {
    let content = &item.content;
    let claimed = |claim: Option<&ClaimedTime>| claim.map(ClaimedTime::iso).unwrap_or_default();
    let withdrawn = item.withdrawn.as_ref().map(|withdrawal| {
        let since = withdrawal.since.map(|since| format!("since {since}")).unwrap_or_default();
        [since, withdrawal.reason.clone()].join(" ").trim().to_owned()
    });
    let rows = [
        ("Article", item.article.to_string()),
        ("Revision", format!("{} of {}", item.revision, item.revision_count)),
        ("Withdrawn", withdrawn.unwrap_or_default()),
        ("Published", claimed(content.publish_time.as_ref())),
        ("Modified", claimed(content.modify_time.as_ref())),
        ("Observed", item.observe_time.to_string()),
        ("Archived", item.archive_time.to_string()),
        ("Section", content.section.clone()),
        ("Language", content.language.clone()),
        ("Keywords", content.keywords.join(", ")),
        ("Labels", item.labels.join(", ")),
        ("URL", content.canonical_url.clone()),
        ("SHA-256", item.digest_hex()),
    ];
    let rows = rows.iter().filter(|(_, value)| !value.is_empty());
    rows.map(|(label, value)| format!("{label}: {value}")).collect::<Vec<_>>().join("\n")
}

fn block(block: &Block) -> String {
    match &block.kind {
        BlockKind::Paragraph { text } | BlockKind::Subheading { text } | BlockKind::CorrectionNote { text } => {
            text.clone()
        }
        BlockKind::Caption { text, image_url, credit } => bracketed("Picture", &[text, credit, image_url]),
        BlockKind::Quote { text, attribution } => {
            let name = if attribution.is_empty() { String::new() } else { format!("\n    \u{2014} {attribution}") };
            format!("    {}{name}", text.replace('\n', "\n    "))
        }
        BlockKind::List { items, ordered } => list(items, *ordered),
        BlockKind::Embed { url, text } => bracketed("Embedded", &[text, url]),
    }
}

/// `[Picture: The bridge. Ana Reis. https://…]`.
fn bracketed(what: &str, parts: &[&String]) -> String {
    let parts: Vec<&str> = parts.iter().map(|part| part.as_str()).filter(|part| !part.is_empty()).collect();
    format!("[{what}: {}]", parts.join(" \u{2013} "))
}

fn list(items: &[String], ordered: bool) -> String {
    let line = |(index, item): (usize, &String)| {
        let mark = if ordered { format!("{}. ", index + 1) } else { "- ".to_owned() };
        format!("{mark}{}", item.replace('\n', &format!("\n{}", " ".repeat(mark.len()))))
    };
    items.iter().enumerate().map(line).collect::<Vec<_>>().join("\n")
}
