//! Witnesses: a checkpoint is cosigned by others over HTTP, and one that does not answer delays nothing.
//!
//! The witness of these tests shares no code with ours: it verifies with `tlog_tiles` and signs with `ed25519-dalek`.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use data_encoding::BASE64;
use dateline::internals::client::{Client, ServerError};
use dateline::internals::proof::{LogKey, Note, ProofFile, VerifierKey};
use dateline::internals::server::{self, Signer};
use dateline::internals::wire::pb;
use dateline::internals::witness::{self, Options};
use ed25519_dalek::{Signer as _, SigningKey};
use sha2::Digest;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::proofs::{checkpoint, record};
use crate::server::TestServer;

const NAME: &str = "witness.example/w1";
const TIME: u64 = 1_780_000_000;

/// How a witness answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// As the standard says.
    Standard,
    /// With this status.
    Status(u16),
    /// Never.
    Silent,
    /// With more than anybody wants to read.
    Endless,
    /// With the signature of another witness.
    OfAnother,
    /// With a size, whatever it is asked.
    Size(u64),
}

/// What a witness has seen.
#[derive(Clone, Debug)]
struct Seen {
    size: u64,
    root: tlog_tiles::Hash,
    /// The old sizes of all requests.
    asked: Vec<u64>,
}

struct TestWitness {
    address: String,
    key: String,
    seen: Arc<Mutex<Seen>>,
    serving: JoinHandle<()>,
}

impl Drop for TestWitness {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn signing_key(number: u8) -> SigningKey {
    SigningKey::from_bytes(&[number; 32])
}

fn key_id(key: &[u8]) -> u32 {
    signed_note::key_id(NAME, key)
}

fn public(key: &SigningKey) -> Vec<u8> {
    [&[4], &key.verifying_key().to_bytes()[..]].concat()
}

/// The URL and the key of a witness at which nobody answers.
pub(crate) fn unreachable() -> String {
    let key = public(&signing_key(1));
    format!("http://127.0.0.1:1/w1/={NAME}+{:08x}+{}", key_id(&key), BASE64.encode(&key))
}

impl TestWitness {
    async fn new(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/w1/", listener.local_addr().unwrap());
        let encoded = public(&signing_key(1));
        let key = format!("{NAME}+{:08x}+{}", key_id(&encoded), BASE64.encode(&encoded));
        let nothing = tlog_tiles::Hash(sha2::Sha256::digest([]).into());
        let seen = Arc::new(Mutex::new(Seen { size: 0, root: nothing, asked: Vec::new() }));
        let shared = Arc::clone(&seen);
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, manner, Arc::clone(&shared)));
            }
        });
        Self { address: format!("{url}={key}"), key, seen, serving }
    }

    fn key(&self) -> VerifierKey {
        self.key.parse().unwrap()
    }

    fn seen(&self) -> Seen {
        self.seen.lock().unwrap().clone()
    }
}

async fn answer(mut stream: TcpStream, manner: Manner, seen: Arc<Mutex<Seen>>) {
    let request = request(&mut stream).await;
    let (status, body) = match manner {
        Manner::Standard => add_checkpoint(&request, 1, &mut seen.lock().unwrap()),
        Manner::OfAnother => add_checkpoint(&request, 2, &mut seen.lock().unwrap()),
        Manner::Status(status) => (status, String::new()),
        Manner::Silent => std::future::pending().await,
        Manner::Endless => (200, "— a AAAAAAAA\n".repeat(10_000)),
        Manner::Size(size) => (409, format!("{size}\n")),
    };
    let head = format!("HTTP/1.1 {status} Any\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    drop(stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).await);
}

/// The body of a request.
async fn request(stream: &mut TcpStream) -> String {
    let mut received = Vec::new();
    loop {
        stream.read_buf(&mut received).await.unwrap();
        let text = String::from_utf8_lossy(&received).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        assert!(head.starts_with("POST /w1/add-checkpoint HTTP/1.1\r\n"), "{head}");
        let length =
            head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned));
        if body.len() == length.unwrap().parse::<usize>().unwrap() {
            return body.to_owned();
        }
    }
}

