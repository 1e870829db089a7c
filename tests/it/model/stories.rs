//! Plans that failed once, in their smallest form, and what went wrong.

use super::place::Place;
use super::plan::{Plan, Step, Text, What, Write, act, observe};
use super::run::play;

const A: Text = Text(0);
const B: Text = Text(1);

/// Plays the steps with caches and without, on an archive in memory.
fn tell(steps: &[Step]) {
    for caches in [true, false] {
        let plan = Plan { caches, steps: steps.to_vec() };
        play(&plan, Place::in_memory()).unwrap_or_else(|mismatch| panic!("{plan:?}\n{mismatch}"));
    }
}

/// Writes one after the other, each on its own.
fn written(writes: impl IntoIterator<Item = Write>) -> Vec<Step> {
    writes.into_iter().map(|write| Step::Write(vec![write])).collect()
}

/// Content and state are two step functions: each follows its own late arrivals, and neither moves the other.
#[test]
fn a_late_withdrawal_and_a_late_text_each_find_their_place() {
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

/// The head on disk is a commit ahead of what is durable. A read of the newest state took an article with a change
/// under way for one that has moved on, and gave no etag; a client that writes back what it read, with the etag it was
/// given, would then have written without a precondition.
#[test]
fn the_newest_state_has_its_etag_while_a_commit_is_under_way() {
    let mut steps = written([observe(0, 0, A)]);
    steps.push(Step::Burst(vec![vec![observe(0, 2, B)], vec![observe(0, 4, A)]]));
    tell(&steps);
}

/// B was seen at 2, and later it became known that it had been there at 0 already. The list of revisions as of 0 went
/// by the observation that made the revision, and was empty, while the article read as of 0 said B.
#[test]
fn a_revision_that_was_live_earlier_than_known_is_listed_as_of_then() {
    tell(&written([observe(0, 2, B), observe(0, 0, B)]));
}

/// A is in force from 0, B from 2, and A again from 4. What changed last is B to A; but the comparison looked for what
/// was in force before A's first observation by arrival, whichever of its two runs that was in.
#[test]
fn a_state_is_compared_with_what_was_in_force_before_it() {
    tell(&written([observe(0, 0, A), observe(0, 4, A), observe(0, 2, B)]));
    tell(&written([observe(0, 4, A), observe(0, 0, A), observe(0, 2, B)]));
}

/// A, B and A again at one instant, the last with a request id. The log said that the third found B, which was in
/// force.
#[test]
fn a_repeated_observation_at_a_tie_is_logged_with_the_content_that_it_found() {
    let again = Write { request: Some(0), ..observe(0, 0, A) };
    tell(&written([observe(0, 0, A), observe(0, 0, B), again]));
    let what = What::Observe { text: A, urls: vec![1], original: None, fetch: None, coalesce_within: 0 };
    tell(&written([observe(0, 0, A), observe(0, 0, B), Write { what, ..observe(0, 0, A) }]));
}
