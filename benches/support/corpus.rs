//! Articles with many revisions, imported over gRPC.

use dateline::internals::client::Client;
use dateline::internals::wire::pb;
use prost_types::Timestamp;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::callers::SOURCE;
use super::prose::Writer;

/// How many messages of an import are in progress at once.
const MESSAGES_AHEAD: usize = 4;
/// When the first revisions were observed: 2026-01-01.
const BEGUN_SECONDS: i64 = 1_767_225_600;
const SECONDS_APART: i64 = 60;

/// Articles and their revisions, in this order: the first revision of each article, then the second of each, and so on.
#[derive(Clone, Debug)]
pub(crate) struct Corpus {
    /// The prefix of its articles' ids.
    pub(crate) prefix: String,
    pub(crate) articles: usize,
    pub(crate) revisions: usize,
    /// The content size of an article in bytes, at least and at most.
    pub(crate) bytes: (usize, usize),
    /// Revisions per message; each message becomes one commit.
    pub(crate) batch: usize,
}

impl Corpus {
    pub(crate) fn id(&self, article: usize) -> String {
        format!("{}-{article}", self.prefix)
    }

    pub(crate) fn name(&self, article: usize) -> String {
        format!("{SOURCE}/articles/{}", self.id(article))
    }

    /// When the revision with this index was observed.
    pub(crate) fn observed(revision: usize) -> Timestamp {
        let revision = i64::try_from(revision).unwrap_or(i64::MAX);
        Timestamp { seconds: BEGUN_SECONDS + revision * SECONDS_APART, nanos: 0 }
    }

    /// The position of a revision in an archive that begins with this corpus.
    pub(crate) fn seq(&self, article: usize, revision: usize) -> u64 {
        (revision * self.articles + article) as u64
    }

    /// The messages that import the corpus.
    pub(crate) fn messages(&self, seed: u64) -> impl Iterator<Item = Vec<pb::RecordObservationRequest>> + Send + use<> {
        let mut writer = Writer::new(seed);
        let (corpus, (least, most)) = (self.clone(), self.bytes);
        let size = |article: usize| least + (most - least) * article / corpus.articles.max(1);
        let mut contents: Vec<pb::Content> =
            (0..self.articles).map(|article| writer.article(&corpus.id(article), size(article))).collect();
        let (mut next, end, batch) = (0, self.articles * self.revisions, self.batch);
        std::iter::from_fn(move || {
            let items = (next..end.min(next + batch)).map(|item| {
                let (revision, article) = (item / corpus.articles, item % corpus.articles);
                let content = contents.get_mut(article)?;
                if revision > 0 {
                    writer.edit(content);
                }
                Some(pb::RecordObservationRequest {
                    parent: SOURCE.to_owned(),
                    article_id: corpus.id(article),
                    content: Some(content.clone()),
                    observe_time: Some(Self::observed(revision)),
                    ..pb::RecordObservationRequest::default()
                })
            });
            let items: Vec<_> = items.flatten().collect();
            next += batch;
            (!items.is_empty()).then_some(items)
        })
    }
}

/// Imports messages, all of which must be accepted. Returns the number of items.
pub(crate) async fn import(
    client: &Client,
    messages: impl Iterator<Item = Vec<pb::RecordObservationRequest>> + Send + 'static,
) -> anyhow::Result<usize> {
    let (sender, stream) = mpsc::channel(MESSAGES_AHEAD);
    let feeder = tokio::spawn(async move {
        for requests in messages {
            if sender.send(pb::ImportObservationsRequest { offset: 0, requests, independent: false }).await.is_err() {
                return; // The server has ended the import; its reply has the reason.
            }
        }
    });
    let mut archive = client.archive.clone();
    let mut answers = archive.import_observations(ReceiverStream::new(stream)).await?.into_inner();
    let mut count = 0;
    while let Some(answer) = answers.message().await? {
        match answer.result {
            Some(pb::import_observations_response::Result::Recorded(published)) => count += published.responses.len(),
            refused => anyhow::bail!("an import was rejected: {refused:?}"),
        }
    }
    feeder.await?;
    Ok(count)
}
