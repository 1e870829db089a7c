//! When each principal last called. It is kept in a file of its own once a minute, so that a restart does not make tokens in
//! use look unused, and calls do not wait for the disk.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::model::{PrincipalName, Timestamp};
use crate::store::engine::own_file;

/// The name of the file in the archive's directory.
const FILE: &str = "last-used.json";
/// How often the file is written if there is something new, in microseconds.
const KEPT_EVERY_MICROS: i64 = 60_000_000;
/// The longest file that is read, in bytes.
const BYTES_MAX: u64 = 16 << 20;

#[derive(Debug)]
pub(super) struct LastUsed {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    times: BTreeMap<PrincipalName, Timestamp>,
    /// When the file was last written.
    kept: Option<Timestamp>,
    is_kept: bool,
}

impl LastUsed {
    /// Reads the file of the archive in `directory`. What cannot be read of it is as if it had never been kept: it is no
    /// reason for a server not to start.
    pub(super) fn open(directory: &Path) -> Self {
        let path = directory.join(FILE);
        let times = match read(&path) {
            Ok(times) => times,
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => {
                tracing::warn!(%error, path = %path.display(), "when principals last called could not be read");
                BTreeMap::new()
            }
        };
        Self { path, state: Mutex::new(State { times, kept: None, is_kept: true }) }
    }

    pub(super) fn note(&self, name: &PrincipalName, now: Timestamp) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.is_kept = false;
        match state.times.get_mut(name) {
            Some(time) => *time = now,
            None => drop(state.times.insert(name.clone(), now)),
        }
    }

    /// Forgets a principal, so that another one of the same name has not called yet.
    pub(super) fn forget(&self, name: &PrincipalName) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.times.remove(name).is_some() {
            state.is_kept = false;
        }
    }

    pub(super) fn get(&self, name: &PrincipalName) -> Option<Timestamp> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).times.get(name).copied()
    }

    /// Writes the file if there is something new, and it was not written within the last minute.
    pub(super) fn keep_when_due(&self, now: Timestamp) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = state.kept.is_none_or(|kept| kept.saturating_add_micros(KEPT_EVERY_MICROS) <= now);
        drop(state);
        if is_due {
            self.keep(now);
        }
    }

    /// Writes the file if there is something new.
    pub(super) fn keep(&self, now: Timestamp) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.is_kept {
            return;
        }
        (state.kept, state.is_kept) = (Some(now), true);
        let times: BTreeMap<&str, String> =
            state.times.iter().map(|(name, time)| (name.as_str(), time.to_string())).collect();
        let bytes = serde_json::to_vec_pretty(&times);
        drop(state);
        let kept = bytes.map_err(io::Error::from).and_then(|bytes| own_file::replace(&self.path, &bytes));
        if let Err(error) = kept {
            tracing::warn!(%error, path = %self.path.display(), "when principals last called could not be kept");
        }
    }
}

fn read(path: &Path) -> io::Result<BTreeMap<PrincipalName, Timestamp>> {
    let mut text = String::new();
    own_file::read(path)?.take(BYTES_MAX).read_to_string(&mut text)?;
    let times: BTreeMap<String, String> = serde_json::from_str(&text)?;
    let parsed = times.into_iter().filter_map(|(name, time)| {
        let time = time.parse::<jiff::Timestamp>().ok()?;
        Some((PrincipalName::parse(&name).ok()?, time.into()))
    });
    Ok(parsed.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_is_there_after_a_restart() {
        let directory = tempfile::TempDir::new().unwrap();
        let (name, other) = (PrincipalName::parse("crawler").unwrap(), PrincipalName::parse("index").unwrap());
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000).unwrap();
        let used = LastUsed::open(directory.path());
        used.note(&name, at(1));
        used.keep_when_due(at(2));
        used.note(&name, at(3));
        used.note(&other, at(4));
        // Less than a minute later.
        used.keep_when_due(at(5));
        assert_eq!(LastUsed::open(directory.path()).get(&name), Some(at(1)));
        used.keep_when_due(at(62));
        let reopened = LastUsed::open(directory.path());
        assert_eq!((reopened.get(&name), reopened.get(&other)), (Some(at(3)), Some(at(4))));
        reopened.forget(&name);
        reopened.keep(at(63));
        assert_eq!(LastUsed::open(directory.path()).get(&name), None);
        std::fs::write(directory.path().join(FILE), "no JSON").unwrap();
        assert_eq!(LastUsed::open(directory.path()).get(&other), None);
    }
}
