//! What a time stamp of RFC 3161 says: the digest that it is of, and the time. Whether its signature is valid is not
//! checked here; docs/PROOF.md says how.
//!
//! A response contains a CMS message (RFC 5652), and that a `TSTInfo`; all in DER.

use jiff::civil::DateTime;
use jiff::tz::Offset;
use sha2::{Digest, Sha256, Sha384, Sha512};

const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
/// An explicit tag 0.
const EXPLICIT_0: u8 = 0xA0;
/// The object identifier of a `TSTInfo`, 1.2.840.113549.1.9.16.1.4.
const TST_INFO: [u8; 11] = [0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x09, 0x10, 0x01, 0x04];

/// A time stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeStamp<'a> {
    /// The digest that is stamped.
    digest: &'a [u8],
    /// When it was stamped, to the second, as the authority states.
    pub time: jiff::Timestamp,
}

impl<'a> TimeStamp<'a> {
    /// Reads a response; `None` if it is not one that grants a time stamp.
    pub fn read(response: &'a [u8]) -> Option<Self> {
        let mut response = Elements(response).only(SEQUENCE)?;
        let status = response.next(SEQUENCE)?.next(INTEGER)?.0;
        // Granted, or granted with modifications.
        if !matches!(status, [0 | 1]) {
            return None;
        }
        let mut signed = response.next(SEQUENCE)?;
        signed.next(OBJECT_IDENTIFIER)?;
        let mut signed = signed.next(EXPLICIT_0)?.next(SEQUENCE)?;
        signed.next(INTEGER)?;
        signed.next(SET)?;
        let mut content = signed.next(SEQUENCE)?;
        if content.next(OBJECT_IDENTIFIER)?.0 != TST_INFO {
            return None;
        }
        let mut info = content.next(EXPLICIT_0)?.next(OCTET_STRING)?.only(SEQUENCE)?;
        info.next(INTEGER)?;
        info.next(OBJECT_IDENTIFIER)?;
        let mut imprint = info.next(SEQUENCE)?;
        imprint.next(SEQUENCE)?;
        let digest = imprint.next(OCTET_STRING)?.0;
        info.next(INTEGER)?;
        let time = time(info.next(GENERALIZED_TIME)?.0)?;
        Some(Self { digest, time })
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
fn time(text: &[u8]) -> Option<jiff::Timestamp> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let (seconds, _) = text.split_once('.').unwrap_or((text, ""));
    let time = DateTime::strptime("%Y%m%d%H%M%S", seconds).ok()?;
    Offset::UTC.to_timestamp(time).ok()
}

/// A run of elements in DER.
#[derive(Clone, Copy)]
struct Elements<'a>(&'a [u8]);

impl<'a> Elements<'a> {
    /// The contents of the next element, which must have this tag.
    fn next(&mut self, tag: u8) -> Option<Self> {
        let [found, length, rest @ ..] = self.0 else { return None };
        let (length, rest) = match *length {
            short @ ..0x80 => (short.into(), rest),
            // The length follows, in this many bytes.
            long => {
                let (length, rest) = rest.split_at_checked((long & 0x7F).into())?;
                let number = |sum: usize, byte: &u8| sum.checked_mul(256)?.checked_add((*byte).into());
                (length.iter().try_fold(0, number)?, rest)
            }
        };
        let (contents, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        (*found == tag).then_some(Self(contents))
    }

    /// The contents of the only element, which must have this tag.
    fn only(mut self, tag: u8) -> Option<Self> {
        self.next(tag).filter(|_| self.0.is_empty())
    }
}
