//! Writes articles as documents: an [`Item`] in, text out. Each format has a module of its own. [`wacz`] writes the
//! captures of many articles into one file.
//!
//! Writing a document is pure: it uses no clock, file, network or archive, and never fails. [`crate::ingest`] reads a document
//! back as it was written, as far as the format can represent it; each module lists what its format loses. Article text
//! is not trusted: it is escaped, and only http and https URLs become links.

pub mod html;
mod json_ld;
mod markdown;
mod markup;
mod ninjs;
mod text;
pub mod wacz;

use data_encoding::HEXLOWER;
use url::Url;

use crate::model::unseen::in_json;
use crate::model::{ArticleName, Content, ContentDigest, RevisionNumber, Timestamp};

/// A revision of an article with the facts that the formats print, as read at one read point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Source and article id.
    pub article: ArticleName,
    /// Number of the revision, from 1.
    pub revision: RevisionNumber,
    /// Number of revisions that the article has at the read point.
    pub revision_count: u32,
    /// Text and metadata of the revision.
    pub content: Content,
    /// SHA-256 of the content in its documented encoding.
    pub digest: ContentDigest,
    /// Observe time of the observation that created the revision.
    pub observe_time: Timestamp,
    /// When the archive committed that observation.
    pub archive_time: Timestamp,
    /// Start of the period in which the revision is in force; `None` if it is not known or not in force at the read
    /// point.
    pub valid_from: Option<Timestamp>,
    /// When the next revision comes into force; `None` if there is none.
    pub valid_until: Option<Timestamp>,
    /// The withdrawal of the article; `None` if it is live.
    pub withdrawn: Option<Withdrawal>,
    /// All URLs under which the article is found.
    pub urls: Vec<String>,
    /// Labels of the article at the read point.
    pub labels: Vec<String>,
}

/// The state change by which an article was withdrawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Withdrawal {
    /// Observe time from which the article is withdrawn, if known.
    pub since: Option<Timestamp>,
    /// The reason given; empty if there was none.
    pub reason: String,
}

/// Document formats that an article can be written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// IPTC ninjs 3.1, a JSON format for news.
    Ninjs,
    /// schema.org's NewsArticle, as JSON-LD.
    JsonLd,
    /// Markdown with YAML front matter.
    Markdown,
    /// Plain text for people, not meant to be ingested again.
    Text,
    /// A self-contained HTML page.
    Html,
}

impl Format {
    /// The file name extension, without the leading dot.
    pub fn ending(self) -> &'static str {
        match self {
            Self::Ninjs => "ninjs.json",
            Self::JsonLd => "jsonld",
            Self::Markdown => "md",
            Self::Text => "txt",
            Self::Html => "html",
        }
    }

    /// Writes a document, ending with a newline.
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
    /// The URLs of the article, except the canonical one.
    fn other_urls(&self) -> impl Iterator<Item = &str> {
        self.urls.iter().map(String::as_str).filter(|url| *url != self.content.canonical_url)
    }

    /// The content digest in lower-case hexadecimal.
    fn digest_hex(&self) -> String {
        HEXLOWER.encode(&self.digest.0)
    }

    /// The resource name, `sources/{source}/articles/{article}/revisions/{number}`.
    fn revision_name(&self) -> String {
        format!("{}/revisions/{}", self.article, self.revision)
    }
}

/// Normalises an http or https URL. Returns `None` for anything else (`javascript:`, `data:`, invalid URLs), which must
/// not become a link.
fn web_url(url: &str) -> Option<String> {
    let parsed = Url::parse(url).ok()?;
    matches!(parsed.scheme(), "http" | "https").then(|| parsed.into())
}

/// Formats JSON with indentation and a final newline. Invisible characters are escaped.
fn pretty(value: &serde_json::Value) -> String {
    format!("{}\n", in_json(&format!("{value:#}")))
}
