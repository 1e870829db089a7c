//! Signed notes: a text, and lines with signatures of it.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE64;

use super::key::{LogKey, VerifierKey, cosign_time};

/// The longest note that is read, in bytes. A checkpoint with many cosignatures has a few thousand.
const NOTE_BYTES_MAX: usize = 64 << 10;
/// What a line with a signature begins with: an em dash and a space.
const SIGNATURE_PREFIX: &str = "— ";

/// A text with signatures. Its text form is the one that signed notes define.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The text. It ends with a line feed.
    text: String,
    signatures: Vec<NoteSignature>,
}

/// A signature of a note.
#[derive(Clone, Debug, PartialEq, Eq)]
struct NoteSignature {
    name: String,
    /// The id of the key, then the signature.
    bytes: Vec<u8>,
}

impl NoteSignature {
    /// Reads a line with a signature.
    fn read(line: &str) -> Option<Self> {
        let (name, signature) = line.strip_prefix(SIGNATURE_PREFIX)?.split_once(' ')?;
        let bytes = BASE64.decode(signature.as_bytes()).ok().filter(|bytes| bytes.len() > 4)?;
        Some(Self { name: name.to_owned(), bytes })
    }

    fn is_by(&self, key: &VerifierKey, text: &str) -> bool {
        let parts = self.bytes.split_first_chunk::<4>().filter(|(id, _)| self.name == key.name() && **id == key.id());
        parts.is_some_and(|(_, signature)| key.is_signature(text.as_bytes(), signature))
    }
}

/// The text is not a signed note.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not a signed note")]
pub struct NoteError;

impl Note {
    /// A text, which must end with a line feed, without signatures.
    pub fn unsigned(text: String) -> Self {
        Self { text, signatures: Vec::new() }
    }

    /// Signs the text. The signatures that it has stay.
    pub fn sign(&mut self, key: &LogKey) {
        let bytes = [&key.verifier().id()[..], &key.sign(self.text.as_bytes())].concat();
        self.signatures.push(NoteSignature { name: key.verifier().name().to_owned(), bytes });
    }

    /// The text that is signed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it has a signature by this key. Signatures by other keys are ignored.
    pub fn is_signed_by(&self, key: &VerifierKey) -> bool {
        self.signatures.iter().any(|signature| signature.is_by(key, &self.text))
    }

    /// When a witness has cosigned it, in seconds since 1970; `None` if it has not.
    pub fn cosigned_at(&self, key: &VerifierKey) -> Option<u64> {
        let by_key =
            self.signatures.iter().find(|signature| key.is_of_witness() && signature.is_by(key, &self.text))?;
        cosign_time(by_key.bytes.get(4..)?).map(|(time, _)| time)
    }

    /// Adds the signature by this key that is in `lines`, in place of an earlier one. Signatures by other keys, and lines
    /// that are not signatures, are ignored. Returns whether there was one.
    pub fn add_signature(&mut self, key: &VerifierKey, lines: &str) -> bool {
        let added =
            lines.split('\n').filter_map(NoteSignature::read).find(|signature| signature.is_by(key, &self.text));
        let Some(added) = added else { return false };
        self.signatures.retain(|signature| !signature.is_by(key, &self.text));
        self.signatures.push(added);
        true
    }

    /// The names in front of its signatures, in their order. Anybody can add a line with any name.
    pub fn signers(&self) -> impl Iterator<Item = &str> {
        self.signatures.iter().map(|signature| signature.name.as_str())
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        for NoteSignature { name, bytes } in &self.signatures {
            writeln!(f, "{SIGNATURE_PREFIX}{name} {}", BASE64.encode(bytes))?;
        }
        Ok(())
    }
}

impl FromStr for Note {
    type Err = NoteError;

    fn from_str(note: &str) -> Result<Self, NoteError> {
        if note.len() > NOTE_BYTES_MAX || note.contains(|character: char| character < ' ' && character != '\n') {
            return Err(NoteError);
        }
        let (text, signatures) = note.rsplit_once("\n\n").ok_or(NoteError)?;
        let signatures = signatures.strip_suffix('\n').ok_or(NoteError)?;
        let signatures = signatures.split('\n').map(NoteSignature::read).collect::<Option<_>>().ok_or(NoteError)?;
        Ok(Self { text: format!("{text}\n"), signatures })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_signed_by_its_key_and_no_other() {
        let key = |origin| LogKey::from_pem(LogKey::generate().unwrap().as_bytes(), origin).unwrap();
        let (signer, other) = (key("a.example"), key("a.example"));
        let mut note = Note::unsigned("a\nb\n\nc\n".to_owned());
        note.sign(&signer);
        let read: Note = note.to_string().parse().unwrap();
        assert_eq!(read, note);
        assert!(read.is_signed_by(signer.verifier()));
        assert!(!read.is_signed_by(other.verifier()));
        let altered: Note = note.to_string().replacen('b', "d", 1).parse().unwrap();
        assert!(!altered.is_signed_by(signer.verifier()));
    }

    /// While a key is replaced by another, both sign.
    #[test]
    fn of_several_signatures_each_is_enough() {
        let key = || LogKey::from_pem(LogKey::generate().unwrap().as_bytes(), "a.example").unwrap();
        let (old, new) = (key(), key());
        let mut note = Note::unsigned("a\n".to_owned());
        note.sign(&new);
        note.sign(&old);
        let read: Note = note.to_string().parse().unwrap();
        assert!(read.is_signed_by(old.verifier()) && read.is_signed_by(new.verifier()));
    }

    /// The example of docs/PROOF.md, which another program signed with the private key 0, 1, 2, …, 31.
    #[test]
    fn the_documented_checkpoint_is_signed_by_its_key() {
        let origin = "dateline.invalid/6f0c2a9e4d7b4f1e8a3c5d6e7f8091b1";
        let key: VerifierKey =
            format!("{origin}+b3d7b29e+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4").parse().unwrap();
        let signature = "s9eynsycBhtJAH1uvddnjzwsaEEansHR7/EeHuXFbNGmdCTz7tX9bXlgMzjIF+4u3WpATpENw5xOgBK7vrFsF7eSKQ8=";
        let note = format!("{origin}\n300\n1jpZeW5HvMnaGNuDLn11sPrYDdpE59yR09qcpXgEHWE=\n\n— {origin} {signature}\n");
        assert!(note.parse::<Note>().unwrap().is_signed_by(&key));
    }

    #[test]
    fn what_is_no_note_is_rejected() {
        for text in ["", "a\n", "a\n\n", "a\n\n— b c\n", "a\n\n— b AAAAAA==", "a\n\nb\n", "a\r\n\n— b AAAAAAA=\n"]
        {
            assert_eq!(text.parse::<Note>(), Err(NoteError), "{text:?}");
        }
        assert!("a\n\n— b AAAAAAA=\n".parse::<Note>().is_ok());
    }
}
