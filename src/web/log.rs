//! Changes of the log between two positions, for pages that read it in windows.

use std::sync::Arc;

use prost::Message;

use super::Site;
use super::problem::Problem;
use crate::archive::changefeed::{FeedView, PagePlan};
use crate::model::{FeedQuery, Seq};
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
