//! Ed25519 keys: the private one of a log, which signs its checkpoints, and the verifier keys of logs and witnesses, which
//! everybody may have.

use std::fmt;
use std::str::FromStr;

use data_encoding::{BASE64, HEXLOWER};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use sha2::{Digest, Sha256};

/// What a key of a signed note signs, by the number that verifier keys have for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Algorithm {
    /// Ed25519, of the text of the note.
    Note = 1,
    /// Ed25519, of the text of a checkpoint and a time
    /// ([tlog-cosignature](https://github.com/C2SP/C2SP/blob/main/tlog-cosignature.md)).
    Cosignature = 4,
}

impl Algorithm {
    fn from_number(number: u8) -> Option<Self> {
        [Self::Note, Self::Cosignature].into_iter().find(|algorithm| *algorithm as u8 == number)
    }
}

/// What precedes the 32 bytes of a private Ed25519 key in PKCS#8 (RFC 8410).
const PKCS8_PREFIX: [u8; 16] = [48, 46, 2, 1, 0, 48, 5, 6, 3, 43, 101, 112, 4, 34, 4, 32];
/// Longer names are not needed, and would make long notes.
const NAME_BYTES_MAX: usize = 255;

/// Why a key cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The private key is not one.
    #[error("it is not an Ed25519 key in PEM (PKCS#8), such as `dateline key new` makes")]
    Private,
    /// The origin cannot be the name of a key.
    #[error(
        "{0:?} cannot be the origin of a log: it must be 1 to 255 characters long, without white space and without +"
    )]
    Origin(String),
    /// The verifier key is not one.
    #[error("it is not a verifier key, such as example.org/news+1a2b3c4d+AYw…, as `dateline key show` prints it")]
    Verifier,
    /// The verifier key was altered or cut.
    #[error("the verifier key is not whole: its id does not match")]
    Id,
    /// The log has the key already.
    #[error("it is given twice")]
    Twice,
    /// The operating system returned no random bytes.
    #[error("the operating system returned no random bytes: {0}")]
    Randomness(String),
}

/// The private key of a log, under the log's origin.
pub struct LogKey {
    pair: Ed25519KeyPair,
    verifier: VerifierKey,
}

impl LogKey {
    /// Makes a private key, in PEM.
    pub fn generate() -> Result<String, KeyError> {
        let mut key = PKCS8_PREFIX.to_vec();
        key.resize(PKCS8_PREFIX.len() + 32, 0);
        let (_, seed) = key.split_at_mut(PKCS8_PREFIX.len());
        getrandom::fill(seed).map_err(|error| KeyError::Randomness(error.to_string()))?;
        Ok(format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", BASE64.encode(&key)))
    }

    /// Reads a private key in PEM, for a log of this origin.
    pub fn from_pem(pem: &[u8], origin: &str) -> Result<Self, KeyError> {
        let key = PrivatePkcs8KeyDer::from_pem_slice(pem).map_err(|_| KeyError::Private)?;
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(key.secret_pkcs8_der()).map_err(|_| KeyError::Private)?;
        let public = pair.public_key().as_ref().try_into().map_err(|_| KeyError::Private)?;
        let verifier = VerifierKey::new(origin, Algorithm::Note, public)?;
        Ok(Self { pair, verifier })
    }

    /// The key that checks its signatures.
    pub fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    pub(super) fn sign(&self, text: &[u8]) -> Vec<u8> {
        self.pair.sign(text).as_ref().to_vec()
    }
}

impl fmt::Debug for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogKey({})", self.verifier)
    }
}

/// The public key of a log, with the log's origin as its name, or of a witness. Its text is the one that signed notes
/// define.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    algorithm: Algorithm,
    public: [u8; 32],
}

impl VerifierKey {
    fn new(name: &str, algorithm: Algorithm, public: [u8; 32]) -> Result<Self, KeyError> {
        let is_name = !name.is_empty()
            && name.len() <= NAME_BYTES_MAX
            && !name.contains(|character: char| character.is_whitespace() || character == '+');
        if is_name {
            Ok(Self { name: name.to_owned(), algorithm, public })
        } else {
            Err(KeyError::Origin(name.to_owned()))
        }
    }

