//! `man`: writes the manual pages of all commands, from the same text as the help.

use std::path::Path;

use clap::{Command, CommandFactory};

use super::args::{AFTER_HELP, Arguments};
use super::exit::{Exit, Failure};

pub(super) fn run(directory: &Path) -> Result<(), Failure> {
    let command = Arguments::command();
    clap_mangen::generate_to(whole(command), directory).map_err(|error| {
        Failure::new(Exit::Failed, format!("the manual pages cannot be written to {}: {error}", directory.display()))
            .hint("give a directory that exists")
    })
}

/// The command with all that its long help says, which a page leaves out if the short help does, and the explanation of
/// its placeholders.
fn whole(command: Command) -> Command {
    let has_help = command.get_after_help().is_some();
    let command = if has_help { command } else { command.after_help(AFTER_HELP) };
    command.mut_args(|argument| argument.hide_short_help(false)).mut_subcommands(whole)
}
