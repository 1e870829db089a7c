//! `serve` under a service manager: what it reports on the socket in NOTIFY_SOCKET, and what SIGHUP does.

use std::os::unix::net::{UnixDatagram, UnixStream};
use std::process::Command;
use std::time::Duration;

use super::Cli;
use super::server::Server;

/// The service manager's end of the socket.
struct Manager(UnixDatagram);

impl Manager {
    fn new(cli: &Cli) -> Self {
        let socket = UnixDatagram::bind(cli.path("notify")).unwrap();
        // A report that is missing fails the test instead of stopping it.
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        Self(socket)
    }

    /// Starts a server that reports here.
    fn start(&self, cli: &Cli, more: &[&str]) -> Server {
        Server::of(self.command(cli, more))
    }

    fn command(&self, cli: &Cli, more: &[&str]) -> Command {
        let mut command = cli.command(&[&["serve"], more].concat());
        command.env("NOTIFY_SOCKET", cli.path("notify"));
        command
    }

    fn next(&self) -> String {
        let mut bytes = [0; 4096];
        let length = self.0.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }

    /// The reports up to and including the first that has these words.
    fn until(&self, words: &str) -> Vec<String> {
        let mut reports = vec![self.next()];
        while !reports.last().unwrap().contains(words) {
            reports.push(self.next());
        }
        reports
    }

    /// The reports that have come in.
    fn rest(&self) -> String {
        self.0.set_nonblocking(true).unwrap();
        let mut bytes = [0; 4096];
        let mut rest = String::new();
        while let Ok(length) = self.0.recv(&mut bytes) {
            rest.push_str(std::str::from_utf8(&bytes[..length]).unwrap());
        }
        rest
    }
}

/// Sends SIGHUP, as `systemctl reload` does.
fn hang_up(server: &Server) {
    assert!(Command::new("kill").args(["-s", "HUP", &server.id().to_string()]).status().unwrap().success());
}

#[test]
fn a_server_reports_that_it_opens_serves_lives_and_stops() {
    let cli = Cli::new();
    cli.add("a", "Ferry returns", "It did.", &[]);
    let manager = Manager::new(&cli);
    let mut command = manager.command(&cli, &["--grace-period", "100s"]);
    command.env("WATCHDOG_USEC", "600000000");
    let server = Server::of(command);
    let opening = manager.until("READY=1");
    let (ready, before) = opening.split_last().unwrap();
    assert_eq!(before.first().unwrap(), "STATUS=opening the archive\n");
    assert!(before.iter().any(|report| report == "EXTEND_TIMEOUT_USEC=60000000\n"), "{before:?}");
    assert_eq!(ready, &format!("READY=1\nSTATUS=serving 1 article at {}\n", server.address));
    UnixStream::connect(cli.archive().join("socket")).unwrap();
    let alive = manager.until("WATCHDOG=1");
    assert_eq!(alive, [format!("WATCHDOG=1\nSTATUS=serving 1 article at {}\n", server.address)]);
    assert_eq!(server.terminate(), Some(0));
    // The grace period, and 75 s.
    assert_eq!(manager.rest(), "STOPPING=1\nSTATUS=shutting down\nEXTEND_TIMEOUT_USEC=175000000\n");
}

#[test]
fn a_server_that_cannot_serve_is_never_reported_as_ready() {
    let cli = Cli::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    cli.add("a", "Ferry returns", "It did.", &[]);
    let manager = Manager::new(&cli);
    let address = taken.local_addr().unwrap().to_string();
    assert_eq!(manager.command(&cli, &["--no-auth", "--listen", &address]).output().unwrap().status.code(), Some(1));
    let reports = manager.rest();
    assert!(reports.contains("opening the archive") && !reports.contains("READY"), "{reports}");
}

/// The certificate is also read again by itself, but only every ten seconds: what is used right after the reload was read
/// by the reload.
#[test]
fn a_reload_uses_a_new_certificate_and_new_rules_and_keeps_the_old_ones_if_they_are_wrong() {
    let cli = Cli::new();
    let dir = |name: &str| cli.path(name).to_str().unwrap().to_owned();
    for name in ["old", "new"] {
        cli.ok(&["cert", "ca", &dir(name)]);
        cli.ok(&["cert", "server", &dir(name), "--host", "127.0.0.1"]);
    }
    let config = |more: &str| {
        let (cert, key) = (format!("{}/server.pem", dir("old")), format!("{}/server.key", dir("old")));
        let text = format!("listen = [\"127.0.0.1:0\"]\ntls_cert = {cert:?}\ntls_key = {key:?}\n{more}");
        cli.file("dateline.toml", text)
    };
    cli.ok(&["token", "create", "crawler", "--may", "read", "--source", "*"]);
    let file = config("");
    let manager = Manager::new(&cli);
    let server = manager.start(&cli, &["--config", &file]);
    manager.until("WATCHDOG=1");
    let url = format!("https://{}", server.address);
    let trusts = |authority: &str| {
        let done = cli.run(&["whoami", "--server", &url, "--ca", &format!("{}/ca.pem", dir(authority))]);
        // Without a token the server refuses the call, once the certificate was accepted.
        done.code == 7
    };
    assert!(trusts("old") && !trusts("new"));

    for name in ["server.pem", "server.key"] {
        std::fs::copy(cli.path("new").join(name), cli.path("old").join(name)).unwrap();
    }
    hang_up(&server);
    let reports = manager.until("READY=1");
    let reloading = reports.iter().find(|report| report.starts_with("RELOADING=1\nMONOTONIC_USEC=")).unwrap();
    let micros = reloading.lines().nth(1).unwrap().trim_start_matches("MONOTONIC_USEC=");
    assert!(micros.parse::<u64>().is_ok(), "{reloading}");
    assert!(reports.last().unwrap().trim_end().ends_with("; reloaded"), "{reports:?}");
    assert!(!trusts("old") && trusts("new"));

    std::fs::write(cli.path("old").join("server.key"), "no key").unwrap();
    std::fs::write(cli.archive().join("access.toml"), "[[principal]]\nnmae = \"x\"\n").unwrap();
    config("labels_max = 3\n");
    hang_up(&server);
    let reports = manager.until("READY=1");
    assert!(reports.last().unwrap().contains("the last reload failed"), "{reports:?}");
    assert!(trusts("new"), "the old files stay in use");
    std::fs::write(cli.path("dateline.toml"), "lisen = 1\n").unwrap();
    hang_up(&server);
    manager.until("READY=1");

    let (code, log) = server.end();
    assert_eq!(code, Some(0));
    for words in [
        "server.key is not the PEM of a private key",
        "access.toml, line 2",
        "these settings have changed; restart the server to apply them settings=\"labels_max\"",
        "line 1: unknown field `lisen`",
        "reloaded the certificates and the access rules",
    ] {
        assert!(log.contains(words), "no {words} in\n{log}");
    }
}
