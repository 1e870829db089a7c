//! Opening the archive of a directory, as its one holder.

use std::path::Path;
use std::sync::Arc;

use dateline::archive::{Archive, Holder, OpenArchiveError, Options};
use dateline::clock::Clock;

/// Opens the archive in `directory`, which is made where there is none.
pub(crate) fn open(directory: &Path, clock: Arc<dyn Clock>) -> Result<Archive, OpenArchiveError> {
    Ok(Archive::open(directory, true, &options(), clock, holder())?.0)
}

/// With little memory, so that much is read and written while the log is long.
pub(crate) fn options() -> Options {
    Options { engine_cache_bytes: 8 << 20, cache_bytes: 4 << 20, ..Options::default() }
}

pub(crate) fn holder() -> Holder {
    Holder { pid: std::process::id(), command: "crash test".to_owned(), address: None, since: String::new() }
}
