//! What the killed process does: several writers at once on one archive, for ever.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio::sync::mpsc;

use crate::acknowledged::{Acknowledged, Stamp};
use crate::clock::{WRONG_BY_MICROS_MAX, WrongClock};
use crate::dice::Dice;
use crate::holding;
use crate::writer::Writer;

const WRITERS: u64 = 4;

/// Opens the archive in `directory`, which is made where there is none, and writes to it what `seed` says. Each
/// acknowledgement becomes one line of `told` after it came, with one call of `write`.
///
/// Goes on until it is killed; or, where `DATELINE_CRASH_OPERATIONS` is set, until so many requests were made. Then it
/// closes the archive.
pub(crate) fn run(directory: &Path, seed: u64, told: &mut dyn Write) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let by_micros = i64::try_from(Dice::new(seed).below(2 * WRONG_BY_MICROS_MAX.unsigned_abs())).unwrap();
    let clock = WrongClock { by_micros: by_micros - WRONG_BY_MICROS_MAX };
    let archive = Arc::new(holding::open(directory, Arc::new(clock)).unwrap());
    tell(told, &Acknowledged::Opened { stamp: Stamp::of(&archive.tail()) });

    let (acknowledgements, mut received) = mpsc::channel(64);
    let left = Arc::new(AtomicU64::new(operations()));
    let writers: Vec<_> = (0..WRITERS)
        .map(|number| Writer::new(&archive, (seed, number), &left, &acknowledgements))
        .map(|writer| runtime.spawn(writer.write_on()))
        .collect();
    drop(acknowledgements);
    runtime.block_on(async {
        while let Some(acknowledged) = received.recv().await {
            tell(told, &acknowledged);
        }
        for writer in writers {
            writer.await.unwrap();
        }
        archive.close().await;
    });
}

fn operations() -> u64 {
    std::env::var("DATELINE_CRASH_OPERATIONS").map_or(u64::MAX, |operations| operations.parse().unwrap())
}

fn tell(told: &mut dyn Write, acknowledged: &Acknowledged) {
    let line = acknowledged.line();
    assert_eq!(told.write(&line).unwrap(), line.len(), "a line is told whole");
}
