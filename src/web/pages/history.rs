//! The history of an article: its revisions, from which two can be chosen to compare.

use std::sync::Arc;

use askama::Template;
use axum::body::Body;
use axum::extract::{Path, State};
use http::{Response, StatusCode};
use url::form_urlencoded;

use super::super::Site;
use super::super::log::{Newest, of_article};
use super::super::paths::history_of;
use super::super::problem::Problem;
use super::super::respond;
use super::super::row::{destroyed, details, is_recorded_later, kind};
use super::super::shown::{Delta, When, parts, recorded_diff_of, size, some_text, text, when};
use super::super::visit::{Form, Point, Visit};
use super::heading::{Heading, Note, Tab};
use super::{Frame, article_name};
use crate::model::{ArticleName, ChangeKind, ChangeKinds, FeedQuery, Timestamp};
use crate::wire::{instant, pb, timestamp_to_pb};

/// The revisions on a page.
const PAGE_SIZE: i32 = 100;
/// The changes without a text on a page.
const OTHERS_MAX: usize = 50;

#[derive(Template)]
#[template(path = "history.html")]
struct HistoryPage {
    frame: Frame,
    heading: Heading,
    /// The instant of the archive axis that was asked for, as the form has it, and in words.
    known_at: String,
    known: Option<When>,
    entries: Vec<Entry>,
    /// The revisions that are compared unless others are chosen.
    base: u32,
    target: u32,
    older: Option<String>,
    /// The newest changes that brought no text.
    others: Vec<Other>,
    has_more_others: bool,
}

/// A change that brought no text.
struct Other {
    seq: u64,
    kind: &'static str,
    class: &'static str,
    /// When and what: the status of a page that is missing, labels, addresses, or a reason.
    observed: Option<When>,
    details: Vec<String>,
    archived: Option<When>,
}

/// A revision of a history.
struct Entry {
    number: u32,
    headline: String,
    is_expunged: bool,
    observed: Option<When>,
    archived: Option<When>,
    first_seen: Option<When>,
    last_seen: Option<When>,
    observation_count: u32,
    delta: Option<Delta>,
    /// The path of the comparison that was counted.
    diff: String,
    parts: String,
    rollback_of: u32,
    original: Option<String>,
    /// Whether it was observed before one that the archive had already.
    is_late: bool,
}

pub(super) async fn show(
    State(site): State<Arc<Site>>,
    Path((source, article)): Path<(String, String)>,
    visit: Visit,
) -> Result<Response<Body>, Problem> {
    let name = article_name(&source, &article)?;
    let point = Point { at: None, ..visit.point(&site)? };
    let page = visit.parameter("page");
    let query = query_of(&point, page);
    if visit.parameter("known_at").is_some() && visit.query != query {
        let end = visit.form.end();
        return Ok(respond::redirect(&format!("{}{end}{query}", history_of(&name))));
    }
    let request = pb::ListRevisionsRequest {
        parent: name.to_string(),
        page_size: PAGE_SIZE,
        page_token: page.unwrap_or_default().to_owned(),
        as_of: point.as_of(),
        ..pb::ListRevisionsRequest::default()
    };
    let listed = site.reads.revisions(&visit.caller, request).await?;
    let request = pb::GetArticleRequest {
        name: name.to_string(),
        as_of: known_with(listed.snapshot.as_ref()),
        view: pb::ArticleView::Basic.into(),
        min_next_seq: 0,
    };
    let found = site.reads.article(&visit.caller, request).await?.article.unwrap_or_default();
    let (others, before) = match (visit.form, page) {
        (Form::Json, _) => ((Vec::new(), false), None),
        (Form::Page, None) => (
            other_changes(&site, &name, listed.snapshot.as_ref()).await?,
            in_force_before(&site, &visit, &name, found.valid_from.as_ref(), listed.snapshot.as_ref()).await?,
        ),
        (Form::Page, Some(_)) => ((Vec::new(), false), None),
    };
    let path = format!("{}{query}", history_of(&name));
    let response = respond::page(&visit, listed, |listed| {
        let in_force = (before, found.revision.as_ref().map_or(0, |revision| revision.number));
        let heading = Heading::new(&name, &found, Tab::History).at(point);
        Ok(HistoryPage::new(&name, heading, &path, &listed, in_force, others))
    })?;
    Ok(respond::with_canonical(&site, response, &path))
}

/// The query of a page of the history: empty, or from its question mark on.
fn query_of(point: &Point, page: Option<&str>) -> String {
    let known = point.query();
    let Some(page) = page else { return known };
    let page = form_urlencoded::Serializer::new(String::new()).append_pair("page", page).finish();
    if known.is_empty() { format!("?{page}") } else { format!("{known}&{page}") }
}

/// The number of the revision in force just before a time of the observe axis, as known with a snapshot; `None` if there
/// was none.
pub(super) async fn in_force_before(
    site: &Site,
    visit: &Visit,
    name: &ArticleName,
    time: Option<&prost_types::Timestamp>,
    snapshot: Option<&pb::Snapshot>,
) -> Result<Option<u32>, Problem> {
    let Some(before) = instant(time).map(|time| time.saturating_add_micros(-1)) else { return Ok(None) };
    let found = match in_force_at(site, visit, name, before, snapshot).await {
        Err(problem) if problem.status() == StatusCode::NOT_FOUND => return Ok(None),
        found => found?,
    };
    Ok(found.revision.map(|revision| revision.number))
}

