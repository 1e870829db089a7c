//! Tests of the comparer itself: it finds the differences between archives that differ in one word, or in what they
//! contain.

use std::sync::Arc;

use dateline::internals::archive::Archive;
use dateline::internals::archive::request::{Action, ArticleTarget, Observation, Operation, WriteMode};
use dateline::internals::clock::ManualClock;
use dateline::model::{Block, BlockKind, Content, Original};
use tempfile::TempDir;

use super::answers::{Answer, Answers, compare};
use super::questions::Questions;
use super::states::{copy, options};
use crate::support;

/// Two archives with a common start, so that their log digests differ only because of what happened.
struct Two {
    directories: [TempDir; 2],
    clock: Arc<ManualClock>,
}

impl Two {
    fn new() -> Self {
        let directories = [TempDir::new().unwrap(), TempDir::new().unwrap()];
        let clock = Arc::new(ManualClock::new(support::now()));
        support::block_on(support::open_directory(directories[0].path(), &options(), &clock).close());
        copy(directories[0].path(), directories[1].path());
        Self { directories, clock }
    }

    /// An archive of two articles, the first with three revisions. The second revision says `word`.
    async fn archive(&self, which: usize, word: &str, with_late_observation: bool) -> Archive {
        let archive = support::open_directory(self.directories[which].path(), &options(), &self.clock);
        for (tick, said) in [(10, "first"), (20, word), (30, "third")] {
            archive.write(vec![observed(0, tick, said)], WriteMode::Commit).await.unwrap();
        }
        archive.write(vec![observed(1, 10, "other")], WriteMode::Commit).await.unwrap();
        if with_late_observation {
            archive.write(vec![observed(0, 15, "late")], WriteMode::Commit).await.unwrap();
        }
        archive
    }

    /// Builds two archives. Returns the questions that they answer differently, and how many answers reported damage.
    async fn differing(&self, one: (&str, bool), other: (&str, bool)) -> (Vec<String>, u64) {
        let (one, other) = (self.archive(0, one.0, one.1).await, self.archive(1, other.0, other.1).await);
        let questions = Questions::about(&one).await;
        let compared = compare(&questions.ask(&other).await, &questions.ask(&one).await);
        one.close().await;
        other.close().await;
        (compared.differences.into_iter().map(|difference| difference.question).collect(), compared.told)
    }
}

fn observed(article: u8, tick: i64, said: &str) -> Operation {
    let blocks = vec![Block::from(BlockKind::Paragraph { text: format!("They said {said}.") })];
    let mut observation = Observation::new(Content { blocks, ..Content::default() }, vec![support::url(article)]);
    let data = format!("<p>{said}</p>").into();
    observation.original = Some(Original { media_type: "text/html".to_owned(), data });
    let target = ArticleTarget::Named(support::article(article));
    support::operation(target, support::at(tick), Action::Observe(Box::new(observation)))
}

#[test]
fn equal_archives_have_no_differences() {
    let found = support::block_on(Two::new().differing(("second", true), ("second", true)));
    assert_eq!(found, (Vec::new(), 0));
}

#[test]
fn a_different_text_is_found() {
    let (found, told) = support::block_on(Two::new().differing(("second", false), ("secont", false)));
    let name = support::article(0);
    for question in [
        format!("{name} revision 2"),
        format!("{name} revisions"),
        format!("{name} what changed in 2"),
        format!("{name} as of None below 2"),
        "feed from 0".to_owned(),
        "tail".to_owned(),
    ] {
        assert!(found.contains(&question), "{question} is not among {found:#?}");
    }
    assert!(!found.contains(&format!("{name} revision 1")), "{found:#?}");
    assert_eq!(told, 0);
}

#[test]
fn a_missing_observation_is_found() {
    let (found, _) = support::block_on(Two::new().differing(("second", true), ("second", false)));
    let name = support::article(0);
    for question in [format!("{name} as of None below 5"), format!("{name} revision 4"), "tail".to_owned()] {
        assert!(found.contains(&question), "{question} is not among {found:#?}");
    }
}

#[test]
fn missing_answers_are_differences_and_reported_damage_is_counted() {
    let said = |text: &str| Answer::Said(text.to_owned());
    let intact: Answers = [("a", said("1")), ("b", said("2")), ("c", said("3"))].map(|(q, a)| (q.to_owned(), a)).into();
    let mut answers = intact.clone();
    answers.remove("a");
    answers.insert("b".to_owned(), Answer::Told("damaged".to_owned()));
    answers.insert("c".to_owned(), said("there is no article c"));
    let compared = compare(&answers, &intact);
    assert_eq!((compared.told, compared.first_told), (1, Some("b: damaged".to_owned())));
    let found: Vec<_> = compared.differences.iter().map(|difference| difference.question.as_str()).collect();
    assert_eq!(found, ["c", "a"]);
}
