//! Addresses outside the public internet are never connected to, however they are reached.

use std::net::IpAddr;

use dateline::internals::fetch::{FetchError, Fetcher, Options};

use super::server::{Answer, Server};
use super::web::Web;
use super::{error, fetcher, options, page};

fn refused(error: &FetchError) -> IpAddr {
    let FetchError::PrivateAddress { address, .. } = error else { panic!("{error:?}") };
    assert!(error.to_string().contains("not on the public internet") && !error.is_transient());
    *address
}

#[tokio::test]
async fn a_name_that_resolves_to_this_machine_is_not_connected_to() {
    let server = Server::start().await;
    server.html("/", "secret");
    let web = Web::new();
    web.name("inside.example", &["127.0.0.1", "10.0.0.7", "::1"]);
    for address in ["127.0.0.1", "10.0.0.7", "::1"] {
        web.server_at(address, &server);
    }
    let error = error(&fetcher(&web), "http://inside.example/").await;
    assert_eq!(refused(&error).to_string(), "127.0.0.1");
    let told = "http://inside.example/ was not fetched: inside.example is at 127.0.0.1";
    assert!(error.to_string().starts_with(told), "{error}");
    // A host that is named by its address is not said to be at that address.
    let by_address = super::error(&fetcher(&web), "http://127.0.0.1/").await;
    let told = "http://127.0.0.1/ was not fetched: 127.0.0.1 is not on the public internet";
    assert_eq!(by_address.to_string(), told);
    assert_eq!(web.connected(), [""; 0]);
    let allowed = Fetcher::new(Options { allow_private: true, ..options(&web) });
    assert_eq!(page(&allowed, "http://inside.example/").await.body.as_ref(), b"secret");
}

#[tokio::test]
async fn private_addresses_are_recognised_in_every_notation() {
    let web = Web::new();
    let fetcher = fetcher(&web);
    for (host, address) in [
        ("127.0.0.1", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("0x7f000001", "127.0.0.1"),
        ("0177.0.0.1", "127.0.0.1"),
        ("127.1", "127.0.0.1"),
        ("0x7f.1", "127.0.0.1"),
        ("127.0.0.1.", "127.0.0.1"),
        ("１２７。０。０。１", "127.0.0.1"),
        ("0", "0.0.0.0"),
        ("169.254.169.254", "169.254.169.254"),
        ("[::1]", "::1"),
        ("[::]", "::"),
        ("[::ffff:127.0.0.1]", "::ffff:127.0.0.1"),
        ("[::ffff:7f00:1]", "::ffff:127.0.0.1"),
        ("[64:ff9b::a00:1]", "64:ff9b::a00:1"),
        ("[fd00::1]", "fd00::1"),
        ("[fe80::1]", "fe80::1"),
        ("localhost", "127.0.0.1"),
        ("LOCALHOST.", "127.0.0.1"),
        ("news.localhost", "127.0.0.1"),
    ] {
        for scheme in ["http", "https"] {
            let error = error(&fetcher, &format!("{scheme}://{host}:8080/")).await;
            assert_eq!(refused(&error).to_string(), address, "{host}");
        }
    }
    assert_eq!((web.resolved(), web.connected()), (Vec::new(), Vec::new()));
}

#[tokio::test]
async fn public_addresses_are_connected_to() {
    let server = Server::start().await;
    server.html("/", "x");
    let web = Web::new();
    web.server_at("93.184.216.34", &server);
    web.server_at("2606:4700::1111", &server);
    let fetcher = fetcher(&web);
    page(&fetcher, "http://93.184.216.34/").await;
    page(&fetcher, "http://[2606:4700::1111]:81/").await;
    assert_eq!(web.connected(), ["93.184.216.34:80", "[2606:4700::1111]:81"]);
}

#[tokio::test]
async fn a_redirect_cannot_lead_to_a_private_address() {
    let server = Server::start().await;
    let web = Web::of(&server);
    web.name("inside.example", &["192.168.0.1"]);
    web.server_at("192.168.0.1", &server);
    server.html("/secret", "secret");
    let fetcher = fetcher(&web);
    for target in ["http://inside.example/secret", "http://192.168.0.1/secret", "http://[::ffff:c0a8:1]/secret"] {
        server.route("/", move |_| Answer::redirect(302, target));
        let error = error(&fetcher, "http://news.example/").await;
        refused(&error);
        assert!(error.to_string().starts_with(target), "{error}");
    }
    assert!(web.connected().iter().all(|address| address == "9.9.9.1:80"), "{:?}", web.connected());
    assert!(server.targets().iter().all(|target| target == "/"));
}

#[tokio::test]
async fn robots_txt_cannot_redirect_to_a_private_address() {
    let server = Server::start().await;
    let web = Web::of(&server);
    web.server_at("10.0.0.1", &server);
    server.html("/", "x");
    server.route("/robots.txt", |_| Answer::redirect(302, "http://10.0.0.1/"));
    let fetcher = Fetcher::new(Options { obey_robots: true, ..options(&web) });
    let error = error(&fetcher, "http://news.example/").await;
    assert!(matches!(error, FetchError::Robots { .. }), "{error:?}");
    assert_eq!(web.connected(), ["9.9.9.1:80"]);
}

#[tokio::test]
async fn only_the_public_addresses_of_a_name_are_used() {
    let server = Server::start().await;
    server.html("/", "x");
    let web = Web::new();
    web.name("mixed.example", &["10.0.0.1", "9.9.9.9", "fd00::1"]);
    web.server_at("9.9.9.9", &server);
    page(&fetcher(&web), "http://mixed.example/").await;
    assert_eq!(web.connected(), ["9.9.9.9:80"]);
}

#[tokio::test]
async fn private_addresses_need_permission_on_the_real_network() {
    let server = Server::start().await;
    server.html("/", "x");
    let own = Options { obey_robots: false, ..Options::default() };
    let allowing = Fetcher::new(Options { allow_private: true, ..own.clone() });
    let refusing = Fetcher::new(own);
    for host in ["127.0.0.1", "localhost"] {
        let address = format!("http://{host}:{}/", server.address().port());
        refused(&error(&refusing, &address).await);
        assert_eq!(server.seen().requests.len(), 0);
    }
    page(&allowing, &format!("http://{}/", server.address())).await;
    page(&allowing, &format!("http://localhost:{}/", server.address().port())).await;
}

#[tokio::test]
async fn a_name_is_checked_again_for_every_connection() {
    let server = Server::start().await;
    server.route("/", |_| Answer::ok("text/html", "x").and_close());
    let web = Web::of(&server);
    let fetcher = fetcher(&web);
    page(&fetcher, "http://news.example/").await;
    server.until(|seen| seen.closed == 1).await;
    web.name("news.example", &["127.0.0.1"]);
    web.server_at("127.0.0.1", &server);
    refused(&error(&fetcher, "http://news.example/").await);
}
