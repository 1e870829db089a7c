//! The change feed for programs that embed an archive: changes one by one, as types of the model.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::Stream;

use crate::archive::changefeed::view::ChangeAt;
use crate::archive::changefeed::{FeedStart, FeedView, page};
use crate::archive::error::Unavailable;
use crate::archive::position::snapshot_after;
use crate::archive::read::article::RevisionAt;
use crate::archive::{Archive, ArchiveError};
use crate::model::{ArticleFilter, ArticleName, Change, ChangeKind, ChangeKinds, FeedQuery, Position, Seq, Snapshot};

/// A change of an article, as a subscriber receives it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ArticleChange {
    /// The position after the change: a subscription that starts there continues with the next change.
    pub position: Position,
    /// The article.
    pub article: ArticleName,
    /// What happened to it.
    pub kind: ChangeKind,
    /// The entry of the log, with the times of both axes and all details.
    pub change: Arc<Change>,
    /// The revision that the change created or confirmed; otherwise the newest, as known with the change. It has the
    /// content, unless the article was withdrawn or [`Changes::without_content`] was requested.
    pub revision: RevisionAt,
    /// Whether the revision or state that the change records is the newest. A late observation is recorded without
    /// being in force now.
    pub is_newest: bool,
    /// The article's labels after the change, sorted.
    pub labels: Vec<String>,
    /// Whether the article matched the filter before the change and no longer does.
    pub left_filter: bool,
    /// Whether this is the last matching change of its atomic batch.
    pub batch_end: bool,
}

impl ArticleChange {
    pub(super) fn new(at: ChangeAt, left_filter: bool) -> Self {
        Self {
            position: snapshot_after(&at.change).position(),
            article: at.change.entry.name.clone(),
            kind: at.kind,
            revision: at.revision,
            is_newest: at.is_newest,
            labels: at.labels,
            change: at.change,
            left_filter,
            batch_end: false,
        }
    }

    /// The position of the change in the log.
    pub fn seq(&self) -> Seq {
        self.change.seq
    }
}

/// A subscription to the changes of an archive: every matching change, in the order of the log, none twice, and only
/// once it is durable. However slowly it is read, it misses nothing and delays no other reader or writer.
///
/// [`Archive::subscribe`](crate::Archive::subscribe) creates it. By default it selects all changes except sightings,
/// with the content of each revision, and waits for more when it has caught up.
#[must_use = "nothing is read before the first change is awaited"]
pub struct Changes {
    archive: Archive,
    start: FeedStart,
    query: Arc<FeedQuery>,
    view: FeedView,
    /// Whether to end at the durable tail of the beginning, and that tail once it is known.
    ends_when_caught_up: bool,
    end: Option<Seq>,
    /// Where the next page begins; `None` before the start is resolved.
    from: Option<Snapshot>,
    /// Changes that were read and have not been handed out yet.
    ready: VecDeque<ArticleChange>,
    position: Option<Position>,
}

impl Changes {
    pub(crate) fn new(archive: Archive, start: FeedStart) -> Self {
        Self {
            archive,
            start,
            query: Arc::default(),
            view: FeedView::Full,
            ends_when_caught_up: false,
            end: None,
            from: None,
            ready: VecDeque::new(),
            position: None,
        }
    }

    /// Selects the changes of articles that match `filter` after the change, or matched it before.
    pub fn of(self, filter: ArticleFilter) -> Self {
        let query = FeedQuery { filter, kinds: self.query.kinds };
        Self { query: Arc::new(query), ..self }
    }

    /// Selects these kinds of change. Without any, all except sightings.
    pub fn kinds(self, kinds: impl IntoIterator<Item = ChangeKind>) -> Self {
        let query = FeedQuery { filter: self.query.filter.clone(), kinds: ChangeKinds::of(kinds) };
        Self { query: Arc::new(query), ..self }
    }

    /// Leaves out the contents, which is faster.
    pub fn without_content(self) -> Self {
        Self { view: FeedView::Basic, ..self }
    }

    /// Ends with `None` after the last change that was durable when the first was awaited, instead of waiting for more.
    pub fn until_caught_up(self) -> Self {
        Self { ends_when_caught_up: true, ..self }
    }

