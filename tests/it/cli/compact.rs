//! `compact`: on an archive that is free, on one that a server holds, and where there is none.

use super::server::Server;
use super::{Cli, Done, example};

fn archive() -> Cli {
    let cli = Cli::new();
    for (name, more) in [("harbour-bridge.txt", None), ("harbour-bridge-revised.txt", Some("--keep-original"))] {
        let file = example(name);
        cli.ok(&[["add", &file, "--article", "bridge"].as_slice(), more.as_slice()].concat());
    }
    cli
}

#[test]
fn a_compacted_archive_gives_the_same_answers() {
    let cli = archive();
    let questions: [&[&str]; 4] = [
        &["show", "port-kestrel-courier/bridge"],
        &["log", "port-kestrel-courier/bridge", "--json"],
        &["show", "port-kestrel-courier/bridge", "--original"],
        &["list", "--json"],
    ];
    let before = questions.map(|question| cli.ok(question));
    let done = cli.run(&["compact"]);
    assert!(done.out.starts_with("compacted 2 contents and 1 original") && done.out.ends_with(" now\n"), "{done:?}");
    assert_eq!((done.code, done.err.as_str()), (0, ""));
    assert_eq!(questions.map(|question| cli.ok(question)), before);
    let json: serde_json::Value = serde_json::from_str(&cli.ok(&["compact", "--json"])).unwrap();
    assert_eq!((&json["contents"], &json["originals"]), (&"2".into(), &"1".into()));
    let bytes = |name: &str| json[name].as_str().unwrap().parse::<u64>().unwrap();
    assert!(bytes("bytesAfter") <= bytes("bytesBefore"), "{json}");
    assert!(cli.ok(&["verify"]).contains("no errors found"));
}

#[test]
fn an_archive_in_use_or_missing_is_not_compacted() {
    let cli = Cli::new();
    cli.fails(&["compact"], 5, "there is no archive in");
    assert!(!cli.archive().exists());
    let cli = archive();
    let server = Server::start(&cli, &[]);
    cli.fails(&["compact"], 4, "cannot be compacted while a server holds it");
    cli.fails(&["compact", "--server", &server.address], 4, "cannot be compacted while a server holds it");
    server.kill();
    cli.ok(&["compact", "--wait", "0"]);
}

#[test]
fn a_disk_with_too_little_space_is_reported_with_what_is_missing() {
    let cli = archive();
    let shown = cli.ok(&["show", "port-kestrel-courier/bridge"]);
    let done = cli.command(&["compact"]).env("DATELINE_FREE_SPACE_FLOOR_BYTES", "1000000000GiB").output().unwrap();
    let done = Done::from(done);
    assert!(done.code == 1 && done.err.contains("are missing") && done.err.contains("free some space"), "{done:?}");
    assert_eq!(cli.ok(&["show", "port-kestrel-courier/bridge"]), shown);
}
