//! What a subscriber receives: kinds, flags, filters, views, every kind of start, and how streams end.

use dateline::internals::client::ServerError;
use dateline::internals::wire::pb;
use dateline::internals::wire::pb::ChangeKind::{
    Absent, Aliased, Created, Labelled, Reinstated, Revised, RolledBack, Sighted, Withdrawn,
};
use dateline::internals::wire::pb::feed_start::Position;
use dateline::internals::wire::pb::subscribe_response::Event;
use tonic::Code;

use super::{all, batches, changes, events, from, next, outline, seen, until_caught_up, write, write_batch};
use crate::server::{at, fresh, name, publish};

fn beginning() -> pb::SubscribeRequest {
    until_caught_up(Position::Beginning(true))
}

fn everything() -> pb::SubscribeRequest {
    let kinds = [Created, Revised, Sighted, Withdrawn, Reinstated, RolledBack, Aliased, Labelled, Absent];
    pb::SubscribeRequest { kinds: kinds.map(i32::from).to_vec(), ..beginning() }
}

#[tokio::test]
async fn each_change_has_its_kind_and_flags() {
    let (_directory, server, mut client) = fresh().await;
    write(&client, seen("a", "one", 0)).await;
    write(&client, seen("a", "two", 10)).await;
    write(&client, seen("a", "two", 20)).await;
    write(
        &client,
        pb::RecordObservationRequest { urls: vec!["https://courier.example/a".into()], ..seen("a", "two", 30) },
    )
    .await;
    let withdraw = pb::WithdrawArticleRequest {
        name: name("a"),
        observe_time: Some(at(40)),
        reason: "by order".into(),
        ..Default::default()
    };
    client.archive.withdraw_article(withdraw).await.unwrap();
    let reinstate = pb::ReinstateArticleRequest { name: name("a"), observe_time: Some(at(50)), ..Default::default() };
    client.archive.reinstate_article(reinstate).await.unwrap();
    let rollback = pb::RollbackArticleRequest {
        name: name("a"),
        revision_number: 1,
        observe_time: Some(at(60)),
        ..Default::default()
    };
    client.archive.rollback_article(rollback).await.unwrap();
    write(&client, seen("a", "between", 5)).await;

    let told = all(&client, everything()).await;
    let kinds: Vec<_> = told.iter().map(pb::Change::kind).collect();
    assert_eq!(kinds, [Created, Revised, Sighted, Aliased, Withdrawn, Reinstated, RolledBack, Revised]);
    let revisions: Vec<_> = told.iter().map(|change| change.revision.as_ref().unwrap().number).collect();
    assert_eq!(revisions, [1, 2, 2, 2, 2, 2, 3, 4]);
    let newest: Vec<_> = told.iter().map(|change| (change.is_newest, change.newest_revision_number)).collect();
    let expected = [(true, 1), (true, 2), (true, 2), (true, 2), (true, 2), (true, 2), (true, 3), (false, 3)];
    assert_eq!(newest, expected, "the late observation of \"between\" is not in force now");
    assert_eq!(told[3].urls[0].url, "https://courier.example/a");
    assert_eq!((told[4].reason.as_str(), told[4].state()), ("by order", pb::ArticleState::Withdrawn));
    assert_eq!(told[5].state(), pb::ArticleState::Live);
    assert!(told.iter().all(|change| change.batch_end && !change.left_filter && change.article == name("a")));
    let revision = told[1].revision.as_ref().unwrap();
    let read = pb::GetRevisionRequest { name: revision.name.clone(), view: 1, ..Default::default() };
    let read = client.archive.get_revision(read).await.unwrap().into_inner().revision.unwrap();
    assert_eq!(*revision, read, "the revision of a change is the same as in a read");

    let by_default = all(&client, beginning()).await;
    assert_eq!(by_default.len(), 7, "sightings are left out by default");
    server.stop().await;
}

#[tokio::test]
async fn an_atomic_batch_is_delivered_whole_and_its_last_matching_change_is_marked() {
    let (_directory, server, client) = fresh().await;
    write_batch(&client, vec![seen("a", "one", 0), seen("b", "one", 0), seen("a", "two", 10), seen("c", "x", 0)]).await;
    write(&client, seen("b", "two", 20)).await;
    let told = all(&client, beginning()).await;
    assert_eq!(told.iter().map(|change| change.batch_end).collect::<Vec<_>>(), [false, false, false, true, true]);
    let filter = pb::ArticleFilter { articles: vec![name("a")], ..Default::default() };
    let told = all(&client, pb::SubscribeRequest { filter: Some(filter), ..beginning() }).await;
    assert_eq!(outline(&told), [(0, Created, "a"), (2, Revised, "a")]);
    assert_eq!(told.iter().map(|change| change.batch_end).collect::<Vec<_>>(), [false, true]);
    // A start inside the batch is lowered to its beginning.
    let told = all(&client, until_caught_up(Position::Seq(2))).await;
    assert_eq!(told[0].seq, 0);
    server.stop().await;
}

