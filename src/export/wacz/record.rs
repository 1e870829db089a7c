//! WARC 1.1 records (ISO 28500), each as a gzip member of its own, as the format's annex on compression asks for.

use std::fmt::Write as _;
use std::io::{self, Write};

use data_encoding::HEXLOWER;
use flate2::{Compression, GzBuilder};
use sha2::{Digest, Sha256};

use crate::model::Timestamp;

/// The media type of fields: of `warcinfo` and `metadata` records.
const FIELDS: &str = "application/warc-fields";
/// How a sighting refers to a capture: the archive found the same article text, and kept no second copy of the page.
const SAME_TEXT: &str = "urn:dateline:revisit:same-text";

/// The kinds of record that are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Info,
    Resource,
    Revisit,
    Metadata,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Info => "warcinfo",
            Self::Resource => "resource",
            Self::Revisit => "revisit",
            Self::Metadata => "metadata",
        }
    }
}

/// The id of a record: a UUID of version 8 (RFC 9562) that follows from the archive, the kind of record, and the position
/// of the change that the record is about. So the same export has the same ids.
pub(super) fn id(archive_id: &[u8], kind: Kind, seq: u64) -> String {
    let digest = Sha256::new().chain_update(archive_id).chain_update(kind.name()).chain_update(seq.to_be_bytes());
    let mut bytes: [u8; 16] = digest.finalize().first_chunk().copied().unwrap_or_default();
    let [_, _, _, _, _, _, version, _, variant, ..] = &mut bytes;
    *version = *version & 0x0f | 0x80;
    *variant = *variant & 0x3f | 0x80;
    let digits = HEXLOWER.encode(&bytes);
    let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
    format!("urn:uuid:{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
}

/// The digest of a block or payload as records and indexes write it.
pub(super) fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", HEXLOWER.encode(&Sha256::digest(bytes)))
}

/// A record that is being written: its header, then its block.
pub(super) struct Record<'a> {
    header: String,
    block: &'a [u8],
}

impl<'a> Record<'a> {
    fn new(kind: Kind, id: &str, time: Timestamp, media_type: &str, block: &'a [u8]) -> Self {
        let mut record = Self { header: "WARC/1.1\r\n".to_owned(), block };
        record.add("WARC-Type", kind.name());
        record.add("WARC-Record-ID", &format!("<{id}>"));
        record.add("WARC-Date", &time.to_string());
        if !media_type.is_empty() {
            record.add("Content-Type", media_type);
        }
        record.add("Content-Length", &block.len().to_string());
        record.add("WARC-Block-Digest", &digest(block));
        record
    }

    /// The record that describes the file.
    pub(super) fn info(id: &str, time: Timestamp, file: &str, fields: &'a Fields) -> Self {
        let mut record = Self::new(Kind::Info, id, time, FIELDS, fields.0.as_bytes());
        record.add("WARC-Filename", file);
        record
    }

    /// Bytes that were found at a URI.
    pub(super) fn resource(id: &str, time: Timestamp, uri: &str, media_type: &str, data: &'a [u8]) -> Self {
        let mut record = Self::new(Kind::Resource, id, time, media_type, data);
        record.add("WARC-Target-URI", uri);
        record.add("WARC-Payload-Digest", &digest(data));
        record
    }

    /// The same text at a URI as in an earlier record.
    pub(super) fn revisit(id: &str, time: Timestamp, uri: &str, earlier: &Earlier<'_>) -> Self {
        let mut record = Self::new(Kind::Revisit, id, time, "", &[]);
        record.add("WARC-Target-URI", uri);
        record.add("WARC-Profile", SAME_TEXT);
        record.add("WARC-Payload-Digest", earlier.payload_digest);
        record.add("WARC-Refers-To", &format!("<{}>", earlier.id));
        record.add("WARC-Refers-To-Target-URI", earlier.uri);
        record.add("WARC-Refers-To-Date", &earlier.time.to_string());
        record
    }

    /// What is known about another record.
    pub(super) fn metadata(id: &str, time: Timestamp, uri: &str, refers_to: &str, fields: &'a Fields) -> Self {
        let mut record = Self::new(Kind::Metadata, id, time, FIELDS, fields.0.as_bytes());
        record.add("WARC-Target-URI", uri);
        record.add("WARC-Refers-To", &format!("<{refers_to}>"));
        record
    }

    fn add(&mut self, name: &str, value: &str) {
        add_field(&mut self.header, name, value);
    }

    /// The record as a gzip member. The same record always gives the same bytes.
    pub(super) fn to_member(&self) -> io::Result<Vec<u8>> {
        let mut member = GzBuilder::new().write(Vec::new(), Compression::default());
        for part in [self.header.as_bytes(), b"\r\n", self.block, b"\r\n\r\n"] {
            member.write_all(part)?;
        }
        member.finish()
    }
}

/// The record that a revisit refers to.
pub(super) struct Earlier<'a> {
    pub(super) id: String,
    pub(super) uri: &'a str,
    pub(super) time: Timestamp,
    pub(super) payload_digest: &'a str,
}

/// Named values, one on a line: the block of a `warcinfo` or `metadata` record.
#[derive(Debug, Default)]
pub(super) struct Fields(String);

impl Fields {
    /// Adds a value, unless it is empty.
    pub(super) fn add(&mut self, name: &str, value: impl ToString) {
        let value = value.to_string();
        if !value.is_empty() {
            add_field(&mut self.0, name, &value);
        }
    }
}

/// Adds a line. What would end the line, or hide in it, becomes a space.
fn add_field(lines: &mut String, name: &str, value: &str) {
    let value = value.replace(char::is_control, " ");
    // Writing to a string never fails.
    let _ = write!(lines, "{name}: {value}\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_add_a_field_or_a_record() {
        let mut fields = Fields::default();
        fields.add("etag", "\"a\"\r\nWARC-Type: response\r\n\r\n");
        fields.add("last-modified", "");
        assert_eq!(fields.0, "etag: \"a\"  WARC-Type: response    \r\n");
    }

    #[test]
    fn an_id_follows_from_what_the_record_is_about() {
        let first = id(&[1; 16], Kind::Resource, 7);
        assert_eq!(first, id(&[1; 16], Kind::Resource, 7));
        for other in [id(&[2; 16], Kind::Resource, 7), id(&[1; 16], Kind::Metadata, 7), id(&[1; 16], Kind::Resource, 8)]
        {
            assert_ne!(first, other);
        }
        let bytes = first.as_bytes();
        assert_eq!((bytes.len(), bytes[9 + 14]), (45, b'8'), "{first}");
    }
}
