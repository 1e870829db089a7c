//! `proof`: prints a proof that a revision is in the log, and checks one.

use std::io::Read;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use prost::Message;
use url::Url;

use super::args::proof::ProofArgs;
use super::connect::Session;
use super::exit::{Exit, Failure};
use super::output::Output;
use super::short_name::short;
use super::style;
use crate::capture::replace::replace;
use crate::fetch::{self, Poster};
use crate::model::Timestamp;
use crate::model::change::LogKind;
use crate::model::url_key::without_credentials;
use crate::proof::{Checked, ProofFile, TimestampRequest, VerifierKey};
use crate::wire::pb;
use crate::wire::pb::get_inclusion_proof_request::Change;

/// The largest proof file that is read, in bytes: an article of the largest size, in base64 twice.
const FILE_BYTES_MAX: u64 = 512 << 20;

/// The largest reply of a time stamping authority that is read, in bytes. It has the authority's certificates.
const REPLY_BYTES_MAX: u64 = 256 << 10;

pub(super) async fn run(session: &Session, args: &ProofArgs, out: &mut Output) -> Result<(), Failure> {
    let mut client = session.client().integrity.clone();
    let stamped = args.timestamp.as_ref().zip(args.output.as_deref());
    let Some(article) = &args.article else {
        let request = pb::GetCheckpointRequest { min_tree_size: 0, cosigned: args.cosigned };
        let reply = client.get_checkpoint(request).await?.into_inner();
        let checkpoint = reply.checkpoint.unwrap_or_default();
        if let Some((authority, path)) = stamped {
            let note = checkpoint.note.as_bytes();
            return stamp(note, note, authority, path, out).await;
        }
        return if out.json { out.message(&checkpoint) } else { out.document(checkpoint.note.as_bytes()) };
    };
    let name = article.resolve(session, None, None).await?;
    let revision = match args.revision {
        Some(number) => format!("{name}/revisions/{number}"),
        None => format!("{name}/revisions/latest"),
    };
    let disclosure = if args.withhold { pb::ProofDisclosure::Withheld } else { pb::ProofDisclosure::Full };
    let request = pb::GetInclusionProofRequest {
        change: Some(Change::Revision(revision)),
        disclosure: disclosure.into(),
        min_tree_size: 0,
        cosigned: args.cosigned,
    };
    let proof = client.get_inclusion_proof(request).await?.into_inner();
    if let Some((authority, path)) = stamped {
        let note = proof.checkpoint.unwrap_or_default().note;
        return stamp(proof.proof.as_bytes(), note.as_bytes(), authority, path, out).await;
    }
    if out.json { out.message(&proof) } else { out.document(proof.proof.as_bytes()) }
}

/// Has a checkpoint stamped, and keeps `document`, which is that or the proof that ends with it, with the time stamp.
async fn stamp(document: &[u8], note: &[u8], authority: &Url, path: &Path, out: &Output) -> Result<(), Failure> {
    let reply_path = PathBuf::from(format!("{}.tsr", path.display()));
    for path in [path, &reply_path] {
        if path.exists() {
            let message = format!("{} exists; a time stamp is evidence, so it is not replaced", path.display());
            return Err(Failure::new(Exit::Conflict, message).hint("name another file with --output"));
        }
    }
    let request = TimestampRequest::new(note).map_err(|error| {
        Failure::new(Exit::Failed, format!("the operating system returned no random bytes: {error}"))
    })?;
    // The address is the user's own choice, so it may be of a private network.
    let poster = Poster::new(fetch::Options {
        allow_private: true,
        body_bytes_max: REPLY_BYTES_MAX,
        ..fetch::Options::default()
    });
    let reply = poster.post(authority, "application/timestamp-query", request.encode()).await;
    let reply = reply.map_err(|error| Failure::new(Exit::Unreachable, error))?;
    let refused = |why: &dyn std::fmt::Display| {
        let authority = without_credentials(authority.as_str());
        Failure::new(Exit::Failed, format!("{authority} returned no time stamp: {why}"))
    };
    if !reply.status.is_success() {
        return Err(refused(&reply.status));
    }
    let stamp = request.check(&reply.body).map_err(|error| refused(&error))?;
    for (path, bytes) in [(&*reply_path, &*reply.body), (path, document)] {
        let failed = |error| Failure::new(Exit::Failed, format!("{} cannot be written: {error}", path.display()));
        replace(path, bytes).map_err(failed)?;
    }
    out.note(format_args!(
        "the checkpoint in {} was stamped: {} has the time stamp, of {}. `openssl ts -verify` checks who says so; see docs/PROOF.md.",
        path.display(),
        reply_path.display(),
        out.time(stamp.time),
    ));
    Ok(())
}

/// Checks a proof file, without an archive.
pub(super) fn check(path: &Path, key: &str, out: &mut Output) -> Result<(), Failure> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::new(Exit::Damaged, format!("{} proves nothing: {error}", path.display()))
    };
    let key = verifier_key(key)?;
    let file: ProofFile = read(path)?.parse().map_err(|error| failed(&error))?;
    let checked = file.check(&key).map_err(|error| failed(&error))?;
    print(&checked, out)
}

/// The verifier key: the text itself, or the text of a file.
pub(super) fn verifier_key(text: &str) -> Result<VerifierKey, Failure> {
    let parsed = match std::fs::read_to_string(text) {
        Ok(of_file) => of_file.parse(),
        Err(_) => text.parse(),
    };
    parsed.map_err(|error| Failure::new(Exit::Usage, format!("--key: {error}")))
}

fn read(path: &Path) -> Result<String, Failure> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::new(Exit::Failed, format!("{} cannot be read: {error}", path.display()))
    };
    let mut text = String::new();
    let read = if path.as_os_str() == "-" {
        std::io::stdin().lock().take(FILE_BYTES_MAX).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(FILE_BYTES_MAX).read_to_string(&mut text))
    };
    read.map(|_| text).map_err(|error| failed(&error))
}

/// Prints what was proved.
pub(super) fn print(checked: &Checked<'_>, out: &mut Output) -> Result<(), Failure> {
    let Checked { shown, checkpoint } = checked;
    let time = |micros| Timestamp::from_micros(micros).map(|time| out.time(time));
    let kind = LogKind::from_number(shown.kind().into()).map(|kind| format!("{kind:?}").to_lowercase());
    let content = shown.content().and_then(|content| pb::Content::decode(content.as_slice()).ok());
    let number = Some(shown.revision()).filter(|number| *number > 0);
    let rows = [
        (
            "Proved",
            Some(format!("change {} of {} in {}", shown.seq(), checkpoint.size, style::safe_line(&checkpoint.origin))),
        ),
        ("Article", Some(shown.name().map_or_else(|| "withheld".to_owned(), |name| style::safe_line(&short(&name))))),
        ("Revision", number.map(|number| number.to_string())),
        ("Kind", kind),
        ("Archived", time(shown.archive_time())),
        ("Observed", time(shown.observe_time())),
        ("Headline", content.map(|content| style::safe_line(&content.headline))),
        ("Digest", shown.content_digest().map(|digest| digest.to_string())),
        ("Original", shown.original_digest().map(|digest| HEXLOWER.encode(&digest))),
        ("Root", Some(checkpoint.root.to_string())),
    ];
    let painter = out.painter();
    for (label, value) in rows {
        if let Some(value) = value {
            out.line(format_args!("{}{value}", painter.paint(style::FAINT, &style::pad(label, 10))))?;
        }
    }
    Ok(())
}
