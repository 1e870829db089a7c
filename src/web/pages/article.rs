//! An article: what it said, at any point of both time axes.

use std::sync::Arc;

use askama::Template;
use axum::body::Body;
use axum::extract::{Path, State};
use http::{Response, StatusCode};

use super::super::Site;
use super::super::problem::Problem;
use super::super::respond;
use super::super::shown::{Block, Link, When, count, expunge_reason, some_text, text};
use super::super::visit::{Form, Point, Visit};
use super::heading::{Heading, Note, Tab};
use super::{Frame, article_name};
use crate::model::ArticleName;
use crate::wire::pb;

#[derive(Template)]
#[template(path = "article.html")]
struct ArticlePage {
    frame: Frame,
    heading: Heading,
    text: Text,
    /// The number of the revision.
    number: u32,
    valid_from: Option<When>,
    valid_until: Option<When>,
    observed: Option<When>,
    archived: Option<When>,
    /// The point that was asked for, as the form has it.
    at: String,
    known_at: String,
    addresses: Vec<Link>,
    words: String,
}

/// The text of a revision.
pub(super) struct Text {
    pub(super) standfirst: Option<String>,
    pub(super) byline: Option<String>,
    pub(super) published: Option<When>,
    pub(super) modified: Option<When>,
    pub(super) section: Option<String>,
    pub(super) keywords: Option<String>,
    pub(super) rights: Option<String>,
    pub(super) address: Option<Link>,
    pub(super) blocks: Vec<Block>,
    pub(super) tombstone: Option<Tombstone>,
}

/// What is left of a text that was destroyed.
pub(super) struct Tombstone {
    pub(super) reason: &'static str,
    pub(super) reference: Option<String>,
    pub(super) time: Option<When>,
}

impl Text {
    pub(super) fn of(revision: &pb::Revision) -> Self {
        let content = revision.content.clone().unwrap_or_default();
        let joined = |texts: &[String]| some_text(&texts.join(", "));
        Self {
            standfirst: some_text(&content.standfirst),
            byline: joined(&content.bylines),
            published: When::claimed(content.publish_time.as_ref()),
            modified: When::claimed(content.modify_time.as_ref()),
            section: some_text(&content.section),
            keywords: joined(&content.keywords),
            rights: some_text(&content.rights),
            address: Link::to(&content.canonical_url),
            blocks: Block::all(&content),
            tombstone: revision.expunged.as_ref().map(Tombstone::of),
        }
    }
}

impl Tombstone {
    pub(super) fn of(expunged: &pb::Expunged) -> Self {
        Self {
            reason: expunge_reason(expunged.reason()),
            reference: some_text(&expunged.reference),
            time: When::of(expunged.expunge_time.as_ref()),
        }
    }
}

pub(super) async fn show(
    State(site): State<Arc<Site>>,
    Path((source, article)): Path<(String, String)>,
    visit: Visit,
) -> Result<Response<Body>, Problem> {
    let name = article_name(&source, &article)?;
    let point = visit.point(&site)?;
    if visit.query != point.query() {
        // Readers type times as they like, and forms send empty fields. Today's words mean something else tomorrow, so the
        // address of a page has instants.
        let end = if visit.form == Form::Json { ".json" } else { "" };
        return Ok(respond::redirect(&format!("{}{end}{}", visit.path, point.query())));
    }
    let request = pb::GetArticleRequest {
        name: name.to_string(),
        as_of: point.as_of(),
        view: pb::ArticleView::Full.into(),
        min_next_seq: 0,
    };
    let found = site.reads.article(&visit.caller, request).await?;
    let is_expunged = found.article.as_ref().and_then(|article| article.revision.as_ref()?.expunged.as_ref()).is_some();
    let mut response = respond::page(&site, &visit, found, |found| Ok(ArticlePage::new(&name, &point, found)))?;
    if is_expunged {
        *response.status_mut() = StatusCode::GONE;
    }
    Ok(respond::with_canonical(&site, response, &format!("{}{}", visit.path, point.query())))
}

impl ArticlePage {
    fn new(name: &ArticleName, point: &Point, found: pb::GetArticleResponse) -> Self {
        let article = found.article.unwrap_or_default();
        let revision = article.revision.clone().unwrap_or_default();
        let heading = Heading::new(name, &article, Tab::Article);
        let text_shown = Text::of(&revision);
        let canonical = revision.content.as_ref().map_or("", |content| content.canonical_url.as_str());
        let addresses = article.urls.iter().filter(|led| led.url != canonical).filter_map(|led| Link::to(&led.url));
        let written = |time: Option<crate::model::Timestamp>| time.map(|time| time.to_string()).unwrap_or_default();
        Self {
            frame: Frame::at(heading.headline.clone(), &format!("{}{}", heading.home, point.query())),
            number: revision.number,
            valid_from: When::of(article.valid_from.as_ref()),
            valid_until: When::of(article.valid_until.as_ref()),
            observed: When::of(revision.observe_time.as_ref()),
            archived: When::of(revision.archive_time.as_ref()),
            at: text(&written(point.at)),
            known_at: text(&written(point.known_at)),
            addresses: addresses.collect(),
            words: count(revision.word_count.into(), "word"),
            text: text_shown,
            heading,
        }
    }
}
