//! Imports whole collections.
//!
//! A reader on its own thread ([`lines`], [`web_archive`], [`wacz`], [`git`]) turns a collection into items and sends them
//! through a channel with a bound in bytes ([`item`]). [`uploader`] sends them to the archive, [`tracker`] reports what
//! happens as [`Event`]s, and [`checkpoint`] saves the progress.

mod checkpoint;
mod collection;
mod event;
mod git;
mod input;
mod item;
mod lines;
mod overrides;
mod tracker;
mod uploader;
mod wacz;
mod web_archive;

use tokio_util::sync::CancellationToken;

use self::checkpoint::{Checkpoint, SavedProgress};
use self::collection::Collection;
pub use self::collection::{CollectionError, CollectionFormat, CollectionSource, Size};
pub use self::event::{Event, ItemRef, Report};
pub use self::git::{GitError, RepositoryOptions};
use self::item::ItemSender;
pub use self::item::{Done, ItemError};
pub use self::overrides::Overrides;
use self::tracker::Tracker;
use self::uploader::{Ended, Uploader};
use super::CaptureError;
use super::state_file::{StateDir, StateFile};
use crate::client::{Client, ServerError};
use crate::wire::pb;

/// How collections are imported.
#[derive(Clone, Debug)]
pub struct ImportOptions {
    /// The format of files; `None` to detect it from their names and first bytes.
    pub format: Option<CollectionFormat>,
    /// Which part of a git repository's history is imported.
    pub repository: RepositoryOptions,
    /// What is stated about every document; must be the default for JSON Lines, which carry everything themselves.
    pub overrides: Overrides,
    /// Whether everything is read and validated, and nothing written.
    pub dry_run: bool,
}

/// How an import ended, if it did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportEnd {
    /// All items are done.
    Complete,
    /// The caller stopped it before that.
    Stopped {
        /// The items that are done.
        done: Done,
        /// Whether the progress is saved, so that the next import continues there.
        is_saved: bool,
    },
}

/// Imports collections into one archive.
pub struct Importer<'a> {
    /// The archive.
    pub client: &'a Client,
    /// How they are imported.
    pub options: &'a ImportOptions,
    /// Where progress is saved; `None` to save none.
    pub state_dir: Option<&'a StateDir>,
    /// Stops an import after the items in progress.
    pub stopping: &'a CancellationToken,
}

impl Importer<'_> {
    /// Imports one collection. Items that cannot be read and those that the archive rejects are reported as
    /// [`Event::Failed`]; the import itself fails only if it cannot continue. An earlier import of the same state of
    /// the collection is continued.
    ///
    /// To stop it, cancel [`Self::stopping`]. If the caller stops waiting instead, the items since the last saved
    /// progress are imported again, which changes nothing.
    pub async fn import<'r>(
        &self,
        source: &CollectionSource,
        report: &'r mut Report<'r>,
    ) -> Result<ImportEnd, CaptureError> {
        let (to_open, options) = (source.clone(), self.options.clone());
        let collection = tokio::task::spawn_blocking(move || Collection::open(&to_open, &options)).await??;
        let (name, state) = (collection.name.clone(), collection.state.clone());
        let mut checkpoint = self.checkpoint(source, &name, state.as_deref())?;
        if let Some(known_at) = checkpoint.known_at()
            && !self.has(known_at).await?
        {
            checkpoint.restart();
        }
        let (before, failed) = checkpoint.before();
        let mut tracker = Tracker::new(report, before, failed);
        tracker.report(Event::Begun { name: &name, size: collection.size, before, failed });
        let uploaded = self.upload(collection, before, &mut tracker, &mut checkpoint).await;
        if let Ok(Ended::Complete) = uploaded {
            checkpoint.remove(&mut tracker);
            return Ok(ImportEnd::Complete);
        }
        checkpoint.save(&mut tracker);
        let is_saved = self.state_dir.is_some() && state.is_some();
        uploaded.map(|_| ImportEnd::Stopped { done: tracker.done(), is_saved })
    }

    /// Reads the items after `before`, and sends them to the archive.
    async fn upload(
        &self,
        collection: Collection,
        before: Done,
        tracker: &mut Tracker<'_>,
        checkpoint: &mut Checkpoint,
    ) -> Result<Ended, CaptureError> {
        let uploader = Uploader::new(self.client, self.options.dry_run).await?;
        let (items, arriving) = ItemSender::new();
        let overrides = self.options.overrides.clone();
        let reading = tokio::task::spawn_blocking(move || collection.read(&overrides, before.items, &items));
        let ended = uploader.run(arriving, self.stopping, tracker, checkpoint).await?;
        if ended == Ended::Complete {
            // After a stop, the reader is not waited for: it may wait for input that never comes.
            reading.await?.ok();
        }
        Ok(ended)
    }

    /// Whether the log of this archive contains the point. It does not if the archive was restored to an earlier state
    /// since, or is another one.
    async fn has(&self, known_at: pb::AsOf) -> Result<bool, CaptureError> {
        let request = pb::ListArticlesRequest {
            parent: "sources/-".to_owned(),
            page_size: 1,
            as_of: Some(known_at),
            ..pb::ListArticlesRequest::default()
        };
        match self.client.archive.clone().list_articles(request).await {
            Ok(_) => Ok(true),
            Err(status) => match ServerError::from(status) {
                error if matches!(error.reason.as_str(), "HISTORY_DIVERGED" | "AS_OF_IN_FUTURE") => Ok(false),
                error => Err(error.into()),
            },
        }
    }

    fn checkpoint(
        &self,
        source: &CollectionSource,
        name: &str,
        state: Option<&str>,
    ) -> Result<Checkpoint, CaptureError> {
        let (Some(state_dir), Some(state)) = (self.state_dir, state) else {
            return Ok(Checkpoint::new(None, name, ""));
        };
        let path = source.canonical_path();
        let state_file: StateFile<SavedProgress> = StateFile::of(state_dir, &path.to_string_lossy())
            .map_err(|error| state_dir.unreadable("the progress of an earlier import", error))?;
        Ok(Checkpoint::new(Some(state_file), name, state))
    }
}
