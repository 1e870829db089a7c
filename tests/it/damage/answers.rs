//! Everything that an archive answers, as plain lines, so that two archives can be compared.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash, Hasher};

use dateline::internals::archive::ArchiveError;
use dateline::internals::archive::changefeed::ChangeAt;
use dateline::internals::archive::error::Unavailable;
use dateline::internals::archive::read::article::{ArticleAt, RevisionAt};
use dateline::internals::archive::read::compare::Comparison;
use dateline::internals::archive::read::list::RevisionEntry;
use dateline::internals::store::content_encoding::to_bytes;
use dateline::model::Content;

/// An archive's answer to one question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// A normal answer, including that something does not exist.
    Said(String),
    /// A report of damage or of failed storage.
    Told(String),
}

impl Answer {
    pub(super) fn of<T>(read: Result<T, ArchiveError>, show: impl FnOnce(T) -> String) -> Self {
        match read {
            Ok(answer) => Self::Said(show(answer)),
            Err(error @ (ArchiveError::Damaged { .. } | ArchiveError::Unavailable(Unavailable::StorageFailed))) => {
                Self::Told(error.to_string())
            }
            Err(error) => Self::Said(error.to_string()),
        }
    }
}

/// The answers to all questions, by question.
pub(super) type Answers = BTreeMap<String, Answer>;

/// An answer that differs from the intact archive's and does not report damage.
#[derive(Clone, Debug)]
pub(super) struct Difference {
    pub(super) question: String,
    pub(super) answer: String,
    pub(super) intact: String,
}

/// The result of a comparison.
#[derive(Clone, Debug, Default)]
pub(super) struct Compared {
    /// How many answers reported damage, and the first of them.
    pub(super) told: u64,
    pub(super) first_told: Option<String>,
    pub(super) differences: Vec<Difference>,
}

/// Compares the answers of an archive with those of the intact one to the same questions.
pub(super) fn compare(answers: &Answers, intact: &Answers) -> Compared {
    let mut compared = Compared::default();
    let questions = answers.keys().chain(intact.keys().filter(|question| !answers.contains_key(*question)));
    for question in questions {
        let show = |answer: Option<&Answer>| answer.map_or("was not asked".to_owned(), |answer| format!("{answer:?}"));
        match (answers.get(question), intact.get(question)) {
            (Some(Answer::Told(reason)), _) => {
                compared.told += 1;
                compared.first_told.get_or_insert_with(|| format!("{question}: {reason}"));
            }
            (answer, intact) if answer == intact => {}
            (answer, intact) => {
                let (answer, intact) = (show(answer), show(intact));
                compared.differences.push(Difference { question: question.clone(), answer, intact });
            }
        }
    }
    compared
}

/// An article, with its content as a digest.
pub(super) fn article(article: ArticleAt) -> String {
    let revision = revision(article.revision);
    shown(&(
        (article.name, article.state, revision, article.valid_from, article.valid_until),
        (article.etag, article.urls, article.revision_count, article.create_time, article.latest),
    ))
}

pub(super) fn revision(revision: RevisionAt) -> String {
    let content = revision.content().as_ref().map(content);
    let original = revision.original.map(|original| (original.len(), digest(&original)));
    shown(&(revision.article, revision.number, revision.created_by, content, original))
}

pub(super) fn entry(entry: RevisionEntry) -> String {
    shown(&(revision(entry.revision), entry.observation_count, entry.first_seen, entry.last_seen))
}

pub(super) fn comparison(comparison: Comparison) -> String {
    let numbers = (comparison.base.map(revision), revision(comparison.target));
    shown(&(numbers, digest(shown(&comparison.diff).as_bytes()), comparison.word_delta))
}

/// Renders a change of the feed.
pub(super) fn change(change: &ChangeAt, bytes: &mut Vec<u8>) {
    let revision = revision(change.revision.clone());
    let line = shown(&(&change.change, change.kind, revision, change.newest, change.is_newest));
    bytes.extend_from_slice(line.as_bytes());
    bytes.push(b'\n');
}

/// Any other value.
pub(super) fn shown(value: &impl Debug) -> String {
    format!("{value:?}")
}

fn content(content: &Content) -> (usize, u64) {
    let bytes = to_bytes(content);
    (bytes.len(), digest(&bytes))
}

/// Good enough to distinguish texts that were not built to collide.
fn digest(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}
