//! A client with gRPC's default limit of 4 MiB a message reads everything, and every answer to what it writes.

use dateline::wire::pb;
use dateline::wire::pb::archive_service_client::ArchiveServiceClient;
use tonic::transport::Channel;

use crate::server::{TestServer, at, content, fresh, name, publish};

const ARTICLES: usize = 100;

/// A client that takes at most 4 MiB a message, as those of most languages do.
async fn default_client(server: &TestServer) -> ArchiveServiceClient<Channel> {
    ArchiveServiceClient::connect(server.url.clone()).await.unwrap()
}

fn id(number: usize) -> String {
    format!("a{number:03}")
}

/// 100 articles with headlines of 60 KB, published by the default client.
async fn publish_long_headlines(client: &mut ArchiveServiceClient<Channel>) -> pb::BatchPublishRevisionsResponse {
    let requests = (0..ARTICLES).map(|number| pb::PublishRevisionRequest {
        content: Some(content(&"h".repeat(60_000), "Words.")),
        ..publish(&id(number), "")
    });
    let request = pb::BatchPublishRevisionsRequest { requests: requests.collect() };
    client.batch_publish_revisions(request).await.unwrap().into_inner()
}

#[tokio::test]
async fn pages_end_before_they_are_larger_than_a_default_client_takes() {
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
async fn pages_of_revisions_end_before_they_are_too_large() {
    let (_directory, server, _) = fresh().await;
    let mut client = default_client(&server).await;
    let requests = (0..80).map(|number| pb::PublishRevisionRequest {
        content: Some(content(&format!("{number} {}", "h".repeat(60_000)), "Words.")),
        observe_time: Some(at(number)),
        ..publish("a", "")
    });
    let request = pb::BatchPublishRevisionsRequest { requests: requests.collect() };
    client.batch_publish_revisions(request).await.unwrap();
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
async fn a_batch_names_what_it_has_no_room_for() {
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
async fn an_article_with_as_much_as_it_may_have_is_readable_whole() {
    let (_directory, server, _) = fresh().await;
    let mut client = default_client(&server).await;
    let url = |number: usize| {
        let start = format!("https://news.example/{number}/");
        format!("{start}{}", "p".repeat(4_096 - start.len()))
    };
    // The record of a change has room for seven of them.
    for (second, first) in (0..256).step_by(7).enumerate() {
        let request = pb::PublishRevisionRequest {
            content: Some(content("Words", &"w".repeat(if first == 252 { (1 << 20) - 100 } else { 1 }))),
            urls: (first..(first + 7).min(256)).map(url).collect(),
            observe_time: Some(at(i64::try_from(second).unwrap())),
            ..publish("a", "")
        };
        client.publish_revision(request).await.unwrap();
    }
    let request = pb::GetArticleRequest { name: name("a"), ..pb::GetArticleRequest::default() };
    let article = client.get_article(request).await.unwrap().into_inner().article.unwrap();
    assert_eq!(article.urls.len(), 256);
    let rest = prost::Message::encoded_len(&article) - (1 << 20);
    assert!(
        rest + dateline::model::Limits::CONTENT_BYTES_CEILING < (4 << 20) - 4_096,
        "{rest} bytes beside the content"
    );
    server.stop().await;
}
