//! Remembers an engine's first failure, so that nothing is committed after it.

use std::sync::OnceLock;

use super::EngineError;

/// The first failure; unset as long as commits are possible.
#[derive(Debug, Default)]
pub(super) struct Poison(OnceLock<String>);

impl Poison {
    /// Fails with [`EngineError::Poisoned`] and the first failure's text, if there was one.
    pub(super) fn check(&self) -> Result<(), EngineError> {
        self.0.get().map_or(Ok(()), |first| Err(EngineError::Poisoned(first.clone())))
    }

    /// Passes `result` through, and remembers its error if it is the first.
    pub(super) fn watch<T>(&self, result: Result<T, EngineError>) -> Result<T, EngineError> {
        if let Err(error) = &result {
            // Losing the race to another failure is fine: that one came first.
            self.0.get_or_init(|| error.to_string());
        }
        result
    }
}
