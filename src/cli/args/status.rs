//! The arguments of `status`.

use clap::Args;

/// The arguments of `status`.
#[derive(Debug, Args)]
#[command(after_help = "With --check, the exit status is that of a monitoring plugin: 0 OK, 1 WARNING, 2 CRITICAL, \
                        3 UNKNOWN. docs/OPERATIONS.md says what leads to each.")]
pub(in crate::cli) struct StatusArgs {
    /// Print one line for a monitoring system such as Nagios, and end with the status that it expects
    #[arg(long)]
    pub(in crate::cli) check: bool,
    /// Warn if a durable subscription has not acknowledged changes that are older than this
    #[arg(long, value_name = "SECONDS", requires = "check")]
    pub(in crate::cli) max_lag: Option<u64>,
}
