//! `evidence`: a page that was archived, as a file that is checked without the archive.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use super::site::run;
use super::{Cli, Done};
use crate::fetch::server::{Answer, Server};

const PAGE: &str = "<!DOCTYPE html><html lang='en'><head><title>Ferry &amp; lorries</title>\
    <meta property='og:site_name' content='The Tidewater Post'>\
    <meta property='article:published_time' content='2026-05-16T18:00:00.25Z'></head><body><article>\
    <h1>Ferry &amp; lorries</h1><p>The night ferry came back to its berth at dawn on Sunday, two weeks after it had left, \
    with forty lorries &lt;empty&gt; and two hundred passengers on board, who had waited since midnight.</p>\
    <ul><li>It was \"late\"</li><li>It was full</li></ul></article></body></html>";

/// An archive with a key, and a page that was archived.
struct Archived {
    cli: Arc<Cli>,
    address: String,
    key: String,
    _server: Server,
}

impl Archived {
    async fn new() -> Self {
        let (cli, server) = (Arc::new(Cli::new()), Server::start().await);
        server.route("/ferry", |_| Answer::ok("text/html; charset=utf-8", PAGE).header("ETag", "\"5e8c\""));
        let address = format!("http://{}/ferry", server.address());
        let pem = cli.path("log.pem");
        assert_eq!(run(&cli, &["key", "new", pem.to_str().unwrap()]).await.code, 0);
        let added = run(&cli, &["add", "--allow-private", &address]).await;
        assert_eq!(added.code, 0, "{added:?}");
        let mut archived = Self { cli, address, key: String::new(), _server: server };
        archived.key = archived.ok(&["key", "show"]).trim().to_owned();
        archived
    }

    fn path(&self, name: &str) -> String {
        self.cli.path(name).to_str().unwrap().to_owned()
    }

    /// Runs a command that sees the key.
    fn run(&self, args: &[&str]) -> Done {
        self.cli.command(args).env("DATELINE_LOG_KEY", self.cli.path("log.pem")).output().unwrap().into()
    }

    fn ok(&self, args: &[&str]) -> String {
        let done = self.run(args);
        assert_eq!(done.code, 0, "{args:?}: {done:?}");
        done.out
    }

    /// Writes evidence to a file of this name, and returns its path and its bytes.
    fn evidence(&self, name: &str, more: &[&str]) -> (String, Vec<u8>) {
        let path = self.path(name);
        self.ok(&[&["evidence", self.address.as_str(), "--output", path.as_str()], more].concat());
        let bytes = std::fs::read(&path).unwrap();
        (path, bytes)
    }
}

/// The files in evidence, which are stored without compression: each after a header of 30 bytes and its name.
fn files(mut zip: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    while zip.starts_with(b"PK\x03\x04") {
        let size = u32::from_le_bytes(zip[18..22].try_into().unwrap()) as usize;
        let name_end = 30 + usize::from(u16::from_le_bytes(zip[26..28].try_into().unwrap()));
        let name = String::from_utf8(zip[30..name_end].to_vec()).unwrap();
        files.push((name, zip[name_end..name_end + size].to_vec()));
        zip = &zip[name_end + size..];
    }
    files
}

