//! A page of lines to be written.

use crate::wire::json::to_json;
use crate::wire::pb;

/// Lines, and where to continue reading after them.
pub struct Page {
    pub(super) lines: Vec<u8>,
    pub(super) count: u64,
    pub(super) token: String,
    /// How many changes are done after this page; if only what is in force is exported, how many articles.
    pub(super) done: u64,
    /// Whether this is the last page.
    pub is_last: bool,
}

impl Page {
    pub(super) fn add(&mut self, request: &pb::ReplayRequest) {
        self.lines.extend_from_slice(to_json(request).as_bytes());
        self.lines.push(b'\n');
        self.count += 1;
    }
}
