//! A child process, seen from the parent: started, read from, and killed.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use crate::child::{TASK, Task};
use crate::told::Line;

/// A child that reports nothing for this long hangs.
const HANGS_AFTER: Duration = Duration::from_secs(120);

/// When the child is killed, unless it ends earlier.
#[derive(Clone, Copy, Debug)]
pub(crate) enum When {
    /// This long after it begins to open the archive.
    Opening(Duration),
    /// This long after the archive is open.
    Open(Duration),
    /// This long after this many jobs were answered.
    Answered(u64, Duration),
    /// Not at all.
    Never,
}

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    WhileOpening,
    WhileOpen,
    ByItself,
}

pub(crate) struct Life {
    pub(crate) told: Vec<Line>,
    pub(crate) ended: Ended,
    /// How long opening took, if the archive was opened.
    pub(crate) opening: Option<Duration>,
}

/// The command that runs a child.
pub(crate) fn command(task: &Task) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["child::child", "--exact", "--ignored", "--nocapture", "--test-threads=1"]);
    command.env(TASK, serde_json::to_string(task).unwrap());
    // Nothing reads what sled and the harness print there.
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

/// Runs a child until it ends or is killed.
pub(crate) fn run(task: &Task, when: When) -> Life {
    let mut child = command(task).spawn().unwrap();
    let lines = listen(&mut child);
    let mut life = Life { told: Vec::new(), ended: Ended::ByItself, opening: None };
    let killed = follow(&lines, when, &mut life);
    if killed {
        // SIGKILL.
        child.kill().unwrap();
    }
    child.wait().unwrap();
    life.told.extend(lines);
    if killed && !life.told.contains(&Line::Closed) {
        life.ended = if life.told.contains(&Line::Opened) { Ended::WhileOpen } else { Ended::WhileOpening };
    }
    life
}

/// Reads on a separate thread, so that a full pipe never blocks the child.
fn listen(child: &mut Child) -> Receiver<Line> {
    let (say, lines) = channel();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    std::thread::spawn(move || {
        let mut line = Vec::new();
        while out.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            Line::read_all(&line).into_iter().for_each(|line| drop(say.send(line)));
            line.clear();
        }
    });
    lines
}

/// Reads reports until it is time to kill the child. Returns false if the child ended first.
fn follow(lines: &Receiver<Line>, when: When, life: &mut Life) -> bool {
    let (mut answered, mut begun) = (0, Instant::now());
    let mut kill_at: Option<Instant> = None;
    loop {
        let wait = kill_at.map_or(HANGS_AFTER, |at| at.saturating_duration_since(Instant::now()));
        let line = match lines.recv_timeout(wait) {
            Ok(line) => line,
            Err(RecvTimeoutError::Disconnected) => return false,
            Err(RecvTimeoutError::Timeout) => {
                if kill_at.is_none() {
                    life.told.push(Line::Failed("the child hangs".to_owned()));
                }
                return true;
            }
        };
        match (&line, when) {
            (Line::Opening, _) => begun = Instant::now(),
            (Line::Opened, _) => life.opening = Some(begun.elapsed()),
            (Line::Receipt { .. } | Line::Refused { .. }, _) => answered += 1,
            _ => {}
        }
        let is_time = match when {
            When::Opening(_) => line == Line::Opening,
            When::Open(_) => line == Line::Opened,
            When::Answered(jobs, _) => answered == jobs,
            When::Never => false,
        };
        if let (true, None, When::Opening(delay) | When::Open(delay) | When::Answered(_, delay)) =
            (is_time, kill_at, when)
        {
            kill_at = Some(Instant::now() + delay);
        }
        life.told.push(line);
    }
}
