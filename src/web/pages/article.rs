//! An article: what it said, at any point of both time axes.

use std::sync::Arc;

use askama::Template;
use axum::body::Body;
use axum::extract::{Path, State};
use http::{Response, StatusCode};

use super::super::Site;
use super::super::paths::page_of;
use super::super::problem::Problem;
use super::super::respond;
use super::super::shown::{Link, Text, When, content, count, expunge_reason, some_text, text, when};
use super::super::visit::{Point, Visit};
use super::heading::{Heading, Note, Tab};
use super::{Frame, article_name};
use crate::model::{ArticleName, Content};
use crate::wire::pb;

#[derive(Template)]
#[template(path = "article.html")]
struct ArticlePage {
    frame: Frame,
    heading: Heading,
    text: Text,
    claims: Claims,
    tombstone: Option<Tombstone>,
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

/// What a publisher says about its article, besides the text.
pub(super) struct Claims {
    pub(super) address: Option<Link>,
    pub(super) section: Option<String>,
    pub(super) keywords: Option<String>,
}

/// What is left of a text that was destroyed.
pub(super) struct Tombstone {
    pub(super) reason: &'static str,
    pub(super) reference: Option<String>,
    pub(super) time: Option<When>,
}

impl Claims {
    pub(super) fn of(content: &Content) -> Self {
        Self {
            address: Link::to(&content.canonical_url),
            section: some_text(&content.section),
            keywords: some_text(&content.keywords.join(", ")),
        }
    }
}

impl Tombstone {
    pub(super) fn of(expunged: &pb::Expunged) -> Self {
        Self {
            reason: expunge_reason(expunged.reason()),
            reference: some_text(&expunged.reference),
            time: when(expunged.expunge_time.as_ref()),
        }
    }
}

/// An article with its text, at a point.
pub(super) async fn read(
    site: &Site,
    visit: &Visit,
    name: &ArticleName,
    point: &Point,
) -> Result<pb::GetArticleResponse, Problem> {
    let request = pb::GetArticleRequest {
        name: name.to_string(),
        as_of: point.as_of(),
        view: pb::ArticleView::Full.into(),
        min_next_seq: 0,
    };
    site.reads.article(&visit.caller, request).await
}

pub(super) async fn show(
    State(site): State<Arc<Site>>,
    Path((source, article)): Path<(String, String)>,
    visit: Visit,
) -> Result<Response<Body>, Problem> {
    let name = article_name(&source, &article)?;
    let point = visit.point(&site)?;
    if visit.query != point.query() {
        return Ok(respond::redirect_to_instants(&visit, &point));
    }
    let found = read(&site, &visit, &name, &point).await?;
    let is_expunged = found.article.as_ref().and_then(|article| article.revision.as_ref()?.expunged.as_ref()).is_some();
    let mut response = respond::page(&visit, found, |found| ArticlePage::new(&name, &point, found))?;
    if is_expunged {
        *response.status_mut() = StatusCode::GONE;
    }
    Ok(respond::with_canonical(&site, response, &format!("{}{}", page_of(&name), point.query())))
}

impl ArticlePage {
    fn new(name: &ArticleName, point: &Point, found: pb::GetArticleResponse) -> Result<Self, Problem> {
        let article = found.article.unwrap_or_default();
        let revision = article.revision.clone().unwrap_or_default();
        let heading = Heading::new(name, &article, Tab::Article).at(*point);
        let content = content(&revision)?;
        let others = article.urls.iter().filter(|led| led.url != content.canonical_url);
        let written = |time: Option<crate::model::Timestamp>| time.map(|time| time.to_string()).unwrap_or_default();
        Ok(Self {
            frame: Frame::at(heading.headline.clone(), &format!("{}{}", heading.home, point.query())),
            number: revision.number,
            valid_from: when(article.valid_from.as_ref()),
            valid_until: when(article.valid_until.as_ref()),
            observed: when(revision.observe_time.as_ref()),
            archived: when(revision.archive_time.as_ref()),
            at: text(&written(point.at)),
            known_at: text(&written(point.known_at)),
            addresses: others.filter_map(|led| Link::to(&led.url)).collect(),
            words: count(revision.word_count.into(), "word"),
            text: Text::under(heading.headline.clone(), &content, text),
            claims: Claims::of(&content),
            tombstone: revision.expunged.as_ref().map(Tombstone::of),
            heading,
        })
    }
}
