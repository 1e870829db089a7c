//! Bearer tokens: `dln_`, 32 random bytes in base64url without padding, and a CRC-32C of them in hexadecimal.
//!
//! The prefix lets scanners find a token that was published by mistake, and the checksum lets them, and us, tell a token
//! from other text. Only the SHA-256 of a token is kept; since the token is random, nothing slower is needed to protect it.

use std::fmt;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use sha2::{Digest, Sha256};

const PREFIX: &str = "dln_";
const RANDOM_BYTES: usize = 32;
const RANDOM_CHARACTERS: usize = 43;
const CHECKSUM_CHARACTERS: usize = 8;

/// The SHA-256 of a token.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenDigest([u8; 32]);

impl TokenDigest {
    /// The digest of a token; `None` if the text is not one.
    pub fn of(token: &str) -> Option<Self> {
        let rest = token.strip_prefix(PREFIX)?;
        let (random, checksum) = rest.split_at_checked(RANDOM_CHARACTERS)?;
        let random = BASE64URL_NOPAD.decode(random.as_bytes()).ok()?;
        let is_whole = checksum.len() == CHECKSUM_CHARACTERS && checksum == checksum_of(&random);
        is_whole.then(|| Self(Sha256::digest(token.as_bytes()).into()))
    }

    /// Parses the form that is kept, `sha256:` and 64 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let digest = HEXLOWER.decode(text.strip_prefix("sha256:")?.as_bytes()).ok()?;
        digest.try_into().ok().map(Self)
    }
}

/// The token in the value of an `Authorization` header, as RFC 6750, section 2.1 writes it; `None` if the value is something
/// else.
pub fn bearer_token(value: &[u8]) -> Option<&str> {
    let (scheme, token) = std::str::from_utf8(value).ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

impl fmt::Display for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Draws a new token.
pub(super) fn new_token() -> Result<String, getrandom::Error> {
    let mut random = [0; RANDOM_BYTES];
    getrandom::fill(&mut random)?;
    Ok(format!("{PREFIX}{}{}", BASE64URL_NOPAD.encode(&random), checksum_of(&random)))
}

fn checksum_of(random: &[u8]) -> String {
    HEXLOWER.encode(&crc32c::crc32c(random).to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_told_from_other_text() {
        let token = new_token().unwrap();
        assert_eq!(token.len(), PREFIX.len() + RANDOM_CHARACTERS + CHECKSUM_CHARACTERS);
        let digest = TokenDigest::of(&token).unwrap();
        assert_eq!(TokenDigest::parse(&digest.to_string()), Some(digest));
        assert_ne!(TokenDigest::of(&new_token().unwrap()), Some(digest));
        for at in 0..token.len() {
            let mut altered = token.clone().into_bytes();
            altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(TokenDigest::of(std::str::from_utf8(&altered).unwrap()), None, "{at}");
        }
        for other in ["", "dln_", &token[1..], &token[..token.len() - 1], &format!("{token}0"), "dln_é"] {
            assert_eq!(TokenDigest::of(other), None, "{other:?}");
        }
    }
}
