//! Compiles the shim, and runs children with it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::child::Task;
use crate::victim::command;

/// The path of the shim, compiled once per process.
fn shim() -> &'static Path {
    static SHIM: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = SHIM.get_or_init(|| {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("shim.so");
        let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
        // `CC` may include arguments.
        let mut words = compiler.split_whitespace();
        let mut compile = Command::new(words.next().unwrap_or("cc"));
        compile.args(words).args(["-shared", "-fPIC", "-O1", "-pthread", "-o"]).arg(&path);
        let compiled = compile.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/crash/power/shim.c")).status();
        assert!(compiled.unwrap().success(), "{compiler} does not compile the shim");
        (directory, path)
    });
    path
}

/// Runs a child and appends its calls below `root` to `trace`. The child is killed before call number `calls_max`, if
/// it gets that far.
pub(super) fn record(task: &Task, root: &Path, trace: &Path, calls_max: Option<u64>) {
    let mut command = command(task);
    command.env("LD_PRELOAD", shim()).env("DATELINE_POWER_ROOT", root).env("DATELINE_POWER_TRACE", trace);
    if let Some(calls_max) = calls_max {
        command.env("DATELINE_POWER_LIMIT", calls_max.to_string());
    }
    // What the child prints is in the trace.
    let ended = command.output().unwrap();
    assert!(ended.status.success() || calls_max.is_some(), "the child failed: {}", ended.status);
}
