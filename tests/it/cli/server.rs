//! A real server process, which can be killed and started again.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command};
use std::thread::JoinHandle;

use super::{Cli, Running};

/// A server process.
pub(super) struct Server {
    process: Running,
    /// Where it serves, for `--server`: on TCP if it was started with an address, or else on its archive's socket.
    pub(super) address: String,
    /// What it logged until it served.
    pub(super) opening: String,
    /// Reads the log all the time, since a server that cannot write to it stops.
    log: JoinHandle<String>,
}

impl Server {
    /// Serves the archive with these settings.
    pub(super) fn start(cli: &Cli, more: &[&str]) -> Self {
        Self::of(cli.command(&[&["serve"], more].concat()))
    }

    pub(super) fn of(mut command: Command) -> Self {
        let mut child: Child = command.spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let process = Running(child);
        let (mut opening, mut line) = (String::new(), String::new());
        while !line.contains("serving") {
            line.clear();
            assert!(log.read_line(&mut line).unwrap() > 0, "the server ended before it served:\n{opening}");
            opening.push_str(&line);
        }
        let address = line.split("address=").nth(1).unwrap().trim().to_owned();
        let log = std::thread::spawn(move || std::io::read_to_string(&mut log).unwrap());
        Self { process, address, opening, log }
    }

    /// The process id.
    pub(super) fn id(&self) -> u32 {
        self.process.0.id()
    }

    /// Asks the server to stop, as a supervisor does, and returns its exit status.
    pub(super) fn terminate(self) -> Option<i32> {
        self.end().0
    }

    /// Like [`Self::terminate`], but also returns what the server has logged since it began to serve.
    pub(super) fn end(mut self) -> (Option<i32>, String) {
        self.process.signal("TERM");
        (self.process.0.wait().unwrap().code(), self.log.join().unwrap())
    }

    /// Kills the server, as a power cut would.
    pub(super) fn kill(mut self) {
        self.process.0.kill().unwrap();
        self.process.0.wait().unwrap();
    }
}
