//! Runs the `git` command.

use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};

use super::GitError;

/// The maximum number of bytes that are kept of git's error output.
const COMPLAINT_BYTES_MAX: u64 = 4096;

/// Runs git in a directory.
pub(super) struct Git {
    folder: PathBuf,
}

impl Git {
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// The same repository from its top, where patterns and paths have the same meaning.
    pub(super) fn at_the_top(self, top: PathBuf) -> Self {
        Self { folder: top }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A command that ignores everything in the environment and the user's settings that would change what it does or
    /// prints.
    pub(super) fn command(&self, args: &[String]) -> Command {
        let mut command = Command::new("git");
        // These variables may select another repository, change what is read, or make git write files or run programs.
        for (variable, _) in std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"GIT_")) {
            command.env_remove(variable);
        }
        command.env("GIT_CONFIG_NOSYSTEM", "1").arg("--no-optional-locks");
        command.arg("-C").arg(&self.folder);
        for setting in [
            "core.fsmonitor=false",
            "core.hooksPath=/dev/null",
            "core.alternateRefsCommand=",
            "core.quotePath=false",
            "log.showRoot=true",
            "log.showSignature=false",
            "color.ui=false",
        ] {
            command.args(["-c", setting]);
        }
        // Missing objects of a partial clone are not fetched without the user's knowledge, and git asks no questions.
        command.args(args).env("GIT_NO_LAZY_FETCH", "1").env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C");
        // A Ctrl-C is meant for this process. In the same process group, git would end before we handle the signal.
        command.process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Starts a command; fails with [`GitError::NotInstalled`] if there is no git.
    pub(super) fn start(&self, command: &mut Command) -> Result<Child, GitError> {
        command.spawn().map_err(|error| {
            if error.kind() == io::ErrorKind::NotFound { GitError::NotInstalled } else { GitError::Start(error) }
        })
    }

    /// Runs a command that prints one line, and returns the line.
    pub(super) fn line(&self, args: &[impl AsRef<str>]) -> Result<String, GitError> {
        let args: Vec<String> = args.iter().map(|arg| arg.as_ref().to_owned()).collect();
        let child = self.start(&mut self.command(&args))?;
        let output = child.wait_with_output().map_err(|error| self.failed(&error.to_string()))?;
        if !output.status.success() {
            return Err(self.failed(&String::from_utf8_lossy(&output.stderr)));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
    }

    /// Waits for a command whose output has ended, and fails if the command did.
    pub(super) fn end(&self, child: &mut Child) -> Result<(), GitError> {
        let complaint = complaint(child.stderr.take());
        match child.wait() {
            Ok(status) if status.success() => Ok(()),
            Ok(_) => Err(self.failed(&complaint)),
            Err(error) => Err(self.failed(&error.to_string())),
        }
    }

    /// The failure of a git command, with git's own message.
    pub(super) fn failed(&self, complaint: &str) -> GitError {
        let complaint = complaint.trim().trim_start_matches("fatal: ");
        GitError::Read { folder: self.folder.clone(), complaint: complaint.to_owned() }
    }
}

fn complaint(stderr: Option<ChildStderr>) -> String {
    let mut complaint = Vec::new();
    if let Some(stderr) = stderr {
        drop(stderr.take(COMPLAINT_BYTES_MAX).read_to_end(&mut complaint));
    }
    String::from_utf8_lossy(&complaint).into_owned()
}