/// What the standard says of a request: its status and the body of the answer.
fn add_checkpoint(request: &str, key: u8, seen: &mut Seen) -> (u16, String) {
    let hash = |text: &str| tlog_tiles::Hash(BASE64.decode(text.as_bytes()).unwrap().try_into().unwrap());
    let (proof, note) = request.split_once("\n\n").unwrap();
    let mut lines = proof.lines();
    let old: u64 = lines.next().unwrap().strip_prefix("old ").unwrap().parse().unwrap();
    let proof: Vec<_> = lines.map(hash).collect();
    let note = signed_note::Note::from_bytes(note.as_bytes()).unwrap();
    let text = std::str::from_utf8(note.text()).unwrap();
    let checkpoint = tlog_tiles::Checkpoint::from_bytes(note.text()).unwrap();
    assert_eq!(checkpoint.origin(), "example.org/log");
    seen.asked.push(old);
    assert!(old <= checkpoint.size(), "the old size may not exceed that of the checkpoint");
    if old != seen.size {
        return (409, format!("{}\n", seen.size));
    }
    let continues = match old {
        0 => proof.is_empty(),
        old => tlog_tiles::check_tree(&proof, checkpoint.size(), *checkpoint.hash(), old, seen.root).is_ok(),
    };
    if !continues {
        return (422, String::new());
    }
    (seen.size, seen.root) = (checkpoint.size(), *checkpoint.hash());
    let key = signing_key(key);
    let signature = key.sign(format!("cosignature/v1\ntime {TIME}\n{text}").as_bytes()).to_bytes();
    let signature = [&TIME.to_be_bytes()[..], &signature].concat();
    let line = signed_note::Signature::new(NAME.to_owned(), key_id(&public(&key)), signature).unwrap().to_bytes();
    // Signatures that nobody asked for are ignored.
    (200, format!("— other.example AAAAAAAA\n{}\n", String::from_utf8(line).unwrap().trim_end()))
}

/// A server whose log is cosigned, as `dateline serve --witness` runs it.
struct Witnessed {
    server: TestServer,
    client: Client,
    asking: JoinHandle<()>,
}

impl Witnessed {
    async fn new(directory: &TempDir, witness: &TestWitness) -> Self {
        let file = directory.path().join("key.pem");
        if !file.exists() {
            std::fs::write(&file, LogKey::generate().unwrap()).unwrap();
        }
        let signer = Signer::from_pem(&std::fs::read(file).unwrap(), "example.org/log").unwrap();
        let signer = Arc::new(signer.with_witnesses([witness::parse(&witness.address).unwrap()]));
        let options = server::Options { signer: Some(Arc::clone(&signer)), ..server::Options::default() };
        let server = TestServer::with_options(&directory.path().join("archive"), options).await;
        let client = server.client().await;
        let archive = Arc::clone(&server.archive);
        let asking = tokio::spawn(async move {
            let (every, timeout) = (Duration::from_millis(20), Duration::from_millis(200));
            match witness::run(&archive, &signer, &Options { every, retry_after: every, timeout }).await {}
        });
        Self { server, client, asking }
    }

    async fn stop(self) {
        let Self { server, client, asking } = self;
        asking.abort();
        drop((asking.await, client));
        server.stop().await;
    }

    async fn cosigned(&mut self, min_tree_size: u64) -> Result<pb::Checkpoint, ServerError> {
        let request = pb::GetCheckpointRequest { min_tree_size, cosigned: true };
        let reply = self.client.integrity.get_checkpoint(request).await?;
        Ok(reply.into_inner().checkpoint.unwrap())
    }

    /// The newest cosigned checkpoint, once it has this many changes.
    async fn once_cosigned(&mut self, min_tree_size: u64) -> pb::Checkpoint {
        loop {
            match self.cosigned(min_tree_size).await {
                Ok(cosigned) => return cosigned,
                Err(error) => assert_eq!(error.reason, "CHECKPOINT_NOT_COSIGNED"),
            }
        }
    }

    async fn status(&mut self) -> pb::WitnessStatus {
        self.client.admin.get_status(pb::GetStatusRequest {}).await.unwrap().into_inner().witnesses.remove(0)
    }

    /// The error of the witness, once there is one.
    async fn once_failed(&mut self) -> String {
        loop {
            let status = self.status().await;
            if !status.error.is_empty() {
                return status.error;
            }
        }
    }
}

#[tokio::test]
async fn a_checkpoint_is_cosigned_and_stays_so() {
    let (directory, witness) = (TempDir::new().unwrap(), TestWitness::new(Manner::Standard).await);
    let mut witnessed = Witnessed::new(&directory, &witness).await;
    assert_eq!(witnessed.cosigned(0).await.unwrap_err().reason, "CHECKPOINT_NOT_COSIGNED");
    record(&mut witnessed.client, 3).await;
    let first = witnessed.once_cosigned(3).await;
    assert_eq!((first.tree_size, first.cosignature_count), (3, 1));
    let note: Note = first.note.parse().unwrap();
    assert_eq!(note.cosigned_at(&witness.key()), Some(TIME));
    let status = witnessed.status().await;
    assert_eq!((status.name.as_str(), status.cosigned_tree_size, status.error.as_str()), (NAME, 3, ""));
    // The newest is the cosigned one, as long as the log has not grown.
    assert_eq!(checkpoint(&mut witnessed.client).await, first);

    // The next one is proved to continue it.
    record(&mut witnessed.client, 500).await;
    let second = witnessed.once_cosigned(503).await;
    assert_eq!(witness.seen().asked[..2], [0, 3]);
    witnessed.stop().await;

    // What was cosigned is kept, and the witness says where it stands.
    let mut witnessed = Witnessed::new(&directory, &witness).await;
    assert_eq!(witnessed.cosigned(0).await.unwrap(), second);
    record(&mut witnessed.client, 1).await;
    let third = witnessed.once_cosigned(504).await;
    assert_eq!(witness.seen().size, third.tree_size);
    witnessed.stop().await;
}

