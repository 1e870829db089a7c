//! `webhook`: a server sends changes to a URL, and the command line says how that goes.

use tokio::runtime::Runtime;

use super::server::Server;
use super::{Cli, json_lines};
use crate::webhooks::receiver::{Manner, Receiver};

/// A receiver on threads of its own.
fn receiver(runtime: &Runtime, script: &[Manner]) -> Receiver {
    runtime.block_on(Receiver::new(script))
}

#[test]
fn a_webhook_is_created_tested_listed_and_deleted() {
    let runtime = Runtime::new().unwrap();
    let receiver = receiver(&runtime, &[]);
    let cli = Cli::new();
    cli.add("a", "Ferry returns", "It did.", &[]);
    let server = Server::start(&cli, &["--webhook-allow-private"]);
    let key = cli.ok(&["webhook", "create", "index", &receiver.url, "--from", "beginning"]);
    let key = key.trim();
    let message = runtime.block_on(receiver.once(1)).remove(0);
    assert!(message.is_signed_by(key) && message.seqs() == [0], "{key}");
    let tested = cli.ok(&["webhook", "test", "index"]);
    assert!(tested.starts_with("accepted with status 204 after "), "{tested}");
    let listed = || cli.ok(&["webhook", "list"]);
    let expected = format!("index\tactive\t1\t0\t{}\t\n", receiver.url);
    while listed() != expected {}
    let json = json_lines(&cli.ok(&["webhook", "list", "--json"])).remove(0);
    assert_eq!(
        (&json["webhook"]["keys"][0]["publicKey"], &json["webhook"]["state"]),
        (&key.into(), &"WEBHOOK_STATE_ACTIVE".into())
    );
    assert!(cli.ok(&["status"]).contains("Webhooks  1\n"));

    let paused = cli.ok(&["webhook", "pause", "index"]);
    assert!(paused.starts_with("index\tpaused\t"), "{paused}");
    assert!(cli.ok(&["status"]).contains("Webhooks  1, 1 of them paused or disabled; "));
    cli.add("b", "Bridge opens", "It does.", &[]);
    let resumed = cli.ok(&["webhook", "resume", "index"]);
    assert!(resumed.starts_with("index\tactive\t"), "{resumed}");
    assert_eq!(runtime.block_on(receiver.once(3))[2].seqs(), [1]);
    let rotated = cli.ok(&["webhook", "rotate-key", "index", "--overlap", "2h"]);
    assert!(rotated.starts_with("whpk_") && rotated.trim() != key, "{rotated}");

    // The server forgets nothing, and a webhook needs one.
    assert_eq!(server.terminate(), Some(0));
    assert!(listed().starts_with("index\tactive\t2\t0\t"), "{}", listed());
    cli.fails(&["webhook", "test", "index"], 4, "nothing sends to webhooks here; start a server with `dateline serve`");
    let _server = Server::start(&cli, &["--webhook-allow-private"]);
    assert_eq!(cli.ok(&["webhook", "delete", "index"]), "");
    assert_eq!(listed(), "");
    cli.fails(&["webhook", "delete", "index"], 3, "there is no subscription");
}

#[test]
fn a_webhook_that_fails_says_why() {
    let runtime = Runtime::new().unwrap();
    let receiver = receiver(&runtime, &[Manner::Status(500), Manner::Status(410), Manner::Status(404)]);
    let cli = Cli::new();
    cli.add("a", "Ferry returns", "It did.", &[]);
    let _server = Server::start(&cli, &["--webhook-allow-private"]);
    let secret = cli.ok(&["webhook", "create", "index", &receiver.url, "--from", "beginning", "--hmac"]);
    assert!(runtime.block_on(receiver.once(1))[0].is_signed_by(secret.trim()));
    let listed = || cli.ok(&["webhook", "list"]);
    while !listed().starts_with("index\tfailing\t0\t1\t") {}
    assert!(listed().contains("\tthe receiver replied 500 Internal Server Error; next attempt 20"), "{}", listed());
    cli.ok(&["webhook", "resume", "index"]);
    while !listed().starts_with("index\tdisabled\t0\t1\t") {}
    assert!(listed().ends_with("\tthe receiver replied 410 Gone: it wants no more messages\n"), "{}", listed());
    cli.fails(&["webhook", "test", "index"], 1, "the test event was not accepted: the receiver replied 404 Not Found");
    cli.fails(&["watch", "--durable", "index"], 4, "the server itself is its consumer");
}

/// A copy of an archive, made from a backup to try something with it, must not send in the archive's name.
#[test]
fn a_restored_archive_sends_nothing_until_it_is_moved_and_has_a_key() {
    let runtime = Runtime::new().unwrap();
    let receiver = receiver(&runtime, &[]);
    let cli = Cli::new();
    cli.add("a", "Ferry returns", "It did.", &[]);
    let server = Server::start(&cli, &["--webhook-allow-private"]);
    let key = cli.ok(&["webhook", "create", "index", &receiver.url, "--from", "beginning"]);
    runtime.block_on(receiver.once(1));
    while !cli.ok(&["webhook", "list"]).starts_with("index\tactive\t1\t0\t") {}
    let folder = cli.path("backup").to_str().unwrap().to_owned();
    cli.ok(&["backup", &folder]);
    assert_eq!(server.terminate(), Some(0));

    let copy = cli.path("copy").to_str().unwrap().to_owned();
    cli.ok(&["restore", &folder, "--archive", &copy]);
    assert!(!cli.path("copy").join("webhook-keys.toml").exists());
    let server = Server::start(&cli, &["--webhook-allow-private", "--archive", &copy]);
    let at_copy = |arguments: &[&str]| cli.ok(&[arguments, &["--archive", &copy]].concat());
    let held = at_copy(&["webhook", "list"]);
    assert!(held.starts_with("index\theld\t1\t0\t") && held.contains("dates from before a restore"), "{held}");
    at_copy(&["subscriptions", "seek", "index", "--from", "beginning"]);
    while !at_copy(&["webhook", "list"]).contains("its signing key is missing") {}
    assert_eq!(receiver.so_far().len(), 1);
    let new = at_copy(&["webhook", "rotate-key", "index"]);
    at_copy(&["webhook", "resume", "index"]);
    let message = runtime.block_on(receiver.once(2)).remove(1);
    assert!(message.is_signed_by(new.trim()) && !message.is_signed_by(key.trim()));
    assert_eq!(server.terminate(), Some(0));
}

#[test]
fn a_server_sends_to_public_addresses_only_unless_it_is_told_otherwise() {
    let cli = Cli::new();
    cli.add("a", "Ferry returns", "It did.", &[]);
    let _server = Server::start(&cli, &[]);
    cli.fails(&["webhook", "create", "index", "http://example.org/"], 2, "URL: must begin with https");
    cli.ok(&["webhook", "create", "index", "https://127.0.0.1:1/"]);
    cli.fails(&["webhook", "test", "index"], 1, "127.0.0.1, which is not on the public internet");
    cli.fails(&["webhook", "test", "other"], 3, "there is no subscription");
    cli.ok(&["watch", "--until-caught-up", "--durable", "plain"]);
    cli.fails(&["webhook", "pause", "plain"], 4, "has no webhook");
    cli.fails(&["webhook", "delete", "plain"], 4, "`dateline subscriptions delete plain` deletes it");
}
