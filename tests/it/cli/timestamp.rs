//! `proof --timestamp`: a checkpoint is stamped by an authority, which is `openssl ts` here, and `openssl ts` accepts it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Cli, example};

/// The authority's certificate must be for nothing but time stamps.
const CONFIG: &str = "
[req]
distinguished_name = name
prompt = no
x509_extensions = stamps
[name]
CN = A time stamping authority
[stamps]
extendedKeyUsage = critical, timeStamping
[tsa]
default_tsa = it
[it]
serial = DIR/serial
signer_cert = DIR/tsa.pem
signer_key = DIR/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4
digests = sha256
";

/// How the authority answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Standard,
    /// As it answered before.
    Again,
    /// As if it had not understood the request.
    Rejecting,
    Garbage,
    Unavailable,
}

struct Authority {
    folder: PathBuf,
}

fn openssl(arguments: &[&str]) -> bool {
    Command::new("openssl").args(arguments).output().is_ok_and(|output| output.status.success())
}

impl Authority {
    fn new(folder: &Path) -> Self {
        std::fs::create_dir(folder).unwrap();
        let authority = Self { folder: folder.to_owned() };
        std::fs::write(authority.path("ca.conf"), CONFIG.replace("DIR", folder.to_str().unwrap())).unwrap();
        std::fs::write(authority.path("serial"), "01\n").unwrap();
        let made =
            ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-config", &authority.text("ca.conf")];
        assert!(openssl(
            &[&made[..], &["-keyout", &authority.text("tsa.key"), "-out", &authority.text("tsa.pem")]].concat()
        ));
        authority
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Answers one request, on a thread. Returns where.
    fn serve(&self, manner: Manner) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/stamp", listener.local_addr().unwrap());
        let authority = Self { folder: self.folder.clone() };
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let query = query(&mut stream);
            let (status, body) = match manner {
                Manner::Standard => (200, authority.reply(&query)),
                Manner::Again => (200, std::fs::read(authority.path("reply")).unwrap()),
                Manner::Rejecting => (200, authority.reply(&query[..9])),
                Manner::Garbage => (200, b"<html>".to_vec()),
                Manner::Unavailable => (503, Vec::new()),
            };
            let head = format!("HTTP/1.1 {status} Any\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            stream.write_all(&[head.as_bytes(), &body].concat()).unwrap();
        });
        url
    }

    fn reply(&self, query: &[u8]) -> Vec<u8> {
        std::fs::write(self.path("query"), query).unwrap();
        let (config, query, reply) = (self.text("ca.conf"), self.text("query"), self.text("reply"));
        // It fails if it rejects the request, and says so in the reply, too.
        openssl(&["ts", "-reply", "-config", &config, "-section", "it", "-queryfile", &query, "-out", &reply]);
        std::fs::read(reply).unwrap()
    }

    fn accepts(&self, data: &Path, reply: &Path) -> bool {
        let (data, reply) = (data.to_str().unwrap(), reply.to_str().unwrap());
        openssl(&["ts", "-verify", "-data", data, "-in", reply, "-CAfile", &self.text("tsa.pem")])
    }
}

/// The body of a request.
fn query(stream: &mut TcpStream) -> Vec<u8> {
    let (mut received, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        let count = stream.read(&mut piece).unwrap();
        received.extend_from_slice(&piece[..count]);
        let Some(at) = received.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&received[..at]).to_ascii_lowercase();
        assert!(head.starts_with("post /stamp ") && head.contains("application/timestamp-query"), "{head}");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        if received.len() == at + 4 + length.parse::<usize>().unwrap() {
            return received.split_off(at + 4);
        }
    }
}

#[test]
fn a_checkpoint_is_stamped_by_another_party() {
    if !openssl(&["version"]) {
        println!("SKIPPED: there is no openssl");
        return;
    }
    let cli = Cli::new();
    let authority = Authority::new(&cli.path("authority"));
    let key = cli.path("log.pem");
    cli.ok(&["key", "new", key.to_str().unwrap()]);
    cli.ok(&["add", &example("harbour-bridge.txt"), "--article", "bridge"]);
    let stamp = |manner, name: &str| {
        let (url, file) = (authority.serve(manner), cli.path(name));
        let arguments = ["proof", "--timestamp", &url, "--output", file.to_str().unwrap()];
        let output = cli.command(&arguments).env("DATELINE_LOG_KEY", &key).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (status, message) = stamp(Manner::Standard, "first");
    assert_eq!(status, 0, "{message}");
    let (first, reply) = (cli.path("first"), cli.path("first.tsr"));
    assert!(std::fs::read_to_string(&first).unwrap().starts_with("dateline.invalid/"));
    assert!(authority.accepts(&first, &reply));
    assert_eq!(stamp(Manner::Standard, "first").0, 4, "it is not replaced");

    // The checkpoint is the same, so only the nonce shows that the reply is an old one.
    let (status, message) = stamp(Manner::Again, "again");
    assert!(status == 1 && message.contains("nonce"), "{message}");
    cli.ok(&["add", &example("night-ferry.md"), "--article", "ferry"]);
    for (manner, expected) in [
        (Manner::Again, "of something else"),
        (Manner::Rejecting, "status 2"),
        (Manner::Garbage, "RFC 3161"),
        (Manner::Unavailable, "503"),
    ] {
        let (status, message) = stamp(manner, "refused");
        assert!(status == 1 && message.contains(expected), "{manner:?}: {message}");
        assert!(!cli.path("refused").exists() && !cli.path("refused.tsr").exists());
    }
    let (status, message) = stamp(Manner::Standard, "second");
    assert_eq!(status, 0, "{message}");
    assert!(authority.accepts(&cli.path("second"), &cli.path("second.tsr")));
    assert!(!authority.accepts(&cli.path("second"), &reply));

    // Of a proof, the checkpoint is stamped, as evidence needs it.
    let (url, file) = (authority.serve(Manner::Standard), cli.path("bridge"));
    let arguments = ["proof", "port-kestrel-courier/bridge", "--timestamp", &url, "--output", file.to_str().unwrap()];
    assert!(cli.command(&arguments).env("DATELINE_LOG_KEY", &key).status().unwrap().success());
    assert!(std::fs::read_to_string(&file).unwrap().starts_with("c2sp.org/tlog-proof@v1"));
    let (reply, note) = (cli.path("bridge.tsr"), cli.path("checkpoint"));
    let proof = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&note, proof.split_once("\n\n").unwrap().1).unwrap();
    assert!(authority.accepts(&note, &reply));
    let (evidence, file, reply) = (cli.path("bridge.zip"), file.to_str().unwrap(), reply.to_str().unwrap());
    let evidence = evidence.to_str().unwrap();
    let arguments =
        ["evidence", "port-kestrel-courier/bridge", "--from", file, "--timestamp", reply, "--output", evidence];
    assert!(cli.command(&arguments).env("DATELINE_LOG_KEY", &key).status().unwrap().success());
    assert!(cli.ok(&["evidence", "--check", evidence]).contains("ime stamp"));
}
