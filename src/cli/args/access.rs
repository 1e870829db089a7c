//! The arguments of `token`, `login`, `logout`, `whoami` and `audit`.

use clap::{Args, Subcommand, ValueEnum};

use crate::wire::pb;

/// The arguments of `token`.
#[derive(Debug, Args)]
pub(in crate::cli) struct TokenArgs {
    #[command(subcommand)]
    pub(in crate::cli) command: TokenCommand,
}

/// What to do with tokens.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum TokenCommand {
    /// Add a principal, and print its token, which is kept nowhere else
    Create(CreateArgs),
    /// List the principals, what each may do, and when it last called
    List,
    /// Remove a principal: its token is refused from now on, and its streams end
    Revoke {
        /// The principal
        name: String,
    },
}

/// The arguments of `token create`.
#[derive(Debug, Args)]
pub(in crate::cli) struct CreateArgs {
    /// The principal's name; what it writes has it in the log
    pub(in crate::cli) name: String,
    /// What it may do
    #[arg(long, value_name = "PERMISSION", value_enum, value_delimiter = ',', required = true)]
    pub(in crate::cli) may: Vec<MayArg>,
    /// On which source: an id, or the beginning of ids and *, such as "gazette-*"; "*" is all. Can be repeated
    #[arg(long, value_name = "SOURCE", value_delimiter = ',', required = true)]
    pub(in crate::cli) source: Vec<String>,
    /// When the token ends: after a number of days, such as 90d, or at a time [default: never]
    #[arg(long, value_name = "DAYS|TIME")]
    pub(in crate::cli) expires: Option<String>,
}

/// A permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum MayArg {
    /// Read articles, and follow the change feed
    Read,
    /// Record observations and absences
    Write,
    /// Withdraw, reinstate, roll back and label articles, and move addresses
    Mark,
    /// Have durable subscriptions
    Subscribe,
    /// Verify, back up and deal with tokens; it needs all sources
    Admin,
    /// Destroy texts
    Expunge,
}

impl MayArg {
    /// The permission as a message.
    pub(in crate::cli) fn to_pb(self) -> pb::Permission {
        match self {
            Self::Read => pb::Permission::Read,
            Self::Write => pb::Permission::Write,
            Self::Mark => pb::Permission::Mark,
            Self::Subscribe => pb::Permission::Subscribe,
            Self::Admin => pb::Permission::Admin,
            Self::Expunge => pb::Permission::Expunge,
        }
    }
}

/// The arguments of `login` and `logout`.
#[derive(Debug, Args)]
pub(in crate::cli) struct LoginArgs {
    /// The server's URL, which begins with https:// or unix:
    pub(in crate::cli) url: String,
}

/// The arguments of `audit`.
#[derive(Debug, Args)]
pub(in crate::cli) struct AuditArgs {
    /// Only calls that were refused
    #[arg(long)]
    pub(in crate::cli) denied: bool,
    /// Only calls of this principal
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) principal: Option<String>,
}
