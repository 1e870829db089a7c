//! Checkpoints and proofs over gRPC: what is in the log can be proved, across restarts, and nothing else can.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use dateline::internals::archive::Options as ArchiveOptions;
use dateline::internals::archive::recover::verify::{rebuild_directory, verify_directory};
use dateline::internals::client::{Client, ServerError};
use dateline::internals::proof::{KeyError, LogKey, ProofFile, VerifierKey};
use dateline::internals::server::{self, Signer};
use dateline::internals::store::Batch;
use dateline::internals::store::engine::directory::Directory;
use dateline::internals::store::engine::sled::{Options, SledEngine};
use dateline::internals::store::engine::{Engine, Read};
use dateline::internals::store::key::tile::TileKey;
use dateline::internals::wire::pb;
use dateline::model::TreeHash;
use dateline::model::merkle::{TileId, is_consistent, root_by_inclusion};
use pb::get_inclusion_proof_request::Change;
use tempfile::TempDir;
use tonic::Code;

use crate::server::{TestServer, fresh, holder, name, publish};

/// A server whose log is signed with a key that its archive's folder has.
pub(crate) async fn signing(directory: &Path) -> (TestServer, Client) {
    let file = directory.join("key.pem");
    if !file.exists() {
        std::fs::write(&file, LogKey::generate().unwrap()).unwrap();
    }
    let signer = Signer::from_pem(&std::fs::read(file).unwrap(), "example.org/log").unwrap();
    let options = server::Options { signer: Some(Arc::new(signer)), ..server::Options::default() };
    let server = TestServer::with_options(&directory.join("archive"), options).await;
    let client = server.client().await;
    (server, client)
}

pub(crate) async fn record(client: &mut Client, count: usize) {
    for batch in (0..count).collect::<Vec<_>>().chunks(100) {
        let requests = batch.iter().map(|number| publish(&format!("a{}", number % 7), &format!("Text {number}.")));
        let requests = pb::BatchRecordObservationsRequest { requests: requests.collect() };
        client.archive.batch_record_observations(requests).await.unwrap();
    }
}

/// A checkpoint of all that is recorded.
pub(crate) async fn checkpoint(client: &mut Client) -> pb::Checkpoint {
    let status = client.admin.get_status(pb::GetStatusRequest {}).await.unwrap().into_inner();
    let min_tree_size = status.snapshot.unwrap().next_seq;
    let request = pb::GetCheckpointRequest { min_tree_size, ..Default::default() };
    client.integrity.get_checkpoint(request).await.unwrap().into_inner().checkpoint.unwrap()
}

pub(crate) async fn key(client: &mut Client) -> VerifierKey {
    let keys = client.integrity.list_log_keys(pb::ListLogKeysRequest {}).await.unwrap().into_inner().keys;
    assert_eq!((keys.len(), keys[0].origin.as_str()), (1, "example.org/log"));
    keys[0].verifier_key.parse().unwrap()
}

pub(crate) async fn proof(
    client: &mut Client,
    change: Change,
    disclosure: pb::ProofDisclosure,
) -> pb::GetInclusionProofResponse {
    let request =
        pb::GetInclusionProofRequest { change: Some(change), disclosure: disclosure.into(), ..Default::default() };
    client.integrity.get_inclusion_proof(request).await.unwrap().into_inner()
}

fn hash(bytes: &[u8]) -> TreeHash {
    TreeHash(bytes.try_into().unwrap())
}

fn hashes(bytes: &[Vec<u8>]) -> Vec<TreeHash> {
    bytes.iter().map(|bytes| hash(bytes)).collect()
}

