//! The checkpoints that a subscriber gets with its bookmarks, each with the proof that it continues the one before. So a
//! subscriber that keeps the last of them notices if the server shows it another log than before.

use std::time::Duration;

use tokio::time::Instant;

use super::super::Context;
use super::super::status::Refusal;
use crate::archive::ArchiveError;
use crate::archive::error::InvalidReadPoint;
use crate::model::Seq;
use crate::wire::pb;

/// The time from one checkpoint to the next.
const EVERY: Duration = Duration::from_secs(60);

/// How far a subscriber knows the tree of the log.
pub(super) struct FollowedTree {
    /// The size of the last tree that it was sent, or trusts from before.
    size: u64,
    /// When the next checkpoint is due; `None` if none was sent yet.
    due: Option<Instant>,
}

impl FollowedTree {
    /// Reads what a request says of checkpoints; `None` if it asks for none. A size that the log does not have is
    /// HISTORY_DIVERGED: the subscriber trusts what this log has not, or no longer.
    pub(super) fn read(context: &Context, request: &pb::SubscribeRequest) -> Result<Option<Self>, Refusal> {
        if !request.checkpoints {
            return Ok(None);
        }
        context.signer()?;
        let size = request.checkpoint_size;
        if size > context.archive.tail().next_seq.0 {
            let diverged = InvalidReadPoint::HistoryDiverged { next_seq: Seq(size) };
            return Err(ArchiveError::from(diverged).into());
        }
        Ok(Some(Self { size, due: None }))
    }

    /// Whether a checkpoint is to be sent before anything else.
    pub(super) fn is_due(&self, end: Seq) -> bool {
        end.0 > self.size && self.due.is_none_or(|due| due <= Instant::now())
    }

    /// Adds the newest checkpoint to a bookmark if it is due, with the proof that it continues the one before.
    pub(super) async fn add(&mut self, bookmark: &mut pb::Bookmark, context: &Context) -> Result<(), Refusal> {
        if self.due.is_some_and(|due| due > Instant::now()) {
            return Ok(());
        }
        let signed = context.signer()?.checkpoint(&context.archive, self.size).await?;
        let size = signed.checkpoint.size;
        // The first one is sent even if the log has not grown, so that the subscriber can compare it with its own.
        if size > self.size || self.due.is_none() {
            if self.size > 0 {
                let tree = context.archive.tree();
                let proven = context.archive.prove_continuation(tree, self.size, size).await?;
                bookmark.consistency = proven.proof.iter().map(|hash| hash.0.to_vec()).collect();
            }
            bookmark.checkpoint = Some((&signed).into());
        }
        (self.size, self.due) = (size, Some(Instant::now() + EVERY));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::archive::Archive;
    use crate::client::TrustedLog;
    use crate::model::{ArticleName, Content};
    use crate::proof::LogKey;
    use crate::service::Signer;

    fn context() -> Context {
        let signer = Signer::from_pem(LogKey::generate().unwrap().as_bytes(), "example.org/log").unwrap();
        Context { signer: Some(Arc::new(signer)), ..Context::in_memory() }
    }

    async fn write(archive: &Archive, texts: &[&str]) {
        let name: ArticleName = "gazette/ferry".parse().unwrap();
        for text in texts {
            archive.record(&name, Content::new(*text)).await.unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn each_minute_brings_a_checkpoint_that_continues_the_one_before() {
        let context = context();
        write(&context.archive, &["one", "two", "three"]).await;
        let request = pb::SubscribeRequest { checkpoints: true, ..pb::SubscribeRequest::default() };
        let mut tree = FollowedTree::read(&context, &request).unwrap().unwrap();
        let key = context.signer().unwrap().verifiers().next().unwrap().clone();
        let mut trusted = TrustedLog::new(key);
        let mut sizes = Vec::new();
        for step in 0..8 {
            // In the second and the fifth half minute, nothing is written.
            if step % 3 == 0 {
                write(&context.archive, &["four", "five"]).await;
            }
            let mut bookmark = pb::Bookmark::default();
            let was_due = tree.is_due(context.archive.tail().next_seq);
            tree.add(&mut bookmark, &context).await.unwrap();
            assert!(!was_due || bookmark.checkpoint.is_some());
            if let Some(checkpoint) = &bookmark.checkpoint {
                let hashes: Vec<_> =
                    bookmark.consistency.iter().map(|hash| hash.as_slice().try_into().unwrap()).collect();
                trusted.advance(&checkpoint.note, &hashes).unwrap();
                sizes.push((step, trusted.size()));
            }
            tokio::time::sleep(EVERY / 2).await;
        }
        assert_eq!(sizes, [(0, 5), (4, 7), (6, 9)]);
    }

    #[tokio::test]
    async fn a_subscriber_that_knows_more_than_the_log_has_is_rejected() {
        let context = context();
        write(&context.archive, &["one"]).await;
        let request = pb::SubscribeRequest { checkpoints: true, checkpoint_size: 2, ..pb::SubscribeRequest::default() };
        let refused: tonic::Status = FollowedTree::read(&context, &request).err().unwrap().into();
        assert_eq!(tonic_types::StatusExt::get_details_error_info(&refused).unwrap().reason, "HISTORY_DIVERGED");
    }
}
