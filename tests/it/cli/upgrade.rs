//! Archives of other versions of Dateline: one that an earlier build has written, and one whose format is newer.
//!
//! `packaging/try-upgrade` does the same with the binaries of two versions.

use dateline::internals::archive::FORMAT_VERSION;

use super::Cli;
use super::server::Server;
use crate::fixture;

#[test]
fn an_archive_of_an_earlier_build_is_served_written_and_verified() {
    let cli = Cli::new();
    fixture::unpack_to(&cli.archive());
    let before = cli.ok(&["list"]);
    let server = Server::start(&cli, &[]);
    assert_eq!(cli.ok(&["list"]), before);
    assert_eq!(cli.add("a", "Ferry returns", "It did.", &[]).code, 0);
    assert_eq!(server.terminate(), Some(0));
    assert!(cli.ok(&["show", "press/a"]).contains("It did."));
    cli.ok(&["verify"]);
}

/// This version is the older one of a rollback. Whatever command is tried, the newer version finds its archive as it was.
#[test]
fn an_archive_of_a_newer_format_is_refused_and_every_byte_stays() {
    let cli = Cli::new();
    fixture::unpack_to(&cli.archive());
    fixture::say_format(&cli.archive(), FORMAT_VERSION + 1);
    let before = fixture::bytes_of(&cli.archive());
    let document = cli.file("a.md", "# Ferry returns\n\nIt did.\n");
    let backup = cli.path("backup").to_str().unwrap().to_owned();
    let commands: [&[&str]; 8] = [
        &["serve"],
        &["list"],
        &["status"],
        &["add", &document],
        &["backup", &backup],
        &["compact"],
        &["verify"],
        &["verify", "--rebuild"],
    ];
    for command in commands {
        let done = cli.run(command);
        assert_eq!((done.code, done.out.as_str()), (5, ""), "{command:?}: {done:?}");
        for words in [
            format!("has format {}", FORMAT_VERSION + 1),
            format!("this version of Dateline ({}) reads format {FORMAT_VERSION}", env!("CARGO_PKG_VERSION")),
            "restore a backup from before the upgrade".to_owned(),
        ] {
            assert!(done.err.contains(&words), "{command:?} says: {}", done.err);
        }
        let after = fixture::bytes_of(&cli.archive());
        let changed: Vec<_> = before.iter().filter(|(name, bytes)| after.get(*name) != Some(bytes)).collect();
        let names: Vec<_> = changed.iter().map(|(name, _)| name).collect();
        assert!(
            changed.is_empty() && after.len() == before.len(),
            "{command:?} changed {names:?} of {:?}",
            after.keys()
        );
    }
}
