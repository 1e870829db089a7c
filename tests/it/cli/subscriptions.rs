//! `subscriptions`: the durable subscriptions, their positions, and the changes that their consumers have parked.

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
    assert_eq!(cli.ok(&["subscriptions"]), "audit\t3\t0\t0\t0\t-\nindex\t3\t0\t0\t0\t-\n");

    let moved = cli.ok(&["subscriptions", "seek", "index", "--from", "1"]);
    assert!(moved.starts_with("index\t1\t2\t"), "{moved}");
    assert_eq!(cli.ok(&["watch", "--until-caught-up", "--durable", "index"]).lines().count(), 2);
    let listed = json_lines(&cli.ok(&["subscriptions", "--json"]));
    assert_eq!((&listed[1]["name"], &listed[1]["nextSeq"]), (&"subscriptions/index".into(), &"3".into()));

    assert_eq!(cli.ok(&["subscriptions", "delete", "index"]), "");
    assert_eq!(cli.ok(&["subscriptions"]), "audit\t3\t0\t0\t0\t-\n");
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
    assert_eq!(cli.ok(&["subscriptions", "--archive", &new]), "index\t1\t0\t0\t0\theld since a restore; use seek\n");
}

#[test]
fn a_subscription_with_a_consumer_is_neither_moved_nor_updated_nor_deleted() {
    let cli = Cli::new();
    let _server = Server::start(&cli, &[]);
    cli.add("a", "Ferry returns", "It did.", &[]);
    let watching = Watching::start(&cli, &["--durable", "index", "--from", "beginning"]);
    watching.line();
    let listed = cli.ok(&["subscriptions"]);
    assert!(listed.contains("\tdateline watch (process "), "{listed}");
    let update = ["update", "index", "--source", "press"];
    for action in [&["delete", "index"][..], &["seek", "index", "--from", "now"], &update] {
        let done = cli.run(&[&["subscriptions"], action].concat());
        assert!(done.code == 4 && done.err.ends_with("); stop it first\n"), "{done:?}");
    }
    assert_eq!(watching.interrupt().code, 0);
}

/// A command that fails for one article. The other changes are not held up, and once the command is fixed, `retry` makes
/// up for what was missed.
#[test]
fn a_change_that_the_command_cannot_process_is_parked_and_retried() {
    let cli = Cli::new();
    let _server = Server::start(&cli, &[]);
    for article in ["a", "bad", "b", "bad"] {
        cli.add(article, &format!("About {article}"), &format!("It is {article} {}.", article.len()), &[]);
    }
    cli.ok(&["withdraw", "press/bad", "--reason", "on legal advice"]);
    let log = cli.path("log").to_str().unwrap().to_owned();
    let command = format!("line=$(cat); case $line in *articles/bad*) exit 3;; esac; echo done >> '{log}'");
    let watch = ["watch", "--until-caught-up", "--durable", "index", "--from", "beginning", "--exec", &command];
    let done = cli.run(&[&watch[..], &["--park-after", "1"]].concat());
    assert_eq!(done.code, 0, "{done:?}");
    assert!(
        done.err.contains("dateline: change 1: parked after 1 attempt; the command failed (exit status: 3)"),
        "{done:?}"
    );
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "done\ndone\n");
    let tail = cli.ok(&["subscriptions"]);
    assert!(tail.starts_with("index\t") && tail.ends_with("\t0\t0\t2\t-\n"), "all is acknowledged: {tail}");
    let listed = cli.ok(&["subscriptions", "parked", "index"]);
    let rows: Vec<Vec<&str>> = listed.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(
        (rows[0][0], &rows[0][2..]),
        ("1", &["created", "press/bad", "1", "the command failed (exit status: 3)"][..])
    );
    assert_eq!(rows[1][2], "withdrawn");
    let json = json_lines(&cli.ok(&["subscriptions", "parked", "index", "--json", "--view", "full"]));
    assert_eq!(json[0]["change"]["revision"]["content"]["blocks"][0]["paragraph"]["text"], "It is bad 3.");

    let failing = cli.run(&["subscriptions", "retry", "index", "--exec", "grep -q CREATED"]);
    assert_eq!(failing.code, 1, "{failing:?}");
    assert!(failing.err.contains("the command failed for 1 change, and succeeded for 1"), "{failing:?}");
    assert_eq!(cli.ok(&["subscriptions", "retry", "index", "--exec", "exit 0"]), "");
    assert_eq!(cli.ok(&["subscriptions", "parked", "index"]), "");
    cli.fails(&["watch", "--park-after", "1", "--exec", "false"], 2, "--durable");
}

#[test]
fn a_parked_change_can_be_resolved_without_a_command() {
    let cli = Cli::new();
    let _server = Server::start(&cli, &[]);
    for article in ["a", "b", "c"] {
        cli.add(article, "Ferry returns", "It did.", &[]);
    }
    let watch = ["watch", "--until-caught-up", "--durable", "index", "--from", "beginning", "--exec", "false"];
    cli.ok(&[&watch[..], &["--park-after", "1"]].concat());
    assert!(cli.ok(&["subscriptions", "resolve", "index", "0", "2", "7"]).starts_with("index\t3\t0\t0\t1\t"));
    assert!(cli.ok(&["subscriptions", "parked", "index"]).starts_with("1\t"));
}

#[test]
fn what_a_subscription_selects_can_be_updated() {
    let cli = Cli::new();
    let _server = Server::start(&cli, &[]);
    for article in ["a", "b"] {
        cli.add(article, "Ferry returns", "It did.", &[]);
    }
    let watch = |more: &[&str]| cli.ok(&[&["watch", "--until-caught-up", "--durable", "index"], more].concat());
    assert_eq!(watch(&["--from", "beginning", "--article", "press/a"]).lines().count(), 1);
    let other = ["watch", "--until-caught-up", "--durable", "index", "--article", "press/b"];
    cli.fails(&other, 2, "`dateline subscriptions update index` changes it");
    let updated = json_lines(&cli.ok(&[
        "subscriptions",
        "update",
        "index",
        "--article",
        "press/b",
        "--kind",
        "revised",
        "--json",
    ]));
    assert_eq!(updated[0]["filter"]["articles"][0], "sources/press/articles/b");
    cli.ok(&["subscriptions", "seek", "index", "--from", "beginning"]);
    assert_eq!(watch(&[]), "", "press/b was not revised");
    cli.ok(&["subscriptions", "update", "index", "--default-kinds", "--all-articles"]);
    cli.ok(&["subscriptions", "seek", "index", "--from", "beginning"]);
    assert_eq!(watch(&[]).lines().count(), 2);
    cli.fails(&["subscriptions", "update", "index"], 2, "nothing to update");
    cli.fails(&["subscriptions", "update", "other", "--all-articles"], 3, "hint: `dateline subscriptions` lists them");
}
