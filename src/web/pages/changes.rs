//! Lists of changes, the newest first: all of them, or what was taken down.
//!
//! The log is read backwards in windows, each forwards through the change feed, because the newest changes are at its
//! end. A page examines at most 20,000 changes, and then says where it continues.

use std::sync::Arc;

use askama::Template;
use askama::filters::HtmlSafe;
use axum::body::Body;
use axum::extract::State;
use http::Response;

use super::super::Site;
use super::super::log::between;
use super::super::paths::{page_of, path_of, path_of_source};
use super::super::problem::Problem;
use super::super::respond;
use super::super::shown::{Delta, When, expunge_reason, parts, recorded_diff_of, some_text, text, when};
use super::super::visit::{Form, Visit};
use super::Frame;
use crate::access::Permission;
use crate::model::{ArticleFilter, ArticleName, ChangeKind, ChangeKinds, FeedQuery, Position};
use crate::service::Caller;
use crate::wire::{instant, pb};

/// The changes on a page.
const PAGE_SIZE: usize = 50;
/// The changes that the first window of a page examines. Each later one examines twice as many, up to [`WINDOW_MAX`].
const WINDOW: u64 = 128;
const WINDOW_MAX: u64 = 4_096;
/// What is recorded within this time counts as recorded when it was observed.
const AT_ONCE_MICROS: i64 = 10 * 60 * 1_000_000;
/// The changes that a page examines before it ends, even if few of them match.
const EXAMINED_MAX: u64 = 20_000;

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

/// A change in a list.
#[derive(Template)]
#[template(path = "row.html")]
pub(in crate::web) struct Row {
    seq: u64,
    /// When it was so; without a time of its own, when it was recorded.
    observed: Option<When>,
    /// When it was recorded, if that is another time.
    recorded: Option<When>,
    kind: &'static str,
    class: &'static str,
    source: String,
    source_path: String,
    link: String,
    headline: String,
    delta: Option<Delta>,
    parts: String,
    reason: Option<String>,
    is_late: bool,
    details: Vec<String>,
}

impl HtmlSafe for Row {}

