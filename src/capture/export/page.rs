//! A page of lines to be written.

use crate::wire::json::to_json;
use crate::wire::pb;

/// Lines, and where to continue reading after them.
pub struct Page {
    pub(super) lines: Vec<u8>,
    pub(super) count: u64,
    pub(super) token: String,
    /// How many changes, or articles if only what is in force is exported, are done after this page.
    pub(super) done: u64,
    /// Whether nothing comes after it.
    pub is_last: bool,
}

impl Page {
    pub(super) fn add(&mut self, request: &pb::ReplayRequest) {
        self.lines.extend_from_slice(to_json(request).as_bytes());
        self.lines.push(b'\n');
        self.count += 1;
    }
}
