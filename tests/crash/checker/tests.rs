//! The checker finds what it is to find: it is told what is not so.

use std::path::Path;
use std::sync::Arc;

use dateline::clock::SystemClock;
use tempfile::TempDir;

use super::{Checked, LOST, TORN, check};
use crate::acknowledged::{self, Acknowledged, Answer, Stamp};
use crate::asked::{Step, What, batch_request};
use crate::holding;
use crate::text::Text;

/// An archive to which this was written, each a request of its own, and what was acknowledged.
fn written(requests: Vec<Vec<Step>>) -> (TempDir, Vec<Acknowledged>) {
    let directory = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let told = runtime.block_on(async {
        let archive = holding::open(directory.path(), Arc::new(SystemClock)).unwrap();
        let mut told = Vec::new();
        for steps in requests {
            let operations = steps.iter().map(Step::operation).collect();
            told.push(Acknowledged::written(steps, &archive.write(operations, false).await.unwrap()));
        }
        archive.close().await;
        told
    });
    (directory, told)
}

fn observation(article: u32, request: String) -> Step {
    let text = Text { version: article.into(), kilobytes: 1 };
    let what = What::Observe { text, urls: vec![article], original: Some(text), coalesce_within: 0 };
    Step { article, found: false, at: 1_762_041_600_000_000, request: Some(request), what }
}

fn alone(article: u32) -> Vec<Step> {
    vec![observation(article, format!("alone-{article}"))]
}

/// The first of a batch of so many.
fn batch(present: u32, size: usize) -> Vec<Step> {
    (0..present).zip(0..).map(|(article, index)| observation(article, batch_request("batch", index, size))).collect()
}

fn fault(directory: &Path, told: &[Acknowledged], beginning: &str) {
    let faults = check(directory, told).unwrap_err();
    assert!(faults.iter().any(|fault| fault.starts_with(beginning)), "{faults:#?}");
}

#[test]
fn what_is_well_has_no_faults() {
    // Two of the four came before, at the same time: they confirm nothing new, and have no content to compare.
    let (directory, told) = written(vec![alone(0), batch(2, 2), alone(1)]);
    let checked = Checked { changes: 4, acknowledged: 4, kinds: 2, contents: 2, replays: 2 };
    assert_eq!(check(directory.path(), &told), Ok(checked));
}

#[test]
fn a_lost_acknowledgement_is_found() {
    let (directory, mut told) = written(vec![alone(0)]);
    let Acknowledged::Written { asked, answers, stamp } = &told[0] else { unreachable!() };
    let answers = answers.iter().map(|answer| Answer { seq: Some(1), ..answer.clone() }).collect();
    told.push(Acknowledged::Written { asked: asked.clone(), answers, stamp: *stamp });
    fault(directory.path(), &told, LOST);
}

#[test]
fn a_log_that_lost_its_end_is_found() {
    let (directory, mut told) = written(vec![alone(0)]);
    told.push(Acknowledged::Opened { stamp: Stamp { next_seq: 2, history: [0; 16] } });
    fault(directory.path(), &told, LOST);
}

#[test]
fn a_lost_subscription_is_found() {
    let (directory, mut told) = written(vec![alone(0)]);
    told.push(Acknowledged::Subscribed { id: "reader-0".to_owned(), lease: 1, next_seq: 0 });
    fault(directory.path(), &told, LOST);
}

#[test]
fn a_changed_text_and_original_are_found() {
    let (directory, mut told) = written(vec![alone(0)]);
    let Acknowledged::Written { asked, .. } = &mut told[0] else { unreachable!() };
    let other = Text { version: 7, kilobytes: 1 };
    asked[0].what = What::Observe { text: other, urls: vec![0], original: Some(other), coalesce_within: 0 };
    let at = "sources/gazette/articles/article-0 at 0";
    fault(directory.path(), &told, &format!("{at} has another text"));
    fault(directory.path(), &told, &format!("{at} has another original"));
}

#[test]
fn an_outcome_that_does_not_fit_is_found() {
    let (directory, mut told) = written(vec![alone(0)]);
    let Acknowledged::Written { answers, .. } = &mut told[0] else { unreachable!() };
    answers[0].outcome = acknowledged::Outcome::Unchanged;
    fault(directory.path(), &told, LOST);
}

#[test]
fn a_batch_that_is_half_there_is_found_also_where_nobody_was_told() {
    let (directory, _) = written(vec![batch(2, 3)]);
    fault(directory.path(), &[], TORN);
}

#[test]
fn an_instant_that_was_closed_and_then_written_at_is_found() {
    let (directory, mut told) = written(vec![alone(0), alone(1)]);
    let Acknowledged::Written { stamp, .. } = told[0] else { unreachable!() };
    told.push(Acknowledged::ClosedUntil { archive_time: i64::MAX, stamp });
    fault(directory.path(), &told, "change 1 is archived at or before");
}

#[test]
fn an_archive_that_does_not_open_is_found() {
    let (directory, told) = written(vec![alone(0)]);
    std::fs::write(directory.path().join("VERSION"), "no version").unwrap();
    fault(directory.path(), &told, super::COULD_NOT_OPEN);
}
