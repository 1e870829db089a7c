//! Labels belong to an article, not to what it says: no revision, no observe time, and every change of them in the log.

use dateline::internals::client::{Client, ServerError};
use dateline::internals::wire::pb;
use pb::ChangeKind::{Aliased, Created, Labelled, Revised, Sighted};
use tonic::Code;

use crate::server::{at, fresh, name, publish};

fn words(labels: &[&str]) -> Vec<String> {
    labels.iter().map(ToString::to_string).collect()
}

fn edit(add: &[&str], remove: &[&str]) -> pb::LabelArticleRequest {
    pb::LabelArticleRequest {
        name: name("a"),
        add_labels: words(add),
        remove_labels: words(remove),
        ..pb::LabelArticleRequest::default()
    }
}

fn seen(text: &str, seconds: i64, labels: &[&str]) -> pb::RecordObservationRequest {
    pb::RecordObservationRequest { observe_time: Some(at(seconds)), labels: words(labels), ..publish("a", text) }
}

async fn label(client: &Client, request: pb::LabelArticleRequest) -> pb::LabelArticleResponse {
    client.archive.clone().label_article(request).await.unwrap().into_inner()
}

async fn rejected(client: &Client, request: pb::LabelArticleRequest) -> ServerError {
    client.archive.clone().label_article(request).await.unwrap_err().into()
}

async fn record(client: &Client, request: pb::RecordObservationRequest) -> pb::RecordObservationResponse {
    client.archive.clone().record_observation(request).await.unwrap().into_inner()
}

async fn article(client: &Client, as_of: pb::AsOf) -> pb::Article {
    let (as_of, view) = (Some(as_of), pb::ArticleView::Basic.into());
    let request = pb::GetArticleRequest { name: name("a"), as_of, view, ..Default::default() };
    client.archive.clone().get_article(request).await.unwrap().into_inner().article.unwrap()
}

/// All changes of the log, including those that are left out by default.
async fn changes(client: &Client) -> Vec<pb::Change> {
    let position = pb::feed_start::Position::Beginning(true);
    let start = Some(pb::FeedStart { position: Some(position) });
    let request = pb::ListChangesRequest { start, kinds: (1..=9).collect(), ..Default::default() };
    client.feed.clone().list_changes(request).await.unwrap().into_inner().changes
}

/// The kind of each change, with the labels that it adds and removes.
async fn outline(client: &Client) -> Vec<(pb::ChangeKind, String)> {
    let edits = |change: &pb::Change| {
        let added = change.labels_added.iter().map(|label| format!("+{label}"));
        added.chain(change.labels_removed.iter().map(|label| format!("-{label}"))).collect::<Vec<_>>().join(" ")
    };
    changes(client).await.iter().map(|change| (change.kind(), edits(change))).collect()
}

#[tokio::test]
async fn labels_change_without_a_revision_and_are_read_as_they_were_known() {
    let (_directory, server, client) = fresh().await;
    let recorded = record(&client, seen("one", 0, &["flood", "draft", "flood"])).await;
    let before = article(&client, pb::AsOf::default()).await;
    assert_eq!(before.labels, ["draft", "flood"]);
    assert_eq!(before.etag, recorded.etag);

    let request = pb::LabelArticleRequest { reason: "checked".into(), ..edit(&["river", "flood"], &["draft", "gone"]) };
    let done = label(&client, request).await;
    let after = article(&client, pb::AsOf::default()).await;
    assert!(done.changed && !done.replayed);
    assert_eq!(done.article.unwrap(), pb::Article { latest_fetch: None, ..after.clone() });
    assert_eq!(after.labels, ["flood", "river"]);
    assert_eq!(after.revision, before.revision);
    assert_ne!(after.etag, before.etag);

    let snapshot = recorded.snapshot.unwrap();
    let known_at = Some(pb::as_of::KnownAt::NextSeq(snapshot.next_seq));
    let then = article(&client, pb::AsOf { known_at, ..pb::AsOf::default() }).await;
    assert_eq!((then.labels, then.etag), (before.labels, before.etag));
    // Labels have no observe time.
    let long_after = pb::AsOf { observe_time: Some(at(1_000)), ..pb::AsOf::default() };
    let first = pb::AsOf { observe_time: Some(at(0)), ..pb::AsOf::default() };
    for as_of in [long_after, first] {
        assert_eq!(article(&client, as_of).await.labels, after.labels);
    }
    let told = changes(&client).await;
    assert_eq!(told[1].observe_time, None);
    assert_eq!(told[1].labels, ["flood", "river"]);
    assert_eq!((told[1].reason.as_str(), told[1].is_newest), ("checked", true));
    assert_eq!(outline(&client).await, [(Created, "+draft +flood".into()), (Labelled, "+river -draft".into())]);
    server.stop().await;
}

