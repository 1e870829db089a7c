//! One feed: archives its new entries, and decides when to fetch it again.

use std::collections::BTreeMap;
use std::time::Duration;

use data_encoding::HEXLOWER;
use futures_util::stream::{self, StreamExt};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::Told;
use super::state_file::{Kept, Seen};
use crate::cli::args::web::FollowArgs;
use crate::cli::exit::{Exit, Failure};
use crate::cli::pages::Pages;
use crate::cli::report::Archived;
use crate::cli::state_file::StateFile;
use crate::fetch::{FetchError, Fetched, Page};
use crate::ingest;
use crate::ingest::feed::Entry;
use crate::model::ArticleName;

/// The longest interval between fetches of a feed that keeps failing.
const BACK_OFF_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// The most new entries of a feed that are archived in one fetch.
const ENTRIES_MAX: usize = 2_000;

/// What all feeds of one command share.
#[derive(Clone)]
pub(super) struct Round<'a> {
    pub(super) pages: &'a Pages<'a>,
    /// Limits concurrent fetches across all feeds.
    pub(super) at_once: &'a Semaphore,
    pub(super) stopping: &'a CancellationToken,
    pub(super) tell: mpsc::Sender<Told>,
    pub(super) args: &'a FollowArgs,
}

pub(super) struct Feed {
    address: Url,
    state_file: StateFile<Seen>,
    /// How many fetches in a row have failed.
    failures: u32,
}

impl Feed {
    pub(super) fn new(address: Url, state_file: StateFile<Seen>) -> Self {
        Self { address, state_file, failures: 0 }
    }

    /// Fetches the feed once, or with `--every` repeatedly until a signal asks the command to stop.
    pub(super) async fn follow(mut self, round: Round<'_>) {
        loop {
            let looked = self.look(&round).await;
            self.failures = if looked.is_ok() { 0 } else { self.failures.saturating_add(1) };
            let asked_for = looked.as_ref().err().and_then(|failure| failure.retry_after);
            if let Err(failure) = looked {
                round.tell(Told::Done(self.address.to_string(), Box::new(Err(failure.failure)))).await;
            }
            let Some(every) = round.args.every else { return };
            let pause = pause(every, self.failures, asked_for, random());
            tokio::select! {
                () = round.stopping.cancelled() => return,
                () = sleep(pause) => {}
            }
        }
    }

