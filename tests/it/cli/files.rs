//! Who owns the files of an archive, and who may access them.

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
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
    for args in [&["verify"][..], &["list"], &["verify", "--rebuild"], &["serve"]] {
        cli.fails(args, 5, "run as that user: sudo -u '#65534' dateline");
    }
    assert!(before == seen().collect::<Vec<_>>(), "nothing was written");
}

#[test]
fn a_lock_without_a_holder_is_reported_as_it_is() {
    let cli = Cli::new();
    cli.add("a", "Ferry returns", "It did.", &[]);
    let lock = fs::File::open(cli.archive().join("LOCK")).unwrap();
    lock.lock().unwrap();
    cli.fails(&["list", "--wait", "0"], 5, "or another program that locked");
    drop(lock);
    cli.ok(&["list"]);
}

/// Locks an archive, as any program of its owner could.
fn held(cli: &Cli) -> Directory {
    Directory::open(&cli.archive(), holder()).unwrap()
}

/// The server of a copy, or of an archive that was moved away, could be reached through the socket in the directory.
#[test]
fn nothing_is_sent_to_a_server_of_another_archive() {
    let (cli, other) = (Cli::new(), Cli::new());
    cli.add("a", "Ferry returns", "It did.", &[]);
    let server = Server::start(&other, &[]);
    let held = held(&cli);
    fs::hard_link(other.archive().join("socket"), cli.archive().join("socket")).unwrap();
    let add = cli.add("b", "Ferry sinks", "A secret.", &["--wait", "0"]);
    assert!(add.code == 5 && add.err.contains("it serves another archive; nothing was sent"), "{add:?}");
    cli.fails(&["verify", "--wait", "0"], 5, "it serves another archive; nothing was sent");
    assert_eq!(other.ok(&["list"]), "", "nothing was sent to it");
    drop(held);
    // An archive without an ID file cannot be compared with the server's.
    fs::remove_file(cli.archive().join("ID")).unwrap();
    let _held = self::held(&cli);
    cli.fails(&["list", "--wait", "0"], 5, "has no archive id");
    drop(server);
}

#[test]
fn a_listener_that_is_not_a_dateline_server_gets_no_article() {
    let cli = Cli::new();
    cli.add("a", "Ferry returns", "It did.", &[]);
    let _held = held(&cli);
    let listener = UnixListener::bind(cli.archive().join("socket")).unwrap();
    let heard = std::thread::spawn(move || {
        // A command first finds out whether anything listens, and then connects.
        let mut heard = Vec::new();
        for _ in 0..2 {
            let (mut connection, _) = listener.accept().unwrap();
            // The command may be gone already, and a read ends with the connection, however that ends.
            drop(connection.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n"));
            drop(connection.shutdown(std::net::Shutdown::Write));
            drop(connection.read_to_end(&mut heard));
        }
        heard
    });
    let add = cli.add("b", "Ferry sinks", "A secret.", &["--wait", "0"]);
    assert!(add.code == 5 && add.err.contains("is in use by"), "{add:?}");
    let heard = heard.join().unwrap();
    assert!(!heard.windows(6).any(|words| words == b"secret"), "{}", String::from_utf8_lossy(&heard));
}

#[test]
fn a_socket_of_another_user_in_the_archive_is_not_used() {
    let cli = Cli::new();
    cli.add("a", "Ferry returns", "It did.", &[]);
    let socket = cli.archive().join("socket");
    let _held = held(&cli);
    let _listener = UnixListener::bind(cli.path("elsewhere")).unwrap();
    symlink(cli.path("elsewhere"), &socket).unwrap();
    cli.fails(&["list", "--wait", "0"], 5, "socket is a symbolic link");
    if fs::metadata(cli.archive()).unwrap().uid() != 0 {
        eprintln!("SKIPPED: only root can give files to another user");
        return;
    }
    fs::remove_file(&socket).unwrap();
    let _listener = UnixListener::bind(&socket).unwrap();
    std::os::unix::fs::lchown(&socket, Some(65_534), None).unwrap();
    cli.fails(&["list", "--wait", "0"], 5, "socket belongs to another user (uid 65534)");
}

/// The modes of the directory and of the socket keep other users away. If both were widened, the server still knows who
/// connects.
#[test]
fn a_process_of_another_user_is_not_served_on_the_socket() {
    let cli = Cli::new();
    if fs::metadata(cli.path("")).unwrap().uid() != 0 {
        eprintln!("SKIPPED: only root can start a process of another user");
        return;
    }
    let server = Server::start(&cli, &[]);
    let socket = cli.archive().join("socket");
    assert_eq!(fs::metadata(&socket).unwrap().mode() & 0o777, 0o600);
    for path in [cli.path(""), cli.archive(), socket] {
        fs::set_permissions(path, Permissions::from_mode(0o777)).unwrap();
    }
    let mut status = cli.command(&["status", "--server", &server.address]);
    let refused = Done::from(status.uid(65_534).gid(65_534).current_dir("/").output().unwrap());
    assert_eq!((refused.code, refused.out.as_str()), (5, ""), "{refused:?}");
    assert!(cli.ok(&["status"]).contains("Articles"), "the owner is served");
    let (_, log) = server.end();
    assert!(log.contains("only the archive's owner may use its socket"), "{log}");
}
