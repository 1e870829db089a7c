//! A key, and how it signs. Source: <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>.

use std::fmt;

use data_encoding::BASE64;
use ring::hmac;
use ring::signature::{Ed25519KeyPair, KeyPair};

use crate::model::{Timestamp, WebhookScheme};

/// What precedes the base64 of a private Ed25519 key, of its public key, and of an HMAC secret.
const PRIVATE: &str = "whsk_";
const PUBLIC: &str = "whpk_";
const SECRET: &str = "whsec_";
/// The length of an Ed25519 seed, and of the secrets that are made here, in bytes.
const SEED_BYTES: usize = 32;
/// The length of an HMAC secret in bytes, as the specification allows it.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// Why a key cannot be made or used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebhookKeyError {
    /// The text is not a key.
    #[error("it is not a signing key: whsk_ and the base64 of 64 bytes, or whsec_ and that of 24 to 64 bytes")]
    Malformed,
    /// The operating system returned no random bytes.
    #[error("the operating system returned no random bytes: {0}")]
    Randomness(String),
}

/// A key that signs the messages of one webhook.
pub struct SigningKey {
    secret: Secret,
    /// When it was made.
    pub created: Timestamp,
    /// When it stops signing; `None` if it does not.
    pub expires: Option<Timestamp>,
}

enum Secret {
    Ed25519 { seed: [u8; SEED_BYTES], pair: Ed25519KeyPair },
    Hmac(Vec<u8>),
}

impl SigningKey {
    /// Makes a key.
    pub fn generate(scheme: WebhookScheme, now: Timestamp) -> Result<Self, WebhookKeyError> {
        let mut random = [0; SEED_BYTES];
        getrandom::fill(&mut random).map_err(|error| WebhookKeyError::Randomness(error.to_string()))?;
        let secret = match scheme {
            WebhookScheme::Ed25519 => {
                let pair = Ed25519KeyPair::from_seed_unchecked(&random).map_err(|_| WebhookKeyError::Malformed)?;
                Secret::Ed25519 { seed: random, pair }
            }
            WebhookScheme::HmacSha256 => Secret::Hmac(random.to_vec()),
        };
        Ok(Self { secret, created: now, expires: None })
    }

    /// Reads a private key or a secret.
    pub fn parse(text: &str) -> Result<Self, WebhookKeyError> {
        let decoded = |base64: &str| BASE64.decode(base64.as_bytes()).map_err(|_| WebhookKeyError::Malformed);
        let secret = if let Some(base64) = text.strip_prefix(PRIVATE) {
            let bytes = decoded(base64)?;
            let (seed, public) = bytes.split_first_chunk().ok_or(WebhookKeyError::Malformed)?;
            let pair = Ed25519KeyPair::from_seed_and_public_key(seed, public);
            Secret::Ed25519 { seed: *seed, pair: pair.map_err(|_| WebhookKeyError::Malformed)? }
        } else if let Some(base64) = text.strip_prefix(SECRET) {
            let bytes = decoded(base64)?;
            if !SECRET_BYTES.contains(&bytes.len()) {
                return Err(WebhookKeyError::Malformed);
            }
            Secret::Hmac(bytes)
        } else {
            return Err(WebhookKeyError::Malformed);
        };
        Ok(Self { secret, created: Timestamp::MIN, expires: None })
    }

    /// The same key, which stops signing at `expires`.
    pub fn until(&self, expires: Option<Timestamp>) -> Result<Self, WebhookKeyError> {
        Ok(Self { created: self.created, expires, ..Self::parse(&self.reveal())? })
    }

    /// The private key or the secret, as [`SigningKey::parse`] reads it. Whoever has it can sign.
    pub(super) fn reveal(&self) -> String {
        match &self.secret {
            Secret::Ed25519 { seed, pair } => {
                format!("{PRIVATE}{}", BASE64.encode(&[seed, pair.public_key().as_ref()].concat()))
            }
            Secret::Hmac(secret) => format!("{SECRET}{}", BASE64.encode(secret)),
        }
    }

