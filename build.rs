//! Compiles the protocol buffers with protox, so that no `protoc` is needed. Nothing generated is kept in git.

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

use prost::Message;

const WIRE: [&str; 2] = ["dateline/v1/archive_service.proto", "dateline/v1/admin_service.proto"];
const STORED: [&str; 1] = ["stored/v1/stored.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let wire = protox::compile(WIRE, ["proto"])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("dateline_descriptor.bin"), wire.encode_to_vec())?;
    // The full names are what JSON and reflection find a message by.
    let mut config = tonic_prost_build::Config::new();
    config.enable_type_names();
    tonic_prost_build::configure().bytes(".dateline.v1.Original.data").compile_fds_with_config(wire, config)?;
    tonic_prost_build::configure()
        .build_client(false)
        .build_server(false)
        .compile_fds(protox::compile(STORED, ["proto"])?)?;
    Ok(())
}
