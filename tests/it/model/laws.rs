//! Laws that hold whatever the detailed rules are: checking them needs no model.

use std::sync::Arc;

use dateline::internals::archive::read::article::View;
use dateline::internals::archive::request::{
    AbsenceLookRequest, Action, ArticleTarget, Operation, Outcome, Receipt, WriteMode,
};
use dateline::internals::archive::{Archive, BatchResult};
use dateline::internals::clock::ManualClock;
use dateline::model::{AbsenceRun, ArticleState, AsOf, Content, Seq, Timestamp};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::asked::{look, operation};
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
type Said = (Option<Content>, Timestamp, Option<Timestamp>);

async fn history(archive: &Archive) -> Result<Vec<Option<Said>>, Mismatch> {
    let newest = archive.read_point(AsOf::default(), Seq::ZERO).await.map_err(|error| error.to_string())?;
    let mut said = Vec::new();
    for observe_time in instants(TICKS) {
        let point = dateline::internals::archive::ReadPoint { observe_time, ..newest };
        let read = archive.articles(point, vec![support::article(0)], View::Full).await;
        let read = read.map_err(|error| error.to_string())?.into_iter().flatten().next();
        said.push(read.map(|read| (read.revision.content(), read.valid_from, read.valid_until)));
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

/// A look: the content that was found, or how many absences in a row make the article gone.
type Look = (i64, Result<Text, u32>);

/// The state at each instant, and since when the page is missing.
async fn states(
    archive: &Archive,
    looks: &[Look],
) -> Result<Vec<Option<(ArticleState, Option<AbsenceRun>)>>, Mismatch> {
    for (tick, found) in looks {
        let name = support::article(0);
        let operation = match found {
            Ok(text) => support::observe(&name, support::at(2 * tick), *text),
            Err(gone_after) => {
                let request = AbsenceLookRequest { look: look(0, *gone_after), fetch: None, coalesce_within_micros: 0 };
                let action = Action::Absent(Box::new(request));
                support::operation(ArticleTarget::Named(name), support::at(2 * tick), action)
            }
        };
        archive.write(vec![operation], WriteMode::Commit).await.map_err(|failed| failed.error.to_string())?;
    }
    let newest = archive.read_point(AsOf::default(), Seq::ZERO).await.map_err(|error| error.to_string())?;
    let mut states = Vec::new();
    for observe_time in instants(TICKS) {
        let point = dateline::internals::archive::ReadPoint { observe_time, ..newest };
        let read = archive.articles(point, vec![support::article(0)], View::Basic).await;
        let read = read.map_err(|error| error.to_string())?.into_iter().flatten().next();
        states.push(read.map(|read| (read.article_state(), read.absence.map(|absence| absence.run))));
    }
    Ok(states)
}

/// Looks by tick, in order and shuffled. The first is always the same observation: a page that was never seen cannot be
/// missing.
fn looks() -> impl Strategy<Value = (Vec<Look>, Vec<Look>)> {
    let found = prop_oneof![1 => random::text().prop_map(Ok), 2 => (1..4_u32).prop_map(Err)];
    let looks = proptest::collection::btree_map(1..=TICKS, found, 1..=6);
    let looks = looks.prop_map(|looks| looks.into_iter().collect::<Vec<Look>>());
    let shuffled = looks.prop_flat_map(|looks| (Just(looks.clone()), Just(looks).prop_shuffle()));
    shuffled.prop_map(|(in_order, shuffled)| {
        let first = || std::iter::once((0, Ok(Text(0))));
        (first().chain(in_order).collect(), first().chain(shuffled).collect())
    })
}

/// The same looks give the same state at every instant, whatever the order in which they arrive.
#[test]
fn the_order_of_arrival_does_not_change_when_an_article_was_gone() {
    let result = runner(150).run(&looks(), |(in_order, shuffled)| {
        let outcome: Result<(), Mismatch> = support::block_on(async {
            let ((_first, first), (_second, second)) = (archive(), archive());
            same(|| "the states".to_owned(), states(&second, &shuffled).await?, states(&first, &in_order).await?)
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
