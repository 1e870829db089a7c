//! One trial: a copy of an archive is damaged, opened, asked everything, written to, and opened again.

use std::fmt::Write as _;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use dateline::internals::archive::{Archive, OpenArchiveError};
use dateline::internals::clock::{Clock, ManualClock};

use super::answers::{Answers, Compared, compare};
use super::harm::Harm;
use super::load::write_one_more;
use super::panics;
use super::questions::Questions;
use super::region::Map;
use super::states::options;
use crate::server::holder;
use crate::support;

/// Nothing takes this long. If a page is gone, sled retries a million times, which takes about a second.
const PATIENCE: Duration = Duration::from_secs(180);

/// The answers of the intact archive.
pub(super) struct Intact {
    pub(super) questions: Questions,
    pub(super) answers: Answers,
    /// Answers about the newest state, with one more article.
    pub(super) after_write: Answers,
    /// Answers that need no older contents, with one more article.
    pub(super) opened_again: Answers,
}

/// The outcome of a trial.
#[derive(Clone, Debug)]
pub(super) enum Verdict {
    /// The archive did not open.
    Refused(String),
    /// The archive was opened and written to, and then did not open again: acknowledged writes are lost.
    Lost(String),
    /// At least one answer reported damage, and no answer was wrong.
    Told(String),
    /// All answers are those of the intact archive.
    Harmless,
    /// An answer differs from the intact archive's and reports no damage.
    Wrong(String),
    /// A failed opening overwrote data that repairing the damage would have needed.
    Spoiled(String),
    Panicked(String),
    Hung,
}

impl Verdict {
    pub(super) fn is_failure(&self) -> bool {
        matches!(self, Self::Lost(_) | Self::Wrong(_) | Self::Spoiled(_) | Self::Panicked(_) | Self::Hung)
    }
}

/// Damages the archive in `directory`, a copy of an intact one, and examines the result.
pub(super) fn run(directory: &Path, harm: Option<&Harm>, intact: &Arc<Intact>, map: &Map) -> Verdict {
    if let Some(harm) = harm {
        harm.apply(directory);
    }
    panics::watch();
    let verdict = watched(directory, intact);
    let escaped = panics::escaped();
    let verdict = match (verdict, harm) {
        (Verdict::Refused(reason), Some(harm)) => {
            mended(directory, harm, intact, map).unwrap_or(Verdict::Refused(reason))
        }
        (verdict, _) => verdict,
    };
    if escaped.is_empty() || verdict.is_failure() { verdict } else { Verdict::Panicked(escaped.join("; ")) }
}

/// Examines an archive in a thread of its own, which may hang.
fn watched(directory: &Path, intact: &Arc<Intact>) -> Verdict {
    let (done, verdict) = channel();
    let (path, expected) = (directory.to_path_buf(), Arc::clone(intact));
    let trial = std::thread::Builder::new().name("damage trial".to_owned());
    let trial = trial.spawn(move || {
        let ended = catch_unwind(AssertUnwindSafe(|| support::block_on(look(&path, &expected))));
        drop(done.send(ended.unwrap_or_else(|_| Verdict::Panicked("the trial's own thread".to_owned()))));
    });
    drop(trial.unwrap());
    match verdict.recv_timeout(PATIENCE) {
        Ok(verdict) => verdict,
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Verdict::Hung,
    }
}

/// Undoes the damage to an archive that did not open, and examines it. There is nothing to examine if the failed
/// opening left all files as they were. It may overwrite only data that nothing refers to any more.
fn mended(directory: &Path, harm: &Harm, intact: &Arc<Intact>, map: &Map) -> Option<Verdict> {
    harm.mend(directory, map);
    let changed =
        map.database().find(|file| fs::read(directory.join(file)).ok().as_deref() != Some(map.content(file)))?;
    let verdict = watched(directory, intact);
    let changed = changed.display();
    (!matches!(verdict, Verdict::Harmless))
        .then(|| Verdict::Spoiled(format!("{changed} was changed, and after the repair it is {verdict:?}")))
}

async fn look(path: &Path, intact: &Intact) -> Verdict {
    let archive = match open(path) {
        Ok(archive) => archive,
        Err(error) => return Verdict::Refused(error.to_string()),
    };
    let mut compared = vec![("opened", compare(&intact.questions.ask(&archive).await, &intact.answers))];
    let written = write_one_more(&archive).await;
    let written = match written {
        Ok(()) => true,
        Err(error) if error.starts_with("refused") => return Verdict::Wrong(format!("one more article: {error}")),
        Err(_) => false,
    };
    if written {
        let answers = intact.questions.ask_of_newest(&archive).await;
        compared.push(("after a write", compare(&answers, &intact.after_write)));
    }
    archive.close().await;
    drop(archive);
    let refused_later = match open(path) {
        Ok(archive) if written => {
            let answers = intact.questions.ask_without_contents(&archive).await;
            compared.push(("opened again", compare(&answers, &intact.opened_again)));
            archive.close().await;
            None
        }
        Ok(archive) => {
            archive.close().await;
            None
        }
        Err(error) => Some(error.to_string()),
    };
    verdict(&compared, refused_later)
}

fn verdict(compared: &[(&str, Compared)], refused_later: Option<String>) -> Verdict {
    let differences = compared
        .iter()
        .flat_map(|(when, compared)| compared.differences.iter().map(move |difference| (*when, difference)));
    let mut wrong = String::new();
    for (when, difference) in differences.clone().take(4) {
        let (answer, expected) = differing(&difference.answer, &difference.intact);
        write!(wrong, "\n  {when}, {}\n    said:   {answer}\n    intact: {expected}", difference.question).unwrap();
    }
    if !wrong.is_empty() {
        return Verdict::Wrong(format!("{} answers{wrong}", differences.count()));
    }
    let told = compared.iter().find_map(|(when, compared)| Some(format!("{when}, {}", compared.first_told.as_ref()?)));
    match (refused_later, told) {
        (Some(reason), _) => Verdict::Lost(reason),
        (None, Some(told)) => Verdict::Told(told),
        (None, None) => Verdict::Harmless,
    }
}

/// Shortens both answers to the part from a little before their first difference.
fn differing(answer: &str, intact: &str) -> (String, String) {
    let common = answer.chars().zip(intact.chars()).take_while(|(one, other)| one == other).count();
    let part = |text: &str| text.chars().skip(common.saturating_sub(160)).take(480).collect();
    (part(answer), part(intact))
}

fn open(path: &Path) -> Result<Archive, OpenArchiveError> {
    // The clock is behind the closed time, so only that keeps the next archive time above those already returned.
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(support::now()));
    Archive::open_existing(path, &options(), clock, holder()).map(|(archive, _)| archive)
}

/// Asks an intact archive in `directory`.
pub(super) fn learn(directory: &Path) -> Intact {
    support::block_on(async {
        let archive = open(directory).unwrap();
        let questions = Questions::about(&archive).await;
        let answers = questions.ask(&archive).await;
        write_one_more(&archive).await.unwrap();
        let after_write = questions.ask_of_newest(&archive).await;
        archive.close().await;
        drop(archive);
        let archive = open(directory).unwrap();
        let opened_again = questions.ask_without_contents(&archive).await;
        archive.close().await;
        Intact { questions, answers, after_write, opened_again }
    })
}
