//! The engine alone, with writes like those of a revision: time that this takes is sled's, not ours.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dateline::internals::store::engine::directory::Directory;
use dateline::internals::store::engine::sled::{Options, SledEngine};
use dateline::internals::store::engine::{Batch, Engine};
use dateline::internals::store::key::Kind;

use super::prose::Rng;
use super::running::holder;

/// The size in bytes of each value that a small edit of a 4 KB article writes: log, content, head, revision, time.
const VALUES: [(Kind, usize); 5] =
    [(Kind::Log, 260), (Kind::Content, 130), (Kind::Article, 230), (Kind::Article, 12), (Kind::Article, 16)];

/// Revisions made durable per second, with `batch` of them in each commit, spread over `articles` articles.
pub(crate) fn revisions_per_second(
    folder: &Path,
    articles: usize,
    batch: usize,
    length: Duration,
) -> anyhow::Result<f64> {
    let path = folder.join("engine-alone");
    let directory = Arc::new(Directory::open_or_create(&path, holder())?);
    let engine = SledEngine::open(directory, Options::default())?;
    let (mut rng, mut seq) = (Rng(5), 0_u64);
    let begun = Instant::now();
    while begun.elapsed() < length {
        let mut commit = Batch::default();
        for _ in 0..batch {
            write(&mut commit, &mut rng, seq, articles);
            seq += 1;
        }
        engine.commit(&commit)?;
    }
    let rate = seq as f64 / begun.elapsed().as_secs_f64();
    drop(engine);
    std::fs::remove_dir_all(path)?;
    Ok(rate)
}

fn write(commit: &mut Batch, rng: &mut Rng, seq: u64, articles: usize) {
    for (subkind, (kind, length)) in (0_u8..).zip(VALUES) {
        let mut key = vec![kind as u8];
        if kind == Kind::Article {
            key.extend((rng.below(articles) as u64).to_be_bytes());
            key.push(subkind);
        }
        // The head is the first of an article's entries, and is overwritten with every revision.
        if (kind, length) != (Kind::Article, 230) {
            key.extend(seq.to_be_bytes());
        }
        let value = (0..length).map(|_| rng.next().to_be_bytes()[0]).collect();
        commit.writes.insert(key, Some(value));
    }
}
