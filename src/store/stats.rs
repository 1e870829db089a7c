//! Storage of a source's statistics. Those before the last commit are kept too, since the engine may show a commit that
//! readers may not see yet.

use prost::Message;

use super::seal::unseal;
use super::{StoreError, stored};
use crate::model::{Seq, Timestamp};

/// A source's statistics, as of one change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceStats {
    /// The change that wrote them.
    pub seq: Seq,
    /// The number of articles.
    pub articles: u64,
    /// The archive time of its first change.
    pub first_archive_time: Timestamp,
    /// The archive time of its latest change.
    pub latest_archive_time: Timestamp,
}

/// The payload to store under the source's key.
pub(super) fn to_payload(stats: SourceStats, before: Option<SourceStats>) -> Vec<u8> {
    let mut message = to_stored(stats);
    message.before = before.map(|before| Box::new(to_stored(before)));
    message.encode_to_vec()
}

/// Decodes the statistics as last written, and as they were before that commit.
pub(super) fn from_value(key: &[u8], value: &[u8]) -> Result<(SourceStats, Option<SourceStats>), StoreError> {
    let malformed = || StoreError::damaged(key, "a source's statistics cannot be read");
    let message = stored::SourceStats::decode(unseal(key, value)?).map_err(|_| malformed())?;
    let last = from_stored(&message).ok_or_else(malformed)?;
    let before = message.before.as_deref().map(|before| from_stored(before).ok_or_else(malformed));
    Ok((last, before.transpose()?))
}

fn to_stored(stats: SourceStats) -> stored::SourceStats {
    stored::SourceStats {
        seq: stats.seq.0,
        articles: stats.articles,
        first_archive_time: stats.first_archive_time.micros(),
        latest_archive_time: stats.latest_archive_time.micros(),
        before: None,
    }
}

fn from_stored(message: &stored::SourceStats) -> Option<SourceStats> {
    Some(SourceStats {
        seq: Seq(message.seq),
        articles: message.articles,
        first_archive_time: Timestamp::from_micros(message.first_archive_time)?,
        latest_archive_time: Timestamp::from_micros(message.latest_archive_time)?,
    })
}
