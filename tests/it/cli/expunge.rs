//! `expunge`: a plan that changes nothing, its execution, and what readers, backups and exports then have.

use std::path::Path;

use super::backup::{files, place};
use super::server::Server;
use super::{Cli, json_lines};

const SECRET: &str = "zyxquill";

fn with_two_revisions() -> Cli {
    let cli = Cli::new();
    cli.add("ferry", "Ferry returns", &format!("Captain {SECRET} was at the helm."), &["--keep-original"]);
    cli.add("ferry", "Ferry returns", "The captain was at the helm.", &[]);
    cli.add("bridge", "Bridge to close", "It will.", &[]);
    cli
}

/// The arguments that destroy what `scope` says.
fn order<'a>(article: &'a str, scope: &[&'a str]) -> Vec<&'a str> {
    [&["expunge", article], scope, &["--reason", "court-order", "--reference", "3 O 12/26"]].concat()
}

/// The digest of the plan for this destruction.
fn planned(cli: &Cli, order: &[&str]) -> String {
    let plan = cli.ok(order);
    assert!(plan.starts_with("would expunge  press/"), "{plan}");
    plan.trim().rsplit(' ').next().unwrap().to_owned()
}

fn is_in_files(path: &Path, words: &str) -> bool {
    std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).any(|path| match path.is_dir() {
        true => is_in_files(&path, words),
        // The socket of a server cannot be read.
        false if !path.is_file() => false,
        false => std::fs::read(&path).unwrap().windows(words.len()).any(|part| part == words.as_bytes()),
    })
}

#[test]
fn a_revision_is_destroyed_in_two_steps() {
    let cli = with_two_revisions();
    let order = order("press/ferry", &["--revision", "1"]);
    let digest = planned(&cli, &order);
    assert!(cli.ok(&["show", "press/ferry", "--revision", "1"]).contains(SECRET), "a plan changes nothing");
    let confirm = |digest: &str| [&order[..], &["--confirm", digest]].concat().join("\u{0}");
    let confirmed = |digest: &str| cli.run(&confirm(digest).split('\u{0}').collect::<Vec<_>>());
    assert_eq!(confirmed("12").code, 2);
    let other = confirmed(&"0".repeat(64));
    assert!(other.code != 0 && other.err.contains("make a new plan"), "{other:?}");

    let done = confirmed(&digest);
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.out.starts_with("expunged  press/ferry\n"), "{done:?}");
    assert!(done.out.ends_with("The files of the archive do not have it any more.\n"), "{done:?}");
    assert!(!is_in_files(&cli.archive(), SECRET));
    assert!(!cli.ok(&["status"]).contains("Destroyed"));

    let shown = cli.ok(&["show", "press/ferry", "--revision", "1"]);
    assert!(shown.contains("destroyed: court order 3 O 12/26"), "{shown}");
    assert!(cli.ok(&["show", "press/ferry"]).contains("The captain was at the helm."));
    let log = cli.ok(&["log", "press/ferry"]);
    assert!(log.contains("(destroyed: court order 3 O 12/26)"), "{log}");
    let json = json_lines(&cli.ok(&["show", "press/ferry", "--revision", "1", "--json"]));
    let expunged = &json[0]["expunged"];
    assert_eq!(
        (&expunged["reason"], &expunged["reference"]),
        (&"EXPUNGE_REASON_COURT_ORDER".into(), &"3 O 12/26".into())
    );
    cli.fails(&["diff", "press/ferry", "--from", "1"], 4, "was destroyed");
    cli.fails(&["rollback", "press/ferry", "--to", "1"], 4, "was destroyed");
    cli.fails(&["show", "press/ferry", "--revision", "1", "--original"], 3, "");
    assert!(cli.ok(&["verify"]).contains("no errors"));
    let nothing = cli.ok(&order);
    assert!(nothing.contains("Nothing is left to destroy."), "{nothing}");
}

#[test]
fn a_name_is_destroyed_with_the_article() {
    let cli = Cli::new();
    cli.add(&format!("{SECRET}-resigns"), "Mayor resigns", &format!("{SECRET} resigns."), &["--label", SECRET]);
    let name = format!("press/{SECRET}-resigns");
    let order = order(&name, &["--with-name"]);
    let digest = planned(&cli, &order);
    let done = cli.ok(&[&order[..], &["--confirm", &digest]].concat());
    let (_, new) = done.lines().next().unwrap().split_once("now ").unwrap();
    assert!(new.starts_with("press/expunged-"), "{done}");
    assert!(!is_in_files(&cli.archive(), SECRET));
    cli.fails(&["show", &name], 3, "there is no article");
    assert!(cli.ok(&["show", new]).contains("destroyed: court order"));
    assert!(!cli.ok(&["list"]).contains(SECRET));
    assert!(!cli.ok(&["watch", "--from", "beginning", "--until-caught-up", "--json"]).contains(SECRET));
}