    /// Fetches the feed and archives its new entries.
    async fn look(&mut self, round: &Round<'_>) -> Result<(), Unavailable> {
        let known = &self.state_file.value;
        let fetched = {
            let _permit = round.at_once.acquire().await;
            round.pages.fetcher().fetch(&self.address, known.validators.as_ref()).await?
        };
        match fetched {
            Fetched::NotModified(_) => round.tell(Told::Unchanged(known.entries.len() as u64)).await,
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
        let feed = ingest::feed::read(&page.body, &options).map_err(unreadable)?;
        if feed.entries.is_empty() {
            let note = format!("{}: no entries found; supported formats are Atom 1.0, RSS and JSON Feed", self.address);
            round.tell(Told::Note(note)).await;
        }
        let seen = std::mem::take(&mut self.state_file.value.entries);
        let is_seen = |entry: &Entry| seen.get(&entry.id).is_some_and(|kept| kept.fingerprint == print_of(entry));
        let (old, mut new): (Vec<_>, Vec<_>) = feed.entries.into_iter().partition(is_seen);
        // Feeds list the newest entry first. Entries that are left now will count as new next time.
        let left = new.split_off(new.len().min(ENTRIES_MAX));
        if !left.is_empty() {
            let note = format!(
                "{}: at most {ENTRIES_MAX} new entries are read at once; the other {} are read next time",
                self.address,
                left.len()
            );
            round.tell(Told::Note(note)).await;
        }
        round.tell(Told::Unchanged(old.len() as u64)).await;
        round.tell(Told::Expect(new.len() as u64)).await;
        let archived = stream::iter(new.into_iter().rev()).map(|entry| archive(entry, &seen, round));
        let archived: Vec<_> = archived.buffer_unordered(round.args.fetch.jobs.get()).collect().await;
        let is_complete = left.is_empty() && archived.iter().all(|entry| entry.is_done);
        let untouched = old.into_iter().chain(left).filter_map(|entry| seen.get_key_value(&entry.id));
        let untouched = untouched.map(|(id, kept)| (id.clone(), kept.clone()));
        self.state_file.value.entries =
            untouched.chain(archived.into_iter().filter_map(|entry| entry.kept)).collect::<BTreeMap<_, _>>();
        self.state_file.value.validators = page.validators.filter(|_| is_complete);
        if !round.args.dry_run
            && let Err(error) = self.state_file.keep()
        {
            let note = format!("{}: the state of the feed can't be saved: {error}", self.address);
            round.tell(Told::Note(note)).await;
        }
        Ok(())
    }
}

/// The outcome of an entry.
struct Outcome {
    /// Whether the entry needs no further attempt.
    is_done: bool,
    /// Its new state; the previous state if it needs another attempt.
    kept: Option<(String, Kept)>,
}

/// Archives an entry, and sends its outcome.
async fn archive(entry: Entry, seen: &BTreeMap<String, Kept>, round: &Round<'_>) -> Outcome {
    let known = seen.get(&entry.id);
    let _permit = round.at_once.acquire().await;
    if round.stopping.is_cancelled() {
        round.tell(Told::Left(1)).await;
        return Outcome { is_done: false, kept: known.cloned().map(|kept| (entry.id, kept)) };
    }
    let label = entry.url.as_ref().map_or_else(|| entry.id.clone(), Url::to_string);
    let fingerprint = print_of(&entry);
    let before = known.and_then(|kept| ArticleName::parse(&kept.article).ok());
    let done = match (&entry.url, round.args.pages) {
        (Some(url), true) => round.pages.archive(url, before.as_ref()).await,
        (None, true) => Err(Failure::new(Exit::Failed, "the entry has no link to a page").kind("NO_PAGE")),
        (url, false) => match entry.document {
            Ok(document) => round.pages.archive_document(document, url.as_ref(), before.as_ref()).await,
            Err(error) => Err(Failure::new(Exit::Failed, error).kind("UNREADABLE")),
        },
    };
    let again = done.as_ref().is_err_and(is_worth_another_try);
    let article = done.as_ref().map(Archived::article).unwrap_or_default();
    round.tell(Told::Done(label, Box::new(done))).await;
    let kept = if again { known.cloned() } else { Some(Kept { fingerprint, article }) };
    Outcome { is_done: !again, kept: kept.map(|kept| (entry.id, kept)) }
}

fn print_of(entry: &Entry) -> String {
    HEXLOWER.encode(&entry.fingerprint)
}

/// Whether a failure may be gone by the next time. The content of the entry will still be the same.
fn is_worth_another_try(failure: &Failure) -> bool {
    failure.exit == Exit::Unreachable || failure.server.is_some() && failure.exit == Exit::Failed
}

impl Round<'_> {
    async fn tell(&self, told: Told) {
        // The receiver exists for as long as there are feeds.
        drop(self.tell.send(told).await);
    }
}

/// Why a feed could not be fetched.
struct Unavailable {
    failure: Failure,
    /// How long the server asks to wait before the next request.
    retry_after: Option<Duration>,
}

impl From<FetchError> for Unavailable {
    fn from(error: FetchError) -> Self {
        let retry_after = error.retry_after();
        Self { failure: error.into(), retry_after }
    }
}

fn unreadable(error: ingest::IngestError) -> Unavailable {
    Unavailable { failure: Failure::new(Exit::Failed, error).kind("NOT_A_FEED"), retry_after: None }
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
