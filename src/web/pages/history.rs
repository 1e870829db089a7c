//! The history of an article: its revisions, from which two can be chosen to compare.

use std::sync::Arc;

use askama::Template;
use axum::body::Body;
use axum::extract::{Path, State};
use http::Response;
use url::form_urlencoded;

use super::super::Site;
use super::super::log::of_article;
use super::super::paths::history_of;
use super::super::problem::Problem;
use super::super::respond;
use super::super::shown::{Delta, When, parts, size, text, when};
use super::super::visit::{Form, Visit};
use super::changes::kind;
use super::heading::{Heading, Note, Tab};
use super::{Frame, article_name};
use crate::model::{ArticleName, ChangeKind, ChangeKinds, FeedQuery};
use crate::wire::pb;

/// The revisions on a page.
const PAGE_SIZE: i32 = 100;
/// The changes without a text on a page.
const OTHERS_MAX: usize = 50;

#[derive(Template)]
#[template(path = "history.html")]
struct HistoryPage {
    frame: Frame,
    heading: Heading,
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
    observed: Option<When>,
    archived: Option<When>,
    /// What is known about it: the reason, labels, the status of a page that is missing, or an address.
    details: Vec<String>,
}

/// A revision of a history.
struct Entry {
    number: u32,
    headline: String,
    is_expunged: bool,
    observed: Option<When>,
    archived: Option<When>,
    last_seen: Option<When>,
    observation_count: u32,
    delta: Option<Delta>,
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
    let request = pb::ListRevisionsRequest {
        parent: name.to_string(),
        page_size: PAGE_SIZE,
        page_token: visit.parameter("page").unwrap_or_default().to_owned(),
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
    let others = match (visit.form, visit.parameter("page")) {
        (Form::Page, None) => other_changes(&site, &name).await?,
        (Form::Page, Some(_)) | (Form::Json, _) => (Vec::new(), false),
    };
    let path = history_of(&name);
    let response = respond::page(&visit, listed, |listed| {
        let heading = Heading::new(&name, &found, Tab::History);
        Ok(HistoryPage::new(heading, &path, &listed, others))
    })?;
    Ok(respond::with_canonical(&site, response, &path))
}

/// The newest changes of an article that brought no text, such as that it was withdrawn; and whether there are more.
async fn other_changes(site: &Site, name: &ArticleName) -> Result<(Vec<Other>, bool), Problem> {
    use ChangeKind::{Absent, Aliased, Expunged, Labelled, Reinstated, UrlMoved, Withdrawn};
    let kinds = ChangeKinds::of([Withdrawn, Reinstated, Absent, Aliased, UrlMoved, Labelled, Expunged]);
    let query = Arc::new(FeedQuery { kinds, ..FeedQuery::default() });
    let (changes, before) = of_article(site, &query, name, None, OTHERS_MAX).await?;
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
        heading: Heading,
        path: &str,
        listed: &pb::ListRevisionsResponse,
        (others, has_more_others): (Vec<Other>, bool),
    ) -> Self {
        let entries: Vec<Entry> = listed.entries.iter().map(Entry::of).collect();
        let number = |at: usize| entries.get(at).map_or(0, |entry| entry.number);
        let (target, base) = (number(0), if entries.len() > 1 { number(1) } else { number(0) });
        let older = (!listed.next_page_token.is_empty()).then(|| {
            let query =
                form_urlencoded::Serializer::new(String::new()).append_pair("page", &listed.next_page_token).finish();
            format!("{path}?{query}")
        });
        let frame = Frame::at(format!("History of {}", heading.headline), path);
        Self { frame, heading, entries, base, target, older, others, has_more_others }
    }
}

impl Other {
    fn of(change: &pb::Change) -> Self {
        let (kind, class) = kind(change);
        let status = change.absence.as_ref().map(|absence| absence.http_status).filter(|status| *status > 0);
        let labels = change.labels_added.iter().map(|label| format!("+{label}"));
        let labels = labels.chain(change.labels_removed.iter().map(|label| format!("−{label}")));
        let urls = change.urls.iter().chain(&change.urls_ended).map(|url| url.url.clone());
        let addresses = matches!(change.kind(), pb::ChangeKind::Aliased | pb::ChangeKind::UrlMoved);
        let details = status.map(|status| format!("status {status}")).into_iter();
        let details = details.chain(labels).chain(urls.filter(|_| addresses)).chain([change.reason.clone()]);
        Self {
            seq: change.seq,
            kind,
            class,
            observed: when(change.observe_time.as_ref()),
            archived: when(change.archive_time.as_ref()),
            details: details.filter(|detail| !detail.is_empty()).map(|detail| text(&detail)).collect(),
        }
    }
}

impl Entry {
    fn of(entry: &pb::RevisionEntry) -> Self {
        let revision = entry.revision.clone().unwrap_or_default();
        let content = revision.content.clone().unwrap_or_default();
        Self {
            number: revision.number,
            headline: text(&content.headline),
            is_expunged: revision.expunged.is_some(),
            observed: when(revision.observe_time.as_ref()),
            archived: when(revision.archive_time.as_ref()),
            last_seen: when(entry.last_seen_time.as_ref()),
            observation_count: entry.observation_count,
            delta: revision.word_delta.map(Into::into),
            parts: parts(revision.changed_parts()),
            rollback_of: revision.rollback_of,
            original: revision.original.as_ref().map(|original| size(original.size_bytes)),
            is_late: entry.is_late,
        }
    }
}
