//! Page tokens: where a list goes on.
//!
//! A token is URL-safe base64 of a version byte, a digest of the request that it belongs to, the cut that the pages
//! are of, and the position in the list. It says nothing that its holder may not know, and a forged one can at most
//! ask for another page; so it is checked, not signed. It never expires.

use data_encoding::BASE64URL_NOPAD;
use prost::Name;

use crate::model::{History, ReadStamp, RequestDigest, Seq, Timestamp};

const VERSION: u8 = 1;

/// Why a token was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is not one that this service gave.
    #[error("is not a page token of this service; leave it empty to begin again")]
    Malformed,
    /// It was given for a request with other fields.
    #[error("belongs to a request with other fields; give the fields of the first page again, or begin again")]
    OtherRequest,
}

/// Where a list goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageToken {
    /// The cut that all pages are of.
    pub stamp: ReadStamp,
    /// The last item of the page before, as the list itself writes it.
    pub position: String,
}

impl PageToken {
    /// The token's text, for the pages of the request whose digest is `request`.
    pub fn encode(&self, request: RequestDigest) -> String {
        let mut bytes = vec![VERSION];
        bytes.extend(request.0);
        bytes.extend(self.stamp.next_seq.0.to_be_bytes());
        bytes.extend(self.stamp.archive_time.map_or(i64::MIN, Timestamp::micros).to_be_bytes());
        bytes.extend(self.stamp.history.0);
        bytes.extend(self.position.as_bytes());
        BASE64URL_NOPAD.encode(&bytes)
    }

    /// Reads a token; `None` for the empty one, which asks for the first page.
    pub fn decode(token: &str, request: RequestDigest) -> Result<Option<Self>, TokenError> {
        if token.is_empty() {
            return Ok(None);
        }
        let bytes = BASE64URL_NOPAD.decode(token.as_bytes()).map_err(|_| TokenError::Malformed)?;
        let mut rest = bytes.as_slice();
        let [version] = take(&mut rest)?;
        let digest = RequestDigest(take(&mut rest)?);
        let next_seq = Seq(u64::from_be_bytes(take(&mut rest)?));
        let archive_time = Timestamp::from_micros(i64::from_be_bytes(take(&mut rest)?));
        let history = History(take(&mut rest)?);
        let position = std::str::from_utf8(rest).map_err(|_| TokenError::Malformed)?.to_owned();
        match (version, digest == request) {
            (VERSION, true) => Ok(Some(Self { stamp: ReadStamp { next_seq, archive_time, history }, position })),
            (VERSION, false) => Err(TokenError::OtherRequest),
            _ => Err(TokenError::Malformed),
        }
    }
}

/// The digest of a request, and of which method it is.
pub fn request_digest<M: Name>(request: &M) -> RequestDigest {
    RequestDigest::of(&[M::full_name().as_bytes(), &request.encode_to_vec()])
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], TokenError> {
    let (head, tail) = rest.split_first_chunk::<N>().ok_or(TokenError::Malformed)?;
    *rest = tail;
    Ok(*head)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn round_trips(next_seq: u64, micros in proptest::option::of(-5_i64..5), position: String, digest: [u8; 16]) {
            let archive_time = micros.and_then(Timestamp::from_micros);
            let stamp = ReadStamp { next_seq: Seq(next_seq), archive_time, history: History(digest) };
            let token = PageToken { stamp, position };
            let text = token.encode(RequestDigest(digest));
            prop_assert_eq!(PageToken::decode(&text, RequestDigest(digest)), Ok(Some(token)));
            let mut other = digest;
            other[0] ^= 1;
            prop_assert_eq!(PageToken::decode(&text, RequestDigest(other)), Err(TokenError::OtherRequest));
        }

        #[test]
        fn garbage_is_refused(text in ".{1,60}") {
            prop_assert!(PageToken::decode(&text, RequestDigest([0; 16])).is_err());
        }
    }
}
