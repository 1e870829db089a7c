//! `cert`, and a server and commands that use its certificates.

use std::os::unix::fs::PermissionsExt;

use super::Cli;
use super::server::Server;

#[test]
fn certificates_of_an_own_authority_secure_a_server() {
    let cli = Cli::new();
    let dir = cli.path("certificates").to_str().unwrap().to_owned();
    let file = |name: &str| format!("{dir}/{name}");
    cli.fails(&["cert", "server", &dir, "--host", "127.0.0.1"], 1, "make an authority first");
    assert_eq!(cli.ok(&["cert", "ca", &dir]), format!("{dir}/ca.pem\n{dir}/ca.key\n"));
    cli.ok(&["cert", "server", &dir, "--host", "localhost", "--host", "127.0.0.1"]);
    cli.ok(&["cert", "client", &dir, "--name", "crawler", "--uri", "spiffe://news.example/crawler"]);
    for key in ["ca.key", "server.key", "crawler.key"] {
        assert_eq!(std::fs::metadata(file(key)).unwrap().permissions().mode() & 0o777, 0o600, "{key}");
    }
    let before = std::fs::read(file("ca.key")).unwrap();
    cli.fails(&["cert", "ca", &dir], 1, "ca.key: File exists");
    cli.fails(&["cert", "client", &dir, "--name", "ca"], 1, "ca.key: File exists");
    cli.fails(&["cert", "client", &dir, "--name", "../x"], 2, "cannot be a part of file names");
    assert!(std::fs::read(file("ca.key")).unwrap() == before);

    let (ca, certificate, key) = (file("ca.pem"), file("server.pem"), file("server.key"));
    cli.fails(&["serve", "--tls-cert", &certificate], 2, "name its file with --tls-key");
    cli.fails(&["serve", "--tls-cert", &certificate, "--tls-key", &ca], 2, "ca.pem is not the PEM of a private key");
    cli.fails(&["serve", "--tls-client-ca", &ca], 2, "only if the server has one");
    let tls = ["--tls-cert", &certificate, "--tls-key", &key, "--tls-client-ca", &ca];
    cli.fails(&[&["serve", "--no-tls"], &tls[..]].concat(), 2, "contradict each other");
    let server = Server::start(&cli, &[&["--listen", "127.0.0.1:0", "--no-auth"], &tls[..]].concat());
    let url = format!("https://{}", server.address);
    let trusted = ["--server", &url, "--ca", &ca];
    assert_eq!(cli.add("a", "Ferry returns", "It did.", &trusted).code, 0);
    let (client, client_key) = (file("crawler.pem"), file("crawler.key"));
    let as_client = ["--tls-client-cert", &client, "--tls-client-key", &client_key];
    assert_eq!(cli.ok(&[&["list"], &trusted[..], &as_client].concat()).lines().count(), 1);
    assert_eq!(cli.ok(&["list"]).lines().count(), 1, "the socket needs no certificate");
    cli.fails(&["list", "--server", &url], 5, "cannot be reached: invalid peer certificate");
    cli.fails(&[&["list"], &trusted[..], &as_client[..2]].concat(), 2, "--tls-client-key");
    let plain = cli.run(&["list", "--server", &server.address]);
    assert!(plain.code == 5 && plain.out.is_empty(), "{plain:?}");
    let status = cli.ok(&["status"]);
    assert!(!status.contains("no encryption"), "{status}");
}
