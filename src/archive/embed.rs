//! The front door for programs that embed an archive: one method for each thing that they do with it.
//!
//! These methods check what they are given (`model/check.rs`), as the gRPC service checks its requests, and then use
//! the same writes and reads as the service.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use crate::archive::observation::Observation;
use crate::archive::read::article::{ArticleAt, RevisionAt, View};
use crate::archive::read::list::{ArticleQuery, PAGE_CONTENT_BYTES, RevisionEntry, RevisionOrder, RevisionQuery};
use crate::archive::request::{Action, ArticleTarget, Operation, Precondition, Receipt, WriteMode, Writer};
use crate::archive::{Archive, ArchiveError, Holder, OpenArchiveError, Options, ReadPoint};
use crate::clock::{Clock, SystemClock};
use crate::model::field_errors::{FieldError, all};
use crate::model::{
    ArticleFilter, ArticleName, AsOf, ContentParts, RequestDigest, RevisionNumber, RevisionSelector, Seq, SourceId,
    SourceScope, Timestamp, check,
};

/// The most items that are read at once.
const PAGE_ITEMS: usize = 100;

impl Options {
    /// Opens the archive in the directory `path`, and creates it if the path does not exist or is an empty directory.
    /// See [`Archive::open`].
    pub fn open(&self, path: impl AsRef<Path>) -> Result<Archive, OpenArchiveError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let holder = Holder::this_process(clock.now());
        Archive::open_or_create(path.as_ref(), self, clock, holder).map(|(archive, _)| archive)
    }

    /// Opens the archive in the directory `path`, which must exist.
    pub fn open_existing(&self, path: impl AsRef<Path>) -> Result<Archive, OpenArchiveError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let holder = Holder::this_process(clock.now());
        Archive::open_existing(path.as_ref(), self, clock, holder).map(|(archive, _)| archive)
    }

    /// Creates an empty archive in memory. Nothing of it is on disk.
    pub fn in_memory(&self) -> Result<Archive, OpenArchiveError> {
        Archive::in_memory_with(self, Arc::new(SystemClock))
    }
}

/// What may be said with a change of an article's state or labels. Every part may be left out.
///
/// ```
/// use dateline::EditOptions;
///
/// let because = EditOptions::because("taken down by the publisher");
/// let at_a_time = because.observed_at("2026-05-21T07:30:00Z".parse()?).request_id("edit-17");
/// # drop(at_a_time); Ok::<(), dateline::model::TimeTextError>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct EditOptions {
    reason: String,
    observe_time: Option<Timestamp>,
    precondition: Option<Precondition>,
    request_id: String,
}

impl EditOptions {
    /// No reason, no condition, from now on.
    pub fn new() -> Self {
        Self::default()
    }

    /// With a reason, for people: at most 1,024 bytes.
    pub fn because(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), ..Self::default() }
    }

    /// From when the change of state is effective: any time since the article was first observed, and at most one
    /// minute ahead of the clock. Default: now. Labels have no observe time, so [`Archive::label`] rejects it.
    pub fn observed_at(self, observe_time: Timestamp) -> Self {
        Self { observe_time: Some(observe_time), ..self }
    }

    /// Makes the change only if the article's newest state still has this etag.
    pub fn if_etag(self, etag: impl Into<String>) -> Self {
        Self { precondition: Some(Precondition::Etag(etag.into())), ..self }
    }

    /// Identifies the request, as [`Observation::request_id`] does.
    pub fn request_id(self, id: impl Into<String>) -> Self {
        Self { request_id: id.into(), ..self }
    }

    /// The digest of a request to do `what` with these options. It covers what the caller gave.
    fn digest(&self, what: &str, labels: [&[String]; 2]) -> RequestDigest {
        let mut parts = vec![what.as_bytes().to_vec(), self.reason.clone().into_bytes()];
        parts.push(self.observe_time.map(|time| time.micros().to_be_bytes().to_vec()).unwrap_or_default());
        for labels in labels {
            parts.push((labels.len() as u64).to_be_bytes().to_vec());
            parts.extend(labels.iter().map(|label| label.clone().into_bytes()));
        }
        parts.extend(self.precondition.iter().flat_map(Precondition::digest_parts));
        RequestDigest::of(&parts.iter().map(Vec::as_slice).collect::<Vec<_>>())
    }
}

