//! Changes of the log, for pages that read it in windows, and those of one article.

use std::sync::Arc;

use prost::Message;

use super::problem::Problem;
use super::{Site, memento};
use crate::archive::changefeed::{FeedView, PagePlan};
use crate::model::{ArticleName, FeedQuery, Seq};
use crate::service::encode_change;
use crate::wire::pb;

/// The changes of a page of the change feed.
const CHANGES_MAX: usize = 4_096;
/// The bytes at which one ends.
const BYTES_MAX: usize = 1 << 20;

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
        // The service encoded them, so they can be decoded.
        changes.extend(page.items.iter().filter_map(|item| pb::Change::decode(item.bytes.clone()).ok()));
        at = page.next;
    }
    Ok(changes)
}

/// The newest `count_max` changes of an article below `before` that match, the newest first; and the position below which
/// earlier ones are, if there are any. The article must be one that the visitor may see.
pub(super) async fn of_article(
    site: &Site,
    query: &Arc<FeedQuery>,
    name: &ArticleName,
    before: Option<u64>,
    count_max: usize,
) -> Result<(Vec<pb::Change>, Option<u64>), Problem> {
    let point = memento::newest(site).await?;
    let found =
        site.reads.archive().article_changes(point, name.clone(), query.kinds, before.map(Seq), count_max).await?;
    let mut changes = Vec::new();
    for seq in found.seqs {
        changes.extend(between(site, query, seq.0, seq.next().0).await?);
    }
    Ok((changes, found.before.map(|before| before.0)))
}
