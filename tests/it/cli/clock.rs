//! An archive that was once written to under a clock that was a year ahead.

use std::sync::Arc;

use dateline::internals::archive::Options;
use dateline::internals::archive::request::WriteMode;
use dateline::internals::clock::{Clock, ManualClock, SystemClock};

use super::server::Server;
use super::{Cli, json_lines};
use crate::model::asked;
use crate::model::plan::{Text, observe};
use crate::support::{block_on, open_directory};

const YEAR: i64 = 366 * 24 * 60 * 60 * 1_000_000;

#[test]
fn a_clock_behind_the_last_change_is_reported_by_commands_and_in_the_log() {
    let cli = Cli::new();
    let ahead = Arc::new(ManualClock::new(SystemClock.now().saturating_add_micros(YEAR)));
    let archive = open_directory(&cli.archive(), &Options::default(), &ahead);
    block_on(async {
        let operation = asked::operation(&observe(0, 0, Text(0)), None);
        archive.write(vec![operation], WriteMode::Commit).await.unwrap();
        archive.close().await;
    });
    drop(archive);
    let words = "the clock is 365 days behind the last change";
    let status = cli.ok(&["status"]);
    assert!(status.contains(&format!("Clock     {words}")), "{status}");
    let status = json_lines(&cli.ok(&["status", "--json"]));
    assert!(status[0]["clockMessage"].as_str().unwrap().starts_with(words), "{status:?}");
    assert!(status[0]["clockBehind"].as_str().unwrap().starts_with("316"), "{status:?}");
    let added = cli.add("a", "Ferry returns", "It did.", &[]);
    assert!(added.code == 0 && added.err.contains(words), "{added:?}");
    let mut serve = cli.command(&["serve"]);
    serve.stderr(std::fs::File::create(cli.path("log")).unwrap());
    let mut serving = super::Running(serve.spawn().unwrap());
    // It is logged before serving starts.
    while !std::fs::read_to_string(cli.path("log")).unwrap().contains("serving") {
        assert!(serving.0.try_wait().unwrap().is_none());
    }
    let log = std::fs::read_to_string(cli.path("log")).unwrap();
    assert!(log.lines().any(|line| line.contains("WARN") && line.contains(words)), "{log}");
    drop(serving);
    let server = Server::start(&cli, &["--allow-clock-jump"]);
    assert_eq!(server.terminate(), Some(0));
}
