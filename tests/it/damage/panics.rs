//! Panics that escape. Those in a guarded call of the engine come back as errors; but the panic hook sees all of them,
//! so this module tells them apart.

use std::panic;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::thread;

static SEEN: Mutex<Vec<String>> = Mutex::new(Vec::new());
static INSTALL: Once = Once::new();

/// Starts to watch, and forgets earlier panics.
pub(super) fn watch() {
    INSTALL.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            let place = panic.location().map_or(String::new(), ToString::to_string);
            let name = thread::current().name().unwrap_or_default().to_owned();
            match origin(&place, &name) {
                Origin::Guarded => {}
                Origin::Escaped => seen().push(format!("thread `{name}` at {place}: {panic}")),
                // A panic of a test, this one or another.
                Origin::Elsewhere => before(panic),
            }
        }));
    });
    seen().clear();
}

/// The panics that have escaped since.
pub(super) fn escaped() -> Vec<String> {
    seen().clone()
}

fn seen() -> MutexGuard<'static, Vec<String>> {
    SEEN.lock().unwrap_or_else(PoisonError::into_inner)
}

enum Origin {
    /// In sled, in a call of ours.
    Guarded,
    /// In one of sled's own threads, or in our code.
    Escaped,
    Elsewhere,
}

fn origin(place: &str, thread: &str) -> Origin {
    let in_sled = place.contains("/sled-0.34");
    let of_sled = thread.starts_with("sled") || thread == "log flusher";
    match (in_sled || of_sled, of_sled || place.starts_with("src/")) {
        (_, true) => Origin::Escaped,
        (true, false) => Origin::Guarded,
        (false, false) => Origin::Elsewhere,
    }
}
