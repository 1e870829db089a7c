//! `watch`: every change once, across interruptions and restarts of the server.

use super::server::Server;
use super::watching::Watching;
use super::{Cli, json_lines};

const ALL: [&str; 3] = ["watch", "--from=beginning", "--until-caught-up"];

/// An archive with one change of each kind that writers can make.
fn archive() -> Cli {
    let cli = Cli::new();
    cli.add("a", "Ferry returns", "The ferry is back.", &["--observed-at", "2026-03-01T10:00:00Z"]);
    cli.add("a", "Ferry returns", "The ferry is late.", &["--observed-at", "2026-03-02T10:00:00Z"]);
    cli.add("a", "Ferry returns", "The ferry is late.", &["--observed-at", "2026-03-03T10:00:00Z"]);
    cli.ok(&["withdraw", "press/a", "--reason", "on legal advice", "--observed-at", "2026-03-04T10:00:00Z"]);
    cli.ok(&["reinstate", "press/a", "--observed-at", "2026-03-05T10:00:00Z"]);
    cli.ok(&["rollback", "press/a", "--to", "1", "--observed-at", "2026-03-06T10:00:00Z"]);
    cli.add("a", "Ferry leaves", "The ferry is gone.", &["--observed-at", "2026-02-01T10:00:00Z"]);
    cli
}

/// Archives a new article for each of `numbers`.
fn add(cli: &Cli, numbers: std::ops::Range<usize>) {
    for number in numbers {
        let done = cli.add(&format!("n{number}"), &format!("Story {number}"), "Text.", &[]);
        assert_eq!(done.code, 0, "{done:?}");
    }
}

/// The articles in the lines, in order.
fn articles(lines: &[String]) -> Vec<&str> {
    lines.iter().map(|line| line.split('\t').nth(2).unwrap()).collect()
}

fn names(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|number| format!("press/n{number}")).collect()
}

/// The lines without their times, which come from the machine's clock.
fn without_time(out: &str) -> Vec<&str> {
    let lines = out.lines().map(|line| line.split_once('\t').unwrap());
    lines.inspect(|(time, _)| assert!(time.ends_with('Z'), "{time}")).map(|(_, rest)| rest).collect()
}

#[test]
fn a_line_says_what_changed() {
    let cli = archive();
    assert_eq!(
        without_time(&cli.ok(&ALL)),
        [
            "created\tpress/a\tFerry returns\t4 words",
            "revised\tpress/a\tFerry returns\t+1 -1 words; body",
            "withdrawn\tpress/a\tFerry returns\ton legal advice",
            "reinstated\tpress/a\tFerry returns\t",
            "rolled-back\tpress/a\tFerry returns\t+1 -1 words; body; revision 1 again",
            "revised\tpress/a\tFerry leaves\tlate, seen 2026-02-01T10:00:00Z",
        ]
    );
    assert_eq!(
        without_time(&cli.ok(&[&ALL[..], &["--kind", "sighted"]].concat())),
        ["sighted\tpress/a\tFerry returns\t"]
    );
}

