//! `move-url`, and what the other commands show of moved addresses.

use super::{Cli, json_lines};

const LIVE: &str = "https://www.example.com/live";

/// `storm` was seen at the address, and `match` was not.
fn two() -> Cli {
    let cli = Cli::new();
    let seen = ["--observed-at", "2026-05-16T18:00:00Z"];
    assert_eq!(cli.add("storm", "Storm nears", "It rains.", &[&seen[..], &["--url", LIVE]].concat()).code, 0);
    assert_eq!(cli.add("match", "Match begins", "It is raining.", &seen).code, 0);
    cli
}

#[test]
fn an_address_is_moved_and_shown_with_its_period() {
    let cli = two();
    let at = ["--observed-at", "2026-05-17T06:00:00Z"];
    let dry = cli.ok(&[&["move-url", LIVE, "press/match", "--dry-run"], &at[..]].concat());
    assert_eq!(dry, format!("would move  {LIVE}  from press/storm  to press/match\n"));
    let done = cli.ok(&[&["move-url", LIVE, "press/match", "--reason", "a new day"], &at[..]].concat());
    assert_eq!(done, format!("moved  {LIVE}  from press/storm  to press/match\n"));
    let again = cli.ok(&[&["move-url", LIVE, "press/match"], &at[..]].concat());
    assert_eq!(again, format!("unchanged  {LIVE}\n"));
    assert!(cli.ok(&["show", LIVE]).starts_with("Match begins"));
    assert!(cli.ok(&["show", LIVE, "--at", "2026-05-16T20:00:00Z"]).starts_with("Storm nears"));
    let shown = cli.ok(&["show", "press/storm"]);
    let former = format!("{LIVE} from 2026-05-16T18:00:00Z until 2026-05-17T06:00:00Z, then press/match");
    assert!(shown.contains(&format!("Former URL {former}\n")) && !shown.contains("\nURL  "), "{shown}");
    assert!(cli.ok(&["log", "press/storm"]).starts_with(&format!("former URL {former}\n")));
    // When it led there, it was not a former one.
    let then = ["--at", "2026-05-16T20:00:00Z"];
    let shown = cli.ok(&[&["show", "press/storm"], &then[..]].concat());
    assert!(shown.contains(&format!("URL        {LIVE}\n")) && !shown.contains("Former URL"), "{shown}");
    assert!(!cli.ok(&[&["log", "press/storm"], &then[..]].concat()).contains("former URL"));
    assert!(cli.ok(&["show", "press/match"]).contains(&format!("URL        {LIVE}\n")));
    let told = cli.ok(&["watch", "--from", "beginning", "--until-caught-up", "--kind", "url-moved"]);
    let ends: Vec<_> = told.lines().filter_map(|line| line.split('\t').next_back()).collect();
    assert_eq!(ends, [format!("-{LIVE}; a new day"), format!("+{LIVE}; a new day")]);
}

#[test]
fn an_address_is_ended() {
    let cli = two();
    let done = cli.ok(&["move-url", LIVE, "--end", "--from", "press/storm", "--json", "--request-id", "r"]);
    assert_eq!(json_lines(&done)[0]["lostBy"], "sources/press/articles/storm");
    assert_eq!(cli.ok(&["move-url", LIVE, "--end"]), format!("unchanged  {LIVE}\n"));
    cli.fails(&["show", LIVE], 3, "and then nowhere");
    cli.fails(&["show", LIVE], 3, "hint: `dateline show press/storm` shows that article");
}

#[test]
fn a_move_that_cannot_be_made_is_explained() {
    let cli = two();
    cli.fails(&["move-url", LIVE], 2, "ARTICLE");
    cli.fails(&["move-url", LIVE, "press/match", "--end"], 2, "--end");
    cli.fails(&["move-url", "live", "press/match"], 2, "URL");
    cli.fails(&["move-url", LIVE, "press/none"], 3, "there is no article");
    cli.fails(&["move-url", LIVE, "press/match", "--from", "press/match"], 2, "--from");
    cli.fails(&["move-url", LIVE, "--end", "--from", "press/match"], 4, "leads to press/storm");
    cli.fails(
        &["move-url", LIVE, "press/match", "--observed-at", "2026-05-15T00:00:00Z"],
        4,
        "no address can be moved to it before that",
    );
}

#[test]
fn an_export_has_the_moves_and_an_import_makes_them_once() {
    let cli = two();
    cli.ok(&["move-url", LIVE, "press/match", "--observed-at", "2026-05-17T06:00:00Z", "--reason", "a new day"]);
    cli.ok(&["move-url", LIVE, "--end", "--observed-at", "2026-05-18T06:00:00Z"]);
    let history = cli.path("history.jsonl");
    cli.ok(&["export", "--output", history.to_str().unwrap()]);
    let copy = Cli::new();
    let imported = copy.run(&["import", history.to_str().unwrap()]);
    assert_eq!(imported.code, 0, "{}", imported.err);
    assert!(imported.err.contains("3 URL moves"), "{}", imported.err);
    let (told, again) = (cli.ok(&["show", "press/storm"]), copy.ok(&["show", "press/storm"]));
    let lasting =
        |shown: &str| shown.lines().filter(|line| !line.starts_with("Archived")).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(lasting(&told), lasting(&again));
    let changes = |cli: &Cli| cli.ok(&["watch", "--from", "beginning", "--until-caught-up"]).lines().count();
    let before = changes(&copy);
    assert_eq!(copy.run(&["import", history.to_str().unwrap()]).code, 0);
    assert_eq!(changes(&copy), before);
}
