//! Syndication feeds: RSS 0.9x, 1.0 and 2.0, Atom, and JSON Feed. Each entry becomes a document.
//!
//! The crate feed-rs parses the formats. This module maps an entry's fields to an article, and reads its times from the
//! words in the feed, so that a date without a time of day keeps the precision of a day. An unusable entry does not
//! affect the others.

mod entry;
mod stamps;

use std::collections::{HashMap, HashSet};

use feed_rs::model::Link;
use feed_rs::parser::{self, ParseFeedError};
use url::Url;

use self::stamps::Stamps;
use super::format::{DOCUMENT_BYTES_MAX, markup};
use super::html::charset;
use super::{Document, IngestError, Options, unless_it_panics};

/// One entry of a feed.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Identifies the entry within the feed: the entry's own id, or else its URL, or else its title. If several entries
    /// share that id, the URL or the title is appended on a second line.
    pub id: String,
    /// The page that the entry links to.
    pub url: Option<Url>,
    /// SHA-256 over the entry as parsed. It changes when anything about the entry changes in the feed.
    pub fingerprint: [u8; 32],
    /// The entry as a document, from the feed alone; the linked page is not read.
    pub document: Result<Document, IngestError>,
}

/// Reads the entries of a feed, in feed order, which is usually newest first. No two entries have the same id. Relative
/// links are resolved against `options.url`, the feed's own address.
///
/// # Errors
/// [`IngestError::NotAFeed`] if the bytes are not a feed, [`IngestError::TooLarge`] if there are too many bytes, and
/// [`IngestError::Unreasonable`] if the parser panics.
pub fn read(bytes: &[u8], options: &Options) -> Result<Vec<Entry>, IngestError> {
    if bytes.len() > DOCUMENT_BYTES_MAX {
        return Err(IngestError::TooLarge { bytes: bytes.len() });
    }
    unless_it_panics(|| read_text(&text_of(bytes, options), options))
}

/// Decodes the feed, and drops the XML declaration, whose encoding no longer applies.
///
/// The parser's own decoding is never used. It ignores the charset of the HTTP header and does not support all forms of
/// UTF-16; one form ends the process.
fn text_of(bytes: &[u8], options: &Options) -> String {
    let (text, _) = charset::decode(bytes, options.charset.as_deref());
    let rest = text.trim_start();
    let declaration = rest.starts_with("<?xml").then(|| rest.split_once("?>")).flatten();
    declaration.map_or(rest, |(_, rest)| rest).to_owned()
}

fn read_text(text: &str, options: &Options) -> Result<Vec<Entry>, IngestError> {
    let stamps = Stamps::default();
    let parser = parser::Builder::new()
        .base_uri(options.url.as_ref())
        .sanitize_content(false)
        .id_generator(|links, title, _| derived_id(links, title.as_ref().map(|title| title.content.as_str())))
        .timestamp_parser(stamps.reader())
        .build();
    let feed = parser.parse(text.as_bytes()).map_err(|error| feed_error(text, &error))?;
    let metadata = entry::FeedMetadata::of(&feed);
    let mut entries: Vec<Entry> =
        feed.entries.into_iter().map(|entry| entry::read(entry, &metadata, &stamps, options)).collect();
    make_ids_unique(&mut entries);
    Ok(entries)
}

/// An id for an entry that has none. It is the same each time the feed is read, unlike the id that feed-rs generates,
/// which may be random.
fn derived_id(links: &[Link], title: Option<&str>) -> String {
    links.first().map(|link| link.href.as_str()).or(title).unwrap_or_default().to_owned()
}

/// Makes ids unique. Entries with the same id are distinguished by their URLs, or by their headlines if they have none.
/// Of entries that also agree in these, only the first is kept, which is usually the newest.
fn make_ids_unique(entries: &mut Vec<Entry>) {
    let mut counts: HashMap<String, usize> = HashMap::new();
    for entry in &*entries {
        *counts.entry(entry.id.clone()).or_default() += 1;
    }
    let mut seen = HashSet::new();
    entries.retain_mut(|entry| {
        if counts.get(&entry.id).is_some_and(|count| *count > 1) {
            let headline = || entry.document.as_ref().map(|document| document.content.headline.clone()).ok();
            let distinction = entry.url.as_ref().map(Url::to_string).or_else(headline).unwrap_or_default();
            entry.id = format!("{}\n{distinction}", entry.id);
        }
        seen.insert(entry.id.clone())
    });
}

fn feed_error(text: &str, error: &ParseFeedError) -> IngestError {
    let reason = match markup(text) {
        Some("HTML") => "it is a web page, perhaps an error page".to_owned(),
        _ if text.is_empty() => "it is empty".to_owned(),
        _ => error.to_string(),
    };
    IngestError::NotAFeed { reason }
}

#[cfg(test)]
mod tests;
