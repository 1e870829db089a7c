//! `verify`: on an archive that is free, on one that a server holds, and on a damaged one.

use std::fs;
use std::path::PathBuf;

use super::server::Server;
use super::{Cli, example};

fn archive() -> Cli {
    let cli = Cli::new();
    for (name, more) in [("harbour-bridge.txt", None), ("harbour-bridge-revised.txt", Some("--keep-original"))] {
        let file = example(name);
        cli.ok(&[["add", &file, "--article", "bridge"].as_slice(), more.as_slice()].concat());
    }
    cli
}

#[test]
fn an_intact_archive_has_no_errors_with_or_without_a_server() {
    let cli = archive();
    let read = "read 2 changes, 1 article, 2 contents, 1 original, ";
    let done = cli.run(&["verify"]);
    assert!(done.out.starts_with(read) && done.out.ends_with("entries: no errors found\n"), "{done:?}");
    assert_eq!((done.code, done.err.as_str()), (0, ""));

    let server = Server::start(&cli, &[]);
    assert_eq!(cli.ok(&["verify"]), done.out);
    let json = cli.ok(&["verify", "--json", "--server", &server.address]);
    assert!(json.contains("\"changes\":\"2\"") && json.contains("\"originals\":\"1\""), "{json}");
    cli.fails(&["verify", "--rebuild"], 4, "while a server holds the archive");
    server.kill();
    cli.ok(&["verify", "--wait", "0"]);
}

#[test]
fn verify_creates_no_archive() {
    let cli = Cli::new();
    cli.fails(&["verify"], 5, "there is no archive in");
    cli.fails(&["verify", "--rebuild"], 5, "there is no archive in");
    assert!(!cli.archive().exists());
}

#[test]
fn rebuilt_indexes_give_the_same_answers() {
    let cli = archive();
    let shown = cli.ok(&["log", "port-kestrel-courier/bridge"]);
    let done = cli.ok(&["verify", "--rebuild"]);
    assert_eq!(done, "rebuilt all indexes from 2 changes and 2 contents\n");
    assert_eq!(cli.ok(&["log", "port-kestrel-courier/bridge"]), shown);
    cli.ok(&["verify"]);
}

/// The log record of the headline is stored uncompressed. If a byte of it rots, either the damage is reported with its
/// position or the archive does not open; both are exit status 6, and examining it changes no file.
#[test]
fn damage_is_reported_with_its_position_and_changes_no_file() {
    let cli = archive();
    let headline = b"Harbour bridge could stay shut";
    let mut found = 0;
    for (file, mut bytes) in files(&cli) {
        let places: Vec<usize> = bytes
            .windows(headline.len())
            .enumerate()
            .filter(|(_, window)| window == headline)
            .map(|(at, _)| at)
            .collect();
        found += places.len();
        for at in places {
            bytes[at] ^= 0x20;
        }
        fs::write(&file, &bytes).unwrap();
    }
    assert!(found > 0);
    let before = files(&cli);
    let done = cli.run(&["verify"]);
    assert_eq!(done.code, 6, "{done:?}");
    // A last record that cannot be read looks like one that was torn; only the count of commits shows that it was whole.
    let shown = ["change 1", "the database had 2 commits"].iter().any(|words| done.out.contains(words));
    assert!(shown || done.err.contains("is damaged"), "{done:?}");
    assert!(done.err.contains("restore"), "{done:?}");
    assert_eq!(files(&cli), before);
    assert_eq!(cli.run(&["verify", "--rebuild"]).code, 6);
}

/// The files of the database and their contents.
fn files(cli: &Cli) -> Vec<(PathBuf, Vec<u8>)> {
    let folders = ["db/sled", "db/wal"].map(|folder| fs::read_dir(cli.archive().join(folder)));
    let entries = folders.into_iter().flatten().flatten().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        entries.filter(|path| path.is_file()).map(|path| (path.clone(), fs::read(path).unwrap())).collect();
    files.sort();
    files
}
