//! A client with gRPC's default limit of 4 MiB per message can read everything, including every reply to its writes.

use dateline::internals::client::ServerError;
use dateline::internals::wire::pb;
use dateline::internals::wire::pb::archive_service_client::ArchiveServiceClient;
use dateline::internals::wire::pb::change_feed_service_client::ChangeFeedServiceClient;
use tonic::Code;
use tonic::transport::Channel;

use crate::server::{TestServer, at, content, fresh, name, publish};

const ARTICLES: usize = 100;

/// A client with a limit of 4 MiB per message, the default in most languages.
async fn default_client(server: &TestServer) -> ArchiveServiceClient<Channel> {
    ArchiveServiceClient::connect(server.url.clone()).await.unwrap()
}

fn id(number: usize) -> String {
    format!("a{number:03}")
}

/// Records 100 articles with headlines of 60 KB.
async fn publish_long_headlines(client: &mut ArchiveServiceClient<Channel>) -> pb::BatchRecordObservationsResponse {
    let requests = (0..ARTICLES).map(|number| pb::RecordObservationRequest {
        content: Some(content(&"h".repeat(60_000), "Words.")),
        ..publish(&id(number), "")
    });
    let request = pb::BatchRecordObservationsRequest { requests: requests.collect() };
    client.batch_record_observations(request).await.unwrap().into_inner()
}

#[tokio::test]
async fn pages_of_articles_fit_a_default_client() {
    let (_directory, server, _) = fresh().await;
    let mut client = default_client(&server).await;
    let answer = publish_long_headlines(&mut client).await;
    assert_eq!(answer.responses.len(), ARTICLES);
    for order in [pb::ArticleOrder::Name, pb::ArticleOrder::LatestChange] {
        let mut request = pb::ListArticlesRequest {
            parent: "sources/courier".into(),
            page_size: 1_000,
            order: order.into(),
            view: pb::ArticleView::Full.into(),
            ..pb::ListArticlesRequest::default()
        };
        let (mut names, mut pages) = (Vec::new(), 0);
        loop {
            let page = client.list_articles(request.clone()).await.unwrap().into_inner();
            names.extend(page.articles.into_iter().map(|article| article.name));
            pages += 1;
            if page.next_page_token.is_empty() {
                break;
            }
            request.page_token = page.next_page_token;
        }
        if order == pb::ArticleOrder::LatestChange {
            names.reverse();
        }
        assert_eq!(names, (0..ARTICLES).map(|number| name(&id(number))).collect::<Vec<_>>());
        assert!(pages > 2, "{pages} pages of 6 MB");
    }
    server.stop().await;
}

