//! Where a command writes: standard output, or a pager in front of it.
//!
//! The output of a reading command is held back until its archive is closed, since its reader may be another command on
//! the same archive (`dateline list | while read …`), or a user who leaves a pager open. On a terminal, output that
//! does not fit on the screen goes to a pager. A reader that closes the pipe early (`| head`) is not an error: later
//! output is dropped, and [`Output::is_closed`] lets a command stop. Notes go to standard error and never mix with
//! piped output.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::fmt::Display;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::process::{Child, ChildStdin, Command, Stdio};

use anstream::{AutoStream, ColorChoice};
use prost::Name;
use terminal_size::{Height, Width};

use super::args::globals::{Color, Globals};
use super::exit::{Exit, Failure};
use super::style::{self, Painter};
use super::times;
use crate::model::Timestamp;
use crate::model::unseen::in_json;
use crate::wire::json::to_json;

/// The most output that is held back; longer output is piped while the archive is open.
const BUFFER_BYTES_MAX: usize = 64 << 20;

/// The output of a command.
pub(super) struct Output {
    target: Target,
    /// Output that is not written yet.
    buffer: Vec<u8>,
    /// Whether all output is held back until the end.
    buffering: bool,
    /// How many lines fit on the screen; longer output goes to a pager. `None` if no pager is used.
    screen_lines: Option<usize>,
    /// The terminal's height in lines; `None` without a terminal.
    height: Option<usize>,
    /// Whether the reader has closed the pipe.
    closed: bool,
    terminal: bool,
    quiet: bool,
    colored: bool,
    /// Whether `--json` was given.
    pub(super) json: bool,
    /// The column at which lines wrap; `None` if they do not.
    pub(super) width: Option<usize>,
    /// When the command started. Relative times such as `2 days ago` are relative to this.
    now: Timestamp,
}

enum Target {
    /// Not decided yet: a pager is started only once the output outgrows the screen.
    Undecided,
    Stdout,
    Pager {
        child: Child,
        stdin: ChildStdin,
    },
}

impl Output {
    /// Standard output, set up from the arguments and the terminal.
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
        Self {
            target: Target::Undecided,
            buffer: Vec::new(),
            buffering: false,
            screen_lines: None,
            height: size.map(|(_, Height(height))| usize::from(height)),
            closed: false,
            terminal,
            quiet: globals.quiet,
            colored,
            json: globals.json,
            width,
            now: times::now(),
        }
    }

    /// Uses a pager for output longer than the screen, unless it is JSON.
    pub(super) fn page(&mut self) {
        self.screen_lines = self.height.filter(|_| !self.json).map(|height| height.saturating_sub(1));
    }

    /// Holds back all output until [`Output::finish`], up to [`BUFFER_BYTES_MAX`].
    pub(super) fn hold(&mut self) {
        self.buffering = true;
    }

    /// Whether standard output is a terminal.
    pub(super) fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Whether the reader has closed the pipe, so that further output is pointless.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// A painter that applies styles only if colour is on.
    pub(super) fn painter(&self) -> Painter {
        Painter { colored: self.colored }
    }

    /// Formats a time: RFC 3339 when piped, a readable form on a terminal.
    pub(super) fn time(&self, time: Timestamp) -> String {
        if self.terminal { times::for_people(time, self.now) } else { time.to_string() }
    }

    /// Formats a time for a column: RFC 3339 when piped, to the minute on a terminal.
    pub(super) fn brief_time(&self, time: Timestamp) -> String {
        if self.terminal { times::brief(time) } else { time.to_string() }
    }

    /// Writes a line. Characters that are invisible or control the terminal are named or escaped. Styles stay, so the
    /// caller must escape foreign text before painting it ([`style::safe`]).
    pub(super) fn line(&mut self, line: impl Display) -> Result<(), Failure> {
        let line = line.to_string();
        let line = if self.json { in_json(&line).into_owned() } else { style::safe_styled(&line) };
        self.write(format!("{line}\n").as_bytes())
    }

    /// Writes paragraphs, wrapped, with `indent` before each line.
    pub(super) fn wrapped(&mut self, indent: &str, text: &str) -> Result<(), Failure> {
        self.line(style::wrap(text, indent, indent, self.width))
    }

    /// Writes a message as a line of JSON.
    pub(super) fn message<M: Name>(&mut self, message: &M) -> Result<(), Failure> {
        self.line(to_json(message))
    }

    /// Writes a document: unchanged to a file or a pipe, with control characters made visible on a terminal.
    pub(super) fn document(&mut self, document: &[u8]) -> Result<(), Failure> {
        if self.terminal {
            return self.bytes(style::safe(&String::from_utf8_lossy(document)).as_bytes());
        }
        self.bytes(document)
    }

    /// Writes bytes unchanged and without a pager.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.screen_lines = None;
        self.write(bytes)
    }

    /// Writes a note to standard error, unless `--quiet` was given.
    pub(super) fn note(&self, note: impl Display) {
        if !self.quiet {
            say(note);
        }
    }

    /// Ends the output: writes what is held back, and waits for the pager.
    pub(super) fn finish(mut self) -> Result<(), Failure> {
        self.buffering = false;
        if matches!(self.target, Target::Undecided) {
            self.choose_target();
        }
        self.write_buffer()?;
        match self.target {
            Target::Undecided | Target::Stdout => check_write(io::stdout().flush(), &mut self.closed),
            Target::Pager { mut child, stdin } => {
                drop(stdin);
                // The exit status of a pager says nothing about the command.
                drop(child.wait());
                Ok(())
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        if self.closed {
            return Ok(());
        }
        self.buffer.extend_from_slice(bytes);
        if self.buffering && self.buffer.len() <= BUFFER_BYTES_MAX {
            return Ok(());
        }
        self.buffering = false;
        if matches!(self.target, Target::Undecided) {
            if self.screen_lines.is_some() && !self.is_longer_than_the_screen() {
                return Ok(());
            }
            self.choose_target();
        }
        self.write_buffer()
    }

    fn is_longer_than_the_screen(&self) -> bool {
        let lines = self.buffer.iter().filter(|byte| **byte == b'\n').count();
        self.screen_lines.is_some_and(|screen| lines > screen)
    }

    /// Chooses the target, now that it is known whether the output fits on the screen.
    fn choose_target(&mut self) {
        let pager = if self.is_longer_than_the_screen() { pager() } else { None };
        self.target = pager.unwrap_or(Target::Stdout);
    }

    /// Writes the buffer to the target.
    fn write_buffer(&mut self) -> Result<(), Failure> {
        let bytes = std::mem::take(&mut self.buffer);
        let written = match &mut self.target {
            Target::Undecided | Target::Stdout => io::stdout().write_all(&bytes),
            Target::Pager { stdin, .. } => stdin.write_all(&bytes),
        };
        check_write(written, &mut self.closed)
    }
}

fn check_write(written: io::Result<()>, closed: &mut bool) -> Result<(), Failure> {
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {
            *closed = true;
            Ok(())
        }
        Err(error) => Err(Failure::new(Exit::Failed, format!("standard output cannot be written: {error}"))),
        Ok(()) => Ok(()),
    }
}