#[tokio::test]
async fn a_filtered_feed_reports_what_enters_and_what_leaves_the_filter() {
    let (_directory, server, mut client) = fresh().await;
    let flood = || vec!["flood".to_owned()];
    write(&client, pb::RecordObservationRequest { labels: flood(), ..seen("a", "one", 0) }).await;
    let remove = pb::LabelArticleRequest { name: name("a"), remove_labels: flood(), ..Default::default() };
    client.archive.label_article(remove).await.unwrap();
    write(&client, seen("a", "three", 20)).await;
    write(&client, pb::RecordObservationRequest { labels: flood(), ..seen("a", "four", 30) }).await;
    let withdraw = pb::WithdrawArticleRequest { name: name("a"), observe_time: Some(at(40)), ..Default::default() };
    client.archive.withdraw_article(withdraw).await.unwrap();
    let filter = pb::ArticleFilter {
        labels: vec!["flood".into()],
        states: vec![pb::ArticleState::Live.into()],
        ..Default::default()
    };
    let told = all(&client, pb::SubscribeRequest { filter: Some(filter), ..beginning() }).await;
    let left: Vec<_> = told.iter().map(|change| (change.seq, change.kind(), change.left_filter)).collect();
    assert_eq!(left, [(0, Created, false), (1, Labelled, true), (3, Revised, false), (4, Withdrawn, true)]);
    server.stop().await;
}

/// Sightings are left out by default, except one by which an article enters the filter: here it shows that the revision
/// was live earlier than known.
#[tokio::test]
async fn a_sighting_that_crosses_the_filter_is_delivered() {
    let (_directory, server, client) = fresh().await;
    write(&client, seen("a", "one", 100)).await;
    write(&client, seen("a", "one", 50)).await;
    let before = |seconds| pb::TimeRange { start_time: None, end_time: Some(at(seconds)) };
    let filter = |seconds| Some(pb::ArticleFilter { observe_time: Some(before(seconds)), ..Default::default() });
    let told = all(&client, pb::SubscribeRequest { filter: filter(60), ..beginning() }).await;
    assert_eq!(outline(&told), [(1, Sighted, "a")]);
    let told = all(&client, pb::SubscribeRequest { filter: filter(200), ..beginning() }).await;
    assert_eq!(outline(&told), [(0, Created, "a")]);
    server.stop().await;
}

#[tokio::test]
async fn a_filter_by_url_matches_an_article_from_the_change_that_added_the_url() {
    let (_directory, server, client) = fresh().await;
    write(&client, seen("a", "one", 0)).await;
    let url = "https://courier.example/city/bridge";
    write(&client, pb::RecordObservationRequest { urls: vec![url.into()], ..seen("a", "one", 10) }).await;
    write(&client, seen("a", "two", 20)).await;
    let filter = pb::ArticleFilter { url_prefix: "https://courier.example/city/".into(), ..Default::default() };
    let told = all(&client, pb::SubscribeRequest { filter: Some(filter), ..beginning() }).await;
    assert_eq!(outline(&told), [(1, Aliased, "a"), (2, Revised, "a")]);
    server.stop().await;
}

#[tokio::test]
async fn each_view_has_the_documented_fields() {
    let (_directory, server, client) = fresh().await;
    write(&client, seen("a", "The bridge is shut.", 0)).await;
    write(&client, seen("a", "The bridge is open.", 10)).await;
    let view = |view: pb::FeedView| pb::SubscribeRequest { view: view.into(), ..beginning() };
    let blocks = |change: &pb::Change| change.revision.clone().unwrap().content.unwrap().blocks.len();
    let basic = all(&client, view(pb::FeedView::Basic)).await;
    assert!(basic.iter().all(|change| blocks(change) == 0 && change.diff.is_none()));
    let full = all(&client, view(pb::FeedView::Full)).await;
    assert!(full.iter().all(|change| blocks(change) == 1 && change.diff.is_none()));
    let told = all(&client, view(pb::FeedView::Diff)).await;
    assert!(told.iter().all(|change| blocks(change) == 0));
    let diff = told[1].diff.as_ref().unwrap();
    assert_eq!((diff.base_revision_number, diff.hunks.len()), (1, 1));
    assert_eq!(diff.word_delta, Some(pb::WordDelta { inserted: 1, deleted: 1 }));
    let words: Vec<_> = diff.hunks[0].spans.iter().map(|span| span.text.as_str()).collect();
    assert!(words.contains(&"shut") && words.contains(&"open"), "{words:?}");
    let first = told[0].diff.as_ref().unwrap();
    assert_eq!((first.base_revision_number, first.hunks[0].kind()), (0, pb::HunkKind::Insert));
    server.stop().await;
}