    /// Waits for the next change. `None` if the archive was closed, or with [`Changes::until_caught_up`]. Cancel safe:
    /// dropping the future loses no change. After an error, the next call tries again at the same place.
    ///
    /// A start that this archive has not reached, or that belongs to another one, is [`ArchiveError::Bound`]. A failed
    /// storage is [`ArchiveError::Unavailable`].
    pub async fn next(&mut self) -> Option<Result<ArticleChange, ArchiveError>> {
        loop {
            if let Some(change) = self.ready.pop_front() {
                self.position = Some(change.position);
                return Some(Ok(change));
            }
            match self.read_page().await {
                Ok(PageRead::Some) => {}
                Ok(PageRead::Ended) => return None,
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// Where a later subscription continues: every matching change before it was handed out. `None` before the first
    /// call of [`Changes::next`]. It moves on while nothing matches, so it may be past the last change handed out.
    pub fn position(&self) -> Option<Position> {
        self.position
    }

    /// The subscription as a [`Stream`].
    pub fn into_stream(self) -> impl Stream<Item = Result<ArticleChange, ArchiveError>> + Send {
        futures_util::stream::unfold(self, |mut changes| async move {
            let change = changes.next().await?;
            Some((change, changes))
        })
    }

    /// Reads the next page into `ready`, once there is something to read.
    async fn read_page(&mut self) -> Result<PageRead, ArchiveError> {
        let from = match self.from {
            Some(from) => from,
            None => self.archive.feed_start(self.start).await?,
        };
        (self.from, self.position) = (Some(from), Some(from.position()));
        let end = if self.ends_when_caught_up {
            let end = *self.end.get_or_insert_with(|| self.archive.tail().next_seq);
            if from.next_seq >= end {
                return Ok(PageRead::Ended);
            }
            end
        } else {
            match self.archive.next_beyond(from.next_seq).await? {
                Some(end) => end,
                None => return Ok(PageRead::Ended),
            }
        };
        let (query, view) = (Arc::clone(&self.query), self.view);
        let read = self
            .archive
            .read_in(&self.archive.pools.scans, move |reader| page::whole_changes(reader, from, end, &query, view));
        let (changes, next) = read.await?;
        self.from = Some(next);
        if changes.is_empty() {
            self.position = Some(next.position());
        }
        self.ready.extend(changes);
        Ok(PageRead::Some)
    }
}

enum PageRead {
    /// A part of the log was read. It may have no match.
    Some,
    /// There will be no more.
    Ended,
}

impl Archive {
    /// Subscribes to the changes of the archive. `from` is where to begin: [`FeedStart::Beginning`],
    /// [`FeedStart::Now`], or a [`Position`] or [`Snapshot`] to continue after, which never expires.
    ///
    /// ```
    /// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use dateline::{Archive, Content, FeedStart};
    ///
    /// let archive = Archive::in_memory()?;
    /// archive.record(&"express/harbour".parse()?, Content::new("Bridge to close")).await?;
    /// let mut changes = archive.subscribe(FeedStart::Beginning);
    /// while let Some(change) = changes.next().await {
    ///     let change = change?;
    ///     println!("{} {:?} {}", change.seq(), change.kind, change.article);
    ///     # break;
    /// }
    /// // A program that stores this continues there the next time, and misses nothing.
    /// let position = changes.position().ok_or("nothing was read")?.to_string();
    /// let changes = archive.subscribe(position.parse::<dateline::Position>()?);
    /// # drop(changes); Ok(()) }
    /// ```
    pub fn subscribe(&self, from: impl Into<FeedStart>) -> Changes {
        Changes::new(self.clone(), from.into())
    }

    /// Waits until the durable tail is past `next_seq`, and returns its position; `None` if the archive is closed.
    async fn next_beyond(&self, next_seq: Seq) -> Result<Option<Seq>, ArchiveError> {
        let mut tail = self.shared.watch_tail();
        let moved = tail.wait_for(|tail| tail.position.next_seq > next_seq || tail.failed);
        let tail = tokio::select! {
            biased;
            () = self.closed.cancelled() => return Ok(None),
            moved = moved => moved.map(|tail| *tail).unwrap_or_else(|_| self.shared.tail()),
        };
        match tail.position.next_seq {
            end if end > next_seq => Ok(Some(end)),
            _ => Err(Unavailable::StorageFailed.into()),
        }
    }
}

/// At exactly this position of this log.
impl From<Position> for FeedStart {
    fn from(Position { next_seq, log_digest }: Position) -> Self {
        Self::Exact { next_seq, log_digest }
    }
}

/// After the changes of the snapshot.
impl From<Snapshot> for FeedStart {
    fn from(snapshot: Snapshot) -> Self {
        snapshot.position().into()
    }
}