#[test]
fn json_has_one_change_per_line() {
    let cli = archive();
    let mut changes = json_lines(&cli.ok(&[&ALL[..], &["--json", "--view", "diff"]].concat()));
    assert!(changes.pop().unwrap()["bookmark"].is_object(), "the last line is the bookmark");
    let kinds: Vec<_> = changes.iter().map(|change| change["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds[..3], ["CHANGE_KIND_CREATED", "CHANGE_KIND_REVISED", "CHANGE_KIND_WITHDRAWN"]);
    assert_eq!(changes[1]["article"], "sources/press/articles/a");
    assert_eq!(changes[1]["diff"]["wordDelta"]["inserted"], 1);
    assert!(changes[1]["revision"]["content"]["blocks"].is_null());
    let full = json_lines(&cli.ok(&[&ALL[..], &["--json", "--view", "full"]].concat()));
    assert_eq!(full[1]["revision"]["content"]["blocks"][0]["paragraph"]["text"], "The ferry is late.");
}

/// A job that runs from time to time needs no durable subscription.
#[test]
fn a_watch_that_ends_by_itself_says_where_the_next_one_resumes() {
    let cli = Cli::new();
    add(&cli, 0..2);
    let said = |err: &str| {
        let note = err.lines().find_map(|line| line.strip_prefix("dateline: to resume from here: --resume "));
        note.unwrap_or_else(|| panic!("{err}")).to_owned()
    };
    let first = cli.run(&[&ALL[..], &["--json"]].concat());
    let lines = json_lines(&first.out);
    assert_eq!((first.code, lines.len()), (0, 3), "{first:?}");
    let bookmark = &lines[2]["bookmark"];
    assert_eq!((&bookmark["nextSeq"], &bookmark["resumeToken"]), (&"2".into(), &said(&first.err).into()));

    add(&cli, 2..3);
    let resume = |token: &str| cli.run(&["watch", "--until-caught-up", "--resume", token]);
    let next = resume(&said(&first.err));
    assert_eq!(articles(&next.out.lines().map(str::to_owned).collect::<Vec<_>>()), names(2..3));
    let nothing_new = resume(&said(&next.err));
    assert_eq!((nothing_new.code, nothing_new.out.as_str()), (0, ""));
    assert_eq!(said(&nothing_new.err), said(&next.err));
}

#[test]
fn articles_are_selected_as_with_list() {
    let cli = archive();
    let _server = Server::start(&cli, &[]);
    add(&cli, 0..1);
    cli.feed(&["add", "-", "--source", "other", "--label", "sea"], "# Elsewhere\n\nText.\n");
    let watch = |more: &[&str]| cli.ok(&[&ALL[..], more].concat()).lines().count();
    assert_eq!(watch(&[]), 8);
    assert_eq!(watch(&["--source", "other"]), 1);
    assert_eq!(watch(&["--source", "other", "--source", "press"]), 8);
    assert_eq!(watch(&["--label", "sea"]), 1);
    assert_eq!(watch(&["--article", "press/n0"]), 1);
    assert_eq!(watch(&["--article", "press/a", "--kind", "created", "--kind", "rolled-back"]), 2);
    assert_eq!(watch(&["--language", "fr"]), 0);
    let live = cli.ok(&[&ALL[..], &["--state", "live", "--kind", "withdrawn"]].concat());
    assert_eq!(without_time(&live), ["withdrawn\tpress/a\tFerry returns\ton legal advice; left the filter"]);
}

#[test]
fn a_watch_begins_where_requested() {
    let cli = Cli::new();
    add(&cli, 0..4);
    let from = |from: &str| cli.ok(&["watch", "--until-caught-up", "--from", from]);
    let all = from("beginning");
    assert_eq!(all.lines().count(), 4);
    assert_eq!(from("0"), all);
    assert_eq!(from("2").lines().count(), 2);
    assert_eq!(from("4"), "");
    assert_eq!(from("now"), "");
    assert_eq!(cli.ok(&["watch", "--until-caught-up"]), "", "the default is now");
    let time = all.lines().nth(1).unwrap().split('\t').next().unwrap();
    assert_eq!(from(time).lines().count(), 3);
    assert_eq!(from("yesterday"), all);
}

#[test]
fn an_interrupted_watch_says_where_the_next_one_resumes() {
    let cli = Cli::new();
    let _server = Server::start(&cli, &[]);
    add(&cli, 0..3);
    let watching = Watching::start(&cli, &["--from", "beginning", "--source", "press"]);
    assert_eq!(articles(&watching.lines(3)), names(0..3));
    add(&cli, 3..4);
    assert_eq!(articles(&watching.lines(1)), names(3..4));
    let ended = watching.interrupt();
    assert_eq!((ended.code, ended.out.len()), (0, 0), "{ended:?}");

    add(&cli, 4..6);
    let token = ended.token();
    let next = cli.ok(&["watch", "--resume", &token, "--source", "press", "--until-caught-up"]);
    assert_eq!(articles(&next.lines().map(str::to_owned).collect::<Vec<_>>()), names(4..6));
    cli.fails(&["watch", "--resume", &token, "--until-caught-up"], 2, "belongs to another request");
}

/// Interrupted at any moment during many writes: its output and that of the next watch together have all changes, once.
#[test]
fn an_interruption_in_the_middle_loses_and_repeats_nothing() {
    let cli = Cli::new();
    let _server = Server::start(&cli, &[]);
    add(&cli, 0..20);
    for printed in [1, 7] {
        let watching = Watching::start(&cli, &["--from", "beginning"]);
        let mut lines = watching.lines(printed);
        let ended = watching.interrupt();
        lines.extend(ended.out.iter().cloned());
        let next = cli.ok(&["watch", "--resume", &ended.token(), "--until-caught-up"]);
        lines.extend(next.lines().map(str::to_owned));
        assert_eq!(articles(&lines), names(0..20));
    }
}

#[test]
fn a_watch_continues_after_the_server_is_killed_and_restarted() {
    let cli = Cli::new();
    let mut server = Server::start(&cli, &[]);
    let watching = Watching::start(&cli, &["--from", "beginning"]);
    for round in 0..3 {
        add(&cli, round * 4..round * 4 + 2);
        assert_eq!(articles(&watching.lines(2)), names(round * 4..round * 4 + 2));
        server.kill();
        let lost = watching.note("connection lost, reconnecting");
        assert!(lost.starts_with("dateline: "), "{lost}");
        // Changes that were archived while no server ran are not missed either.
        add(&cli, round * 4 + 2..round * 4 + 3);
        server = Server::start(&cli, &[]);
        watching.note("reconnected");
        add(&cli, round * 4 + 3..round * 4 + 4);
        assert_eq!(articles(&watching.lines(2)), names(round * 4 + 2..round * 4 + 4));
    }
    // An orderly shutdown is an interruption like any other.
    assert_eq!(server.terminate(), Some(0));
    watching.note("connection lost, reconnecting");
    let ended = watching.interrupt();
    assert_eq!((ended.code, ended.out.len()), (0, 0), "{ended:?}");
    let rest = cli.ok(&["watch", "--until-caught-up", "--resume", &ended.token()]);
    assert_eq!(rest, "");
}

#[test]
fn a_durable_watch_resumes_where_the_last_one_ended() {
    let cli = Cli::new();
    let _server = Server::start(&cli, &[]);
    add(&cli, 0..3);
    let durable = ["--durable", "index", "--from", "beginning", "--source", "press"];
    let watching = Watching::start(&cli, &durable);
    assert_eq!(articles(&watching.lines(3)), names(0..3));
    let ended = watching.interrupt();
    let said = ["dateline: created index, which begins at change 0", "dateline: to resume from here: --durable index"];
    assert_eq!(ended.err, said);
    assert_eq!((ended.code, ended.out.len()), (0, 0), "{ended:?}");

    add(&cli, 3..5);
    let next = cli.run(&["watch", "--until-caught-up", "--durable", "index"]);
    assert_eq!(articles(&next.out.lines().map(str::to_owned).collect::<Vec<_>>()), names(3..5));
    // The same options may be given again; the start applies only to a new subscription.
    let again = cli.run(&[&["watch", "--until-caught-up"][..], &durable].concat());
    assert_eq!((again.code, again.out.as_str()), (0, ""));
    assert!(again.err.contains("index is at change 5"), "{again:?}");
    let written_otherwise = ["--url-prefix", "HTTPS://A.example/x", "--kind", "revised", "--kind", "created"];
    let other = [&["watch", "--until-caught-up", "--durable", "other"][..], &written_otherwise].concat();
    for _ in 0..2 {
        assert_eq!(cli.ok(&other), "");
    }
    for (different, what) in [(["--source", "other"], "the filter"), (["--kind", "created"], "--kind")] {
        let args = [&["watch", "--durable", "index", "--until-caught-up"][..], &different].concat();
        let words = format!("dateline: {what} is not that of the subscription index\n");
        cli.fails(&args, 2, &words);
    }
}

/// An epoch from before a restart is no longer valid, which is no reason to end the watch.
#[test]
fn a_durable_watch_outlives_its_server() {
    let cli = Cli::new();
    let mut server = Server::start(&cli, &[]);
    add(&cli, 0..1);
    let watching = Watching::start(&cli, &["--durable", "index", "--from", "beginning"]);
    assert_eq!(articles(&watching.lines(1)), names(0..1));
    for round in 1..4 {
        server.kill();
        server = Server::start(&cli, &[]);
        add(&cli, round..round + 1);
        assert_eq!(articles(&watching.lines(1)), names(round..round + 1), "one process prints nothing twice");
    }
    let ended = watching.interrupt();
    assert_eq!((ended.code, ended.out.len()), (0, 0), "{ended:?}");
    assert_eq!(cli.ok(&["subscriptions"]), "index\t4\t0\t0\t0\t-\n");
}

/// No change matches the filter, but the position advances anyway.
#[test]
fn a_durable_watch_advances_while_nothing_matches() {
    let cli = Cli::new();
    let _server = Server::start(&cli, &[]);
    add(&cli, 0..5);
    let args = ["watch", "--durable", "other", "--from", "beginning", "--source", "other", "--until-caught-up"];
    assert_eq!(cli.ok(&args), "");
    assert_eq!(cli.ok(&["subscriptions"]), "other\t5\t0\t0\t0\t-\n");
}

#[test]
fn a_command_is_retried_until_it_succeeds() {
    let cli = Cli::new();
    let _server = Server::start(&cli, &[]);
    add(&cli, 0..2);
    let (seen, failed) = (cli.path("seen"), cli.path("failed"));
    // The first run fails without reading its input.
    let command = format!("test -e {0} || {{ touch {0}; exit 7; }}; cat >> {1}", failed.display(), seen.display());
    let watching =
        Watching::start(&cli, &["--durable", "index", "--from", "beginning", "--until-caught-up", "--exec", &command]);
    let note = watching.note("the command failed");
    assert_eq!(note, "dateline: change 0: the command failed (exit status: 7); retry in 1 s");
    let ended = watching.ended();
    assert_eq!((ended.code, ended.out.len()), (0, 0), "{ended:?}");
    let changes = json_lines(&std::fs::read_to_string(&seen).unwrap());
    let articles: Vec<_> = changes.iter().map(|change| change["article"].as_str().unwrap()).collect();
    assert_eq!(articles, ["sources/press/articles/n0", "sources/press/articles/n1"]);
    assert_eq!(cli.ok(&["subscriptions"]), "index\t2\t0\t0\t0\t-\n");
}

/// A change whose command failed is not acknowledged, so the next consumer gets it.
#[test]
fn a_command_that_fails_leaves_the_change_for_the_next() {
    let cli = Cli::new();
    let _server = Server::start(&cli, &[]);
    add(&cli, 0..2);
    // The command succeeds only with the first change.
    let watching = Watching::start(&cli, &["--durable", "index", "--from", "0", "--exec", "grep n0"]);
    assert!(watching.line().contains("articles/n0"));
    watching.note("change 1: the command failed (exit status: 1); retry in 1 s");
    let ended = watching.interrupt();
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(cli.ok(&["subscriptions"]).starts_with("index\t1\t1\t"));
    let next = cli.ok(&["watch", "--durable", "index", "--until-caught-up"]);
    assert_eq!(articles(&[next]), ["press/n1"]);
}

#[test]
fn a_second_consumer_fences_off_the_first() {
    let cli = Cli::new();
    let _server = Server::start(&cli, &[]);
    add(&cli, 0..1);
    let first = Watching::start(&cli, &["--durable", "index", "--from", "beginning"]);
    first.line();
    let second = Watching::start(&cli, &["--durable", "index"]);
    let ended = first.ended();
    assert_eq!(ended.code, 4, "{ended:?}");
    let hint = ended.err.last().unwrap();
    assert_eq!(hint, "hint: give each consumer a subscription of its own", "{ended:?}");
    add(&cli, 1..2);
    // At least once: changes that the first consumer printed but had not yet acknowledged are delivered again.
    let mut line = second.line();
    if line.contains("press/n0") {
        line = second.line();
    }
    assert_eq!(articles(&[line]), names(1..2));
    assert_eq!(second.interrupt().code, 0);
}

/// An older backup is restored: changes that the watch printed since then are no longer in the archive.
#[test]
fn a_restored_backup_is_not_taken_for_the_same_archive() {
    let cli = Cli::new();
    add(&cli, 0..1);
    let backup = cli.path("backup");
    copy(&cli.archive(), &backup);
    let server = Server::start(&cli, &[]);
    let watching = Watching::start(&cli, &["--from", "beginning"]);
    add(&cli, 1..2);
    assert_eq!(articles(&watching.lines(2)), names(0..2));
    server.kill();
    std::fs::remove_dir_all(cli.archive()).unwrap();
    copy(&backup, &cli.archive());
    add(&cli, 2..4);
    let _server = Server::start(&cli, &[]);

    let ended = watching.ended();
    assert_eq!((ended.code, ended.out.len()), (4, 0), "{ended:?}");
    // The error says what to do, and no hint repeats it.
    let error = "or was restored from a backup; start again from the beginning";
    assert!(ended.err.last().unwrap().ends_with(error), "{ended:?}");
    let again = cli.run(&["watch", "--resume", &ended.token()]);
    assert!(again.code == 4 && again.err.ends_with(&format!("{error}\n")), "{again:?}");
}

/// A durable watch once reported that the connection was restored, and continued. Its consumer kept the lost changes,
/// and was sent other changes under positions that it had seen before.
#[test]
fn a_durable_watch_ends_when_the_archive_is_restored() {
    for by_backup in [false, true] {
        let cli = Cli::new();
        add(&cli, 0..1);
        cli.ok(&["watch", "--durable", "index", "--from", "beginning", "--until-caught-up"]);
        let backup = cli.path("backup");
        let folder = backup.to_str().unwrap();
        if by_backup {
            cli.ok(&["backup", folder]);
        } else {
            copy(&cli.archive(), &backup);
        }
        let server = Server::start(&cli, &[]);
        let watching = Watching::start(&cli, &["--durable", "index"]);
        add(&cli, 1..4);
        assert_eq!(articles(&watching.lines(3)), names(1..4));
        // The position shows that they were acknowledged.
        while !cli.ok(&["subscriptions"]).starts_with("index\t4\t") {}
        server.kill();
        std::fs::remove_dir_all(cli.archive()).unwrap();
        if by_backup {
            cli.ok(&["restore", folder]);
        } else {
            copy(&backup, &cli.archive());
        }
        add(&cli, 5..10);
        let _server = Server::start(&cli, &[]);
        let ended = watching.ended();
        assert_eq!((ended.code, ended.out.len()), (4, 0), "{ended:?}");
        assert!(
            ended.err.last().unwrap().contains("`dateline subscriptions seek index --from beginning`"),
            "{ended:?}"
        );
    }
}

/// The position of a durable consumer is stored in the archive, and a backup has an earlier one. A consumer that
/// started after a restore once continued silently, with lost changes in its index.
#[test]
fn a_durable_watch_that_starts_after_a_restore_fails_with_advice() {
    let cli = Cli::new();
    let folder = cli.path("backup").to_str().unwrap().to_owned();
    let take = ["watch", "--durable", "index", "--from", "beginning", "--until-caught-up"];
    add(&cli, 0..1);
    let first = cli.run(&take);
    assert_eq!(articles(&lines(&first.out)), names(0..1));
    assert!(first.err.contains("created index, which begins at change 0"), "{first:?}");
    cli.ok(&["backup", &folder]);
    add(&cli, 1..2);
    assert_eq!(articles(&lines(&cli.ok(&take))), names(1..2));
    std::fs::remove_dir_all(cli.archive()).unwrap();
    let restored = cli.run(&["restore", &folder]);
    assert!(restored.err.contains("1 durable subscription is held until moved"), "{restored:?}");
    add(&cli, 2..3);
    let hint = "`dateline subscriptions seek index --from beginning`";
    cli.fails(&take, 4, hint);
    cli.fails(&take, 4, hint);
    let server = Server::start(&cli, &[]);
    cli.fails(&take, 4, hint);
    assert_eq!(cli.ok(&["subscriptions"]).trim_end().rsplit('\t').next(), Some("held since a restore; use seek"));
    cli.ok(&["subscriptions", "seek", "index", "--from", "beginning"]);
    assert_eq!(articles(&lines(&cli.ok(&take))), [names(0..1), names(2..3)].concat());
    add(&cli, 3..4);
    assert_eq!(articles(&lines(&cli.ok(&take))), names(3..4));
    drop(server);
}

fn lines(out: &str) -> Vec<String> {
    out.lines().map(str::to_owned).collect()
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    let copied = std::process::Command::new("cp").arg("-r").args([from, to]).status().unwrap();
    assert!(copied.success());
}

#[test]
fn a_closed_pipe_ends_the_watch() {
    let cli = Cli::new();
    let _server = Server::start(&cli, &[]);
    add(&cli, 0..1);
    let mut watching = Watching::start(&cli, &["--from", "beginning"]);
    watching.line();
    watching.stop_reading();
    // One line lets the reading thread find out that its output is closed; one fills the pipe.
    add(&cli, 1..4);
    let ended = watching.ended();
    assert_eq!((ended.code, ended.err.len()), (0, 0), "{ended:?}");
}

#[test]
fn invalid_arguments_are_reported() {
    let cli = Cli::new();
    let _server = Server::start(&cli, &[]);
    add(&cli, 0..2);
    let too_far = ["watch", "--until-caught-up", "--from"];
    for (args, code, words) in [
        (&["watch", "--from", "soon"][..], 2, "or beginning, now, or a change's position"),
        (&["watch", "--from", "1", "--resume", "x"], 2, "cannot be used with"),
        (&["watch", "--durable", "x", "--resume", "x"], 2, "cannot be used with"),
        (&["watch", "--durable=-x", "--until-caught-up"], 2, "the subscription id begins with '-'"),
        (&["watch", "--durable", "ä"], 2, "the subscription id has the character 'ä'"),
        (&["watch", "--kind", "unknown"], 2, "invalid value"),
        (&["watch", "--exec", ""], 2, "--exec"),
        (&["watch", "--until-caught-up", "--view", "full"], 2, "--view has an effect only with --json or --exec"),
        (&["watch", "--until-caught-up", "--resume", "garbage"], 2, "dateline: --resume: "),
        // A token can begin with a hyphen.
        (&["watch", "--until-caught-up", "--resume", "-garbage"], 2, "dateline: --resume: "),
        (&["watch", "--until-caught-up", "--url-prefix", "ftp://x"], 2, "--url-prefix <URL>"),
        (&["watch", "--until-caught-up", "--article", "https://a.example/x"], 3, "no article is known under the URL"),
        (&["watch", "--server", "http://127.0.0.1:1"], 5, "cannot be reached"),
        (&["subscriptions", "delete", "none"], 3, "`dateline subscriptions` lists them"),
        (&["subscriptions", "seek", "none", "--from", "now"], 3, "`dateline subscriptions` lists them"),
        (&["subscriptions", "seek", "none"], 2, "--from"),
    ] {
        cli.fails(args, code, words);
    }
    for future in ["3", "2999-01-01"] {
        let done = cli.run(&[&too_far[..], &[future]].concat());
        assert!(done.code == 2 && done.err.ends_with("start at `now` to receive only later changes\n"), "{done:?}");
    }
    let foreign = cli.run(&["watch", "--until-caught-up", "--resume", "garbage"]);
    assert!(!foreign.err.contains("hint"), "{foreign:?}");
}