/// An article at an instant of the observe axis, as known with a snapshot.
pub(super) async fn in_force_at(
    site: &Site,
    visit: &Visit,
    name: &ArticleName,
    at: Timestamp,
    snapshot: Option<&pb::Snapshot>,
) -> Result<pb::Article, Problem> {
    let known = known_with(snapshot).unwrap_or_default();
    let request = pb::GetArticleRequest {
        name: name.to_string(),
        as_of: Some(pb::AsOf { observe_time: Some(timestamp_to_pb(at)), ..known }),
        view: pb::ArticleView::Basic.into(),
        min_next_seq: 0,
    };
    Ok(site.reads.article(&visit.caller, request).await?.article.unwrap_or_default())
}

/// The newest changes of an article that brought no text, such as that it was withdrawn, in the order of what they say;
/// and whether there are more.
async fn other_changes(
    site: &Site,
    name: &ArticleName,
    snapshot: Option<&pb::Snapshot>,
) -> Result<(Vec<Other>, bool), Problem> {
    use ChangeKind::{Absent, Aliased, Expunged, Labelled, Reinstated, UrlMoved, Withdrawn};
    let kinds = ChangeKinds::of([Withdrawn, Reinstated, Absent, Aliased, UrlMoved, Labelled, Expunged]);
    let query = Arc::new(FeedQuery { kinds, ..FeedQuery::default() });
    let end = snapshot.map(|snapshot| snapshot.next_seq);
    let Newest { mut changes, before } = of_article(site, &query, name, end, OTHERS_MAX).await?;
    let time = |change: &pb::Change| instant(change.observe_time.as_ref().or(change.archive_time.as_ref()));
    changes.sort_by_key(|change| std::cmp::Reverse((time(change), change.seq)));
    Ok((changes.iter().map(Other::of).collect(), before.is_some()))
}

/// The newest state as known with a snapshot.
pub(super) fn known_with(snapshot: Option<&pb::Snapshot>) -> Option<pb::AsOf> {
    let snapshot = snapshot?;
    Some(pb::AsOf {
        observe_time: None,
        known_at: Some(pb::as_of::KnownAt::NextSeq(snapshot.next_seq)),
        log_digest: snapshot.log_digest.clone(),
    })
}

impl HistoryPage {
    fn new(
        name: &ArticleName,
        heading: Heading,
        path: &str,
        listed: &pb::ListRevisionsResponse,
        (before, newest): (Option<u32>, u32),
        (others, has_more_others): (Vec<Other>, bool),
    ) -> Self {
        let entries: Vec<Entry> = listed.entries.iter().map(|entry| Entry::of(name, entry)).collect();
        let numbers: Vec<u32> = entries.iter().map(|entry| entry.number).collect();
        let first = |wanted: u32| numbers.iter().copied().find(|number| *number != wanted).unwrap_or(wanted);
        let target = if numbers.contains(&newest) { newest } else { first(0) };
        let base = before.filter(|before| numbers.contains(before)).unwrap_or_else(|| first(target));
        let token = &listed.next_page_token;
        let older =
            (!token.is_empty()).then(|| format!("{}{}", history_of(name), query_of(&heading.point, Some(token))));
        let known_at = heading.point.known_at;
        let frame = Frame::at(format!("History of {}", heading.headline), path);
        Self {
            frame,
            known_at: known_at.map(|time| time.to_string()).unwrap_or_default(),
            known: known_at.map(When::exact),
            heading,
            entries,
            base,
            target,
            older,
            others,
            has_more_others,
        }
    }
}

impl Other {
    fn of(change: &pb::Change) -> Self {
        let (kind, class) = kind(change);
        let destroyed = change.expunging.as_ref().map(destroyed);
        let reason = some_text(&change.reason);
        Self {
            seq: change.seq,
            kind,
            class,
            observed: when(change.observe_time.as_ref()),
            details: destroyed.into_iter().chain(details(change)).chain(reason).collect(),
            archived: when(change.archive_time.as_ref())
                .filter(|_| change.observe_time.is_none() || is_recorded_later(change)),
        }
    }
}

impl Entry {
    fn of(name: &ArticleName, entry: &pb::RevisionEntry) -> Self {
        let revision = entry.revision.clone().unwrap_or_default();
        let content = revision.content.clone().unwrap_or_default();
        Self {
            number: revision.number,
            headline: text(&content.headline),
            is_expunged: revision.expunged.is_some(),
            observed: when(revision.observe_time.as_ref()),
            archived: when(revision.archive_time.as_ref()),
            first_seen: when(entry.first_seen_time.as_ref()),
            last_seen: when(entry.last_seen_time.as_ref()),
            observation_count: entry.observation_count,
            delta: revision.word_delta.map(Into::into),
            diff: recorded_diff_of(name, &revision),
            parts: parts(revision.changed_parts()),
            rollback_of: revision.rollback_of,
            original: revision.original.as_ref().map(|original| size(original.size_bytes)),
            is_late: entry.is_late,
        }
    }
}
