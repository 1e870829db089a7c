//! The command line: the real binary, with an archive of its own in a temporary directory.

mod access;
mod add;
mod backup;
mod cert;
mod changed;
mod clock;
mod compact;
mod display;
mod evidence;
mod export;
mod export_folder;
mod expunge;
mod files;
mod full_disk;
mod import;
mod killed;
mod label;
mod move_url;
mod open;
mod piped;
mod places;
mod proof;
mod read_only;
mod refusals;
mod serve;
mod server;
mod settings;
mod sharing;
mod site;
mod status_check;
mod subscriptions;
mod supervised;
mod timestamp;
mod tour;
mod traces;
mod upgrade;
mod verify;
mod watch;
mod watching;
mod web;
mod webhook;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// An archive in a temporary directory, for commands to work on.
struct Cli {
    dir: tempfile::TempDir,
}

/// The result of a command.
#[derive(Debug)]
struct Done {
    code: i32,
    out: String,
    err: String,
}

impl Cli {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    /// The path of a file next to the archive.
    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn archive(&self) -> PathBuf {
        self.path("archive")
    }

    /// Writes a file next to the archive, and returns its path.
    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        std::fs::write(self.path(name), content).unwrap();
        self.path(name).to_str().unwrap().to_owned()
    }

    /// A command that sees this archive and none of the machine's settings.
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dateline"));
        command.args(args).current_dir(env!("CARGO_MANIFEST_DIR"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("DATELINE_")) {
            command.env_remove(name);
        }
        command
            .env("HOME", self.dir.path())
            .env_remove("XDG_DATA_HOME")
            .env_remove("XDG_STATE_HOME")
            .env("DATELINE_ARCHIVE", self.archive());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run(&self, args: &[&str]) -> Done {
        self.command(args).output().unwrap().into()
    }

    /// Runs a command with this standard input.
    fn feed(&self, args: &[&str], input: impl AsRef<[u8]>) -> Done {
        let mut child = self.command(args).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_ref()).unwrap();
        child.wait_with_output().unwrap().into()
    }

    /// Runs a command that must succeed, and returns what it printed.
    fn ok(&self, args: &[&str]) -> String {
        let done = self.run(args);
        assert_eq!(done.code, 0, "{args:?}: {done:?}");
        done.out
    }

    /// Runs a command that must fail with exit status `code`, print nothing to standard output, and report `words`.
    fn fails(&self, args: &[&str], code: i32, words: &str) {
        let done = self.run(args);
        assert_eq!((done.code, done.out.as_str()), (code, ""), "{args:?}: {done:?}");
        assert!(done.err.contains(words), "{args:?} says: {}", done.err);
    }

    /// Archives a text of one paragraph as `press/{article}`.
    fn add(&self, article: &str, headline: &str, text: &str, more: &[&str]) -> Done {
        let document = format!("# {headline}\n\n{text}\n");
        self.feed(&[&["add", "-", "--source", "press", "--article", article], more].concat(), document)
    }
}

impl From<Output> for Done {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// A process that is killed at the end of its test.
struct Running(Child);

impl Running {
    /// Sends a signal, such as TERM, to the process.
    fn signal(&self, signal: &str) {
        let pid = self.0.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &pid]).status().unwrap().success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The process may have ended by itself.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Each line of the output, parsed as JSON.
fn json_lines(out: &str) -> Vec<serde_json::Value> {
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn example(name: &str) -> String {
    Path::new("examples/articles").join(name).to_str().unwrap().to_owned()
}
