//! Where a command writes: standard output, or a pager in front of it.
//!
//! On a terminal, output that outgrows the screen goes to a pager. A reader that goes away early (`| head`) is no
//! error: what is written afterwards is dropped, and [`Output::is_closed`] tells a command that it may stop. Notes go
//! to standard error and never mix with what is piped.

use std::fmt::Display;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::process::{Child, ChildStdin, Command, Stdio};

use anstream::{AutoStream, ColorChoice};
use prost::Name;
use terminal_size::{Height, Width};

use super::args::{Color, Globals};
use super::exit::{Exit, Failure};
use super::style::{self, Painter};
use super::times;
use crate::model::Timestamp;
use crate::wire::json::to_json;

/// Where a command writes.
pub(super) struct Output {
    target: Target,
    /// Nobody reads any more.
    closed: bool,
    terminal: bool,
    quiet: bool,
    colored: bool,
    /// Whether `--json` was given.
    pub(super) json: bool,
    /// Where lines are wrapped; none where they are not.
    pub(super) width: Option<usize>,
    /// The present, that relative times count from.
    now: Timestamp,
}

enum Target {
    Stdout,
    /// A terminal's screen is not full yet.
    Held {
        text: String,
        lines: usize,
        height: usize,
    },
    Pager {
        child: Child,
        stdin: ChildStdin,
    },
}

impl Output {
    /// Standard output as the arguments and the terminal have it.
    pub(super) fn new(globals: &Globals) -> Self {
        match globals.color {
            Color::Auto => {}
            Color::Always => ColorChoice::Always.write_global(),
            Color::Never => ColorChoice::Never.write_global(),
        }
        let stdout = io::stdout();
        let terminal = stdout.is_terminal();
        let colored = AutoStream::choice(&stdout) != ColorChoice::Never;
        let size = terminal.then(terminal_size::terminal_size).flatten();
        let width = match (globals.width, size) {
            (Some(0), _) | (None, None) => None,
            (Some(width), _) => Some(usize::from(width)),
            (None, Some((Width(width), _))) => Some(usize::from(width)),
        };
        let target = match size {
            Some((_, Height(height))) if !globals.json => {
                Target::Held { text: String::new(), lines: 0, height: usize::from(height).saturating_sub(1) }
            }
            _ => Target::Stdout,
        };
        let (quiet, json, now) = (globals.quiet, globals.json, times::now());
        Self { target, closed: false, terminal, quiet, colored, json, width, now }
    }

    /// Whether a person is looking on.
    pub(super) fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Whether nobody reads any more.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Puts text in styles, or leaves it plain where colour isn't shown.
    pub(super) fn painter(&self) -> Painter {
        Painter { colored: self.colored }
    }

    /// A time: RFC 3339 when piped, for people on a terminal.
    pub(super) fn time(&self, time: Timestamp) -> String {
        if self.terminal { times::for_people(time, self.now) } else { time.to_string() }
    }

    /// A time in a column: RFC 3339 when piped, to the minute on a terminal.
    pub(super) fn brief_time(&self, time: Timestamp) -> String {
        if self.terminal { times::brief(time) } else { time.to_string() }
    }

    /// Writes a line.
    pub(super) fn line(&mut self, line: impl Display) -> Result<(), Failure> {
        self.text(&format!("{line}\n"))
    }

    /// Writes paragraphs of a text, wrapped, each line after `indent`.
    pub(super) fn wrapped(&mut self, indent: &str, text: &str) -> Result<(), Failure> {
        self.line(style::wrap(text, indent, indent, self.width))
    }

    /// Writes a message as a line of JSON.
    pub(super) fn message<M: Name>(&mut self, message: &M) -> Result<(), Failure> {
        self.line(to_json(message))
    }

    /// Writes bytes as they are.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.target = Target::Stdout;
        let written = io::stdout().write_all(bytes).and_then(|()| io::stdout().flush());
        judge(written, &mut self.closed)
    }

    /// Tells something on standard error, unless `--quiet` is given.
    pub(super) fn note(&self, note: impl Display) {
        if !self.quiet {
            say(note);
        }
    }

    /// Ends the output: shows what is held, and waits for the pager.
    pub(super) fn finish(mut self) -> Result<(), Failure> {
        if let Target::Held { text, .. } = &mut self.target {
            let text = std::mem::take(text);
            self.target = Target::Stdout;
            self.text(&text)?;
        }
        match self.target {
            Target::Stdout | Target::Held { .. } => {
                let flushed = io::stdout().flush();
                judge(flushed, &mut self.closed)
            }
            Target::Pager { mut child, stdin } => {
                drop(stdin);
                // What a pager answers says nothing about the command.
                drop(child.wait());
                Ok(())
            }
        }
    }

    fn text(&mut self, text: &str) -> Result<(), Failure> {
        if self.closed {
            return Ok(());
        }
        let written = match &mut self.target {
            Target::Stdout => io::stdout().write_all(text.as_bytes()),
            Target::Pager { stdin, .. } => stdin.write_all(text.as_bytes()),
            Target::Held { text: held, lines, height } => {
                held.push_str(text);
                *lines += text.matches('\n').count();
                if *lines <= *height {
                    return Ok(());
                }
                let held = std::mem::take(held);
                self.target = pager().unwrap_or(Target::Stdout);
                return self.text(&held);
            }
        };
        judge(written, &mut self.closed)
    }
}

fn judge(written: io::Result<()>, closed: &mut bool) -> Result<(), Failure> {
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {
            *closed = true;
            Ok(())
        }
        Err(error) => Err(Failure::new(Exit::Failed, format!("standard output can't be written: {error}"))),
        Ok(()) => Ok(()),
    }
}

/// Says something on standard error. Where that can't be written, there is nobody to tell.
pub(super) fn say(text: impl Display) {
    drop(writeln!(anstream::stderr(), "{text}"));
}

/// Starts `DATELINE_PAGER`, `PAGER` or `less`. An empty one, and `cat`, mean none.
fn pager() -> Option<Target> {
    let chosen = ["DATELINE_PAGER", "PAGER"].iter().find_map(|name| std::env::var(name).ok());
    let chosen = chosen.unwrap_or_else(|| "less".to_owned());
    if matches!(chosen.trim(), "" | "cat") {
        return None;
    }
    let mut command = Command::new("sh");
    command.arg("-c").arg(&chosen).stdin(Stdio::piped());
    // End where the text fits, pass colours through, leave the text on the screen: as git starts it.
    if std::env::var_os("LESS").is_none() {
        command.env("LESS", "FRX");
    }
    let mut child = command.spawn().ok()?;
    let stdin = child.stdin.take()?;
    Some(Target::Pager { child, stdin })
}
