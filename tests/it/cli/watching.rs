//! A running command, such as `watch`, whose lines are read as they come.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use super::{Cli, Running};

/// Longer than anything here takes; what has not arrived by then will not arrive.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running command and its output.
pub(super) struct Watching {
    process: Running,
    out: Receiver<String>,
    err: Receiver<String>,
}

/// How the process ended, and the output that was not read before.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) code: i32,
    pub(super) out: Vec<String>,
    pub(super) err: Vec<String>,
}

impl Watching {
    /// Starts `watch`.
    pub(super) fn start(cli: &Cli, args: &[&str]) -> Self {
        Self::of(&mut cli.command(&[&["watch"], args].concat()))
    }

    /// Starts a command.
    pub(super) fn of(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::null()).spawn().unwrap();
        let (out, err) = (lines(child.stdout.take().unwrap()), lines(child.stderr.take().unwrap()));
        Self { process: Running(child), out, err }
    }

    /// Waits for the next line on standard output.
    pub(super) fn line(&self) -> String {
        self.out
            .recv_timeout(PATIENCE)
            .unwrap_or_else(|_| panic!("no line came: {:?}", self.err.try_iter().collect::<Vec<_>>()))
    }

    /// Waits for the next `count` lines on standard output.
    pub(super) fn lines(&self, count: usize) -> Vec<String> {
        (0..count).map(|_| self.line()).collect()
    }

    /// Waits for a note on standard error that contains `words`, and returns it.
    pub(super) fn note(&self, words: &str) -> String {
        loop {
            let note = self.err.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no note with {words:?} came"));
            if note.contains(words) {
                return note;
            }
        }
    }

    /// Stops reading its output.
    pub(super) fn stop_reading(&mut self) {
        self.out = channel().1;
    }

    /// Interrupts it, as Ctrl-C does.
    pub(super) fn interrupt(self) -> Ended {
        self.process.signal("INT");
        self.ended()
    }

    /// Waits until it ends.
    pub(super) fn ended(mut self) -> Ended {
        let (out, err) = (rest(&self.out), rest(&self.err));
        let code = self.process.0.wait().unwrap().code().unwrap_or(-1);
        Ended { code, out, err }
    }
}

impl Ended {
    /// Waits for the token with which the next watch resumes.
    pub(super) fn token(&self) -> String {
        let note = self.err.iter().find(|note| note.contains("--resume")).unwrap_or_else(|| panic!("{self:?}"));
        note.strip_prefix("dateline: to resume from here: --resume ").unwrap().to_owned()
    }
}

/// Reads lines on a separate thread, so that waiting for a line can time out.
fn lines(from: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines() {
            // If nothing reads any more, the pipe is dropped.
            let Ok(line) = line else { break };
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

fn rest(lines: &Receiver<String>) -> Vec<String> {
    let mut rest = Vec::new();
    loop {
        match lines.recv_timeout(PATIENCE) {
            Ok(line) => rest.push(line),
            Err(RecvTimeoutError::Disconnected) => return rest,
            Err(RecvTimeoutError::Timeout) => panic!("it does not end; it printed {rest:?}"),
        }
    }
}
