//! What the README shows: an article is archived, revised, and read as of an earlier time.

use super::{Cli, example, json_lines};

const BRIDGE: &str = "port-kestrel-courier/harbour-bridge";

/// The bridge article and its revision, observed on two days.
fn bridge() -> Cli {
    let cli = Cli::new();
    let (first, revised) = (example("harbour-bridge.txt"), example("harbour-bridge-revised.txt"));
    let created = cli.ok(&["add", &first, "--article", "harbour-bridge", "--observed-at", "2026-05-16"]);
    assert_eq!(created, format!("created  {BRIDGE}  revision 1\n"));
    let revised = cli.ok(&["add", &revised, "--article", "harbour-bridge", "--observed-at", "2026-05-21T08:00:00Z"]);
    assert_eq!(revised, format!("revised  {BRIDGE}  revision 2  +9 -29 words\n"));
    cli
}

#[test]
fn an_article_is_read_as_of_an_earlier_time() {
    let cli = bridge();
    let newest = cli.ok(&["show", BRIDGE]);
    assert!(newest.starts_with("Harbour bridge could stay shut into next year"), "{newest}");
    for line in [
        "Revision   2 of 2",
        "Published  March 2026 (\"2 months ago\", page header)",
        "Observed   2026-05-21T08:00:00Z",
        "    Picture: Harbour bridge at dusk",
    ] {
        assert!(newest.lines().any(|found| found == line), "no line {line:?} in\n{newest}");
    }
    let before = cli.ok(&["show", BRIDGE, "--at", "2026-05-20"]);
    assert!(before.contains("a report of 2019 that it never published"));
    assert!(before.contains("In force   from 2026-05-16T23:59:59.999999Z until 2026-05-21T08:00:00Z"));
    assert_eq!(cli.ok(&["show", BRIDGE, "--at", "2026-05-16T23:59:59.999999Z"]), before);
    assert!(cli.ok(&["show", BRIDGE, "--revision", "1"]).contains("a report of 2019 that it never published"));
    let words = "was first observed at 2026-05-16T23:59:59.999999Z, which is after the requested time\n";
    cli.fails(&["show", BRIDGE, "--at", "2026-05-15"], 3, words);
    cli.fails(&["show", BRIDGE, "--known-at", "2026-05-20"], 3, "first archived at");
    assert!(cli.ok(&["show", BRIDGE, "--width", "60"]).lines().all(|line| line.chars().count() <= 60));
}

#[test]
fn a_diff_is_readable() {
    let cli = bridge();
    let diff = cli.ok(&["diff", BRIDGE]);
    assert!(
        diff.starts_with("--- revision 1, observed 2026-05-16T23:59:59.999999Z\n+++ revision 2, observed"),
        "{diff}"
    );
    assert!(diff.contains("headline: Harbour bridge [-to-] {+could+} stay shut") || diff.contains("[-to-]{+could+}"));
    assert!(diff.contains("[-The council was warned of corrosion"));
    assert!(diff.contains("\n… 2 paragraphs unchanged …\n"));
    assert!(!diff.contains("Pedestrians and cyclists"));
    assert!(cli.ok(&["diff", BRIDGE, "--full"]).contains("Pedestrians and cyclists"));
    assert_eq!(cli.ok(&["diff", BRIDGE, "--from", "1", "--to", "2026-05-22"]), diff);
    assert_eq!(cli.ok(&["diff", BRIDGE, "--from", "2", "--to", "2"]), "");
    let colored = cli.ok(&["diff", BRIDGE, "--color", "always"]);
    assert!(colored.contains("\u{1b}[9m\u{1b}[31m") && !colored.contains("[-"), "{colored}");
    let first = cli.run(&["diff", BRIDGE, "--to", "1"]);
    assert_eq!((first.code, first.out.as_str()), (0, ""));
    assert!(first.err.contains("no revision came before this one"));
}

