//! An archive that a program opens itself: it records and reads without the service, and rejects what the service does.

use std::time::Duration;

use dateline::internals::client::ServerError;
use dateline::internals::wire::{content_to_pb, pb};
use dateline::model::{ArticleState, ClaimedTime, Precision};
use dateline::{
    Archive, ArticleFilter, ArticleName, AsOf, Block, BlockKind, ChangeKind, Conflict, Content, EditOptions, FeedStart,
    Fetch, InvalidReadPoint, Limits, Missing, Observation, Original, Outcome, Position, Timestamp, Unavailable,
};
use dateline::{ArchiveError, ArchiveOptions};
use futures_util::StreamExt;

use crate::server::{fresh, publish};

fn name(id: &str) -> ArticleName {
    ArticleName::new("courier", id).unwrap()
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn content(headline: &str) -> Content {
    Content::new(headline).paragraph("Lorries cross by ferry.")
}

/// The paths and problems of the fields that an error names.
#[track_caller]
fn invalid<T: std::fmt::Debug>(result: Result<T, ArchiveError>) -> Vec<(String, String)> {
    let error = result.unwrap_err();
    let ArchiveError::Invalid(errors) = &error else { panic!("{error:?}") };
    errors.listed().iter().map(|error| (error.path.clone(), error.problem.clone())).collect()
}

/// A change to a request for the service.
type AsMessage = Box<dyn Fn(&mut pb::RecordObservationRequest)>;
/// The same change to an observation.
type AsObservation = Box<dyn Fn(Observation) -> Observation>;

fn with_content(content: Content) -> (AsMessage, AsObservation) {
    let given = content.clone();
    (
        Box::new(move |request| request.content = Some(content_to_pb(&given))),
        Box::new(move |_| Observation::new(content.clone())),
    )
}

/// Everything that the service rejects and that a program can express, each as both of them do.
fn rejected() -> Vec<(AsMessage, AsObservation)> {
    let limits = Limits::default();
    let base = || content("The bridge");
    let huge = "x".repeat(limits.content_bytes_max);
    let long_url = format!("https://courier.example/{}", "x".repeat(limits.url_bytes_max));
    let escaped_url = format!("https://courier.example/{}", "ü".repeat(limits.url_bytes_max / 3));
    let labels = |count: usize| (0..count).map(|number| format!("label {number}")).collect::<Vec<_>>();
    let list = |items| BlockKind::List { items: vec![String::new(); items], ordered: false };
    let certain = Block { confidence_percent: Some(101), ..Block::from("It closes.") };
    let mut cases = vec![
        with_content(Content { headline: " \n".into(), ..base() }),
        with_content(Content { language: "not a tag".into(), ..base() }),
        with_content(Content { language: "x".repeat(129), ..base() }),
        with_content(Content { canonical_url: "ftp://x".into(), ..base() }),
        with_content(Content { canonical_url: long_url.clone(), ..base() }),
        with_content(Content { rights: huge.clone(), headline: String::new(), ..base() }),
        with_content(Content { blocks: vec![Block::from("x"); Limits::BLOCKS_MAX + 1], ..base() }),
        with_content(Content { bylines: vec![String::new(); Limits::BLOCKS_MAX + 1], ..base() }),
        with_content(Content { keywords: vec![String::new(); Limits::BLOCKS_MAX + 1], ..base() }),
        with_content(base().block(list(Limits::BLOCKS_MAX + 1))),
        with_content(Content { blocks: (0..27).map(|_| list(Limits::BLOCKS_MAX).into()).collect(), ..base() }),
        with_content(base().block(certain)),
    ];
    for urls in [vec!["nonsense".to_owned()], vec![long_url], vec![escaped_url], vec!["https://a.example/".into(); 17]]
    {
        let given = urls.clone();
        cases.push((
            Box::new(move |request| request.urls = given.clone()),
            Box::new(move |seen| urls.iter().fold(seen, |seen, url| seen.url(url))),
        ));
    }
    for labels in [vec![String::new()], vec!["a\u{1b}[31mb".into()], vec!["x".repeat(129)], labels(65)] {
        let given = labels.clone();
        cases.push((
            Box::new(move |request| request.labels = given.clone()),
            Box::new(move |seen| labels.iter().fold(seen, |seen, label| seen.label(label))),
        ));
    }
    for (data, media_type) in [(0, "text/html"), (limits.original_bytes_max + 1, "text/html"), (1, &*"x".repeat(129))] {
        let original = Original { media_type: media_type.to_owned(), data: vec![b'x'; data].into() };
        let (media_type, data) = (original.media_type.clone(), original.data.clone());
        cases.push((
            Box::new(move |request| {
                let (media_type, data) = (media_type.clone(), data.clone());
                request.original = Some(pb::Original { media_type, data, ..pb::Original::default() });
            }),
            Box::new(move |seen| seen.original(original.clone())),
        ));
    }
    for (url, etag, last_modified) in [("", "", ""), ("https://a.example/", "\n", "\n"), ("mailto:x", "", "")] {
        let (url, etag, last_modified) = (url.to_owned(), etag.to_owned(), last_modified.to_owned());
        let fetch = Fetch { url, etag, last_modified };
        let Fetch { url, etag, last_modified } = fetch.clone();
        let given = pb::Fetch { url, etag, last_modified };
        cases.push((
            Box::new(move |request| request.fetch = Some(given.clone())),
            Box::new(move |seen| seen.fetch(fetch.clone())),
        ));
    }
    cases.push((
        Box::new(|request| request.coalesce_within = Some(prost_types::Duration { seconds: i64::MAX, nanos: 0 })),
        Box::new(|seen| seen.coalesce_within(Duration::from_secs(i64::MAX as u64))),
    ));
    cases.push((Box::new(|request| request.request_id = "a b".into()), Box::new(|seen| seen.request_id("a b"))));
    cases
}

#[tokio::test]
async fn nothing_that_the_service_rejects_is_recorded_by_a_program() {
    let (_directory, server, mut client) = fresh().await;
    let cases = rejected();
    assert_eq!(cases.len(), 28);
    for (index, (as_message, as_observation)) in cases.into_iter().enumerate() {
        let mut request = publish("a", "text");
        as_message(&mut request);
        let error = ServerError::from(client.archive.record_observation(request).await.unwrap_err());
        let served: Vec<_> = error.field_violations.into_iter().map(|bad| (bad.field, bad.description)).collect();
        assert!(!served.is_empty(), "case {index}: {}", error.message);
        let recorded = server.archive.record(&name("a"), as_observation(Observation::new(content("H")))).await;
        assert_eq!(invalid(recorded), served, "case {index}");
    }
    let ahead = Observation::new(content("H")).observed_at(time("9999-01-01T00:00:00Z"));
    let [(field, problem)] = &*invalid(server.archive.record(&name("a"), ahead).await) else { panic!("one field") };
    assert_eq!(field, "observe_time");
    assert!(problem.contains("more than one minute ahead"), "{problem}");
    assert_eq!(server.archive.tail().next_seq.0, 0);
    server.stop().await;
}

/// A content of the greatest size that is allowed is recorded by both, and one byte more by neither.
#[tokio::test]
async fn the_limit_of_a_content_is_the_same_to_the_byte() {
    let (_directory, server, mut client) = fresh().await;
    let claim = ClaimedTime {
        time: time("2026-05-01T09:00:00.000001Z"),
        precision: Precision::Instant,
        words: "today".into(),
        found_in: "the page".into(),
        relative: false,
    };
    let list = BlockKind::List { items: vec!["a".into(), String::new()], ordered: true };
    let small = Content { publish_time: Some(claim), ..content("The bridge") }.block(list);
    let bytes_max = Limits::default().content_bytes_max;
    // A text of this length has a length prefix of three bytes, and a field has a tag of one.
    let rest = bytes_max - small.encoded_bytes() - 4;
    for (bytes, fits) in [(rest, true), (rest + 1, false)] {
        let content = Content { rights: "x".repeat(bytes), ..small.clone() };
        assert_eq!(content.encoded_bytes() == bytes_max, fits);
        let request =
            pb::RecordObservationRequest { content: Some(content_to_pb(&content)), ..publish("served", "text") };
        assert_eq!(client.archive.record_observation(request).await.is_ok(), fits);
        assert_eq!(server.archive.record(&name("embedded"), content).await.is_ok(), fits);
    }
    server.stop().await;
}

#[tokio::test]
async fn all_invalid_fields_are_listed_together() {
    let archive = Archive::in_memory().unwrap();
    let seen = Observation::new(Content { language: "?".into(), ..Content::default() })
        .url("nonsense")
        .label("")
        .request_id("a b");
    let fields: Vec<_> = invalid(archive.record(&name("a"), seen).await).into_iter().map(|(path, _)| path).collect();
    assert_eq!(fields, ["content.headline", "content.language", "urls[0]", "request_id", "labels[0]"]);

    archive.record(&name("a"), content("The bridge")).await.unwrap();
    let options = EditOptions::because("x".repeat(1_025)).observed_at(time("9999-01-01T00:00:00Z")).request_id("a b");
    let fields = |result| invalid(result).into_iter().map(|(path, _)| path).collect::<Vec<_>>();
    let withdrawn = archive.withdraw(&name("a"), options.clone()).await;
    assert_eq!(fields(withdrawn), ["reason", "observe_time", "request_id"]);
    let labelled = archive.label(&name("a"), ["", "both"], ["both"], options).await;
    assert_eq!(fields(labelled), ["add_labels[0]", "remove_labels[0]", "reason", "observe_time", "request_id"]);
    assert_eq!(archive.tail().next_seq.0, 1);
}

#[tokio::test]
async fn what_a_program_records_it_reads_back() {
    let archive = Archive::in_memory().unwrap();
    let (a, url) = (name("a"), "https://courier.example/bridge?utm_source=x");
    let first = Observation::new(Content { language: "en-gb".into(), ..content("To close") })
        .observed_at(time("2026-05-01T09:00:00Z"))
        .url(url)
        .label("traffic")
        .original(Original { media_type: "text/html".into(), data: "<p>".into() })
        .fetch(Fetch { url: url.into(), etag: "\"1\"".into(), last_modified: String::new() });
    let created = archive.record(&a, first.if_new()).await.unwrap();
    assert_eq!((created.outcome, created.replayed), (Outcome::Created, false));
    let article = archive.get_by_url("https://courier.example/bridge#top", AsOf::NEWEST).await.unwrap();
    assert_eq!(article.content().unwrap().language, "en-GB", "the tag is canonical");
    assert_eq!((&article.name, article.etag.as_ref()), (&a, Some(&created.etag)));
    assert_eq!(article.labels, ["traffic"]);
    assert_eq!(article.latest_fetch().unwrap().etag, "\"1\"");
    let original = archive.get_original(&a, created.revision).await.unwrap().original.unwrap();
    assert_eq!(&*original, b"<p>");

    let revised = archive.record(&a, Observation::new(content("Closes")).if_etag(&created.etag)).await.unwrap();
    assert_eq!(revised.outcome, Outcome::Revised);
    let conflict = archive.record(&a, Observation::new(content("Opens")).if_etag(&created.etag)).await.unwrap_err();
    assert!(matches!(conflict, ArchiveError::Conflict(Conflict::Revision { .. })), "{conflict:?}");
    let exists = archive.record(&a, Observation::new(content("Opens")).if_new()).await.unwrap_err();
    assert!(matches!(exists, ArchiveError::Conflict(Conflict::ArticleExists(_))), "{exists:?}");

    let headline = |article: dateline::ArticleAt| article.headline().to_owned();
    let at = AsOf::at(time("2026-05-01T10:00:00Z"));
    assert_eq!(archive.get(&a, at).await.map(headline).unwrap(), "To close");
    assert_eq!(archive.get(&a, created.snapshot).await.map(headline).unwrap(), "To close");
    assert_eq!(archive.get(&a, AsOf::NEWEST).await.map(headline).unwrap(), "Closes");
    let early = archive.get(&a, time("2026-04-01T00:00:00Z")).await.unwrap_err();
    assert!(matches!(early, ArchiveError::Missing(Missing::NotYetObserved { .. })), "{early:?}");
    assert!(archive.get(&name("b"), AsOf::NEWEST).await.unwrap_err().is_missing());

    archive.roll_back(&a, created.revision).await.unwrap();
    let history = archive.history(&a).await.unwrap();
    let headlines: Vec<_> = history.iter().map(|entry| entry.revision.headline()).collect();
    assert_eq!(headlines, ["To close", "Closes", "To close"]);
    let second = archive.get_revision(&a, revised.revision).await.unwrap();
    assert_eq!(second.content().unwrap(), content("Closes"));

    let withdrawn = archive.withdraw(&a, "a legal complaint").await.unwrap();
    let article = archive.get(&a, AsOf::NEWEST).await.unwrap();
    assert!(article.article_state() == ArticleState::Withdrawn && article.content().is_none());
    assert_eq!(article.state.as_ref().unwrap().reason, "a legal complaint");
    assert_eq!(article.etag, Some(withdrawn.etag));
    archive.reinstate(&a, EditOptions::new()).await.unwrap();
    archive.label(&a, ["flood"], ["traffic"], "sorted").await.unwrap();
    assert_eq!(archive.get(&a, AsOf::NEWEST).await.unwrap().labels, ["flood"]);
}

#[tokio::test]
async fn a_repeated_request_is_carried_out_once() {
    let archive = Archive::in_memory().unwrap();
    let a = name("a");
    let seen = || Observation::new(content("To close")).url("https://courier.example/a").request_id("first");
    let first = archive.record(&a, seen()).await.unwrap();
    let again = archive.record(&a, seen()).await.unwrap();
    assert_eq!((again.replayed, again.etag, again.snapshot), (true, first.etag, first.snapshot));
    let others = [
        seen().label("x"),
        seen().url("https://courier.example/b"),
        seen().observed_at(time("2026-05-01T09:00:00Z")),
        seen().if_new(),
        seen().coalesce_within(Duration::from_secs(1)),
        Observation::new(content("Closes")).request_id("first"),
    ];
    for other in others {
        let reused = archive.record(&a, other).await.unwrap_err();
        assert!(matches!(reused, ArchiveError::Conflict(Conflict::RequestIdReused { .. })), "{reused:?}");
    }
    let options = |reason: &str| EditOptions::because(reason).request_id("second");
    archive.withdraw(&a, options("a complaint")).await.unwrap();
    assert!(archive.withdraw(&a, options("a complaint")).await.unwrap().replayed);
    for reused in [archive.withdraw(&a, options("another")).await, archive.reinstate(&a, options("a complaint")).await]
    {
        let reused = reused.unwrap_err();
        assert!(matches!(reused, ArchiveError::Conflict(Conflict::RequestIdReused { .. })), "{reused:?}");
    }
    archive.label(&a, ["x"], [""; 0], EditOptions::new().request_id("third")).await.unwrap();
    let reused = archive.label(&a, [""; 0], ["x"], EditOptions::new().request_id("third")).await.unwrap_err();
    assert!(matches!(reused, ArchiveError::Conflict(Conflict::RequestIdReused { .. })), "{reused:?}");
}

#[tokio::test]
async fn an_article_is_found_by_its_url_or_named_after_it() {
    let archive = Archive::in_memory().unwrap();
    let source = name("a").source;
    let seen = |headline: &str| Observation::new(content(headline)).url("https://courier.example/2026/bridge");
    let created = archive.record_found(&source, seen("To close")).await.unwrap();
    let revised = archive.record_found(&source, seen("Closes")).await.unwrap();
    assert_eq!((&revised.article, revised.outcome), (&created.article, Outcome::Revised));
    assert!(created.article.article.as_str().contains("bridge"), "{}", created.article);
}

#[tokio::test]
async fn a_list_has_every_article_once_as_of_its_beginning() {
    let archive = Archive::in_memory().unwrap();
    for number in 0..250 {
        let seen = Observation::new(content("The bridge"));
        let seen = if number % 2 == 0 { seen.label("even") } else { seen };
        archive.record(&name(&format!("{number:03}")), seen).await.unwrap();
    }
    let filter = ArticleFilter { labels: vec!["even".into()], ..ArticleFilter::default() };
    let mut articles = archive.list(filter, AsOf::NEWEST).await.unwrap();
    let mut found = Vec::new();
    while let Some(article) = articles.next().await {
        found.push(article.unwrap().name);
        if found.len() == 1 {
            archive.record(&name("100a"), Observation::new(content("Late")).label("even")).await.unwrap();
        }
    }
    let expected: Vec<_> = (0..250).step_by(2).map(|number| name(&format!("{number:03}"))).collect();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn a_subscription_has_every_change_in_order_and_resumes_anywhere() {
    const CHANGES: u64 = 600;
    let directory = tempfile::tempdir().unwrap();
    let options = ArchiveOptions { free_space_floor_bytes: 0, ..ArchiveOptions::default() };
    let archive = options.open(directory.path().join("archive")).unwrap();
    for number in 0..CHANGES {
        let seen = Observation::new(content(&format!("Headline {number}")));
        archive.record(&name(&format!("{}", number % 7)), seen).await.unwrap();
    }
    archive.close().await;
    drop(archive);

    // Not in memory any more: the changes come from storage, in pages.
    let archive = options.open_existing(directory.path().join("archive")).unwrap();
    let stream = archive.subscribe(FeedStart::Beginning).until_caught_up().into_stream();
    let changes: Vec<_> = stream.map(Result::unwrap).collect().await;
    assert_eq!(changes.len() as u64, CHANGES);
    for (number, change) in changes.iter().enumerate() {
        assert_eq!(change.seq().0, number as u64);
        assert_eq!(change.revision.headline(), format!("Headline {number}"));
        assert_eq!(change.revision.content().unwrap().blocks.len(), 1);
        assert_eq!((change.kind == ChangeKind::Created, change.batch_end), (number < 7, true));
    }
    for change in changes.iter().step_by(97) {
        let stored = change.position.to_string();
        let position: Position = stored.parse().unwrap();
        let mut rest = archive.subscribe(position).without_content().until_caught_up();
        for expected in change.seq().0 + 1..CHANGES {
            let change = rest.next().await.unwrap().unwrap();
            assert_eq!((change.seq().0, change.revision.content().is_none()), (expected, true));
        }
        assert!(rest.next().await.is_none());
        assert_eq!(rest.position(), Some(archive.tail().position()));
    }
    let filter = ArticleFilter { articles: vec![name("3")], ..ArticleFilter::default() };
    let of_one = archive.subscribe(FeedStart::Beginning).of(filter).kinds([ChangeKind::Revised]).until_caught_up();
    assert_eq!(of_one.into_stream().count().await, 85);
    archive.close().await;
}

#[tokio::test]
async fn a_subscription_waits_for_changes_and_ends_with_the_archive() {
    let archive = Archive::in_memory().unwrap();
    let mut changes = archive.subscribe(FeedStart::Now);
    let recording = archive.clone();
    let recorded = tokio::spawn(async move {
        for number in 0..50 {
            recording.record(&name("a"), content(&format!("Headline {number}"))).await.unwrap();
        }
    });
    // `Now` is when the first change is awaited, so this may miss the first ones, and nothing after them.
    let first = changes.next().await.unwrap().unwrap().seq().0;
    for expected in first + 1..50 {
        let waiting = tokio::time::timeout(Duration::from_secs(60), changes.next());
        assert_eq!(waiting.await.unwrap().unwrap().unwrap().seq().0, expected);
    }
    recorded.await.unwrap();
    assert_eq!(changes.position(), Some(archive.tail().position()));
    let waiting = tokio::spawn(async move { changes.next().await.is_none() });
    archive.close().await;
    assert!(tokio::time::timeout(Duration::from_secs(60), waiting).await.unwrap().unwrap());
    let refused = archive.record(&name("a"), content("Late")).await.unwrap_err();
    assert!(matches!(refused, ArchiveError::Unavailable(Unavailable::Draining)), "{refused:?}");
}

#[tokio::test]
async fn a_position_of_another_archive_is_rejected() {
    let (one, other) = (Archive::in_memory().unwrap(), Archive::in_memory().unwrap());
    for archive in [&one, &other] {
        archive.record(&name("a"), content("The bridge")).await.unwrap();
    }
    let mut changes = other.subscribe(one.tail());
    let refused = changes.next().await.unwrap().unwrap_err();
    assert!(matches!(refused, ArchiveError::Bound(InvalidReadPoint::HistoryDiverged { .. })), "{refused:?}");
}

#[tokio::test]
async fn an_archive_that_is_open_elsewhere_or_missing_is_an_error_that_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("archive");
    let missing = ArchiveOptions::default().open_existing(&path).map(drop).unwrap_err();
    assert!(missing.to_string().contains(&path.display().to_string()), "{missing}");
    let archive = Archive::open(&path).unwrap();
    let held = Archive::open(&path).map(drop).unwrap_err();
    assert!(held.to_string().contains(&std::process::id().to_string()), "{held}");
    archive.close().await;
}

/// The names of articles as programs write them, and as the contract does.
#[test]
fn a_name_is_parsed_from_both_forms() {
    for text in ["courier/a", "sources/courier/articles/a"] {
        assert_eq!(text.parse(), Ok(name("a")));
    }
    for text in ["", "a", "courier/", "courier/a/b", "sources/courier/a/b", "cou rier/a"] {
        assert!(text.parse::<ArticleName>().is_err(), "{text:?}");
    }
}
