//! Evidence of a revision with everything in it, written, read, altered and packed again.

#![cfg(test)]

use data_encoding::{BASE64, HEXLOWER};
use ring::signature::{Ed25519KeyPair, KeyPair};
use sha2::{Digest, Sha256};

use super::*;
use crate::model::leaf::{Group, LeafFields};
use crate::model::merkle::root_by_inclusion;
use crate::model::{Block, BlockKind, ClaimedTime, Content, ContentDigest, Precision, Salt, Timestamp, TreeHash};
use crate::proof::{Checkpoint, LogKey, Note, Shown};
use crate::store::content_encoding;

const ORIGIN: &str = "example.org/news";
/// The private key 0, 1, 2, …, 31 in PKCS#8.
const KEY: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n\
                   -----END PRIVATE KEY-----\n";
const ORIGINAL: &[u8] = b"<!doctype html>\n<script>alert(1)</script>\n";
/// A response of `openssl ts` for the checkpoint of [`evidence`].
const TIME_STAMP_RESPONSE: &[u8] = include_bytes!("tests/checkpoint.tsr");

/// A field of an encoded protobuf message.
fn field(number: u8, value: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, u8::try_from(value.len()).unwrap()], value].concat()
}

/// One block of each kind, in a text with everything that has to be escaped.
fn content() -> Content {
    let text = |text: &str| text.to_owned();
    let blocks = [
        BlockKind::Paragraph { text: text("The ferry <b>came</b> back & left again.") },
        BlockKind::Subheading { text: text("עברית first") },
        BlockKind::Caption {
            text: text("The quay"),
            image_url: text("https://a.example/q.jpg"),
            credit: text("A. B."),
        },
        BlockKind::Quote { text: text("We waited."), attribution: text("The harbour master") },
        BlockKind::List { items: vec![text("one"), text("two")], ordered: true },
        BlockKind::List { items: vec![text("three")], ordered: false },
        BlockKind::Embed { url: text("javascript:alert(1)"), text: text("A post") },
        BlockKind::CorrectionNote { text: text("An earlier version was wrong.\nIt said so.") },
    ];
    let claim = |micros, precision, relative| ClaimedTime {
        time: Timestamp::from_micros(micros).unwrap(),
        precision,
        words: text("some time ago"),
        found_in: text("the page"),
        relative,
    };
    Content {
        standfirst: text("It was away for two weeks."),
        bylines: vec![text("Ada"), text("Bo")],
        section: text("Harbour"),
        language: text("en-GB"),
        canonical_url: text("https://a.example/ferry"),
        publish_time: Some(claim(1_764_460_800_000_000, Precision::Day, false)),
        modify_time: Some(claim(1_764_500_000_000_000, Precision::Month, true)),
        keywords: vec![text("ferry"), text("quay")],
        rights: text("© The Gazette"),
        blocks: blocks.map(|kind| Block { kind, confidence_percent: Some(70) }).into(),
        ..Content::new("Ferry returns, \"at last\"")
    }
}

/// The proof of a change at position 1 of a log of two, whose other leaf is empty.
fn proof(content: &Content) -> ProofFile {
    let mut shown = Shown::new(LeafFields {
        seq: 1,
        kind: 1,
        archive_time: 1_764_500_042_000_126,
        observe_time: 1_764_413_632_500_000,
        article: 7,
        revision: 1,
        batch_first: 1,
        previous: u64::MAX,
        created_seq: 1,
        since: 1_764_413_632_500_000,
        state_seq: u64::MAX,
        labels_seq: u64::MAX,
        flags: 0,
        absence: None,
    });
    let fetch = [field(1, b"https://a.example/ferry?x=1"), field(2, b"W/\"5e8c\"")].concat();
    let attributes = [field(3, &field(11, &field(1, b"text/html; charset=utf-8"))), field(9, &fetch)].concat();
    let encoded = content_encoding::to_bytes(content);
    shown.show(Group::Name, Salt([1; 16]), b"sources/gazette/articles/ferry");
    shown.show(Group::Attributes, Salt([2; 16]), &attributes);
    shown.show(Group::Content, Salt([3; 16]), &ContentDigest::of(content).0);
    shown.show(Group::Original, Salt([4; 16]), &Sha256::digest(ORIGINAL));
    shown.show_content(&encoded);
    signed(shown)
}

fn signed(shown: Shown) -> ProofFile {
    let proof = vec![TreeHash::of_leaf(b"")];
    let root = root_by_inclusion(1, 2, shown.leaf_hash().unwrap(), &proof).unwrap();
    let checkpoint = Checkpoint { origin: ORIGIN.to_owned(), size: 2, root };
    let mut note = Note::unsigned(checkpoint.to_string());
    note.sign(&log_key());
    ProofFile { shown, proof, note }
}

