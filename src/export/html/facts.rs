//! The table of facts about a revision: its name, times, digest, and position in the article's history.

use htmlize::escape_text;

use super::super::Item;
use super::{link, time};
use crate::model::unseen::visible;
use crate::model::{ClaimedTime, Precision};

/// Writes the facts as a definition list under a heading; empty ones are left out.
pub(super) fn facts(item: &Item, heading: &str) -> String {
    let content = &item.content;
    let text = |text: &str| (!text.is_empty()).then(|| escape_text(&*visible(text)).into_owned());
    let in_force = item.valid_from.map(|from| match item.valid_until {
        Some(until) => format!("from {} until {}", time(from), time(until)),
        None => format!("from {}", time(from)),
    });
    let others: Vec<String> = item.other_urls().map(link).collect();
    let digest = item.digest_hex();
    let rows = [
        ("Article", Some(format!("<code>{}</code>", escape_text(item.article.to_string())))),
        ("Revision", Some(format!("{} of {}", item.revision, item.revision_count))),
        ("Observed", Some(time(item.observe_time))),
        ("Archived", Some(time(item.archive_time))),
        ("In force", in_force),
        ("Address", (!content.canonical_url.is_empty()).then(|| link(&content.canonical_url))),
        ("Also at", (!others.is_empty()).then(|| others.join("<br>"))),
        ("Section", text(&content.section)),
        ("Language", text(&content.language)),
        ("Keywords", text(&content.keywords.join(", "))),
        ("Labels", text(&item.labels.join(", "))),
        ("Words", Some(content.word_count().to_string())),
        ("SHA-256", Some(format!("<code>{digest}</code>"))),
    ];
    let rows = rows.into_iter().filter_map(|(label, value)| Some(format!("<dt>{label}</dt><dd>{}</dd>\n", value?)));
    let rows: String = rows.collect();
    format!("<section class=\"facts\" lang=\"en\" dir=\"ltr\">\n<h2>{heading}</h2>\n<dl>\n{rows}</dl>\n</section>\n")
}

/// Formats a claimed time, no more precise than the claim. If it was relative, the words it was read from follow.
pub(super) fn shown(claim: &ClaimedTime) -> String {
    let date = claim.time.to_jiff();
    let text = match claim.precision {
        Precision::Instant => return time(claim.time),
        Precision::Day => date.strftime("%-d %B %Y"),
        Precision::Month => date.strftime("%B %Y"),
        Precision::Year => date.strftime("%Y"),
    };
    let words = if claim.relative && !claim.words.is_empty() {
        format!(" (\u{201c}{}\u{201d})", escape_text(&claim.words))
    } else {
        String::new()
    };
    format!("<time datetime=\"{}\">{text}</time>{words}", claim.iso())
}
