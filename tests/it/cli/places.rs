//! Where a command looks for the archive, and what happens if it is missing, foreign, in use or silent.

use std::io::{Read, Write};
use std::process::Stdio;

use dateline::internals::store::engine::directory::Directory;
use dateline::internals::store::engine::lock::Holder;

use super::{Cli, Done, Running, example};

pub(super) fn holder() -> Holder {
    Holder { pid: std::process::id(), command: "a test".to_owned(), since: "2026-01-01T00:00:00Z".to_owned() }
}

#[test]
fn reading_creates_no_archive() {
    let cli = Cli::new();
    for args in [&["list"][..], &["show", "press/a"], &["status"], &["withdraw", "press/a"]] {
        cli.fails(args, 5, "hint: `dateline add FILE` creates one there");
    }
    assert!(!cli.archive().exists());
}

#[test]
fn a_directory_that_is_not_an_archive_is_left_alone() {
    let cli = Cli::new();
    std::fs::create_dir(cli.archive()).unwrap();
    std::fs::write(cli.archive().join("holiday.jpg"), "x").unwrap();
    cli.fails(&["list"], 5, "is not a Dateline archive: it contains `holiday.jpg`");
    cli.fails(&["add", &super::example("night-ferry.md")], 5, "is not a Dateline archive");
    cli.fails(&["serve"], 5, "is not a Dateline archive");
    assert_eq!(std::fs::read_dir(cli.archive()).unwrap().count(), 1);
    std::fs::remove_file(cli.archive().join("holiday.jpg")).unwrap();
    std::fs::write(cli.archive().join("VERSION"), "dateline archive, layout 7\n").unwrap();
    cli.fails(&["list"], 5, "use a newer version");
}

#[test]
fn a_command_waits_for_an_archive_in_use() {
    let cli = Cli::new();
    cli.add("a", "Ferry returns", "It did.", &[]);
    let held = Directory::open(&cli.archive(), holder()).unwrap();
    cli.fails(&["list", "--wait", "0"], 5, &format!("is in use by `a test` (process {}", std::process::id()));
    let mut waiting = Running(cli.command(&["list"]).spawn().unwrap());
    // The command has not failed: it waits for the archive, or has not yet looked.
    assert!(waiting.0.try_wait().unwrap().is_none());
    drop(held);
    assert!(waiting.0.wait().unwrap().success());
}

#[test]
fn an_unreachable_server_is_reported() {
    let cli = Cli::new();
    cli.fails(&["list", "--server", "http://127.0.0.1:1"], 5, "the server at http://127.0.0.1:1 cannot be reached");
    cli.fails(&["list", "--server", "127.0.0.1:1", "--archive", "x"], 2, "cannot be used with");
    cli.fails(&["list", "--server", "https://127.0.0.1:1"], 5, "cannot be reached");
    for (url, shown, words) in [
        ("http://127.0.0.1:1/archive", "http://127.0.0.1:1/archive", "it names something on the server"),
        ("127.0.0.1:1/?a=b", "http://127.0.0.1:1/?a=b", "it names something on the server"),
        ("http://u:secret@127.0.0.1:1", "http://127.0.0.1:1", "user name and password are not supported"),
        ("ftp://127.0.0.1:1", "ftp://127.0.0.1:1", "it must begin with https://, http:// or unix:"),
        ("http://", "http://", "empty host"),
    ] {
        for command in ["list", "verify"] {
            let words = format!("dateline: {shown} is not the URL of a server: {words}");
            cli.fails(&[command, "--server", url], 2, &words);
        }
    }
    cli.fails(&["list", "--server", "unix:/nowhere"], 5, "the server at unix:/nowhere cannot be reached: No such file");
}

#[test]
fn a_server_that_is_not_dateline_is_reported() {
    let cli = Cli::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let web = std::thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        connection.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
    });
    // Whether the answer was read before the connection was closed depends on the moment.
    let done = cli.run(&["list", "--server", &address]);
    let is_reported = done.err.starts_with("dateline: the response is not that of a Dateline server: ")
        || done.err.starts_with("dateline: the connection to the server broke: ");
    assert!(done.code == 5 && is_reported, "{done:?}");
    assert!(done.err.contains("it is a Dateline server of this version"), "{done:?}");
    web.join().unwrap();
}