/// A reason, and nothing else.
impl From<&str> for EditOptions {
    fn from(reason: &str) -> Self {
        Self::because(reason)
    }
}

impl Archive {
    /// Opens the archive in the directory `path`, and creates it if the path does not exist or is an empty directory.
    /// [`ArchiveOptions`](crate::ArchiveOptions) has the same method, for other cache sizes and limits.
    ///
    /// One process at a time can have an archive open. It is released when every clone of the archive, and every
    /// subscription to it, is dropped. Opening reads what was written since the archive was last opened, which takes
    /// one to two seconds per gigabyte, and blocks the thread meanwhile.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenArchiveError> {
        Options::default().open(path)
    }

    /// Creates an empty archive in memory, for tests. Nothing of it is on disk.
    pub fn in_memory() -> Result<Self, OpenArchiveError> {
        Options::default().in_memory()
    }

    /// Records an observation of an article, or just its content, seen now. It is durable when this returns.
    ///
    /// The outcome in the receipt is `Created` for a new article, `Revised` if the content differs from what was in
    /// force at that time, and otherwise `Unchanged`.
    ///
    /// Invalid fields, such as a blank headline, are [`ArchiveError::Invalid`]. A condition that does not hold, a
    /// request id used for another request, and an article that is withdrawn at that time are
    /// [`ArchiveError::Conflict`]. A failed write has recorded nothing, unless the storage failed. If the future is
    /// dropped, the write may still be carried out.
    pub async fn record(
        &self,
        name: &ArticleName,
        observation: impl Into<Observation>,
    ) -> Result<Receipt, ArchiveError> {
        let checked = observation.into().check(&self.limits, self.clock().now())?;
        self.write_one(checked.into_operation(ArticleTarget::Named(name.clone()))).await
    }

    /// Records an observation like [`Archive::record`], of an article of `source` that it finds by the observation's
    /// URLs. If none of them is known, it creates an article, named after its URL or its headline. The receipt has the
    /// name.
    pub async fn record_found(
        &self,
        source: &SourceId,
        observation: impl Into<Observation>,
    ) -> Result<Receipt, ArchiveError> {
        let checked = observation.into().check(&self.limits, self.clock().now())?;
        let target = checked.target(source.clone(), None)?;
        self.write_one(checked.into_operation(target)).await
    }

    /// Records that an article was withdrawn. Its history stays readable. `options` may be just a reason.
    pub async fn withdraw(&self, name: &ArticleName, options: impl Into<EditOptions>) -> Result<Receipt, ArchiveError> {
        self.set_state(name, true, options.into()).await
    }

    /// Records that a withdrawn article was reinstated. `options` may be just a reason.
    pub async fn reinstate(
        &self,
        name: &ArticleName,
        options: impl Into<EditOptions>,
    ) -> Result<Receipt, ArchiveError> {
        self.set_state(name, false, options.into()).await
    }

    async fn set_state(
        &self,
        name: &ArticleName,
        withdrawn: bool,
        options: EditOptions,
    ) -> Result<Receipt, ArchiveError> {
        let digest = options.digest(if withdrawn { "withdraw" } else { "reinstate" }, [&[], &[]]);
        let action = check::reason(options.reason).map(|reason| Action::SetState { withdrawn, reason });
        let now = self.clock().now();
        let observe_time = check::observe_time(options.observe_time.unwrap_or(now), now);
        let request = request(&options.request_id, digest);
        let (action, observe_time, request) = all!(action, observe_time, request)?;
        let target = ArticleTarget::Named(name.clone());
        let precondition = options.precondition;
        self.write_one(Operation { target, observe_time, precondition, request, by: Writer::default(), action }).await
    }

    /// Adds labels to an article and removes others. `options` may be just a reason.
    ///
    /// ```
    /// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dateline::{Archive, Content, EditOptions};
    /// # let archive = Archive::in_memory()?;
    /// # let name = "express/harbour".parse()?;
    /// archive.record(&name, Content::new("Bridge closes today")).await?;
    /// archive.label(&name, ["flood"], ["draft"], EditOptions::new()).await?;
    /// # Ok(()) }
    /// ```
    pub async fn label<Add, Remove>(
        &self,
        name: &ArticleName,
        add: Add,
        remove: Remove,
        options: impl Into<EditOptions>,
    ) -> Result<Receipt, ArchiveError>
    where
        Add: IntoIterator<Item: Into<String>>,
        Remove: IntoIterator<Item: Into<String>>,
    {
        let add: Vec<String> = add.into_iter().map(Into::into).collect();
        let remove: Vec<String> = remove.into_iter().map(Into::into).collect();
        let options = options.into();
        let request = request(&options.request_id, options.digest("label", [&add, &remove]));
        let timeless = match options.observe_time {
            Some(_) => Err(FieldError::invalid("observe_time", "must not be set, because labels have none")),
            None => Ok(()),
        };
        let action = Action::label(add, remove, options.reason, &self.limits);
        let (action, (), request) = all!(action, timeless, request)?;
        let (target, observe_time) = (ArticleTarget::Named(name.clone()), self.clock().now());
        let precondition = options.precondition;
        self.write_one(Operation { target, observe_time, precondition, request, by: Writer::default(), action }).await
    }

    /// Records the content of an earlier revision again, as what is in force from now on.
    pub async fn roll_back(&self, name: &ArticleName, to: RevisionNumber) -> Result<Receipt, ArchiveError> {
        let (target, observe_time) = (ArticleTarget::Named(name.clone()), self.clock().now());
        let action = Action::Rollback(to);
        self.write_one(Operation {
            target,
            observe_time,
            precondition: None,
            request: None,
            by: Writer::default(),
            action,
        })
        .await
    }

    async fn write_one(&self, operation: Operation) -> Result<Receipt, ArchiveError> {
        let receipts = self.write(vec![operation], WriteMode::Commit).await.map_err(|failed| failed.error)?;
        receipts.into_iter().next().ok_or(ArchiveError::Internal)
    }

    /// Reads an article with its content. `as_of` is [`AsOf::NEWEST`], an observe time, a
    /// [`Snapshot`](crate::Snapshot), or any point of both axes:
    ///
    /// ```
    /// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dateline::{Archive, AsOf, Content, Timestamp};
    /// # let archive = Archive::in_memory()?;
    /// # let name = "express/harbour".parse()?;
    /// # let first = archive.record(&name, Content::new("Bridge closes today")).await?;
    /// let now = archive.get(&name, AsOf::NEWEST).await?;
    /// let on_1_may = archive.get(&name, "2026-05-01T00:00:00Z".parse::<Timestamp>()?).await;
    /// # assert!(now.content().is_some() && on_1_may.is_err_and(|error| error.is_missing()));
    /// let as_it_was_known_then = archive.get(&name, first.snapshot).await?;
    /// # assert_eq!(as_it_was_known_then.etag.as_ref(), Some(&first.etag));
    /// # Ok(()) }
    /// ```
    ///
    /// An article that does not exist at that point is [`ArchiveError::Missing`], which says whether it exists later. A
    /// point that the archive has not reached is [`ArchiveError::Bound`].
    pub async fn get(&self, name: &ArticleName, as_of: impl Into<AsOf>) -> Result<ArticleAt, ArchiveError> {
        let point = self.point(as_of).await?;
        self.article(point, name.clone(), View::Full).await
    }

    /// Reads the article that was recorded under a URL, like [`Archive::get`]. The address is normalised, so tracking
    /// parameters and the fragment make no difference.
    pub async fn get_by_url(&self, url: &str, as_of: impl Into<AsOf>) -> Result<ArticleAt, ArchiveError> {
        let key = check::url("url", url, &self.limits)?;
        let point = self.point(as_of).await?;
        self.article_by_url(point, url.to_owned(), key, SourceScope::all(), View::Full).await
    }

    /// Reads one revision of an article with its content.
    pub async fn get_revision(&self, name: &ArticleName, number: RevisionNumber) -> Result<RevisionAt, ArchiveError> {
        let point = self.point(AsOf::NEWEST).await?;
        self.revision(point, name.clone(), RevisionSelector::Number(number), View::Full).await
    }

    /// Reads one revision of an article with its content, and with the bytes of its original if one was kept.
    pub async fn get_original(&self, name: &ArticleName, number: RevisionNumber) -> Result<RevisionAt, ArchiveError> {
        let point = self.point(AsOf::NEWEST).await?;
        self.revision_with_original(point, name.clone(), RevisionSelector::Number(number), View::Full).await
    }

    /// Lists all revisions of an article, the first one first, without their contents. [`Archive::get_revision`] reads
    /// the content of one.
    pub async fn history(&self, name: &ArticleName) -> Result<Vec<RevisionEntry>, ArchiveError> {
        let point = self.point(AsOf::NEWEST).await?;
        let query = RevisionQuery {
            order: RevisionOrder::OldestFirst,
            changed_parts: ContentParts::default(),
            view: View::Basic,
            page_size: PAGE_ITEMS,
        };
        let (mut revisions, mut after) = (Vec::new(), None);
        loop {
            let page = self.revisions(point, name.clone(), query, after).await?;
            revisions.extend(page.items);
            after = page.next;
            if after.is_none() {
                return Ok(revisions);
            }
        }
    }

    /// Lists the articles that match a filter, in order of name, without their contents. All are read at the same
    /// point, so articles that are recorded meanwhile make no difference.
    ///
    /// ```
    /// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dateline::{Archive, ArticleFilter, AsOf};
    /// # let archive = Archive::in_memory()?;
    /// let filter = ArticleFilter { labels: vec!["flood".to_owned()], ..ArticleFilter::default() };
    /// let mut articles = archive.list(filter, AsOf::NEWEST).await?;
    /// while let Some(article) = articles.next().await {
    ///     println!("{}", article?.name);
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn list(&self, filter: ArticleFilter, as_of: impl Into<AsOf>) -> Result<Articles, ArchiveError> {
        let point = self.point(as_of).await?;
        let query = ArticleQuery {
            source: None,
            filter,
            view: View::Basic,
            page_size: PAGE_ITEMS,
            content_bytes_max: PAGE_CONTENT_BYTES,
        };
        Ok(Articles { archive: self.clone(), point, query, ready: VecDeque::new(), next: NextPage::First })
    }

    async fn point(&self, as_of: impl Into<AsOf>) -> Result<ReadPoint, ArchiveError> {
        self.read_point(as_of.into(), Seq::ZERO).await
    }
}