fn unpack(zip: &[u8], folder: &Path) {
    std::fs::create_dir(folder).unwrap();
    files(zip).iter().for_each(|(name, data)| std::fs::write(folder.join(name), data).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_of_a_page_is_checked_without_the_archive() {
    let archived = Archived::new().await;
    let (path, zip) = archived.evidence("ferry.zip", &[]);
    let files = files(&zip);
    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    let expected = ["README.txt", "checkpoint.txt", "content.json", "headers.json", "log-key.txt", "original.bin"];
    assert_eq!(names, [&expected[..], &["page.html", "proof.tlog-proof", "verify_proof.py"]].concat());
    let text = |name: &str| {
        let (_, data) = files.iter().find(|(found, _)| found == name).unwrap();
        String::from_utf8(data.clone()).unwrap()
    };
    assert_eq!(text("original.bin"), PAGE);
    assert!(text("headers.json").contains("\"ETag\": \"\\\"5e8c\\\"\""), "{}", text("headers.json"));
    assert!(text("page.html").contains("forty lorries &lt;empty&gt; and"), "{}", text("page.html"));
    assert!(text("README.txt").contains(&archived.key));
    assert_eq!(archived.evidence("again.zip", &[]).1, zip, "the log has not grown");

    let cli = &archived.cli;
    cli.fails(&["evidence", &archived.address, "--output", &path], 4, "exists already");
    std::fs::remove_dir_all(cli.archive()).unwrap();
    let checked = cli.ok(&["evidence", "--check", &path, "--key", &archived.key]);
    assert!(checked.contains("Headline  Ferry & lorries"), "{checked}");
    let with_own_key = cli.run(&["evidence", "--check", &path]);
    assert!(with_own_key.code == 0 && with_own_key.err.contains("compare it"), "{with_own_key:?}");
    let other = cli.path("other.pem");
    let other = other.to_str().unwrap();
    cli.ok(&["key", "new", other]);
    let origin = archived.key.split('+').next().unwrap();
    let other = cli.ok(&["key", "show", other, "--origin", origin]);
    cli.fails(&["evidence", "--check", &path, "--key", other.trim()], 6, "proves nothing");

    let escaped = b"lorries &lt;empty";
    let packed = zip.windows(escaped.len()).position(|part| part == escaped).unwrap();
    for at in [packed, zip.len() - 1] {
        let mut altered = zip.clone();
        altered[at] ^= 1;
        let altered = cli.file("altered.zip", altered);
        cli.fails(
            &["evidence", "--check", &altered, "--key", &archived.key],
            6,
            "not an evidence file, or it was altered",
        );
    }
    cli.fails(&["evidence", "--check", &cli.file("empty.zip", ""), "--key", &archived.key], 6, "not an evidence file");
}

/// The proof, and so the checkpoint, can be one that was made before: witnesses have cosigned it, or it was time-stamped.
#[tokio::test(flavor = "multi_thread")]
async fn evidence_can_end_at_an_earlier_checkpoint() {
    let archived = Archived::new().await;
    let earlier = archived.cli.file("earlier", archived.ok(&["proof", &archived.address]));
    archived.cli.add("other", "Another text", "It makes the log longer.", &[]);
    let (path, zip) = archived.evidence("earlier.zip", &["--from", &earlier]);
    let checkpoint = |zip: &[u8]| String::from_utf8(files(zip)[1].1.clone()).unwrap();
    assert!(std::fs::read_to_string(&earlier).unwrap().ends_with(&checkpoint(&zip)));
    assert_ne!(checkpoint(&zip), checkpoint(&archived.evidence("newest.zip", &[]).1));
    archived.cli.ok(&["evidence", "--check", &path, "--key", &archived.key]);

    let refused = |from: &str, more: &[&str], words: &str| {
        let output = archived.path("refused.zip");
        let args = ["evidence", archived.address.as_str(), "--output", output.as_str(), "--from", from];
        let done = archived.run(&[&args[..], more].concat());
        assert!(done.code == 1 && done.err.contains(words), "{done:?}");
        assert!(!Path::new(&output).exists());
    };
    let proof_of = |args: &[&str]| archived.cli.file("proof", archived.ok(&[&["proof"], args].concat()));
    refused(&proof_of(&["press/other"]), &[], "is a proof of press/other");
    refused(&proof_of(&[&archived.address, "--withhold"]), &[], "without --withhold");
    refused(&archived.cli.file("proof", "no proof"), &[], "cannot be used");
    let stamp = archived.cli.file("stamp.tsr", b"no stamp");
    refused(&earlier, &["--timestamp", &stamp], "time stamp 1 is not a granted RFC 3161 response");
}

/// What was not fetched from the web has no original and no headers.
#[tokio::test(flavor = "multi_thread")]
async fn evidence_is_of_the_revision_that_is_asked_for() {
    let archived = Archived::new().await;
    for headline in ["First", "Second"] {
        assert_eq!(archived.cli.add("story", headline, "The text of the story.", &[]).code, 0);
    }
    archived.ok(&["rollback", "press/story", "--to", "1"]);
    let path = |name: &str| archived.path(&format!("{name}.zip"));
    let rows = [("1", "created", "First"), ("2", "revised", "Second"), ("3", "rolledback", "First")];
    for (number, kind, headline) in rows {
        archived.ok(&["evidence", "press/story", "--revision", number, "--output", &path(number)]);
        let names: Vec<String> =
            files(&std::fs::read(path(number)).unwrap()).into_iter().map(|(name, _)| name).collect();
        assert!(names.iter().all(|name| name != "original.bin" && name != "headers.json"), "{names:?}");
        let checked = archived.cli.ok(&["evidence", "--check", &path(number), "--key", &archived.key]);
        for row in [format!("Revision  {number}\n"), format!("Kind      {kind}\n"), format!("Headline  {headline}\n")] {
            assert!(checked.contains(&row), "{row} in {checked}");
        }
    }
    let unknown = archived.run(&["evidence", "press/story", "--revision", "4", "--output", &path("4")]);
    assert!(unknown.code == 3 && unknown.err.contains("revision"), "{unknown:?}");
    archived.cli.fails(&["evidence", "press/story", "--output", &path("5")], 4, "has no log key");
    archived.cli.fails(&["evidence", "press/story"], 2, "--output");
    assert!(!Path::new(&path("4")).exists() && !Path::new(&path("5")).exists());
}

/// What was destroyed is not in the file, and what is left still proves that there was something.
#[tokio::test(flavor = "multi_thread")]
async fn evidence_of_a_destroyed_text_proves_its_place() {
    let archived = Archived::new().await;
    let expunge = ["expunge", &archived.address, "--all", "--reason", "court-order", "--reference", "7 O 123/26"];
    let plan = archived.ok(&expunge);
    let digest = plan.trim().rsplit(' ').next().unwrap();
    archived.ok(&[&expunge[..], &["--confirm", digest]].concat());
    let (path, zip) = archived.evidence("ferry.zip", &[]);
    let names: Vec<String> = files(&zip).into_iter().map(|(name, _)| name).collect();
    assert!(!names.iter().any(|name| ["content.json", "original.bin", "headers.json"].contains(&name.as_str())));
    for text in ["lorries", "night ferry", "5e8c"] {
        assert!(!zip.windows(text.len()).any(|part| part == text.as_bytes()), "{text}");
    }
    let checked = archived.cli.ok(&["evidence", "--check", &path, "--key", &archived.key]);
    assert!(checked.contains("Archived") && !checked.contains("Headline"), "{checked}");
}

/// The Python verifier, which is in the file, checks all that is for reading. It needs the package `cryptography`.
#[tokio::test(flavor = "multi_thread")]
async fn the_verifier_in_the_file_checks_the_unpacked_folder() {
    let python = |args: &[&str]| Command::new("python3").args(args).output();
    if !python(&["-c", "import cryptography"]).is_ok_and(|output| output.status.success()) {
        return;
    }
    let archived = Archived::new().await;
    let (_, zip) = archived.evidence("ferry.zip", &[]);
    let check = |name: &str, alter: &dyn Fn(&Path)| -> Done {
        let folder = archived.cli.path(name);
        unpack(&zip, &folder);
        alter(&folder);
        let verifier = folder.join("verify_proof.py");
        python(&[verifier.to_str().unwrap(), folder.to_str().unwrap(), &archived.key]).unwrap().into()
    };
    let checked = check("whole", &|_| ());
    assert_eq!(checked.code, 0, "{checked:?}");
    assert!(checked.out.contains("headline: Ferry & lorries"), "{checked:?}");
    let not_checked = checked.out.lines().last().unwrap();
    assert_eq!(not_checked, "not checked: README.txt, log-key.txt, verify_proof.py");
    for (file, _) in files(&zip).iter().filter(|(name, _)| !not_checked.contains(name.as_str())) {
        let altered = check(&format!("altered-{file}"), &|folder| {
            let mut data = std::fs::read(folder.join(file)).unwrap();
            // A digit or a letter, so that JSON stays JSON.
            let at = data.iter().rposition(u8::is_ascii_lowercase).unwrap();
            data[at] = if data[at] == b'a' { b'b' } else { b'a' };
            std::fs::write(folder.join(file), data).unwrap();
        });
        assert!(altered.code == 1 && altered.err.contains("not proved"), "{file}: {altered:?}");
        let missing = check(&format!("without-{file}"), &|folder| std::fs::remove_file(folder.join(file)).unwrap());
        assert!(missing.code == 1 && missing.err.contains(&format!("there is no {file}")), "{missing:?}");
    }
    let more = check("more", &|folder| std::fs::write(folder.join("more.html"), "more").unwrap());
    assert!(more.code == 1 && more.err.contains("not a part of evidence: more.html"), "{more:?}");
}