#[test]
fn a_flag_takes_precedence_over_the_environment() {
    let cli = Cli::new();
    cli.add("a", "Ferry returns", "It did.", &[]);
    let archive = cli.archive();
    let run = |args: &[&str]| {
        let mut command = cli.command(args);
        command.env("DATELINE_SERVER", "http://127.0.0.1:1");
        super::Done::from(command.output().unwrap())
    };
    assert_eq!(run(&["list"]).code, 5, "DATELINE_SERVER takes precedence over DATELINE_ARCHIVE");
    assert_eq!(run(&["list", "--archive", archive.to_str().unwrap()]).code, 0);
    let mut command = cli.command(&["add", "--quiet", &super::example("night-ferry.md")]);
    assert!(command.env_remove("DATELINE_ARCHIVE").output().unwrap().status.success());
    assert!(cli.path(".local/share/dateline/VERSION").exists(), "the default is the platform's data directory");
}

#[test]
fn a_command_that_opens_the_archive_stops_writing_where_serve_does() {
    let cli = Cli::new();
    cli.add("a", "Ferry returns", "It did.", &[]);
    let with_floor = |args: &[&str], floor: &str| {
        let mut command = cli.command(args);
        Done::from(command.env("DATELINE_FREE_SPACE_FLOOR_BYTES", floor).output().unwrap())
    };
    let add = ["add", &example("night-ferry.md"), "--source", "press"];
    let refused = with_floor(&add, "1000000GiB");
    assert!(refused.code == 1 && refused.err.contains("writes stop below"), "{refused:?}");
    assert!(with_floor(&["status"], "1000000GiB").out.contains("Writes    rejected: the archive's disk has"));
    assert_eq!(with_floor(&["show", "press/a"], "1000000GiB").code, 0, "reads continue");
    assert_eq!(with_floor(&add, "1MiB").code, 0);
    for args in [["status"], ["verify"]] {
        assert_eq!(with_floor(&args, "much").code, 2, "{args:?}");
    }
}

/// `list | while read …` once deadlocked: `list` held the archive until its last line was read, and the commands that
/// read the lines waited for the archive.
#[test]
fn commands_on_one_archive_can_be_piped_into_each_other() {
    let cli = Cli::new();
    // More than a pipe holds.
    cli.add("a", "Ferry returns", &"The ferry sailed. ".repeat(12_000), &[]);
    let mut reading = cli.command(&["show", "press/a", "--json"]).spawn().unwrap();
    let mut stdout = reading.stdout.take().unwrap();
    stdout.read_exact(&mut [0; 10]).unwrap();
    cli.ok(&["log", "press/a", "--wait", "0"]);
    drop(stdout);
    assert!(reading.wait().unwrap().success());

    let mut writing = cli.command(&["add", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = writing.stdin.take().unwrap();
    let article = cli.ok(&["show", "press/a", "--json"]);
    stdin.write_all(article.as_bytes()).unwrap();
    drop(stdin);
    assert!(writing.wait().unwrap().success());
}

#[test]
fn a_closed_pipe_is_not_an_error() {
    let cli = Cli::new();
    // More than a pipe holds.
    let text = "The ferry sailed. ".repeat(12_000);
    cli.add("a", "Ferry returns", &text, &[]);
    let mut child = cli.command(&["show", "press/a"]).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut [0; 10]).unwrap();
    drop(stdout);
    let done = super::Done::from(child.wait_with_output().unwrap());
    assert_eq!((done.code, done.err.as_str()), (0, ""));

    let documents: Vec<String> =
        (0..3).map(|n| cli.file(&format!("{n}.md"), format!("# Story {n}\n\nText.\n"))).collect();
    let mut args = vec!["add", "--source", "other", "--quiet"];
    args.extend(documents.iter().map(String::as_str));
    let mut child = cli.command(&args).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
    assert_eq!(cli.ok(&["list", "--source", "other"]).lines().count(), 3, "a closed pipe must not stop archiving");
}