#[tokio::test]
async fn pages_of_revisions_fit_a_default_client() {
    let (_directory, server, _) = fresh().await;
    let mut client = default_client(&server).await;
    let requests = (0..80).map(|number| pb::RecordObservationRequest {
        content: Some(content(&format!("{number} {}", "h".repeat(60_000)), "Words.")),
        observe_time: Some(at(number)),
        ..publish("a", "")
    });
    let request = pb::BatchRecordObservationsRequest { requests: requests.collect() };
    client.batch_record_observations(request).await.unwrap();
    let mut request =
        pb::ListRevisionsRequest { parent: name("a"), page_size: 1_000, ..pb::ListRevisionsRequest::default() };
    let mut numbers = Vec::new();
    loop {
        let page = client.list_revisions(request.clone()).await.unwrap().into_inner();
        numbers.extend(page.entries.into_iter().map(|entry| entry.revision.unwrap().number));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(numbers, (1..=80).rev().collect::<Vec<u32>>());
    server.stop().await;
}

#[tokio::test]
async fn a_batch_read_names_the_articles_that_did_not_fit() {
    let (_directory, server, _) = fresh().await;
    let mut client = default_client(&server).await;
    publish_long_headlines(&mut client).await;
    let mut wanted: Vec<String> = (0..ARTICLES).map(|number| name(&id(number))).collect();
    wanted.insert(1, name("missing"));
    let all = wanted.clone();
    let (mut told, mut calls) = (Vec::new(), 0);
    while !wanted.is_empty() {
        let request = pb::BatchGetArticlesRequest { names: wanted, ..pb::BatchGetArticlesRequest::default() };
        let answer = client.batch_get_articles(request).await.unwrap().into_inner();
        assert!(!answer.articles.is_empty());
        assert_eq!(answer.missing_names, if calls == 0 { vec![name("missing")] } else { Vec::new() });
        told.extend(answer.articles.into_iter().map(|article| article.name));
        told.extend(answer.missing_names);
        (wanted, calls) = (answer.unread_names, calls + 1);
    }
    let (mut told, mut all) = (told, all);
    told.sort();
    all.sort();
    assert_eq!(told, all);
    assert!(calls > 2, "{calls} calls for 6 MB");
    server.stop().await;
}

#[tokio::test]
async fn an_article_at_all_limits_can_be_read_whole() {
    let (_directory, server, _) = fresh().await;
    let mut client = default_client(&server).await;
    let url = |number: usize| {
        let start = format!("https://news.example/{number}/");
        format!("{start}{}", "p".repeat(4_096 - start.len()))
    };
    // The log record of a change has room for seven of them.
    for (second, first) in (0..256).step_by(7).enumerate() {
        let request = pb::RecordObservationRequest {
            content: Some(content("Words", &"w".repeat(if first == 252 { (1 << 20) - 100 } else { 1 }))),
            urls: (first..(first + 7).min(256)).map(url).collect(),
            observe_time: Some(at(i64::try_from(second).unwrap())),
            ..publish("a", "")
        };
        client.record_observation(request).await.unwrap();
    }
    client.record_observation(publish("0", "Before it by name.")).await.unwrap();
    assert_eq!(snapshot(&server).await, [[name("0")], [name("a")]], "an event ends before what does not fit");
    let request = pb::GetArticleRequest { name: name("a"), ..pb::GetArticleRequest::default() };
    let article = client.get_article(request).await.unwrap().into_inner().article.unwrap();
    assert_eq!(article.urls.len(), 256);
    let rest = prost::Message::encoded_len(&article) - (1 << 20);
    assert!(
        rest + dateline::model::Limits::CONTENT_BYTES_CEILING < (4 << 20) - 4_096,
        "{rest} bytes next to the content"
    );
    server.stop().await;
}

fn with_original(id: &str, data: Vec<u8>) -> pb::RecordObservationRequest {
    let original = pb::Original { media_type: "text/html".into(), data: data.into(), ..pb::Original::default() };
    pb::RecordObservationRequest { original: Some(original), ..publish(id, "one") }
}

#[tokio::test]
async fn an_original_too_large_for_an_answer_is_read_as_a_stream() {
    use pb::read_original_response::Part;
    let (_directory, server, _) = fresh().await;
    let mut client = default_client(&server).await;
    let data: Vec<u8> = (0..8_u32 << 20).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    client.record_observation(with_original("a", data.clone())).await.unwrap();
    client.record_observation(publish("b", "one")).await.unwrap();
    let latest = |id: &str| format!("{}/revisions/latest", name(id));
    let whole =
        pb::GetRevisionRequest { name: latest("a"), include_original: true, ..pb::GetRevisionRequest::default() };
    let refused = ServerError::from(client.get_revision(whole).await.unwrap_err());
    assert_eq!((refused.code, refused.reason.as_str()), (Code::FailedPrecondition, "ORIGINAL_TOO_LARGE"));
    assert!(refused.message.contains("ReadOriginal"), "{}", refused.message);

    let read = |id: &str| pb::ReadOriginalRequest { name: latest(id), ..pb::ReadOriginalRequest::default() };
    let mut parts = client.read_original(read("a")).await.unwrap().into_inner();
    let Some(Part::Begin(begin)) = parts.message().await.unwrap().unwrap().part else { panic!("no Begin") };
    assert_eq!(begin.name, format!("{}/revisions/1", name("a")));
    let described = begin.original.unwrap();
    assert_eq!((described.media_type.as_str(), described.size_bytes), ("text/html", 8 << 20));
    let mut got = Vec::new();
    while let Some(part) = parts.message().await.unwrap() {
        let Some(Part::Data(piece)) = part.part else { panic!("a second Begin") };
        got.extend_from_slice(&piece);
    }
    assert!(got == data, "{} bytes", got.len());
    let none = ServerError::from(client.read_original(read("b")).await.unwrap_err());
    assert_eq!((none.code, none.reason.as_str()), (Code::NotFound, "ORIGINAL_UNKNOWN"));
    server.stop().await;
}

#[tokio::test]
async fn a_stalled_reader_of_an_original_is_cut_off() {
    let directory = tempfile::TempDir::new().unwrap();
    let clock = std::sync::Arc::new(dateline::internals::clock::SystemClock);
    let options = dateline::internals::archive::Options::default();
    let (archive, _) = dateline::internals::archive::Archive::open_or_create(
        directory.path(),
        &options,
        clock,
        crate::server::holder(),
    )
    .unwrap();
    let stalled_after = std::time::Duration::from_millis(200);
    let options =
        dateline::internals::server::Options { stalled_after, ..dateline::internals::server::Options::default() };
    let server = TestServer::over(archive, options).await;
    let mut client = default_client(&server).await;
    client.record_observation(with_original("a", vec![7; 8 << 20])).await.unwrap();
    let name = format!("{}/revisions/1", name("a"));
    let request = pb::ReadOriginalRequest { name, ..pb::ReadOriginalRequest::default() };
    let mut parts = client.read_original(request).await.unwrap().into_inner();
    // The HTTP/2 windows fill up, and then nothing moves for longer than the timeout.
    tokio::time::sleep(3 * stalled_after).await;
    let ended = loop {
        match parts.message().await {
            Ok(part) => assert!(part.is_some(), "it was sent whole"),
            Err(status) => break ServerError::from(status),
        }
    };
    assert_eq!((ended.code, ended.reason.as_str()), (Code::ResourceExhausted, "STREAM_STALLED"));
    server.stop().await;
}

/// An article whose standfirst is as large as allowed and whose body is tiny.
fn long_standfirst(id: &str, observed: i64) -> pb::RecordObservationRequest {
    let standfirst = format!("{observed} {}", "s".repeat(1_000_000));
    pb::RecordObservationRequest {
        content: Some(pb::Content { standfirst, ..content("Words", "Words.") }),
        observe_time: Some(at(observed)),
        ..publish(id, "")
    }
}

/// How many such articles there are; two fit into a reply.
const LONG: usize = 7;

#[tokio::test]
async fn all_fields_of_an_article_count_towards_the_size_of_a_page() {
    let (_directory, server, _) = fresh().await;
    let mut client = default_client(&server).await;
    for number in 0..LONG {
        client.record_observation(long_standfirst(&id(number), 0)).await.unwrap();
    }
    let names: Vec<String> = (0..LONG).map(|number| name(&id(number))).collect();
    for order in [pb::ArticleOrder::Name, pb::ArticleOrder::LatestChange] {
        let mut request = pb::ListArticlesRequest {
            parent: "sources/courier".into(),
            page_size: 1_000,
            order: order.into(),
            view: pb::ArticleView::Full.into(),
            ..pb::ListArticlesRequest::default()
        };
        let mut listed = Vec::new();
        loop {
            let page = client.list_articles(request.clone()).await.unwrap().into_inner();
            assert!(page.articles.len() <= 2, "{} articles of 1 MB", page.articles.len());
            listed.extend(page.articles.into_iter().map(|article| article.name));
            if page.next_page_token.is_empty() {
                break;
            }
            request.page_token = page.next_page_token;
        }
        listed.sort();
        assert_eq!(listed, names);
    }
    let request = pb::BatchGetArticlesRequest {
        names: names.clone(),
        view: pb::ArticleView::Full.into(),
        ..pb::BatchGetArticlesRequest::default()
    };
    let answer = client.batch_get_articles(request).await.unwrap().into_inner();
    assert_eq!((answer.articles.len(), answer.unread_names), (2, names[2..].to_vec()));
    server.stop().await;
}

#[tokio::test]
async fn all_fields_of_a_revision_count_towards_the_size_of_a_page() {
    let (_directory, server, _) = fresh().await;
    let mut client = default_client(&server).await;
    for number in 0..LONG {
        client.record_observation(long_standfirst("a", i64::try_from(number).unwrap())).await.unwrap();
    }
    let mut request = pb::ListRevisionsRequest {
        parent: name("a"),
        page_size: 1_000,
        view: pb::ArticleView::Full.into(),
        ..pb::ListRevisionsRequest::default()
    };
    let mut numbers = Vec::new();
    loop {
        let page = client.list_revisions(request.clone()).await.unwrap().into_inner();
        assert!(page.entries.len() <= 2, "{} revisions of 1 MB", page.entries.len());
        numbers.extend(page.entries.into_iter().map(|entry| entry.revision.unwrap().number));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(numbers, (1..=7).rev().collect::<Vec<u32>>());
    server.stop().await;
}

/// The articles in each event of a snapshot, as a default client receives them.
async fn snapshot(server: &TestServer) -> Vec<Vec<String>> {
    use pb::subscribe_response::Event;
    let mut subscriber = ChangeFeedServiceClient::connect(server.url.clone()).await.unwrap();
    let start = pb::FeedStart { position: Some(pb::feed_start::Position::Snapshot(pb::AsOf::default())) };
    let request = pb::SubscribeRequest {
        start: Some(start),
        view: pb::FeedView::Full.into(),
        end_when_caught_up: true,
        ..pb::SubscribeRequest::default()
    };
    let mut events = subscriber.subscribe(request).await.unwrap().into_inner();
    let (mut received, mut ended) = (Vec::new(), false);
    while let Some(event) = events.message().await.unwrap() {
        ended |= matches!(event.event, Some(Event::SnapshotEnd(_)));
        if let Some(Event::Delivery(batch)) = event.event {
            received.push(batch.articles.into_iter().map(|article| article.name).collect());
        }
    }
    assert!(ended, "{received:?}");
    received
}

#[tokio::test]
async fn a_snapshot_of_large_articles_reaches_a_default_client() {
    let (_directory, server, _) = fresh().await;
    let mut client = default_client(&server).await;
    for number in 0..LONG {
        client.record_observation(long_standfirst(&id(number), 0)).await.unwrap();
    }
    client.record_observation(publish("z", "The last one.")).await.unwrap();
    let received = snapshot(&server).await.concat();
    let expected: Vec<String> = (0..LONG).map(id).chain(["z".to_owned()]).map(|id| name(&id)).collect();
    assert_eq!(received, expected);
    server.stop().await;
}

/// The service measures its replies as well, so only the archive itself shows how much was read for a page.
#[tokio::test]
async fn a_page_reads_no_more_contents_than_it_may_return() {
    use dateline::internals::archive::read::article::View;
    use dateline::internals::archive::read::list::{ArticleQuery, PAGE_CONTENT_BYTES, RevisionOrder, RevisionQuery};
    use dateline::internals::archive::{Archive, Options};
    use dateline::model::{ArticleName, AsOf, ContentParts, Seq};
    let (directory, server, _) = fresh().await;
    let mut client = default_client(&server).await;
    for number in 0..LONG {
        let revision = long_standfirst(&id(0), i64::try_from(number).unwrap());
        client.record_observation(revision).await.unwrap();
        client.record_observation(long_standfirst(&id(number + 1), 0)).await.unwrap();
    }
    server.stop().await;
    let clock = std::sync::Arc::new(dateline::internals::clock::SystemClock);
    let (archive, _) =
        Archive::open_existing(directory.path(), &Options::default(), clock, crate::server::holder()).unwrap();
    let cut = archive.read_point(AsOf::default(), Seq(0)).await.unwrap();
    let query = ArticleQuery {
        source: None,
        filter: Default::default(),
        view: View::Full,
        page_size: 1_000,
        content_bytes_max: PAGE_CONTENT_BYTES,
    };
    let names = (0..LONG).map(|number| ArticleName::parse(&name(&id(number))).unwrap()).collect::<Vec<_>>();
    let first = names[0].clone();
    let revisions = RevisionQuery {
        order: RevisionOrder::NewestFirst,
        changed_parts: ContentParts::NONE,
        view: View::Full,
        page_size: 1_000,
    };
    let read = [
        archive.articles_by_name(cut, query.clone(), None).await.unwrap().items.len(),
        archive.articles_by_latest_change(cut, query, None).await.unwrap().items.len(),
        archive.articles(cut, names, View::Full).await.unwrap().len(),
        archive.revisions(cut, first, revisions, None).await.unwrap().items.len(),
    ];
    assert_eq!(read, [3; 4], "the third exceeds 2 MiB");
    archive.close().await;
}
