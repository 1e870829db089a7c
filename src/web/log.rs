//! Changes of the log, for pages that read it in windows, and those of one article.

use std::ops::RangeInclusive;
use std::sync::Arc;

use prost::Message;

use super::problem::Problem;
use super::{Site, memento};
use crate::archive::changefeed::{FeedItem, FeedView, PagePlan};
use crate::model::{ArticleName, FeedQuery, Seq};
use crate::service::encode_change;
use crate::wire::pb;

/// The changes that a window examines. After one in which fewer than [`FEW`] match, the next is twice as wide, up to [`WINDOW_MAX`].
const WINDOW: u64 = 32;
const WINDOW_MAX: u64 = 4_096;
const FEW: usize = 16;
/// The changes that are examined for a page, even if few of them match.
const EXAMINED_MAX: u64 = 20_000;
/// The changes of a page of the change feed.
const CHANGES_MAX: usize = 4_096;
/// The bytes at which one ends.
const BYTES_MAX: usize = 1 << 20;

/// A change as visitors see it: without who made it. The service encoded it, so it can be decoded.
pub(super) fn shown(item: &FeedItem) -> Option<pb::Change> {
    let change = pb::Change::decode(item.bytes.clone()).ok()?;
    Some(pb::Change { principal: String::new(), ..change })
}

/// The changes from `from` on and below `end` that match, in the order of the log.
pub(super) async fn between(
    site: &Site,
    query: &Arc<FeedQuery>,
    from: u64,
    end: u64,
) -> Result<Vec<pb::Change>, Problem> {
    let archive = site.reads.archive();
    let mut at = archive.snapshot_at(Seq(from)).await?;
    let mut changes = Vec::new();
    while at.next_seq.0 < end {
        let plan = PagePlan {
            query: Arc::clone(query),
            view: FeedView::Basic,
            render: encode_change,
            changes_max: CHANGES_MAX,
            bytes_max: BYTES_MAX,
            examined_max: CHANGES_MAX,
        };
        let page = archive.feed_page(at, Seq(end), plan).await?;
        changes.extend(page.items.iter().filter_map(shown));
        at = page.next;
    }
    Ok(changes)
}

/// Changes, the newest first.
pub(super) struct Newest {
    pub(super) changes: Vec<pb::Change>,
    /// The position below which earlier ones are; `None` at the beginning of the log.
    pub(super) before: Option<u64>,
}

/// The newest changes below `before`, or of all, that match and that `has` accepts: at least as many as `count` begins with,
/// if there are, and at most as many as it ends with.
///
/// The newest changes are at the end of the log, so it is read backwards in windows, and each of them forwards. Windows begin
/// at multiples of [`WINDOW`], so that pages that begin at different positions lead to the same ones.
pub(super) async fn newest(
    site: &Site,
    query: &Arc<FeedQuery>,
    before: Option<u64>,
    count: RangeInclusive<usize>,
    has: impl Fn(&pb::Change) -> bool,
) -> Result<Newest, Problem> {
    let mut end = before.unwrap_or(u64::MAX).min(site.reads.archive().tail().next_seq.0);
    let (mut changes, mut examined, mut window) = (Vec::new(), 0, WINDOW);
    while end > 0 && changes.len() < *count.start() && examined < EXAMINED_MAX {
        let from = (end - 1) / window * window;
        let known = changes.len();
        changes.extend(between(site, query, from, end).await?.into_iter().rev().filter(&has));
        let has_few = changes.len() - known < FEW;
        window = if has_few { (window * 2).min(WINDOW_MAX) } else { WINDOW };
        examined += end - from;
        end = from;
    }
    if changes.len() > *count.end() {
        changes.truncate(*count.end());
        end = changes.last().map_or(end, |last| last.seq);
    }
    Ok(Newest { changes, before: (end > 0).then_some(end) })
}

/// The newest `count_max` changes of an article below `before` that match. The article must be one that the visitor may see.
pub(super) async fn of_article(
    site: &Site,
    query: &Arc<FeedQuery>,
    name: &ArticleName,
    before: Option<u64>,
    count_max: usize,
) -> Result<Newest, Problem> {
    let point = memento::newest(site).await?;
    let found =
        site.reads.archive().article_changes(point, name.clone(), query.kinds, before.map(Seq), count_max).await?;
    let mut changes = Vec::new();
    for seq in found.seqs {
        changes.extend(between(site, query, seq.0, seq.next().0).await?);
    }
    Ok(Newest { changes, before: found.before.map(|before| before.0) })
}
