//! Evidence files: a revision, what was kept of it, and the proof that it is in the log, in one zip file that can be read
//! and checked without Dateline. docs/PROOF.md has the format.
//!
//! All of a file follows from a few of its parts: the proof, the verifier key, the original and the time stamps. To check a
//! file, these are read and checked, the file is written again from them, and both are compared byte for byte. So there is
//! nothing in it that is not accounted for.
//!
//! That only works as long as the same parts give the same file. **What version 1 writes must never change once it is
//! released**, which a test holds. Another page, README or verifier is version 2, next to a writer that still knows version
//! 1. For the same reason, the page has nothing in common with the pages that `export` writes.

mod facts;
mod page;
mod readme;
mod tests;
pub mod zip;

use std::borrow::Cow;

use sha2::{Digest, Sha256};

use self::facts::Facts;
use self::readme::Parts;
use self::zip::Entry;
use crate::model::Timestamp;
use crate::proof::file::ProofError;
use crate::proof::{Checked, ProofFile, TimeStamp, VerifierKey};

/// The greatest size of an evidence file that is read, in bytes.
pub const FILE_BYTES_MAX: u64 = 512 << 20;

/// The program that checks an unpacked file without Dateline.
const VERIFIER: &str = include_str!("../../examples/python/verify_proof.py");
/// What the name of a time stamp begins with; its number follows, and `.tsr`.
const TIME_STAMP: &str = "timestamp-";

/// The names of the files in an evidence file, in the order in which they are in it.
mod name {
    pub(super) const README: &str = "README.txt";
    pub(super) const CHECKPOINT: &str = "checkpoint.txt";
    pub(super) const CONTENT: &str = "content.json";
    pub(super) const HEADERS: &str = "headers.json";
    pub(super) const KEY: &str = "log-key.txt";
    pub(super) const ORIGINAL: &str = "original.bin";
    pub(super) const PAGE: &str = "page.html";
    pub(super) const PROOF: &str = "proof.tlog-proof";
    pub(super) const VERIFIER: &str = "verify_proof.py";
}

/// What an evidence file is made of. Everything in it agrees: see [`Evidence::new`].
#[derive(Debug)]
pub struct Evidence {
    proof: ProofFile,
    key: VerifierKey,
    original: Option<Vec<u8>>,
    time_stamps: Vec<TimeStampFile>,
}

/// A time stamp of the checkpoint: a response of RFC 3161.
#[derive(Debug)]
struct TimeStampFile {
    response: Vec<u8>,
    time: Timestamp,
}

