//! Compares an archive after a crash with what its child process reported before.
//!
//! The log is read through the feed and checked on its own ([`log`]). Everything acknowledged must be in it; a request
//! without a reply must be there completely or not at all ([`acknowledged`], [`whole`], [`subscribed`]). Requests are
//! repeated ([`again`]). All other answers of the archive must follow from the log by a deliberately simple model
//! ([`reads`]).

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

use dateline::internals::archive::Archive;
use dateline::internals::archive::recover::verify::{Event, Summary};

use self::found::Found;
use crate::dice::Dice;
use crate::told::Line;

/// A disagreement between the archive and the child's reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Something acknowledged is missing.
    Lost(String),
    /// Only a part of something atomic is there.
    Torn(String),
    /// Something is there that differs from the request or the reply.
    Changed(String),
    /// The log is inconsistent, or an answer of the archive does not follow from it.
    Broken(String),
    /// The archive does not open.
    NotOpened(String),
}

/// The number of faults of each kind, as text.
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

/// What was checked, and the faults that were found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Verdict {
    /// Acknowledged operations that were found.
    pub(crate) acknowledged: u64,
    /// Reads that were compared with the model.
    pub(crate) reads: u64,
    /// The end of the log.
    pub(crate) tail: u64,
    pub(crate) faults: Vec<Fault>,
}

/// How much unchanged data is checked again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Care {
    /// Contents below this position were read by an earlier check; only a few of them are read again.
    pub(crate) read_before: u64,
    /// Whether the archive's own verification runs.
    pub(crate) verifies: bool,
}

impl Care {
    /// Checks everything.
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

/// The checks that need nothing but what was read already.
fn judge(told: &[Line], found: &Found, verdict: &mut Verdict) {
    verdict.faults.extend(log::log_holds(found));
    acknowledged::acknowledged_is_there(told, found, verdict);
    verdict.faults.extend(subscribed::subscriptions_are_there(told, found));
}

/// Checks that the archive's own verification reports no findings.
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
