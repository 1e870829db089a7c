//! Storage of a source's stats. The stats from before the last commit are kept as well, because the engine can be one
//! commit ahead of the durable tail, and readers must not see that commit yet.

use prost::Message;

use super::seal::unseal;
use super::{StoreError, stored};
use crate::model::{Seq, Timestamp};

/// A source's stats after one of the source's changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceStats {
    /// The position of the change.
    pub seq: Seq,
    /// The number of the source's articles.
    pub articles: u64,
    /// The archive time of the source's first change.
    pub first_archive_time: Timestamp,
    /// The archive time of the source's latest change.
    pub latest_archive_time: Timestamp,
}

/// Encodes the payload of the source's key. `before` are the stats before the last commit that changed them; `None` if
/// that commit created the source.
pub(super) fn to_payload(stats: SourceStats, before: Option<SourceStats>) -> Vec<u8> {
    let mut message = to_stored(stats);
    message.before = before.map(|before| Box::new(to_stored(before)));
    message.encode_to_vec()
}

/// Decodes the stats as last written, and as they were before the commit that wrote them; the latter is `None` if that
/// commit created the source. A value that cannot be decoded is [`StoreError::Damaged`].
pub(super) fn from_value(key: &[u8], value: &[u8]) -> Result<(SourceStats, Option<SourceStats>), StoreError> {
    let malformed = || StoreError::damaged(key, "the stats of a source cannot be read");
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
