//! A verification during writes has no findings, and does not block the writers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dateline::internals::archive::request::WriteMode;
use dateline::internals::archive::{Archive, Options};
use dateline::internals::clock::SystemClock;
use dateline::internals::store::engine::memory::MemoryEngine;

use super::verified;
use crate::model::plan::Text;
use crate::support;

#[tokio::test(flavor = "multi_thread")]
async fn writes_during_a_verification_are_not_findings() {
    let engine = Arc::new(MemoryEngine::new());
    let archive = Arc::new(Archive::over(engine, &Options::default(), Arc::new(SystemClock)).unwrap());
    let done = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..3_u8)
        .map(|writer| {
            let (archive, done) = (Arc::clone(&archive), Arc::clone(&done));
            tokio::spawn(async move {
                let mut tick: i64 = 0;
                while !done.load(Ordering::Relaxed) {
                    // Sometimes a new article, otherwise the same few again and again, some of them late.
                    tick += 1;
                    let id = if tick % 5 == 0 { format!("new-{writer}-{tick}") } else { format!("known-{}", tick % 3) };
                    let late = if tick % 4 == 0 { tick / 2 } else { tick };
                    let text = Text(u8::try_from(tick % 7).unwrap());
                    let operation = support::observe(&support::named(writer, &id), support::at(late), text);
                    archive.write(vec![operation], WriteMode::Commit).await.unwrap();
                }
                tick
            })
        })
        .collect();
    let mut changes = 0;
    while changes < 3_000 {
        let (summary, findings) = verified(&archive).await;
        assert_eq!(findings, []);
        changes = summary.changes;
    }
    done.store(true, Ordering::Relaxed);
    for writer in writers {
        assert!(writer.await.unwrap() > 0);
    }
    assert_eq!(verified(&archive).await.1, []);
    archive.close().await;
}