fn request(id: &str, digest: RequestDigest) -> Result<Option<(crate::model::RequestId, RequestDigest)>, FieldError> {
    if id.is_empty() { Ok(None) } else { Ok(Some((check::request_id(id)?, digest))) }
}

/// A list of articles, which is read page by page. [`Archive::list`] creates it.
#[must_use = "nothing is read before the first article is awaited"]
pub struct Articles {
    archive: Archive,
    point: ReadPoint,
    query: ArticleQuery,
    /// Articles that were read and have not been handed out yet.
    ready: VecDeque<ArticleAt>,
    next: NextPage,
}

enum NextPage {
    First,
    After(ArticleName),
    NoMore,
}

impl Articles {
    /// Reads the next article; `None` after the last. After an error, the next call tries again at the same place.
    pub async fn next(&mut self) -> Option<Result<ArticleAt, ArchiveError>> {
        while self.ready.is_empty() {
            let after = match &self.next {
                NextPage::First => None,
                NextPage::After(name) => Some(name.clone()),
                NextPage::NoMore => return None,
            };
            match self.archive.articles_by_name(self.point, self.query.clone(), after).await {
                Ok(page) => {
                    self.ready.extend(page.items);
                    self.next = page.next.map_or(NextPage::NoMore, NextPage::After);
                }
                Err(error) => return Some(Err(error)),
            }
        }
        self.ready.pop_front().map(Ok)
    }
}
