//! Sends the snapshot with which a feed can begin: the articles that match at the snapshot's position, by name.

use prost::Message;

use super::ending::Ending;
use super::follow::Subscriber;
use super::show;
use crate::archive::ReadPoint;
use crate::archive::changefeed::FeedView;
use crate::archive::read::article::{ArticleAt, View};
use crate::archive::read::list::{ArticleQuery, ListPage};
use crate::model::{ArticleFilter, ArticleName, ContentParts, SourceScope};
use crate::service::sink::Sink;
use crate::service::status::Refusal;
use crate::service::{page_space, render};
use crate::wire::frame::EventFrame;
use crate::wire::pb;
use crate::wire::pb::subscribe_response::Event;
use crate::wire::token::SnapshotPlace;

/// The most articles in one event.
const EVENT_ARTICLES_MAX: usize = 100;
/// An event with whole contents ends with the article that takes it over this many bytes, or before an article that
/// would make it too large for a client. The limit is small, so that a slow link receives an event within the minute
/// after which it counts as stalled.
const EVENT_CONTENT_BYTES: usize = 128 << 10;
/// The memory reserved for an event before its size is known.
const EVENT_MEMORY_BYTES: usize = EVENT_CONTENT_BYTES + (32 << 10);

/// The articles of one event: as many of a page as fit into a message.
struct ArticlePage {
    articles: Vec<pb::Article>,
    /// The last of `articles`.
    last: Option<ArticleName>,
    /// Where the snapshot continues; `None` after its last article.
    next: Option<ArticleName>,
}

impl ArticlePage {
    fn of(page: ListPage<ArticleAt, ArticleName>, within: &SourceScope) -> Self {
        let names: Vec<ArticleName> = page.items.iter().map(|article| article.name.clone()).collect();
        let mut articles: Vec<_> = page.items.into_iter().map(|article| render::article(article, within)).collect();
        let has_dropped = page_space::keep(&mut articles, pb::Article::encoded_len);
        let last = names.into_iter().take(articles.len()).last();
        let next = if has_dropped { last.clone() } else { page.next };
        Self { articles, last, next }
    }
}

impl Subscriber {
    /// Sends the next articles of the snapshot, or SnapshotEnd after the last.
    pub(super) async fn send_articles(&mut self, sink: &Sink<EventFrame>) -> Result<(), Ending> {
        let Some(SnapshotPlace { after }) = self.snapshot.clone() else { return Ok(()) };
        let (requested, view) = self.requested();
        let query = ArticleQuery {
            source: None,
            // Changed parts select among changes; they do not affect which articles match.
            filter: ArticleFilter { changed_parts: ContentParts::NONE, ..requested.filter.clone() },
            view: if view == FeedView::Basic { View::Basic } else { View::Full },
            page_size: EVENT_ARTICLES_MAX,
            content_bytes_max: EVENT_CONTENT_BYTES,
        };
        let point = ReadPoint { observe_time: None, snapshot: self.place };
        let mut bytes = EVENT_MEMORY_BYTES;
        let (page, share) = loop {
            let mut share = self.memory(sink, bytes).await?;
            let page = self.context.archive.articles_by_name(point, query.clone(), after.clone()).await;
            let page = ArticlePage::of(page.map_err(Refusal::from)?, &query.filter.within);
            bytes = page.articles.iter().map(Message::encoded_len).sum();
            if self.context.memory.fits(&mut share, bytes) {
                break (page, share);
            }
        };
        let within = SnapshotPlace { after: page.next.clone().or(page.last).or(after) };
        if page.articles.is_empty() && page.next.is_some() {
            // If no article of the page matched, a bookmark still reports the progress.
            self.snapshot = Some(within);
            return self.send_bookmark(sink).await;
        }
        if !page.articles.is_empty() {
            let bookmark = Some(show::bookmark_in_snapshot(&self.place, within.clone(), self.query_digest));
            let delivery = pb::Delivery { changes: Vec::new(), articles: page.articles, bookmark };
            self.send(sink, show::event(Event::Delivery(delivery)), Some(share)).await?;
            self.snapshot = Some(within);
        }
        if page.next.is_none() {
            self.room(sink).await?;
            let bookmark = Some(self.bookmark_at(&self.place));
            self.send(sink, show::event(Event::SnapshotEnd(pb::SnapshotEnd { bookmark })), None).await?;
            self.snapshot = None;
        }
        Ok(())
    }
}