#[test]
fn revisions_and_articles_are_listed() {
    let cli = bridge();
    cli.ok(&["add", &example("night-ferry.md"), "--keep-original", "--label", "ferry"]);
    let log = cli.ok(&["log", BRIDGE]);
    let numbers = |log: &str| -> Vec<String> {
        log.lines().filter(|line| line.starts_with("revision")).map(|line| line[..10].to_owned()).collect()
    };
    assert_eq!(numbers(&log), ["revision 2", "revision 1"]);
    assert_eq!(numbers(&cli.ok(&["log", BRIDGE, "--oldest-first", "--limit", "1"])), ["revision 1"]);
    assert!(log.contains("+9 -29 words"));

    let names = |args: &[&str]| -> Vec<String> {
        let listed = cli.ok(&[&["list"], args].concat());
        listed.lines().map(|line| line.split('\t').next().unwrap().split('-').next_back().unwrap().to_owned()).collect()
    };
    let ferry = names(&["--label", "ferry"]);
    assert_eq!(ferry.len(), 1);
    assert_eq!(names(&[]), [&["bridge".to_owned()][..], &ferry].concat());
    assert_eq!(names(&["--sort", "updated", "--limit", "1"]), ferry);
    assert_eq!(names(&["--language", "en"]), ferry);
    assert_eq!(names(&["--published-from", "2026-04-02", "--published-to", "2026-04-02"]), ferry);
    assert_eq!(names(&["--observed-to", "2026-05-21"]), ["bridge"]);
    assert_eq!(names(&["--at", "2026-05-17"]), ["bridge"]);
    assert_eq!(names(&["--source", "sources/other"]), [""; 0]);
    assert_eq!(names(&["--url-prefix", "https://courier.portkestrel.example/transport/"]), ferry);
    assert!(cli.ok(&["list", "--sources"]).starts_with("port-kestrel-courier\t2\t"));

    let url = "https://courier.portkestrel.example/transport/night-ferry-returns?utm_source=letter";
    let original = std::fs::read_to_string(example("night-ferry.md")).unwrap();
    assert_eq!(cli.ok(&["show", url, "--original"]), original);
    cli.fails(&["show", BRIDGE, "--original"], 3, "has no kept original");
    assert!(cli.ok(&["status"]).contains("Articles  2\n"));
}

#[test]
fn an_article_is_withdrawn_reinstated_and_rolled_back() {
    let cli = bridge();
    let withdraw = ["withdraw", BRIDGE, "--observed-at", "2026-06-01", "--reason", "the numbers were wrong"];
    assert_eq!(cli.ok(&withdraw), format!("withdrawn  {BRIDGE}  since 2026-06-01T23:59:59.999999Z\n"));
    let again = format!("already withdrawn  {BRIDGE}  since 2026-06-01T23:59:59.999999Z\n");
    assert_eq!(cli.ok(&withdraw), again);
    let later = ["withdraw", BRIDGE, "--observed-at", "2026-06-03"];
    assert_eq!(cli.ok(&[&later[..], &["--dry-run"]].concat()), format!("would withdraw again  {BRIDGE}\n"));
    let again = format!("withdrawn again  {BRIDGE}  since 2026-06-01T23:59:59.999999Z\n");
    assert_eq!(cli.ok(&later), again, "it is recorded, and the article is withdrawn since the first time");
    let stub = cli.ok(&["show", BRIDGE]);
    assert!(stub.contains("State      withdrawn since 2026-06-01T23:59:59.999999Z: the numbers were wrong"), "{stub}");
    assert!(stub.contains(&format!("dateline show {BRIDGE} --revision 2")) && !stub.contains("Pedestrians"));
    assert!(cli.ok(&["show", BRIDGE, "--revision", "2"]).contains("Pedestrians"));
    assert!(cli.ok(&["show", BRIDGE, "--at", "2026-05-31"]).contains("Pedestrians"));
    assert!(cli.ok(&["log", BRIDGE]).starts_with("withdrawn since"));
    assert_eq!(cli.ok(&["list", "--state", "withdrawn"]).lines().count(), 1);
    assert_eq!(cli.ok(&["list", "--state", "live"]), "");
    cli.fails(&["rollback", BRIDGE, "--to", "1"], 4, &format!("hint: `dateline reinstate {BRIDGE}` records"));

    let reinstate = ["reinstate", BRIDGE, "--observed-at", "2026-06-04"];
    let planned = cli.ok(&[&reinstate[..], &["--dry-run"]].concat());
    assert_eq!(planned, format!("would reinstate  {BRIDGE}\n"));
    assert_eq!(cli.ok(&reinstate), format!("reinstated  {BRIDGE}  since 2026-06-04T23:59:59.999999Z\n"));
    assert_eq!(cli.ok(&reinstate), format!("already live  {BRIDGE}  since 2026-06-04T23:59:59.999999Z\n"));
    let planned = cli.ok(&["rollback", BRIDGE, "--to", "1", "--dry-run"]);
    assert!(planned.starts_with(&format!("would roll back  {BRIDGE}  revision 3")), "{planned}");
    let done = cli.ok(&["rollback", BRIDGE, "--to", "1"]);
    assert_eq!(done, format!("rolled back  {BRIDGE}  revision 3, with the content of revision 1  +29 -9 words\n"));
    assert!(cli.ok(&["show", BRIDGE]).contains("Revision   3 of 3, with the content of revision 1"));
    assert_eq!(cli.ok(&["rollback", BRIDGE, "--to", "1"]), "");
}

