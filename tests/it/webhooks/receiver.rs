//! A receiver of webhooks that replies as a test says, and verifies signatures with code that is not ours.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use data_encoding::BASE64;
use ed25519_dalek::{Signature, Verifier, VerifyingKey};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How the receiver replies to one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// With this status.
    Status(u16),
    /// With this status and Retry-After.
    RetryAfter(u16, u64),
    /// With a redirect to another path of its own.
    Redirect,
    /// Never.
    Silent,
    /// With the beginning of a head, and nothing after it.
    HalfAHead,
    /// With a head that never ends.
    EndlessHead,
    /// With status 200, and a body that never ends.
    EndlessBody,
    /// With status 200, and a body of which nothing arrives.
    NoBody,
}

/// A message that arrived.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) path: String,
    headers: HashMap<String, String>,
    pub(crate) body: String,
    /// How the receiver treated it.
    pub(crate) manner: Manner,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub(crate) fn id(&self) -> &str {
        self.header("webhook-id")
    }

    /// The same message under another id.
    pub(crate) fn with_id(mut self, id: &str) -> Self {
        self.headers.insert("webhook-id".to_owned(), id.to_owned());
        self
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// The positions of its changes.
    pub(crate) fn seqs(&self) -> Vec<u64> {
        let json = self.json();
        // Proto3 JSON omits a position of 0.
        let seq = |change: &Value| change["seq"].as_str().map_or(0, |seq| seq.parse().unwrap());
        json["data"]["changes"].as_array().map_or(Vec::new(), |changes| changes.iter().map(seq).collect())
    }

    fn signed(&self) -> String {
        format!("{}.{}.{}", self.id(), self.header("webhook-timestamp"), self.body)
    }

    /// The number of signatures.
    pub(crate) fn signature_count(&self) -> usize {
        self.header("webhook-signature").split(' ').count()
    }

    /// Whether one of its signatures is by this public key, `whpk_…`, or this secret, `whsec_…`.
    pub(crate) fn is_signed_by(&self, key: &str) -> bool {
        let signatures = || self.header("webhook-signature").split(' ');
        if let Some(key) = key.strip_prefix("whpk_") {
            let key: [u8; 32] = BASE64.decode(key.as_bytes()).unwrap().try_into().unwrap();
            let key = VerifyingKey::from_bytes(&key).unwrap();
            return signatures().filter_map(|signature| signature.strip_prefix("v1a,")).any(|signature| {
                let signature: [u8; 64] = BASE64.decode(signature.as_bytes()).unwrap().try_into().unwrap();
                key.verify(self.signed().as_bytes(), &Signature::from_bytes(&signature)).is_ok()
            });
        }
        let secret = BASE64.decode(key.strip_prefix("whsec_").unwrap().as_bytes()).unwrap();
        let expected = format!("v1,{}", BASE64.encode(&hmac_sha256(&secret, self.signed().as_bytes())));
        signatures().any(|signature| signature == expected)
    }
}

/// RFC 2104, for keys of at most a block.
fn hmac_sha256(key: &[u8], message: &[u8]) -> Vec<u8> {
    let pad = |byte: u8| (0..64).map(|at| key.get(at).copied().unwrap_or(0) ^ byte).collect::<Vec<_>>();
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().to_vec()
}

/// The receiver. Dropping it ends it.
pub(crate) struct Receiver {
    pub(crate) url: String,
    received: Arc<watch::Sender<Vec<Received>>>,
    script: Arc<Mutex<VecDeque<Manner>>>,
    serving: JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Receiver {
    /// A receiver that replies to the first messages as `script` says, and accepts all others.
    pub(crate) async fn new(script: &[Manner]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let received = Arc::new(watch::Sender::new(Vec::new()));
        let script = Arc::new(Mutex::new(script.iter().copied().collect::<VecDeque<_>>()));
        let (sender, manners) = (Arc::clone(&received), Arc::clone(&script));
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, Arc::clone(&sender), Arc::clone(&manners)));
            }
        });
        Self { url, received, script, serving }
    }

    /// Has the receiver treat one more message like that.
    pub(crate) fn will(&self, manner: Manner) {
        self.script.lock().unwrap().push_back(manner);
    }

    /// Has the receiver accept everything from now on.
    pub(crate) fn will_accept(&self) {
        self.script.lock().unwrap().clear();
    }

    /// All messages, once there are this many.
    pub(crate) async fn once(&self, count: usize) -> Vec<Received> {
        let mut received = self.received.subscribe();
        received.wait_for(|received| received.len() >= count).await.unwrap().clone()
    }

    /// The messages so far.
    pub(crate) fn so_far(&self) -> Vec<Received> {
        self.received.borrow().clone()
    }
}

async fn answer(
    mut stream: TcpStream,
    received: Arc<watch::Sender<Vec<Received>>>,
    script: Arc<Mutex<VecDeque<Manner>>>,
) {
    let Some(message) = request(&mut stream).await else { return };
    let manner = script.lock().unwrap().pop_front().unwrap_or(Manner::Status(204));
    received.send_modify(|received| received.push(Received { manner, ..message }));
    let head = |status: u16, headers: &str| format!("HTTP/1.1 {status} Any\r\nConnection: close\r\n{headers}\r\n");
    let (reply, then) = match manner {
        Manner::Status(status) => (head(status, "Content-Length: 0\r\n"), Then::Close),
        Manner::RetryAfter(status, seconds) => {
            (head(status, &format!("Content-Length: 0\r\nRetry-After: {seconds}\r\n")), Then::Close)
        }
        Manner::Redirect => (head(307, "Content-Length: 0\r\nLocation: /elsewhere\r\n"), Then::Close),
        Manner::Silent => (String::new(), Then::Wait),
        Manner::HalfAHead => ("HTTP/1.1 200 OK\r\nX-Half: a".to_owned(), Then::Wait),
        Manner::EndlessHead => ("HTTP/1.1 200 OK\r\n".to_owned(), Then::Repeat("X-More: abcdefghijklmnop\r\n")),
        Manner::EndlessBody => (head(200, ""), Then::Repeat("more and more of it")),
        Manner::NoBody => (head(200, "Content-Length: 1000\r\n"), Then::Wait),
    };
    let mut is_open = stream.write_all(reply.as_bytes()).await.is_ok();
    match then {
        Then::Close => {}
        Then::Wait => std::future::pending().await,
        Then::Repeat(text) => {
            while is_open {
                is_open = stream.write_all(text.repeat(100).as_bytes()).await.is_ok();
            }
        }
    }
}

/// What follows the beginning of a reply.
enum Then {
    Close,
    Wait,
    Repeat(&'static str),
}

/// Reads a request; `None` if it is not complete.
async fn request(stream: &mut TcpStream) -> Option<Received> {
    let mut bytes = Vec::new();
    loop {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = std::str::from_utf8(&bytes[..end]).unwrap();
        let mut lines = head.lines();
        let path = lines.next().unwrap().strip_prefix("POST ")?.split(' ').next().unwrap().to_owned();
        let header = |line: &str| {
            let (name, value) = line.split_once(':').unwrap();
            (name.to_ascii_lowercase(), value.trim().to_owned())
        };
        let headers: HashMap<_, _> = lines.map(header).collect();
        let length: usize = headers["content-length"].parse().unwrap();
        if bytes.len() == end + 4 + length {
            let body = String::from_utf8(bytes[end + 4..].to_vec()).unwrap();
            return Some(Received { path, headers, body, manner: Manner::Silent });
        }
    }
}
