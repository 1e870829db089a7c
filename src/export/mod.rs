//! Articles become documents: an [`Item`] in, text out, a file or folder a format.
//!
//! Writing is pure. It knows no clock, file, network or archive, and it never fails. What [`crate::ingest`] reads of a
//! document is what was written, as far as the format can hold it; each module says what its format can't. Nothing of an
//! article is trusted: its text is escaped, and of its addresses only those of the web become links.

pub mod html;
mod json_ld;
mod markdown;
mod markup;
mod ninjs;
mod text;

use data_encoding::HEXLOWER;
use url::Url;

use crate::model::unseen::in_json;
use crate::model::{ArticleName, ClaimedTime, Content, ContentDigest, Precision, RevisionNumber, Timestamp};

/// A revision of an article, to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The article.
    pub article: ArticleName,
    /// Which revision of it.
    pub revision: RevisionNumber,
    /// How many revisions there were at the point of the read.
    pub revision_count: u32,
    /// What it says.
    pub content: Content,
    /// The digest of that.
    pub digest: ContentDigest,
    /// When the observation that made the revision was taken.
    pub observe_time: Timestamp,
    /// When the archive committed it.
    pub archive_time: Timestamp,
    /// Since when it is in force, where it is so at the point of the read.
    pub valid_from: Option<Timestamp>,
    /// When its successor came into force, where it had one.
    pub valid_until: Option<Timestamp>,
    /// The mark by which the article is withdrawn.
    pub withdrawn: Option<Withdrawal>,
    /// The addresses that lead to the article.
    pub urls: Vec<String>,
}

/// A mark that the publisher took the article down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Withdrawal {
    /// From when on.
    pub since: Option<Timestamp>,
    /// Why; empty when nobody said.
    pub reason: String,
}

/// The formats of documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// IPTC ninjs 3.1.
    Ninjs,
    /// schema.org's NewsArticle, as JSON-LD.
    JsonLd,
    /// Markdown with YAML front matter.
    Markdown,
    /// Plain text.
    Text,
    /// A page that needs nothing but itself.
    Html,
}

impl Format {
    /// How a file of it ends, without the dot.
    pub fn ending(self) -> &'static str {
        match self {
            Self::Ninjs => "ninjs.json",
            Self::JsonLd => "jsonld",
            Self::Markdown => "md",
            Self::Text => "txt",
            Self::Html => "html",
        }
    }

    /// Writes a document. It ends with a line end.
    pub fn write(self, item: &Item) -> String {
        match self {
            Self::Ninjs => ninjs::write(item),
            Self::JsonLd => json_ld::write(item),
            Self::Markdown => markdown::write(item),
            Self::Text => text::write(item),
            Self::Html => html::revision(item),
        }
    }
}

impl Item {
    /// The addresses beside the canonical one.
    fn other_urls(&self) -> impl Iterator<Item = &str> {
        self.urls.iter().map(String::as_str).filter(|url| *url != self.content.canonical_url)
    }

    /// The digest, in hexadecimal.
    fn digest_hex(&self) -> String {
        HEXLOWER.encode(&self.digest.0)
    }

    /// `sources/{source}/articles/{article}/revisions/{number}`.
    fn revision_name(&self) -> String {
        format!("{}/revisions/{}", self.article, self.revision)
    }
}

/// The address if it is one of the web, in its usual spelling. Everything else (`javascript:`, `data:`, what is no URL) must
/// not become a link.
fn web_url(url: &str) -> Option<String> {
    let parsed = Url::parse(url).ok()?;
    matches!(parsed.scheme(), "http" | "https").then(|| parsed.into())
}

/// A claim in ISO 8601, no more exact than it is: `2025-09`.
fn iso(claim: &ClaimedTime) -> String {
    let instant = claim.time.to_string();
    let length = match claim.precision {
        Precision::Instant => return instant,
        Precision::Day => "2025-11-08".len(),
        Precision::Month => "2025-11".len(),
        Precision::Year => "2025".len(),
    };
    instant.get(..length).unwrap_or(&instant).to_owned()
}

/// JSON as a document. What cannot be seen is escaped.
fn pretty(value: &serde_json::Value) -> String {
    format!("{}\n", in_json(&format!("{value:#}")))
}
