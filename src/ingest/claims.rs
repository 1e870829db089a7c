//! Claimed times that a document states in fields of their own.

use jiff::civil::Date;

use crate::model::ClaimedTime;

use super::{Guess, quoted, times};

/// Where a claim stands, and what it may be held against.
#[derive(Clone, Copy, Default)]
pub(super) struct Place<'c> {
    /// Where it was found, as it is kept.
    pub(super) found_in: &'static str,
    /// The day that relative words count from.
    pub(super) reference: Option<Date>,
    /// For the time of a change: the time of the publication.
    pub(super) published: Option<&'c ClaimedTime>,
}

/// Reads when data says that an article was published, and changed; empty words say nothing.
pub(super) fn stated_pair(
    [published, modified]: [&str; 2],
    found_in: &'static str,
    guesses: &mut Vec<Guess>,
) -> (Option<ClaimedTime>, Option<ClaimedTime>) {
    let place = Place { found_in, ..Place::default() };
    let mut claim =
        |what, words: &str, place| if words.is_empty() { None } else { stated(what, words, place, guesses) };
    let published = claim("publish time", published, place);
    let modified = claim("modify time", modified, Place { published: published.as_ref(), ..place });
    (published, modified)
}

/// Reads a claim. What was guessed of it, and what isn't understood, is noted as a guess at `what`.
pub(super) fn stated(what: &str, words: &str, place: Place<'_>, guesses: &mut Vec<Guess>) -> Option<ClaimedTime> {
    let claim = times::claimed_change(words, place.reference, place.published, place.found_in);
    if let Some(claim) = claim {
        let value = times::describe(&claim);
        if claim.relative {
            guesses.push(Guess::new(what, value, format!("from {}", quoted(words))));
        } else if times::has_unplaced_clock(words) {
            let why = format!("the time of day in {} has no certain zone", quoted(words));
            guesses.push(Guess::new(what, value, why));
        }
        return Some(claim);
    }
    let dated = times::leading_date(words, place.found_in);
    let value = dated.as_ref().map_or_else(|| "not read".into(), times::describe);
    guesses.push(Guess::new(what, value, format!("{} is not wholly understood", quoted(words))));
    dated
}
