//! Changes as they are recorded, as server-sent events.

use std::sync::Arc;
use std::time::Duration;

use dateline::internals::archive::request::{WriteMode, WriteOrigin};
use dateline::internals::web::Network;
use dateline::model::PrincipalName;
use futures_util::future::join_all;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::{Options, Rules, Site, content, name, rules, time, twin, write_rules};
use crate::model::plan::Text;
use crate::support::observe;

/// An open stream of events.
struct Stream(BufReader<TcpStream>);

/// An event with its fields.
#[derive(Debug, Default, PartialEq, Eq)]
struct Event {
    id: String,
    name: String,
    data: String,
}

impl Stream {
    async fn open(site: &Site, path: &str, last: Option<&str>) -> Self {
        let mut connection = site.connect().await;
        let last = last.map(|last| format!("last-event-id: {last}\r\n")).unwrap_or_default();
        // A response to an old client has no chunks.
        let request = format!("GET {path} HTTP/1.0\r\nhost: localhost\r\n{last}\r\n");
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut stream = Self(BufReader::new(connection));
        assert_eq!(stream.line().await.as_deref(), Some("HTTP/1.0 200 OK"));
        while stream.line().await.is_some_and(|line| !line.is_empty()) {}
        let greeting = stream.event().await.unwrap();
        assert_eq!(greeting, Event::default(), "how long to wait before connecting again");
        stream
    }

    async fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.0.read_line(&mut line).await.ok()?;
        (read > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned())
    }

    /// The next event; `None` at the end of the stream.
    async fn event(&mut self) -> Option<Event> {
        let mut event = Event::default();
        loop {
            let line = self.line().await?;
            match line.split_once(": ") {
                Some(("id", id)) => event.id = id.to_owned(),
                Some(("event", name)) => event.name = name.to_owned(),
                Some(("data", data)) => event.data.push_str(data),
                Some(("retry", _)) => {}
                _ => {
                    assert_eq!(line, "", "a field of an event");
                    return Some(event);
                }
            }
        }
    }
}

fn seq(event: &Event) -> u64 {
    let change: serde_json::Value = serde_json::from_str(&event.data).unwrap();
    change["seq"].as_str().unwrap_or("0").parse().unwrap()
}

async fn record(site: &Site, number: u32) {
    let at = format!("2026-05-01T{:02}:{:02}:00Z", number / 60, number % 60);
    site.record("express/toll", content(&format!("Toll: {number}"), "People died."), &at).await;
}

#[tokio::test]
async fn changes_arrive_as_they_are_recorded_and_none_is_missed_when_a_browser_returns() {
    let site = Site::open().await;
    record(&site, 0).await;
    let mut stream = Stream::open(&site, "/changes/events", None).await;
    let mut last = String::new();
    for number in 1..4 {
        record(&site, number).await;
        let event = stream.event().await.unwrap();
        assert_eq!((event.name.as_str(), seq(&event)), ("change", u64::from(number)));
        last = event.id;
    }
    drop(stream);
    for number in 4..400 {
        record(&site, number).await;
    }
    // More than one page of the feed, and more than one browser at the same place.
    for _ in 0..2 {
        let mut stream = Stream::open(&site, "/changes/events", Some(&last)).await;
        for number in 4..400 {
            assert_eq!(seq(&stream.event().await.unwrap()), number);
        }
    }
    // A page that was loaded earlier says where it ends.
    let page = site.get("/changes").await;
    let after = page.body.split("data-live=\"").nth(1).unwrap().split('"').next().unwrap();
    record(&site, 400).await;
    let mut stream = Stream::open(&site, after, None).await;
    let row = stream.event().await.unwrap();
    assert_eq!((row.name.as_str(), row.data.starts_with("<li id=\"c400\"")), ("row", true));
}

/// Who works for an archive is not for its visitors.
#[tokio::test]
async fn who_made_a_change_is_not_shown() {
    let site = Site::open().await;
    let origin = WriteOrigin { principal: PrincipalName::parse("secret-crawler").ok(), ..WriteOrigin::default() };
    let mut stream = Stream::open(&site, "/changes/events", None).await;
    let seen = observe(&name("press/a"), time("2026-05-01T00:00:00Z"), Text(1));
    site.archive.write_from(&origin, vec![seen], WriteMode::Commit).await.unwrap();
    let event = stream.event().await.unwrap();
    assert!(event.data.contains("press") && !event.data.contains("crawler"), "{}", event.data);
    for address in
        Site::addresses().into_iter().chain(["/feed.atom", "/a/press/a", "/a/press/a/history", "/a/press/a/r/1"])
    {
        for address in [address.to_owned(), twin(address)] {
            site.get(&address).await.hides(&["secret-crawler"]);
        }
    }
}

