//! `serve`, and the commands that find its server.

use std::process::Child;

use super::server::Server;
use super::{Cli, Done, json_lines};

#[test]
fn commands_use_the_server_that_holds_their_archive() {
    let cli = Cli::new();
    let server = Server::start(&cli, &[]);
    assert_eq!(cli.add("a", "Ferry returns", "It did.", &[]).out, "created  press/a  revision 1\n");
    let by_socket = cli.ok(&["show", "press/a"]);
    assert_eq!(server.address, server_of(&cli));
    assert_eq!(cli.ok(&["show", "press/a", "--server", &server.address]), by_socket);
    assert!(cli.ok(&["status"]).contains(&format!("Server    {}, since", server.address)));
    cli.fails(&["show", "press/b"], 3, "there is no article");
    cli.fails(&["serve"], 5, "is in use by `dateline serve` (process ");

    assert_eq!(server.terminate(), Some(0));
    assert_eq!(std::fs::read_to_string(cli.archive().join("LOCK")).unwrap().trim(), "");
    cli.fails(&["list", "--server", &server_of(&cli)], 5, "cannot be reached: Connection refused");
    assert_eq!(cli.ok(&["show", "press/a"]), by_socket, "what was archived through the server is there without it");
}

/// A socket outlives a server that is killed. Nothing else listens there, so the next server replaces it.
#[test]
fn a_socket_left_by_a_killed_server_stops_nobody() {
    let cli = Cli::new();
    for round in 0..3 {
        let server = Server::start(&cli, &[]);
        assert_eq!(cli.add(&format!("a{round}"), "Ferry", "It sailed.", &["--server", &server.address]).code, 0);
        server.kill();
        assert!(cli.archive().join("socket").exists());
        cli.fails(&["list", "--server", &server_of(&cli)], 5, "cannot be reached: Connection refused");
        assert_eq!(cli.ok(&["list", "--wait", "0"]).lines().count(), round + 1);
    }
}

/// The URL of the socket in an archive.
fn server_of(cli: &Cli) -> String {
    format!("unix:{}", cli.archive().join("socket").display())
}

#[test]
fn an_archive_at_a_long_path_is_served_and_found() {
    let cli = Cli::new();
    let archive = cli.path(&"far/".repeat(60)).join("archive");
    let archive = ["--archive", archive.to_str().unwrap()];
    let server = Server::start(&cli, &archive);
    assert!(server.address.len() > 200);
    assert_eq!(cli.add("a", "Ferry", "It sailed.", &archive).code, 0);
    assert_eq!(cli.ok(&["list", "--server", &server.address]).lines().count(), 1);
    assert_eq!(server.terminate(), Some(0));
}

#[test]
fn what_is_left_open_to_others_is_in_the_status_and_in_the_log() {
    let cli = Cli::new();
    let server = Server::start(&cli, &["--listen", "127.0.0.1:0", "--no-auth"]);
    assert!(!server.address.starts_with("unix:"));
    let status = cli.ok(&["status", "--server", &server.address]);
    assert!(status.contains("Open      no authentication"), "{status}");
    assert!(!status.contains("no encryption"), "what stays on the machine is not encrypted: {status}");
    let (_, log) = server.end();
    assert!(log.contains("WARN") && log.contains("no authentication"), "{log}");

    let server = Server::start(&cli, &["--listen", "0.0.0.0:0", "--listen", "127.0.0.1:0", "--no-auth", "--no-tls"]);
    let status = json_lines(&cli.ok(&["status", "--json"])).remove(0);
    assert_eq!(status["weakenings"], serde_json::json!(["WEAKENING_NO_AUTH", "WEAKENING_NO_TLS"]));
    drop(server);

    let server = Server::start(&cli, &["--no-auth", "--no-tls"]);
    let status = json_lines(&cli.ok(&["status", "--json"])).remove(0);
    assert_eq!(status["weakenings"], serde_json::Value::Null, "only the archive's owner can connect");
    drop(server);
}

#[test]
fn settings_come_from_flags_then_environment_then_file() {
    let cli = Cli::new();
    let archive = cli.path("elsewhere");
    let file =
        format!("archive = {archive:?}\nlisten = [\"127.0.0.1:0\"]\nlabels_max = 1\npage_size_max = 1\nurls_max = 1\n");
    let config = cli.file("dateline.toml", file);
    let mut command = cli.command(&["serve", "--config", &config, "--labels-max", "3", "--no-auth"]);
    command.env_remove("DATELINE_ARCHIVE").env("DATELINE_LABELS_MAX", "2").env("DATELINE_URLS_MAX", "2");
    let server = Server::of(command);
    let add = |more: &[&str]| cli.add("a", "Ferry", "Text.", &[&["--server", &server.address], more].concat());
    assert_eq!(add(&["--label", "a", "--label", "b", "--label", "c"]).code, 0);
    let refused = add(&["--label", "a", "--label", "b", "--label", "c", "--label", "d"]);
    assert!(refused.code == 1 && refused.err.contains("at most 3 are allowed"), "{refused:?}");
    let urls = ["--url", "https://a.example/1", "--url", "https://a.example/2", "--url", "https://a.example/3"];
    assert!(add(&urls).err.contains("at most 2 are allowed"));
    cli.add("b", "Bridge", "Text.", &["--server", &server.address]);
    assert_eq!(cli.ok(&["list", "--server", &server.address]).lines().count(), 2, "lists are read past the first page");
    assert_eq!(server.terminate(), Some(0));
    assert!(archive.join("VERSION").exists());
}

