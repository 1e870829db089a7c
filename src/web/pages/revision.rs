//! One revision: a permalink, with its digests, proof and citations.

use std::sync::Arc;

use askama::Template;
use axum::body::Body;
use axum::extract::{Path, State};
use http::{Response, StatusCode};

use super::super::Site;
use super::super::paths::revision_of;
use super::super::problem::Problem;
use super::super::respond;
use super::super::shown::{
    Delta, Link, Text, Tongue, When, content, count, exactly, grouped, hex, parts, recorded_diff_of, size, some_text,
    text,
};
use super::super::visit::{Form, Visit};
use super::article::{Claims, Tombstone};
use super::heading::{Heading, Note, Tab};
use super::history::known_with;
use super::{Frame, article_name, revision_number};
use crate::model::{ArticleName, RevisionNumber, Timestamp};
use crate::wire::{instant, pb};

#[derive(Template)]
#[template(path = "revision.html")]
struct RevisionPage {
    frame: Frame,
    heading: Heading,
    text: Text,
    claims: Claims,
    tombstone: Option<Tombstone>,
    number: u32,
    previous: Option<u32>,
    next: Option<u32>,
    /// When a later look found it; `None` on the page of the revision itself.
    found: Option<When>,
    facts: Facts,
    has_proof: bool,
    /// The whole address, to send to others.
    permalink: String,
}

/// What is known of a revision besides its text.
struct Facts {
    observed: Option<When>,
    archived: Option<When>,
    seq: String,
    words: String,
    delta: Option<Delta>,
    /// The path of the comparison that was counted.
    diff: String,
    parts: String,
    rollback_of: u32,
    digest: String,
    commitment: String,
    original: Option<Original>,
    fetched: Option<Link>,
    etag: Option<String>,
    last_modified: Option<String>,
}

struct Original {
    media_type: String,
    size: String,
    sha256: String,
}

/// The addresses `…/r` and `…/r?n=3`: the slider's form leads there.
pub(super) async fn select(
    State(site): State<Arc<Site>>,
    Path((source, article)): Path<(String, String)>,
    visit: Visit,
) -> Result<Response<Body>, Problem> {
    let name = article_name(&source, &article)?;
    let number = match visit.number::<u32>("n")? {
        Some(number) => number,
        None => {
            let request = pb::GetRevisionRequest {
                name: format!("{name}/revisions/latest"),
                view: pb::ArticleView::Basic.into(),
                ..pb::GetRevisionRequest::default()
            };
            site.reads.revision(&visit.caller, request).await?.revision.unwrap_or_default().number
        }
    };
    let end = visit.form.end();
    Ok(respond::redirect(&format!("{}{end}", revision_of(&name, number))))
}

pub(super) async fn show(
    State(site): State<Arc<Site>>,
    Path((source, article, number)): Path<(String, String, String)>,
    visit: Visit,
) -> Result<Response<Body>, Problem> {
    page(&site, &visit, &article_name(&source, &article)?, revision_number(&number)?, None).await
}

/// The page of a revision. As that of a capture, it says when the revision was `found`.
pub(in crate::web) async fn page(
    site: &Site,
    visit: &Visit,
    name: &ArticleName,
    number: RevisionNumber,
    found: Option<Timestamp>,
) -> Result<Response<Body>, Problem> {
    let (response, article) = read(site, visit, name, number).await?;
    let is_expunged = response.revision.as_ref().is_some_and(|revision| revision.expunged.is_some());
    let path = revision_of(name, number.get());
    let mut response = respond::page(visit, response, |response| {
        let revision = response.revision.unwrap_or_default();
        RevisionPage::new(site, name, &article, &revision, found)
    })?;
    if is_expunged {
        *response.status_mut() = StatusCode::GONE;
    }
    Ok(respond::with_canonical(site, response, &path))
}

/// A revision, and its article as known then.
pub(super) async fn read(
    site: &Site,
    visit: &Visit,
    name: &ArticleName,
    number: RevisionNumber,
) -> Result<(pb::GetRevisionResponse, pb::Article), Problem> {
    let request = pb::GetRevisionRequest {
        name: name.revision(number),
        view: pb::ArticleView::Full.into(),
        ..pb::GetRevisionRequest::default()
    };
    let found = site.reads.revision(&visit.caller, request).await?;
    let request = pb::GetArticleRequest {
        name: name.to_string(),
        as_of: known_with(found.snapshot.as_ref()),
        view: pb::ArticleView::Basic.into(),
        min_next_seq: 0,
    };
    let article = site.reads.article(&visit.caller, request).await?.article.unwrap_or_default();
    Ok((found, article))
}

/// The proof that the revision is in the log, as a file; its JSON is the message.
pub(super) async fn proof(
    State(site): State<Arc<Site>>,
    Path((source, article, number)): Path<(String, String, String)>,
    visit: Visit,
) -> Result<Response<Body>, Problem> {
    let (name, number) = (article_name(&source, &article)?, revision_number(&number)?);
    let proof = site.reads.proof(&visit.caller, name.revision(number)).await?;
    if visit.form == Form::Json {
        return Ok(respond::message_json(&visit, &proof));
    }
    let file = format!("{}-{}-{number}.proof", name.source.as_str(), name.article.as_str());
    Ok(respond::file(&visit, "text/plain; charset=utf-8", &file, proof.proof))
}

impl RevisionPage {
    fn new(
        site: &Site,
        name: &ArticleName,
        article: &pb::Article,
        revision: &pb::Revision,
        found: Option<Timestamp>,
    ) -> Result<Self, Problem> {
        let (content, number) = (content(revision)?, revision.number);
        let mut heading = Heading::new(name, article, Tab::Revision);
        heading.headline = match &revision.expunged {
            Some(_) => format!("Revision {number}, expunged"),
            None => text(&content.headline),
        };
        heading.tongue = Tongue::of(&content.language);
        let path = format!("{}/r/{number}", heading.path);
        Ok(Self {
            frame: Frame::at(format!("{}, revision {number}", heading.headline), &path),
            previous: (number > 1).then(|| number - 1),
            next: (number < article.revision_count).then_some(number + 1),
            number,
            text: Text::under(heading.headline.clone(), &content, text),
            claims: Claims::of(&content),
            tombstone: revision.expunged.as_ref().map(Tombstone::of),
            found: found.filter(|found| instant(revision.observe_time.as_ref()) != Some(*found)).map(When::exact),
            facts: Facts::of(name, revision),
            has_proof: site.reads.has_proofs(),
            permalink: site.address(&path),
            heading,
        })
    }
}

impl Facts {
    fn of(name: &ArticleName, revision: &pb::Revision) -> Self {
        let fetch = revision.fetch.clone().unwrap_or_default();
        let expunged = revision.expunged.as_ref();
        Self {
            observed: exactly(revision.observe_time.as_ref()),
            archived: exactly(revision.archive_time.as_ref()),
            seq: grouped(revision.seq),
            words: count(revision.word_count.into(), "word"),
            delta: revision.word_delta.map(Into::into),
            diff: recorded_diff_of(name, revision),
            parts: parts(revision.changed_parts()),
            rollback_of: revision.rollback_of,
            digest: hex(&revision.content_digest),
            commitment: expunged.map(|expunged| hex(&expunged.content_commitment)).unwrap_or_default(),
            original: revision.original.as_ref().map(|original| Original {
                media_type: text(&original.media_type),
                size: size(original.size_bytes),
                sha256: hex(&original.sha256),
            }),
            fetched: Link::to(&fetch.url),
            etag: some_text(&fetch.etag),
            last_modified: some_text(&fetch.last_modified),
        }
    }
}
