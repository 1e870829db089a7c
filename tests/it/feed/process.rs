//! The real server as a process that can be killed, and started again on the same archive.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use dateline::internals::client::Client;
use tokio::sync::watch;

/// The number of the server's start, and its URL; `None` while it is down.
type Place = Option<(u32, String)>;

/// A server that goes down and comes up again.
pub(super) struct ServerProcess {
    archive: PathBuf,
    running: Option<Child>,
    starts: u32,
    place: watch::Sender<Place>,
}

impl ServerProcess {
    /// A server for an archive, not yet started.
    pub(super) fn on(archive: &Path) -> Self {
        Self { archive: archive.to_owned(), running: None, starts: 0, place: watch::Sender::new(None) }
    }

    /// A way to connect to the server that survives its restarts.
    pub(super) fn way(&self) -> Way {
        Way { place: self.place.subscribe(), last: None }
    }

    /// Starts the server, and returns once it serves.
    pub(super) fn start(&mut self) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dateline"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("DATELINE_")) {
            command.env_remove(name);
        }
        command.args(["serve", "--no-auth", "--archive"]).arg(&self.archive);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        self.running = Some(child);
        let mut line = String::new();
        while !line.contains("serving") {
            line.clear();
            assert!(log.read_line(&mut line).unwrap() > 0, "the server ended before it served");
        }
        let address = line.split("address=").nth(1).unwrap().trim();
        self.starts += 1;
        self.place.send_replace(Some((self.starts, address.to_owned())));
        // A full pipe would block the server.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
    }

    /// Ends the server with SIGKILL.
    pub(super) fn kill(&mut self) {
        if let Some(mut child) = self.running.take() {
            self.place.send_replace(None);
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A way to connect to a server that may be down.
#[derive(Clone, Debug)]
pub(super) struct Way {
    place: watch::Receiver<Place>,
    /// The last server that there was a connection to.
    last: Place,
}

impl Way {
    /// Connects as soon as a server is up that is not the last one.
    pub(super) async fn connect_anew(&mut self) -> Client {
        loop {
            let last = self.last.take();
            self.last = self.place.wait_for(|place| place.is_some() && *place != last).await.unwrap().clone();
            let (_, url) = self.last.as_ref().expect("the server is up");
            if let Ok(client) = Client::connect(url).await {
                return client;
            }
        }
    }
}
