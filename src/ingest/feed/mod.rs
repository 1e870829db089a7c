//! Feeds: RSS 0.9x, 1.0 and 2.0, Atom, and JSON Feed. Each entry is a document of its own.
//!
//! feed-rs knows the formats. What is ours is which of an entry's fields become what of an article, and that its times are
//! read from the words in the feed, so that a day stays a day. One entry that cannot be used does not stop the others.

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

/// A feed, as it was when it was read.
#[derive(Clone, Debug)]
pub struct Feed {
    /// What it calls itself; empty where it says nothing.
    pub title: String,
    /// Its entries, in its order.
    pub entries: Vec<Entry>,
}

/// One entry of a feed.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What tells it from the others: its own id, or else its address, or else its title.
    pub id: String,
    /// The page that it leads to.
    pub url: Option<Url>,
    /// SHA-256 of everything that was read of it: another one means that the feed says something else of it now.
    pub fingerprint: [u8; 32],
    /// The entry as a document, without the page that it leads to.
    pub document: Result<Document, IngestError>,
}

/// Reads a feed. `options` has its address, which relative links are relative to.
pub fn read(bytes: &[u8], options: &Options) -> Result<Feed, IngestError> {
    if bytes.len() > DOCUMENT_BYTES_MAX {
        return Err(IngestError::TooLarge { bytes: bytes.len() });
    }
    unless_it_panics(|| read_text(&text_of(bytes, options), options))
}

/// The feed as text, without a declaration of an encoding that it has no longer.
///
/// The parser's own decoding is never used: it knows neither the charset of the HTTP header nor UTF-16 in all its forms, and
/// ends the process over some of them.
fn text_of(bytes: &[u8], options: &Options) -> String {
    let (text, _) = charset::decode(bytes, options.charset.as_deref());
    let rest = text.trim_start();
    let declaration = rest.starts_with("<?xml").then(|| rest.split_once("?>")).flatten();
    declaration.map_or(rest, |(_, rest)| rest).to_owned()
}

fn read_text(text: &str, options: &Options) -> Result<Feed, IngestError> {
    let stamps = Stamps::default();
    let parser = parser::Builder::new()
        .base_uri(options.url.as_ref())
        .sanitize_content(false)
        .id_generator(|links, title, _| derived_id(links, title.as_ref().map(|title| title.content.as_str())))
        .timestamp_parser(stamps.reader())
        .build();
    let feed = parser.parse(text.as_bytes()).map_err(|error| refused(text, &error))?;
    let about = entry::About::of(&feed);
    let mut entries: Vec<Entry> =
        feed.entries.into_iter().map(|entry| entry::read(entry, &about, &stamps, options)).collect();
    tell_apart(&mut entries);
    Ok(Feed { title: about.title, entries })
}

/// The same each time that the feed is read, unlike feed-rs's own, which may be random.
fn derived_id(links: &[Link], title: Option<&str>) -> String {
    links.first().map(|link| link.href.as_str()).or(title).unwrap_or_default().to_owned()
}

/// Entries with one id are distinguished by their addresses. Of those that have one address as well, the first, which is the
/// newest, is what the feed says now.
fn tell_apart(entries: &mut Vec<Entry>) {
    let mut counts: HashMap<String, usize> = HashMap::new();
    for entry in &*entries {
        *counts.entry(entry.id.clone()).or_default() += 1;
    }
    let mut seen = HashSet::new();
    entries.retain_mut(|entry| {
        if counts.get(&entry.id).is_some_and(|count| *count > 1) {
            let headline = || entry.document.as_ref().map(|document| document.content.headline.clone()).ok();
            let other = entry.url.as_ref().map(Url::to_string).or_else(headline).unwrap_or_default();
            entry.id = format!("{}\n{other}", entry.id);
        }
        seen.insert(entry.id.clone())
    });
}

fn refused(text: &str, error: &ParseFeedError) -> IngestError {
    let reason = match markup(text) {
        Some("HTML") => "it is a web page, or an error page in its place".to_owned(),
        _ if text.is_empty() => "it is empty".to_owned(),
        _ => error.to_string(),
    };
    IngestError::NotAFeed { reason }
}

#[cfg(test)]
mod tests;
