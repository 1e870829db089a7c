//! Real histories: a file with one line of JSON per revision of an article, in the order of time.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use dateline::internals::ingest::{self, Format, Options};
use dateline::internals::wire::{content_to_pb, json, pb, timestamp_to_pb};
use dateline::model::Timestamp;
use serde::Deserialize;

/// One revision, as a line of the file has it.
#[derive(Debug, Deserialize)]
pub(crate) struct Line {
    pub(crate) article: String,
    /// In seconds since 1970.
    pub(crate) commit_time: i64,
    /// The text, in Markdown.
    pub(crate) text: String,
}

/// A history: its revisions, and the requests that archive them.
pub(crate) struct History {
    pub(crate) lines: Vec<Line>,
    pub(crate) requests: Vec<pb::RecordObservationRequest>,
}

impl History {
    /// Reads a zstd-compressed file.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let file = BufReader::new(zstd::stream::read::Decoder::new(File::open(path)?)?);
        let lines: Vec<Line> =
            file.lines().map(|line| Ok(serde_json::from_str(&line?)?)).collect::<anyhow::Result<_>>()?;
        let mut ids = HashMap::new();
        let requests = lines.iter().map(|line| request(line, &mut ids)).collect::<anyhow::Result<_>>()?;
        Ok(Self { lines, requests })
    }

    pub(crate) fn text_bytes(&self) -> usize {
        self.lines.iter().map(|line| line.text.len()).sum()
    }

    /// Writes the requests as JSON Lines, in the given order.
    pub(crate) fn write(&self, order: &[usize], path: &Path) -> anyhow::Result<()> {
        let mut file = BufWriter::new(File::create(path)?);
        for index in order {
            let request = Some(pb::replay_request::Request::Record(self.requests[*index].clone()));
            writeln!(file, "{}", json::to_json(&pb::ReplayRequest { request, recorded: None }))?;
        }
        Ok(file.flush()?)
    }

    /// For each article the instants at which it changed, in order.
    pub(crate) fn instants(&self) -> BTreeMap<String, Vec<prost_types::Timestamp>> {
        let mut instants: BTreeMap<String, Vec<_>> = BTreeMap::new();
        for request in &self.requests {
            let name = format!("{}/articles/{}", request.parent, request.article_id);
            instants.entry(name).or_default().extend(request.observe_time);
        }
        instants
    }

    /// The bytes that git needs for the same texts: the size of the pack after `git gc --aggressive`, blobs only.
    pub(crate) fn git_bytes(&self, folder: &Path) -> anyhow::Result<u64> {
        let git = |args: &[&str]| {
            let mut command = Command::new("git");
            command.arg("-C").arg(folder).args(args);
            command
        };
        anyhow::ensure!(git(&["init", "--quiet", "--bare"]).status()?.success(), "git init");
        let mut import = git(&["fast-import", "--quiet"]).stdin(Stdio::piped()).spawn()?;
        {
            let mut to = BufWriter::new(import.stdin.take().ok_or_else(|| anyhow::anyhow!("no input"))?);
            for (index, line) in self.lines.iter().enumerate() {
                let (text, time, path) = (&line.text, line.commit_time.max(0), &line.article);
                writeln!(to, "blob\nmark :{}\ndata {}\n{text}", index + 1, text.len())?;
                writeln!(to, "commit refs/heads/main\ncommitter a <a@b> {time} +0000\ndata 0")?;
                writeln!(to, "M 100644 :{} {}", index + 1, path.replace(['"', '\n'], "_"))?;
            }
            to.flush()?;
        }
        anyhow::ensure!(import.wait()?.success(), "git fast-import");
        anyhow::ensure!(git(&["gc", "--aggressive", "--quiet"]).status()?.success(), "git gc");
        let index = git(&["rev-parse", "--git-path", "objects/pack"]).output()?.stdout;
        let packs = folder.join(String::from_utf8_lossy(&index).trim());
        let index = std::fs::read_dir(packs)?.filter_map(Result::ok).map(|entry| entry.path());
        let index = index.filter(|path| path.extension().is_some_and(|ending| ending == "idx"));
        let mut bytes = 0;
        for path in index {
            let told = git(&["verify-pack", "-v"]).arg(path).output()?.stdout;
            let blobs = String::from_utf8_lossy(&told).into_owned();
            let sizes = blobs
                .lines()
                .filter(|line| line.contains(" blob "))
                .filter_map(|line| line.split_whitespace().nth(3)?.parse::<u64>().ok());
            bytes += sizes.sum::<u64>();
        }
        Ok(bytes)
    }
}

fn request(line: &Line, ids: &mut HashMap<String, String>) -> anyhow::Result<pb::RecordObservationRequest> {
    let next = ids.len();
    let id = ids.entry(line.article.clone()).or_insert_with(|| format!("a{next}"));
    let options =
        Options { format: Some(Format::Markdown), untitled: Some(line.article.clone()), ..Options::default() };
    let document = ingest::read(line.text.as_bytes(), &options)?;
    let time = Timestamp::from_seconds_and_nanos(line.commit_time, 0);
    Ok(pb::RecordObservationRequest {
        parent: "sources/history".to_owned(),
        article_id: id.clone(),
        content: Some(content_to_pb(&document.content)),
        observe_time: time.map(timestamp_to_pb),
        ..pb::RecordObservationRequest::default()
    })
}
