//! The contents that a new one may be stored as a delta of, apart from the article's latest.

use bytes::Bytes;

use crate::model::Seq;
use crate::store::base_choice::Candidate;
use crate::store::head::ArticleHead;

/// The recent contents of an article that are in memory, without the latest. Reading the others would cost more than
/// the space that they save.
pub(crate) fn before_latest(head: &ArticleHead, cached: impl Fn(Seq) -> Option<Bytes>) -> Vec<Candidate> {
    let Some((_, others)) = head.recent.split_last() else { return Vec::new() };
    let others = others.iter().filter_map(|recent| {
        let bytes = cached(recent.seq)?;
        Some(Candidate { seq: recent.seq, depth: recent.depth, bytes })
    });
    others.collect()
}
