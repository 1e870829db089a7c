//! The items of a feed: the changes of a subject, the newest first.
//!
//! Those of an article are found along its own chain of changes, and the others in the log.

use std::sync::Arc;

use super::super::Site;
use super::super::log::{self, Newest};
use super::super::pages::diff::BriefDiff;
use super::super::problem::Problem;
use super::super::row::{self, Row, details};
use super::super::shown::{When, some_text, when};
use super::super::visit::Visit;
use super::{Subject, urn};
use crate::model::Timestamp;
use crate::wire::{instant, pb};
use askama::Template;

/// The least items of a document, if there are as many.
const ITEMS: usize = 25;
/// The most items of a document.
const ITEMS_MAX: usize = 64;
/// The most bytes of one change in a document. Of a longer one, the document says where it is.
const CONTENT_BYTES_MAX: usize = 32 << 10;

/// An item of a feed.
pub(super) struct Item {
    pub(super) id: String,
    pub(super) title: String,
    /// The address of the page that shows it.
    pub(super) link: String,
    pub(super) archived: Timestamp,
    /// What happened, in a word.
    pub(super) kind: &'static str,
    pub(super) labels: Vec<String>,
    /// What changed, as HTML.
    pub(super) html: String,
    /// The items whose text this one says to have been destroyed: their identities.
    pub(super) destroyed: Vec<String>,
    /// When its own text was destroyed.
    pub(super) is_destroyed: Option<Timestamp>,
}

/// Items, and where earlier ones are.
pub(super) struct Found {
    pub(super) items: Vec<Item>,
    /// The position below which earlier ones are; `None` if there are none.
    pub(super) before: Option<u64>,
}

/// The newest items below `before`, or of all.
pub(super) async fn newest(
    site: &Site,
    visit: &Visit,
    subject: &Subject,
    before: Option<u64>,
) -> Result<Found, Problem> {
    let query = Arc::new(subject.query(visit));
    let Newest { changes, before } = match subject {
        Subject::Article(name) if !query.filter.within.has(&name.source) => return Err(Problem::not_found()),
        Subject::Article(name) => log::of_article(site, &query, name, before, ITEMS).await?,
        Subject::Everything | Subject::Source(_) | Subject::Label(_) => {
            log::newest(site, &query, before, ITEMS..=ITEMS_MAX, |_| true).await?
        }
    };
    if let Subject::Source(source) = subject
        && changes.is_empty()
    {
        must_exist(site, visit, &source.to_string()).await?;
    }
    let mut items = Vec::new();
    for change in &changes {
        items.push(Item::of(site, visit, change).await?);
    }
    Ok(Found { items, before })
}

/// Fails unless the visitor may see a source with this name.
async fn must_exist(site: &Site, visit: &Visit, source: &str) -> Result<(), Problem> {
    let request =
        pb::ListArticlesRequest { parent: source.to_owned(), page_size: 1, ..pb::ListArticlesRequest::default() };
    let listed = site.reads.articles(&visit.caller, request).await?;
    if listed.articles.is_empty() && listed.next_page_token.is_empty() { Err(Problem::not_found()) } else { Ok(()) }
}

impl Item {
    async fn of(site: &Site, visit: &Visit, change: &pb::Change) -> Result<Self, Problem> {
        let row = Row::of(change).ok_or_else(Problem::internal)?;
        let revision = change.revision.as_ref();
        let expunged = revision.and_then(|revision| revision.expunged.as_ref()).filter(|_| is_text(change));
        let urn = urn(site);
        let destroyed = change.expunging.iter().flat_map(|expunging| &expunging.seqs);
        let changed = match expunged {
            None if is_text(change) => changed(site, visit, change).await?,
            Some(_) | None => String::new(),
        };
        let about = About {
            observed: when(change.observe_time.as_ref()),
            is_late: !change.is_newest,
            details: details(change),
            reason: some_text(&change.reason),
        };
        let html = about.render().map_err(|_| Problem::internal())? + &changed;
        Ok(Self {
            id: format!("{urn}{}", change.seq),
            title: row.title(),
            link: site.address(row.link()),
            archived: instant(change.archive_time.as_ref()).ok_or_else(Problem::internal)?,
            kind: row.kind(),
            labels: change.labels.iter().map(|label| super::text(label)).collect(),
            html,
            destroyed: destroyed.map(|seq| format!("{urn}{seq}")).collect(),
            is_destroyed: expunged.and_then(|expunged| instant(expunged.expunge_time.as_ref())),
        })
    }
}

/// What is known about a change besides its text.
#[derive(Template)]
#[template(path = "feed_about.html")]
struct About {
    observed: Option<When>,
    is_late: bool,
    details: Vec<String>,
    reason: Option<String>,
}

/// Whether a change brought a text.
fn is_text(change: &pb::Change) -> bool {
    row::is_text(change) || change.kind() == pb::ChangeKind::Created
}

/// What a change changed, from what was in force before it, by all that was known with it: what became known later does
/// not change the entry.
async fn changed(site: &Site, visit: &Visit, change: &pb::Change) -> Result<String, Problem> {
    let revision = change.revision.clone().unwrap_or_default();
    let html = match site.reads.recorded_diff(&visit.caller, change.article.clone(), &revision).await {
        Ok(diff) => BriefDiff::of(&diff).render().map_err(|_| Problem::internal())?,
        // What it is compared with was destroyed, or it was itself in this moment.
        Err(problem) if matches!(problem.status().as_u16(), 404 | 410) => return Ok(String::new()),
        Err(problem) => return Err(problem),
    };
    let is_short = html.len() <= CONTENT_BYTES_MAX;
    Ok(if is_short { html } else { "<p>The change is long: see the page.</p>".to_owned() })
}
