//! `subscriptions`: who follows, and how far they are.

use super::server::Server;
use super::watching::Watching;
use super::{Cli, json_lines};

#[test]
fn the_places_of_consumers_are_listed_moved_and_deleted() {
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

#[test]
fn a_subscription_with_a_consumer_stays_as_it_is() {
    let cli = Cli::new();
    let _server = Server::start(&cli, &[]);
    cli.add("a", "Ferry returns", "It did.", &[]);
    let watching = Watching::start(&cli, &["--durable", "index", "--from", "beginning"]);
    watching.line();
    let listed = cli.ok(&["subscriptions"]);
    assert!(listed.contains("\tdateline watch (process "), "{listed}");
    for action in [&["delete", "index"][..], &["seek", "index", "--from", "now"]] {
        cli.fails(&[&["subscriptions"], action].concat(), 4, "hint: end its consumer first");
    }
    assert_eq!(watching.interrupt().code, 0);
}
