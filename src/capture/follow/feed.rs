//! One feed: archives its new entries, and decides when to fetch it again.

use std::collections::BTreeMap;
use std::time::Duration;

use data_encoding::HEXLOWER;
use futures_util::stream::{self, StreamExt};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tonic::Code;
use url::Url;

use super::state_file::{FeedState, SeenEntry};
use super::{FeedEvent, FollowOptions};
use crate::capture::pages::Pages;
use crate::capture::state_file::{StateDir, StateFile};
use crate::capture::{CaptureError, Captured, PageError};
use crate::fetch::{FetchError, Fetched, Page};
use crate::ingest;
use crate::ingest::feed::Entry;
use crate::model::ArticleName;
use crate::model::url_key::without_credentials;

/// The longest interval between fetches of a feed that keeps failing.
const BACK_OFF_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// The maximum number of new entries that are archived after one fetch of a feed.
const ENTRIES_MAX: usize = 2_000;

/// What all feeds of one run share.
#[derive(Clone)]
pub(super) struct Run<'a> {
    pub(super) pages: &'a Pages<'a>,
    /// Limits concurrent fetches across all feeds.
    pub(super) jobs: &'a Semaphore,
    pub(super) stopping: &'a CancellationToken,
    pub(super) events: mpsc::Sender<FeedEvent>,
    pub(super) options: &'a FollowOptions,
}

/// A syndication feed: RSS, Atom or JSON Feed.
pub struct Feed {
    address: Url,
    state_file: StateFile<FeedState>,
    /// How many fetches in a row have failed.
    failures: u32,
}

impl Feed {
    /// The feed at this address, with what earlier runs kept about it in `state_dir`.
    pub fn open(address: Url, options: &FollowOptions, state_dir: &StateDir) -> Result<Self, CaptureError> {
        // An entry and the page that it links to are different documents, so their states are kept apart.
        let subject = if options.pages { format!("{address} pages") } else { address.to_string() };
        let mut state_file: StateFile<FeedState> =
            StateFile::of(state_dir, &subject).map_err(|error| state_dir.unreadable("the state of a feed", error))?;
        state_file.value.feed = address.to_string();
        Ok(Self { address, state_file, failures: 0 })
    }

    /// Fetches the feed once, or repeatedly until the run is stopped.
    pub(super) async fn follow(mut self, run: Run<'_>) {
        loop {
            let fetched = self.fetch(&run).await;
            self.failures = if fetched.is_ok() { 0 } else { self.failures.saturating_add(1) };
            let retry_after = fetched.as_ref().err().and_then(|failure| failure.retry_after);
            if let Err(failure) = fetched {
                run.report(FeedEvent::Done(for_people(&self.address), Box::new(Err(failure.error)))).await;
            }
            let Some(every) = run.options.every else { return };
            let pause = pause(every, self.failures, retry_after, random());
            tokio::select! {
                () = run.stopping.cancelled() => return,
                () = sleep(pause) => {}
            }
        }
    }

    /// Fetches the feed and archives its new entries.
    async fn fetch(&mut self, run: &Run<'_>) -> Result<(), FetchFailure> {
        let known = &self.state_file.value;
        let fetched = {
            let _permit = run.jobs.acquire().await;
            run.pages.fetcher().fetch(&self.address, known.validators.as_ref()).await?
        };
        match fetched {
            Fetched::NotModified(_) => run.report(FeedEvent::Unchanged(known.entries.len() as u64)).await,
            Fetched::Page(page) => self.archive(page, run).await?,
        }
        Ok(())
    }

    async fn archive(&mut self, page: Page, run: &Run<'_>) -> Result<(), FetchFailure> {
        let options = ingest::Options {
            url: Some(page.url.clone()),
            charset: page.charset.clone(),
            ..ingest::Options::default()
        };
        let entries = ingest::feed::read(&page.body, &options).map_err(unreadable)?;
        if entries.is_empty() {
            let note = format!(
                "{}: no entries found; supported formats are Atom 1.0, RSS and JSON Feed",
                for_people(&self.address)
            );
            run.report(FeedEvent::Note(note)).await;
        }
        let seen = std::mem::take(&mut self.state_file.value.entries);
        let is_seen = |entry: &Entry| seen.get(&entry.id).is_some_and(|kept| kept.fingerprint == fingerprint(entry));
        let (old, mut new): (Vec<_>, Vec<_>) = entries.into_iter().partition(is_seen);
        // Feeds list the newest entry first. The remaining entries will count as new next time.
        let remaining = new.split_off(new.len().min(ENTRIES_MAX));
        if !remaining.is_empty() {
            let note = format!(
                "{}: at most {ENTRIES_MAX} new entries are read at once; the other {} are read next time",
                for_people(&self.address),
                remaining.len()
            );
            run.report(FeedEvent::Note(note)).await;
        }
        run.report(FeedEvent::Unchanged(old.len() as u64)).await;
        run.report(FeedEvent::Expect(new.len() as u64)).await;
        let archived = stream::iter(new.into_iter().rev()).map(|entry| archive(entry, &seen, run));
        let archived: Vec<_> = archived.buffer_unordered(run.options.jobs).collect().await;
        let is_complete = remaining.is_empty() && archived.iter().all(|entry| entry.is_done);
        let untouched = old.into_iter().chain(remaining).filter_map(|entry| seen.get_key_value(&entry.id));
        let untouched = untouched.map(|(id, kept)| (id.clone(), kept.clone()));
        self.state_file.value.entries =
            untouched.chain(archived.into_iter().filter_map(|entry| entry.kept)).collect::<BTreeMap<_, _>>();
        self.state_file.value.validators = page.validators.filter(|_| is_complete);
        if !run.options.dry_run
            && let Err(error) = self.state_file.save()
        {
            let note = format!("{}: the state of the feed cannot be saved: {error}", for_people(&self.address));
            run.report(FeedEvent::Note(note)).await;
        }
        Ok(())
    }
}

