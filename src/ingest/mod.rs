//! Extracts articles from documents: bytes in, [`Document`] out, with one module per format.
//!
//! Reading is pure: it knows no clock, file, network or archive. Odd text is never an error; text that cannot be
//! classified becomes a paragraph. Every guess is listed in [`Document::guesses`], so that a person can see it and a
//! program can log it. A reader may get the kind of a block wrong, but it never drops running text.

mod body;
mod claims;
mod error;
pub mod feed;
mod format;
mod html;
mod json;
mod markdown;
mod markup;
mod news_article;
mod ninjs;
mod sanitize;
mod text;
pub mod times;
pub mod wacz;
pub mod warc;
mod words;

use std::collections::HashSet;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use jiff::civil::Date;
use oxilangtag::LanguageTag;

use crate::model::{Content, SourceId, Timestamp};

pub use error::IngestError;
pub use format::{DOCUMENT_BYTES_MAX, Format, detect};

/// An article as read from a document, with what the reader guessed and left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    /// The article's content. Its headline is never empty.
    pub content: Content,
    /// The masthead or publisher as printed; `None` when the document doesn't say.
    pub publication: Option<String>,
    /// A source id made from `publication`, such as `express-gazette`. Always a valid [`SourceId`].
    pub source: Option<String>,
    /// Absolute URLs of the article other than the canonical one, as written.
    pub urls: Vec<String>,
    /// Labels that the archive's users put on the article, as an export states them; sorted and unique.
    pub labels: Vec<String>,
    /// The date in the page's own header or print line: when the page was viewed, not when the article appeared. It is
    /// not part of the content.
    pub page_date: Option<Date>,
    /// When the article was seen live, if the document states an instant.
    pub observe_time: Option<Timestamp>,
    /// Everything that was guessed or left out, in document order.
    pub guesses: Vec<Guess>,
}

/// Something that the reader concluded although the document does not state it, or something that it left out.
///
/// Its `Display` form is one line for a person: `publish time: September 2025 (from "2 months ago" on a page dated
/// 8 November 2025)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guess {
    /// What was guessed, such as `publish time` or `caption`.
    pub what: String,
    /// The value that the reader assumed, or what it left out.
    pub value: String,
    /// The evidence or the reason, in words for a person.
    pub why: String,
}

impl Guess {
    fn new(what: impl Into<String>, value: impl Into<String>, why: impl Into<String>) -> Self {
        Self { what: what.into(), value: value.into(), why: why.into() }
    }
}

impl fmt::Display for Guess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.what, self.value, self.why)
    }
}

/// What the caller knows about a document before it is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The format, if the caller states it; `None` detects it from the content. A stated format is trusted.
    pub format: Option<Format>,
    /// The day from which relative times such as "2 days ago" count if the page itself has no date; usually the day on
    /// which it was seen. Without one, relative times are left out, with a note in [`Document::guesses`].
    pub reference_date: Option<Date>,
    /// The address that the document was fetched from. Relative links are resolved against it.
    pub url: Option<url::Url>,
    /// The charset that was delivered with the document, such as that of a `Content-Type` header.
    pub charset: Option<String>,
    /// The headline for a Markdown document that has none, such as its file name. If it is set, unreadable front matter
    /// counts as text, so that an import does not lose a version of a file to a mistake in it.
    pub untitled: Option<String>,
}

/// Reads a document of any format.
///
/// A byte order mark is dropped, and lines may end in CR, LF or both. Protobuf JSON is detected but not read here,
/// because that is the wire layer's job.
///
/// # Errors
/// [`IngestError::Json`] for protobuf JSON; any other [`IngestError`] says why the document cannot be read.
pub fn read(bytes: &[u8], options: &Options) -> Result<Document, IngestError> {
    if bytes.len() > DOCUMENT_BYTES_MAX {
        return Err(IngestError::TooLarge { bytes: bytes.len() });
    }
    unless_it_panics(|| read_any(bytes, options))
}

/// Runs third-party parsers. If one of them panics, the document counts as unreadable and the process keeps running.
fn unless_it_panics<T>(parse: impl FnOnce() -> Result<T, IngestError>) -> Result<T, IngestError> {
    catch_unwind(AssertUnwindSafe(parse)).unwrap_or_else(|_| {
        Err(IngestError::Unreasonable { what: "the parser for its format failed on it".to_owned() })
    })
}

fn read_any(bytes: &[u8], options: &Options) -> Result<Document, IngestError> {
    let mut document = match options.format {
        Some(Format::Html) => html::read(bytes, options)?,
        None if format::is_html(bytes) => html::read(bytes, options)?,
        _ => read_text(bytes, options)?,
    };
    document.source = document.publication.as_deref().and_then(source_id);
    Ok(document.sanitize())
}

