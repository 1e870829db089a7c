//! Digests: of a content, of a request, and of the log below a position.
//!
//! The content digest is SHA-256 over the encoding below, which docs/FORMAT.md specifies with test vectors. A string is
//! encoded as its length in bytes as a big-endian u32, then its UTF-8; a list as its count as a big-endian u32, then
//! its items; a choice as one byte. Nothing is normalised.

use std::fmt;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::{Block, BlockKind, ClaimedTime, Content, TreeHash};

const CONTENT_DOMAIN: &[u8] = b"dateline content 2\n";
const ARCHIVE_DOMAIN: &[u8] = b"dateline archive 1\n";
const CHANGE_DOMAIN: &[u8] = b"dateline change 2\n";

/// SHA-256 of a content. Two contents with the same digest say the same. The default, all zeros, is that of no content: it
/// stands for one that was destroyed.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentDigest(pub [u8; 32]);

/// SHA-256 over the parts of a request that determine its outcome, truncated to 16 bytes. The default, all zeros, stands
/// for one that was destroyed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestDigest(pub [u8; 16]);

/// The log digest below a position: 16 bytes of a running SHA-256. Once two logs differ, their digests differ from
/// there on.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct LogDigest(pub [u8; 16]);

impl ContentDigest {
    /// The digest of `content`.
    pub fn of(content: &Content) -> Self {
        let mut encoder = DigestEncoder::of_content();
        encoder.content(content);
        encoder.finish_content()
    }

    /// The first eight hexadecimal digits, for display.
    pub fn short(&self) -> String {
        HEXLOWER.encode(self.0.split_at(4).0)
    }
}

impl RequestDigest {
    /// The digest of a request's parts, each length-prefixed, in the given order.
    pub fn of(parts: &[&[u8]]) -> Self {
        let mut hasher = DigestEncoder::new(b"dateline request 1\n");
        for part in parts {
            hasher.bytes(part);
        }
        Self(truncated(hasher.0))
    }
}

impl LogDigest {
    /// The digest of an empty log in the archive with this id.
    pub fn of_archive(id: &[u8; 16]) -> Self {
        Self(truncated(Sha256::new().chain_update(ARCHIVE_DOMAIN).chain_update(id)))
    }

    /// The digest after appending a change whose leaf has this hash.
    #[must_use]
    pub fn after(self, leaf: TreeHash) -> Self {
        Self(truncated(Sha256::new().chain_update(CHANGE_DOMAIN).chain_update(self.0).chain_update(leaf.0)))
    }
}

fn truncated(hasher: Sha256) -> [u8; 16] {
    let full: [u8; 32] = hasher.finalize().into();
    let mut head = [0; 16];
    head.copy_from_slice(full.split_at(16).0);
    head
}

impl fmt::Display for ContentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for ContentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentDigest({self})")
    }
}

impl fmt::Debug for LogDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "History({})", HEXLOWER.encode(&self.0))
    }
}

/// Hashes values in the encoding that digests are computed from.
pub(crate) struct DigestEncoder(Sha256);

impl DigestEncoder {
    fn new(domain: &[u8]) -> Self {
        Self(Sha256::new_with_prefix(domain))
    }

    /// An encoder for the fields of a content, in their order.
    pub(crate) fn of_content() -> Self {
        Self::new(CONTENT_DOMAIN)
    }

    pub(crate) fn finish_content(self) -> ContentDigest {
        ContentDigest(self.0.finalize().into())
    }

    fn content(&mut self, content: &Content) {
        self.text(&content.headline);
        self.text(&content.standfirst);
        self.list(&content.bylines);
        self.text(&content.section);
        self.text(&content.language);
        self.text(&content.canonical_url);
        self.claim(content.publish_time.as_ref());
        self.claim(content.modify_time.as_ref());
        self.list(&content.keywords);
        self.text(&content.rights);
        self.count(content.blocks.len());
        for block in &content.blocks {
            self.block(block);
        }
    }

    /// An absolute claim is encoded as its precision (1 to 4) and its instant; a missing or relative claim as 0. The
    /// words and where they were found are left out: they describe how the claim was read, not what it says.
    fn claim(&mut self, claim: Option<&ClaimedTime>) {
        match claim.filter(|claim| !claim.relative) {
            Some(claim) => self.time(claim.precision.number(), claim.time.micros()),
            None => self.choice(0),
        };
    }

