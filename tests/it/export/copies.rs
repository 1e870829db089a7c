//! The replay requests of a feed, sent to an empty archive, reproduce the archive.

use std::collections::BTreeSet;
use std::sync::Arc;

use dateline::internals::archive::request::{
    AbsenceLookRequest, Action, ArticleTarget, LabelEdit, Operation, UrlMove, WriteMode,
};
use dateline::internals::archive::{Archive, Options};
use dateline::internals::client::Client;
use dateline::internals::clock::ManualClock;
use dateline::internals::server;
use dateline::internals::wire::pb;
use dateline::internals::wire::pb::replay_request::Request;

use crate::model::asked::look;
use crate::model::plan::Text;
use crate::{model, support};

async fn empty() -> (Arc<Archive>, Client) {
    let clock = Arc::new(ManualClock::new(support::now()));
    let archive = Arc::new(Archive::in_memory_with(&Options::default(), clock).unwrap());
    let channel = server::in_process(Arc::clone(&archive), &server::Options::default()).await.unwrap();
    (archive, Client::over(channel))
}

/// All changes, in the given view.
async fn changes(client: &Client, view: pb::FeedView) -> Vec<pb::Change> {
    use pb::feed_start::Position;
    let kinds = (1..=10).collect();
    let start = Some(pb::FeedStart { position: Some(Position::Beginning(true)) });
    let mut request =
        pb::ListChangesRequest { start, kinds, view: view.into(), page_size: 7, ..pb::ListChangesRequest::default() };
    let mut changes = Vec::new();
    loop {
        let page = client.feed.clone().list_changes(request.clone()).await.unwrap().into_inner();
        changes.extend(page.changes);
        if page.caught_up {
            return changes;
        }
        request.resume_token = page.resume_token;
    }
}

/// Sends a replay request.
pub(crate) async fn make(client: &Client, request: pb::ReplayRequest, originals: &Client) {
    let mut archive = client.archive.clone();
    let number = request.recorded.unwrap_or_default().revision_number;
    match request.request.unwrap() {
        Request::Record(mut publish) => {
            if let Some(original) = &mut publish.original {
                let name = format!("{}/articles/{}/revisions/{number}", publish.parent, publish.article_id);
                let request = pb::GetRevisionRequest { name, include_original: true, ..Default::default() };
                let revision = originals.archive.clone().get_revision(request).await.unwrap().into_inner().revision;
                *original = revision.unwrap().original.unwrap();
            }
            drop(archive.record_observation(publish).await.unwrap());
        }
        Request::Withdraw(withdraw) => drop(archive.withdraw_article(withdraw).await.unwrap()),
        Request::Reinstate(reinstate) => drop(archive.reinstate_article(reinstate).await.unwrap()),
        Request::Rollback(rollback) => drop(archive.rollback_article(rollback).await.unwrap()),
        Request::Label(label) => drop(archive.label_article(label).await.unwrap()),
        Request::RecordAbsence(absence) => drop(archive.record_absence(absence).await.unwrap()),
        Request::MoveUrl(url_move) => drop(archive.move_url(url_move).await.unwrap()),
        Request::Expunge(_) => panic!("nothing was destroyed"),
    }
}

/// The change without what the archive assigns: archive times and batches.
fn timeless(mut change: pb::Change) -> pb::Change {
    change.archive_time = None;
    change.batch_end = false;
    if let Some(revision) = &mut change.revision {
        revision.archive_time = None;
    }
    if let Some(recorded) = change.request.as_mut().and_then(|request| request.recorded.as_mut()) {
        recorded.archive_time = None;
    }
    change
}

#[tokio::test]
async fn replayed_requests_reproduce_the_archive() {
    let mut kinds = BTreeSet::new();
    for round in 0..12 {
        let (archive, client) = empty().await;
        for operation in rare() {
            archive.write(vec![operation], WriteMode::Commit).await.unwrap();
        }
        for operations in model::batches_of(round, 60) {
            // Some are rejected, and rejected writes leave no trace.
            drop(archive.write(operations, WriteMode::Commit).await);
        }
        let (copy, copied) = empty().await;
        let all = changes(&client, pb::FeedView::Request).await;
        for change in all.clone() {
            make(&copied, change.request.unwrap(), &client).await;
        }
        assert_eq!(copy.tail().next_seq, archive.tail().next_seq, "round {round}");
        for view in [pb::FeedView::Request, pb::FeedView::Full, pb::FeedView::Diff] {
            let (told, again) = (changes(&client, view).await, changes(&copied, view).await);
            for (told, again) in told.into_iter().zip(again) {
                kinds.insert((told.kind, told.request.as_ref().map(|it| kind_of(it.request.as_ref().unwrap()))));
                assert_eq!(timeless(told), timeless(again), "round {round}");
            }
        }
        for name in articles(&client).await {
            for tick in -1..=13 {
                let (told, again) = (article(&client, &name, tick).await, article(&copied, &name, tick).await);
                assert_eq!(told, again, "round {round}, {name} at {tick}");
            }
        }
        made_twice(&copied, all, &client).await;
    }
    println!("{kinds:?}");
    use pb::ChangeKind::{
        Absent, Aliased, Created, Labelled, Reinstated, Revised, RolledBack, Sighted, UrlMoved, Withdrawn,
    };
    for (kind, request) in [
        (Created, "record"),
        (Revised, "record"),
        (Sighted, "record"),
        (Sighted, "rollback"),
        (Sighted, "withdraw"),
        (Sighted, "reinstate"),
        (Sighted, "label"),
        (Sighted, "move_url"),
        (UrlMoved, "move_url"),
        (Aliased, "record"),
        (Labelled, "record"),
        (Labelled, "label"),
        (RolledBack, "rollback"),
        (Withdrawn, "withdraw"),
        (Reinstated, "reinstate"),
        (Absent, "absence"),
        (Sighted, "absence"),
    ] {
        assert!(kinds.contains(&(kind.into(), Some(request))), "{kind:?} by {request} never came up");
    }
}

