//! Feeds: RSS 0.9x, 1.0 and 2.0, Atom, and JSON Feed. Each entry is a document of its own.
//!
//! feed-rs knows the formats. What is ours is which of an entry's fields become what of an article, and that its times are
//! read from the words in the feed, so that a day stays a day. One entry that cannot be used does not stop the others.

mod entry;
mod stamps;

use feed_rs::model::Link;
use feed_rs::parser::{self, ParseFeedError};
use url::Url;

use self::stamps::Stamps;
use super::format::{DOCUMENT_BYTES_MAX, markup};
use super::{Document, IngestError, Options};

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
    let stamps = Stamps::default();
    let parser = parser::Builder::new()
        .base_uri(options.url.as_ref())
        .sanitize_content(false)
        .id_generator(|links, title, _| derived_id(links, title.as_ref().map(|title| title.content.as_str())))
        .timestamp_parser(stamps.reader())
        .build();
    let feed = parser.parse(bytes).map_err(|error| refused(bytes, &error))?;
    let about = entry::About::of(&feed);
    let entries = feed.entries.into_iter().map(|entry| entry::read(entry, &about, &stamps, options)).collect();
    Ok(Feed { title: about.title, entries })
}

/// The same each time that the feed is read, unlike feed-rs's own, which may be random.
fn derived_id(links: &[Link], title: Option<&str>) -> String {
    links.first().map(|link| link.href.as_str()).or(title).unwrap_or_default().to_owned()
}

fn refused(bytes: &[u8], error: &ParseFeedError) -> IngestError {
    let opening = String::from_utf8_lossy(bytes.get(..512).unwrap_or(bytes));
    let reason = match markup(opening.trim_start()) {
        Some("HTML") => "it is a web page, or an error page in its place".to_owned(),
        _ if bytes.iter().all(u8::is_ascii_whitespace) => "it is empty".to_owned(),
        _ => error.to_string(),
    };
    IngestError::NotAFeed { reason }
}

#[cfg(test)]
mod tests;