#[test]
fn every_command_speaks_json() {
    let cli = bridge();
    let one = |args: &[&str]| {
        let lines = json_lines(&cli.ok(&[args, &["--json"]].concat()));
        assert_eq!(lines.len(), 1, "{args:?}");
        lines[0].clone()
    };
    assert_eq!(one(&["show", BRIDGE])["revision"]["number"], 2);
    assert_eq!(one(&["show", BRIDGE, "--revision", "1"])["number"], 1);
    assert_eq!(one(&["diff", BRIDGE])["wordDelta"]["deleted"], 29);
    assert_eq!(one(&["diff", BRIDGE, "--from", "1", "--to", "1"])["base"]["number"], 1);
    assert_eq!(one(&["list"])["name"], format!("sources/{}", BRIDGE.replace('/', "/articles/")));
    assert_eq!(one(&["list", "--sources"])["articleCount"], "1");
    assert_eq!(one(&["status"])["articleCount"], "1");
    assert_eq!(one(&["withdraw", BRIDGE])["changed"], true);
    assert_eq!(one(&["reinstate", BRIDGE])["article"]["state"], "ARTICLE_STATE_LIVE");
    assert_eq!(one(&["rollback", BRIDGE, "--to", "1"])["outcome"], "OBSERVATION_OUTCOME_REVISED");
    let log = json_lines(&cli.ok(&["log", BRIDGE, "--json"]));
    assert_eq!(
        log.iter().map(|entry| entry["revision"]["number"].as_u64()).collect::<Vec<_>>(),
        [Some(3), Some(2), Some(1)]
    );
}

#[test]
fn the_help_describes_commands_and_exit_status() {
    let cli = Cli::new();
    assert!(cli.ok(&["--help"]).contains("Exit status: 0 done"));
    assert!(cli.ok(&["add", "--help"]).contains("--keep-original"));
    for (command, other) in [("withdraw", "reinstate"), ("reinstate", "withdraw")] {
        let help = cli.ok(&[command, "--help"]);
        assert!(help.contains(&format!("The article to {command}\n")), "{help}");
        assert!(!help.contains(&format!("The article to {other}")), "{help}");
    }
    let help = cli.ok(&["import", "--help"]);
    let (options, of_repositories) = help.split_once("Git repositories:").unwrap();
    for option in ["--source", "--label", "--keep-original", "--no-keep-original", "--dry-run", "--state-dir"] {
        assert!(options.contains(option) && !of_repositories.contains(option), "{option} in {help}");
    }
    assert!(cli.ok(&["completions", "bash"]).contains("_dateline()"));
    cli.fails(&["frobnicate"], 2, "unrecognized subcommand");
}