#[test]
fn a_server_that_cannot_start_says_why() {
    let cli = Cli::new();
    let config = cli.file("dateline.toml", "listen = [\"127.0.0.1:0\"]\n\nlisen = 1\n");
    cli.fails(&["serve", "--config", &config], 2, "dateline.toml, line 3: unknown field `lisen`");
    cli.fails(&["serve", "--config", "/nowhere.toml"], 2, "cannot read the configuration file /nowhere.toml");
    cli.fails(&["serve", "--listen", "0.0.0.0:0"], 2, "--no-tls");
    cli.fails(&["serve", "--listen", "127.0.0.1:0"], 2, "could read and change the whole archive");
    cli.fails(&["serve", "--listen", "0.0.0.0:0", "--no-tls"], 2, "has no access rules");
    cli.fails(&["serve", "--listen", "7411"], 2, "--listen: \"7411\" is not an address with a port");
    cli.fails(&["serve", "--batch-items-max", "257"], 2, "--batch-items-max: 257 is not between 1 and 256");
    cli.fails(&["serve", "--urls-max", "many"], 2, "expected a whole number");
    cli.fails(&["serve", "--cache-bytes", "1MB"], 2, "is not a number of bytes");
    cli.fails(&["serve", "--log-filter", "x=y=z"], 2, "--log-filter: ");
    cli.fails(&["serve", "--server", "http://127.0.0.1:1"], 2, "opens the archive itself");
    assert!(!cli.archive().exists(), "settings are validated before anything is created");

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let done = cli.run(&["serve", "--no-auth", "--listen", &address]);
    assert!(done.code == 1 && done.err.contains("cannot listen on"), "{done:?}");
    assert!(!cli.archive().exists(), "an archive was created that nothing was written to");
}

/// The address in a line of the log such as `… url=http://127.0.0.1:4711/metrics`.
fn metrics_of(server: &Server) -> String {
    let line = server.opening.lines().find(|line| line.contains("showing metrics")).unwrap();
    line.split("url=http://").nth(1).unwrap().strip_suffix("/metrics").unwrap().to_owned()
}

#[test]
fn metrics_are_shown_at_an_address_of_their_own() {
    use std::io::{Read, Write};
    let cli = Cli::new();
    let server = Server::start(&cli, &["--metrics-listen", "127.0.0.1:0"]);
    cli.add("a", "Ferry returns", "It did.", &[]);
    let mut connection = std::net::TcpStream::connect(metrics_of(&server)).unwrap();
    connection.write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let mut page = String::new();
    connection.read_to_string(&mut page).unwrap();
    let allocated = page.lines().find_map(|line| line.strip_prefix("dateline_allocated_bytes "));
    assert!(allocated.unwrap().parse::<u64>().unwrap() > 1 << 20, "the binary has the allocator that is asked");
    assert!(page.contains("\ndateline_articles 1\n"));
    assert_eq!(server.terminate(), Some(0));

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    cli.fails(&["serve", "--metrics-listen", &address], 1, "--metrics-listen sets another");
    cli.fails(&["serve", "--metrics-listen", "9411"], 2, "--metrics-listen: \"9411\" is not an address with a port");
}

