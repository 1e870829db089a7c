//! What a real history costs to import and to store.
//!
//! `cargo bench --bench import -- FILE` takes a zstd-compressed file with one JSON object per line: `article`,
//! `commit_time` and `text`, which is Markdown. Each text is read as an article once, before anything is measured. The
//! `dateline` binary imports the articles as JSON Lines, in the order of time and in a random order. Then every
//! revision is read back and compared with what was imported, and the two archives are compared at each instant. For
//! reference, the table has the time to read the same lines and compress each text with zstd, and the space that git
//! needs for the same texts.

#![expect(clippy::print_stdout, reason = "the table is what the program is for")]
#![expect(clippy::indexing_slicing, reason = "an index that is wrong ends the measurement, and nothing else")]

#[allow(dead_code, reason = "each benchmark uses a part")]
mod support;

use std::collections::BTreeMap;
use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use dateline::internals::client::Connection;
use dateline::internals::wire::pb;
use support::arguments;
use support::history::History;
use support::memory::{memory_of, mib, processor_of};
use support::running::{Running, folder_bytes};
use support::table::{Table, median};

/// The seed of the random order of the second import.
const SEED: u64 = 20_261_128;
const ROUNDS: usize = 3;

/// Measures an import.
#[derive(clap::Parser)]
struct Arguments {
    /// A history, as JSON Lines
    file: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let Some(Arguments { file }) = arguments::arguments() else { return Ok(()) };
    let history = History::read(&file)?;
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let path_of = |name: &str| folder.path().join(name);
    let order: Vec<usize> = (0..history.requests.len()).collect();
    history.write(&order, &path_of("history.jsonl"))?;
    history.write(&shuffled(order), &path_of("shuffled.jsonl"))?;

    let mut table = Table::default();
    let (count, mut rounds, mut times, mut peak) = (history.requests.len() as f64, Vec::new(), Vec::new(), 0);
    for round in 0..ROUNDS {
        let floor = read_and_compress(&path_of("history.jsonl"))?;
        let archive = path_of(&format!("archive-{round}"));
        let Imported { took, processor, memory } = import(&path_of("history.jsonl"), &archive)?;
        peak = peak.max(memory);
        times.push(processor.as_secs_f64() * 1e6 / count);
        rounds.push((count / took.as_secs_f64(), count / floor.as_secs_f64()));
    }
    table.rate("import, in the order of time", &rounds, "reading the lines and zstd -3 of each", "≥ 50 %");
    let micros = median(times.into_iter());
    table.fact("processor time of the import, a revision", &format!("{micros:.0} µs"), "≤ 150 µs");
    table.fact("memory of the import, at most", &mib(peak), "");
    let archive = path_of("archive-0");
    let Imported { took, .. } = import(&path_of("history.jsonl"), &archive)?;
    table.fact("the same again, nothing new", &format!("{:.0}/s", count / took.as_secs_f64()), "");
    let other = path_of("shuffled");
    let Imported { took, .. } = import(&path_of("shuffled.jsonl"), &other)?;
    table.fact("import, in a random order", &format!("{:.0}/s", count / took.as_secs_f64()), "");

    sizes(&history, &archive, folder.path(), &mut table)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(compare(&history, &archive, &other, &mut table))?;
    let title =
        format!("Import of {} revisions, {} of Markdown", history.requests.len(), mib(history.text_bytes() as u64));
    println!("{}", table.render(&title));
    Ok(())
}

/// Returns a random permutation that is the same each time (xorshift64*, Vigna 2016; Fisher and Yates).
fn shuffled(mut order: Vec<usize>) -> Vec<usize> {
    let mut state = SEED;
    for last in (1..order.len()).rev() {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        let drawn = state.wrapping_mul(0x2545_F491_4F6C_DD1D);
        order.swap(last, usize::try_from(drawn % (last as u64 + 1)).unwrap_or(0));
    }
    order
}

/// What an import cost.
struct Imported {
    took: Duration,
    /// The processor time that it used, but for the last few milliseconds.
    processor: Duration,
    /// The most memory that it used, in bytes.
    memory: u64,
}