/// The source id of a site, for a page that does not name its publication: `example` for
/// `https://news.example.co.uk/`. `None` if the host yields no valid id.
pub fn site(url: &url::Url) -> Option<String> {
    html::source_of(url)
}

/// Reads a document in one of the formats that are always UTF-8.
fn read_text(bytes: &[u8], options: &Options) -> Result<Document, IngestError> {
    let text = format::decode(bytes)?;
    let format = match options.format {
        Some(format) => format,
        None => format::detect_text(&text)?,
    };
    match format {
        Format::Html => html::read(bytes, options),
        Format::NewsText => text::read(&text, options),
        Format::Markdown => markdown::read(&text, options),
        Format::NewsArticle => news_article::read(&text),
        Format::Ninjs => ninjs::read(&text),
        Format::Json => Err(IngestError::Json),
    }
}

/// The source id for a publication: its name in lower-case ASCII, joined by hyphens, without a leading "The".
fn source_id(publication: &str) -> Option<String> {
    let slug = slug::slugify(publication);
    let slug = slug.strip_prefix("the-").unwrap_or(&slug);
    let mut id: String = slug.chars().take(crate::model::Limits::NAME_BYTES_MAX).collect();
    id.truncate(id.trim_end_matches('-').len());
    SourceId::parse(&id).is_ok().then_some(id)
}

/// The text on one line in quotation marks, shortened to 72 characters.
fn quoted(text: &str) -> String {
    const CHARS_MAX: usize = 72;
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match flat.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("\"{}…\"", flat.get(..end).unwrap_or(&flat).trim_end()),
        None => format!("\"{flat}\""),
    }
}

/// Whether the text is one absolute `http` or `https` URL and nothing else.
fn is_absolute_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_alphanumeric()) && !rest.contains(char::is_whitespace))
}

/// The text, if it is an absolute URL that can identify an article. The URL of a publication's home page cannot:
/// all articles that state it would become one.
fn article_url(text: &str) -> Option<String> {
    let url = Some(text).filter(|text| is_absolute_url(text)).and_then(|text| url::Url::parse(text).ok())?;
    (!is_front_page(&url)).then(|| text.to_owned())
}

/// Whether the address is a site's front page, which is never the address of an article.
pub fn is_front_page(url: &url::Url) -> bool {
    url.path() == "/" && url.query().is_none()
}

/// The non-empty texts without duplicates, in order of first appearance.
fn distinct(texts: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut seen = HashSet::new();
    texts.into_iter().filter(|text| !text.is_empty() && seen.insert(text.clone())).collect()
}

/// The language that a document states, as a canonical tag; empty if it states none. Anything that is not a tag is
/// noted as ignored.
fn stated_language(written: &str, guesses: &mut Vec<Guess>) -> String {
    language_tag(written).unwrap_or_else(|| {
        if !written.is_empty() {
            let what = format!("language {}", quoted(written));
            guesses.push(Guess::new("ignored", what, "not a BCP 47 tag such as en-GB"));
        }
        String::new()
    })
}

/// Notes the properties of a data format that the reader did not use: the first 40, so that the line stays readable.
fn note_ignored<'n>(names: impl Iterator<Item = &'n str>, guesses: &mut Vec<Guess>) {
    const NAMED_MAX: usize = 40;
    let names: Vec<&str> = names.take(NAMED_MAX).collect();
    if !names.is_empty() {
        guesses.push(Guess::new("ignored", names.join(", "), "properties that have no place in an article"));
    }
}

/// A language tag in canonical case; `None` if the text is not one. The name of a language, such as "English", is not
/// accepted, although the grammar of BCP 47 allows a primary subtag of five to eight letters.
fn language_tag(written: &str) -> Option<String> {
    let tag = LanguageTag::parse_and_normalize(&written.trim().replace('_', "-")).ok()?;
    (tag.primary_language().len() <= 3).then(|| tag.into_inner())
}

/// An author's name without the "By" that pages print before it.
fn without_by(name: &str) -> &str {
    let name = name.trim();
    let by = name.get(..3).is_some_and(|by| by.eq_ignore_ascii_case("by "));
    if by { name.get(3..).unwrap_or_default().trim_start() } else { name }
}

/// Whether a paragraph opens with the words of a correction note.
fn is_correction(text: &str) -> bool {
    const OPENINGS: [&str; 16] = [
        "correction:",
        "correction (",
        "corrections:",
        "correction, ",
        "clarification:",
        "clarification (",
        "this article was amended on ",
        "this article was corrected on ",
        "this article has been corrected",
        "this story was corrected",
        "this story has been corrected",
        "an earlier version of this article",
        "an earlier version of this story",
        "a previous version of this article",
        "this version corrects ",
        "this story corrects ",
    ];
    let opening: String = text.chars().take(40).flat_map(char::to_lowercase).collect();
    OPENINGS.iter().any(|known| opening.starts_with(known))
}

#[cfg(test)]
mod tests;
