//! The items of a feed: the changes of a subject, the newest first.
//!
//! Those of an article are found along its own chain of changes. For the others the log is read backwards in windows, each
//! forwards. Windows begin at multiples of [`WINDOW`], so that documents of different times lead to the same archives.

use std::sync::Arc;

use super::super::Site;
use super::super::log::{between, of_article};
use super::super::pages::diff::BriefDiff;
use super::super::pages::{Row, page_is_text};
use super::super::problem::Problem;
use super::super::shown::expunge_reason;
use super::super::visit::Visit;
use super::{Subject, urn};
use crate::model::{FeedQuery, Timestamp};
use crate::wire::pb::as_of::KnownAt;
use crate::wire::pb::revision_selector::Selector;
use crate::wire::{instant, pb};
use askama::Template;

/// The least items of a document, if there are as many.
const ITEMS: usize = 25;
/// The most items of a document.
const ITEMS_MAX: usize = 64;
/// The changes that a window examines. After one in which nothing matches, the next is twice as wide, up to [`WINDOW_MAX`].
const WINDOW: u64 = 32;
const WINDOW_MAX: u64 = 4_096;
/// The changes that a document examines before it ends, even if few of them match.
const EXAMINED_MAX: u64 = 20_000;
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
    let (changes, before) = match subject {
        Subject::Article(name) if !query.filter.within.has(&name.source) => return Err(Problem::not_found()),
        Subject::Article(name) => of_article(site, &query, name, before, ITEMS).await?,
        Subject::Everything | Subject::Source(_) | Subject::Label(_) => of_log(site, &query, before).await?,
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

async fn of_log(
    site: &Site,
    query: &Arc<FeedQuery>,
    before: Option<u64>,
) -> Result<(Vec<pb::Change>, Option<u64>), Problem> {
    let mut end = before.unwrap_or(u64::MAX).min(site.reads.archive().tail().next_seq.0);
    let (mut found, mut examined, mut window) = (Vec::new(), 0, WINDOW);
    while end > 0 && found.len() < ITEMS && examined < EXAMINED_MAX {
        let from = (end - 1) / window * window;
        let mut changes = between(site, query, from, end).await?;
        window = if changes.is_empty() { (window * 2).min(WINDOW_MAX) } else { WINDOW };
        changes.reverse();
        found.extend(changes);
        examined += end - from;
        end = from;
    }
    // A wide window after narrow ones may have more than a document should.
    if found.len() > ITEMS_MAX {
        found.truncate(ITEMS_MAX);
        end = found.last().map_or(end, |last: &pb::Change| last.seq);
    }
    Ok((found, (end > 0).then_some(end)))
}

impl Item {
    async fn of(site: &Site, visit: &Visit, change: &pb::Change) -> Result<Self, Problem> {
        let row = Row::of(change).ok_or_else(Problem::internal)?;
        let revision = change.revision.as_ref();
        let expunged = revision.and_then(|revision| revision.expunged.as_ref()).filter(|_| is_text(change));
        let urn = urn(site);
        let destroyed = change.expunging.iter().flat_map(|expunging| &expunging.seqs);
        let html = match (&change.expunging, expunged) {
            (Some(expunging), _) => {
                format!("<p>Text was destroyed: {}.</p>", expunge_reason(expunging.reason()))
            }
            (None, None) if is_text(change) => changed(site, visit, change).await?,
            (None, _) => String::new(),
        };
        Ok(Self {
            id: format!("{urn}{}", change.seq),
            title: row.title(),
            link: site.address(row.link()),
            archived: instant(change.archive_time.as_ref()).ok_or_else(Problem::internal)?,
            kind: row.kind(),
            labels: change.labels.iter().map(|label| super::text(label)).collect(),
            html: if html.is_empty() { escaped(row.reason())? } else { html },
            destroyed: destroyed.map(|seq| format!("{urn}{seq}")).collect(),
            is_destroyed: expunged.and_then(|expunged| instant(expunged.expunge_time.as_ref())),
        })
    }
}

/// A paragraph of a text, as HTML.
fn escaped(text: &str) -> Result<String, Problem> {
    if text.is_empty() { Ok(String::new()) } else { Paragraph { text }.render().map_err(|_| Problem::internal()) }
}

#[derive(Template)]
#[template(source = r#"<p dir="auto">{{ text }}</p>"#, ext = "html")]
struct Paragraph<'a> {
    text: &'a str,
}

/// Whether a change brought a text.
fn is_text(change: &pb::Change) -> bool {
    page_is_text(change) || change.kind() == pb::ChangeKind::Created
}

/// What a change changed, from what was in force before it, by all that was known with it: what became known later does
/// not change the entry.
async fn changed(site: &Site, visit: &Visit, change: &pb::Change) -> Result<String, Problem> {
    let number = change.revision.as_ref().map_or(0, |revision| revision.number);
    let request = pb::DiffRevisionsRequest {
        name: change.article.clone(),
        target: Some(pb::RevisionSelector { selector: Some(Selector::RevisionNumber(number)) }),
        as_of: change.archive_time.map(|archive_time| pb::AsOf {
            observe_time: None,
            known_at: Some(KnownAt::ArchiveTime(archive_time)),
            log_digest: Vec::new(),
        }),
        ..pb::DiffRevisionsRequest::default()
    };
    let html = match site.reads.diff(&visit.caller, request).await {
        Ok(diff) => BriefDiff::of(&diff).render().map_err(|_| Problem::internal())?,
        // What it is compared with was destroyed, or it was itself in this moment.
        Err(problem) if matches!(problem.status().as_u16(), 404 | 410) => return Ok(String::new()),
        Err(problem) => return Err(problem),
    };
    let is_short = html.len() <= CONTENT_BYTES_MAX;
    Ok(if is_short { html } else { "<p>The change is long: see the page.</p>".to_owned() })
}
