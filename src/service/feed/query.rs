//! What a request says of a feed: where it begins, and in which view.

use super::super::Context;
use super::super::status::Refusal;
use crate::archive::feed::{FeedStart, FeedView};
use crate::model::{AsOf, FeedQuery, Knowledge, ReadStamp, RequestDigest, Seq};
use crate::wire::token::{ResumeToken, SnapshotPlace, TokenError, query_digest};
use crate::wire::{self, FieldError, pb};

/// Where a feed begins, resolved.
#[derive(Clone, Debug)]
pub(super) struct Begin {
    /// The place in the log; the snapshot's, where there is one.
    pub(super) place: ReadStamp,
    /// How far a snapshot was sent; `None` where none is wanted, or all of it was.
    pub(super) snapshot: Option<SnapshotPlace>,
}

/// A query, and what its tokens are bound to.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) query: FeedQuery,
    pub(super) digest: RequestDigest,
}

impl Asked {
    pub(super) fn new(query: FeedQuery) -> Self {
        Self { digest: query_digest(&query), query }
    }
}

/// The view of a feed.
pub(super) fn feed_view(view: i32) -> Result<FeedView, Refusal> {
    match pb::FeedView::try_from(view) {
        Ok(pb::FeedView::Unspecified | pb::FeedView::Basic) => Ok(FeedView::Basic),
        Ok(pb::FeedView::Full) => Ok(FeedView::Full),
        Ok(pb::FeedView::Diff) => Ok(FeedView::Diff),
        Ok(pb::FeedView::Request) => Ok(FeedView::Request),
        Err(_) => Err(FieldError::invalid("view", "is not a known view").into()),
    }
}

impl Context {
    /// Resolves where a feed begins. `digest` is of its query.
    pub(super) async fn begin(&self, start: Option<pb::FeedStart>, digest: RequestDigest) -> Result<Begin, Refusal> {
        use pb::feed_start::Position;
        let only_true = |field: &str| FieldError::invalid(format!("start.{field}"), "can only be true");
        let start = match start.and_then(|start| start.position) {
            None | Some(Position::Now(true)) => FeedStart::Now,
            Some(Position::Beginning(true)) => FeedStart::Beginning,
            Some(Position::Now(false)) => return Err(only_true("now").into()),
            Some(Position::Beginning(false)) => return Err(only_true("beginning").into()),
            Some(Position::Seq(seq)) => FeedStart::Seq(Seq(seq)),
            Some(Position::ArchiveTime(time)) => FeedStart::ArchiveTime(wire::timestamp("start.archive_time", &time)?),
            Some(Position::ResumeToken(token)) => {
                return self.resume(&token, digest, "start.resume_token").await;
            }
            Some(Position::Snapshot(as_of)) => return self.begin_snapshot(as_of).await,
        };
        let place = self.archive.feed_start(start).await.map_err(Refusal::of_start)?;
        Ok(Begin { place, snapshot: None })
    }

    /// As [`Context::begin`], where a snapshot cannot be had.
    pub(super) async fn begin_in_log(
        &self,
        start: Option<pb::FeedStart>,
        digest: RequestDigest,
    ) -> Result<ReadStamp, Refusal> {
        let begin = self.begin(start, digest).await?;
        if begin.snapshot.is_some() {
            return Err(FieldError::invalid(
                "start",
                "must not be a snapshot here, nor a token within one; a snapshot comes by Subscribe",
            )
            .into());
        }
        Ok(begin.place)
    }

    /// Goes on where a token says, which `field` held.
    pub(super) async fn resume(&self, token: &str, digest: RequestDigest, field: &str) -> Result<Begin, Refusal> {
        let refused = |error: TokenError| Refusal::of_token(error, field);
        let ResumeToken { next_seq, history, snapshot } = ResumeToken::decode(token, digest).map_err(refused)?;
        let place = self.archive.feed_start(FeedStart::Place { next_seq, history }).await?;
        Ok(Begin { place, snapshot })
    }

    async fn begin_snapshot(&self, as_of: pb::AsOf) -> Result<Begin, Refusal> {
        let as_of: AsOf = wire::as_of(Some(as_of)).map_err(|error| error.within("start"))?;
        if as_of.observe_time.is_some() {
            let problem = "must be unset: a snapshot is of what is newest";
            return Err(FieldError::invalid("start.snapshot.observe_time", problem).into());
        }
        let place = match as_of.knowledge {
            Knowledge::Newest => self.archive.tail(),
            Knowledge::NextSeq { .. } | Knowledge::ArchiveTime(_) => {
                self.archive.cut(as_of, Seq::ZERO).await.map_err(Refusal::of_start)?.stamp
            }
        };
        Ok(Begin { place, snapshot: Some(SnapshotPlace { after: None }) })
    }
}
