//! Exports a WACZ, and prints the progress and a summary.

use std::path::PathBuf;

use data_encoding::HEXLOWER;
use serde_json::json;

use super::{lines, select, unless_stopped};
use crate::capture::export::{Contents, Encoding, PartialFile, WaczDone, WaczExport, WaczOptions};
use crate::cli::args::export::ExportArgs;
use crate::cli::args::globals::Globals;
use crate::cli::connect::Session;
use crate::cli::count;
use crate::cli::exit::Failure;
use crate::cli::output::Output;
use crate::cli::progress::Progress;
use crate::cli::signals::Signals;
use crate::cli::status::size;
use crate::wire::pb;

/// Distinguishes this export from one of JSON Lines that was begun to the same file.
const ASKED: &str = "wacz";

pub(super) async fn run(
    session: &Session,
    args: &ExportArgs,
    path: PathBuf,
    globals: &Globals,
    out: &mut Output,
) -> Result<(), Failure> {
    let stopping = Signals::listen()?.token();
    let file = PartialFile::new(path, Encoding::Plain);
    let file = if args.force { file.overwriting() } else { file };
    file.find(ASKED)?;
    let selection = unless_stopped(&stopping, select(session, args)).await?;
    if args.dry_run {
        return unless_stopped(&stopping, lines::print_plan(session, &selection, args, None, out)).await;
    }
    let export = WaczExport::begin(session.client(), &selection, WaczOptions { newest: args.newest }, file);
    let mut export = unless_stopped(&stopping, export).await?;
    let (mut progress, total) = (Progress::new(globals), export.total());
    progress.begin("exporting", if args.newest { "articles" } else { "changes" }, total);
    while unless_stopped(&stopping, export.write_page()).await? {
        progress.set(export.done(), total);
    }
    progress.end();
    summary(&export.complete()?, &selection.snapshot, out)
}

/// Prints what the file contains.
fn summary(done: &WaczDone, snapshot: &pb::Snapshot, out: &mut Output) -> Result<(), Failure> {
    let Contents { originals, generated, sightings, expunged } = done.contents;
    if out.json {
        return out.line(json!({
            "file": done.path.display().to_string(),
            "originals": originals.to_string(),
            "generatedPages": generated.to_string(),
            "sightings": sightings.to_string(),
            "expunged": expunged.to_string(),
            "bytes": done.bytes.to_string(),
            "nextSeq": snapshot.next_seq.to_string(),
            "logDigest": HEXLOWER.encode(&snapshot.log_digest),
        }));
    }
    let mut parts = vec![count(originals, "original")];
    if generated > 0 {
        parts.push(format!("{} written from the text", count(generated, "page")));
    }
    parts.push(count(sightings, "sighting"));
    let (parts, bytes) = (parts.join(", "), size(done.bytes));
    out.line(format_args!("exported {parts}, {bytes}: {}", done.path.display()))?;
    if generated > 0 {
        let pages = count(generated, "page");
        out.note(format_args!(
            "dateline: `dateline import` cannot read the {pages} written from the text; an archive moves as JSON Lines"
        ));
    }
    if expunged > 0 {
        let left_out = count(expunged, "observation");
        out.note(format_args!("dateline: left out {left_out} because the text was destroyed"));
    }
    Ok(())
}
