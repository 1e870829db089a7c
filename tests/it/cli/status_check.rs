//! `status --check`, as a monitoring system runs it.

use super::server::Server;
use super::{Cli, Done};

fn check(cli: &Cli, more: &[&str]) -> Done {
    let done = cli.run(&[&["status", "--check"], more].concat());
    assert_eq!(done.out.lines().count(), 1, "{done:?}");
    assert_eq!(done.err, "", "everything is on the one line");
    done
}

#[test]
fn a_sound_archive_is_ok_with_and_without_a_server() {
    let cli = Cli::new();
    cli.add("a", "Ferry returns", "It did.", &[]);
    let floor = ("DATELINE_FREE_SPACE_FLOOR_BYTES", "1");
    let mut command = cli.command(&["status", "--check"]);
    let done = Done::from(command.env(floor.0, floor.1).output().unwrap());
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.out.starts_with("DATELINE OK - 1 change of 1 article | changes=1 articles=1 used="), "{}", done.out);

    let server = Server::start(&cli, &[]);
    let done = check(&cli, &["--server", &server.address, "--max-lag", "60"]);
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.out.ends_with(" queued=0 lag=0s;60\n"), "{}", done.out);
    assert_eq!(server.terminate(), Some(0));
}

#[test]
fn a_disk_that_is_nearly_full_is_a_warning_and_a_full_one_is_critical() {
    let cli = Cli::new();
    cli.add("a", "Ferry returns", "It did.", &[]);
    let free = rustix::fs::statvfs(cli.archive()).map(|disk| disk.f_bavail * disk.f_frsize).unwrap();
    for (floor, code, words) in
        [(free / 2, 1, "DATELINE WARNING - "), (free * 2, 2, "DATELINE CRITICAL - writes are rejected")]
    {
        let mut command = cli.command(&["status", "--check"]);
        let done = Done::from(command.env("DATELINE_FREE_SPACE_FLOOR_BYTES", floor.to_string()).output().unwrap());
        assert_eq!(done.code, code, "{done:?}");
        assert!(done.out.starts_with(words), "{}", done.out);
    }
}

#[test]
fn a_server_that_does_not_answer_is_critical() {
    let cli = Cli::new();
    let done = check(&cli, &["--server", "http://127.0.0.1:1"]);
    assert_eq!(done.code, 2, "{done:?}");
    assert!(done.out.starts_with("DATELINE CRITICAL - "), "{}", done.out);
    let done = check(&cli, &[]);
    assert_eq!(done.code, 2, "there is no archive: {done:?}");
}

#[test]
fn only_a_check_has_a_limit_on_the_lag() {
    let cli = Cli::new();
    let done = cli.run(&["status", "--max-lag", "1"]);
    assert!(done.code == 2 && done.err.contains("--check"), "{done:?}");
}