#[tokio::test]
async fn every_change_can_be_proved_and_the_log_continues_across_restarts() {
    let directory = TempDir::new().unwrap();
    let mut earlier: Vec<pb::Checkpoint> = Vec::new();
    for round in 0..3 {
        let (server, mut client) = signing(directory.path()).await;
        if let Some(last) = earlier.last() {
            assert_eq!(checkpoint(&mut client).await.root_hash, last.root_hash, "opening changes nothing");
        }
        record(&mut client, [250, 7, 600][round]).await;
        let (key, newest) = (key(&mut client).await, checkpoint(&mut client).await);
        for seq in (0..newest.tree_size).step_by(13).chain([newest.tree_size - 1]) {
            let proof = proof(&mut client, Change::Seq(seq), pb::ProofDisclosure::Full).await;
            let file: ProofFile = proof.proof.parse().unwrap();
            let checked = file.check(&key).unwrap();
            assert_eq!((checked.shown.seq(), checked.checkpoint.size), (seq, newest.tree_size));
            // A sighting has neither.
            assert_eq!(checked.shown.content().is_some(), checked.shown.content_digest().is_some());
            assert!(checked.shown.name().unwrap().starts_with(&name("a")));
            let root = root_by_inclusion(seq, newest.tree_size, hash(&proof.leaf_hash), &hashes(&proof.hashes));
            assert_eq!(root, Some(hash(&newest.root_hash)));
        }
        for old in &earlier {
            let request = pb::GetConsistencyProofRequest { from_size: old.tree_size, to_size: None };
            let proof = client.integrity.get_consistency_proof(request).await.unwrap().into_inner();
            assert_eq!(proof.from_root_hash, old.root_hash);
            let (from, to) = (hash(&proof.from_root_hash), hash(&proof.to_root_hash));
            assert_eq!(to, hash(&newest.root_hash));
            assert!(is_consistent(old.tree_size, from, proof.to_size, to, &hashes(&proof.hashes)));
        }
        earlier.push(newest);
        drop(client);
        server.stop().await;
    }
}

/// Crates that share no code with ours accept checkpoints, inclusion proofs and consistency proofs.
#[tokio::test]
async fn another_implementation_accepts_what_is_proved() {
    let directory = TempDir::new().unwrap();
    let (_server, mut client) = signing(directory.path()).await;
    let theirs = |bytes: &[u8]| tlog_tiles::Hash(bytes.try_into().unwrap());
    let mut earlier: Vec<pb::Checkpoint> = Vec::new();
    for count in [1, 3, 251, 2, 300] {
        record(&mut client, count).await;
        let newest = checkpoint(&mut client).await;
        let (size, root) = (newest.tree_size, theirs(&newest.root_hash));
        let verifier = signed_note::StandardVerifier::new(&key(&mut client).await.to_string()).unwrap();
        let known = signed_note::VerifierList::new(vec![Box::new(verifier)]);
        let note = signed_note::Note::from_bytes(newest.note.as_bytes()).unwrap();
        assert_eq!(note.verify(&known).unwrap().0.len(), 1);
        assert_eq!(std::str::from_utf8(note.text()).unwrap().lines().nth(1), Some(size.to_string().as_str()));
        for seq in (0..size).step_by(29).chain([size - 1]) {
            let proof = proof(&mut client, Change::Seq(seq), pb::ProofDisclosure::Withheld).await;
            let path = proof.hashes.iter().map(|hash| theirs(hash)).collect();
            tlog_tiles::check_record(&path, size, root, seq, theirs(&proof.leaf_hash)).unwrap();
        }
        for old in &earlier {
            let request = pb::GetConsistencyProofRequest { from_size: old.tree_size, to_size: None };
            let proof = client.integrity.get_consistency_proof(request).await.unwrap().into_inner();
            let path = proof.hashes.iter().map(|hash| theirs(hash)).collect();
            tlog_tiles::check_tree(&path, size, root, old.tree_size, theirs(&old.root_hash)).unwrap();
        }
        earlier.push(newest);
    }
}

