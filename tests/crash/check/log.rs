//! The log on its own: nothing is missing from it, and each change follows from the one before.

use dateline::internals::store::record;
use dateline::model::{Change, Timestamp};
use sha2::{Digest, Sha256};

use super::Fault;
use super::found::{Found, LOG_DIGEST_BYTES};

/// Violations of the rules in docs/FORMAT.md.
pub(super) fn log_holds(found: &Found) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut fault = |text: String| faults.push(Fault::Broken(text));
    let mut log_digest = short(Sha256::new().chain_update(b"dateline archive 1\n").chain_update(found.id));
    let mut last: Option<&Change> = None;
    for (seq, change) in (0_u64..).zip(&found.log) {
        if change.seq.0 != seq {
            fault(format!("the feed has {} where {seq} is expected", change.seq));
            return faults;
        }
        log_digest = after(log_digest, change);
        if change.log_digest.0 != log_digest {
            fault(format!("the log digest at {seq} does not follow from the one before it"));
            return faults;
        }
        if let Err(reason) = batch_holds(last, change) {
            fault(format!("at {seq}: {reason}"));
        }
        if let Some(previous) = change.entry.previous
            && found.log.get(usize::try_from(previous.0).unwrap()).is_none_or(|at| at.entry.name != change.entry.name)
        {
            fault(format!("{seq} names {previous} as the article's previous change, which belongs to another article"));
        }
        last = Some(change);
    }
    let end = found.log.len() as u64;
    if (found.tail.next_seq.0, found.tail.log_digest.0) != (end, log_digest) {
        fault(format!("the log ends at {end}, but the archive reports the tail {:?}", found.tail));
    }
    if found.tail.archive_time != last.map(|last| last.entry.archive_time) {
        fault(format!("the last change and the tail have different archive times: {:?}", found.tail));
    }
    faults
}

/// `log_digest(n + 1)`, as defined in docs/PROOF.md.
fn after(log_digest: [u8; 16], change: &Change) -> [u8; 16] {
    let leaf = record::encode(change.seq, dateline::model::LogDigest(log_digest), &change.entry).leaf;
    short(Sha256::new().chain_update(b"dateline change 2\n").chain_update(log_digest).chain_update(leaf.0))
}

fn short(hasher: Sha256) -> [u8; 16] {
    let whole: [u8; 32] = hasher.finalize().into();
    whole[..LOG_DIGEST_BYTES].try_into().unwrap()
}

/// Checks that each batch is a run of positions with one archive time, and that archive times never decrease.
fn batch_holds(last: Option<&Change>, change: &Change) -> Result<(), String> {
    let starts = change.entry.batch_first == change.seq;
    let Some(last) = last else {
        return if starts { Ok(()) } else { Err("the first change belongs to an earlier batch".to_owned()) };
    };
    let (time, time_before): (Timestamp, Timestamp) = (change.entry.archive_time, last.entry.archive_time);
    match (starts, last.entry.batch_first == change.entry.batch_first) {
        (true, false) if time >= time_before => Ok(()),
        (false, true) if time == time_before => Ok(()),
        (true, false) => Err(format!("archive time {time} follows {time_before}")),
        (false, true) => Err(format!("one batch has two archive times, {time_before} and {time}")),
        _ => Err(format!("its batch begins at {}", change.entry.batch_first)),
    }
}
