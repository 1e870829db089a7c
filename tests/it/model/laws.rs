//! Laws that hold whatever the detailed rules are: checking them needs no model.

use std::sync::Arc;

use dateline::internals::archive::read::article::View;
use dateline::internals::archive::request::{Action, Operation, Outcome, Receipt, WriteMode};
use dateline::internals::archive::{Archive, BatchResult};
use dateline::internals::clock::ManualClock;
use dateline::model::{AsOf, Content, Seq, Timestamp};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::asked::operation;
use super::place::Place;
use super::plan::{Text, To, What, Write};
use super::random;
use super::reads::{Mismatch, instants, same};
use super::run::TICKS;
use super::runner;
use crate::support;

fn archive() -> (Place, Arc<Archive>) {
    let place = Place::in_memory();
    let archive = place.open(true, &Arc::new(ManualClock::new(support::now())));
    (place, archive)
}

/// An observation: tick, content, and the `coalesce_within` of a sighting.
type Sight = (i64, Text, i64);

async fn import(archive: &Archive, sights: &[Sight]) -> Result<Vec<Outcome>, Mismatch> {
    let mut outcomes = Vec::new();
    for (tick, text, coalesce_within) in sights {
        let mut operation = support::observe(&support::article(0), support::at(2 * tick), *text);
        if let Action::Observe(observation) = &mut operation.action {
            observation.coalesce_within_micros = *coalesce_within;
        }
        let written =
            archive.write(vec![operation], WriteMode::Commit).await.map_err(|failed| failed.error.to_string())?;
        outcomes.extend(written.iter().map(|written| written.outcome));
    }
    Ok(outcomes)
}

/// What the article said at an instant, since when, and until when.
type Said = (Option<Arc<Content>>, Timestamp, Option<Timestamp>);

async fn history(archive: &Archive) -> Result<Vec<Option<Said>>, Mismatch> {
    let newest = archive.read_point(AsOf::default(), Seq::ZERO).await.map_err(|error| error.to_string())?;
    let mut said = Vec::new();
    for observe_time in instants(TICKS) {
        let point = dateline::internals::archive::ReadPoint { observe_time, ..newest };
        let read = archive.articles(point, vec![support::article(0)], View::Full).await;
        let read = read.map_err(|error| error.to_string())?.into_iter().flatten().next();
        said.push(read.map(|read| (read.revision.content, read.valid_from, read.valid_until)));
    }
    Ok(said)
}

/// Contents by tick, in order and shuffled.
fn arrivals() -> impl Strategy<Value = (Vec<Sight>, Vec<Sight>)> {
    let contents = proptest::collection::btree_map(0..=TICKS, random::text(), 1..=7);
    let in_order = contents.prop_map(|contents| contents.into_iter().map(|(tick, text)| (tick, text, 0)).collect());
    in_order.prop_flat_map(|in_order: Vec<Sight>| (Just(in_order.clone()), Just(in_order).prop_shuffle()))
}

/// The same observations give the same content at every instant, whatever the order in which they arrive.
#[test]
fn the_order_of_arrival_does_not_change_what_was_said() {
    let result = runner(150).run(&arrivals(), |(in_order, shuffled)| {
        let outcome: Result<(), Mismatch> = support::block_on(async {
            let ((_first, first), (_second, second)) = (archive(), archive());
            import(&first, &in_order).await?;
            import(&second, &shuffled).await?;
            // Only the contents are compared: a run's limits may depend on the order of arrival.
            let contents = |said: Vec<Option<Said>>| said.into_iter().map(|said| said.map(|said| said.0)).collect();
            let (first, second): (Vec<_>, Vec<_>) =
                (contents(history(&first).await?), contents(history(&second).await?));
            same(|| "what was said".to_owned(), second, first)
        });
        outcome.map_err(TestCaseError::fail)
    });
    result.unwrap();
}

fn sights() -> impl Strategy<Value = Vec<Sight>> {
    proptest::collection::vec((0..=TICKS, random::text(), Just(0_i64)), 1..12)
}

/// Observations in the order of time, at different instants, some of which are to be coalesced.
fn sights_in_order() -> impl Strategy<Value = Vec<Sight>> {
    let sights = proptest::collection::btree_map(0..=TICKS, (random::text(), 0..6_i64), 1..=7);
    sights.prop_map(|sights| sights.into_iter().map(|(tick, (text, within))| (tick, text, within)).collect())
}

/// Importing the same observations a second time writes nothing: in any order and with several observations at one
/// instant, or, if sightings are coalesced, in the order of time.
#[test]
fn an_import_that_runs_twice_writes_nothing_the_second_time() {
    let result = runner(150).run(&prop_oneof![sights(), sights_in_order()], |sights| {
        let outcome: Result<(), Mismatch> = support::block_on(async {
            let (_place, archive) = archive();
            import(&archive, &sights).await?;
            let (tail, said) = (archive.tail(), history(&archive).await?);
            let again = import(&archive, &sights).await?;
            same(|| "the outcomes".to_owned(), again, vec![Outcome::Unchanged; sights.len()])?;
            same(|| "the tail".to_owned(), archive.tail(), tail)?;
            same(|| "what was said".to_owned(), history(&archive).await?, said)
        });
        outcome.map_err(TestCaseError::fail)
    });
    result.unwrap();
}

/// For each write its outcome, the revision in force, and the change that created it; or which write was rejected, and
/// why.
type Told = Result<Vec<(Outcome, u32, u64)>, (Option<usize>, String)>;

fn told(answer: &BatchResult) -> Told {
    let told = |written: &Receipt| (written.outcome, written.revision.get(), written.created_by.seq.0);
    match answer {
        Ok(written) => Ok(written.iter().map(told).collect()),
        Err(failed) => Err((failed.failed_item, failed.error.to_string())),
    }
}

fn batches() -> impl Strategy<Value = Vec<Vec<Write>>> {
    let named = |write: &Write| matches!(write.to, To::Article(_)) && !matches!(write.what, What::Rollback(4..));
    proptest::collection::vec(proptest::collection::vec(random::write().prop_filter("named", named), 1..4), 1..12)
}

/// A validated batch has the outcome of a real one, and neither it nor a rejected batch leaves a trace.
#[test]
fn validated_and_rejected_batches_write_nothing() {
    let result = runner(100).run(&batches(), |batches| {
        let outcome: Result<(), Mismatch> = support::block_on(async {
            let (_place, archive) = archive();
            for batch in &batches {
                let operations: Vec<Operation> = batch.iter().map(|write| operation(write, None)).collect();
                let state = async || (archive.tail(), archive.article_count(), archive.disk_bytes().await.unwrap());
                let before = state().await;
                let validated = archive.write(operations.clone(), WriteMode::Validate).await;
                same(|| format!("after validating {batch:?}"), state().await, before)?;
                let written = archive.write(operations, WriteMode::Commit).await;
                same(|| format!("the answer to {batch:?}"), told(&validated), told(&written))?;
                if written.is_err() {
                    same(|| format!("after rejecting {batch:?}"), state().await, before)?;
                }
            }
            Ok(())
        });
        outcome.map_err(TestCaseError::fail)
    });
    result.unwrap();
}