/// Imports a file with the binary.
fn import(file: &Path, archive: &Path) -> anyhow::Result<Imported> {
    let begun = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_dateline"))
        .args(["import", "--quiet", "--archive"])
        .args([archive, file])
        .env("HOME", archive.with_extension("home"))
        .stdout(Stdio::null())
        .spawn()?;
    let (id, mut memory, mut processor) = (child.id().to_string(), 0, Duration::ZERO);
    loop {
        memory = memory.max(memory_of(&id).peak);
        processor = processor.max(processor_of(&id));
        if let Some(status) = child.try_wait()? {
            anyhow::ensure!(status.success(), "the import failed: {status}");
            return Ok(Imported { took: begun.elapsed(), processor, memory });
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Reads the lines and compresses each content in its stored encoding, without storing anything.
fn read_and_compress(file: &Path) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    let mut bytes = 0;
    for line in std::io::BufReader::new(std::fs::File::open(file)?).lines() {
        let line: serde_json::Value = serde_json::from_str(&line?)?;
        let content = line["record"]["content"].to_string();
        bytes += zstd::encode_all(content.as_bytes(), 3)?.len();
    }
    anyhow::ensure!(bytes > 0, "nothing was read");
    Ok(begun.elapsed())
}

fn sizes(history: &History, archive: &Path, folder: &Path, table: &mut Table) -> anyhow::Result<()> {
    let count = history.requests.len() as f64;
    let each = |bytes: u64| format!("{}, {:.0} B a revision", mib(bytes), bytes as f64 / count);
    let git = folder.join("git");
    std::fs::create_dir(&git)?;
    let git = history.git_bytes(&git)?;
    let whole = folder_bytes(archive)?;
    table.fact("git gc --aggressive, blobs", &each(git), "");
    table.fact(
        "the archive's folder",
        &format!("{}, {:.2} × git", each(whole), whole as f64 / git as f64),
        "≤ 2 × git",
    );
    let texts: usize =
        history.lines.iter().filter_map(|line| Some(zstd::encode_all(line.text.as_bytes(), 19).ok()?.len())).sum();
    table.fact("zstd -19 of each text", &each(texts as u64), "");
    Ok(())
}

/// Reads every revision back, and compares both archives at every instant.
async fn compare(history: &History, archive: &Path, other: &Path, table: &mut Table) -> anyhow::Result<()> {
    let (archive, other) = (Running::start(archive).await?, Running::start(other).await?);
    let mut one = archive.clients(1).await?.remove(0).archive;
    let mut two = other.clients(1).await?.remove(0).archive;
    // Of several states within one second, the last is in force.
    let mut last = BTreeMap::new();
    for request in &history.requests {
        let instant = request.observe_time.map(|time| time.seconds);
        last.insert((request.article_id.as_str(), instant), request);
    }
    let mut equal = 0;
    for request in last.values() {
        let name = format!("{}/articles/{}", request.parent, request.article_id);
        equal += usize::from(content_at(&mut one, &name, request.observe_time).await? == request.content);
    }
    let ties = history.requests.len() - last.len();
    table.fact(
        "read back equal",
        &format!("{equal} of {}, and {ties} followed by another in their second", last.len()),
        "all",
    );
    let (mut same, mut all) = (0, 0);
    for (name, instants) in history.instants() {
        for instant in instants {
            all += 1;
            same += usize::from(
                content_at(&mut one, &name, Some(instant)).await? == content_at(&mut two, &name, Some(instant)).await?,
            );
        }
    }
    table.fact("the same at each instant in both orders", &format!("{same} of {all}"), "all but ties");
    drop((one, two));
    archive.stop().await?;
    other.stop().await
}

type Archive = pb::archive_service_client::ArchiveServiceClient<Connection>;

async fn content_at(
    archive: &mut Archive,
    name: &str,
    observe_time: Option<prost_types::Timestamp>,
) -> anyhow::Result<Option<pb::Content>> {
    let request = pb::GetArticleRequest {
        name: name.to_owned(),
        as_of: Some(pb::AsOf { observe_time, ..pb::AsOf::default() }),
        view: pb::ArticleView::Full.into(),
        ..pb::GetArticleRequest::default()
    };
    let article = archive.get_article(request).await?.into_inner().article.unwrap_or_default();
    Ok(article.revision.and_then(|revision| revision.content))
}
