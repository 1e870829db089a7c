//! That these tests can fail, and that what the engine does for its promises is needed.

use std::time::Duration;

use super::disk::Ignored;
use super::rounds::Cuts;
use crate::check::Fault;
use crate::seed;

/// sled's `flush` syncs nothing that a power cut respects. Take the `sync_data` of `src/store/engine/sled.rs` away, and
/// what was acknowledged is lost.
#[test]
fn without_a_sync_of_our_own_power_cuts_lose_what_was_acknowledged() {
    let cuts =
        Cuts::new(seed("DATELINE_POWER_SEED"), Ignored::DataSyncOfLog).go_on(40, 20, Some(Duration::from_secs(15)));
    let lost = cuts.faults.iter().any(|fault| matches!(fault, Fault::Lost(_) | Fault::NotOpened(_)));
    assert!(lost, "of {} trials {} had faults, and nothing was lost", cuts.trials, cuts.failed);
}