/// Why evidence cannot be written, or why a file is not evidence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceError {
    /// It is not a zip file as evidence is written, or it was altered.
    #[error("it is not an evidence file, or it was altered or packed again")]
    Malformed,
    /// It was written by a later version of Dateline.
    #[error("it is not evidence of version 1; a newer version of Dateline may know it")]
    Version,
    /// A part that every file has is missing, or one that a proof calls for.
    #[error("its {0} is missing or broken")]
    Part(&'static str),
    /// The proof proves nothing.
    #[error("its proof proves nothing: {0}")]
    Proof(#[from] ProofError),
    /// The proof is about something else than a revision.
    #[error("its proof is of a change that created no revision")]
    NoRevision,
    /// The original is not the one that was recorded.
    #[error("the original is not the one that was recorded")]
    Original,
    /// A time stamp is not of this checkpoint.
    #[error("time stamp {0} is not a granted RFC 3161 response for the checkpoint of this proof")]
    TimeStamp(usize),
    /// A witness has not cosigned the checkpoint.
    #[error("{0} has not cosigned its checkpoint, or the cosignature was altered")]
    Witness(String),
    /// A file is not what the proof gives.
    #[error("{0} is not what the proof gives")]
    Differs(String),
    /// There is more than a zip file can have.
    #[error("it would be larger than 4 GiB")]
    TooLarge,
}

impl Evidence {
    /// Makes evidence of a proof. What of the content is not proved is left out.
    ///
    /// The key must have signed the checkpoint of the proof, the proof must be of a change that created a revision, there
    /// must be an original exactly if the proof shows the digest of one, and the time stamps must be of the checkpoint, as
    /// the text of its note with all signatures.
    pub fn new(
        mut proof: ProofFile,
        key: VerifierKey,
        original: Option<Vec<u8>>,
        time_stamps: Vec<Vec<u8>>,
    ) -> Result<Self, EvidenceError> {
        proof.check(&key)?;
        if !proof.shown.has_revision() {
            return Err(EvidenceError::NoRevision);
        }
        if !proof.shown.keep_what_is_proved() {
            return Err(EvidenceError::Part("content"));
        }
        let digest = original.as_ref().map(|original| <[u8; 32]>::from(Sha256::digest(original)));
        if digest != proof.shown.original_digest() {
            return Err(EvidenceError::Original);
        }
        let checkpoint = proof.note.to_string();
        let stamp = |(number, response): (usize, Vec<u8>)| {
            let stamp = TimeStamp::read(&response).ok().filter(|stamp| stamp.is_of(checkpoint.as_bytes()));
            let time = stamp.ok_or(EvidenceError::TimeStamp(number))?.time;
            Ok(TimeStampFile { response, time })
        };
        let time_stamps = (1..).zip(time_stamps).map(stamp).collect::<Result<_, EvidenceError>>()?;
        Ok(Self { proof, key, original, time_stamps })
    }

    /// Reads an evidence file, and checks all of it against the key that is in it. Whether that is the key of the archive
    /// is for [`Evidence::check`].
    pub fn read(file: &[u8]) -> Result<Self, EvidenceError> {
        let entries = zip::read(file).ok_or(EvidenceError::Malformed)?;
        let text = |name| {
            let data = &entries.iter().find(|entry| entry.name == name).ok_or(EvidenceError::Part(name))?.data;
            String::from_utf8(data.to_vec()).map_err(|_| EvidenceError::Part(name))
        };
        if text(name::README)?.lines().next() != Some(readme::FIRST_LINE) {
            return Err(EvidenceError::Version);
        }
        let key = text(name::KEY)?.parse().map_err(|_| EvidenceError::Part(name::KEY))?;
        let proof = text(name::PROOF)?.parse()?;
        let data = |entry: &Entry<'_>| entry.data.to_vec();
        let original = entries.iter().find(|entry| entry.name == name::ORIGINAL).map(data);
        let time_stamps = entries.iter().filter(|entry| entry.name.starts_with(TIME_STAMP)).map(data).collect();
        let evidence = Self::new(proof, key, original, time_stamps)?;

        evidence.compare(&entries)?;
        Ok(evidence)
    }

    /// Checks that these files are the ones that the evidence gives, in their order.
    fn compare(&self, found: &[Entry<'_>]) -> Result<(), EvidenceError> {
        let expected = self.entries()?;
        let differs = |entry: &Entry<'_>| Err(EvidenceError::Differs(entry.name.clone().into_owned()));
        for (at, entry) in expected.iter().enumerate() {
            if found.get(at) != Some(entry) {
                return differs(entry);
            }
        }
        found.get(expected.len()).map_or(Ok(()), differs)
    }

    /// Writes the evidence file. The same evidence gives the same bytes.
    pub fn write(&self) -> Result<Vec<u8>, EvidenceError> {
        zip::write(&self.entries()?).ok_or(EvidenceError::TooLarge)
    }

    /// What is proved to a reader who knows that this is a key of the archive.
    pub fn check(&self, key: &VerifierKey) -> Result<Checked<'_>, EvidenceError> {
        Ok(self.proof.check(key)?)
    }

    /// The verifier key that is in the file.
    pub fn key(&self) -> &VerifierKey {
        &self.key
    }

    /// Whether the proof shows the content. If not, it was destroyed, or it is withheld.
    pub fn shows_content(&self) -> bool {
        self.proof.shown.content().is_some()
    }

    /// The times that the time stamps state.
    pub fn stamp_times(&self) -> impl Iterator<Item = Timestamp> {
        self.time_stamps.iter().map(|stamp| stamp.time)
    }

    /// When the witness with this key cosigned the checkpoint; `None` if it has not.
    pub fn cosigned_at(&self, witness: &VerifierKey) -> Option<Timestamp> {
        let seconds = i64::try_from(self.proof.note.cosigned_at(witness)?).ok()?;
        Timestamp::from_seconds_and_nanos(seconds, 0)
    }

    /// The names in front of the signatures of the checkpoint. Nothing is checked of them.
    pub fn signers(&self) -> impl Iterator<Item = &str> {
        self.proof.note.signers()
    }

    /// All files, in order.
    fn entries(&self) -> Result<Vec<Entry<'_>>, EvidenceError> {
        let facts = Facts::of(self.proof.check(&self.key)?);
        let headers = facts.headers_json();
        let parts = Parts {
            key: self.key.to_string(),
            signers: self.signers().collect(),
            has_headers: headers.is_some(),
            original: facts.shown.original_digest(),
            time_stamps: &self.time_stamps,
        };
        let text = |name: &'static str, text: String| Entry { name: name.into(), data: text.into_bytes().into() };
        let bytes = |name: Cow<'static, str>, bytes| Entry { name, data: Cow::Borrowed(bytes) };
        let mut entries = vec![
            text(name::README, readme::write(&facts, &parts)),
            text(name::CHECKPOINT, self.proof.note.to_string()),
        ];
        entries.extend(facts.content_json().map(|json| text(name::CONTENT, json)));
        entries.extend(headers.map(|json| text(name::HEADERS, json)));
        entries.push(text(name::KEY, format!("{}\n", self.key)));
        entries.extend(self.original.as_deref().map(|original| bytes(name::ORIGINAL.into(), original)));
        entries.push(text(name::PAGE, page::write(&facts)));
        entries.push(text(name::PROOF, self.proof.to_string()));
        for (number, stamp) in (1..).zip(&self.time_stamps) {
            entries.push(bytes(time_stamp_name(number).into(), &stamp.response));
        }
        entries.push(bytes(name::VERIFIER.into(), VERIFIER.as_bytes()));
        Ok(entries)
    }
}

/// The name of a time stamp; the first has number 1.
fn time_stamp_name(number: u32) -> String {
    format!("{TIME_STAMP}{number}.tsr")
}
