//! A server in a process of its own, so that its memory and processor time can be measured apart from the clients'.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::memory::{self, Memory};

/// The `dateline` binary, serving an archive. Dropping this kills it.
pub(crate) struct ChildServer {
    process: Child,
    pub(crate) url: String,
    /// Where it shows pages: an address with a port.
    pub(crate) web_host: Option<String>,
}

impl ChildServer {
    /// Starts a server for the archive in `path`, and waits until it serves.
    pub(crate) fn start(path: &Path) -> anyhow::Result<Self> {
        Self::start_with(path, &[])
    }

    /// Like [`Self::start`], with more options.
    pub(crate) fn start_with(path: &Path, options: &[&str]) -> anyhow::Result<Self> {
        let mut process = Command::new(env!("CARGO_BIN_EXE_dateline"))
            .args(["serve", "--no-auth", "--listen", "127.0.0.1:0"])
            .args(["--subscribers-max", "20000", "--subscribers-per-peer-max", "20000", "--archive"])
            .arg(path)
            .args(options)
            .stderr(Stdio::piped())
            .spawn()?;
        let mut log = BufReader::new(process.stderr.take().ok_or_else(|| anyhow::anyhow!("no log"))?);
        let (mut line, mut web_host) = (String::new(), None);
        while !line.contains("serving") {
            line.clear();
            anyhow::ensure!(log.read_line(&mut line)? > 0, "the server ended before it served");
            if line.contains("showing pages") {
                let host = line.split("url=http://").nth(1).and_then(|rest| rest.split('/').next());
                web_host = host.map(str::to_owned);
            }
        }
        let address = line.split("address=").nth(1).unwrap_or_default().trim().to_owned();
        // The rest of the log has to be read, or a full pipe would block the server.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Ok(Self { process, url: format!("http://{address}"), web_host })
    }

    pub(crate) fn memory(&self) -> Memory {
        memory::memory_of(&self.process.id().to_string())
    }

    pub(crate) fn processor(&self) -> Duration {
        memory::processor_of(&self.process.id().to_string())
    }
}

impl Drop for ChildServer {
    fn drop(&mut self) {
        // The process may have ended by itself.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
