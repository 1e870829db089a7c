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
    let redirect = site.get("/a/express/harbour/blame?at=2026-05-25").await;
    let instant = "/a/express/harbour/blame?at=2026-05-25T23%3A59%3A59.999999Z";
    assert_eq!((redirect.status, redirect.header("location")), (302, Some(instant)));
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

    /// Every word of the newest text is in the text of the revision that is said to have brought it, and in all that
    /// followed.
    #[test]
    fn no_word_is_said_to_be_older_than_it_is(
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

    /// Each word is in one place, and has the number of the revision that brings it.
    #[test]
    fn each_word_is_said_to_be_of_the_revision_that_brought_it(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..8),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let site = Site::open().await;
            let mut words: Vec<String> = (0..20).map(|word| format!("r1w{word}")).collect();
            site.record("express/words", content("Headline of r1", &words.join(" ")), "2026-05-01T00:00:00Z").await;
            for (number, (place, taken)) in (2..).zip(&edits) {
                words.remove(taken.index(words.len()));
                words.insert(place.index(words.len() + 1), format!("r{number}new"));
                words.insert(place.index(words.len() + 1), format!("r{number}more"));
                let at = format!("2026-05-{number:02}T00:00:00Z");
                site.record("express/words", content(&format!("Headline of r{number}"), &words.join(" ")), &at).await;
            }
            let json = site.get("/a/express/words/blame.json").await.json();
            let last = u64::try_from(edits.len() + 1).unwrap();
            for (text, revision) in runs(&json).iter().flatten() {
                for word in text.split_whitespace() {
                    assert!(word.starts_with(&format!("r{revision}w")) || word == format!("r{revision}new")
                        || word == format!("r{revision}more"), "{word} is said to be of {revision}: {json}");
                }
            }
            let headline = json["headline"].as_array().unwrap();
            assert_eq!((&headline[0]["revision"], &headline[1]["revision"]), (&1.into(), &last.into()), "{json}");
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
    // A long text is followed through fewer.
    for number in 0..8_u32 {
        let text = format!("{} Now it is {number}.", "It began so. ".repeat(70_000));
        site.record("express/longer", content("Longer", &text), &format!("2026-05-{:02}T00:00:00Z", number + 1)).await;
    }
    let json = site.get("/a/express/longer/blame.json").await.json();
    assert_eq!((&json["oldest"], &json["isCutOff"]), (&4.into(), &true.into()));
}
