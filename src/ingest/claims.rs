//! Reads claimed times that a document states in dedicated fields.

use jiff::civil::Date;

use crate::model::ClaimedTime;

use super::{Guess, quoted, times};

/// Where a claim was found, and what it can be checked against.
#[derive(Clone, Copy, Default)]
pub(super) struct ClaimContext<'c> {
    /// The part of the document that states the claim, as recorded in the claim.
    pub(super) found_in: &'static str,
    /// The day that relative times count from.
    pub(super) reference: Option<Date>,
    /// The publication time, if the claim is a modification time.
    pub(super) published: Option<&'c ClaimedTime>,
}

/// Reads the publication and modification times from a data format. Empty words mean that there is no claim.
pub(super) fn stated_pair(
    [published, modified]: [&str; 2],
    found_in: &'static str,
    guesses: &mut Vec<Guess>,
) -> (Option<ClaimedTime>, Option<ClaimedTime>) {
    let context = ClaimContext { found_in, ..ClaimContext::default() };
    let mut claim =
        |what, words: &str, context| if words.is_empty() { None } else { stated(what, words, context, guesses) };
    let published = claim("publish time", published, context);
    let modified = claim("modify time", modified, ClaimContext { published: published.as_ref(), ..context });
    (published, modified)
}

/// Reads a claim. If only a date at the start of the words is understood, the claim is that date. Anything that had to
/// be guessed or was not understood is noted as a guess about `what`.
pub(super) fn stated(
    what: &str,
    words: &str,
    context: ClaimContext<'_>,
    guesses: &mut Vec<Guess>,
) -> Option<ClaimedTime> {
    let claim = times::claimed_change(words, context.reference, context.published, context.found_in);
    if let Some(claim) = claim {
        let value = times::describe(&claim);
        if claim.relative {
            guesses.push(Guess::new(what, value, format!("from {}", quoted(words))));
        } else if times::has_unplaced_clock(words) {
            let why = format!("the time of day in {} has no unambiguous zone", quoted(words));
            guesses.push(Guess::new(what, value, why));
        }
        return Some(claim);
    }
    let date_only = times::leading_date(words, context.found_in);
    let value = date_only.as_ref().map_or_else(|| "not read".into(), times::describe);
    guesses.push(Guess::new(what, value, format!("{} is not fully understood", quoted(words))));
    date_only
}