/// While a key is replaced, both sign, so that readers change theirs when they like.
#[tokio::test]
async fn a_key_is_replaced_by_another() {
    let directory = TempDir::new().unwrap();
    let pems = [LogKey::generate().unwrap(), LogKey::generate().unwrap()];
    let verifiers = [&pems[0], &pems[1]].map(|pem| LogKey::from_pem(pem.as_bytes(), "example.org/log").unwrap());
    let mut proofs = Vec::new();
    for keys in [&[0][..], &[1, 0], &[1]] {
        let mut signer = Signer::from_pem(pems[keys[0]].as_bytes(), "example.org/log").unwrap();
        for another in &keys[1..] {
            signer = signer.with_key(pems[*another].as_bytes()).unwrap();
        }
        let options = server::Options { signer: Some(Arc::new(signer)), ..server::Options::default() };
        let server = TestServer::with_options(&directory.path().join("archive"), options).await;
        let mut client = server.client().await;
        if proofs.is_empty() {
            record(&mut client, 3).await;
        }
        // The log has not grown since the first round, and yet each key signs it.
        let file = proof(&mut client, Change::Seq(1), pb::ProofDisclosure::Full).await.proof;
        let file: ProofFile = file.parse().unwrap();
        for (index, verifier) in verifiers.iter().enumerate() {
            let signed_before = proofs.len() == 2 && index == 0;
            let is_signed = file.check(verifier.verifier()).is_ok();
            assert!(is_signed == keys.contains(&index) || signed_before, "{keys:?} {index}");
        }
        let listed = client.integrity.list_log_keys(pb::ListLogKeysRequest {}).await.unwrap().into_inner().keys;
        let listed: Vec<_> = listed.into_iter().map(|key| key.verifier_key).collect();
        let expected: Vec<_> = keys.iter().map(|key| verifiers[*key].verifier().to_string()).collect();
        assert_eq!(listed, expected);
        proofs.push(file);
        drop(client);
        server.stop().await;
    }
    let signer = Signer::from_pem(pems[0].as_bytes(), "a").unwrap();
    assert_eq!(signer.with_key(pems[0].as_bytes()).unwrap_err(), KeyError::Twice);
}

#[tokio::test]
async fn an_altered_proof_proves_nothing() {
    let directory = TempDir::new().unwrap();
    let (_server, mut client) = signing(directory.path()).await;
    record(&mut client, 9).await;
    let key = key(&mut client).await;
    let revision = Change::Revision(format!("{}/revisions/1", name("a3")));
    let text = proof(&mut client, revision, pb::ProofDisclosure::Full).await.proof;
    assert!(text.parse::<ProofFile>().unwrap().check(&key).is_ok());
    for at in 0..text.len() {
        for flipped in [1_u8, 2, 4] {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= flipped;
            let Ok(altered) = String::from_utf8(bytes) else { continue };
            let is_proof = altered.parse::<ProofFile>().is_ok_and(|file| file.check(&key).is_ok());
            assert!(!is_proof, "byte {at} of\n{altered}");
        }
    }
    let other = LogKey::from_pem(LogKey::generate().unwrap().as_bytes(), "example.org/log").unwrap();
    assert!(text.parse::<ProofFile>().unwrap().check(other.verifier()).is_err());
}

#[tokio::test]
async fn a_withheld_proof_shows_nothing_that_anybody_wrote() {
    let directory = TempDir::new().unwrap();
    let (_server, mut client) = signing(directory.path()).await;
    record(&mut client, 3).await;
    let key = key(&mut client).await;
    let text = proof(&mut client, Change::Seq(1), pb::ProofDisclosure::Withheld).await.proof;
    let file: ProofFile = text.parse().unwrap();
    let shown = file.check(&key).unwrap().shown;
    assert_eq!((shown.seq(), shown.name(), shown.content(), shown.content_digest()), (1, None, None, None));
    let json = text.lines().find_map(|line| line.strip_prefix("extra ")).unwrap();
    let json = String::from_utf8(data_encoding::BASE64.decode(json.as_bytes()).unwrap()).unwrap();
    assert!(!json.contains("salt") && !json.contains("data"), "{json}");
}

