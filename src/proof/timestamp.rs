//! Time stamps ([RFC 3161](https://www.rfc-editor.org/rfc/rfc3161)): the request to a time stamping authority, and what
//! must be true of its reply before that is kept.
//!
//! The authority's own signature is not checked here: that takes certificates, and is the job of the one who is shown the
//! time stamp, with `openssl ts` for instance.

use der::{AnyRef, Decode, Reader, SliceReader, Tag, Tagged};
use jiff::civil::DateTime;
use jiff::tz::Offset;
use sha2::{Digest, Sha256, Sha384, Sha512};

use crate::model::Timestamp;

/// A `TimeStampReq` up to the digest: version 1, and a message imprint by SHA-256.
const BEFORE_DIGEST: [u8; 24] = [
    0x30, 67, 0x02, 1, 1, 0x30, 49, 0x30, 13, 0x06, 9, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0,
    0x04, 32,
];
/// What follows the nonce: a request for the certificate of the authority.
const AFTER_NONCE: [u8; 3] = [0x01, 1, 0xff];
/// The object identifier of a `TSTInfo`, 1.2.840.113549.1.9.16.1.4.
const TST_INFO: [u8; 11] = [0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x09, 0x10, 0x01, 0x04];
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

    /// Checks that a reply grants a time stamp, and that it is the one that was asked for.
    pub fn check<'a>(&self, reply: &'a [u8]) -> Result<TimeStamp<'a>, TimestampError> {
        let stamp = TimeStamp::read(reply)?;
        if stamp.digest != self.digest {
            return Err(TimestampError::Digest);
        }
        if stamp.nonce != Some(self.nonce.as_slice()) {
            return Err(TimestampError::Nonce);
        }
        Ok(stamp)
    }
}

/// What a time stamp says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeStamp<'a> {
    /// The digest that is stamped.
    digest: &'a [u8],
    nonce: Option<&'a [u8]>,
    /// When it was stamped, to the second, as the authority states.
    pub time: Timestamp,
}

impl<'a> TimeStamp<'a> {
    /// Reads the reply of an authority, which must grant a time stamp.
    pub fn read(reply: &'a [u8]) -> Result<Self, TimestampError> {
        let [response] = parts(reply)?.try_into().map_err(|_| TimestampError::Malformed)?;
        let response: Vec<AnyRef<'a>> = parts(response.value())?;
        match at(&parts(at(&response, 0)?)?, 0)? {
            // Granted, perhaps with modifications, which are checked below.
            [0 | 1] => {}
            [status] => return Err(TimestampError::Rejected(*status)),
            _ => return Err(TimestampError::Malformed),
        }
        // ContentInfo, SignedData, EncapsulatedContentInfo, TSTInfo.
        let content_info = parts(at(&response, 1)?)?;
        let signed_data = parts(at(&parts(at(&content_info, 1)?)?, 0)?)?;
        let encapsulated = parts(at(&signed_data, 2)?)?;
        if at(&encapsulated, 0)? != TST_INFO {
            return Err(TimestampError::Malformed);
        }
        let octets = parts(at(&encapsulated, 1)?)?;
        let info = parts(at(&parts(at(&octets, 0)?)?, 0)?)?;
        let digest = at(&parts(at(&info, IMPRINT)?)?, 1)?;
        let time = time(at(&info, TIME)?).ok_or(TimestampError::Malformed)?;
        let nonce = info.iter().skip(TIME + 1).find(|part| part.tag() == Tag::Integer).map(|nonce| nonce.value());
        Ok(Self { digest, nonce, time })
    }

    /// Whether it is of this text, by its SHA-256, SHA-384 or SHA-512.
    pub fn is_of(&self, text: &[u8]) -> bool {
        match self.digest.len() {
            32 => *self.digest == *Sha256::digest(text),
            48 => *self.digest == *Sha384::digest(text),
            64 => *self.digest == *Sha512::digest(text),
            _ => false,
        }
    }
}

/// Reads a time such as `20260516180000Z`. A fraction of the second is left out.
fn time(text: &[u8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let (seconds, _) = text.split_once('.').unwrap_or((text, ""));
    let time = DateTime::strptime("%Y%m%d%H%M%S", seconds).ok()?;
    Timestamp::from_micros(Offset::UTC.to_timestamp(time).ok()?.as_microsecond())
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
