//! A web server for tests that sends exactly the given bytes, and records the requests.
//!
//! It never sleeps. An answer that must take long waits for a [`Gate`] or holds the connection open forever, and a test
//! waits with [`Server::until`].

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

/// The server. Dropping it ends the server and all its connections.
pub(crate) struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

/// A request that the server received.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// The method, such as `GET`.
    pub(crate) method: String,
    /// The path with its query, as sent.
    pub(crate) target: String,
    /// The Host header without its port.
    pub(crate) host: String,
    /// In order, with names in lower case.
    headers: Vec<(String, String)>,
    /// The number of the connection, from 1.
    pub(crate) connection: usize,
}

impl Request {
    /// A header's value; `None` if it wasn't sent.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Everything that has happened so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// All requests, in order.
    pub(crate) requests: Vec<Request>,
    /// How many connections were opened.
    pub(crate) opened: usize,
    /// How many of them were closed.
    pub(crate) closed: usize,
    /// The requests in progress, by host.
    pub(crate) in_flight: HashMap<String, usize>,
    /// The maximum of concurrent requests so far, by host.
    pub(crate) peak: HashMap<String, usize>,
    /// Bytes of bodies that the network has accepted.
    pub(crate) body_bytes: usize,
}

/// The target of the default answer.
const ANY: &str = "";

type Route = Arc<dyn Fn(&Request) -> Answer + Send + Sync>;

struct Shared {
    routes: Mutex<HashMap<String, Route>>,
    seen: watch::Sender<Seen>,
}

impl Server {
    /// A server on a free port of this machine.
    pub(crate) async fn start() -> Self {
        Self::start_with(None).await
    }

    /// A server that speaks TLS.
    pub(crate) async fn start_secure(acceptor: TlsAcceptor) -> Self {
        Self::start_with(Some(acceptor)).await
    }

    async fn start_with(acceptor: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared { routes: Mutex::default(), seen: watch::Sender::new(Seen::default()) });
        let task = tokio::spawn(accept(listener, acceptor, Arc::clone(&shared)));
        Self { address, shared, task }
    }

    /// The address on which it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sets the answer for a target: `/path?query` at every host, or `host/path` at one host, which takes precedence.
    /// It replaces an earlier answer. Other targets get a 404.
    pub(crate) fn route(&self, target: &str, answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) {
        self.shared.routes.lock().unwrap().insert(target.to_owned(), Arc::new(answer));
    }

    /// Sets the answer for every target without one of its own.
    pub(crate) fn otherwise(&self, answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) {
        self.route(ANY, answer);
    }

    /// Sets an HTML page as the answer for a target.
    pub(crate) fn html(&self, target: &str, body: &str) {
        let body = Bytes::from(body.to_owned());
        self.route(target, move |_| Answer::ok("text/html; charset=utf-8", body.clone()));
    }

    /// Everything that has happened so far.
    pub(crate) fn seen(&self) -> Seen {
        self.shared.seen.borrow().clone()
    }

    /// The targets that were requested, in order.
    pub(crate) fn targets(&self) -> Vec<String> {
        self.seen().requests.iter().map(|request| request.target.clone()).collect()
    }

    /// Waits until a condition on what has happened is met.
    pub(crate) async fn until(&self, happened: impl FnMut(&Seen) -> bool) {
        self.shared.seen.subscribe().wait_for(happened).await.unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The server's answer to one request.
pub(crate) struct Answer {
    gate: Option<Gate>,
    head: Head,
    body: Body,
    end: End,
}

enum Head {
    /// A status and headers; Content-Length is added.
    Made { status: u16, headers: Vec<(String, String)> },
    /// These bytes, without anything added.
    Raw(Bytes),
}

enum Body {
    Whole(Bytes),
    Pieces(Box<dyn Iterator<Item = Bytes> + Send>),
}

#[derive(Clone, Copy, PartialEq)]
enum End {
    KeepAlive,
    Close,
    Hold,
}

impl Answer {
    /// 200 with a body.
    pub(crate) fn ok(content_type: &str, body: impl Into<Bytes>) -> Self {
        Self::status(200).header("Content-Type", content_type).body(body)
    }

    /// A status, without a body.
    pub(crate) fn status(status: u16) -> Self {
        Self {
            gate: None,
            head: Head::Made { status, headers: Vec::new() },
            body: Body::Whole(Bytes::new()),
            end: End::KeepAlive,
        }
    }

    /// A redirect.
    pub(crate) fn redirect(status: u16, location: &str) -> Self {
        Self::status(status).header("Location", location)
    }

    /// These bytes, from the status line on; then the connection is closed.
    pub(crate) fn raw(bytes: impl Into<Bytes>) -> Self {
        let head = Head::Raw(bytes.into());
        Self { gate: None, head, body: Body::Whole(Bytes::new()), end: End::Close }
    }

    /// No bytes at all, forever.
    pub(crate) fn never() -> Self {
        Self::raw("").and_hold()
    }

    /// Adds a header.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        match &mut self.head {
            Head::Made { headers, .. } => headers.push((name.to_owned(), value.to_owned())),
            Head::Raw(_) => panic!("raw answers have their own headers"),
        }
        self
    }

    /// Sets the body.
    pub(crate) fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = Body::Whole(body.into());
        self
    }

    /// Sets a body of these pieces, which may never end. Then the connection is closed.
    pub(crate) fn pieces(mut self, pieces: impl Iterator<Item = Bytes> + Send + 'static) -> Self {
        self.body = Body::Pieces(Box::new(pieces));
        self.end = End::Close;
        self
    }

    /// Holds the connection open after the answer, without sending more.
    pub(crate) fn and_hold(mut self) -> Self {
        self.end = End::Hold;
        self
    }

    /// Closes the connection after the answer.
    pub(crate) fn and_close(mut self) -> Self {
        self.end = End::Close;
        self
    }

    /// Sends the answer once the gate lets it through.
    pub(crate) fn behind(mut self, gate: &Gate) -> Self {
        self.gate = Some(gate.clone());
        self
    }

    fn head_bytes(&self) -> Bytes {
        let (status, headers) = match &self.head {
            Head::Raw(bytes) => return bytes.clone(),
            Head::Made { status, headers } => (status, headers),
        };
        let mut head = format!("HTTP/1.1 {status} Whatever\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if let Body::Whole(body) = &self.body
            && *status != 304
        {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        head.into()
    }
}

/// Holds answers back, and lets a given number of them through.
#[derive(Clone)]
pub(crate) struct Gate(Arc<Semaphore>);

impl Gate {
    /// A closed gate.
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }

    /// Lets this many more answers through.
    pub(crate) fn let_through(&self, answers: usize) {
        self.0.add_permits(answers);
    }

    async fn pass(&self) {
        self.0.acquire().await.unwrap().forget();
    }
}