#[test]
fn a_server_destroys_text_only_if_it_is_started_for_it_and_its_files_lose_it_at_the_next_start() {
    let cli = with_two_revisions();
    let order = order("press/ferry", &["--all"]);
    let server = Server::start(&cli, &[]);
    cli.fails(&order, 7, "--allow-expunge");
    assert_eq!(server.terminate(), Some(0));
    let server = Server::start(&cli, &["--allow-expunge"]);
    let digest = planned(&cli, &order);
    let done = cli.ok(&[&order[..], &["--confirm", &digest]].concat());
    assert!(done.contains("restart the server"), "{done}");
    let status = cli.ok(&["status"]);
    assert!(status.contains("Destroyed still in the files since") && status.contains("restart the server"), "{status}");
    assert!(is_in_files(&cli.archive(), SECRET));
    assert_eq!(server.terminate(), Some(0));
    let server = Server::start(&cli, &[]);
    assert!(!cli.ok(&["status"]).contains("Destroyed"));
    assert!(!is_in_files(&cli.archive(), SECRET));
    assert!(cli.ok(&["show", "press/ferry"]).contains("destroyed"));
    assert_eq!(server.terminate(), Some(0));
}

#[test]
fn neither_a_backup_nor_an_export_brings_a_destroyed_text_back() {
    let cli = with_two_revisions();
    let (folder, other) = (place(&cli, "backup"), place(&cli, "other"));
    cli.ok(&["backup", &folder]);
    cli.ok(&["backup", &other]);
    let order = order("press/ferry", &["--revision", "1"]);
    let digest = planned(&cli, &order);
    cli.ok(&[&order[..], &["--confirm", &digest]].concat());
    let shown = |archive: &str| cli.ok(&["show", "press/ferry", "--revision", "1", "--archive", archive]);
    let is_destroyed = |archive: &str| {
        let text = shown(archive);
        assert!(text.contains("destroyed: court order 3 O 12/26") && !text.contains(SECRET), "{text}");
        assert!(cli.ok(&["show", "press/ferry", "--archive", archive]).contains("The captain was at the helm."));
        assert!(cli.ok(&["verify", "--archive", archive]).contains("no errors"));
    };

    // Without its register, a backup from before has the text, as it must: nothing says that it was destroyed.
    let before = place(&cli, "before");
    cli.ok(&["restore", &other, "--archive", &before]);
    assert!(shown(&before).contains(SECRET));
    let register = cli.archive().join("EXPUNGED").to_str().unwrap().to_owned();
    let with_register = place(&cli, "with-register");
    cli.ok(&["restore", &other, "--archive", &with_register, "--register", &register]);
    is_destroyed(&with_register);

    // The next backup brings the register along, and says that an earlier file has the text.
    let next = cli.run(&["backup", &folder]);
    assert!(next.code == 0 && next.err.contains("1 file in") && next.err.contains("--scrub"), "{next:?}");
    let (oldest, from_oldest) = (files(&cli, "backup")[0].to_str().unwrap().to_owned(), place(&cli, "oldest"));
    cli.ok(&["restore", &oldest, "--archive", &from_oldest]);
    is_destroyed(&from_oldest);
    let restored = place(&cli, "restored");
    cli.ok(&["restore", &folder, "--archive", &restored]);
    is_destroyed(&restored);

    // Scrubbed files do not have it, whatever register a restore is given.
    let scrubbed = cli.ok(&["backup", "--scrub", &folder]);
    assert_eq!(scrubbed, "scrubbed 1 of 2 files: destroyed the text of 1 change\n");
    assert_eq!(cli.run(&["backup", &folder]).err, "");
    let scrubbed = json_lines(&cli.ok(&["backup", "--scrub", &other, "--register", &register, "--json"]));
    assert_eq!(scrubbed, [serde_json::json!({ "files": "1", "rewrittenFiles": "1", "expungedChanges": "1" })]);
    let after = place(&cli, "after");
    cli.ok(&["restore", &other, "--archive", &after]);
    is_destroyed(&after);
    assert!(cli.ok(&["backup", "--check", &folder]).starts_with("no errors found: 2 files"));
    let again = cli.ok(&["backup", "--scrub", &other, "--register", &register]);
    assert_eq!(again, "nothing to scrub: no destroyed text in 1 file\n");
    cli.fails(&["backup", "--scrub", "-"], 2, "a directory");
    cli.fails(&["backup", &other, "--register", &register], 2, "--scrub");

    // An export has a stub, and an archive that imports it has one in the same place.
    let exported = cli.file("export.jsonl", cli.ok(&["export"]));
    assert!(!std::fs::read_to_string(&exported).unwrap().contains(SECRET));
    let imported = place(&cli, "imported");
    cli.ok(&["import", &exported, "--archive", &imported]);
    is_destroyed(&imported);
}
