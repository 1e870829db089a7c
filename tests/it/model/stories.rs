//! Plans that once failed, in their smallest form, and what went wrong.

use super::place::Place;
use super::plan::{Plan, Step, Text, What, Write, act, observe};
use super::run::play;

const A: Text = Text(0);
const B: Text = Text(1);

/// Plays the steps with and without caches, on an archive in memory.
fn tell(steps: &[Step]) {
    for caches in [true, false] {
        let plan = Plan { caches, steps: steps.to_vec() };
        play(&plan, Place::in_memory()).unwrap_or_else(|mismatch| panic!("{plan:?}\n{mismatch}"));
    }
}

/// Single writes, one after the other.
fn written(writes: impl IntoIterator<Item = Write>) -> Vec<Step> {
    writes.into_iter().map(|write| Step::Write(vec![write])).collect()
}

/// Content and state are two independent step functions: each has its own late arrivals, and neither moves the other.
#[test]
fn late_withdrawals_and_late_observations_are_independent() {
    tell(&written([
        observe(0, 0, A),
        observe(0, 8, B),
        act(0, 6, What::Reinstate(0)),
        act(0, 4, What::Withdraw(1)),
        observe(0, 2, B),
        act(0, 4, What::Rollback(1)),
        act(0, 6, What::Rollback(1)),
    ]));
}

/// The article is withdrawn and reinstated at one instant, such as the end of a day. An import of the same two changes
/// compared each with the last one at that instant only, and so recorded both again, each time.
#[test]
fn the_same_state_changes_at_one_instant_are_recorded_once() {
    let both = [act(0, 4, What::Withdraw(0)), act(0, 4, What::Reinstate(1))];
    let writes = [observe(0, 0, A)].into_iter().chain(both.clone()).chain(both);
    let mut steps = written(writes);
    steps.push(Step::Write(vec![act(0, 6, What::Withdraw(2))]));
    tell(&steps);
}

/// The head on disk may be a commit ahead of what is durable. A read of the newest state then treated the article as
/// changed since, and returned no etag. A client that wrote back what it had read, with that etag, would have written
/// without a precondition.
#[test]
fn the_newest_state_has_its_etag_during_a_commit() {
    let mut steps = written([observe(0, 0, A)]);
    steps.push(Step::Burst(vec![vec![observe(0, 2, B)], vec![observe(0, 4, A)]]));
    tell(&steps);
}

/// B was observed at 2, and then, late, also at 0. The list of revisions as of 0 went by the observation that created
/// the revision, and was empty, although the article as of 0 said B.
#[test]
fn a_revision_is_listed_from_its_earliest_observation_on() {
    tell(&written([observe(0, 2, B), observe(0, 0, B)]));
}

/// A is in force from 0, B from 2, and A again from 4, so the last change is from B to A. The comparison looked for the
/// revision before A's first recorded observation instead, whichever of the two runs that was in.
#[test]
fn a_state_is_compared_with_what_was_in_force_before_it() {
    tell(&written([observe(0, 0, A), observe(0, 4, A), observe(0, 2, B)]));
    tell(&written([observe(0, 4, A), observe(0, 0, A), observe(0, 2, B)]));
}

/// A, B and A again were observed at one instant, the last with a request id. The log said that the third found B,
/// which was in force.
#[test]
fn a_repeated_observation_at_a_tie_is_logged_with_the_content_that_it_found() {
    let again = Write { request: Some(0), ..observe(0, 0, A) };
    tell(&written([observe(0, 0, A), observe(0, 0, B), again]));
    let what =
        What::Observe { text: A, urls: vec![1], original: None, fetch: None, labels: vec![], coalesce_within: 0 };
    tell(&written([observe(0, 0, A), observe(0, 0, B), Write { what, ..observe(0, 0, A) }]));
}

/// A URL was moved from the first instant at which it led to an article. What the index had of it depended on the other
/// article's entries, and so was reported as damaged by a verification, which goes through the changes of one article
/// at a time.
#[test]
fn the_entries_of_an_address_follow_from_the_changes_of_one_article() {
    let moved = |article, at| act(article, at, What::Move { url: 0, from: None, reason: 0 });
    tell(&written([observe(1, 0, B), observe(0, 0, A), moved(0, 0), moved(1, 4), moved(0, 2)]));
}

/// The end of an address is repeated by an import after observations at it: the observation that was recorded before
/// the end must not begin the address again.
#[test]
fn an_import_that_runs_twice_does_not_undo_the_end_of_an_address() {
    let end = || act(1, 2, What::End { url: 0, reason: 0 });
    let all = || [observe(1, 0, B), observe(1, 4, B), end()];
    tell(&written(all().into_iter().chain(all())));
}

/// A URL was moved on and back at one instant, and moved away once more. The end at that instant had been recorded, so it
/// was not carried out, and the move failed.
#[test]
fn an_address_can_be_moved_more_than_once_at_one_instant() {
    let moved = |article| act(article, 4, What::Move { url: 0, from: None, reason: 0 });
    let seen = [observe(1, 0, B), observe(0, 0, A), observe(2, 0, A)];
    tell(&written(seen.into_iter().chain([moved(0), moved(1), moved(2), moved(0)])));
}
