//! The hand-off of a subscriber from catching up to live changes, in every relevant order of events.
//!
//! Shuttle (<https://docs.rs/shuttle>) runs the threads of a test one at a time, and chooses at each lock, spawn and
//! yield which of them continues. The code under test is `src/archive/changefeed/ring.rs` itself, with shuttle's lock
//! in place of the standard one. The `watch` of the durable tail is tokio's; to shuttle each of its operations is one
//! step, as tokio specifies them.
//!
//! A writer makes items durable, adds them to the ring, and announces the new tail, as the writer thread does.
//! Followers begin at different positions, and must get every item from there on, once and in order. A writer that
//! announces too early shows that the test can fail.

#![cfg(test)]

use std::sync::{Arc, Mutex as StdMutex};

use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, FailurePersistence, Runner, future, thread};
use tokio::sync::watch;

mod sync {
    //! The lock under which the hand-off is checked.
    pub(super) use shuttle::sync::Mutex;
}

#[expect(dead_code, reason = "nothing is destroyed here")]
#[path = "../src/archive/changefeed/ring.rs"]
mod recent;

use recent::{AnnouncedEnd, Recent, beyond};

const ITEMS: u64 = 7;
/// Fewer than are written, so that followers find some items evicted from the ring.
const RECENT_MAX: usize = 2;

#[derive(Clone, Copy)]
struct Tail(u64);

impl AnnouncedEnd for Tail {
    fn next_seq(&self) -> u64 {
        self.0
    }
}

struct Log {
    /// The durable items, as storage has them.
    stored: StdMutex<Vec<u64>>,
    recent: Recent<u64>,
    end: watch::Sender<Tail>,
}

/// When the writer announces the new tail of a commit.
#[derive(Clone, Copy)]
enum Announce {
    /// After the commit is durable and in the ring.
    Last,
    /// Before the commit is durable.
    First,
}

impl Log {
    fn new() -> Arc<Self> {
        let (stored, recent) = (StdMutex::new(Vec::new()), Recent::new(0, RECENT_MAX, usize::MAX));
        Arc::new(Self { stored, recent, end: watch::Sender::new(Tail(0)) })
    }

    /// Commits items in batches of one, two, three and so on.
    fn write(&self, announce: Announce) {
        let (mut next, mut size) = (0, 1);
        while next < ITEMS {
            let end = ITEMS.min(next + size);
            if matches!(announce, Announce::First) {
                self.end.send_modify(|tail| *tail = Tail(end));
                thread::yield_now();
            }
            self.stored.lock().unwrap().extend(next..end);
            thread::yield_now();
            self.recent.push((next..end).map(|item| (item, item, 1)));
            thread::yield_now();
            if matches!(announce, Announce::Last) {
                self.end.send_modify(|tail| *tail = Tail(end));
            }
            (next, size) = (end, size + 1);
            thread::yield_now();
        }
    }

    /// Reads from `place` to the end, as a subscriber does.
    async fn follow(&self, mut place: u64) {
        let mut ends = self.end.subscribe();
        while place < ITEMS {
            let end = beyond(&mut ends, place).await.unwrap().next_seq();
            thread::yield_now();
            let items = self.recent.range(place, end, 3).unwrap_or_else(|| self.read(place, end));
            assert!(!items.is_empty(), "nothing at {place}, though the end is {end}");
            for item in items {
                assert_eq!(item, place, "a gap, a repeat, or a wrong order");
                place += 1;
            }
            assert!(place <= end, "{place} is beyond the announced end {end}");
        }
    }

    fn read(&self, from: u64, end: u64) -> Vec<u64> {
        let stored = self.stored.lock().unwrap();
        stored.iter().copied().filter(|item| (from..end).contains(item)).collect()
    }
}

fn hand_off(announce: Announce) {
    let log = Log::new();
    let followers: Vec<_> = [0, 3, ITEMS - 1]
        .into_iter()
        .map(|place| {
            let log = Arc::clone(&log);
            thread::spawn(move || future::block_on(log.follow(place)))
        })
        .collect();
    log.write(announce);
    for follower in followers {
        follower.join().unwrap();
    }
}

fn run(scheduler: impl Scheduler + 'static, announce: Announce) {
    let mut config = Config::default();
    config.failure_persistence = FailurePersistence::None;
    Runner::new(scheduler, config).run(move || hand_off(announce));
}

#[test]
fn every_follower_gets_every_item_once_and_in_order() {
    run(RandomScheduler::new_from_seed(20_261_125, 3_000), Announce::Last);
    run(PctScheduler::new_from_seed(20_261_125, 3, 3_000), Announce::Last);
}

/// Shows that the test above can fail.
#[test]
#[should_panic(expected = "though the end is")]
fn a_tail_announced_too_early_is_detected() {
    run(RandomScheduler::new_from_seed(1, 1_000), Announce::First);
}