/// The feed encodes its messages by hand; they must be equal to those of other reads.
#[tokio::test]
async fn the_revision_in_a_change_equals_that_of_a_read() {
    let (_directory, server, mut client) = fresh().await;
    let claim = |words: &str| pb::ClaimedTime {
        time: Some(at(-9)),
        precision: pb::TimePrecision::Day.into(),
        words: words.into(),
        found_in: "front matter".into(),
        relative: true,
    };
    let request = |text: &str, seconds| {
        let mut request = seen("a", text, seconds);
        let content = request.content.as_mut().unwrap();
        content.section = "World".into();
        content.language = "en-GB".into();
        content.canonical_url = "https://courier.example/a".into();
        content.standfirst = "In short.".into();
        content.publish_time = Some(claim("yesterday"));
        content.modify_time = Some(claim("today"));
        let original = pb::Original { media_type: "text/html".into(), data: vec![7; 300].into(), ..Default::default() };
        let labels = vec!["flood".into(), "river".into()];
        pb::RecordObservationRequest { original: Some(original), labels, ..request }
    };
    write(&client, request("one", 0)).await;
    write(&client, request(&"two ".repeat(200), 10)).await;
    for (feed, view) in [(pb::FeedView::Basic, pb::ArticleView::Basic), (pb::FeedView::Full, pb::ArticleView::Full)] {
        for change in all(&client, pb::SubscribeRequest { view: feed.into(), ..beginning() }).await {
            let told = change.revision.unwrap();
            let get = pb::GetRevisionRequest { name: told.name.clone(), view: view.into(), ..Default::default() };
            let read = client.archive.get_revision(get).await.unwrap().into_inner().revision.unwrap();
            assert_eq!(told, read);
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_feed_begins_at_the_requested_position() {
    let (_directory, server, client) = fresh().await;
    let mut stamps = Vec::new();
    for text in ["one", "two", "three"] {
        stamps.push(write(&client, publish("a", text)).await.snapshot.unwrap());
    }
    let seqs = |told: Vec<pb::Change>| told.into_iter().map(|change| change.seq).collect::<Vec<_>>();
    assert_eq!(seqs(all(&client, until_caught_up(Position::Seq(1))).await), [1, 2]);
    assert_eq!(seqs(all(&client, until_caught_up(Position::Seq(3))).await), [0; 0]);
    let at_second = Position::ArchiveTime(stamps[1].archive_time.unwrap());
    assert_eq!(seqs(all(&client, until_caught_up(at_second)).await), [1, 2]);
    assert_eq!(seqs(all(&client, until_caught_up(Position::Now(true))).await), [0; 0]);
    assert_eq!(
        seqs(all(&client, pb::SubscribeRequest { start: None, ..until_caught_up(Position::Now(true)) }).await),
        [0; 0]
    );
    let told = events(&client, until_caught_up(Position::Seq(1))).await;
    let Event::CaughtUp(pb::CaughtUp { bookmark: Some(bookmark) }) = told.last().unwrap() else {
        panic!("{told:?} does not end with CaughtUp")
    };
    assert_eq!(bookmark.next_seq, 3);
    write(&client, publish("a", "four")).await;
    let resumed = until_caught_up(Position::ResumeToken(bookmark.resume_token.clone()));
    assert_eq!(seqs(all(&client, resumed).await), [3]);
    server.stop().await;
}

#[tokio::test]
async fn a_snapshot_precedes_later_changes_and_can_be_resumed_in_the_middle() {
    let (_directory, server, client) = fresh().await;
    for number in 0..130 {
        write(&client, publish(&format!("a{number:03}"), "one")).await;
    }
    write(&client, publish("a007", "two")).await;
    let snapshot =
        from(Position::Snapshot(pb::AsOf { known_at: Some(pb::as_of::KnownAt::NextSeq(130)), ..pb::AsOf::default() }));
    let told = events(&client, pb::SubscribeRequest { end_when_caught_up: true, ..snapshot.clone() }).await;
    let Event::Started(started) = &told[0] else { panic!("{told:?}") };
    assert_eq!(started.snapshot.as_ref().unwrap().next_seq, 130);
    let articles = |events: &[Event]| -> Vec<String> {
        batches(events).flat_map(|batch| batch.articles.iter().map(|article| article.name.clone())).collect()
    };
    let all_names: Vec<_> = (0..130).map(|number| name(&format!("a{number:03}"))).collect();
    assert_eq!(articles(&told), all_names);
    assert_eq!(outline(&changes(&told)), [(130, Revised, "a007")]);
    let end = told.iter().position(|event| matches!(event, Event::SnapshotEnd(_))).unwrap();
    assert!(
        told[..end].iter().all(|event| matches!(event, Event::Started(_) | Event::Delivery(_) | Event::Bookmark(_)))
    );

    // The first delivery of articles; then the subscription continues with its token.
    let Event::Delivery(first) = &told[1] else { panic!("{told:?}") };
    let token = first.bookmark.as_ref().unwrap().resume_token.clone();
    let rest = events(&client, until_caught_up(Position::ResumeToken(token))).await;
    assert_eq!([articles(&told[1..2]), articles(&rest)].concat(), all_names);
    assert_eq!(rest.iter().filter(|event| matches!(event, Event::SnapshotEnd(_))).count(), 1);
    assert_eq!(outline(&changes(&rest)), [(130, Revised, "a007")]);
    server.stop().await;
}

#[tokio::test]
async fn a_live_subscriber_gets_what_is_written_and_a_bookmark_before_the_server_stops() {
    let (_directory, server, client) = fresh().await;
    let request = pb::SubscribeRequest {
        heartbeat_interval: Some(prost_types::Duration { seconds: 60, nanos: 0 }),
        ..from(Position::Now(true))
    };
    let mut stream = client.feed.clone().subscribe(request).await.unwrap().into_inner();
    assert!(matches!(next(&mut stream).await, Event::Started(_)));
    assert!(matches!(next(&mut stream).await, Event::CaughtUp(_)));
    for seq in 0..5 {
        write(&client, publish("a", &seq.to_string())).await;
        let Event::Delivery(batch) = next(&mut stream).await else { panic!("expected a delivery") };
        assert_eq!(batch.changes[0].seq, seq);
        assert_eq!(batch.bookmark.unwrap().next_seq, seq + 1);
    }
    drop(client);
    let stopping = tokio::spawn(server.stop());
    let Event::Bookmark(bookmark) = next(&mut stream).await else { panic!("expected a bookmark") };
    assert_eq!(bookmark.next_seq, 5);
    let error = ServerError::from(stream.message().await.unwrap_err());
    assert_eq!((error.code, error.reason.as_str()), (Code::Unavailable, "DRAINING"));
    drop(stream);
    stopping.await.unwrap();
}

#[tokio::test]
async fn an_idle_feed_sends_bookmarks() {
    let (_directory, server, client) = fresh().await;
    let request = pb::SubscribeRequest {
        heartbeat_interval: Some(prost_types::Duration { seconds: 1, nanos: 0 }),
        filter: Some(pb::ArticleFilter { sources: vec!["sources/nobody".into()], ..Default::default() }),
        ..from(Position::Now(true))
    };
    let mut stream = client.feed.clone().subscribe(request).await.unwrap().into_inner();
    assert!(matches!(next(&mut stream).await, Event::Started(_)));
    assert!(matches!(next(&mut stream).await, Event::CaughtUp(_)));
    write(&client, publish("a", "one")).await;
    let Event::Bookmark(bookmark) = next(&mut stream).await else { panic!("expected a bookmark") };
    assert_eq!(bookmark.next_seq, 1, "progress is reported although nothing matches");
    drop((stream, client));
    server.stop().await;
}

#[tokio::test]
async fn pages_return_the_same_feed_and_can_wait_for_changes() {
    let (_directory, server, client) = fresh().await;
    write_batch(&client, vec![publish("a", "one"), publish("b", "one"), publish("c", "one")]).await;
    let mut feed = client.feed.clone();
    let first = pb::ListChangesRequest {
        start: Some(super::start(Position::Beginning(true))),
        page_size: 2,
        ..pb::ListChangesRequest::default()
    };
    let page = feed.list_changes(first.clone()).await.unwrap().into_inner();
    let ends: Vec<_> = page.changes.iter().map(|change| (change.seq, change.batch_end)).collect();
    assert_eq!((ends, page.caught_up, page.next_seq), (vec![(0, false), (1, false)], false, 2));
    let second = pb::ListChangesRequest { resume_token: page.resume_token, ..first.clone() };
    let page = feed.list_changes(second).await.unwrap().into_inner();
    assert_eq!((page.changes[0].seq, page.changes[0].batch_end, page.caught_up), (2, true, true));
    let wait = Some(prost_types::Duration { seconds: 30, nanos: 0 });
    let third = pb::ListChangesRequest { resume_token: page.resume_token, wait, ..first.clone() };
    let waiting = tokio::spawn(async move { feed.list_changes(third).await });
    write(&client, publish("d", "one")).await;
    let page = waiting.await.unwrap().unwrap().into_inner();
    assert_eq!(outline(&page.changes), [(3, Created, "d")]);
    // A stream can continue from a page's token.
    write(&client, publish("e", "one")).await;
    let told = all(&client, until_caught_up(Position::ResumeToken(page.resume_token))).await;
    assert_eq!(outline(&told), [(4, Created, "e")]);
    drop(client);
    server.stop().await;
}
