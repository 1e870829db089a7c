//! Holds what an archive has after a crash against what was told before it.
//!
//! The log is read by the feed and checked by itself ([`log`]). What was acknowledged is looked for in it, and so is what
//! was asked and never answered, which is there whole or not at all ([`acknowledged`], [`whole`], [`subscribed`]). Requests
//! are made again ([`again`]). All else the archive answers must follow from the log by a model that is as plain as can be ([`reads`]).

mod acknowledged;
mod again;
mod finds;
mod found;
mod jobs;
mod log;
mod naive;
mod reads;
mod subscribed;
mod whole;

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use dateline::archive::Archive;
use dateline::archive::recover::verify::{Event, Summary};

use self::found::Found;
use crate::dice::Dice;
use crate::told::Line;

/// What is not as it was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Something acknowledged is gone.
    Lost(String),
    /// A part of what belongs together is there.
    Torn(String),
    /// Something is there, and is not what was asked or answered.
    Changed(String),
    /// The log does not hold together, or what the archive answers does not follow from it.
    Broken(String),
    /// The archive does not open.
    NotOpened(String),
}

/// How many faults of each kind there are, in words.
pub(crate) fn counted(faults: &[Fault]) -> String {
    let count = |is: fn(&Fault) -> bool| faults.iter().filter(|fault| is(fault)).count();
    format!(
        "lost: {}; torn: {}; changed: {}; other faults: {}; failed openings: {}",
        count(|fault| matches!(fault, Fault::Lost(_))),
        count(|fault| matches!(fault, Fault::Torn(_))),
        count(|fault| matches!(fault, Fault::Changed(_))),
        count(|fault| matches!(fault, Fault::Broken(_))),
        count(|fault| matches!(fault, Fault::NotOpened(_))),
    )
}

/// What was checked, and what was found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Verdict {
    /// Operations that were acknowledged and are there.
    pub(crate) acknowledged: u64,
    /// Reads that were compared.
    pub(crate) reads: u64,
    /// The end of the log.
    pub(crate) tail: u64,
    pub(crate) faults: Vec<Fault>,
}

/// How much of what has not changed since it was last checked is checked again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Care {
    /// Contents below this position were read before; a few are read again.
    pub(crate) read_before: u64,
    /// Whether the archive verifies itself.
    pub(crate) verifies: bool,
}

impl Care {
    /// Everything is looked at.
    pub(crate) const ALL: Self = Self { read_before: 0, verifies: true };
}

/// Checks an archive that was opened after a crash.
pub(crate) async fn examine(archive: &Archive, told: &[Line], care: Care, dice: &mut Dice) -> Verdict {
    let mut verdict = Verdict { tail: archive.tail().next_seq.0, ..Verdict::default() };
    let found = match Found::read(archive, care.read_before, dice).await {
        Ok(found) => found,
        Err(reason) => {
            verdict.faults.push(Fault::Broken(reason));
            return verdict;
        }
    };
    judge(told, &found, &mut verdict);
    verdict.faults.extend(again::requests_are_answered_again(archive, told, care.read_before, dice).await);
    verdict.faults.extend(again::what_was_known_still_is(archive, told).await);
    reads::reads_follow(archive, &found, dice, &mut verdict).await;
    if care.verifies {
        verdict.faults.extend(indexes_agree_with_log(archive).await);
    }
    verdict
}

/// What can be told from what was read alone.
fn judge(told: &[Line], found: &Found, verdict: &mut Verdict) {
    verdict.faults.extend(log::log_holds(found));
    acknowledged::acknowledged_is_there(told, found, verdict);
    verdict.faults.extend(subscribed::subscriptions_are_there(told, found));
}

/// The archive's own verification finds nothing.
async fn indexes_agree_with_log(archive: &Archive) -> Vec<Fault> {
    let findings = Arc::new(Mutex::new(Vec::new()));
    let finding = Arc::clone(&findings);
    let summary = archive.verify(move |event| {
        if let Event::Finding(found) = event {
            finding.lock().unwrap().push(Fault::Broken(format!("verify: {found:?}")));
        }
        ControlFlow::Continue(())
    });
    match summary.await {
        Ok(Some(Summary { findings: 0, .. })) => Vec::new(),
        Ok(_) => std::mem::take(&mut findings.lock().unwrap()),
        Err(error) => vec![Fault::Broken(format!("verify: {error}"))],
    }
}