#[test]
fn pages_are_shown_at_an_address_of_their_own_and_the_log_says_who_sees_what() {
    use std::io::{Read, Write};
    let cli = Cli::new();
    let server = Server::start(&cli, &["--web-listen", "127.0.0.1:0"]);
    cli.add("a", "Ferry returns", "It did.", &[]);
    let line = server.opening.lines().find(|line| line.contains("showing pages")).unwrap();
    assert!(line.contains("visitors_see=\"everything\""), "{line}");
    let address = line.split("url=http://").nth(1).unwrap().split('/').next().unwrap();
    let mut connection = std::net::TcpStream::connect(address).unwrap();
    let request = format!("GET /a/press/a HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).unwrap();
    let mut page = String::new();
    connection.read_to_string(&mut page).unwrap();
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n") && page.contains("<h1>Ferry returns</h1>"), "{page}");
    // Neither a stream that is open nor a connection that says nothing keeps the server from ending.
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    let silent = std::net::TcpStream::connect(address).unwrap();
    let request = format!("GET /changes/events HTTP/1.1\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    stream.read_exact(&mut [0; 12]).unwrap();
    assert_eq!(server.terminate(), Some(0));
    drop((stream, silent));

    let public = ["--web-listen", "127.0.0.1:0", "--web-url", "https://archive.example.org"];
    let server = Server::start(&cli, &public);
    let line = server.opening.lines().find(|line| line.contains("showing pages")).unwrap();
    assert!(line.contains("url=https://archive.example.org/ visitors_see=\"nothing; grant sources"), "{line}");
    assert_eq!(server.terminate(), Some(0));

    let dir = cli.path("certificates").to_str().unwrap().to_owned();
    cli.ok(&["cert", "ca", &dir]);
    cli.ok(&["cert", "server", &dir, "--host", "127.0.0.1"]);
    let (certificate, key) = (format!("{dir}/server.pem"), format!("{dir}/server.key"));
    let encrypted = ["--web-listen", "127.0.0.1:0", "--web-tls-cert", &certificate, "--web-tls-key", &key];
    let server = Server::start(&cli, &encrypted);
    let line = server.opening.lines().find(|line| line.contains("showing pages")).unwrap();
    assert!(line.contains("url=https://127.0.0.1:"), "{line}");
    assert_eq!(server.terminate(), Some(0));
    cli.fails(&["serve", "--web-tls-key", &key], 2, "--web-tls-key: no pages are shown");

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    cli.fails(&["serve", "--web-listen", &address], 1, "--web-listen sets another");
    cli.fails(&["serve", "--web-listen", "8480"], 2, "--web-listen: \"8480\" is not an address with a port");
    cli.fails(&["serve", "--web-url", "https://a.example"], 2, "say where with --web-listen");
    cli.fails(&["serve", "--web-index"], 2, "--web-index: no pages are shown");
    cli.fails(&["serve", "--web-listen", &address, "--web-url", "a.example"], 2, "is not the address of a site");
}

#[test]
fn the_log_says_what_was_started_and_has_a_line_for_each_call() {
    let cli = Cli::new();
    let server = Server::start(&cli, &["--labels-max", "3"]);
    let start = server.opening.lines().next().unwrap();
    let settings = r#"settings={"labels_max":3}"#;
    assert!(start.contains(env!("CARGO_PKG_VERSION")) && start.contains(settings), "{start}");
    cli.add("a", "Ferry returns", "It did.", &[]);
    assert_eq!(cli.run(&["show", "press/b"]).code, 3);
    let (_, log) = server.end();
    let of_call = |method: &str| {
        let line = log.lines().find(|line| line.contains("dateline::call: call ") && line.contains(method));
        line.unwrap_or_else(|| panic!("no line of {method} in\n{log}")).to_owned()
    };
    let recorded = of_call("method=\"dateline.v1.ArchiveService/RecordObservation\"");
    for field in ["principal=\"owner\"", "code=\"OK\"", "duration_ms=", "request_bytes=", "response_bytes="] {
        assert!(recorded.contains(field), "no {field} in {recorded}");
    }
    assert!(of_call("method=\"dateline.v1.ArchiveService/GetArticle\"").contains("code=\"NOT_FOUND\""));
}

#[test]
fn two_commands_at_once_wait_for_each_other() {
    let cli = Cli::new();
    let commands: Vec<Child> = (0..4)
        .map(|n| {
            let file = cli.file(&format!("{n}.md"), format!("# Story {n}\n\nText.\n"));
            cli.command(&["add", &file, "--source", "press"]).spawn().unwrap()
        })
        .collect();
    for command in commands {
        let done = Done::from(command.wait_with_output().unwrap());
        assert_eq!(done.code, 0, "{done:?}");
    }
    assert_eq!(json_lines(&cli.ok(&["list", "--json"])).len(), 4);
}

/// Storage must not run out of file descriptors before connections do, and most systems start with a low limit.
#[test]
fn a_server_raises_its_limit_of_file_descriptors() {
    let cli = Cli::new();
    let serve = cli.command(&["serve"]);
    let mut limited = std::process::Command::new("sh");
    limited.args(["-c", "ulimit -S -n 100; exec \"$0\" \"$@\""]).arg(serve.get_program()).args(serve.get_args());
    limited.envs(serve.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let server = Server::of({
        limited.stderr(std::process::Stdio::piped());
        limited
    });
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.id())).unwrap();
    let files: Vec<_> =
        limits.lines().find(|line| line.starts_with("Max open files")).unwrap().split_whitespace().collect();
    assert_eq!(files[3], files[4], "the soft limit is the hard one");
    assert_ne!(files[3], "100");
}
