//! Shows that these tests can fail, and that the engine's own sync is needed.

use std::time::Duration;

use super::disk::Ignored;
use super::rounds::Cuts;
use crate::check::Fault;
use crate::seed;

/// A power cut ignores what sled's `flush` syncs. Without the `sync_data` in `src/store/engine/sled.rs`, acknowledged
/// writes are lost.
#[test]
fn without_our_own_sync_power_cuts_lose_acknowledged_writes() {
    let cuts =
        Cuts::new(seed("DATELINE_POWER_SEED"), Ignored::DataSyncOfLog).go_on(40, 20, Some(Duration::from_secs(15)));
    let lost = cuts.faults.iter().any(|fault| matches!(fault, Fault::Lost(_) | Fault::NotOpened(_)));
    assert!(lost, "of {} trials, {} had faults, but nothing was lost", cuts.trials, cuts.failed);
}