    /// Whether it is the key of a witness, for cosignatures, and not that of a log.
    pub fn is_of_witness(&self) -> bool {
        self.algorithm == Algorithm::Cosignature
    }

    /// Its name: the origin of the log, or the name of the witness.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The public key: 32 bytes of Ed25519.
    pub fn public_key(&self) -> &[u8; 32] {
        &self.public
    }

    /// The id that stands in front of its signatures.
    pub fn id(&self) -> [u8; 4] {
        let hasher = Sha256::new().chain_update(&self.name).chain_update([b'\n', self.algorithm as u8]);
        let hash: [u8; 32] = hasher.chain_update(self.public).finalize().into();
        let [a, b, c, d, ..] = hash;
        [a, b, c, d]
    }

    pub(super) fn is_signature(&self, text: &[u8], signature: &[u8]) -> bool {
        let verify =
            |text: &[u8], signature| UnparsedPublicKey::new(&ED25519, &self.public).verify(text, signature).is_ok();
        match self.algorithm {
            Algorithm::Note => verify(text, signature),
            Algorithm::Cosignature => cosign_time(signature).is_some_and(|(time, signature)| {
                verify(&[format!("cosignature/v1\ntime {time}\n").as_bytes(), text].concat(), signature)
            }),
        }
    }
}

/// The time in a cosignature, in seconds since 1970, and the signature.
pub(super) fn cosign_time(cosignature: &[u8]) -> Option<(u64, &[u8])> {
    let (time, signature) = cosignature.split_first_chunk::<8>()?;
    Some((u64::from_be_bytes(*time), signature))
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = [&[self.algorithm as u8], &self.public[..]].concat();
        write!(f, "{}+{}+{}", self.name, HEXLOWER.encode(&self.id()), BASE64.encode(&key))
    }
}

impl FromStr for VerifierKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let mut parts = text.trim().splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(KeyError::Verifier);
        };
        let key = BASE64.decode(key.as_bytes()).map_err(|_| KeyError::Verifier)?;
        let (algorithm, public) = key.split_first().ok_or(KeyError::Verifier)?;
        let algorithm = Algorithm::from_number(*algorithm).ok_or(KeyError::Verifier)?;
        let verifier = Self::new(name, algorithm, public.try_into().map_err(|_| KeyError::Verifier)?)?;
        if HEXLOWER.encode(&verifier.id()) == id { Ok(verifier) } else { Err(KeyError::Id) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_it_was_written() {
        let pem = LogKey::generate().unwrap();
        assert_ne!(pem, LogKey::generate().unwrap());
        let key = LogKey::from_pem(pem.as_bytes(), "example.org/news").unwrap();
        let text = key.verifier().to_string();
        assert_eq!(text.parse(), Ok(key.verifier().clone()));
        let signature = key.sign(b"text\n");
        assert!(key.verifier().is_signature(b"text\n", &signature));
        assert!(!key.verifier().is_signature(b"text", &signature));
        assert_eq!(text.replacen("news", "newt", 1).parse::<VerifierKey>(), Err(KeyError::Id));
    }

    #[test]
    fn what_is_no_key_is_rejected() {
        let pem = LogKey::generate().unwrap();
        for origin in ["", "a b", "a+b", "a\nb", &"x".repeat(256)] {
            assert_eq!(LogKey::from_pem(pem.as_bytes(), origin).unwrap_err(), KeyError::Origin(origin.to_owned()));
        }
        for pem in ["", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", &pem.replace("MC", "MD")] {
            assert_eq!(LogKey::from_pem(pem.as_bytes(), "a").unwrap_err(), KeyError::Private, "{pem}");
        }
        for text in ["", "a", "a+b", "a+00000000+", "a+00000000+AAAA", "a+00000000+AgAA"] {
            assert_eq!(text.parse::<VerifierKey>(), Err(KeyError::Verifier), "{text}");
        }
    }
}
