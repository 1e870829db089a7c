//! A source's figures. The commit before the last one is kept beside them, since the engine may show a commit
//! that a reader may not see yet.

use prost::Message;

use super::seal::unseal;
use super::{StoreError, stored};
use crate::model::{Seq, Timestamp};

/// A source's figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceFigures {
    /// The change that wrote them.
    pub seq: Seq,
    /// How many articles it has.
    pub articles: u64,
    /// The archive time of its first change.
    pub first_archive_time: Timestamp,
    /// The archive time of its latest change.
    pub latest_archive_time: Timestamp,
}

/// The payload under the source's key.
pub(super) fn to_payload(figures: SourceFigures, before: Option<SourceFigures>) -> Vec<u8> {
    let mut message = to_stored(figures);
    message.before = before.map(|before| Box::new(to_stored(before)));
    message.encode_to_vec()
}

/// Reads the figures as last written, and as they were before that commit.
pub(super) fn from_value(key: &[u8], value: &[u8]) -> Result<(SourceFigures, Option<SourceFigures>), StoreError> {
    let malformed = || StoreError::damaged(key, "a source's figures cannot be read");
    let message = stored::SourceFigures::decode(unseal(key, value)?).map_err(|_| malformed())?;
    let last = from_stored(&message).ok_or_else(malformed)?;
    let before = message.before.as_deref().map(|before| from_stored(before).ok_or_else(malformed));
    Ok((last, before.transpose()?))
}

fn to_stored(figures: SourceFigures) -> stored::SourceFigures {
    stored::SourceFigures {
        seq: figures.seq.0,
        articles: figures.articles,
        first_archive_time: figures.first_archive_time.micros(),
        latest_archive_time: figures.latest_archive_time.micros(),
        before: None,
    }
}

fn from_stored(message: &stored::SourceFigures) -> Option<SourceFigures> {
    Some(SourceFigures {
        seq: Seq(message.seq),
        articles: message.articles,
        first_archive_time: Timestamp::from_micros(message.first_archive_time)?,
        latest_archive_time: Timestamp::from_micros(message.latest_archive_time)?,
    })
}