/// A page of changes, the newest first.
pub(super) struct Found {
    pub(super) changes: Vec<pb::Change>,
    /// The position before which older changes are; `None` at the beginning of the log.
    pub(super) before: Option<u64>,
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
    let end = if visit.form == Form::Json { ".json" } else { "" };
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
    let page = |_| {
        let (title, lead) = match wanted {
            Wanted::All => ("Changes", "What the archive recorded, the newest first."),
            Wanted::Takedowns => (
                "Takedowns",
                "What was withdrawn, has gone from the web, came back, or was expunged, the newest first.",
            ),
        };
        Ok(ChangesPage {
            frame: Frame::at(title, &canonical),
            list: Listed::of(&found.changes),
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

/// The newest `count` changes below `before`, or of all.
pub(super) async fn newest(
    site: &Site,
    caller: &Caller,
    before: Option<u64>,
    count: usize,
    wanted: Wanted,
) -> Result<Found, Problem> {
    let mut end = before.unwrap_or(u64::MAX).min(site.reads.archive().tail().next_seq.0);
    let filter = ArticleFilter { within: caller.scope(Permission::Read), ..ArticleFilter::default() };
    let query = Arc::new(FeedQuery { filter, kinds: wanted.kinds() });
    let (mut found, mut examined, mut window) = (Vec::new(), 0, WINDOW);
    while end > 0 && found.len() < count && examined < EXAMINED_MAX {
        let from = end.saturating_sub(window);
        let changes = between(site, &query, from, end).await?;
        found.extend(changes.into_iter().rev().filter(|change| wanted.has(change)));
        examined += end - from;
        (end, window) = (from, (window * 2).min(WINDOW_MAX));
    }
    if found.len() > count {
        found.truncate(count);
        end = found.last().map_or(end, |last| last.seq);
    }
    Ok(Found { changes: found, before: (end > 0).then_some(end) })
}

impl Listed {
    pub(super) fn of(changes: &[pb::Change]) -> Self {
        Self { rows: changes.iter().filter_map(Row::of).collect() }
    }
}

impl Row {
    /// A change as a row.
    pub(in crate::web) fn of(change: &pb::Change) -> Option<Self> {
        let name = ArticleName::parse(&change.article).ok()?;
        let revision = change.revision.clone().unwrap_or_default();
        let content = revision.content.clone().unwrap_or_default();
        let path = path_of(&name);
        let (kind, class) = kind(change);
        let (is_text, observed) = (is_text(change), change.observe_time.as_ref());
        let link = if is_text && revision.expunged.is_none() {
            recorded_diff_of(&name, &revision)
        } else if change.kind() == pb::ChangeKind::Created {
            format!("{path}/r/{}", revision.number)
        } else {
            page_of(&name)
        };
        Some(Self {
            seq: change.seq,
            observed: when(observed.or(change.archive_time.as_ref())),
            recorded: when(change.archive_time.as_ref()).filter(|_| is_recorded_later(change)),
            kind,
            class,
            source: name.source.as_str().to_owned(),
            link,
            headline: match &change.expunging {
                Some(expunging) => destroyed(expunging),
                None if revision.expunged.is_some() => "Expunged".to_owned(),
                None => text(&content.headline),
            },
            delta: revision.word_delta.filter(|_| is_text).map(Into::into),
            parts: if is_text { parts(revision.changed_parts()) } else { String::new() },
            reason: some_text(&change.reason),
            is_late: !change.is_newest,
            details: details(change),
            source_path: path_of_source(&name.source),
        })
    }
}

impl Row {
    /// What happened, with the headline.
    pub(in crate::web) fn title(&self) -> String {
        if self.headline.is_empty() { self.kind.to_owned() } else { format!("{}: {}", self.kind, self.headline) }
    }

    /// What happened, in a word.
    pub(in crate::web) fn kind(&self) -> &'static str {
        self.kind
    }

    /// The path of the page that shows it.
    pub(in crate::web) fn link(&self) -> &str {
        &self.link
    }

    /// The reason that was given for it; empty if there is none.
    pub(in crate::web) fn reason(&self) -> &str {
        self.reason.as_deref().unwrap_or_default()
    }
}

/// Whether a change brought a further text.
pub(in crate::web) fn is_text(change: &pb::Change) -> bool {
    matches!(change.kind(), pb::ChangeKind::Revised | pb::ChangeKind::RolledBack)
}

/// What happened, in a word, and the class by which the stylesheet knows it.
pub(super) fn kind(change: &pb::Change) -> (&'static str, &'static str) {
    match change.kind() {
        pb::ChangeKind::Created => ("New", "new"),
        pb::ChangeKind::Revised => ("Revised", "revised"),
        pb::ChangeKind::RolledBack => ("Rolled back", "revised"),
        pb::ChangeKind::Sighted => ("Seen", "quiet"),
        pb::ChangeKind::Withdrawn => ("Withdrawn", "down"),
        pb::ChangeKind::Reinstated => ("Reinstated", "new"),
        pb::ChangeKind::Absent => match &change.absence {
            Some(run) if run.count == run.gone_after => ("Gone", "down"),
            Some(run) if run.count > run.gone_after && run.gone_after > 0 => ("Still gone", "down"),
            Some(_) | None => ("Missing", "down"),
        },
        pb::ChangeKind::Aliased => ("Address added", "quiet"),
        pb::ChangeKind::UrlMoved => ("Address moved", "quiet"),
        pb::ChangeKind::Labelled => ("Labels", "quiet"),
        pb::ChangeKind::Expunged => ("Expunged", "down"),
        pb::ChangeKind::Unspecified => ("Changed", "quiet"),
    }
}

/// Whether a change was recorded so long after it was observed that both times matter.
pub(super) fn is_recorded_later(change: &pb::Change) -> bool {
    let [observed, archived] = [&change.observe_time, &change.archive_time].map(|time| instant(time.as_ref()));
    observed.zip(archived).is_some_and(|(observed, archived)| archived.micros() - observed.micros() > AT_ONCE_MICROS)
}

/// What is known about a change besides its text and its reason: the status of a page that is missing, labels, addresses,
/// and why a text was destroyed.
pub(super) fn details(change: &pb::Change) -> Vec<String> {
    let status = change.absence.as_ref().map(|absence| absence.http_status).filter(|status| *status > 0);
    let mut details: Vec<String> = status.map(|status| format!("status {status}")).into_iter().collect();
    details.extend(change.labels_added.iter().map(|label| format!("+{}", text(label))));
    details.extend(change.labels_removed.iter().map(|label| format!("−{}", text(label))));
    if change.kind() == pb::ChangeKind::Aliased {
        details.extend(change.urls.iter().map(|led| text(&led.url)));
    } else if change.kind() == pb::ChangeKind::UrlMoved {
        details.extend(change.urls.iter().map(|led| format!("{} leads here", text(&led.url))));
        details.extend(change.urls_ended.iter().map(|led| format!("{} no longer leads here", text(&led.url))));
    }
    if let Some(expunging) = &change.expunging {
        details.push(expunge_reason(expunging.reason()).to_owned());
        details.extend(some_text(&expunging.reference));
    }
    details
}

/// What was destroyed.
pub(super) fn destroyed(expunging: &pb::Expunging) -> String {
    let numbers: Vec<String> = expunging.revision_numbers.iter().map(u32::to_string).collect();
    match numbers.as_slice() {
        [] if expunging.with_name => "All text of the article, and its name".to_owned(),
        [] => "All text of the article".to_owned(),
        [one] => format!("Revision {one}"),
        several => format!("Revisions {}", several.join(", ")),
    }
}

/// Where the log ends, for a list that is updated live.
pub(super) fn end_of_log(site: &Site) -> Position {
    site.reads.archive().tail().position()
}
