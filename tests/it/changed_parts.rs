//! Which parts of an article a revision changed: recorded once, returned everywhere, and selected by lists and feeds.

use dateline::internals::client::Client;
use dateline::internals::wire::pb;
use pb::ContentPart::{Body, Headline, Language, Section};
use tonic::Code;

use crate::server::{at, fresh, name, publish};

/// Records article `a` in this language and section, `seconds` after the start.
async fn record(client: &Client, seconds: i64, text: &str, language: &str, section: &str) -> pb::Revision {
    let mut request = pb::RecordObservationRequest { observe_time: Some(at(seconds)), ..publish("a", text) };
    let content = request.content.as_mut().unwrap();
    (content.language, content.section) = (language.to_owned(), section.to_owned());
    let recorded = client.archive.clone().record_observation(request).await.unwrap().into_inner();
    recorded.revision.unwrap()
}

/// Four revisions: the first, one of the text, one of the section, and one of language and text.
async fn recorded(client: &Client) {
    record(client, 0, "one", "en", "World").await;
    record(client, 10, "two", "en", "World").await;
    record(client, 20, "two", "en", "City").await;
    record(client, 30, "drei", "de", "City").await;
}

fn numbers(parts: &[pb::ContentPart]) -> Vec<i32> {
    parts.iter().map(|part| i32::from(*part)).collect()
}

/// The numbers of the revisions that changed one of `parts`, over pages of one revision.
async fn listed(client: &Client, parts: &[pb::ContentPart]) -> Vec<u32> {
    let order = pb::RevisionOrder::OldestFirst.into();
    let changed_parts = numbers(parts);
    let mut request =
        pb::ListRevisionsRequest { parent: name("a"), page_size: 1, order, changed_parts, ..Default::default() };
    let mut found = Vec::new();
    loop {
        let page = client.archive.clone().list_revisions(request.clone()).await.unwrap().into_inner();
        found.extend(page.entries.into_iter().map(|entry| entry.revision.unwrap().number));
        if page.next_page_token.is_empty() {
            return found;
        }
        request.page_token = page.next_page_token;
    }
}

async fn has_article(client: &Client, seconds: i64, parts: &[pb::ContentPart]) -> bool {
    let request = pb::ListArticlesRequest {
        parent: "sources/-".into(),
        filter: Some(pb::ArticleFilter { changed_parts: numbers(parts), ..Default::default() }),
        as_of: Some(pb::AsOf { observe_time: Some(at(seconds)), ..Default::default() }),
        ..Default::default()
    };
    !client.archive.clone().list_articles(request).await.unwrap().into_inner().articles.is_empty()
}

/// The positions of the changes, and whether the article left the filter with each.
async fn fed(client: &Client, filter: pb::ArticleFilter, kinds: &[pb::ChangeKind]) -> Vec<(u64, bool)> {
    let start = Some(pb::FeedStart { position: Some(pb::feed_start::Position::Beginning(true)) });
    let kinds = kinds.iter().map(|kind| i32::from(*kind)).collect();
    let request = pb::ListChangesRequest { start, filter: Some(filter), kinds, ..Default::default() };
    let page = client.feed.clone().list_changes(request).await.unwrap().into_inner();
    page.changes.iter().map(|change| (change.seq, change.left_filter)).collect()
}

#[tokio::test]
async fn a_revision_has_the_parts_that_differ_from_what_was_in_force_before_it() {
    let (_directory, server, client) = fresh().await;
    assert_eq!(record(&client, 0, "one", "en", "World").await.changed_parts, [0; 0]);
    assert_eq!(record(&client, 10, "two", "en", "World").await.changed_parts, numbers(&[Body]));
    assert_eq!(record(&client, 20, "two", "de", "City").await.changed_parts, numbers(&[Section, Language]));
    let late = record(&client, 5, "two", "en", "City").await;
    assert_eq!(late.changed_parts, numbers(&[Body, Section]), "the first revision was in force");
    let before_all = record(&client, -5, "zero", "en", "World").await;
    assert_eq!(before_all.changed_parts, [0; 0], "nothing was in force");
    let request = pb::GetRevisionRequest { name: format!("{}/revisions/3", name("a")), ..Default::default() };
    let third = client.archive.clone().get_revision(request).await.unwrap().into_inner().revision.unwrap();
    assert_eq!(third.changed_parts, numbers(&[Section, Language]), "it stays as it was recorded");
    server.stop().await;
}

