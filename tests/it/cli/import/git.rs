//! Imports of git repositories, which the tests create with the git command.

use std::path::PathBuf;
use std::process::Command;

use super::super::{Cli, json_lines};

/// A repository in a folder next to the archive.
struct Repository {
    folder: PathBuf,
    minute: u32,
}

impl Repository {
    fn new(cli: &Cli) -> Self {
        let repository = Self { folder: cli.path("harbour-post"), minute: 0 };
        std::fs::create_dir_all(&repository.folder).unwrap();
        repository.git(&["init", "--quiet", "--initial-branch=main"]);
        repository
    }

    fn git(&self, args: &[&str]) -> String {
        let time = format!("2025-11-08T10:{:02}:00Z", self.minute);
        let mut command = Command::new("git");
        command.args(["-c", "user.name=Ada", "-c", "user.email=ada@harbour.example", "-c", "commit.gpgSign=false"]);
        command.args(args).current_dir(&self.folder);
        command.env("GIT_COMMITTER_DATE", &time).env("GIT_AUTHOR_DATE", &time);
        // The machine's own git settings must not affect the tests.
        command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null");
        let output = command.output().unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// Commits everything, a minute after the last commit.
    fn commit(&mut self) {
        self.minute += 1;
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", "x"]);
    }

    fn path(&self) -> &str {
        self.folder.to_str().unwrap()
    }
}

/// Posts with different headlines have little text in common, so that git does not take one for a renamed other.
fn post(headline: &str) -> String {
    let lines: Vec<_> = headline.split(' ').map(|word| format!("{word} is what they say of {word}.\n\n")).collect();
    format!("# {headline}\n\n{}", lines.concat())
}

/// A repository with a rename, a removal, a return, a merge, and files that are not articles.
fn history(cli: &Cli) -> Repository {
    let mut repository = Repository::new(cli);
    repository.write("posts/bridge.md", post("Bridge to close"));
    repository.write("posts/ferry.md", post("Ferry returns"));
    repository.write("notes.txt", "not wanted");
    repository.commit();
    repository.git(&["mv", "posts/bridge.md", "posts/old bridge.md"]);
    repository.commit();
    repository.git(&["rm", "--quiet", "posts/ferry.md"]);
    repository.write("posts/bridge.md", post("Another bridge"));
    repository.commit();
    repository.write("posts/ferry.md", post("Ferry returns again"));
    repository.write("posts/picture.md", b"\x89PNG\r\n\x1a\n\0\0");
    repository.commit();
    repository.git(&["checkout", "--quiet", "-b", "draft"]);
    repository.write("posts/old bridge.md", post("Bridge to close for a year"));
    repository.commit();
    repository.write("posts/old bridge.md", post("Bridge to close for two years"));
    repository.commit();
    repository.git(&["checkout", "--quiet", "main"]);
    repository.minute += 1;
    repository.git(&["merge", "--quiet", "--no-ff", "--no-edit", "draft"]);
    repository
}

#[test]
fn the_history_of_files_becomes_that_of_articles() {
    let cli = Cli::new();
    let repository = history(&cli);
    let import = ["import", "--git", repository.path(), "--base-url", "https://harbour.example/"];
    let done = cli.run(&import);
    assert_eq!(done.code, 1, "one file is a picture: {done:?}");
    assert!(done.err.contains("posts/picture.md: "), "{done:?}");
    assert!(
        done.err.contains("3 created, 2 revised, 1 unchanged, 1 failed (1 UNREADABLE); 2 state changes"),
        "{done:?}"
    );

    // A renamed file is one article with both URLs, each from its commit on. The draft was not published before the
    // merge.
    let bridge = "https://harbour.example/posts/old%20bridge.md";
    assert_eq!(
        cli.revisions(bridge),
        ["Bridge to close 2025-11-08T10:01:00Z", "Bridge to close for two years 2025-11-08T10:07:00Z"]
    );
    let shown: serde_json::Value = serde_json::from_str(&cli.ok(&["show", bridge, "--json"])).unwrap();
    let name = shown["name"].as_str().unwrap();
    assert!(name.starts_with("sources/harbour-post/articles/posts-bridge-"), "{name}");
    let changes = cli.changes();
    let kinds: Vec<_> = changes.iter().filter_map(|change| change["kind"].as_str()).collect();
    assert!(kinds.contains(&"CHANGE_KIND_WITHDRAWN") && kinds.contains(&"CHANGE_KIND_REINSTATED"), "{kinds:?}");
    let ferry = cli.revisions("https://harbour.example/posts/ferry.md");
    assert_eq!(ferry, ["Ferry returns 2025-11-08T10:01:00Z", "Ferry returns again 2025-11-08T10:04:00Z"]);

    cli.run(&import);
    assert_eq!(cli.changes(), changes, "nothing is archived twice");
}

#[test]
fn commits_of_a_merged_branch_can_be_imported_one_by_one() {
    let cli = Cli::new();
    let repository = history(&cli);
    cli.run(&["import", "--git", repository.path(), "--every-commit", "--source", "post"]);
    let articles = json_lines(&cli.ok(&["list", "--source", "post", "--json"]));
    let name = |article: &serde_json::Value| article["name"].as_str().unwrap().to_owned();
    let bridge = articles.iter().map(name).find(|name| cli.revisions(name)[0].starts_with("Bridge to close")).unwrap();
    assert_eq!(
        cli.revisions(&bridge),
        [
            "Bridge to close 2025-11-08T10:01:00Z",
            "Bridge to close for a year 2025-11-08T10:05:00Z",
            "Bridge to close for two years 2025-11-08T10:06:00Z"
        ]
    );
}

/// No state of a file is lost because of a mistake in its front matter.
#[test]
fn a_file_without_a_headline_gets_its_file_name() {
    let cli = Cli::new();
    let mut repository = Repository::new(&cli);
    repository.write("bridge.md", "---\ntitle: [\n---\nThe bridge is closed.\n");
    repository.commit();
    repository.write("bridge.md", "The bridge is open.\n");
    repository.commit();
    let done = cli.run(&["import", "--git", repository.path()]);
    assert_eq!(done.code, 0, "{done:?}");
    let articles = json_lines(&cli.ok(&["list", "--json"]));
    let revisions = cli.revisions(articles[0]["name"].as_str().unwrap());
    assert_eq!(revisions, ["bridge 2025-11-08T10:01:00Z", "bridge 2025-11-08T10:02:00Z"]);
}

#[test]
fn an_incomplete_or_missing_repository_is_rejected() {
    let cli = Cli::new();
    let mut repository = Repository::new(&cli);
    repository.write("bridge.md", post("Bridge to close"));
    repository.commit();
    repository.write("bridge.md", post("Bridge closed"));
    repository.commit();
    let shallow = cli.path("shallow");
    let url = format!("file://{}", repository.path());
    repository.git(&["clone", "--quiet", "--depth", "1", &url, shallow.to_str().unwrap()]);
    let shallow = shallow.to_str().unwrap();
    cli.fails(&["import", "--git", shallow], 1, "is a shallow clone");
    assert_eq!(cli.run(&["import", "--git", shallow, "--allow-shallow"]).code, 0);

    std::fs::create_dir(cli.path("nothing")).unwrap();
    let nothing = cli.path("nothing");
    cli.fails(&["import", "--git", nothing.to_str().unwrap()], 1, "not a git repository");
    cli.fails(&["import", "--git", repository.path(), "--branch", "other"], 3, "has no branch, tag or commit other");
    let done = cli.command(&["import", "--git", repository.path()]).env("PATH", &nothing).output().unwrap();
    let told = String::from_utf8(done.stderr).unwrap();
    assert!(told.contains("there is no `git` command on the PATH"), "{told}");
    assert_eq!(done.status.code(), Some(1));
}

#[test]
fn a_pattern_that_matches_no_file_is_reported() {
    let cli = Cli::new();
    let mut repository = Repository::new(&cli);
    repository.write("posts/bridge.md", post("Bridge to close"));
    repository.commit();
    cli.fails(&["import", "--git", repository.path(), "--glob", "*.md"], 3, "touches a file that matches *.md");
    cli.fails(&["import", &cli.file("a.jsonl", "{}"), "--glob", "*.md"], 2, "cannot be used with");
    cli.fails(&["import", &cli.file("a.html", "<p>x")], 1, "neither JSON Lines nor a web archive");
}

#[test]
fn commits_of_the_same_second_end_in_the_state_of_head() {
    let cli = Cli::new();
    let repository = Repository::new(&cli);
    for headline in ["Bridge to close", "Bridge closed", "Bridge to close"] {
        repository.write("bridge.md", post(headline));
        repository.git(&["add", "--all"]);
        repository.git(&["commit", "--quiet", "--message", "x"]);
    }
    cli.run(&["import", "--git", repository.path()]);
    let articles = json_lines(&cli.ok(&["list", "--json"]));
    let revisions = cli.revisions(articles[0]["name"].as_str().unwrap());
    assert_eq!(revisions.len(), 3, "{revisions:?}");
    assert!(revisions[2].starts_with("Bridge to close 2025-11-08T10:00:00.000002Z"), "{revisions:?}");
}

#[test]
fn environment_variables_do_not_redirect_to_another_repository() {
    let cli = Cli::new();
    let mut repository = Repository::new(&cli);
    repository.write("bridge.md", post("Bridge to close"));
    repository.commit();
    let mut command = cli.command(&["import", "--git", repository.path()]);
    for variable in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR"] {
        command.env(variable, "/nonexistent");
    }
    let trace = cli.path("trace");
    command.env("GIT_TRACE", &trace).env("GIT_TRACE2_EVENT", &trace).env("GIT_EXEC_PATH", "/nonexistent");
    let done = command.env("GIT_CONFIG_COUNT", "not a number").output().unwrap();
    assert!(done.status.success(), "{done:?}");
    assert!(!std::path::Path::new(&trace).exists(), "git wrote its trace");
    assert_eq!(json_lines(&cli.ok(&["list", "--json"])).len(), 1);
}