#[tokio::test]
async fn what_is_so_already_is_logged_only_for_a_request_id() {
    let (_directory, server, client) = fresh().await;
    record(&client, seen("one", 0, &["flood"])).await;
    let nothing = label(&client, edit(&["flood"], &["gone"])).await;
    assert_eq!((nothing.changed, nothing.snapshot.unwrap().next_seq), (false, 1));
    let with_id = |id: &str| pb::LabelArticleRequest { request_id: id.into(), ..edit(&["flood"], &[]) };
    let logged = label(&client, with_id("one")).await;
    assert_eq!((logged.changed, logged.replayed), (false, false));
    let made = label(&client, pb::LabelArticleRequest { request_id: "two".into(), ..edit(&["river"], &[]) }).await;
    assert_eq!((made.changed, made.replayed), (true, false));
    label(&client, edit(&[], &["river"])).await;
    // A repeated request gets the first answer, with the labels of that time.
    for (id, add, first) in [("one", "flood", logged), ("two", "river", made)] {
        let again = label(&client, pb::LabelArticleRequest { request_id: id.into(), ..edit(&[add], &[]) }).await;
        assert_eq!(again, pb::LabelArticleResponse { replayed: true, ..first });
    }
    let expected = [(Created, "+flood"), (Sighted, ""), (Labelled, "+river"), (Labelled, "-river")];
    assert_eq!(outline(&client).await, expected.map(|(kind, edits)| (kind, edits.to_owned())));
    let reused = rejected(&client, pb::LabelArticleRequest { request_id: "two".into(), ..edit(&["x"], &[]) }).await;
    assert_eq!(reused.reason, "REQUEST_ID_REUSED");
    server.stop().await;
}

/// An observation that records nothing else still adds its labels. If it also has new URLs, one change has both.
#[tokio::test]
async fn an_observation_adds_labels_whatever_its_outcome() {
    let (_directory, server, client) = fresh().await;
    let coalesce_within = Some(prost_types::Duration { seconds: 60, nanos: 0 });
    let url = |number: u8| vec![format!("https://courier.example/{number}")];
    record(&client, seen("one", 0, &[])).await;
    record(&client, seen("one", 0, &["recorded"])).await;
    record(&client, pb::RecordObservationRequest { coalesce_within, ..seen("one", 10, &["coalesced"]) }).await;
    record(&client, pb::RecordObservationRequest { urls: url(1), ..seen("one", 0, &["with-url"]) }).await;
    record(&client, seen("one", 20, &["sighted"])).await;
    record(&client, seen("two", 30, &["revised"])).await;
    record(&client, seen("two", 30, &["revised", "sighted"])).await;
    let expected = [
        (Created, ""),
        (Labelled, "+recorded"),
        (Labelled, "+coalesced"),
        (Aliased, "+with-url"),
        (Labelled, "+sighted"),
        (Revised, "+revised"),
    ];
    assert_eq!(outline(&client).await, expected.map(|(kind, edits)| (kind, edits.to_owned())));
    let labels = article(&client, pb::AsOf::default()).await.labels;
    assert_eq!(labels, ["coalesced", "recorded", "revised", "sighted", "with-url"]);
    server.stop().await;
}

