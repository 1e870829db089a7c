//! Who owns the files of an archive, and who may access them.

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use dateline::internals::store::engine::directory::Directory;

use super::backup::place;
use super::places::holder;
use super::server::Server;
use super::{Cli, Done};

/// Runs a command under the usual umask, which lets everyone read.
fn widely(cli: &Cli, args: &[&str]) -> Done {
    let known = cli.command(args);
    let mut command = Command::new("sh");
    command.args(["-c", "umask 022; exec \"$0\" \"$@\""]).arg(known.get_program()).args(known.get_args());
    for (name, value) in known.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.output().unwrap().into()
}

/// A folder and everything in it.
fn tree(top: &Path) -> Vec<PathBuf> {
    let mut found = vec![top.to_owned()];
    if top.is_dir() {
        let entries = fs::read_dir(top).unwrap().map(|entry| entry.unwrap().path());
        entries.for_each(|entry| found.extend(tree(&entry)));
    }
    found
}

/// What other users may access, in a folder that has some files.
fn wide(top: &Path) -> Vec<PathBuf> {
    let found = tree(top);
    assert!(found.len() > 1, "{} has files", top.display());
    found.into_iter().filter(|path| fs::symlink_metadata(path).unwrap().mode() & 0o077 != 0).collect()
}

#[test]
fn archives_and_backups_are_private_to_their_owner_whatever_the_umask() {
    let cli = Cli::new();
    let (document, backup, restored) =
        (super::example("night-ferry.md"), place(&cli, "backup"), place(&cli, "restored"));
    for args in [
        &["add", &document, "--source", "press", "--article", "a"][..],
        &["backup", &backup],
        &["add", &document, "--source", "press", "--article", "b"],
        &["backup", &backup],
        &["restore", &backup, "--archive", &restored],
        &["list", "--archive", &restored],
        &["verify", "--rebuild"],
        &["list"],
    ] {
        let done = widely(&cli, args);
        assert_eq!(done.code, 0, "{args:?}: {done:?}");
    }
    for top in ["archive", "backup", "restored"] {
        assert_eq!(wide(&cli.path(top)), Vec::<PathBuf>::new(), "{top}");
    }
}

#[test]
fn opening_an_archive_makes_it_private_to_its_owner() {
    let cli = Cli::new();
    cli.add("a", "Ferry returns", "It did.", &[]);
    for path in tree(&cli.archive()) {
        let mode = if path.is_dir() { 0o755 } else { 0o644 };
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }
    cli.ok(&["list"]);
    assert_eq!(wide(&cli.archive()), Vec::<PathBuf>::new());
}

#[test]
fn an_archive_with_a_symbolic_link_in_it_is_rejected_and_the_target_unchanged() {
    for name in ["LOCK", "WATERMARK", "db/wal/secret", "db/wal/000000", "db"] {
        let cli = Cli::new();
        cli.add("a", "Ferry returns", "It did.", &[]);
        let (linked, elsewhere) = (cli.archive().join(name), cli.path("elsewhere"));
        fs::rename(&linked, &elsewhere).unwrap();
        symlink(&elsewhere, &linked).unwrap();
        let before: Vec<_> = tree(&elsewhere).into_iter().map(|path| fs::read(path).ok()).collect();
        cli.fails(&["list"], 5, &format!("{name} is a symbolic link"));
        assert!(cli.add("b", "Ferry returns", "It did.", &[]).err.contains("is a symbolic link"));
        let after: Vec<_> = tree(&elsewhere).into_iter().map(|path| fs::read(path).ok()).collect();
        assert!(before == after, "{name} was followed");
    }
}

#[test]
fn root_does_not_open_another_users_archive_and_says_how_to() {
    let cli = Cli::new();
    cli.add("a", "Ferry returns", "It did.", &[]);
    if fs::metadata(cli.archive()).unwrap().uid() != 0 {
        eprintln!("SKIPPED: only root can give files to another user");
        return;
    }
    for path in tree(&cli.archive()) {
        std::os::unix::fs::lchown(path, Some(65_534), Some(65_534)).unwrap();
    }
    let seen = || {
        tree(&cli.archive()).into_iter().map(|path| (fs::metadata(&path).unwrap().uid(), fs::read(&path).ok(), path))
    };
    let before: Vec<_> = seen().collect();
    for args in [&["verify"][..], &["list"], &["verify", "--rebuild"], &["serve", "--listen", "127.0.0.1:0"]] {
        cli.fails(args, 5, "run as that user: sudo -u '#65534' dateline");
    }
    assert!(before == seen().collect::<Vec<_>>(), "nothing was written");
}

