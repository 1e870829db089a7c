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

/// The most new entries of a feed that are archived in one fetch.
const ENTRIES_MAX: usize = 2_000;

/// What all feeds of one run share.
#[derive(Clone)]
pub(super) struct Round<'a> {
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
        // The pages of a feed's entries are other documents than the entries.
        let thing = if options.pages { format!("{address} pages") } else { address.to_string() };
        let mut state_file: StateFile<FeedState> =
            StateFile::of(state_dir, &thing).map_err(|error| state_dir.unreadable("the state of a feed", error))?;
        state_file.value.feed = address.to_string();
        Ok(Self { address, state_file, failures: 0 })
    }

    /// Fetches the feed once, or repeatedly until the run is stopped.
    pub(super) async fn follow(mut self, round: Round<'_>) {
        loop {
            let fetched = self.fetch(&round).await;
            self.failures = if fetched.is_ok() { 0 } else { self.failures.saturating_add(1) };
            let asked_for = fetched.as_ref().err().and_then(|failure| failure.retry_after);
            if let Err(failure) = fetched {
                round.report(FeedEvent::Done(shown(&self.address), Box::new(Err(failure.error)))).await;
            }
            let Some(every) = round.options.every else { return };
            let pause = pause(every, self.failures, asked_for, random());
            tokio::select! {
                () = round.stopping.cancelled() => return,
                () = sleep(pause) => {}
            }
        }
    }

    /// Fetches the feed and archives its new entries.
    async fn fetch(&mut self, round: &Round<'_>) -> Result<(), Unavailable> {
        let known = &self.state_file.value;
        let fetched = {
            let _permit = round.jobs.acquire().await;
            round.pages.fetcher().fetch(&self.address, known.validators.as_ref()).await?
        };
        match fetched {
            Fetched::NotModified(_) => round.report(FeedEvent::Unchanged(known.entries.len() as u64)).await,
            Fetched::Page(page) => self.archive(page, round).await?,
        }
        Ok(())
    }

    async fn archive(&mut self, page: Page, round: &Round<'_>) -> Result<(), Unavailable> {
        let options = ingest::Options {
            url: Some(page.url.clone()),
            charset: page.charset.clone(),
            ..ingest::Options::default()
        };
        let entries = ingest::feed::read(&page.body, &options).map_err(unreadable)?;
        if entries.is_empty() {
            let note = format!(
                "{}: no entries found; supported formats are Atom 1.0, RSS and JSON Feed",
                shown(&self.address)
            );
            round.report(FeedEvent::Note(note)).await;
        }
        let seen = std::mem::take(&mut self.state_file.value.entries);
        let is_seen = |entry: &Entry| seen.get(&entry.id).is_some_and(|kept| kept.fingerprint == fingerprint(entry));
        let (old, mut new): (Vec<_>, Vec<_>) = entries.into_iter().partition(is_seen);
        // Feeds list the newest entry first. Entries that are left now will count as new next time.
        let left = new.split_off(new.len().min(ENTRIES_MAX));
        if !left.is_empty() {
            let note = format!(
                "{}: at most {ENTRIES_MAX} new entries are read at once; the other {} are read next time",
                shown(&self.address),
                left.len()
            );
            round.report(FeedEvent::Note(note)).await;
        }
        round.report(FeedEvent::Unchanged(old.len() as u64)).await;
        round.report(FeedEvent::Expect(new.len() as u64)).await;
        let archived = stream::iter(new.into_iter().rev()).map(|entry| archive(entry, &seen, round));
        let archived: Vec<_> = archived.buffer_unordered(round.options.jobs).collect().await;
        let is_complete = left.is_empty() && archived.iter().all(|entry| entry.is_done);
        let untouched = old.into_iter().chain(left).filter_map(|entry| seen.get_key_value(&entry.id));
        let untouched = untouched.map(|(id, kept)| (id.clone(), kept.clone()));
        self.state_file.value.entries =
            untouched.chain(archived.into_iter().filter_map(|entry| entry.kept)).collect::<BTreeMap<_, _>>();
        self.state_file.value.validators = page.validators.filter(|_| is_complete);
        if !round.options.dry_run
            && let Err(error) = self.state_file.save()
        {
            let note = format!("{}: the state of the feed cannot be saved: {error}", shown(&self.address));
            round.report(FeedEvent::Note(note)).await;
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
async fn archive(entry: Entry, seen: &BTreeMap<String, SeenEntry>, round: &Round<'_>) -> Outcome {
    let known = seen.get(&entry.id);
    let _permit = round.jobs.acquire().await;
    if round.stopping.is_cancelled() {
        round.report(FeedEvent::Remaining(1)).await;
        return Outcome { is_done: false, kept: known.cloned().map(|kept| (entry.id, kept)) };
    }
    let label = entry.url.as_ref().map_or_else(|| entry.id.clone(), shown);
    let fingerprint = fingerprint(&entry);
    let before = known.and_then(|kept| ArticleName::parse(&kept.article).ok());
    let done = match (&entry.url, round.options.pages) {
        (Some(url), true) => round.pages.archive(url, before.as_ref()).await,
        (None, true) => Err(PageError::NoLink.into()),
        (url, false) => match entry.document {
            Ok(document) => round.pages.archive_document(document, url.as_ref(), before.as_ref()).await,
            Err(error) => Err(error.into()),
        },
    };
    let again = done.as_ref().is_err_and(|error| round.retries(error));
    let article = done.as_ref().map(Captured::article).unwrap_or_default();
    round.report(FeedEvent::Done(label, Box::new(done))).await;
    let kept = if again { known.cloned() } else { Some(SeenEntry { fingerprint, article }) };
    Outcome { is_done: !again, kept: kept.map(|kept| (entry.id, kept)) }
}

/// A URL for people, without user name and password.
fn shown(url: &Url) -> String {
    without_credentials(url.as_str()).into_owned()
}

fn fingerprint(entry: &Entry) -> String {
    HEXLOWER.encode(&entry.fingerprint)
}

impl Round<'_> {
    /// Whether an entry is tried again next time, although it has not changed. What the archive rejects about a content
    /// is final for the text of an entry, but a page may be another one by then.
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
        // Work in progress is finished and kept in the state file even if nobody listens any more.
        drop(self.events.send(event).await);
    }
}

/// Why a feed could not be fetched.
struct Unavailable {
    error: CaptureError,
    /// How long the server asks to wait before the next request.
    retry_after: Option<Duration>,
}

impl From<FetchError> for Unavailable {
    fn from(error: FetchError) -> Self {
        let retry_after = error.retry_after();
        Self { error: error.into(), retry_after }
    }
}

fn unreadable(error: ingest::IngestError) -> Unavailable {
    Unavailable { error: PageError::NotAFeed(error).into(), retry_after: None }
}

/// How long to wait before the next fetch of a feed: `every`, doubled for each failure in a row, and never less than
/// the server asked for. Varied by up to a tenth, so that feeds are not all fetched at once. `chance` is at least 0 and
/// below 1.
fn pause(every: Duration, failures: u32, asked_for: Option<Duration>, chance: f64) -> Duration {
    let longest = BACK_OFF_MAX.max(every);
    let backed_off = every.saturating_mul(1_u32.checked_shl(failures.min(16)).unwrap_or(1)).min(longest);
    backed_off.mul_f64(0.9 + 0.2 * chance).max(asked_for.unwrap_or_default().min(longest))
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
