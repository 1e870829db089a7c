//! `open`, and the addresses of pages that other commands print.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;

use super::server::Server;
use super::watching::Watching;
use super::{Cli, json_lines};

/// An archive with an article of two revisions.
fn archive() -> Cli {
    let cli = Cli::new();
    cli.add("a", "Ferry returns", "It came in at six.", &["--observed-at", "2026-05-16T18:00:00Z"]);
    cli.add("a", "Ferry returns", "It came in at seven.", &["--observed-at", "2026-05-17T18:00:00Z"]);
    cli
}

/// Reads a page as a browser does.
fn page(url: &str) -> String {
    let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut connection = TcpStream::connect(host).unwrap();
    let request = format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).unwrap();
    let mut page = String::new();
    connection.read_to_string(&mut page).unwrap();
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{url}: {page}");
    page
}

/// The command of a browser that writes down the address it is given, and the pipe that the address comes from.
fn browser(cli: &Cli) -> (String, std::path::PathBuf) {
    let (browser, opened) = (cli.file("browser", ""), cli.path("opened"));
    assert!(std::process::Command::new("mkfifo").arg(&opened).status().unwrap().success());
    fs::write(&browser, format!("#!/bin/sh\nprintf %s \"$1\" > '{}'\n", opened.display())).unwrap();
    fs::set_permissions(&browser, fs::Permissions::from_mode(0o755)).unwrap();
    (browser, opened)
}

#[test]
fn without_a_server_the_command_shows_the_pages_itself_until_it_is_interrupted() {
    let cli = archive();
    let (browser, opened) = browser(&cli);
    let mut command = cli.command(&["open", "press/a", "--at", "2026-05-17"]);
    let opening = Watching::of(command.env("BROWSER", browser));
    let url = opening.line();
    // Reading waits for the browser.
    assert_eq!(fs::read_to_string(opened).unwrap(), url);
    assert!(url.ends_with("/a/press/a?at=2026-05-17T23%3A59%3A59.999999Z"), "{url}");
    assert!(page(&url).contains("It came in at seven."));
    opening.note("until you press Ctrl-C; users of this machine see: everything");
    // Others use the archive meanwhile, and find out where the pages are.
    cli.add("b", "Ferry sinks", "It did.", &["--wait", "0"]);
    let of_b = cli.ok(&["open", "press/b", "--print", "--wait", "0"]);
    assert!(page(of_b.trim()).contains("Ferry sinks"));
    let ended = opening.interrupt();
    assert_eq!((ended.code, ended.out.len()), (0, 0), "{ended:?}");
    let host = url.strip_prefix("http://").unwrap().split('/').next().unwrap();
    assert!(TcpStream::connect(host).is_err(), "the pages ended with the command");
    assert_eq!(cli.ok(&["list"]).lines().count(), 2);
}

#[test]
fn commands_print_the_address_of_the_page_if_their_server_has_one() {
    let cli = archive();
    let without = cli.ok(&["log", "press/a"]);
    assert!(!without.contains("http://"), "{without}");
    let server = Server::start(&cli, &["--web-listen", "127.0.0.1:0"]);
    let line = server.opening.lines().find(|line| line.contains("showing pages")).unwrap();
    let root = line.split("url=").nth(1).unwrap().split(' ').next().unwrap();
    let at = "2026-05-16T20:00:00Z";
    for (args, label, path, words) in [
        (vec!["show", "press/a"], "View       ", "a/press/a", "It came in at seven."),
        (
            vec!["show", "press/a", "--at", at],
            "View       ",
            "a/press/a?at=2026-05-16T20%3A00%3A00Z",
            "It came in at six.",
        ),
        (vec!["show", "press/a", "--revision", "1"], "View       ", "a/press/a/r/1", "It came in at six."),
        (vec!["log", "press/a"], "view ", "a/press/a/history", "Compare the chosen two"),
        (vec!["diff", "press/a"], "view ", "a/press/a/diff/1..2", "seven"),
        (vec!["open", "press/a", "--print"], "", "a/press/a", "It came in at seven."),
        (vec!["open", "press/a", "--print", "-r", "1"], "", "a/press/a/r/1", "It came in at six."),
        (vec!["open", "--print"], "", "", "Ferry returns"),
        (vec!["status"], "Pages     ", "", "Ferry returns"),
    ] {
        let address = format!("{root}{path}");
        let out = cli.ok(&args);
        assert!(out.lines().any(|line| line == format!("{label}{address}")), "{args:?} prints no {address}:\n{out}");
        assert!(page(&address).contains(words), "{address}");
    }
    assert_eq!(json_lines(&cli.ok(&["open", "press/a", "--print", "--json"]))[0]["url"], format!("{root}a/press/a"));
    // Another program reads the other outputs, and what is not about one article has no address.
    assert!(!cli.ok(&["show", "press/a", "--json"]).contains(root));
    cli.fails(&["open", "press/c", "--print"], 3, "there is no article");
    cli.fails(&["open", "press/a", "--print", "--revision", "3"], 3, "revision");
    cli.fails(&["open", "--print", "--at", at], 2, "<ARTICLE>");
    // The address is known, even if no browser is.
    let done = cli.command(&["open", "press/a"]).env("PATH", "").env("BROWSER", "/nowhere/browser").output().unwrap();
    assert_eq!(String::from_utf8(done.stdout).unwrap().trim(), format!("{root}a/press/a"));
    let err = String::from_utf8(done.stderr).unwrap();
    assert!(done.status.code() == Some(1) && err.contains("no browser could be started"), "{err}");
    assert_eq!(server.terminate(), Some(0));
}

#[test]
fn a_server_without_pages_says_how_to_get_them() {
    let cli = archive();
    let server = Server::start(&cli, &[]);
    cli.fails(&["open", "press/a"], 3, "restart it with --web-listen");
    assert!(!cli.ok(&["show", "press/a"]).contains("View"));
    assert_eq!(server.terminate(), Some(0));
}