fn log_key() -> LogKey {
    LogKey::from_pem(KEY.as_bytes(), ORIGIN).unwrap()
}

fn evidence() -> Evidence {
    let stamps = vec![TIME_STAMP_RESPONSE.to_vec()];
    Evidence::new(proof(&content()), log_key().verifier().clone(), Some(ORIGINAL.to_vec()), stamps).unwrap()
}

fn file_of<'a>(entries: &'a [Entry<'_>], name: &str) -> &'a str {
    std::str::from_utf8(&entries.iter().find(|entry| entry.name == name).unwrap().data).unwrap()
}

/// Evidence has to stay checkable, so a version of the format always writes the same bytes. Until it is released, a new
/// digest may be entered here; from then on, what changes them needs another version (see the module).
#[test]
fn what_is_written_from_the_same_proofs_does_not_change() {
    let file = evidence().write().unwrap();
    if let Some(path) = std::env::var_os("EVIDENCE_OUTPUT") {
        std::fs::write(path, &file).unwrap();
    }
    assert_eq!(
        HEXLOWER.encode(&Sha256::digest(&file)),
        "4dcd5d71efc573e9870f6102c4d4ee9bb3855bbcdf429be3e3eeae337c86bbf0"
    );
}

#[test]
fn a_file_is_read_as_it_was_written() {
    let file = evidence().write().unwrap();
    let read = Evidence::read(&file).unwrap();
    assert_eq!(read.write().unwrap(), file);
    assert_eq!(read.check(log_key().verifier()).unwrap().shown.seq(), 1);
    assert!(read.shows_content());
    let other = LogKey::from_pem(LogKey::generate().unwrap().as_bytes(), ORIGIN).unwrap();
    assert!(matches!(read.check(other.verifier()), Err(EvidenceError::Proof(ProofError::Signature(_)))));
}

#[test]
fn the_page_is_escaped_and_refers_to_nothing() {
    let evidence = evidence();
    let entries = evidence.entries().unwrap();
    let page = file_of(&entries, name::PAGE);
    for expected in [
        "The ferry &lt;b&gt;came&lt;/b&gt; back &amp; left again.",
        "<h2 class=\"subheading\" dir=\"auto\">עברית first</h2>",
        "<article lang=\"en-GB\">",
        "Published 2025-11-30</p>",
        "default-src 'none'",
    ] {
        assert!(page.contains(expected), "{expected} in {page}");
    }
    for unexpected in ["<script", "href", "src=", "url(", "@import", "some time ago", "Updated"] {
        assert!(!page.contains(unexpected), "{unexpected} in {page}");
    }
    // A tag that would leave its attribute is not written.
    let tagged = Content { language: "\"><script>".to_owned(), ..content() };
    let evidence = Evidence::new(proof(&tagged), log_key().verifier().clone(), Some(ORIGINAL.to_vec()), Vec::new());
    let evidence = evidence.unwrap();
    let entries = evidence.entries().unwrap();
    assert!(file_of(&entries, name::PAGE).contains("<article lang=\"\">"));
    assert!(!file_of(&entries, name::PAGE).contains("<script"));
}

/// What the digest of a content does not cover is not proved, so no file for reading has it.
#[test]
fn what_is_not_proved_is_not_shown() {
    let evidence = evidence();
    let entries = evidence.entries().unwrap();
    let json = file_of(&entries, name::CONTENT);
    assert!(json.contains("\"publishTime\"") && json.contains("TIME_PRECISION_DAY"), "{json}");
    for unexpected in ["modifyTime", "\"words\"", "foundIn", "confidencePercent"] {
        assert!(!json.contains(unexpected), "{unexpected} in {json}");
    }
    let proof: ProofFile = file_of(&entries, name::PROOF).parse().unwrap();
    let shown = proof.check(log_key().verifier()).unwrap().shown.content().unwrap();
    let words = b"some time ago";
    assert!(!shown.windows(words.len()).any(|part| part == words));
}

#[test]
fn a_file_with_any_byte_altered_is_refused() {
    let file = evidence().write().unwrap();
    for at in 0..file.len() {
        let mut altered = file.clone();
        altered[at] ^= 1 << (at % 8);
        assert!(Evidence::read(&altered).is_err(), "byte {at}");
    }
}

/// A forger packs the file again, so that no checksum shows what was altered. Only a time stamp can then be altered: it has a
/// signature of its own.
#[test]
fn a_file_that_is_packed_again_after_an_alteration_is_refused() {
    let evidence = evidence();
    let entries = evidence.entries().unwrap();
    for number in 0..entries.len() {
        let name = &entries[number].name;
        // A part of the bytes of a long file is enough: most are only compared with what is expected, and of a proof,
        // tests/it/proofs.rs alters every byte.
        let step = entries[number].data.len() / 200 + 1;
        for at in (0..entries[number].data.len()).step_by(step) {
            let mut altered = entries.clone();
            altered[number].data.to_mut()[at] ^= 1 << (at % 7);
            let read = Evidence::read(&zip::write(&altered).unwrap());
            assert!(read.is_err() || name.starts_with(TIME_STAMP), "byte {at} of {name}");
        }
        let mut without = entries.clone();
        without.remove(number);
        let read = Evidence::read(&zip::write(&without).unwrap());
        assert!(read.is_err(), "without {name}: {read:?}");
        let mut twice = entries.clone();
        twice.insert(number, entries[number].clone());
        assert!(Evidence::read(&zip::write(&twice).unwrap()).is_err(), "{name} twice");
        let mut more = entries.clone();
        more.insert(number, Entry { name: "more.txt".into(), data: b"more"[..].into() });
        assert!(Evidence::read(&zip::write(&more).unwrap()).is_err(), "one more before {name}");
        let mut moved = entries.clone();
        moved.swap(number, (number + 1) % entries.len());
        assert!(Evidence::read(&zip::write(&moved).unwrap()).is_err(), "{name} at another place");
    }
}

#[test]
fn a_time_stamp_is_of_the_checkpoint() {
    let stamp = TimeStamp::read(TIME_STAMP_RESPONSE).unwrap();
    let checkpoint = proof(&content()).note.to_string();
    assert!(stamp.is_of(checkpoint.as_bytes()));
    assert!(!stamp.is_of(b""));
    for at in 0..TIME_STAMP_RESPONSE.len() {
        assert!(TimeStamp::read(&TIME_STAMP_RESPONSE[..at]).is_err(), "cut at {at}");
    }
    let other = proof(&Content::new("Another text"));
    let stamps = vec![TIME_STAMP_RESPONSE.to_vec()];
    let made = Evidence::new(other, log_key().verifier().clone(), Some(ORIGINAL.to_vec()), stamps);
    assert_eq!(made.unwrap_err(), EvidenceError::TimeStamp(1));
}

/// A cosignature is in the file, and is checked with the key of the witness.
#[test]
fn a_cosignature_is_that_of_its_witness() {
    const TIME: u64 = 1_764_500_100;
    let signer = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    let public = [&[4], signer.public_key().as_ref()].concat();
    let id = Sha256::digest([b"witness.example\n", &public[..]].concat());
    let key: VerifierKey =
        format!("witness.example+{}+{}", HEXLOWER.encode(&id[..4]), BASE64.encode(&public)).parse().unwrap();
    let mut proof = proof(&content());
    let text = format!("cosignature/v1\ntime {TIME}\n{}", proof.note.text());
    let signature = [&id[..4], &TIME.to_be_bytes(), signer.sign(text.as_bytes()).as_ref()].concat();
    assert!(proof.note.add_signature(&key, &format!("— witness.example {}\n", BASE64.encode(&signature))));
    let evidence = Evidence::new(proof, log_key().verifier().clone(), Some(ORIGINAL.to_vec()), Vec::new()).unwrap();
    let file = evidence.write().unwrap();
    let read = Evidence::read(&file).unwrap();
    assert_eq!(read.cosigned_at(&key).unwrap().to_string(), "2025-11-30T10:55:00Z");
    assert_eq!(read.cosigned_at(log_key().verifier()), None);
    assert_eq!(read.signers().collect::<Vec<_>>(), [ORIGIN, "witness.example"]);
    assert!(file_of(&read.entries().unwrap(), name::README).contains("\n    witness.example\n"));
}

#[test]
fn the_original_is_the_one_that_was_recorded() {
    for original in [None, Some(b"another".to_vec()), Some(Vec::new())] {
        let made = Evidence::new(proof(&content()), log_key().verifier().clone(), original, Vec::new());
        assert_eq!(made.unwrap_err(), EvidenceError::Original);
    }
}

/// The encoding of a message may have a field twice, of which decoders make different things.
#[test]
fn a_content_that_can_be_read_in_two_ways_is_refused() {
    let content = content();
    let mut shown = proof(&content).shown;
    // The publisher's claim, and before it one that says that it is relative.
    let twice = [field(7, &[5 << 3, 1]), content_encoding::to_bytes(&content)].concat();
    assert_eq!(content_encoding::digest(&twice), Some(ContentDigest::of(&content)));
    shown.show_content(&twice);
    let made = Evidence::new(signed(shown), log_key().verifier().clone(), Some(ORIGINAL.to_vec()), Vec::new());
    assert_eq!(made.unwrap_err(), EvidenceError::Part("content"));
}

/// The Python verifier recognises the head of the page by its digest.
#[test]
fn the_verifier_knows_the_head_of_the_page() {
    let digest = HEXLOWER.encode(&Sha256::digest(page::HEAD));
    assert!(VERIFIER.contains(&format!("PAGE_HEAD = \"{digest}\"")), "{digest}");
}
