//! Converts an entry of a feed to a document.

use feed_rs::model::{self, Link, Text};
use oxilangtag::LanguageTag;
use sha2::{Digest, Sha256};
use url::Url;

use super::Entry;
use super::stamps::Stamps;
use crate::ingest::{Document, Guess, IngestError, Options, markup, source_id};
use crate::model::{Block, BlockKind, ClaimedTime, Content};

/// A summary with more characters than this is not a standfirst.
const STANDFIRST_CHARS_MAX: usize = 600;

/// What the feed states once for all of its entries.
pub(super) struct FeedMetadata {
    pub(super) title: String,
    language: String,
    rights: String,
}

impl FeedMetadata {
    pub(super) fn of(feed: &model::Feed) -> Self {
        let language = feed.language.as_deref().unwrap_or_default();
        Self {
            title: feed.title.as_ref().map(plain).unwrap_or_default(),
            language: LanguageTag::parse_and_normalize(language).map(LanguageTag::into_inner).unwrap_or_default(),
            rights: feed.rights.as_ref().map(plain).unwrap_or_default(),
        }
    }
}

pub(super) fn read(mut entry: model::Entry, metadata: &FeedMetadata, stamps: &Stamps, options: &Options) -> Entry {
    let times = EntryTimes { published: stamps.claim(entry.published), updated: stamps.claim(entry.updated) };
    entry.published = Stamps::instant(entry.published);
    entry.updated = Stamps::instant(entry.updated);
    // The entry contains no maps, so it always serialises to the same bytes.
    let fingerprint = Sha256::digest(serde_json::to_vec(&entry).unwrap_or_default()).into();
    let url = entry.links.iter().filter(|link| is_page(link)).find_map(|link| web_address(&link.href, options));
    let document = document(&entry, url.as_ref(), metadata, times);
    Entry { id: entry.id, url, fingerprint, document }
}

/// The claimed times of an entry.
struct EntryTimes {
    published: Option<ClaimedTime>,
    updated: Option<ClaimedTime>,
}

fn document(
    entry: &model::Entry,
    url: Option<&Url>,
    metadata: &FeedMetadata,
    times: EntryTimes,
) -> Result<Document, IngestError> {
    let headline = entry.title.as_ref().map(plain).unwrap_or_default();
    if headline.is_empty() {
        return Err(IngestError::NoHeadline { reason: "the entry has no title".to_owned() });
    }
    let mut guesses = Vec::new();
    let (standfirst, blocks) = body(entry, url, &mut guesses);
    let content = Content {
        headline,
        standfirst,
        bylines: entry.authors.iter().filter_map(|author| non_empty(author.name.as_deref()?)).collect(),
        language: metadata.language.clone(),
        canonical_url: url.map(Url::to_string).unwrap_or_default(),
        publish_time: times.published,
        modify_time: times.updated.filter(|_| entry.updated != entry.published),
        keywords: keywords(entry),
        rights: entry.rights.as_ref().map_or_else(|| metadata.rights.clone(), plain),
        blocks,
        ..Content::default()
    };
    let publication = non_empty(&metadata.title);
    let source = publication.as_deref().and_then(source_id);
    Ok(Document { content, publication, source, guesses, ..Document::default() }.sanitize())
}

/// The standfirst and the body. If an entry has both content and summary, the summary is the standfirst, unless it is
/// too long or the content starts with the same text.
fn body(entry: &model::Entry, base: Option<&Url>, guesses: &mut Vec<Guess>) -> (String, Vec<Block>) {
    let content = entry.content.as_ref().and_then(|content| Some((content.body.as_deref()?, &content.content_type)));
    let content = content.map(|(body, media_type)| blocks(body, media_type.as_str(), base)).unwrap_or_default();
    let summary = |summary: &Text| blocks(&summary.content, summary.content_type.as_str(), base);
    let summary = entry.summary.as_ref().map(summary).unwrap_or_default();
    if content.is_empty() {
        let (value, why) = match summary.is_empty() {
            true => ("none", "the feed has neither content nor a summary for this entry"),
            false => ("the summary", "the feed has no content for this entry"),
        };
        guesses.push(Guess::new("body", value, why));
        return (String::new(), summary);
    }
    let standfirst = text_of(&summary);
    let opens_body = text_of(&content).starts_with(standfirst.trim_end_matches(['.', '…', ' ']));
    let is_short = standfirst.chars().count() <= STANDFIRST_CHARS_MAX;
    (if is_short && !opens_body { standfirst } else { String::new() }, content)
}

/// Reads a body according to its media type. In plain text, each line is a paragraph.
fn blocks(body: &str, media_type: &str, base: Option<&Url>) -> Vec<Block> {
    if media_type.contains("html") || media_type.contains("xml") {
        return markup::blocks(body, base);
    }
    let paragraphs = body.lines().filter_map(non_empty);
    paragraphs.map(|text| BlockKind::Paragraph { text }.into()).collect()
}

/// The text of paragraphs and quotes, on one line.
fn text_of(blocks: &[Block]) -> String {
    let texts = blocks.iter().filter_map(|block| match &block.kind {
        BlockKind::Paragraph { text } | BlockKind::Quote { text, .. } => Some(text.as_str()),
        BlockKind::Subheading { .. }
        | BlockKind::Caption { .. }
        | BlockKind::List { .. }
        | BlockKind::Embed { .. }
        | BlockKind::CorrectionNote { .. } => None,
    });
    texts.collect::<Vec<_>>().join(" ")
}

fn keywords(entry: &model::Entry) -> Vec<String> {
    let named = entry.categories.iter().map(|category| category.label.as_deref().unwrap_or(&category.term));
    named.filter_map(non_empty).collect()
}

/// The text of a title or similar field, without markup, on one line.
fn plain(text: &Text) -> String {
    // RSS does not say whether a title is markup.
    let is_markup = text.content_type.as_str().contains("html") || markup::is_markup(&text.content);
    if is_markup { markup::text(&text.content) } else { markup::one_line(&markup::unescape(&text.content)) }
}

fn non_empty(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// Whether a link leads to the entry's page.
fn is_page(link: &Link) -> bool {
    link.rel.as_deref().is_none_or(|rel| rel == "alternate")
}

fn web_address(href: &str, options: &Options) -> Option<Url> {
    let parsed = match &options.url {
        Some(base) => base.join(href.trim()),
        None => Url::parse(href.trim()),
    };
    parsed.ok().filter(|url| matches!(url.scheme(), "http" | "https"))
}
