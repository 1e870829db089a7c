//! Counts observations by outcome: created an article, revised one, or left it unchanged; and looks that found nothing.

use std::fmt;

use crate::wire::pb::ObservationOutcome;

/// Counts of observations by outcome.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Outcomes {
    created: u64,
    revised: u64,
    pub(super) unchanged: u64,
    /// Pages of archived articles that are missing.
    pub(super) missing: u64,
}

impl Outcomes {
    pub(super) fn add(&mut self, outcome: ObservationOutcome) {
        match outcome {
            ObservationOutcome::Created => self.created += 1,
            ObservationOutcome::Revised => self.revised += 1,
            ObservationOutcome::Unchanged | ObservationOutcome::Unspecified => self.unchanged += 1,
        }
    }

    pub(super) fn total(self) -> u64 {
        self.created + self.revised + self.unchanged + self.missing
    }
}

/// Formats the counts as `3 created, 1 revised, 7 unchanged`, and `, 2 missing` if any were.
impl fmt::Display for Outcomes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { created, revised, unchanged, missing } = self;
        write!(f, "{created} created, {revised} revised, {unchanged} unchanged")?;
        if *missing > 0 { write!(f, ", {missing} missing") } else { Ok(()) }
    }
}
