//! Lists of changes, the newest first: all of them, or what was taken down.
//!
//! A page examines at most 20,000 changes, and then says where it continues.

use std::collections::HashSet;
use std::sync::Arc;

use askama::Template;
use axum::body::Body;
use axum::extract::State;
use http::Response;

use super::super::Site;
use super::super::log::{self, Newest};
use super::super::problem::Problem;
use super::super::respond;
use super::super::row::Row;
use super::super::visit::{Form, Visit};
use super::Frame;
use crate::access::Permission;
use crate::model::{ArticleFilter, ChangeKind, ChangeKinds, FeedQuery, Position};
use crate::service::Caller;
use crate::wire::pb;

/// The changes on a page.
const PAGE_SIZE: usize = 50;

#[derive(Template)]
#[template(path = "changes.html")]
struct ChangesPage {
    frame: Frame,
    list: Listed,
    title: &'static str,
    lead: &'static str,
    /// Where the live list continues; `None` if this page is not live.
    live_after: Option<String>,
    older: Option<String>,
}

/// Changes, as a page lists them.
pub(super) struct Listed {
    pub(super) rows: Vec<Row>,
}

pub(super) async fn show(State(site): State<Arc<Site>>, visit: Visit) -> Result<Response<Body>, Problem> {
    list(&site, &visit, Wanted::All).await
}

pub(super) async fn takedowns(State(site): State<Arc<Site>>, visit: Visit) -> Result<Response<Body>, Problem> {
    list(&site, &visit, Wanted::Takedowns).await
}

/// Which changes are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All but sightings.
    All,
    /// Those by which something was taken down, or came back.
    Takedowns,
}

impl Wanted {
    fn kinds(self) -> ChangeKinds {
        use ChangeKind::{Absent, Expunged, Reinstated, Withdrawn};
        match self {
            Self::All => ChangeKinds::default(),
            Self::Takedowns => ChangeKinds::of([Withdrawn, Reinstated, Absent, Expunged]),
        }
    }

    /// Whether a change of one of the kinds is listed. Of absences, it is those with which an article is gone.
    fn has(self, change: &pb::Change) -> bool {
        let is_first_gone = change.absence.as_ref().is_none_or(|absence| absence.count == absence.gone_after);
        self == Self::All || change.kind() != pb::ChangeKind::Absent || is_first_gone
    }
}

async fn list(site: &Site, visit: &Visit, wanted: Wanted) -> Result<Response<Body>, Problem> {
    let before = visit.number::<u64>("before")?;
    let tail = site.reads.archive().tail().position();
    let found = newest(site, &visit.caller, before, PAGE_SIZE, wanted).await?;
    let path = match wanted {
        Wanted::All => "/changes",
        Wanted::Takedowns => "/takedowns",
    };
    let canonical = before.map_or_else(|| path.to_owned(), |before| format!("{path}?before={before}"));
    let older = found.before.map(|before| format!("{path}?before={before}"));
    let end = visit.form.end();
    let next = found.before.map(|before| format!("{path}{end}?before={before}"));
    let mut ascending = found.changes.clone();
    ascending.reverse();
    let message = pb::ListChangesResponse {
        next_seq: before.unwrap_or(tail.next_seq.0),
        caught_up: before.is_none(),
        changes: ascending,
        resume_token: String::new(),
    };
    let is_live = before.is_none() && wanted == Wanted::All;
    let seen_again = match (visit.form, wanted) {
        (Form::Page, Wanted::Takedowns) => seen_again(site, &visit.caller, &found.changes).await?,
        (Form::Page, Wanted::All) | (Form::Json, _) => HashSet::new(),
    };
    let page = |_| {
        let (title, lead) = match wanted {
            Wanted::All => ("Changes", "What the archive recorded, the newest first."),
            Wanted::Takedowns => (
                "Takedowns",
                "What was withdrawn or reinstated, has gone from the web, or was expunged, the newest first.",
            ),
        };
        Ok(ChangesPage {
            frame: Frame::at(title, &canonical),
            list: Listed { rows: found.changes.iter().filter_map(|change| row(change, &seen_again)).collect() },
            title,
            lead,
            live_after: is_live.then(|| tail.to_string()),
            older,
        })
    };
    let response = respond::page(visit, message, page)?;
    let response = respond::with_canonical(site, response, &canonical);
    Ok(match next {
        Some(next) => respond::with_link(site, response, &next, "next"),
        None => response,
    })
}

/// The articles that some of the changes found missing, and that are up by now.
async fn seen_again(site: &Site, caller: &Caller, changes: &[pb::Change]) -> Result<HashSet<String>, Problem> {
    let missing = changes.iter().filter(|change| change.kind() == pb::ChangeKind::Absent);
    let names: HashSet<String> = missing.map(|change| change.article.clone()).collect();
    if names.is_empty() {
        return Ok(names);
    }
    let request = pb::BatchGetArticlesRequest {
        names: names.into_iter().collect(),
        view: pb::ArticleView::Basic.into(),
        ..pb::BatchGetArticlesRequest::default()
    };
    let found = site.reads.batch(caller, request).await?.articles.into_iter();
    let up = found.filter(|article| article.state() == pb::ArticleState::Live && article.absence.is_none());
    Ok(up.map(|article| article.name).collect())
}

/// A change as a row, with whether what it found missing was seen again.
fn row(change: &pb::Change, seen_again: &HashSet<String>) -> Option<Row> {
    let row = Row::of(change)?;
    let is_back = change.kind() == pb::ChangeKind::Absent && seen_again.contains(&change.article);
    Some(if is_back { row.seen_again() } else { row })
}

/// The newest `count` changes below `before`, or of all.
pub(super) async fn newest(
    site: &Site,
    caller: &Caller,
    before: Option<u64>,
    count: usize,
    wanted: Wanted,
) -> Result<Newest, Problem> {
    let filter = ArticleFilter { within: caller.scope(Permission::Read), ..ArticleFilter::default() };
    let query = Arc::new(FeedQuery { filter, kinds: wanted.kinds() });
    log::newest(site, &query, before, count..=count, |change| wanted.has(change)).await
}

impl Listed {
    pub(super) fn of(changes: &[pb::Change]) -> Self {
        Self { rows: changes.iter().filter_map(Row::of).collect() }
    }
}

/// Where the log ends, for a list that is updated live.
pub(super) fn end_of_log(site: &Site) -> Position {
    site.reads.archive().tail().position()
}
