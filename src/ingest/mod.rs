//! Documents become articles: bytes in, [`Document`] out, one folder a format.
//!
//! Reading is pure. It knows no clock, file, network or archive, and it never fails on odd text: what can't be
//! placed is a paragraph. Whatever was guessed is listed in [`Document::guesses`], so that a person can see it
//! and a program can log it. A reader may be wrong about the kind of a block; it never drops running text.

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
mod settle;
mod text;
pub mod times;
pub mod warc;

use std::collections::HashSet;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use jiff::civil::Date;
use oxilangtag::LanguageTag;

use crate::model::{Content, SourceId, Timestamp};

pub use error::IngestError;
pub use format::{DOCUMENT_BYTES_MAX, Format, detect};

/// What a document holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    /// The article's content. Its headline is never empty.
    pub content: Content,
    /// The masthead or publisher as printed; `None` when the document doesn't say.
    pub publication: Option<String>,
    /// A source id made from `publication`, such as `express-gazette`. Always a valid [`SourceId`].
    pub source: Option<String>,
    /// Absolute URLs of the article beside the canonical one, as written.
    pub urls: Vec<String>,
    /// The date that the page was printed with: when it was looked at, not when the article appeared. No part
    /// of the content.
    pub page_date: Option<Date>,
    /// When the article was seen live, where the document states an instant.
    pub observe_time: Option<Timestamp>,
    /// Everything that was guessed or left out, in the order of the document.
    pub guesses: Vec<Guess>,
}

/// One thing that the document didn't state and the reader concluded, or that it left out.
///
/// Displays as a line for a person: `publish time: September 2025 (from "2 months ago" on a page dated
/// 8 November 2025)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guess {
    /// What was guessed, such as `publish time` or `caption`.
    pub what: String,
    /// What it was taken to be.
    pub value: String,
    /// What it was concluded from.
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
    /// The format, where it was stated; `None` finds it from the content. A stated format is trusted.
    pub format: Option<Format>,
    /// The day that relative times count from where the page itself has no date, such as the day on which it
    /// was seen. Without one they are left out, with a note in [`Document::guesses`].
    pub reference_date: Option<Date>,
    /// Where the document was had: what relative links are relative to.
    pub url: Option<url::Url>,
    /// The charset that came with the document, such as that of a Content-Type header.
    pub charset: Option<String>,
    /// The headline of a Markdown document that has none, such as the name of its file. With it, front matter that can't be
    /// read is taken for text, so that no state of a file is lost for a mistake in it.
    pub untitled: Option<String>,
}

/// Reads a document.
///
/// A byte order mark is dropped, and lines may end in CR, LF or both. Our own JSON is detected but not read here,
/// since it is the wire's: [`IngestError::Json`].
pub fn read(bytes: &[u8], options: &Options) -> Result<Document, IngestError> {
    if bytes.len() > DOCUMENT_BYTES_MAX {
        return Err(IngestError::TooLarge { bytes: bytes.len() });
    }
    unless_it_panics(|| read_any(bytes, options))
}

/// Runs the parsers of others. What one of them panics over is a document that can't be read, and not the end of the process.
fn unless_it_panics<T>(parse: impl FnOnce() -> Result<T, IngestError>) -> Result<T, IngestError> {
    catch_unwind(AssertUnwindSafe(parse)).unwrap_or_else(|_| {
        Err(IngestError::Unreasonable { what: "it is more than the parser of its format can take".to_owned() })
    })
}

fn read_any(bytes: &[u8], options: &Options) -> Result<Document, IngestError> {
    let mut document = match options.format {
        Some(Format::Html) => html::read(bytes, options)?,
        None if format::is_html(bytes) => html::read(bytes, options)?,
        _ => read_text(bytes, options)?,
    };
    document.source = document.publication.as_deref().and_then(source_id);
    Ok(document.settle())
}

/// The source id of a site, for a page that does not say which publication it is from: `example` of
/// `https://news.example.co.uk/`.
pub fn site(url: &url::Url) -> Option<String> {
    html::source_of(url)
}

/// Reads a document of the formats that are UTF-8.
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

/// The source id for a publication: its name in lower-case ASCII joined by hyphens, without a leading article.
fn source_id(publication: &str) -> Option<String> {
    let slug = slug::slugify(publication);
    let slug = slug.strip_prefix("the-").unwrap_or(&slug);
    let mut id: String = slug.chars().take(crate::model::Limits::NAME_BYTES_MAX).collect();
    id.truncate(id.trim_end_matches('-').len());
    SourceId::parse(&id).is_ok().then_some(id)
}

/// The text within quotation marks, shortened to some 72 characters for a line of output.
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

/// The text if it is the absolute URL of an article. A publication's home page is none: to take it for the address of
/// an article would make one of all articles.
fn article_url(text: &str) -> Option<String> {
    let url = Some(text).filter(|text| is_absolute_url(text)).and_then(|text| url::Url::parse(text).ok())?;
    (!is_front_page(&url)).then(|| text.to_owned())
}

/// Whether an address is that of a site's front page, which is never an article's.
pub fn is_front_page(url: &url::Url) -> bool {
    url.path() == "/" && url.query().is_none()
}

/// The texts that are not empty, each once.
fn distinct(texts: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut seen = HashSet::new();
    texts.into_iter().filter(|text| !text.is_empty() && seen.insert(text.clone())).collect()
}

/// The language that a document states; empty where it states none, or something else, which is noted as a guess.
fn stated_language(written: &str, guesses: &mut Vec<Guess>) -> String {
    language_tag(written).unwrap_or_else(|| {
        if !written.is_empty() {
            let what = format!("language {}", quoted(written));
            guesses.push(Guess::new("ignored", what, "not a BCP 47 tag such as en-GB"));
        }
        String::new()
    })
}

/// Notes the properties of data that nothing was made of, as far as they are few enough to be read.
fn note_ignored<'n>(names: impl Iterator<Item = &'n str>, guesses: &mut Vec<Guess>) {
    const NAMED_MAX: usize = 40;
    let names: Vec<&str> = names.take(NAMED_MAX).collect();
    if !names.is_empty() {
        guesses.push(Guess::new("ignored", names.join(", "), "properties that have no place in an article"));
    }
}

/// A language tag in canonical case; `None` when it is none. The name of a language is no tag, although BCP 47
/// would have a place for one of five to eight letters.
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

/// Whether a paragraph says of itself that it corrects the article.
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
