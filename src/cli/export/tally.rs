//! What comes of many documents: a line of JSON for each that was written, why others failed, and in the end how many.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;

use super::documents::left;
use crate::cli::args::Globals;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{Output, say};
use crate::cli::progress::Progress;
use crate::cli::style;

/// What came of the documents so far.
pub(super) struct Tally<'o> {
    out: &'o mut Output,
    progress: Progress,
    dry_run: bool,
    total: u64,
    written: u64,
    unchanged: u64,
    bytes: u64,
    /// How many failed with each reason.
    failed: BTreeMap<String, u64>,
    last: Option<Failure>,
}

impl<'o> Tally<'o> {
    pub(super) fn begin(globals: &Globals, total: u64, dry_run: bool, out: &'o mut Output) -> Self {
        let mut progress = Progress::new(globals);
        progress.begin("exporting", "articles", total);
        let (written, unchanged, bytes) = (0, 0, 0);
        Self { out, progress, dry_run, total, written, unchanged, bytes, failed: BTreeMap::new(), last: None }
    }

    /// Whether nobody reads any more what is said.
    pub(super) fn is_closed(&self) -> bool {
        self.out.is_closed()
    }

    /// A document was written, or would be.
    pub(super) fn written(&mut self, name: &str, file: &str, bytes: usize) -> Result<(), Failure> {
        self.written += 1;
        self.bytes += bytes as u64;
        let outcome = if self.dry_run { "would write" } else { "written" };
        let Self { out, progress, dry_run, .. } = self;
        let told = progress.beside(|| match (out.json, *dry_run) {
            (true, _) => out.line(json!({ "article": name, "file": file, "outcome": outcome })),
            (false, true) => out.line(format_args!("{outcome} {file}")),
            (false, false) => Ok(()),
        });
        self.show();
        told
    }

    /// A document is there already.
    pub(super) fn unchanged(&mut self) {
        self.unchanged += 1;
        self.show();
    }

    /// A document could not be written.
    pub(super) fn failed(&mut self, name: &str, failure: Failure) -> Result<(), Failure> {
        let reason = if failure.reason().is_empty() { "FAILED" } else { failure.reason() }.to_owned();
        let failure = Failure { message: format!("{name}: {}", failure.message), ..failure };
        let Self { out, progress, .. } = self;
        let told = progress.beside(|| {
            say(format_args!("dateline: {}", style::safe(&failure.message)));
            if !out.json {
                return Ok(());
            }
            out.line(json!({ "article": name, "outcome": "failed", "reason": reason, "message": failure.message }))
        });
        *self.failed.entry(reason).or_default() += 1;
        self.last = Some(failure);
        self.show();
        told
    }

    fn failures(&self) -> u64 {
        self.failed.values().sum()
    }

    fn done(&self) -> u64 {
        self.written + self.unchanged + self.failures()
    }

    fn show(&mut self) {
        self.progress.set_failed(self.failures());
        self.progress.set_bytes(self.done(), self.total, self.bytes);
    }

    /// Ends it: the summary, and a failure if one failed or some were left.
    pub(super) fn finish(mut self, folder: &Path, is_interrupted: bool) -> Result<(), Failure> {
        self.progress.end();
        let (done, failed) = (self.done(), self.failures());
        let Self { out, dry_run, total, written, unchanged, failed: reasons, last, .. } = self;
        if out.json {
            out.line(json!({
                "folder": folder.display().to_string(),
                "written": written.to_string(),
                "unchanged": unchanged.to_string(),
                "failed": failed.to_string(),
                "dryRun": dry_run,
            }))?;
        } else {
            let verb = if dry_run { "to be written" } else { "written" };
            let reasons: Vec<_> = reasons.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
            let reasons = if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join(", ")) };
            out.note(format_args!(
                "{done} articles: {written} {verb}, {unchanged} there already, {failed} failed{reasons}: {}",
                folder.display()
            ));
        }
        match (last, failed) {
            _ if is_interrupted && done < total => Err(left(total - done)),
            (None, _) => Ok(()),
            (Some(last), 1) => Err(Failure { message: format!("1 of {total} articles failed"), ..last }),
            (Some(_), failed) => Err(Failure::new(Exit::Failed, format!("{failed} of {total} articles failed"))),
        }
    }
}
