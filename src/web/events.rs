//! The changes as they are recorded, as server-sent events: `…/events` has messages for programs, `…/rows` the rows of
//! the live list. Source: <https://html.spec.whatwg.org/multipage/server-sent-events.html>.
//!
//! ```text
//! durable tail ──▶ every stream, at its position ──▶ the page of changes from there, read and written once for all
//!                                                                          │
//!                                                       events, each with the position after it as its id
//! ```
//!
//! A stream is a position in the log. Streams at the same position share the page that follows, so a change is read and
//! written once, however many browsers wait for it. One that was disconnected continues after the last event that it has
//! (`Last-Event-ID`), and misses nothing. Without a change to show, a stream says from time to time where it is.
//!
//! A page that is being sent counts in the budget of responses ([`super::budget`]). A stream for whose next page there is
//! no room ends, and its browser continues later.

use std::fmt::Write;
use std::sync::Arc;

use askama::Template;
use axum::body::Body;
use axum::extract::State;
use futures_util::Stream;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Response};
use hyper::body::Bytes;
use quick_cache::sync::Cache;
use tokio::time::{Instant, sleep_until};

use super::Site;
use super::log::shown;
use super::problem::Problem;
use super::row::Row;
use super::stats::OpenStream;
use super::visit::Visit;
use crate::access::Permission;
use crate::archive::changefeed::{FeedEnd, FeedPage, FeedStart, FeedView, PagePlan};
use crate::archive::{Archive, ArchiveError};
use crate::model::{ArticleFilter, FeedQuery, Position, Seq, Snapshot, SourceScope};
use crate::service::{PeerPlace, encode_change};
use crate::wire::json::to_json;

const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");
const NOT_KEPT: HeaderValue = HeaderValue::from_static("no-store");
/// The first bytes of a stream: how long a browser waits before it connects again, in milliseconds.
const GREETING: &str = "retry: 5000\n\n";
/// Pages that are kept for other streams at the same position.
const PAGES_KEPT: usize = 16;
/// The bounds of a page.
const CHANGES_MAX: usize = 128;
const BYTES_MAX: usize = 256 << 10;
const EXAMINED_MAX: usize = 4_096;

/// The pages that streams share.
pub(super) struct EventPages(Cache<PageKey, Arc<EventPage>>);

impl Default for EventPages {
    fn default() -> Self {
        Self(Cache::new(PAGES_KEPT))
    }
}

/// A page is the same for all streams that are at the same position, and may see the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct PageKey {
    kind: Kind,
    from: Seq,
    end: Seq,
    epoch: u64,
}

/// Changes as events.
struct EventPage {
    bytes: Bytes,
    next: Snapshot,
}

/// What an event has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Messages,
    Rows,
}

impl EventPages {
    /// The page of the changes from a position on, which those who may see `within` share.
    async fn page(
        &self,
        archive: &Archive,
        from: Snapshot,
        key: PageKey,
        within: &SourceScope,
    ) -> Result<Arc<EventPage>, ArchiveError> {
        let read = async {
            let filter = ArticleFilter { within: within.clone(), ..ArticleFilter::default() };
            let plan = PagePlan {
                query: Arc::new(FeedQuery { filter, ..FeedQuery::default() }),
                view: FeedView::Basic,
                render: encode_change,
                changes_max: CHANGES_MAX,
                bytes_max: BYTES_MAX,
                examined_max: EXAMINED_MAX,
            };
            Ok(Arc::new(EventPage::of(archive.feed_page(from, key.end, plan).await?, key.kind)))
        };
        self.0.get_or_insert_async(&key, read).await
    }
}

impl EventPage {
    fn of(page: FeedPage, kind: Kind) -> Self {
        let mut events = String::new();
        for item in &page.items {
            let Some(change) = shown(item) else { continue };
            match kind {
                Kind::Messages => push(&mut events, "change", item.position, &to_json(&change)),
                Kind::Rows => {
                    let row = Row::of(&change).and_then(|row| row.render().ok());
                    push(&mut events, "row", item.position, &row.unwrap_or_default());
                }
            }
        }
        Self { bytes: events.into(), next: page.next }
    }
}

