//! The archive compared with a plain model, on random operations.
//!
//! A plan ([`plan`]) is carried out on an archive and on the model ([`naive`], [`rules`]) in parallel ([`run`]). The
//! answers to every operation are compared, and so are all reads ([`reads`]): at each instant of a small observe axis
//! and between those instants, as known below each position of the log, before and after the archive is reopened.
//!
//! A normal run is the same every time. `DATELINE_PROPTEST_CASES=5000 cargo test --release --test it model` runs that
//! many cases of each kind, from a new seed. A failing plan is printed in its smallest form: add it to [`stories`] as a
//! test that says what went wrong.

pub(crate) mod asked;
mod laws;
mod log;
pub(crate) mod naive;
pub(crate) mod parts;
mod place;
pub(crate) mod plan;
pub(crate) mod random;
mod reads;
pub(crate) mod rules;
mod run;
pub(crate) mod shown;
mod stories;

use std::cell::RefCell;
use std::sync::Arc;

use dateline::internals::archive::request::{Operation, WriteMode};
use dateline::internals::clock::ManualClock;
use dateline::internals::store::engine::memory::MemoryEngine;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestError, TestRunner};

use self::place::Place;
use self::run::{Figures, play};
use crate::support;

/// The number of cases requested in the environment, if any.
fn cases_wanted() -> Option<u32> {
    let cases = std::env::var("DATELINE_PROPTEST_CASES").ok()?;
    Some(cases.parse().expect("DATELINE_PROPTEST_CASES is a number"))
}

/// Runs a property on `cases` cases, or as many as the environment requests, and then from a new seed.
fn runner(cases: u32) -> TestRunner {
    let wanted = cases_wanted();
    let rng_seed = if wanted.is_some() { RngSeed::Random } else { RngSeed::Fixed(20_251_102) };
    let cases = wanted.unwrap_or(cases);
    TestRunner::new(Config { cases, rng_seed, failure_persistence: None, ..Config::default() })
}

/// An engine in memory in which random writes have left some tens of changes, always the same.
pub(crate) fn filled() -> MemoryEngine {
    let engine = MemoryEngine::new();
    let archive = Place::Memory(engine.clone()).open(true, &Arc::new(ManualClock::new(support::now())));
    support::block_on(async {
        for operations in batches(40) {
            // Some are rejected, and rejected writes leave no trace.
            drop(archive.write(operations, WriteMode::Commit).await);
        }
        archive.close().await;
    });
    engine
}

/// `count` random batches of operations, always the same.
pub(crate) fn batches(count: usize) -> Vec<Vec<Operation>> {
    operations(runner(1), count)
}

/// `count` random batches of operations, different for each seed.
pub(crate) fn batches_of(seed: u64, count: usize) -> Vec<Vec<Operation>> {
    let rng_seed = RngSeed::Fixed(seed);
    operations(TestRunner::new(Config { rng_seed, failure_persistence: None, ..Config::default() }), count)
}

fn operations(mut runner: TestRunner, count: usize) -> Vec<Vec<Operation>> {
    let batches = random::batch();
    let operations = |write: &plan::Write| asked::operation(write, None);
    let mut batch = || batches.new_tree(&mut runner).unwrap().current().iter().map(operations).collect();
    (0..count).map(|_| batch()).collect()
}

/// Plays random plans, and returns what occurred in them.
fn play_random(cases: u32, steps_max: usize, place: fn() -> Place) -> Figures {
    let total = RefCell::new(Figures::default());
    let result = runner(cases).run(&random::plans(steps_max), |plan| {
        let figures = play(&plan, place()).map_err(TestCaseError::fail)?;
        total.borrow_mut().add(figures);
        Ok(())
    });
    match result {
        Ok(()) => total.into_inner(),
        Err(TestError::Fail(reason, plan)) => panic!("{reason}\n\n{plan:?}\n"),
        Err(TestError::Abort(reason)) => panic!("{reason}"),
    }
}

#[test]
fn an_archive_in_memory_answers_as_the_model_does() {
    let figures = play_random(110, 24, Place::in_memory);
    println!("{figures:?}");
    for event in EVENTS {
        assert!(figures.events.contains_key(event), "{event} never occurred in {figures:?}");
    }
}

#[test]
fn an_archive_on_disk_answers_as_the_model_does() {
    println!("{:?}", play_random(6, 30, Place::on_disk));
}

/// What must occur for the plans to be worthwhile: kinds of change, and reasons of rejections.
const EVENTS: [&str; 30] = [
    "Created",
    "Revised",
    "Sighted",
    "Repeated",
    "RolledBack",
    "Withdrawn",
    "Reinstated",
    "StateRepeated",
    "Aliased",
    "Labelled",
    "LabelsRepeated",
    "Absent",
    "AbsenceRepeated",
    "UrlEnded",
    "UrlBound",
    "UrlsRepeated",
    "replayed",
    "refused: Article",
    "refused: Revision",
    "refused: ArticleExists",
    "refused: RevisionConflict",
    "refused: Withdrawn",
    "refused: RequestIdReused",
    "refused: StateTooEarly",
    "refused: TooManyLabels",
    "refused: Url",
    "refused: UrlTooEarly",
    "refused: UrlElsewhere",
    "refused: StorageFull",
    "refused: StorageFailed",
];