#[test]
fn a_lock_without_an_address_is_not_reported_as_a_starting_server() {
    let cli = Cli::new();
    cli.add("a", "Ferry returns", "It did.", &[]);
    let lock = fs::File::open(cli.archive().join("LOCK")).unwrap();
    lock.lock().unwrap();
    cli.fails(&["list", "--wait", "0"], 5, "or another program that locked");
    drop(lock);
    cli.ok(&["list"]);
}

/// Locks an archive and writes an address into the lock, as any program with access to the archive could.
fn claimed(cli: &Cli, address: &str) -> Directory {
    Directory::open(&cli.archive(), holder(Some(address))).unwrap()
}

#[test]
fn nothing_is_sent_to_a_remote_address_in_the_lock() {
    let cli = Cli::new();
    cli.add("a", "Ferry returns", "It did.", &[]);
    for address in ["192.0.2.1:7411", "[2001:db8::1]:7411", "archive.example.org:7411", "127.0.0.1"] {
        let _held = claimed(&cli, address);
        for args in [&["list", "--wait", "0"][..], &["verify", "--wait", "0"]] {
            cli.fails(args, 5, &format!("the lock names {address}, which is not a loopback address; nothing was sent"));
        }
    }
}

#[test]
fn nothing_is_sent_to_a_server_of_another_archive_named_in_the_lock() {
    let (cli, other) = (Cli::new(), Cli::new());
    cli.add("a", "Ferry returns", "It did.", &[]);
    let server = Server::start(&other, &[]);
    let held = claimed(&cli, &server.address);
    let add = cli.add("b", "Ferry sinks", "A secret.", &["--wait", "0"]);
    assert!(add.code == 5 && add.err.contains("a server with another archive responds; nothing was sent"), "{add:?}");
    cli.fails(&["verify", "--wait", "0"], 5, "where a server with another archive responds; nothing was sent");
    assert_eq!(other.ok(&["list"]), "", "nothing was sent to it");
    drop(held);
    // An archive without an ID file cannot be compared with the server's.
    fs::remove_file(cli.archive().join("ID")).unwrap();
    let _held = claimed(&cli, &server.address);
    cli.fails(&["list", "--wait", "0"], 5, "has no archive id");
}

#[test]
fn a_listener_that_is_not_a_dateline_server_gets_no_article() {
    let cli = Cli::new();
    cli.add("a", "Ferry returns", "It did.", &[]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let _held = claimed(&cli, &address);
    let heard = std::thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        let mut heard = Vec::new();
        connection.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        connection.shutdown(std::net::Shutdown::Write).unwrap();
        // The read ends with the connection, however that ends.
        drop(connection.read_to_end(&mut heard));
        heard
    });
    let add = cli.add("b", "Ferry sinks", "A secret.", &["--wait", "0"]);
    assert!(add.code == 5 && add.err.contains("is in use by"), "{add:?}");
    let heard = heard.join().unwrap();
    assert!(!heard.windows(6).any(|words| words == b"secret"), "{}", String::from_utf8_lossy(&heard));
}

#[test]
fn nothing_is_sent_to_another_users_server_named_in_the_lock() {
    let (cli, other) = (Cli::new(), Cli::new());
    cli.add("a", "Ferry returns", "It did.", &[]);
    if fs::metadata(cli.archive()).unwrap().uid() != 0 {
        eprintln!("SKIPPED: only root can start a process of another user");
        return;
    }
    fs::set_permissions(other.path(""), Permissions::from_mode(0o777)).unwrap();
    // The server reports this archive's id: it serves a copy, made by a user who could once read the archive.
    let copied = Command::new("cp").arg("-a").args([cli.archive(), other.archive()]).status().unwrap();
    assert!(copied.success());
    for path in tree(&other.archive()) {
        std::os::unix::fs::lchown(path, Some(65_534), Some(65_534)).unwrap();
    }
    let mut serve = other.command(&["serve", "--listen", "127.0.0.1:0"]);
    serve.uid(65_534).gid(65_534).current_dir("/");
    let server = Server::of(serve);
    let _held = claimed(&cli, &server.address);
    let add = cli.add("b", "Ferry sinks", "A secret.", &["--wait", "0"]);
    assert!(add.code == 5 && add.err.contains("a process of another user (uid 65534) listens"), "{add:?}");
    assert_eq!(cli.ok(&["list", "--server", &server.address]).lines().count(), 1, "nothing was sent to it");
}
