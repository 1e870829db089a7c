//! The witnesses of a log, and what each of them said last. Who asks them, and how, is not known here.

use std::sync::{Mutex, PoisonError};

use url::Url;

use crate::model::Timestamp;
use crate::proof::VerifierKey;
use crate::wire::{pb, timestamp_to_pb};

/// A witness: it cosigns a checkpoint if it continues the one that it cosigned before.
#[derive(Debug)]
pub struct Witness {
    url: Url,
    key: VerifierKey,
    state: Mutex<WitnessState>,
}

#[derive(Clone, Debug, Default)]
struct WitnessState {
    /// The size of the largest tree that it has cosigned for this process, and when.
    cosigned: Option<(u64, Timestamp)>,
    /// Why the last attempt failed; `None` if it did not.
    error: Option<String>,
    cosigned_count: u64,
    failed_count: u64,
}

/// What a witness has done since the server started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WitnessStats {
    /// The size of the largest tree that it has cosigned, and when.
    pub cosigned: Option<(u64, Timestamp)>,
    /// How many checkpoints it has cosigned.
    pub cosigned_count: u64,
    /// How often it did not, or could not be asked.
    pub failed_count: u64,
}

impl Witness {
    /// A witness that has not been asked yet. `url` is where it takes checkpoints.
    pub fn new(url: Url, key: VerifierKey) -> Self {
        Self { url, key, state: Mutex::default() }
    }

    /// Where it takes checkpoints.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The key that checks its cosignatures.
    pub fn key(&self) -> &VerifierKey {
        &self.key
    }

    /// What it has done.
    pub fn stats(&self) -> WitnessStats {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let WitnessState { cosigned, cosigned_count, failed_count, .. } = *state;
        WitnessStats { cosigned, cosigned_count, failed_count }
    }

    /// Notes that it has cosigned a tree of this size.
    pub(super) fn cosigned(&self, size: u64, time: Timestamp) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        (state.cosigned, state.error) = (Some((size, time)), None);
        state.cosigned_count += 1;
    }

    /// Notes that it has not cosigned what it was asked to, and why. The first failure after a success is logged.
    pub fn failed(&self, error: &dyn std::fmt::Display) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.error.is_none() {
            tracing::warn!(witness = self.key.name(), url = %self.url, %error, "a witness did not cosign a checkpoint");
        }
        state.error = Some(error.to_string());
        state.failed_count += 1;
    }
}

impl From<&Witness> for pb::WitnessStatus {
    fn from(witness: &Witness) -> Self {
        let WitnessState { cosigned, error, .. } = witness.state.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Self {
            name: witness.key.name().to_owned(),
            url: witness.url.to_string(),
            cosigned_tree_size: cosigned.map_or(0, |(size, _)| size),
            cosign_time: cosigned.map(|(_, time)| timestamp_to_pb(time)),
            error: error.unwrap_or_default(),
        }
    }
}