/// Writes a line to standard error, safe for a terminal. An error is ignored, since there is nowhere to report it.
pub(super) fn say(text: impl Display) {
    drop(writeln!(anstream::stderr(), "{}", style::safe(&text.to_string())));
}

/// Reports a failure, and what the user can do about it.
pub(super) fn tell(failure: &Failure) {
    say(format_args!("dateline: {}", failure.message));
    if let Some(hint) = &failure.hint {
        say(format_args!("hint: {hint}"));
    }
}

/// Escapes the messages of panics as all others are escaped: they may include text from an article or a feed.
pub(super) fn say_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let backtrace = Backtrace::capture();
        let is_enabled = backtrace.status() == BacktraceStatus::Captured;
        say(format_args!("dateline: {panic}{}", if is_enabled { format!("\n{backtrace}") } else { String::new() }));
    }));
}

/// Starts `DATELINE_PAGER`, `PAGER` or `less`. An empty value and `cat` mean no pager.
fn pager() -> Option<Target> {
    let chosen = ["DATELINE_PAGER", "PAGER"].iter().find_map(|name| std::env::var(name).ok());
    let chosen = chosen.unwrap_or_else(|| "less".to_owned());
    if matches!(chosen.trim(), "" | "cat") {
        return None;
    }
    let mut command = Command::new("sh");
    command.arg("-c").arg(&chosen).stdin(Stdio::piped());
    // Options of less: quit if the text fits, pass colours through, leave the text on the screen. git sets the same.
    if std::env::var_os("LESS").is_none() {
        command.env("LESS", "FRX");
    }
    let mut child = command.spawn().ok()?;
    let stdin = child.stdin.take()?;
    Some(Target::Pager { child, stdin })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs in a process of its own, since the panic hook is global.
    #[test]
    fn a_panic_message_cannot_control_the_terminal() {
        const CHILD: &str = "DATELINE_TEST_PANICS";
        let name = "cli::output::tests::a_panic_message_cannot_control_the_terminal";
        if std::env::var_os(CHILD).is_some() {
            say_panics();
            panic!("no place for \u{1b}]0;mine\u{7}");
        }
        let this = std::env::current_exe().unwrap();
        let done = Command::new(this).args([name, "--exact", "--nocapture"]).env(CHILD, "1").output().unwrap();
        let said = String::from_utf8(done.stderr).unwrap();
        assert!(said.contains("dateline: panicked at src/cli/output.rs"), "{said}");
        assert!(said.contains("no place for <U+001B>]0;mine<U+0007>"), "{said}");
        assert!(!said.contains('\u{1b}'), "{said}");
    }
}
