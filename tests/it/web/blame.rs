//! Which revision brought each word.

use dateline::Content;
use dateline::internals::archive::expunge::ExpungeScope;
use dateline::model::RevisionNumber;
use proptest::prelude::*;

use super::states::expunge;
use super::{Site, content};

/// The runs of a text, each with the revision that brought it.
fn runs(json: &serde_json::Value) -> Vec<Vec<(String, u64)>> {
    let run = |run: &serde_json::Value| (run["text"].as_str().unwrap().to_owned(), run["revision"].as_u64().unwrap());
    let blocks = json["blocks"].as_array().unwrap().iter();
    blocks.map(|block| block.as_array().unwrap().iter().map(run).collect()).collect()
}

#[tokio::test]
async fn words_are_marked_with_the_revision_that_brought_them() {
    let site = Site::open().await.with_bridge().await;
    // Revision 3 was observed before revision 2, which took its note out again.
    let newest = site.get("/a/express/harbour/blame").await;
    newest.shows(&["<span class=\"age4\">", "href=\"/a/express/harbour/diff/..2\"", "Age of words"]);
    let newest = site.get("/a/express/harbour/blame.json").await.json();
    let words = |text: &str, revision| (text.to_owned(), revision);
    assert_eq!((&newest["revision"], &newest["oldest"], &newest["isCutOff"]), (&2.into(), &1.into(), &false.into()));
    let shown = runs(&newest);
    assert_eq!(shown, [[words("Lorries cross by ferry.", 1), words(" Cars go round by Westport.", 2)]]);
    assert!(newest["revisions"][0]["observeTime"].as_str().unwrap().starts_with("2026-05-01T09:00:00"), "{newest}");
    // As it stood in between.
    let between = site.get("/a/express/harbour/blame.json?at=2026-05-25T00%3A00%3A00Z").await.json();
    let expected = [[words("Lorries will cross by ferry.", 1)], [words("It will close on 2 June.", 3)]];
    assert_eq!(runs(&between), expected);
    assert_eq!(site.get("/a/express/nothing/blame").await.status, 404);
}

#[tokio::test]
async fn what_was_destroyed_hides_what_came_before_it() {
    let site = Site::open().await.with_bridge().await;
    expunge(&site, ExpungeScope::Revisions(vec![RevisionNumber::FIRST])).await;
    let page = site.get("/a/express/harbour/blame").await;
    page.shows(&["or earlier"]);
    let json = site.get("/a/express/harbour/blame.json").await.json();
    assert_eq!(json["isCutOff"], true);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// Every word of the newest text is in the text of the revision that is said to have brought it, and a word that was not
    /// in the text before that one came with it.
    #[test]
    fn each_word_was_there_from_its_revision_on(
        texts in prop::collection::vec(prop::collection::vec(prop::collection::vec(0..6_u8, 1..6), 1..4), 2..7),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let words = |block: &Vec<u8>| block.iter().map(|word| format!("w{word}")).collect::<Vec<_>>().join(" ");
            let texts: Vec<Vec<String>> = texts.iter().map(|blocks| blocks.iter().map(words).collect()).collect();
            let site = Site::open().await;
            for (day, blocks) in texts.iter().enumerate() {
                let empty = Content::new("Headline");
                let content = blocks.iter().fold(empty, |content, block| content.paragraph(block.as_str()));
                site.record("express/words", content, &format!("2026-05-{:02}T00:00:00Z", day + 1)).await;
            }
            let json = site.get("/a/express/words/blame.json").await.json();
            let found = runs(&json);
            let joined: Vec<String> =
                found.iter().map(|runs| runs.iter().map(|(text, _)| text.as_str()).collect()).collect();
            assert_eq!(&joined, texts.last().unwrap());
            // Texts in a row that are the same are one revision.
            let mut revisions = texts.clone();
            revisions.dedup();
            for (text, revision) in found.iter().flatten() {
                let number = usize::try_from(*revision).unwrap();
                for word in text.split_whitespace() {
                    let has = |blocks: &Vec<String>| blocks.iter().any(|block| block.split(' ').any(|had| had == word));
                    assert!(has(&revisions[number - 1]), "{word} is said to have come with {number}: {revisions:?}");
                    let lacked = revisions[..].iter().rposition(|blocks| !has(blocks));
                    assert!(lacked.is_none_or(|lacked| lacked + 1 < number), "{word} came after {number}: {revisions:?}");
                }
            }
        });
    }
}

#[tokio::test]
async fn words_older_than_the_revisions_looked_at_are_said_to_be() {
    let site = Site::open().await;
    for number in 0..120_u32 {
        let text = format!("It began so. Now it is {number}.");
        let at = format!("2026-05-{:02}T{:02}:00:00Z", 1 + number / 24, number % 24);
        site.record("express/long", content("Long", &text), &at).await;
    }
    let json = site.get("/a/express/long/blame.json").await.json();
    assert_eq!((&json["oldest"], &json["isCutOff"]), (&21.into(), &true.into()), "{json}");
}
