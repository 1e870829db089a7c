//! Reports the outcomes of many documents: with `--json` a line for each one written, the reason for each failure, and
//! a summary at the end.

use std::path::Path;

use serde_json::json;

use crate::cli::args::globals::Globals;
use crate::cli::count;
use crate::cli::exit::{Failure, interrupted};
use crate::cli::failures::{Failures, reason_of};
use crate::cli::output::{Output, say};
use crate::cli::progress::Progress;

/// Counts and prints the outcomes of the documents of one export.
pub(super) struct Summary<'o> {
    out: &'o mut Output,
    progress: Progress,
    dry_run: bool,
    total: u64,
    written: u64,
    unchanged: u64,
    bytes: u64,
    failures: Failures,
}

impl<'o> Summary<'o> {
    pub(super) fn begin(globals: &Globals, total: u64, dry_run: bool, out: &'o mut Output) -> Self {
        let mut progress = Progress::new(globals);
        progress.begin("exporting", "articles", total);
        let (written, unchanged, bytes) = (0, 0, 0);
        Self { out, progress, dry_run, total, written, unchanged, bytes, failures: Failures::default() }
    }

    /// Whether the reader of standard output is gone.
    pub(super) fn is_closed(&self) -> bool {
        self.out.is_closed()
    }

    /// Reports that a document was written, or would be.
    pub(super) fn written(&mut self, name: &str, file: &str, bytes: usize) -> Result<(), Failure> {
        self.written += 1;
        self.bytes += bytes as u64;
        let outcome = if self.dry_run { "would write" } else { "written" };
        let Self { out, progress, dry_run, .. } = self;
        let printed = progress.beside(|| match (out.json, *dry_run) {
            (true, _) => out.line(json!({ "article": name, "file": file, "outcome": outcome })),
            (false, true) => out.line(format_args!("{outcome} {file}")),
            (false, false) => Ok(()),
        });
        self.show();
        printed
    }

    /// Counts a document that is up to date.
    pub(super) fn unchanged(&mut self) {
        self.unchanged += 1;
        self.show();
    }

    /// Reports a document that could not be written.
    pub(super) fn failed(&mut self, name: &str, failure: Failure) -> Result<(), Failure> {
        let failure = Failure { message: format!("{name}: {}", failure.message), ..failure };
        let Self { out, progress, .. } = self;
        let printed = progress.beside(|| {
            say(format_args!("dateline: {}", failure.message));
            if !out.json {
                return Ok(());
            }
            let (reason, message) = (reason_of(&failure), &failure.message);
            out.line(json!({ "article": name, "outcome": "failed", "reason": reason, "message": message }))
        });
        self.failures.add(failure);
        self.show();
        printed
    }

    fn done(&self) -> u64 {
        self.written + self.unchanged + self.failures.count()
    }

    fn show(&mut self) {
        self.progress.set_failed(self.failures.count());
        self.progress.set_bytes(self.done(), self.total, self.bytes);
    }

    /// Ends the export: prints the summary, and fails if a document failed or was not reached.
    pub(super) fn finish(mut self, folder: &Path, is_interrupted: bool) -> Result<(), Failure> {
        self.progress.end();
        let done = self.done();
        let Self { out, dry_run, total, written, unchanged, failures, .. } = self;
        if out.json {
            out.line(json!({
                "folder": folder.display().to_string(),
                "written": written.to_string(),
                "unchanged": unchanged.to_string(),
                "failed": failures.count().to_string(),
                "dryRun": dry_run,
            }))?;
        } else {
            let verb = if dry_run { "to be written" } else { "written" };
            let (failed, folder) = (failures.summary(), folder.display());
            let done = count(done, "article");
            out.note(format_args!("{done}: {written} {verb}, {unchanged} up to date, {failed}: {folder}"));
        }
        if is_interrupted && done < total {
            return Err(left(total - done));
        }
        failures.end(total, "articles")
    }
}

/// The failure of an export that was interrupted with `left` articles to go.
pub(super) fn left(left: u64) -> Failure {
    interrupted(&format!("{} left; the same command continues there", count(left, "article")))
}
