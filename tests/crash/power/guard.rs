//! Shows that these tests can fail, and that the sync of the write-ahead log is needed.

use std::time::Duration;

use super::disk::Ignored;
use super::rounds::Cuts;
use crate::check::Fault;
use crate::seed;

/// Without the `sync_data` in `src/store/engine/wal/mod.rs`, acknowledged writes are lost.
#[test]
fn without_the_sync_of_the_log_power_cuts_lose_acknowledged_writes() {
    let cuts =
        Cuts::new(seed("DATELINE_POWER_SEED"), Ignored::DataSyncOfLog).go_on(40, 20, Some(Duration::from_secs(15)));
    let lost = cuts.faults.iter().any(|fault| matches!(fault, Fault::Lost(_) | Fault::NotOpened(_)));
    assert!(lost, "of {} trials, {} had faults, but nothing was lost", cuts.trials, cuts.failed);
}
