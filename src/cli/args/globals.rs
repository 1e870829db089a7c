//! The options that every command accepts.

use std::path::PathBuf;

use clap::builder::FalseyValueParser;
use clap::{Args, ValueEnum};

use super::values;

/// The options that every command accepts.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(in crate::cli) struct Globals {
    // The environment variable is not read by clap's `env`, with which `--archive` could not override it.
    /// Connect to the server at this URL, with https://, http:// or unix: [env: DATELINE_SERVER]
    #[arg(long, global = true, value_name = "URL", conflicts_with = "archive")]
    pub(in crate::cli) server: Option<String>,
    /// Use the archive in this directory [env: DATELINE_ARCHIVE] [default: in the platform's data directory]
    #[arg(long, global = true, value_name = "DIR")]
    pub(in crate::cli) archive: Option<PathBuf>,
    /// Trust a server whose certificate is from an authority in this file, in PEM [default: those that the system trusts]
    #[arg(long, global = true, value_name = "FILE", env = "DATELINE_CA", hide_short_help = true)]
    pub(in crate::cli) ca: Option<PathBuf>,
    /// Show the server this certificate, in PEM, to be recognised by it
    #[arg(long, global = true, value_name = "FILE", env = "DATELINE_TLS_CLIENT_CERT", hide_short_help = true)]
    pub(in crate::cli) tls_client_cert: Option<PathBuf>,
    /// The private key of that certificate, in PEM
    #[arg(long, global = true, value_name = "FILE", env = "DATELINE_TLS_CLIENT_KEY", hide_short_help = true)]
    pub(in crate::cli) tls_client_key: Option<PathBuf>,
    /// Write nothing to the archive's directory, and read a private copy of it: for a read-only mount, or the files of
    /// another user. Commands that write are refused
    #[arg(long, global = true, env = "DATELINE_READ_ONLY", value_parser = FalseyValueParser::new())]
    pub(in crate::cli) read_only: bool,
    /// With --read-only, make the copy in this directory, and remove it afterwards [default: $TMPDIR, or /tmp]
    #[arg(long, global = true, value_name = "DIR", hide_short_help = true)]
    pub(in crate::cli) scratch: Option<PathBuf>,
    /// Wait up to this many seconds for another command that is using the archive
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 10, value_parser = values::seconds)]
    pub(in crate::cli) wait: u32,
    /// Print one JSON object per line, for programs
    #[arg(long, global = true)]
    pub(in crate::cli) json: bool,
    /// Print no notes on standard error, only errors
    #[arg(long, short, global = true)]
    pub(in crate::cli) quiet: bool,
    /// Choose when to use colour
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value_t = Color::Auto)]
    pub(in crate::cli) color: Color,
    /// Wrap text at this many columns, at least 20; 0 turns wrapping off [default: the terminal's width; piped text is
    /// not wrapped]
    #[arg(long, global = true, value_name = "COLUMNS", value_parser = values::columns)]
    pub(in crate::cli) width: Option<u16>,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Color {
    /// If standard output is a terminal that supports it
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}
