//! Feeds of changes, for feed readers and programs: Atom (RFC 4287) and JSON Feed 1.1, of everything, of a source, of an
//! article and of a label. Each entry contains what changed, word by word.
//!
//! ```text
//! /feed.atom ──prev-archive──▶ /feed.atom?before=960 ──prev-archive──▶ /feed.atom?before=928 ──▶ …
//! newest changes               fixed: what is below a position          fixed, too
//! ```
//!
//! A feed has the newest changes. The archived documents (RFC 5005, section 4) have those before a position, and so stay
//! as they are; only text that is destroyed leaves them. Tombstones (RFC 6721) ask readers to drop their copies of it.

mod atom;
mod items;
mod json;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use data_encoding::HEXLOWER;
use http::Response;
use url::form_urlencoded;

use self::items::Item;
use super::Site;
use super::paths::{page_of, path_of, path_of_source};
use super::problem::Problem;
use super::shown::text;
use super::visit::{Form, Visit};
use crate::access::Permission;
use crate::model::{ArticleFilter, ArticleName, ChangeKinds, FeedQuery, SourceId, Timestamp};

/// What a feed is about.
#[derive(Clone, Debug)]
enum Subject {
    Everything,
    Source(SourceId),
    Article(ArticleName),
    Label(String),
}

/// A document of a feed.
struct Document {
    /// The identity of the feed, whichever document of it.
    id: String,
    title: String,
    /// The addresses of the page for readers, of the newest document and of this one.
    page: String,
    current: String,
    own: String,
    /// The address of the document before this one.
    previous: Option<String>,
    /// Whether this is an archived document.
    is_archive: bool,
    updated: Timestamp,
    items: Vec<Item>,
}

impl Document {
    /// Whether an item stands for a text that was destroyed.
    fn has_tombstone(&self, id: &str) -> bool {
        self.items.iter().any(|item| item.id == id && item.is_destroyed.is_some())
    }
}

/// The format of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Atom,
    Json,
}

pub(super) async fn everything(state: State<Arc<Site>>, visit: Visit) -> Result<Response<Body>, Problem> {
    answer(state, visit, Subject::Everything).await
}

pub(super) async fn of_source(
    state: State<Arc<Site>>,
    Path(source): Path<String>,
    visit: Visit,
) -> Result<Response<Body>, Problem> {
    let source = SourceId::parse(&source).map_err(|_| Problem::not_found())?;
    answer(state, visit, Subject::Source(source)).await
}

pub(super) async fn of_article(
    state: State<Arc<Site>>,
    Path((source, article)): Path<(String, String)>,
    visit: Visit,
) -> Result<Response<Body>, Problem> {
    let name = ArticleName::new(&source, &article).map_err(|_| Problem::not_found())?;
    answer(state, visit, Subject::Article(name)).await
}

pub(super) async fn of_label(
    state: State<Arc<Site>>,
    Path(label): Path<String>,
    visit: Visit,
) -> Result<Response<Body>, Problem> {
    answer(state, visit, Subject::Label(label)).await
}

async fn answer(State(site): State<Arc<Site>>, visit: Visit, subject: Subject) -> Result<Response<Body>, Problem> {
    let format = match visit.form {
        Form::Json => Format::Json,
        Form::Page => Format::Atom,
    };
    let before = visit.number::<u64>("before")?;
    let end = site.reads.archive().tail().next_seq.0;
    if let Some(before) = before.filter(|before| *before > end) {
        return Err(Problem::malformed(format!("before={before} is after the end of the log, which is at {end}.")));
    }
    let found = items::newest(&site, &visit, &subject, before).await?;
    let address = |before: Option<u64>| {
        let query = before.map(|before| format!("?before={before}")).unwrap_or_default();
        site.address(&format!("{}/feed.{}{query}", subject.path(), format.extension()))
    };
    let archive = site.reads.archive();
    let newest = found.items.first().map(|item| item.archived);
    let document = Document {
        id: format!("{}{}", urn(&site), subject.id()),
        title: subject.title(),
        page: site.address(&subject.page()),
        current: address(None),
        own: address(before),
        previous: found.before.map(|before| address(Some(before))),
        is_archive: before.is_some(),
        updated: newest.or(archive.tail().archive_time).unwrap_or(archive.info().opened),
        items: found.items,
    };
    let mut response = match format {
        Format::Atom => atom::response(&document)?,
        Format::Json => json::response(&document),
    };
    visit.mark(response.headers_mut());
    Ok(response)
}

/// The beginning of all identities in this archive.
fn urn(site: &Site) -> String {
    format!("urn:dateline:{}:", HEXLOWER.encode(&site.reads.archive().info().id))
}

impl Format {
    fn extension(self) -> &'static str {
        match self {
            Self::Atom => "atom",
            Self::Json => "json",
        }
    }
}

impl Subject {
    /// The path below which its feeds are.
    fn path(&self) -> String {
        match self {
            Self::Everything => String::new(),
            Self::Source(source) => format!("/s/{}", source.as_str()),
            Self::Article(name) => path_of(name),
            Self::Label(label) => format!("/l/{}", percent_encoded(label)),
        }
    }

    /// The path of its page.
    fn page(&self) -> String {
        match self {
            Self::Everything | Self::Label(_) => "/changes".to_owned(),
            Self::Source(source) => path_of_source(source),
            Self::Article(name) => page_of(name),
        }
    }

    /// Its part of the feed's identity.
    fn id(&self) -> String {
        match self {
            Self::Everything => "feed".to_owned(),
            Self::Source(source) => format!("feed:{source}"),
            Self::Article(name) => format!("feed:{name}"),
            Self::Label(label) => format!("feed:labels/{}", percent_encoded(label)),
        }
    }

    fn title(&self) -> String {
        match self {
            Self::Everything => "Changes of the archive".to_owned(),
            Self::Source(source) => format!("Changes of {}", source.as_str()),
            Self::Article(name) => format!("Changes of {}/{}", name.source.as_str(), name.article.as_str()),
            Self::Label(label) => format!("Changes of articles labelled {}", text(label)),
        }
    }

    /// The changes that its feed has, as far as the visitor may see them.
    fn query(&self, visit: &Visit) -> FeedQuery {
        let mut filter = ArticleFilter { within: visit.caller.scope(Permission::Read), ..ArticleFilter::default() };
        match self {
            Self::Everything => {}
            Self::Source(source) => filter.sources.push(source.clone()),
            Self::Article(name) => filter.articles.push(name.clone()),
            Self::Label(label) => filter.labels.push(label.clone()),
        }
        FeedQuery { filter, kinds: ChangeKinds::default() }
    }
}

/// A label as a part of an address.
fn percent_encoded(label: &str) -> String {
    form_urlencoded::byte_serialize(label.as_bytes()).collect::<String>().replace('+', "%20")
}

/// A text without characters that XML has no place for.
fn without_forbidden(text: String) -> String {
    let is_allowed =
        |c: char| !matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}');
    if text.chars().all(is_allowed) {
        return text;
    }
    text.chars().map(|c| if is_allowed(c) { c } else { char::REPLACEMENT_CHARACTER }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_has_no_character_that_xml_forbids() {
        assert_eq!(without_forbidden("a\u{0}b\u{fffe}c\td\n".to_owned()), "a\u{fffd}b\u{fffd}c\td\n");
        assert_eq!(without_forbidden("höchst\u{1f600}".to_owned()), "höchst\u{1f600}");
    }

    #[test]
    fn a_label_is_one_segment_of_an_address() {
        assert_eq!(Subject::Label("a b/c?d".to_owned()).path(), "/l/a%20b%2Fc%3Fd");
    }
}
