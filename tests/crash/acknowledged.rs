//! Acknowledgements, as the child tells them: one line of JSON each, after the answer came.

use dateline::archive::request::Written;
use dateline::model::{History, ReadStamp, Seq};
use serde::{Deserialize, Serialize};

use crate::asked::Step;

/// Something that the archive said is done, and must stand for ever.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Acknowledged {
    /// The archive was opened, and its log ends here.
    Opened { stamp: Stamp },
    /// Operations were carried out, all of them.
    Written { asked: Vec<Step>, answers: Vec<Answer>, stamp: Stamp },
    /// A subscription was made, attached to or acknowledged: it has this lease and position, or later ones.
    Subscribed { id: String, lease: u64, next_seq: u64 },
    /// A read as known until an instant (in microseconds since 1970) had this stamp, so nothing more is archived at or
    /// before it.
    ClosedUntil { archive_time: i64, stamp: Stamp },
}

/// The answer to one operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub(crate) article: String,
    pub(crate) revision: u32,
    pub(crate) observe_time: i64,
    pub(crate) outcome: Outcome,
    /// Its position in the log. `None` where it may have written nothing.
    pub(crate) seq: Option<u64>,
}

/// What an operation did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Outcome {
    Created,
    Revised,
    Unchanged,
}

/// An end of the log that was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    pub(crate) next_seq: u64,
    pub(crate) history: [u8; 16],
}

impl Stamp {
    pub(crate) fn of(stamp: &ReadStamp) -> Self {
        Self { next_seq: stamp.next_seq.0, history: stamp.history.0 }
    }

    pub(crate) fn next_seq(&self) -> Seq {
        Seq(self.next_seq)
    }

    pub(crate) fn history(&self) -> History {
        History(self.history)
    }
}

impl Acknowledged {
    /// The answers to operations that were asked for at once.
    pub(crate) fn written(asked: Vec<Step>, written: &[Written]) -> Self {
        let stamp = Stamp::of(&written.last().unwrap().stamp);
        let count = u64::try_from(asked.len()).unwrap();
        let answers = asked.iter().zip(written).zip(0..).map(|((step, written), index)| {
            let outcome = Outcome::of(written.outcome);
            // An operation with a request id is always logged, and so is one that makes something.
            let is_logged = step.request.is_some() || outcome != Outcome::Unchanged;
            Answer {
                article: written.article.to_string(),
                revision: written.revision.get(),
                observe_time: written.observe_time.micros(),
                outcome,
                seq: is_logged.then(|| stamp.next_seq - count + index),
            }
        });
        let answers = answers.collect();
        Self::Written { asked, answers, stamp }
    }

    /// The line that tells it, with its end.
    pub(crate) fn line(&self) -> Vec<u8> {
        let mut line = serde_json::to_vec(self).unwrap();
        line.push(b'\n');
        line
    }
}

impl Outcome {
    pub(crate) fn of(outcome: dateline::archive::request::Outcome) -> Self {
        match outcome {
            dateline::archive::request::Outcome::Created => Self::Created,
            dateline::archive::request::Outcome::Revised => Self::Revised,
            dateline::archive::request::Outcome::Unchanged => Self::Unchanged,
        }
    }
}

/// Reads what a child told. It may have been killed within its last line: one without an end was not told.
pub(crate) fn read(lines: &[u8]) -> Vec<Acknowledged> {
    let whole = lines.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let lines = lines[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let read = |line: &[u8]| match serde_json::from_slice(line) {
        Ok(acknowledged) => acknowledged,
        Err(error) => panic!("{error}: a child told {}", String::from_utf8_lossy(line)),
    };
    lines.map(read).collect()
}

#[test]
fn a_line_without_an_end_was_not_told() {
    let opened = Acknowledged::Opened { stamp: Stamp { next_seq: 7, history: [1; 16] } };
    let subscribed = Acknowledged::Subscribed { id: "reader-1".to_owned(), lease: 2, next_seq: 7 };
    let lines = [opened.line(), subscribed.line()].concat();
    assert_eq!(read(&lines), [opened.clone(), subscribed]);
    assert_eq!(read(&lines[..lines.len() - 1]), [opened]);
    assert_eq!(read(b"{\"Opened\""), []);
}
