//! `evidence`: writes a revision with all that proves it to one file, and checks such a file.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::args::evidence::EvidenceArgs;
use super::connect::Session;
use super::exit::{Exit, Failure};
use super::output::Output;
use super::proof::{print, verifier_key};
use super::short_name::short;
use super::style;
use crate::capture::{originals, replace};
use crate::evidence::{Evidence, EvidenceError, FILE_BYTES_MAX};
use crate::proof::{ProofFile, VerifierKey};
use crate::wire::pb;
use crate::wire::pb::get_inclusion_proof_request::Change;

pub(super) async fn run(session: &Session, args: &EvidenceArgs, out: &mut Output) -> Result<(), Failure> {
    let (Some(article), Some(path)) = (&args.article, &args.output) else { return Ok(()) };
    if path.exists() {
        let message = format!("{} exists already", path.display());
        return Err(Failure::new(Exit::Conflict, message).hint("name another file"));
    }
    let name = article.resolve(session, None, None).await?;
    let proof = match &args.from {
        Some(from) => given_proof(from, &name)?,
        None => new_proof(session, args, &name).await?,
    };
    let key = key_of(session, &proof).await?;
    let number = proof.shown.revision();
    let original = match proof.shown.original_digest() {
        Some(_) => Some(original(session, format!("{name}/revisions/{number}")).await?),
        None => None,
    };
    let time_stamps = args.timestamp.iter().map(|path| read(path)).collect::<Result<_, _>>()?;
    let evidence = Evidence::new(proof, key, original, time_stamps).map_err(|error| {
        let failure = Failure::new(Exit::Failed, format!("this would not be evidence: {error}"));
        match error {
            EvidenceError::TimeStamp(_) => failure.hint("stamp the checkpoint that ends the proof of --from"),
            EvidenceError::Malformed
            | EvidenceError::Version
            | EvidenceError::Part(_)
            | EvidenceError::Proof(_)
            | EvidenceError::NoRevision
            | EvidenceError::Original
            | EvidenceError::Witness(_)
            | EvidenceError::Differs(_)
            | EvidenceError::TooLarge => failure,
        }
    })?;
    let file = evidence.write().map_err(|error| Failure::new(Exit::Failed, error))?;
    replace::replace(path, &file)
        .map_err(|error| Failure::new(Exit::Failed, format!("{} cannot be written: {error}", path.display())))?;
    if !evidence.shows_content() {
        out.note(format_args!(
            "the text of revision {number} of {} is destroyed, so the file proves only its times and its place",
            short(&name)
        ));
    }
    out.note(format_args!(
        "{} has revision {number} of {}. To check it, its readers need this verifier key, by another way than with the file: {}",
        path.display(),
        short(&name),
        evidence.key()
    ));
    Ok(())
}

/// A proof that is in a file. It must be of this article.
fn given_proof(path: &Path, name: &str) -> Result<ProofFile, Failure> {
    let failed = |what: String| Failure::new(Exit::Failed, format!("{} {what}", path.display()));
    let text = String::from_utf8(read(path)?).map_err(|_| failed("is not a proof file".to_owned()))?;
    let proof: ProofFile = text.parse().map_err(|error| failed(format!("cannot be used: {error}")))?;
    match proof.shown.name() {
        Some(found) if found == name => Ok(proof),
        Some(found) => Err(failed(format!("is a proof of {}", style::safe_line(&short(&found))))),
        None => Err(failed("withholds what it proves; make the proof without --withhold".to_owned())),
    }
}

async fn new_proof(session: &Session, args: &EvidenceArgs, name: &str) -> Result<ProofFile, Failure> {
    let number = args.revision.map_or_else(|| "latest".to_owned(), |number| number.to_string());
    let request = pb::GetInclusionProofRequest {
        change: Some(Change::Revision(format!("{name}/revisions/{number}"))),
        disclosure: pb::ProofDisclosure::Full.into(),
        min_tree_size: 0,
        cosigned: args.cosigned,
    };
    let reply = session.client().integrity.clone().get_inclusion_proof(request).await?.into_inner();
    reply.proof.parse().map_err(|error| Failure::new(Exit::Failed, format!("the server's proof is unusable: {error}")))
}

/// The key of the log that signed a proof.
async fn key_of(session: &Session, proof: &ProofFile) -> Result<VerifierKey, Failure> {
    let reply = session.client().integrity.clone().list_log_keys(pb::ListLogKeysRequest {}).await?.into_inner();
    let keys = reply.keys.iter().filter_map(|key| key.verifier_key.parse().ok());
    keys.into_iter().find(|key| proof.note.is_signed_by(key)).ok_or_else(|| {
        Failure::new(Exit::Failed, "no key that the archive has now signed the checkpoint of this proof")
            .hint("leave out --from to use a new proof")
    })
}

async fn original(session: &Session, revision: String) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    originals::read(session.client(), revision, None, |piece| {
        bytes.extend_from_slice(&piece);
        Ok::<_, Failure>(())
    })
    .await?;
    Ok(bytes)
}

/// Checks an evidence file, without an archive.
pub(super) fn check(path: &Path, args: &EvidenceArgs, out: &mut Output) -> Result<(), Failure> {
    let failed =
        |error: EvidenceError| Failure::new(Exit::Damaged, format!("{} proves nothing: {error}", path.display()));
    let key = args.key.as_deref().map(verifier_key).transpose()?;
    let evidence = Evidence::read(&read(path)?).map_err(failed)?;
    let checked = evidence.check(key.as_ref().unwrap_or(evidence.key())).map_err(failed)?;
    let cosigned = args.witness.iter().map(|witness| {
        let time = evidence.cosigned_at(witness).ok_or_else(|| EvidenceError::Witness(witness.name().to_owned()))?;
        Ok((witness.name(), time))
    });
    let cosigned: Vec<_> = cosigned.collect::<Result<_, _>>().map_err(failed)?;
    print(&checked, out)?;
    for time in evidence.stamp_times() {
        row("Stamped", &format!("{}, says a time stamp; check it as README.txt says", out.time(time)), out)?;
    }
    for (name, time) in &cosigned {
        row("Cosigned", &format!("{}, by {}", out.time(*time), style::safe_line(name)), out)?;
    }
    let is_checked =
        |signer: &str| signer == checked.checkpoint.origin || cosigned.iter().any(|(name, _)| *name == signer);
    for signer in evidence.signers().filter(|signer| !is_checked(signer)) {
        row("Unchecked", &format!("a signature as {}; give its key with --witness", style::safe_line(signer)), out)?;
    }
    if key.is_none() {
        out.note(format_args!(
            "This was checked with the key in the file, {}. Anybody can make such a file with a key of their own: compare \
             it with the archive's, or give that with --key.",
            evidence.key()
        ));
    }
    Ok(())
}

fn row(label: &str, value: &str, out: &mut Output) -> Result<(), Failure> {
    out.line(format_args!("{}{value}", out.painter().paint(style::FAINT, &style::pad(label, 10))))
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |error: io::Error| Failure::new(Exit::Failed, format!("{} cannot be read: {error}", path.display()));
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(FILE_BYTES_MAX).read_to_end(&mut bytes)).map_err(failed)?;
    Ok(bytes)
}
