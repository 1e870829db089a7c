//! `completions`: prints a script that completes the command line in a shell.

use clap::CommandFactory;
use clap_complete::Shell;

use super::args::Arguments;
use super::exit::Failure;
use super::output::Output;

pub(super) fn run(shell: Shell, out: &mut Output) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "dateline", &mut script);
    out.bytes(&script)
}
