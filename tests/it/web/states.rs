//! Articles that were withdrawn, have gone, or whose text was destroyed.

use dateline::EditOptions;
use dateline::internals::archive::expunge::{ExpungeRequest, ExpungeScope};
use dateline::internals::archive::request::{
    AbsenceLookRequest, Action, ArticleTarget, Operation, WriteMode, WriteOrigin, Writer,
};
use dateline::model::{AbsenceLook, AbsenceReason, ExpungeReason, RevisionNumber};

use super::{Site, content, name, time};

pub(super) async fn expunge(site: &Site, scope: ExpungeScope) {
    let (reason, reference) = (ExpungeReason::CourtOrder, "14 O 82/26".to_owned());
    let request = ExpungeRequest { article: name("express/harbour"), scope, reason, reference };
    let plan = site.archive.plan_expunge(request.clone()).await.unwrap();
    site.archive.expunge(&WriteOrigin::default(), request, plan.digest).await.unwrap();
}

/// Records that an article's page was not found. It is gone with the third such look in a row.
pub(super) async fn miss(site: &Site, article: &str, at: &str) {
    let look = AbsenceLook { reason: AbsenceReason::NotFound, http_status: 404, gone_after: 3 };
    let operation = Operation {
        target: ArticleTarget::Named(name(article)),
        observe_time: time(at),
        precondition: None,
        request: None,
        by: Writer::default(),
        action: Action::Absent(Box::new(AbsenceLookRequest { look, fetch: None, coalesce_within_micros: 0 })),
    };
    site.archive.write(vec![operation], WriteMode::Commit).await.unwrap();
}

#[tokio::test]
async fn a_withdrawn_article_keeps_its_history_and_says_why() {
    let site = Site::open().await.with_bridge().await;
    let because = EditOptions::because("pending legal review").observed_at(time("2026-06-05T00:00:00Z"));
    site.archive.withdraw(&name("express/harbour"), because).await.unwrap();
    let page = site.get("/a/express/harbour").await;
    page.shows(&["Withdrawn since <time datetime=\"2026-06-05T00:00:00Z\">", "pending legal review"]);
    page.hides(&["Lorries cross by ferry."]);
    site.get("/a/express/harbour/r/2").await.shows(&["Lorries cross by ferry.", "Withdrawn since"]);
    site.get("/a/express/harbour?at=2026-06-04T00%3A00%3A00Z").await.shows(&["Lorries cross by ferry."]);
    site.get("/takedowns").await.shows(&["Withdrawn", "pending legal review"]);
    let withdrawn = "2026-06-05T00:00:00Z\">5 June 2026, 00:00</time> · <bdi>pending legal review</bdi>";
    site.get("/a/express/harbour/history").await.shows(&["What else happened", "Withdrawn", withdrawn]);
    // However many revisions follow.
    site.clock.set(time("2026-08-01T00:00:00Z"));
    let again = EditOptions::because("settled").observed_at(time("2026-06-30T00:00:00Z"));
    site.archive.reinstate(&name("express/harbour"), again).await.unwrap();
    for number in 0..105 {
        let at = format!("2026-07-{:02}T{:02}:00:00Z", 1 + number / 24, number % 24);
        site.record("express/harbour", content(&format!("Update {number}"), "It goes on."), &at).await;
    }
    site.get("/a/express/harbour/history").await.shows(&[withdrawn]);
}

#[tokio::test]
async fn a_page_that_is_missing_is_said_to_be_and_then_gone() {
    let site = Site::open().await.with_bridge().await;
    for (look, expected) in
        [(1, "Missing when last looked at"), (2, "Missing when last looked at"), (3, "Gone from the web")]
    {
        miss(&site, "express/harbour", &format!("2026-06-0{}T00:00:00Z", look + 2)).await;
        let page = site.get("/a/express/harbour").await;
        page.shows(&[expected, "the site said that there is no such page", "Lorries cross by ferry."]);
    }
    let takedowns = site.get("/takedowns").await;
    assert_eq!(takedowns.body.matches("<li id=").count(), 1, "only the look with which it was gone");
    takedowns.shows(&[
        "<span class=\"kind\">Gone</span>",
        "<p class=\"about\"><time datetime=\"2026-06-05T00:00:00Z\">",
        "status 404",
        "recorded <time datetime=\"2026-06-12T12:00:00",
    ]);
    takedowns.hides(&["seen again since"]);
    // A look that arrives late does not make it another one with which it was gone.
    site.record("express/harbour", content("Bridge closes today", "Open again."), "2026-06-08T00:00:00Z").await;
    site.get("/takedowns").await.shows(&["<span class=\"kind\">Gone</span>", "seen again since"]);
    site.archive.label(&name("express/harbour"), ["flood", "ferry"], std::iter::empty::<String>(), "").await.unwrap();
    let history = site.get("/a/express/harbour/history").await;
    let gone = history.body.find("<span class=\"kind\">Gone</span>").unwrap();
    let missing = history.body.find("<span class=\"kind\">Missing</span>").unwrap();
    assert!(gone < missing, "the latest of them is the first");
    history.shows(&["<p class=\"about\"><bdi>+ferry</bdi> · <bdi>+flood</bdi>"]);
    site.get("/changes").await.shows(&["<bdi>+ferry</bdi> · <bdi>+flood</bdi>"]);
    site.get("/a/express/harbour/calendar/2026").await.shows(&["1 absence", "missing\""]);
}

#[tokio::test]
async fn an_expunged_text_is_in_no_page_and_its_address_says_so() {
    let site = Site::open().await.with_bridge().await;
    expunge(&site, ExpungeScope::Revisions(vec![RevisionNumber::new(2).unwrap()])).await;
    let secrets = ["Bridge closes today", "Lorries cross by ferry", "Westport"];
    let page = site.get("/a/express/harbour/r/2").await;
    assert_eq!(page.status, 410);
    page.shows(&["a court or an authority ordered it", "14 O 82/26", "Commitment"]);
    page.hides(&secrets);
    for (address, status) in [
        ("/", 200),
        ("/changes", 200),
        ("/changes.json", 200),
        ("/takedowns", 200),
        ("/s/express", 200),
        ("/s/express.json", 200),
        ("/a/express/harbour", 410),
        ("/a/express/harbour.json", 410),
        ("/a/express/harbour/history", 200),
        ("/a/express/harbour/history.json", 200),
        ("/a/express/harbour/r/2.json", 410),
        ("/a/express/harbour/r/2/cite", 410),
        ("/a/express/harbour/r/2/proof", 200),
        ("/a/express/harbour/diff/1..2", 410),
        ("/a/express/harbour/diff/..2", 410),
        ("/a/express/harbour/calendar/2026", 200),
    ] {
        let answer = site.get(address).await;
        assert_eq!(answer.status, status, "{address}: {}", answer.body);
        answer.hides(&secrets);
    }
    site.get("/a/express/harbour/history").await.shows(&[
        ">Expunged</span>",
        "<bdi>Revision 2</bdi> · <bdi>a court or an authority ordered it</bdi> · <bdi>14 O 82/26</bdi>",
    ]);
    site.get("/takedowns").await.shows(&["dir=\"auto\">Revision 2</a>", "14 O 82/26"]);
    site.get("/a/express/harbour/r/3").await.shows(&["It will close on 2 June."]);
}
