//! Self-contained HTML pages: one shows a revision, the other compares two.
//!
//! A page has no scripts and loads nothing, so pictures are links; its content security policy enforces this. All text
//! is escaped, and only http and https URLs become links.

mod body;
mod compare;
mod facts;
mod language;

use htmlize::{escape_all_quotes, escape_text};

pub use self::compare::compare;
use self::facts::{facts, shown};
pub(crate) use self::language::is_rtl;
use super::{Item, web_url};

const STYLE: &str = include_str!("page.css");

/// Writes the page that shows a revision.
pub fn revision(item: &Item) -> String {
    let content = &item.content;
    let mut main = String::new();
    if let Some(withdrawn) = &item.withdrawn {
        let since = withdrawn.since.map(|since| format!(" on {}", time(since))).unwrap_or_default();
        let reason =
            if withdrawn.reason.is_empty() { String::new() } else { format!(": {}", escape_text(&withdrawn.reason)) };
        main.push_str(&format!(
            "<p class=\"note\" lang=\"en\" dir=\"ltr\">The publisher took this article down{since}{reason}.</p>\n"
        ));
    }
    main.push_str(&format!("<article{}>\n<header>\n", language::attributes(&content.language)));
    main.push_str(&format!("<h1>{}</h1>\n", escape_text(&content.headline)));
    if !content.standfirst.is_empty() {
        main.push_str(&format!("<p class=\"standfirst\">{}</p>\n", escape_text(&content.standfirst)));
    }
    if !content.bylines.is_empty() {
        main.push_str(&format!("<p class=\"byline\">{}</p>\n", escape_text(content.bylines.join(", "))));
    }
    let dates = [("Published", &content.publish_time), ("Updated", &content.modify_time)];
    let dates = dates.into_iter().filter_map(|(label, claim)| Some(format!("{label} {}", shown(claim.as_ref()?))));
    let dates = dates.collect::<Vec<_>>().join(" · ");
    if !dates.is_empty() {
        main.push_str(&format!("<p class=\"dates\" lang=\"en\" dir=\"ltr\">{dates}</p>\n"));
    }
    main.push_str("</header>\n");
    content.blocks.iter().for_each(|block| main.push_str(&body::block(&block.kind)));
    if !content.rights.is_empty() {
        main.push_str(&format!("<p class=\"rights\">{}</p>\n", escape_text(&content.rights)));
    }
    main.push_str("</article>\n");
    main.push_str(&facts(item, "About this copy"));
    page(&content.headline, &main)
}

fn page(title: &str, main: &str) -> String {
    let title = escape_text(title);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; \
         form-action 'none'; base-uri 'none'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n<meta name=\"generator\" content=\"Dateline\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{main}</main>\n</body>\n</html>\n"
    )
}

/// A URL as a link, or as text if it is neither http nor https.
fn link(url: &str) -> String {
    link_with(url, url)
}

/// A text as a link to a URL, or as text alone if the URL is neither http nor https.
fn link_with(url: &str, text: &str) -> String {
    let text = escape_text(text);
    match web_url(url) {
        Some(url) => format!("<a href=\"{}\" rel=\"noopener noreferrer\">{text}</a>", escape_all_quotes(url)),
        None => text.into_owned(),
    }
}

/// An instant as a `<time>` element, readable by people and by programs.
fn time(time: crate::model::Timestamp) -> String {
    let text = time.to_jiff().strftime("%-d %B %Y, %H:%M:%S UTC");
    format!("<time datetime=\"{time}\">{text}</time>")
}