/// The outcome of an entry.
struct Outcome {
    /// Whether the entry needs no further attempt.
    is_done: bool,
    /// Its new state; the previous state if it needs another attempt.
    kept: Option<(String, SeenEntry)>,
}

/// Archives an entry, and sends its outcome.
async fn archive(entry: Entry, seen: &BTreeMap<String, SeenEntry>, run: &Run<'_>) -> Outcome {
    let known = seen.get(&entry.id);
    let _permit = run.jobs.acquire().await;
    if run.stopping.is_cancelled() {
        run.report(FeedEvent::Remaining(1)).await;
        return Outcome { is_done: false, kept: known.cloned().map(|kept| (entry.id, kept)) };
    }
    let entry_name = entry.url.as_ref().map_or_else(|| entry.id.clone(), for_people);
    let fingerprint = fingerprint(&entry);
    let before = known.and_then(|kept| ArticleName::parse(&kept.article).ok());
    let done = match (&entry.url, run.options.pages) {
        (Some(url), true) => run.pages.archive(url, before.as_ref()).await,
        (None, true) => Err(PageError::NoLink.into()),
        (url, false) => match entry.document {
            Ok(document) => run.pages.archive_document(document, url.as_ref(), before.as_ref()).await,
            Err(error) => Err(error.into()),
        },
    };
    // A missing page is looked at again until it is certain that it is gone.
    let is_retried = match &done {
        Ok(captured) => captured.needs_another_look(),
        Err(error) => run.retries(error),
    };
    let article = done.as_ref().map(Captured::article).unwrap_or_default();
    run.report(FeedEvent::Done(entry_name, Box::new(done))).await;
    let kept = if is_retried { known.cloned() } else { Some(SeenEntry { fingerprint, article }) };
    Outcome { is_done: !is_retried, kept: kept.map(|kept| (entry.id, kept)) }
}

/// A URL for people, without user name and password.
fn for_people(url: &Url) -> String {
    without_credentials(url.as_str()).into_owned()
}

fn fingerprint(entry: &Entry) -> String {
    HEXLOWER.encode(&entry.fingerprint)
}

impl Run<'_> {
    /// Whether an entry is tried again next time, although it has not changed. If the archive rejects the content, the
    /// text of an unchanged entry would be rejected again, but the page that it links to may have changed by then.
    fn retries(&self, error: &CaptureError) -> bool {
        let CaptureError::Server(error) = error else { return error.is_transient() };
        match error.code {
            Code::InvalidArgument => self.options.pages,
            Code::OutOfRange
            | Code::NotFound
            | Code::AlreadyExists
            | Code::Aborted
            | Code::FailedPrecondition
            | Code::DataLoss => false,
            Code::Ok
            | Code::Cancelled
            | Code::Unknown
            | Code::DeadlineExceeded
            | Code::PermissionDenied
            | Code::ResourceExhausted
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::Unauthenticated => true,
        }
    }

    async fn report(&self, event: FeedEvent) {
        // Even if nobody receives events any more, work in progress is finished and recorded in the state file.
        drop(self.events.send(event).await);
    }
}

/// Why a feed could not be fetched.
struct FetchFailure {
    error: CaptureError,
    /// How long the server asks to wait before the next request.
    retry_after: Option<Duration>,
}

impl From<FetchError> for FetchFailure {
    fn from(error: FetchError) -> Self {
        let retry_after = error.retry_after();
        Self { error: error.into(), retry_after }
    }
}

fn unreadable(error: ingest::IngestError) -> FetchFailure {
    FetchFailure { error: PageError::NotAFeed(error).into(), retry_after: None }
}

/// How long to wait before the next fetch of a feed: `every`, doubled for each failure in a row up to [`BACK_OFF_MAX`],
/// varied by up to a tenth so that feeds are not all fetched at once, and not less than `retry_after`, which the server
/// asked for. `chance` is at least 0 and below 1.
fn pause(every: Duration, failures: u32, retry_after: Option<Duration>, chance: f64) -> Duration {
    let pause_max = BACK_OFF_MAX.max(every);
    let backed_off = every.saturating_mul(1_u32.checked_shl(failures.min(16)).unwrap_or(1)).min(pause_max);
    backed_off.mul_f64(0.9 + 0.2 * chance).max(retry_after.unwrap_or_default().min(pause_max))
}

fn random() -> f64 {
    let number = getrandom::u32().unwrap_or(u32::MAX / 2);
    f64::from(number) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_failing_feed_is_fetched_less_and_less_often() {
        let pauses = [0, 1, 2, 3, 40].map(|failures| pause(10 * MINUTE, failures, None, 0.5).as_secs() / 60);
        assert_eq!(pauses, [10, 20, 40, 80, 24 * 60]);
    }

    #[test]
    fn the_pause_varies_by_a_tenth_and_a_server_may_ask_for_a_longer_one() {
        assert_eq!(pause(10 * MINUTE, 0, None, 0.0), 9 * MINUTE);
        assert!(pause(10 * MINUTE, 0, None, 0.999) < 11 * MINUTE);
        assert_eq!(pause(MINUTE, 0, Some(10 * MINUTE), 0.5), 10 * MINUTE);
        assert_eq!(pause(MINUTE, 0, Some(Duration::MAX), 0.5), BACK_OFF_MAX);
    }
}
