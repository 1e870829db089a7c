//! Clients that record observations, and clients that read.

use std::collections::HashSet;

use dateline::internals::client::Client;
use dateline::internals::wire::pb;

use super::load::Caller;
use super::prose::Writer;

/// The source of every article in the benchmarks.
pub(crate) const SOURCE: &str = "sources/harbour-gazette";

/// Revises its own articles with small edits, one after the other.
pub(crate) struct Publisher {
    client: Client,
    writer: Writer,
    articles: Vec<(String, pb::Content)>,
    next: usize,
    /// The archive times seen; each belongs to one commit.
    pub(crate) commits: HashSet<(i64, i32)>,
    /// How many replies were received.
    pub(crate) replies: usize,
}

impl Publisher {
    /// A client with `articles` articles of `bytes` bytes. `number` distinguishes it from other clients.
    pub(crate) fn new(client: Client, number: usize, articles: usize, bytes: usize) -> Self {
        let mut writer = Writer::new(number as u64);
        let article = |index| {
            let id = format!("client-{number}-article-{index}");
            let content = writer.article(&id, bytes);
            (id, content)
        };
        let articles = (0..articles).map(article).collect();
        Self { client, writer, articles, next: 0, commits: HashSet::new(), replies: 0 }
    }
}

impl Caller for Publisher {
    async fn call(&mut self) -> anyhow::Result<bool> {
        let index = self.next % self.articles.len().max(1);
        self.next += 1;
        let Some((id, content)) = self.articles.get_mut(index) else { return Ok(false) };
        self.writer.edit(content);
        let request = pb::RecordObservationRequest {
            parent: SOURCE.to_owned(),
            article_id: id.clone(),
            content: Some(content.clone()),
            ..pb::RecordObservationRequest::default()
        };
        let answer = self.client.archive.record_observation(request).await?.into_inner();
        let time = answer.snapshot.and_then(|snapshot| snapshot.archive_time).unwrap_or_default();
        self.commits.insert((time.seconds, time.nanos));
        self.replies += 1;
        Ok(true)
    }
}

/// Reads articles with the given requests, in order.
pub(crate) struct Reader {
    client: Client,
    requests: Vec<pb::GetArticleRequest>,
    next: usize,
    once: bool,
}

impl Reader {
    /// Repeats the requests without end.
    pub(crate) fn new(client: Client, requests: Vec<pb::GetArticleRequest>) -> Self {
        Self { client, requests, next: 0, once: false }
    }

    /// Makes each request once.
    pub(crate) fn once(client: Client, requests: Vec<pb::GetArticleRequest>) -> Self {
        Self { once: true, ..Self::new(client, requests) }
    }
}

impl Caller for Reader {
    async fn call(&mut self) -> anyhow::Result<bool> {
        let count = self.requests.len().max(1);
        if self.once && self.next >= count {
            return Ok(false);
        }
        let Some(request) = self.requests.get(self.next % count).cloned() else { return Ok(false) };
        self.next += 1;
        let answer = self.client.archive.get_article(request).await?.into_inner();
        anyhow::ensure!(answer.article.is_some_and(|article| article.revision.is_some()), "an answer without article");
        Ok(true)
    }
}

/// Distributes requests over `clients` clients; each starts with a different one.
pub(crate) fn deal<T: Clone>(requests: &[T], clients: usize) -> Vec<Vec<T>> {
    let hand = |client: usize| requests.iter().skip(client).step_by(clients.max(1)).cloned().collect::<Vec<_>>();
    let hands = (0..clients).map(hand);
    hands.map(|hand| if hand.is_empty() { requests.to_vec() } else { hand }).collect()
}