#[tokio::test]
async fn a_withdrawn_article_can_be_labelled_and_an_unknown_one_cannot() {
    let (_directory, server, client) = fresh().await;
    assert_eq!(rejected(&client, edit(&["flood"], &[])).await.reason, "ARTICLE_UNKNOWN");
    record(&client, seen("one", 0, &[])).await;
    let withdraw = pb::WithdrawArticleRequest { name: name("a"), observe_time: Some(at(10)), ..Default::default() };
    client.archive.clone().withdraw_article(withdraw).await.unwrap();
    let dry = pb::LabelArticleRequest { validate_only: true, ..edit(&["flood"], &[]) };
    let validated = label(&client, dry).await;
    assert_eq!((validated.changed, validated.article.unwrap().labels), (true, words(&[])));
    let labelled = label(&client, edit(&["flood"], &[])).await.article.unwrap();
    assert_eq!((labelled.labels.clone(), labelled.state()), (words(&["flood"]), pb::ArticleState::Withdrawn));
    let stale = pb::precondition::Condition::Etag("stale".into());
    let precondition = Some(pb::Precondition { condition: Some(stale) });
    let error = rejected(&client, pb::LabelArticleRequest { precondition, ..edit(&["river"], &[]) }).await;
    assert_eq!(error.reason, "REVISION_CONFLICT");
    let current = Some(pb::precondition::Condition::Etag(labelled.etag));
    let precondition = Some(pb::Precondition { condition: current });
    label(&client, pb::LabelArticleRequest { precondition, ..edit(&["river"], &[]) }).await;
    server.stop().await;
}

#[tokio::test]
async fn an_article_has_at_most_64_labels() {
    let (_directory, server, client) = fresh().await;
    let numbered = |numbers: std::ops::Range<u8>| -> Vec<String> { numbers.map(|number| number.to_string()).collect() };
    let many = pb::RecordObservationRequest { labels: numbered(0..60), ..seen("one", 0, &[]) };
    record(&client, many).await;
    let more = |numbers| pb::LabelArticleRequest { add_labels: numbered(numbers), ..edit(&[], &[]) };
    label(&client, more(50..64)).await;
    let error = rejected(&client, more(64..65)).await;
    assert_eq!((error.code, error.reason.as_str()), (Code::FailedPrecondition, "TOO_MANY_LABELS"));
    let observed = pb::RecordObservationRequest { labels: numbered(64..65), ..seen("two", 10, &[]) };
    let error = ServerError::from(client.archive.clone().record_observation(observed).await.unwrap_err());
    assert_eq!(error.reason, "TOO_MANY_LABELS");
    // One is removed and one added at once.
    let swapped = label(&client, edit(&["64"], &["0"])).await;
    assert_eq!(swapped.article.unwrap().labels.len(), 64);
    server.stop().await;
}

#[tokio::test]
async fn invalid_labels_are_named() {
    let (_directory, server, client) = fresh().await;
    record(&client, seen("one", 0, &[])).await;
    let long = "x".repeat(129);
    let many: Vec<String> = (0..65).map(|number| format!("label {number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for (request, field) in [
        (edit(&["fine", ""], &[]), "add_labels[1]"),
        (edit(&[], &[&long]), "remove_labels[0]"),
        (edit(&["a", "b"], &["c", "b"]), "remove_labels[1]"),
        (edit(&many, &[]), "add_labels"),
        (pb::LabelArticleRequest { reason: "x".repeat(1_025), ..edit(&["a"], &[]) }, "reason"),
        (pb::LabelArticleRequest { name: "a".into(), ..edit(&["a"], &[]) }, "name"),
    ] {
        let error = rejected(&client, request).await;
        assert_eq!((error.reason.as_str(), error.field_violations[0].field.as_str()), ("FIELD_INVALID", field));
    }
    let mut archive = client.archive.clone();
    archive.label_article(edit(&["x"; 65], &[])).await.expect("a label counts once");
    server.stop().await;
}
