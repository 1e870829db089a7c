//! Time stamps ([RFC 3161](https://www.rfc-editor.org/rfc/rfc3161)): the request to a time stamping authority, and what
//! must be true of its reply before that is kept.
//!
//! The authority's own signature is not checked here: that takes certificates, and is the job of the one who is shown the
//! time stamp, with `openssl ts` for instance.

use der::{AnyRef, Decode, Reader, SliceReader, Tag, Tagged};
use sha2::{Digest, Sha256};

/// A `TimeStampReq` up to the digest: version 1, and a message imprint by SHA-256.
const BEFORE_DIGEST: [u8; 24] = [
    0x30, 67, 0x02, 1, 1, 0x30, 49, 0x30, 13, 0x06, 9, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0,
    0x04, 32,
];
/// What follows the nonce: a request for the certificate of the authority.
const AFTER_NONCE: [u8; 3] = [0x01, 1, 0xff];
/// The OID of SHA-256.
const SHA_256: [u8; 9] = [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];
/// Where the fields of a `TSTInfo` are that every one has.
const IMPRINT: usize = 2;
const TIME: usize = 4;

/// A request for a time stamp.
#[derive(Clone, Debug)]
pub struct TimestampRequest {
    digest: [u8; 32],
    nonce: [u8; 8],
}

/// Why a reply is not the time stamp that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimestampError {
    /// It is not a reply in DER.
    #[error("it is not the reply of a time stamping authority (RFC 3161)")]
    Malformed,
    /// The authority grants no time stamp.
    #[error("the authority did not grant a time stamp (status {0})")]
    Rejected(u8),
    /// It is over another digest.
    #[error("it is a time stamp of something else")]
    Digest,
    /// It was made for another request.
    #[error("it is not the reply to this request: its nonce is another")]
    Nonce,
}

impl From<der::Error> for TimestampError {
    fn from(_: der::Error) -> Self {
        Self::Malformed
    }
}

impl TimestampRequest {
    /// A request for a time stamp of `data`. The nonce is drawn from the operating system.
    pub fn new(data: &[u8]) -> Result<Self, getrandom::Error> {
        let mut nonce = [0; 8];
        getrandom::fill(&mut nonce)?;
        // So that it is a positive integer of eight bytes, without leading zeros.
        nonce[0] = nonce[0] & 0x3f | 0x40;
        Ok(Self { digest: Sha256::digest(data).into(), nonce })
    }

    /// The request in DER.
    pub fn encode(&self) -> Vec<u8> {
        [&BEFORE_DIGEST[..], &self.digest, &[0x02, 8], &self.nonce, &AFTER_NONCE].concat()
    }

    /// Checks that a reply grants a time stamp, and that it is the one that was asked for. Returns its time as it says it,
    /// such as `20261130091143Z`.
    pub fn check(&self, reply: &[u8]) -> Result<String, TimestampError> {
        let reply = parts(at(&parts(reply)?, 0)?)?;
        match at(&parts(at(&reply, 0)?)?, 0)? {
            // Granted, perhaps with modifications, which are checked below.
            [0 | 1] => {}
            [status] => return Err(TimestampError::Rejected(*status)),
            _ => return Err(TimestampError::Malformed),
        }
        // ContentInfo, SignedData, EncapsulatedContentInfo, TSTInfo.
        let content_info = parts(at(&reply, 1)?)?;
        let signed_data = parts(at(&parts(at(&content_info, 1)?)?, 0)?)?;
        let encapsulated = parts(at(&signed_data, 2)?)?;
        let octets = parts(at(&encapsulated, 1)?)?;
        let info = parts(at(&parts(at(&octets, 0)?)?, 0)?)?;
        let imprint = parts(at(&info, IMPRINT)?)?;
        let algorithm = parts(at(&imprint, 0)?)?;
        if at(&algorithm, 0)? != SHA_256 || at(&imprint, 1)? != self.digest {
            return Err(TimestampError::Digest);
        }
        let mut optional = info.iter().skip(TIME + 1);
        let nonce = optional.find(|part| part.tag() == Tag::Integer).ok_or(TimestampError::Nonce)?;
        if nonce.value() != self.nonce {
            return Err(TimestampError::Nonce);
        }
        String::from_utf8(at(&info, TIME)?.to_vec()).map_err(|_| TimestampError::Malformed)
    }
}

/// The elements of a constructed value, or of a file.
fn parts(value: &[u8]) -> der::Result<Vec<AnyRef<'_>>> {
    let mut reader = SliceReader::new(value)?;
    let mut parts = Vec::new();
    while !reader.is_finished() {
        parts.push(AnyRef::decode(&mut reader)?);
    }
    Ok(parts)
}

/// The value of an element.
fn at<'a>(parts: &[AnyRef<'a>], index: usize) -> Result<&'a [u8], TimestampError> {
    parts.get(index).map(|part| part.value()).ok_or(TimestampError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_in_der() {
        let request = TimestampRequest::new(b"data").unwrap();
        let encoded = request.encode();
        let fields = parts(parts(&encoded).unwrap()[0].value()).unwrap();
        let tags: Vec<_> = fields.iter().map(Tagged::tag).collect();
        assert_eq!(tags, [Tag::Integer, Tag::Sequence, Tag::Integer, Tag::Boolean]);
        let imprint = parts(fields[1].value()).unwrap();
        assert_eq!(imprint[1].value(), Sha256::digest(b"data").as_slice());
        assert_ne!(encoded, TimestampRequest::new(b"data").unwrap().encode(), "the nonce is drawn");
    }

    #[test]
    fn what_is_no_time_stamp_is_rejected() {
        let request = TimestampRequest::new(b"data").unwrap();
        for reply in [&b""[..], b"<html>", &[0x30, 0], &[0x30, 0x84, 255, 255, 255, 255], &[0x30, 5, 0x30, 3, 2, 1, 0]]
        {
            assert_eq!(request.check(reply), Err(TimestampError::Malformed), "{reply:?}");
        }
        assert_eq!(request.check(&[0x30, 5, 0x30, 3, 2, 1, 2]), Err(TimestampError::Rejected(2)));
    }
}
