//! `subscriptions`: the durable subscriptions and their positions.

use super::server::Server;
use super::watching::Watching;
use super::{Cli, json_lines};

#[test]
fn durable_subscriptions_are_listed_moved_and_deleted() {
    let cli = Cli::new();
    let _server = Server::start(&cli, &[]);
    for article in ["a", "b", "c"] {
        cli.add(article, "Ferry returns", "It did.", &[]);
    }
    assert_eq!(cli.ok(&["subscriptions"]), "");
    let take_all = |name: &str| cli.ok(&["watch", "--until-caught-up", "--from", "beginning", "--durable", name]);
    assert_eq!(take_all("index").lines().count(), 3);
    assert_eq!(take_all("audit").lines().count(), 3);
    assert_eq!(cli.ok(&["subscriptions"]), "audit\t3\t0\t0\t-\nindex\t3\t0\t0\t-\n");

    let moved = cli.ok(&["subscriptions", "seek", "index", "--from", "1"]);
    assert!(moved.starts_with("index\t1\t2\t"), "{moved}");
    assert_eq!(cli.ok(&["watch", "--until-caught-up", "--durable", "index"]).lines().count(), 2);
    let listed = json_lines(&cli.ok(&["subscriptions", "--json"]));
    assert_eq!((&listed[1]["name"], &listed[1]["nextSeq"]), (&"subscriptions/index".into(), &"3".into()));

    assert_eq!(cli.ok(&["subscriptions", "delete", "index"]), "");
    assert_eq!(cli.ok(&["subscriptions"]), "audit\t3\t0\t0\t-\n");
    cli.fails(&["subscriptions", "delete", "index"], 3, "hint: `dateline subscriptions` lists them");
}

/// If there is no new change, a backup still saves the positions of consumers, and reports that.
#[test]
fn positions_of_consumers_are_backed_up() {
    let cli = Cli::new();
    let server = Server::start(&cli, &[]);
    cli.add("a", "Ferry returns", "It did.", &[]);
    let folder = cli.path("backup").to_str().unwrap().to_owned();
    cli.ok(&["backup", &folder]);
    cli.ok(&["watch", "--until-caught-up", "--from", "beginning", "--durable", "index"]);
    let said = cli.ok(&["backup", &folder]);
    assert!(said.starts_with("backed up durable subscriptions at position 1, "), "{said}");
    let nothing = json_lines(&cli.ok(&["backup", &folder, "--json"]));
    assert_eq!(nothing, [serde_json::json!({ "changes": "0", "nextSeq": "1" })]);
    assert!(cli.ok(&["backup", "--check", &folder]).contains("2 files, 1 change,"));
    assert_eq!(server.terminate(), Some(0));
    let new = cli.path("new").to_str().unwrap().to_owned();
    cli.ok(&["restore", &folder, "--archive", &new]);
    assert_eq!(cli.ok(&["subscriptions", "--archive", &new]), "index\t1\t0\t0\theld since a restore; use seek\n");
}

#[test]
fn a_subscription_with_a_consumer_is_neither_moved_nor_deleted() {
    let cli = Cli::new();
    let _server = Server::start(&cli, &[]);
    cli.add("a", "Ferry returns", "It did.", &[]);
    let watching = Watching::start(&cli, &["--durable", "index", "--from", "beginning"]);
    watching.line();
    let listed = cli.ok(&["subscriptions"]);
    assert!(listed.contains("\tdateline watch (process "), "{listed}");
    for action in [&["delete", "index"][..], &["seek", "index", "--from", "now"]] {
        let done = cli.run(&[&["subscriptions"], action].concat());
        assert!(done.code == 4 && done.err.ends_with("); stop it first\n"), "{done:?}");
    }
    assert_eq!(watching.interrupt().code, 0);
}
