//! Parses the view and the start of a feed, and resolves the start to a position.

use super::super::Context;
use super::super::caller::Caller;
use super::super::status::Refusal;
use crate::archive::ArchiveError;
use crate::archive::changefeed::{FeedStart, FeedView};
use crate::model::{AsOf, FeedQuery, KnownAt, RequestDigest, Seq, Snapshot};
use crate::wire::token::{ResumeToken, SnapshotPlace, TokenError, is_of_other_scope, query_digest};
use crate::wire::{self, FieldError, FieldErrors, pb};

/// The resolved start of a feed.
#[derive(Clone, Debug)]
pub(super) struct Begin {
    /// The position in the log; for a snapshot, the snapshot's position.
    pub(super) place: Snapshot,
    /// How much of the snapshot has been sent; `None` if no snapshot was requested, or the whole snapshot has been
    /// sent.
    pub(super) snapshot: Option<SnapshotPlace>,
}

/// A query, and the digest that binds its tokens.
#[derive(Clone, Debug)]
pub(super) struct RequestedQuery {
    pub(super) query: FeedQuery,
    pub(super) digest: RequestDigest,
}

impl RequestedQuery {
    pub(super) fn new(query: FeedQuery) -> Self {
        Self { digest: query_digest(&query), query }
    }

    /// The query, confined to what the caller may read.
    pub(super) fn confined(mut self, caller: &Caller) -> Result<Self, Refusal> {
        caller.confine(&mut self.query.filter, None)?;
        Ok(Self::new(self.query))
    }
}

/// The start of a feed as requested.
#[derive(Clone, Debug)]
pub(super) enum RequestedStart {
    At(FeedStart),
    /// The position in a token. The token came in the request's `field`, and was issued for the query whose digest is
    /// `query`.
    Token {
        token: ResumeToken,
        query: RequestDigest,
        field: &'static str,
    },
    /// A snapshot of this point, followed by changes.
    Snapshot(AsOf),
}

/// Validates the view of a feed.
pub(super) fn feed_view(view: i32) -> Result<FeedView, FieldError> {
    wire::feed_view("view", view)
}

impl RequestedStart {
    pub(super) fn read(start: Option<pb::FeedStart>) -> Result<Self, FieldErrors> {
        use pb::feed_start::Position;
        let only_true = |field: &str| FieldError::invalid(format!("start.{field}"), "must be true if set");
        Ok(Self::At(match start.and_then(|start| start.position) {
            None | Some(Position::Now(true)) => FeedStart::Now,
            Some(Position::Beginning(true)) => FeedStart::Beginning,
            Some(Position::Now(false)) => return Err(only_true("now").into()),
            Some(Position::Beginning(false)) => return Err(only_true("beginning").into()),
            Some(Position::Seq(seq)) => FeedStart::Seq(Seq(seq)),
            Some(Position::ArchiveTime(time)) => FeedStart::ArchiveTime(wire::timestamp("start.archive_time", &time)?),
            Some(Position::ResumeToken(token)) => return Ok(Self::token(&token, "start.resume_token")?),
            Some(Position::Snapshot(as_of)) => return Self::snapshot(as_of).map(Self::Snapshot),
        }))
    }

    /// Like [`RequestedStart::read`], where a snapshot is not allowed.
    pub(super) fn read_in_log(start: Option<pb::FeedStart>) -> Result<Self, FieldErrors> {
        match Self::read(start)? {
            Self::Snapshot(_) => {
                Err(FieldError::invalid("start", "must not be a snapshot here; only Subscribe returns snapshots")
                    .into())
            }
            start @ (Self::At(_) | Self::Token { .. }) => Ok(start),
        }
    }

    /// Decodes a token from `field`.
    pub(super) fn token(token: &str, field: &'static str) -> Result<Self, FieldError> {
        let (token, query) = ResumeToken::decode(token).map_err(|error| FieldError::token(field, error))?;
        Ok(Self::Token { token, query, field })
    }

    fn snapshot(as_of: pb::AsOf) -> Result<AsOf, FieldErrors> {
        let as_of = wire::as_of_at("start.snapshot", Some(as_of))?;
        if as_of.observe_time.is_some() {
            let problem = "must be unset: a snapshot always has the newest state";
            return Err(FieldError::invalid("start.snapshot.observe_time", problem).into());
        }
        Ok(as_of)
    }
}

impl Context {
    /// Resolves the start of a feed. `digest` is the digest of the feed's query.
    pub(super) async fn begin(&self, start: RequestedStart, digest: RequestDigest) -> Result<Begin, Refusal> {
        match start {
            RequestedStart::At(start) => {
                let place = self.archive.feed_start(start).await.map_err(of_start)?;
                Ok(Begin { place, snapshot: None })
            }
            RequestedStart::Token { query, .. } if is_of_other_scope(query, digest) => Err(Refusal::scope_changed()),
            RequestedStart::Token { query, field, .. } if query != digest => {
                Err(FieldError::token(field, TokenError::OtherRequest).into())
            }
            RequestedStart::Token { token: ResumeToken { next_seq, log_digest, snapshot }, .. } => {
                let place = self.archive.feed_start(FeedStart::Exact { next_seq, log_digest }).await?;
                Ok(Begin { place, snapshot })
            }
            RequestedStart::Snapshot(as_of) => {
                let place = match as_of.known_at {
                    KnownAt::Newest => self.archive.tail(),
                    KnownAt::NextSeq { .. } | KnownAt::ArchiveTime(_) => {
                        self.archive.read_point(as_of, Seq::ZERO).await.map_err(of_start)?.snapshot
                    }
                };
                Ok(Begin { place, snapshot: Some(SnapshotPlace { after: None }) })
            }
        }
    }

    /// Like [`Context::begin`], where a snapshot is not allowed. A token is checked against this log first: a token of
    /// another log is rejected as such, even if it also points inside a snapshot.
    pub(super) async fn begin_in_log(&self, start: RequestedStart, digest: RequestDigest) -> Result<Snapshot, Refusal> {
        let field = if let RequestedStart::Token { field, .. } = &start { *field } else { "start" };
        let begin = self.begin(start, digest).await?;
        if begin.snapshot.is_some() {
            return Err(FieldError::invalid(field, "is inside a snapshot; only Subscribe can continue it").into());
        }
        Ok(begin.place)
    }
}

fn of_start(error: ArchiveError) -> Refusal {
    Refusal::of_start(error, "start at `now` to receive only later changes")
}
