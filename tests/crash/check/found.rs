//! The contents of an archive, read through its public functions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use dateline::internals::archive::Archive;
use dateline::internals::archive::changefeed::{ChangeAt, FeedView, PagePlan};
use dateline::internals::archive::read::article::View;
use dateline::internals::store::key::log::LogKey;
use dateline::internals::store::record;
use dateline::model::{
    AsOf, Change, ChangeKind, ChangeKinds, Content, FeedQuery, LogDigest, RevisionSelector, Seq, Snapshot,
};

use crate::dice::Dice;

/// Size of a log digest, which precedes the log's own encoding of a change.
pub(super) const LOG_DIGEST_BYTES: usize = 16;

#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// The archive's id.
    pub(super) id: [u8; 16],
    /// Where the archive reports the end of its log.
    pub(super) tail: Snapshot,
    /// All changes, in log order.
    pub(super) log: Vec<Change>,
    /// Contents by the position of the change that created them; not all of them are read.
    pub(super) contents: BTreeMap<u64, Content>,
    /// Originals, by the same position.
    pub(super) originals: BTreeMap<u64, Bytes>,
    /// The epoch and the position of each subscription.
    pub(super) subscriptions: BTreeMap<String, (u64, u64)>,
    /// The subscription and position of each parked change.
    pub(super) parked: BTreeSet<(String, u64)>,
}

impl Found {
    /// Reads the log, all contents from `read_before` on and a sample of those before, and the subscriptions.
    pub(super) async fn read(archive: &Archive, read_before: u64, dice: &mut Dice) -> Result<Self, String> {
        let log = read_log(archive).await?;
        let mut found = Self {
            id: archive.info().id,
            tail: archive.tail(),
            log,
            contents: BTreeMap::new(),
            originals: BTreeMap::new(),
            subscriptions: BTreeMap::new(),
            parked: BTreeSet::new(),
        };
        found.read_contents(archive, read_before, dice).await?;
        let subscriptions = archive.subscriptions(None, 1_000).await.map_err(|error| error.to_string())?;
        for at in subscriptions.items {
            let id = at.id.to_string().replace("subscriptions/", "");
            found.parked.extend(at.record.parked.keys().map(|seq| (id.clone(), seq.0)));
            found.subscriptions.insert(id, (at.record.epoch, at.record.next_seq.0));
        }
        Ok(found)
    }

    async fn read_contents(&mut self, archive: &Archive, read_before: u64, dice: &mut Dice) -> Result<(), String> {
        let point = archive.read_point(AsOf::default(), Seq::ZERO).await.map_err(|error| error.to_string())?;
        for change in &self.log {
            let (Some(number), true) = (change.entry.revision, change.entry.new_revision.is_some()) else { continue };
            if change.seq.0 < read_before && !dice.percent(3) {
                continue;
            }
            let (name, selector) = (change.entry.name.clone(), RevisionSelector::Number(number));
            let revision = archive.revision_with_original(point, name, selector, View::Full).await;
            let revision = revision.map_err(|error| format!("revision created at {}: {error}", change.seq))?;
            if revision.created_by.seq != change.seq {
                return Err(format!(
                    "the revision created at {} says it is from {}",
                    change.seq, revision.created_by.seq
                ));
            }
            self.contents.extend(revision.content().map(|content| (change.seq.0, content)));
            self.originals.extend(revision.original.map(|original| (change.seq.0, original)));
        }
        Ok(())
    }
}

/// Reads the change feed from beginning to end.
async fn read_log(archive: &Archive) -> Result<Vec<Change>, String> {
    use ChangeKind::{Aliased, Created, Reinstated, Revised, RolledBack, Sighted, Withdrawn};
    let kinds = ChangeKinds::of([Created, Revised, Sighted, Withdrawn, Reinstated, RolledBack, Aliased]);
    let plan = PagePlan {
        query: Arc::new(FeedQuery { kinds, ..FeedQuery::default() }),
        view: FeedView::Basic,
        render,
        changes_max: 1_000,
        bytes_max: 4 << 20,
        examined_max: 10_000,
    };
    let log_digest = LogDigest::of_archive(&archive.info().id);
    let mut place = Snapshot { next_seq: Seq::ZERO, archive_time: None, log_digest };
    let (end, mut log) = (archive.tail().next_seq, Vec::new());
    while place.next_seq < end {
        let page = archive.feed_page(place, end, plan.clone()).await.map_err(|error| format!("the feed: {error}"))?;
        for item in &page.items {
            log.push(read_back(&item.bytes)?);
        }
        if page.next.next_seq <= place.next_seq {
            return Err(format!("the feed makes no progress at {}", place.next_seq));
        }
        place = page.next;
    }
    Ok(log)
}

/// Renders a change of the feed as the log encodes it after an empty history, preceded by its own log digest.
fn render(change: &ChangeAt, bytes: &mut Vec<u8>) {
    let change = &change.change;
    bytes.extend_from_slice(&change.seq.0.to_be_bytes());
    bytes.extend_from_slice(&change.log_digest.0);
    bytes.extend_from_slice(&record::encode(change.seq, LogDigest([0; LOG_DIGEST_BYTES]), &change.entry).value);
}

fn read_back(bytes: &[u8]) -> Result<Change, String> {
    let (seq, rest) = bytes.split_first_chunk().ok_or("a change of the feed is empty")?;
    let (log_digest, value) = rest.split_first_chunk().ok_or("a change of the feed is cut short")?;
    let key = LogKey(Seq(u64::from_be_bytes(*seq))).encode();
    let change = record::decode(&key, value).map_err(|error| error.to_string())?;
    Ok(Change { log_digest: LogDigest(*log_digest), ..change })
}