/// A cosigned proof shows how early a change was there, so it ends at the first checkpoint that shows it.
#[tokio::test]
async fn a_proof_may_end_at_a_cosigned_checkpoint() {
    let (directory, witness) = (TempDir::new().unwrap(), TestWitness::new(Manner::Standard).await);
    let mut witnessed = Witnessed::new(&directory, &witness).await;
    record(&mut witnessed.client, 300).await;
    witnessed.once_cosigned(300).await;
    // From here on nothing is cosigned, although the log grows.
    witnessed.asking.abort();
    record(&mut witnessed.client, 300).await;
    let key = crate::proofs::key(&mut witnessed.client).await;
    for (seq, cosigned, expected) in
        [(299, true, Ok(300)), (299, false, Ok(600)), (300, true, Err("CHECKPOINT_NOT_COSIGNED"))]
    {
        let change = Some(pb::get_inclusion_proof_request::Change::Seq(seq));
        // A change to the log that is less than a second old must not be left out of an ordinary proof.
        let min_tree_size = if cosigned { 0 } else { 600 };
        let request = pb::GetInclusionProofRequest { change, cosigned, min_tree_size, ..Default::default() };
        let proof = witnessed.client.integrity.get_inclusion_proof(request).await;
        let size = proof.map(|proof| {
            let file: ProofFile = proof.into_inner().proof.parse().unwrap();
            let size = file.check(&key).unwrap().checkpoint.size;
            assert_eq!(file.note.cosigned_at(&witness.key()), cosigned.then_some(TIME));
            size
        });
        assert_eq!(size.map_err(|status| ServerError::from(status).reason), expected.map_err(str::to_owned), "{seq}");
    }
    let Witnessed { server, client, asking } = witnessed;
    drop((asking.await, client));
    server.stop().await;
}

#[tokio::test]
async fn a_witness_that_does_not_cosign_delays_nothing() {
    for (manner, expected) in [
        (Manner::Status(404), "does not know this log"),
        (Manner::Status(503), "cannot answer at the moment"),
        (Manner::Status(302), "status 302"),
        (Manner::Silent, "200ms"),
        (Manner::Endless, "16384"),
        (Manner::OfAnother, "no cosignature"),
        (Manner::Size(9), "another log signs under the same origin"),
        (Manner::Size(2), "another tree of 2 changes"),
    ] {
        let (directory, witness) = (TempDir::new().unwrap(), TestWitness::new(manner).await);
        let mut witnessed = Witnessed::new(&directory, &witness).await;
        record(&mut witnessed.client, 3).await;
        assert_eq!(checkpoint(&mut witnessed.client).await.tree_size, 3);
        let error = witnessed.once_failed().await;
        assert!(error.contains(expected), "{manner:?}: {error}");
        assert_eq!(witnessed.cosigned(0).await.unwrap_err().reason, "CHECKPOINT_NOT_COSIGNED");
        assert_eq!(witnessed.status().await.cosigned_tree_size, 0);
        witnessed.stop().await;
    }
}

#[test]
fn a_witness_is_named_by_its_address_and_its_key() {
    let encoded = public(&signing_key(1));
    let key = format!("{NAME}+{:08x}+{}", key_id(&encoded), BASE64.encode(&encoded));
    for (url, expected) in [
        ("https://w.example", "https://w.example/add-checkpoint"),
        ("https://w.example/", "https://w.example/add-checkpoint"),
        ("http://127.0.0.1:1/a=b/c/", "http://127.0.0.1:1/a=b/c/add-checkpoint"),
    ] {
        assert_eq!(witness::parse(&format!("{url}={key}")).unwrap().url().as_str(), expected);
    }
    let log_key = LogKey::from_pem(LogKey::generate().unwrap().as_bytes(), "example.org/log").unwrap();
    for wrong in [
        key.clone(),
        "https://w.example".to_owned(),
        format!("https://w.example={}", log_key.verifier()),
        format!("ftp://w.example={key}"),
        format!("w.example={key}"),
    ] {
        assert!(witness::parse(&wrong).is_err(), "{wrong}");
    }
}
