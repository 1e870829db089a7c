//! The changes of one article, the newest first, found by following each to the one before it. So they are found at the
//! same speed however long the log of the other articles is.

use crate::archive::read::article::{known, latest_below};
use crate::archive::read::list::EXAMINED_MAX;
use crate::archive::read::point::ReadPoint;
use crate::archive::read::reader::{ReadError, Reader};
use crate::archive::{Archive, ArchiveError};
use crate::model::{ArticleName, ChangeKind, ChangeKinds, Seq};

/// A page of the changes of an article.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArticleChanges {
    /// The positions, the greatest first.
    pub seqs: Vec<Seq>,
    /// The position below which earlier changes are; `None` if there are none.
    pub before: Option<Seq>,
}

/// For the layers above.
#[doc(hidden)]
impl Archive {
    /// Finds the newest `count_max` changes of an article below `before` of these kinds.
    pub async fn article_changes(
        &self,
        point: ReadPoint,
        name: ArticleName,
        kinds: ChangeKinds,
        before: Option<Seq>,
        count_max: usize,
    ) -> Result<ArticleChanges, ArchiveError> {
        let read = move |reader: &Reader<'_>| article_changes(reader, &point, &name, kinds, before, count_max);
        self.read_in(&self.pools.scans, read).await
    }
}

/// The positions of the newest `count_max` changes of an article below `before` of these kinds.
fn article_changes(
    reader: &Reader<'_>,
    point: &ReadPoint,
    name: &ArticleName,
    kinds: ChangeKinds,
    before: Option<Seq>,
    count_max: usize,
) -> Result<ArticleChanges, ReadError> {
    let entry = known(reader, point, name)?;
    let below = before.unwrap_or(Seq(u64::MAX)).min(point.below());
    if below <= entry.head.first_seq {
        return Ok(ArticleChanges::default());
    }
    let scan = reader.of_scan();
    let mut seqs = Vec::new();
    let mut change = latest_below(&scan, &entry, below)?;
    for _ in 0..EXAMINED_MAX {
        if kinds.contains(ChangeKind::of(&change)) {
            if seqs.len() == count_max {
                return Ok(ArticleChanges { seqs, before: Some(change.seq.next()) });
            }
            seqs.push(change.seq);
        }
        let previous = change.entry.previous.filter(|previous| *previous < change.seq);
        let Some(previous) = previous else { return Ok(ArticleChanges { seqs, before: None }) };
        change = scan.change(previous)?;
    }
    Ok(ArticleChanges { seqs, before: Some(change.seq.next()) })
}