async fn accept(listener: TcpListener, acceptor: Option<TlsAcceptor>, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (acceptor, shared) = (acceptor.clone(), Arc::clone(&shared));
        connections.spawn(async move {
            let mut number = 0;
            shared.seen.send_modify(|seen| {
                seen.opened += 1;
                number = seen.opened;
            });
            serve(stream, acceptor, number, &shared).await;
            shared.seen.send_modify(|seen| seen.closed += 1);
        });
    }
}

/// Serves a connection until either side closes it.
async fn serve(stream: TcpStream, acceptor: Option<TlsAcceptor>, number: usize, shared: &Shared) {
    let Some(acceptor) = acceptor else { return converse(stream, number, shared).await };
    // A client that rejects the certificate closes the connection here.
    if let Ok(stream) = acceptor.accept(stream).await {
        converse(stream, number, shared).await;
    }
}

async fn converse(mut stream: impl AsyncRead + AsyncWrite + Unpin, number: usize, shared: &Shared) {
    while let Some(request) = read_request(&mut stream, number).await {
        let routes = shared.routes.lock().unwrap().clone();
        let own = routes.get(&format!("{}{}", request.host, request.target));
        let answer = own.or_else(|| routes.get(&request.target)).or_else(|| routes.get(ANY)).map_or_else(
            || Answer::status(404).header("Content-Type", "text/plain").body("there is no such page"),
            |route| route(&request),
        );
        let host = request.host.clone();
        shared.seen.send_modify(|seen| {
            let in_flight = seen.in_flight.entry(host.clone()).or_default();
            *in_flight += 1;
            let peak = seen.peak.entry(host.clone()).or_default();
            *peak = (*peak).max(*in_flight);
            seen.requests.push(request);
        });
        let goes_on = say(&mut stream, answer, shared).await;
        shared.seen.send_modify(|seen| *seen.in_flight.get_mut(&host).unwrap() -= 1);
        if !goes_on {
            break;
        }
    }
}

/// Sends an answer. Returns whether the connection stays open.
async fn say(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), answer: Answer, shared: &Shared) -> bool {
    if let Some(gate) = &answer.gate {
        tokio::select! {
            () = gate.pass() => {}
            () = gone(stream) => return false,
        }
    }
    let head = answer.head_bytes();
    if stream.write_all(&head).await.is_err() {
        return false;
    }
    let pieces: Box<dyn Iterator<Item = Bytes> + Send> = match answer.body {
        Body::Whole(body) => Box::new(std::iter::once(body)),
        Body::Pieces(pieces) => pieces,
    };
    for piece in pieces {
        if stream.write_all(&piece).await.is_err() {
            return false;
        }
        shared.seen.send_modify(|seen| seen.body_bytes += piece.len());
    }
    let _ = stream.flush().await;
    match answer.end {
        End::KeepAlive => true,
        End::Hold => {
            gone(stream).await;
            false
        }
        End::Close => {
            let _ = stream.shutdown().await;
            false
        }
    }
}

/// Waits until the client has closed the connection.
async fn gone(stream: &mut (impl AsyncRead + Unpin)) {
    let mut buffer = [0; 1024];
    while !matches!(stream.read(&mut buffer).await, Ok(0) | Err(_)) {}
}

async fn read_request(stream: &mut (impl AsyncRead + Unpin), connection: usize) -> Option<Request> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.trim_end().split("\r\n");
    let mut words = lines.next().unwrap().split(' ');
    let (method, target) = (words.next().unwrap().to_owned(), words.next().unwrap().to_owned());
    let headers: Vec<(String, String)> = lines
        .map(|line| line.split_once(':').unwrap())
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let host = headers.iter().find(|(name, _)| name == "host").map(|(_, value)| value.as_str()).unwrap_or_default();
    let with_port = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    let host = with_port.map_or(host, |(host, _)| host);
    let host = host.to_owned();
    Some(Request { method, target, host, headers, connection })
}
