//! The arguments of `cert`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// The arguments of `cert`.
#[derive(Debug, Args)]
pub(in crate::cli) struct CertArgs {
    #[command(subcommand)]
    pub(in crate::cli) command: CertCommand,
}

/// What to make.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum CertCommand {
    /// Make an authority, which signs the other certificates: DIR/ca.pem and DIR/ca.key
    Ca {
        /// The folder for the files; created if it does not exist
        dir: PathBuf,
    },
    /// Make the certificate of a server: DIR/server.pem and DIR/server.key
    Server {
        /// The folder with the authority
        dir: PathBuf,
        /// A host name or IP address by which clients reach the server; can be repeated
        #[arg(long, value_name = "HOST", required = true)]
        host: Vec<String>,
    },
    /// Make the certificate of a client: DIR/NAME.pem and DIR/NAME.key
    Client {
        /// The folder with the authority
        dir: PathBuf,
        /// The client's name, which becomes a part of the file names
        #[arg(long, value_name = "NAME")]
        name: String,
        /// A URI by which access rules recognise the client, such as spiffe://news.example/crawler; can be repeated
        /// [default: the client's name, as a DNS name]
        #[arg(long, value_name = "URI")]
        uri: Vec<String>,
    },
}