#[tokio::test]
async fn a_stream_without_changes_says_where_it_is() {
    let options = Options { heartbeat_every: Duration::from_millis(20), ..Options::default() };
    let site = Site::with(Rules::Off, options).await;
    record(&site, 0).await;
    let mut stream = Stream::open(&site, "/changes/events", None).await;
    let (first, second) = (stream.event().await.unwrap(), stream.event().await.unwrap());
    assert!(first.id.starts_with("1-") && first.data.is_empty() && first == second, "{first:?}");
}

/// Changes that a visitor may not see were read without a word, however many they were, and a browser that was disconnected
/// meanwhile began again.
#[tokio::test]
async fn a_stream_says_how_far_it_is_while_it_reads_what_may_not_be_seen() {
    let directory = TempDir::new().unwrap();
    let courier = "[[principal]]\nname = \"anonymous\"\ngrant = [{ may = [\"read\"], sources = [\"courier\"] }]\n";
    let options = Options { heartbeat_every: Duration::ZERO, ..Options::default() };
    let site = Site::with(Rules::Of(rules(&directory, courier)), options).await;
    let beginning = site.archive.tail().position();
    // More than a page examines.
    for hundred in 0..41 {
        let recorded = (0..100).map(|number| {
            let (site, name) = (&site, format!("express/toll-{hundred}-{number}"));
            async move { site.record(&name, content("Toll", "People died."), "2026-05-01T00:00:00Z").await }
        });
        join_all(recorded).await;
    }
    let mut stream = Stream::open(&site, &format!("/changes/events?after={beginning}"), None).await;
    let positions: Vec<String> = [stream.event().await.unwrap().id, stream.event().await.unwrap().id].into();
    assert!(positions[0].starts_with("4096-") && positions[1].starts_with("4100-"), "{positions:?}");
}

#[tokio::test]
async fn a_stream_shows_what_is_granted_and_ends_with_the_rules() {
    let directory = TempDir::new().unwrap();
    let courier = "[[principal]]\nname = \"anonymous\"\ngrant = [{ may = [\"read\"], sources = [\"courier\"] }]\n";
    let access = rules(&directory, courier);
    let options = Options { heartbeat_every: Duration::from_millis(20), ..Options::default() };
    let site = Site::with(Rules::Of(Arc::clone(&access)), options).await;
    let mut stream = Stream::open(&site, "/changes/events", None).await;
    record(&site, 0).await;
    site.record("courier/mayor", content("Mayor resigns", "She did."), "2026-05-01T00:00:00Z").await;
    let event = loop {
        let event = stream.event().await.unwrap();
        if !event.data.is_empty() {
            break event;
        }
    };
    assert!(event.data.contains("sources/courier/articles/mayor") && seq(&event) == 1, "{event:?}");
    write_rules(directory.path(), &courier.replace("courier", "express"));
    access.refresh();
    while let Some(event) = stream.event().await {
        assert_eq!(event.data, "");
    }
}

#[tokio::test]
async fn a_place_in_another_log_is_refused() {
    let site = Site::open().await;
    record(&site, 0).await;
    for after in ["9-00000000000000000000000000000000", "1-00000000000000000000000000000000", "x", "1"] {
        let answer = site.get(&format!("/changes/events?after={after}")).await;
        assert_eq!(answer.status, 400, "{after}");
    }
    // A header that is no ASCII was taken for none, so that a client missed changes and was not told.
    let answer = site.ask("GET", "/changes/events", &[("last-event-id", "\u{661}")]).await;
    assert_eq!(answer.status, 400);
}

#[tokio::test]
async fn streams_are_limited() {
    let site = Site::with(Rules::Off, Options { streams_max: 1, ..Options::default() }).await;
    let stream = Stream::open(&site, "/changes/events", None).await;
    let refused = site.get("/changes/events").await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("5")));
    drop(stream);
    record(&site, 0).await;
    while site.ask("HEAD", "/changes/rows", &[]).await.status == 503 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_peer_may_have_half_of_the_streams() {
    let trusted_proxies = ["127.0.0.1".parse::<Network>().unwrap()].into_iter().collect();
    let site = Site::with(Rules::Off, Options { streams_max: 4, trusted_proxies, ..Options::default() }).await;
    let mut open = Vec::new();
    for (reader, status) in [(1, 200), (1, 200), (1, 503), (2, 200), (2, 200), (3, 503)] {
        let mut connection = BufReader::new(site.connect().await);
        let reader = format!("x-forwarded-for: 198.51.100.{reader}");
        let request = format!("GET /changes/events HTTP/1.1\r\nhost: localhost\r\n{reader}\r\n\r\n");
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut line = String::new();
        connection.read_line(&mut line).await.unwrap();
        assert!(line.starts_with(&format!("HTTP/1.1 {status} ")), "{reader}: {line}");
        open.push(connection);
    }
}
