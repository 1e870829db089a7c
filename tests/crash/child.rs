//! The process that is killed: this test binary once more, at its one test that writes.

use std::io::{self, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::workload;

const DIRECTORY: &str = "DATELINE_CRASH_DIRECTORY";
const SEED: &str = "DATELINE_CRASH_CHILD_SEED";

/// Not a test of its own: where a child begins.
#[test]
#[ignore = "writes until it is killed; the other tests start it"]
fn writes_until_it_is_killed() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    let seed = std::env::var(SEED).unwrap().parse().unwrap();
    // Standard output belongs to the test harness, which begins a line there. Nothing but acknowledgements goes to
    // standard error, and a panic.
    workload::run(Path::new(&directory), seed, &mut io::stderr());
}

/// A child that is running.
pub(crate) struct Running {
    child: Child,
    collecting: JoinHandle<Vec<u8>>,
    first_told: Receiver<()>,
}

/// What a child that was killed left.
pub(crate) struct Killed {
    /// The lines that it told.
    pub(crate) told: Vec<u8>,
    /// Set where it had ended by itself.
    pub(crate) ended: Option<ExitStatus>,
}

impl Running {
    /// Starts a child on a directory.
    pub(crate) fn start(directory: &Path, seed: u64) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["child::writes_until_it_is_killed", "--exact", "--ignored", "--nocapture"])
            .env(DIRECTORY, directory)
            .env(SEED, seed.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut told = child.stderr.take().unwrap();
        let (first, first_told) = channel();
        let collecting = std::thread::spawn(move || {
            let mut lines = Vec::new();
            let mut part = [0; 64 << 10];
            loop {
                match told.read(&mut part).unwrap() {
                    0 => return lines,
                    length => lines.extend_from_slice(&part[..length]),
                }
                // Nobody may be waiting for it.
                let _ = first.send(());
            }
        });
        Self { child, collecting, first_told }
    }

    /// Waits until the child has told something or is gone, or for so long at most.
    pub(crate) fn wait_for_first(&self, at_most: Duration) {
        if self.first_told.recv_timeout(at_most) == Err(RecvTimeoutError::Timeout) {
            eprintln!("a child told nothing within {at_most:?}");
        }
    }

    /// Kills it, as nothing can be told beforehand.
    pub(crate) fn kill(mut self) -> Killed {
        let ended = self.child.try_wait().unwrap();
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        Killed { told: self.collecting.join().unwrap(), ended }
    }
}
