//! One feed: what it has that is new, archived; and when to look again.

use std::collections::BTreeMap;
use std::time::Duration;

use data_encoding::HEXLOWER;
use futures_util::stream::{self, StreamExt};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::Told;
use super::memory::{Kept, Seen};
use crate::cli::exit::{Exit, Failure};
use crate::cli::memory::Memory;
use crate::cli::pages::Pages;
use crate::cli::report::Archived;
use crate::cli::web_args::FollowArgs;
use crate::fetch::{FetchError, Fetched, Page};
use crate::ingest;
use crate::ingest::feed::Entry;
use crate::model::ArticleName;

/// A feed that fails is asked less and less often, down to once in so long.
const BACK_OFF_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// The most entries of a feed that are judged in one look.
const ENTRIES_MAX: usize = 2_000;

/// What all feeds of a command share.
#[derive(Clone)]
pub(super) struct Round<'a> {
    pub(super) pages: &'a Pages<'a>,
    /// How much is done at once, over all feeds.
    pub(super) at_once: &'a Semaphore,
    pub(super) stopping: &'a CancellationToken,
    pub(super) tell: mpsc::Sender<Told>,
    pub(super) args: &'a FollowArgs,
}

pub(super) struct Feed {
    address: Url,
    memory: Memory<Seen>,
    /// How often in a row it could not be had.
    failures: u32,
}

impl Feed {
    pub(super) fn new(address: Url, memory: Memory<Seen>) -> Self {
        Self { address, memory, failures: 0 }
    }

    /// Looks once; with `--every` until an end is asked for.
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

    /// Archives what is new.
    async fn look(&mut self, round: &Round<'_>) -> Result<(), Unavailable> {
        let known = &self.memory.value;
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
            let note = format!("{}: no entries were found; Atom 1.0, RSS and JSON Feed are read", self.address);
            round.tell(Told::Note(note)).await;
        }
        let seen = std::mem::take(&mut self.memory.value.entries);
        let is_seen = |entry: &Entry| seen.get(&entry.id).is_some_and(|kept| kept.fingerprint == print_of(entry));
        let (old, mut new): (Vec<_>, Vec<_>) = feed.entries.into_iter().partition(is_seen);
        // Feeds have the newest first. What is left is new the next time.
        let left = new.split_off(new.len().min(ENTRIES_MAX));
        if !left.is_empty() {
            let note = format!(
                "{}: {ENTRIES_MAX} new entries are read at once; {} are left, and read the next time",
                self.address,
                left.len()
            );
            round.tell(Told::Note(note)).await;
        }
        round.tell(Told::Unchanged(old.len() as u64)).await;
        round.tell(Told::Expect(new.len() as u64)).await;
        let archived = stream::iter(new.into_iter().rev()).map(|entry| archive(entry, &seen, round));
        let archived: Vec<_> = archived.buffer_unordered(round.args.fetch.at_once.get()).collect().await;
        let is_complete = left.is_empty() && archived.iter().all(|entry| entry.is_done);
        let untouched = old.into_iter().chain(left).filter_map(|entry| seen.get_key_value(&entry.id));
        let untouched = untouched.map(|(id, kept)| (id.clone(), kept.clone()));
        self.memory.value.entries =
            untouched.chain(archived.into_iter().filter_map(|entry| entry.kept)).collect::<BTreeMap<_, _>>();
        self.memory.value.validators = page.validators.filter(|_| is_complete);
        if !round.args.dry_run
            && let Err(error) = self.memory.keep()
        {
            let note = format!("{}: what was archived can't be remembered: {error}", self.address);
            round.tell(Told::Note(note)).await;
        }
        Ok(())
    }
}

/// What came of an entry.
struct Outcome {
    /// Whether it is dealt with; else it is worth another try.
    is_done: bool,
    /// What to remember of it: where it is not dealt with, what was remembered before.
    kept: Option<(String, Kept)>,
}

/// Archives an entry.
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
        (None, true) => Err(Failure::new(Exit::Failed, "the entry leads to no page").kind("NO_PAGE")),
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

/// Whether a failure may have gone by the next time. What an entry says will not have changed by then.
fn is_worth_another_try(failure: &Failure) -> bool {
    failure.exit == Exit::Unreachable || failure.server.is_some() && failure.exit == Exit::Failed
}

impl Round<'_> {
    async fn tell(&self, told: Told) {
        // Somebody listens for as long as there is a feed.
        drop(self.tell.send(told).await);
    }
}

/// Why a feed could not be had.
struct Unavailable {
    failure: Failure,
    /// When the server wants to be asked again.
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

/// How long to wait until a feed is looked at again: `every`, twice as long for each failure in a row, and never sooner
/// than the server asked for; up to a tenth more or less, so that feeds are not all asked at once. `chance` is below 1.
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
    fn a_feed_that_fails_is_asked_less_and_less_often() {
        let pauses = [0, 1, 2, 3, 40].map(|failures| pause(10 * MINUTE, failures, None, 0.5).as_secs() / 60);
        assert_eq!(pauses, [10, 20, 40, 80, 24 * 60]);
    }

    #[test]
    fn chance_moves_it_by_a_tenth_and_a_server_may_ask_for_more() {
        assert_eq!(pause(10 * MINUTE, 0, None, 0.0), 9 * MINUTE);
        assert!(pause(10 * MINUTE, 0, None, 0.999) < 11 * MINUTE);
        assert_eq!(pause(MINUTE, 0, Some(10 * MINUTE), 0.5), 10 * MINUTE);
        assert_eq!(pause(MINUTE, 0, Some(Duration::MAX), 0.5), BACK_OFF_MAX);
    }
}