#[tokio::test]
async fn what_cannot_be_proved_is_rejected() {
    let (_directory, _server, mut client) = fresh().await;
    client.archive.record_observation(publish("a", "Text.")).await.unwrap();
    let refused = |status: tonic::Status| ServerError::from(status);
    let keyless = refused(client.integrity.get_checkpoint(pb::GetCheckpointRequest::default()).await.unwrap_err());
    assert_eq!((keyless.code, keyless.reason.as_str()), (Code::FailedPrecondition, "LOG_KEY_MISSING"));
    let request = |change| pb::GetInclusionProofRequest { change, ..Default::default() };
    let revision = |text: &str| Some(Change::Revision(text.to_owned()));
    for (change, reason) in [
        (None, "FIELD_INVALID"),
        (Some(Change::Seq(1)), "FIELD_INVALID"),
        (revision("sources/courier/articles/a"), "FIELD_INVALID"),
        (revision("sources/courier/articles/b/revisions/1"), "ARTICLE_UNKNOWN"),
        (revision("sources/courier/articles/a/revisions/2"), "REVISION_UNKNOWN"),
        (Some(Change::Seq(0)), "LOG_KEY_MISSING"),
    ] {
        let status = client.integrity.get_inclusion_proof(request(change.clone())).await.unwrap_err();
        assert_eq!(refused(status).reason, reason, "{change:?}");
    }
    for (from_size, to_size) in [(2, None), (0, Some(2)), (1, Some(0))] {
        let request = pb::GetConsistencyProofRequest { from_size, to_size };
        let status = client.integrity.get_consistency_proof(request).await.unwrap_err();
        assert_eq!(refused(status).reason, "FIELD_INVALID");
    }
    assert!(client.integrity.list_log_keys(pb::ListLogKeysRequest {}).await.unwrap().into_inner().keys.is_empty());
}

/// Tiles are projected from the log. A lost one is computed again where it is needed, found by a verification, and
/// written by a rebuild.
#[tokio::test]
async fn a_lost_tile_costs_no_proof() {
    let directory = TempDir::new().unwrap();
    let (server, mut client) = signing(directory.path()).await;
    record(&mut client, 600).await;
    let before = checkpoint(&mut client).await;
    drop(client);
    server.stop().await;

    let archive = directory.path().join("archive");
    let engine = SledEngine::open(Arc::new(Directory::open(&archive, holder()).unwrap()), Options::default()).unwrap();
    let tile = TileKey(TileId { level: 0, index: 1 }).encode();
    assert!(engine.get(&tile).unwrap().is_some());
    engine.commit(&Batch { writes: [(tile, None)].into(), ..Batch::default() }).unwrap();
    drop(engine);

    let (server, mut client) = signing(directory.path()).await;
    assert_eq!(checkpoint(&mut client).await.root_hash, before.root_hash);
    let key = key(&mut client).await;
    let file = proof(&mut client, Change::Seq(300), pb::ProofDisclosure::Full).await.proof;
    assert!(file.parse::<ProofFile>().unwrap().check(&key).is_ok());
    let mut stream = client.admin.verify(pb::VerifyRequest {}).await.unwrap().into_inner();
    let mut findings = Vec::new();
    while let Some(message) = stream.message().await.unwrap() {
        if let Some(pb::verify_response::Event::Finding(finding)) = message.event {
            findings.push((finding.table(), finding.detail));
        }
    }
    assert_eq!(findings, [(pb::VerifyTable::Tree, "a tile is missing".to_owned())]);
    drop((client, stream));
    server.stop().await;

    let rebuilt = rebuild_directory(&archive, &ArchiveOptions::default(), holder(), &mut |_| ControlFlow::Continue(()));
    assert_eq!(rebuilt.unwrap().unwrap().findings, 0);
    let verified = verify_directory(&archive, &ArchiveOptions::default(), holder(), &mut |_| ControlFlow::Continue(()));
    assert_eq!(verified.unwrap().unwrap().findings, 0);
}