    /// The secret that a receiver needs; `None` if it needs the public key instead.
    pub fn shared_secret(&self) -> Option<String> {
        match self.secret {
            Secret::Ed25519 { .. } => None,
            Secret::Hmac(_) => Some(self.reveal()),
        }
    }

    /// The public key; `None` if there is none.
    pub fn public_key(&self) -> Option<String> {
        match &self.secret {
            Secret::Ed25519 { pair, .. } => Some(format!("{PUBLIC}{}", BASE64.encode(pair.public_key().as_ref()))),
            Secret::Hmac(_) => None,
        }
    }

    /// A signature of `signed`, after the version of its scheme.
    pub(super) fn sign(&self, signed: &[u8]) -> String {
        match &self.secret {
            Secret::Ed25519 { pair, .. } => format!("v1a,{}", BASE64.encode(pair.sign(signed).as_ref())),
            Secret::Hmac(secret) => {
                let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed);
                format!("v1,{}", BASE64.encode(tag.as_ref()))
            }
        }
    }
}

impl PartialEq for SigningKey {
    fn eq(&self, other: &Self) -> bool {
        (self.reveal(), self.created, self.expires) == (other.reveal(), other.created, other.expires)
    }
}

impl Eq for SigningKey {}

/// Shows the public key alone, since this may be logged.
impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public_key().unwrap_or_else(|| "HMAC".to_owned()))
    }
}

// The example of the HMAC scheme in the specification, and a private key from it.
#[cfg(test)]
pub(super) const HMAC_EXAMPLE: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
#[cfg(test)]
pub(super) const ED25519_EXAMPLE: &str =
    "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==";
#[cfg(test)]
pub(super) const MESSAGE_ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
#[cfg(test)]
pub(super) const MESSAGE_TIMESTAMP: i64 = 1_614_265_330;
#[cfg(test)]
pub(super) const MESSAGE_BODY: &str = r#"{"test": 2432232314}"#;

#[cfg(test)]
mod tests {
    use ring::signature::{ED25519, UnparsedPublicKey};

    use super::*;

    #[test]
    fn the_keys_of_the_specification_are_read_and_written() {
        let key = SigningKey::parse(ED25519_EXAMPLE).unwrap();
        assert_eq!(key.public_key().unwrap(), "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=");
        assert_eq!(key.reveal(), ED25519_EXAMPLE);
        assert_eq!(key.shared_secret(), None, "a receiver never gets the private key");
        let key = SigningKey::parse(HMAC_EXAMPLE).unwrap();
        assert_eq!((key.public_key(), key.shared_secret()), (None, Some(HMAC_EXAMPLE.to_owned())));
        for text in ["", "whsk_", "whsec_AAAA", "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=", "whsec_?"] {
            assert_eq!(SigningKey::parse(text), Err(WebhookKeyError::Malformed), "{text}");
        }
        // The public half of another key.
        let other = ED25519_EXAMPLE.replace("vg==", "vQ==");
        assert_eq!(SigningKey::parse(&other), Err(WebhookKeyError::Malformed));
    }

    #[test]
    fn a_signature_is_verified_with_the_public_key() {
        let key = SigningKey::generate(WebhookScheme::Ed25519, Timestamp::MIN).unwrap();
        let public = key.public_key().unwrap();
        let public = BASE64.decode(public.strip_prefix(PUBLIC).unwrap().as_bytes()).unwrap();
        let signature = key.sign(b"msg_1.7.{}");
        let signature = BASE64.decode(signature.strip_prefix("v1a,").unwrap().as_bytes()).unwrap();
        let verifier = UnparsedPublicKey::new(&ED25519, public);
        assert!(verifier.verify(b"msg_1.7.{}", &signature).is_ok());
        assert!(verifier.verify(b"msg_1.8.{}", &signature).is_err());
        assert!(!format!("{key:?}").contains(&key.reveal()), "a log must not have the private key");
    }
}