/// Sends the requests a second time, which must change nothing. The exceptions are a withdrawal and a reinstatement at
/// the same instant, of which only the last is compared, so the other one is recorded again, and labels that were added
/// and later removed, which are added and removed again. What was coalesced and added only URLs is left out: nothing says
/// which content it found, and another one may have been recorded at its time since.
async fn made_twice(copied: &Client, requests: Vec<pb::Change>, originals: &Client) {
    let before = changes(copied, pb::FeedView::Basic).await.len();
    let was_coalesced = |change: &pb::Change| {
        let request = change.request.as_ref();
        let is_numbered = request.and_then(|request| request.recorded).is_some_and(|as_| as_.revision_number > 0);
        let request = request.and_then(|request| request.request.as_ref());
        !is_numbered && matches!(request, Some(Request::Record(record)) if record.coalesce_within.is_some())
    };
    for change in requests.into_iter().filter(|change| !was_coalesced(change)) {
        make(copied, change.request.unwrap(), originals).await;
    }
    for change in &changes(copied, pb::FeedView::Basic).await[before..] {
        use pb::ChangeKind::{Labelled, Reinstated, Withdrawn};
        assert!(matches!(change.kind(), Withdrawn | Reinstated | Labelled), "{change:?}");
    }
}

/// Operations that random plans rarely produce: a rollback to before the article was known, which adds no URL, and
/// repeated state changes, labels, absences and moves of a URL with request ids of their own.
fn rare() -> Vec<Operation> {
    let name = support::article(3);
    let to = |tick, action| support::operation(ArticleTarget::Named(name.clone()), support::at(tick), action);
    let mark = |tick, withdrawn| to(tick, Action::SetState { withdrawn, reason: "gone".to_owned() });
    let label = || {
        let edit = LabelEdit::adding(vec!["rare".to_owned()], 64);
        to(8, Action::Label { edit, reason: "rare".to_owned() })
    };
    let absent = || {
        let (look, fetch) = (look(0, 2), Some(Box::new(support::fetch(1))));
        to(13, Action::Absent(Box::new(AbsenceLookRequest { look, fetch, coalesce_within_micros: 0 })))
    };
    let url_move = || UrlMove { url: support::url(9), from: None, reason: "reused".to_owned() };
    let bind = || to(13, Action::BindUrl(url_move()));
    let end = || to(14, Action::EndUrl(url_move()));
    let again = |number, operation| Operation { request: Some(support::request(number, "again")), ..operation };
    vec![
        support::observe(&name, support::at(8), Text(1)),
        to(4, Action::Rollback(support::number(1))),
        mark(10, true),
        again(8, mark(10, true)),
        mark(12, false),
        again(9, mark(12, false)),
        label(),
        again(10, label()),
        absent(),
        again(11, absent()),
        bind(),
        again(12, bind()),
        end(),
        again(13, end()),
    ]
}

fn kind_of(request: &Request) -> &'static str {
    match request {
        Request::Record(_) => "record",
        Request::Withdraw(_) => "withdraw",
        Request::Reinstate(_) => "reinstate",
        Request::Rollback(_) => "rollback",
        Request::Label(_) => "label",
        Request::RecordAbsence(_) => "absence",
        Request::MoveUrl(_) => "move_url",
        Request::Expunge(_) => "expunge",
    }
}

async fn articles(client: &Client) -> Vec<String> {
    let request = pb::ListArticlesRequest { parent: "sources/-".to_owned(), ..Default::default() };
    let articles = client.archive.clone().list_articles(request).await.unwrap().into_inner().articles;
    articles.into_iter().map(|article| article.name).collect()
}

/// An article as of an instant, without what differs from archive to archive.
async fn article(client: &Client, name: &str, tick: i64) -> Option<pb::Article> {
    let observe_time = Some(dateline::internals::wire::timestamp_to_pb(support::at(tick)));
    let as_of = Some(pb::AsOf { observe_time, ..Default::default() });
    let request = pb::GetArticleRequest { name: name.to_owned(), as_of, ..Default::default() };
    let mut article = client.archive.clone().get_article(request).await.ok()?.into_inner().article.unwrap();
    article.create_time = None;
    article.update_time = None;
    if let Some(revision) = &mut article.revision {
        revision.archive_time = None;
    }
    Some(article)
}