    fn block(&mut self, block: &Block) {
        self.choice(block.kind.tag().number());
        match &block.kind {
            BlockKind::Paragraph { text } | BlockKind::Subheading { text } | BlockKind::CorrectionNote { text } => {
                self.text(text)
            }
            BlockKind::Caption { text, image_url, credit } => self.text(text).text(image_url).text(credit),
            BlockKind::Quote { text, attribution } => self.text(text).text(attribution),
            BlockKind::List { items, ordered } => self.choice(u8::from(*ordered)).list(items),
            BlockKind::Embed { url, text } => self.text(url).text(text),
        };
    }
}

/// The primitives. Each returns the encoder, so that a block is encoded in one chain of calls.
impl DigestEncoder {
    pub(crate) fn choice(&mut self, choice: u8) -> &mut Self {
        self.0.update([choice]);
        self
    }

    pub(crate) fn count(&mut self, count: usize) -> &mut Self {
        self.0.update(u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes());
        self
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.count(bytes.len());
        self.0.update(bytes);
        self
    }

    /// A claimed time that is absolute.
    pub(crate) fn time(&mut self, precision: u8, micros: i64) -> &mut Self {
        self.choice(precision);
        self.0.update(micros.to_be_bytes());
        self
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    fn list(&mut self, items: &[String]) -> &mut Self {
        self.count(items.len());
        for item in items {
            self.text(item);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Precision, Timestamp};

    fn claim(micros: i64, precision: Precision, relative: bool) -> ClaimedTime {
        let time = Timestamp::from_micros(micros).unwrap();
        ClaimedTime { time, precision, words: "2 months ago".into(), found_in: "header".into(), relative }
    }

    /// The second test vector of docs/FORMAT.md: every field, and a block of every kind.
    fn everything() -> Content {
        let text = |text: &str| text.to_owned();
        let kinds = [
            BlockKind::Paragraph { text: text("The bridge is shut.") },
            BlockKind::Subheading { text: text("Detours") },
            BlockKind::Caption { text: text("The bridge at dusk"), image_url: text(""), credit: text("A. Lens") },
            BlockKind::Quote { text: text("We are sorry."), attribution: text("The mayor") },
            BlockKind::List { items: vec![text("north"), text("south")], ordered: true },
            BlockKind::Embed { url: text("https://video.example/1"), text: text("") },
            BlockKind::CorrectionNote { text: text("An earlier version gave another date.") },
        ];
        Content {
            headline: text("Bridge to close"),
            standfirst: text("Repairs until May."),
            bylines: vec![text("Mara Quill")],
            section: text("City"),
            language: text("en-GB"),
            canonical_url: text("https://courier.example/bridge"),
            publish_time: Some(claim(1_762_560_000_000_000, Precision::Day, false)),
            modify_time: Some(claim(1_756_684_800_000_000, Precision::Month, true)),
            keywords: vec![text("bridge"), text("repairs")],
            rights: text("© Courier"),
            blocks: kinds.into_iter().map(Block::from).collect(),
        }
    }

    /// The expected values come from examples/python/content_digest.py, which shares no code with this module.
    #[test]
    fn digests_match_the_documented_test_vectors() {
        let headline = Content { headline: "Bridge to close".into(), ..Content::default() };
        let before_1970 = Content { publish_time: Some(claim(-1, Precision::Instant, false)), ..everything() };
        for (content, expected) in [
            (headline, "9864efda7eb5472a91f8941fa6d22a7dfb8acc07166e7c812da9137364529f58"),
            (everything(), "5e6bbae6dfe1f6141776a1e1c598c9b6062b36e47a497c834228aa5c3524cfff"),
            (before_1970, "62a4485a87b6736e629a35ec8051c6cbe861f84ca8be639476600d50a46ba556"),
        ] {
            assert_eq!(ContentDigest::of(&content).to_string(), expected);
        }
    }

    #[test]
    fn confidence_and_relative_times_do_not_affect_the_digest() {
        let mut scraped_later = everything();
        scraped_later.modify_time = Some(claim(1_759_276_800_000_000, Precision::Month, true));
        for block in &mut scraped_later.blocks {
            block.confidence_percent = Some(70);
        }
        assert_eq!(ContentDigest::of(&scraped_later), ContentDigest::of(&everything()));
    }

    #[test]
    fn moving_text_between_fields_changes_the_digest() {
        let a = Content { headline: "ab".into(), standfirst: "c".into(), ..Content::default() };
        let b = Content { headline: "a".into(), standfirst: "bc".into(), ..Content::default() };
        assert_ne!(ContentDigest::of(&a), ContentDigest::of(&b));
    }
}
