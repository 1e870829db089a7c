//! Dateline: an archive of articles that never forgets what a page said.