/// Adds an event. Each line of its data is a field of its own.
fn push(events: &mut String, name: &str, position: Position, data: &str) {
    let written = write!(events, "id: {position}\nevent: {name}\n");
    debug_assert!(written.is_ok(), "writing to a string cannot fail");
    for line in data.lines() {
        events.extend(["data: ", line, "\n"]);
    }
    events.push('\n');
}

/// An open stream.
struct Events {
    site: Arc<Site>,
    kind: Kind,
    from: Snapshot,
    end: FeedEnd,
    within: SourceScope,
    /// The rules with which it began. It ends with them, since it would skip what visitors may see now.
    epoch: u64,
    has_begun: bool,
    _open: OpenStream,
    _of_peer: PeerPlace,
}

pub(super) async fn messages(
    State(site): State<Arc<Site>>,
    headers: HeaderMap,
    visit: Visit,
) -> Result<Response<Body>, Problem> {
    begin(site, &headers, &visit, Kind::Messages).await
}

pub(super) async fn rows(
    State(site): State<Arc<Site>>,
    headers: HeaderMap,
    visit: Visit,
) -> Result<Response<Body>, Problem> {
    begin(site, &headers, &visit, Kind::Rows).await
}

async fn begin(site: Arc<Site>, headers: &HeaderMap, visit: &Visit, kind: Kind) -> Result<Response<Body>, Problem> {
    let streams_max = site.visitors.streams_max().map_or(usize::MAX, |max| usize::try_from(max).unwrap_or(usize::MAX));
    let streams_max = streams_max.min(site.options.streams_max) as u64;
    let of_peer = site.streams.take(visit.peer, (site.options.streams_max / 2).max(1)).ok_or_else(Problem::busy)?;
    let open = site.options.stats.stream(streams_max).ok_or_else(Problem::busy)?;
    let archive = site.reads.archive();
    // What the browser has counts more than what its page had when it was loaded.
    let last =
        headers.get("last-event-id").map(|id| String::from_utf8_lossy(id.as_bytes())).filter(|id| !id.is_empty());
    let from = match last.as_deref().or_else(|| visit.parameter("after")) {
        None => archive.tail(),
        Some(position) => {
            let position: Position = position
                .parse()
                .map_err(|error| Problem::malformed(format!("The position to continue after: {error}.")))?;
            archive.feed_start(FeedStart::from(position)).await.map_err(|_| {
                Problem::malformed(
                    "The position to continue after is not one of this archive's log. Load the page again.",
                )
            })?
        }
    };
    let events = Events {
        kind,
        from,
        end: archive.feed_end(),
        within: visit.caller.scope(Permission::Read),
        epoch: visit.epoch,
        has_begun: false,
        site,
        _open: open,
        _of_peer: of_peer,
    };
    let mut response = Response::new(Body::from_stream(events.into_stream()));
    response.headers_mut().insert(CONTENT_TYPE, EVENT_STREAM);
    response.headers_mut().insert(CACHE_CONTROL, NOT_KEPT);
    // Proxies must not collect events.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

impl Events {
    fn into_stream(self) -> impl Stream<Item = Result<Bytes, ArchiveError>> + Send {
        futures_util::stream::unfold(self, |mut events| async move {
            let bytes = events.next().await?;
            Some((bytes, events))
        })
    }

    /// The next bytes; `None` if the stream ends.
    async fn next(&mut self) -> Option<Result<Bytes, ArchiveError>> {
        if !self.has_begun {
            self.has_begun = true;
            return Some(Ok(GREETING.into()));
        }
        let silent_until = Instant::now() + self.site.options.heartbeat_every;
        loop {
            let end = tokio::select! {
                biased;
                end = self.end.beyond(self.from.next_seq) => Some(end),
                () = sleep_until(silent_until) => None,
            };
            if !self.is_still_granted() {
                return None;
            }
            let Some(end) = end else { return Some(Ok(self.heartbeat())) };
            let key = PageKey { kind: self.kind, from: self.from.next_seq, end, epoch: self.epoch };
            let site = Arc::clone(&self.site);
            let page = match site.events.page(site.reads.archive(), self.from, key, &self.within).await {
                Ok(page) => page,
                Err(error) => return Some(Err(error)),
            };
            self.from = page.next;
            if !page.bytes.is_empty() {
                return Some(Ok(page.bytes.clone()));
            }
            // Nothing of the page may be seen. A proxy that hears nothing closes the connection, and its browser would come
            // back to where it began.
            if silent_until <= Instant::now() {
                return Some(Ok(self.heartbeat()));
            }
        }
    }

    /// Where the stream is, which a browser remembers without an event.
    fn heartbeat(&self) -> Bytes {
        format!("id: {}\n\n", self.from.position()).into()
    }

    fn is_still_granted(&self) -> bool {
        self.site.visitors.epoch() == self.epoch && self.site.visitors.caller().is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use axum::extract::FromRequestParts;
    use http::Request;
    use http_body_util::BodyExt;
    use tempfile::TempDir;
    use tokio::net::TcpListener;

    use super::super::front::Peer;
    use super::super::{Options, Server, Sources};
    use super::*;
    use crate::access::Access;
    use crate::clock::SystemClock;
    use crate::model::{Content, Limits, LogDigest};

    fn write_rules(directory: &Path, source: &str) {
        let path = directory.join("access.toml");
        let grant = format!("grant = [{{ may = [\"read\"], sources = [\"{source}\"] }}]");
        std::fs::write(&path, format!("[[principal]]\nname = \"anonymous\"\n{grant}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// The scope was that of the old rules and the version that of the new ones, so the stream did not end with the rules,
    /// and all visitors were shown its pages.
    #[tokio::test]
    async fn a_stream_whose_rules_change_before_it_begins_ends() {
        let directory = TempDir::new().unwrap();
        write_rules(directory.path(), "courier");
        let access = Arc::new(Access::open(directory.path(), Arc::new(SystemClock)).unwrap());
        let archive = Arc::new(Archive::in_memory().unwrap());
        let beginning = archive.tail().position();
        archive
            .record(&"courier/mayor".parse().unwrap(), Content::new("Mayor resigns").paragraph("She did."))
            .await
            .unwrap();
        let limits = Limits::default();
        let sources = Sources { archive, access: Some(Arc::clone(&access)), signer: None, limits };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let site = Server::new(listener, sources, Options::default()).unwrap().site;
        let begun = async |is_too_late: bool| {
            let request = Request::get(format!("/changes/events?after={beginning}")).body(()).unwrap();
            let (mut parts, ()) = request.into_parts();
            parts.extensions.insert(Peer([127, 0, 0, 1].into()));
            let visit = Visit::from_request_parts(&mut parts, &site).await.unwrap_or_else(|_| panic!("not admitted"));
            if is_too_late {
                write_rules(directory.path(), "express");
                access.refresh();
            }
            let mut body = messages(State(Arc::clone(&site)), HeaderMap::new(), visit).await.unwrap().into_body();
            assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), GREETING);
            body
        };
        let event = begun(false).await.frame().await.unwrap().unwrap().into_data().unwrap();
        assert!(String::from_utf8_lossy(&event).contains("courier/articles/mayor"));
        assert!(begun(true).await.frame().await.is_none());
    }

    #[test]
    fn each_line_of_an_event_is_a_field() {
        let (mut events, position) = (String::new(), Position { next_seq: Seq(7), log_digest: LogDigest([1; 16]) });
        push(&mut events, "row", position, "<li>\n<b>");
        assert_eq!(events, format!("id: 7-{}\nevent: row\ndata: <li>\ndata: <b>\n\n", "01".repeat(16)));
    }
}