#[tokio::test]
async fn lists_select_by_changed_parts() {
    let (_directory, server, client) = fresh().await;
    recorded(&client).await;
    assert_eq!(listed(&client, &[]).await, [1, 2, 3, 4]);
    assert_eq!(listed(&client, &[Body]).await, [1, 2, 4]);
    assert_eq!(listed(&client, &[Section, Headline]).await, [1, 3]);
    let in_force = [(0, true), (10, false), (20, true), (30, false)];
    for (seconds, expected) in in_force {
        assert_eq!(has_article(&client, seconds, &[Section]).await, expected, "{seconds}");
    }
    let page = |changed_parts, page_token| pb::ListRevisionsRequest {
        parent: name("a"),
        page_size: 1,
        changed_parts,
        page_token,
        ..Default::default()
    };
    let mut archive = client.archive.clone();
    let first = archive.list_revisions(page(numbers(&[Body]), String::new())).await.unwrap().into_inner();
    let other = archive.list_revisions(page(numbers(&[Section]), first.next_page_token)).await.unwrap_err();
    assert_eq!(other.code(), Code::InvalidArgument);
    server.stop().await;
}

#[tokio::test]
async fn a_feed_leaves_out_revisions_of_other_parts() {
    let (_directory, server, client) = fresh().await;
    recorded(&client).await;
    let withdraw = pb::WithdrawArticleRequest { name: name("a"), observe_time: Some(at(40)), ..Default::default() };
    client.archive.clone().withdraw_article(withdraw).await.unwrap();
    let of = |parts: &[pb::ContentPart]| pb::ArticleFilter { changed_parts: numbers(parts), ..Default::default() };
    assert_eq!(fed(&client, of(&[Body]), &[]).await, [(0, false), (1, false), (3, false), (4, false)]);
    assert_eq!(fed(&client, of(&[Section]), &[]).await, [(0, false), (2, false), (4, false)]);
    assert_eq!(fed(&client, of(&[Section]), &[pb::ChangeKind::Revised]).await, [(2, false)]);
    server.stop().await;
}

/// A mirror must learn that the article is no longer in a language, whatever else it wants to know about.
#[tokio::test]
async fn changed_parts_neither_move_an_article_out_of_a_filter_nor_hide_that_it_left() {
    let (_directory, server, client) = fresh().await;
    recorded(&client).await;
    let english =
        pb::ArticleFilter { languages: vec!["en".into()], changed_parts: numbers(&[Section]), ..Default::default() };
    assert_eq!(fed(&client, english.clone(), &[]).await, [(0, false), (2, false), (3, true)]);
    assert_eq!(fed(&client, english.clone(), &[pb::ChangeKind::Revised]).await, [(2, false)]);

    let start = Some(pb::FeedStart { position: Some(pb::feed_start::Position::Snapshot(Default::default())) });
    let german = pb::ArticleFilter { languages: vec!["de".into()], ..english };
    let request = pb::SubscribeRequest { start, filter: Some(german), end_when_caught_up: true, ..Default::default() };
    let mut events = client.feed.clone().subscribe(request).await.unwrap().into_inner();
    let mut articles = 0;
    while let Some(response) = events.message().await.unwrap() {
        if let Some(pb::subscribe_response::Event::Delivery(delivery)) = response.event {
            articles += delivery.articles.len();
        }
    }
    assert_eq!(articles, 1, "the snapshot has every article that the other fields select");
    server.stop().await;
}

/// The parts are bound into resume tokens, and a durable subscription keeps them.
#[tokio::test]
async fn changed_parts_are_part_of_a_filter() {
    let (_directory, server, client) = fresh().await;
    recorded(&client).await;
    let filter =
        |parts: &[pb::ContentPart]| Some(pb::ArticleFilter { changed_parts: numbers(parts), ..Default::default() });
    let mut feed = client.feed.clone();
    let from = |position| Some(pb::FeedStart { position: Some(position) });
    let beginning = from(pb::feed_start::Position::Beginning(true));
    let first =
        pb::ListChangesRequest { start: beginning.clone(), filter: filter(&[Section, Body]), ..Default::default() };
    let token = feed.list_changes(first).await.unwrap().into_inner().resume_token;
    let mut resume =
        pb::ListChangesRequest { resume_token: token, filter: filter(&[Body, Section, Body]), ..Default::default() };
    feed.list_changes(resume.clone()).await.unwrap();
    resume.filter = filter(&[Body]);
    assert_eq!(feed.list_changes(resume).await.unwrap_err().code(), Code::InvalidArgument);

    let subscription = pb::Subscription { filter: filter(&[Section, Body]), ..Default::default() };
    let request = pb::CreateSubscriptionRequest {
        subscription_id: "index".into(),
        subscription: Some(subscription),
        start: beginning,
    };
    feed.create_subscription(request).await.unwrap();
    let request = pb::GetSubscriptionRequest { name: "subscriptions/index".into() };
    let kept = feed.get_subscription(request).await.unwrap().into_inner().subscription.unwrap();
    assert_eq!(kept.filter, filter(&[Body, Section]));
    server.stop().await;
}
