//! The model: a plain list of everything that was recorded, from which every read is worked out by brute force.
//!
//! It is written from the documented rules alone and keeps no index, so nothing in it can get out of step. The rules
//! that decide what a write does are in [`super::rules`].

use std::collections::{BTreeMap, BTreeSet};

use dateline::internals::archive::request::Outcome;
use dateline::model::{
    AbsenceLook, ArticleName, ArticleState, ArticleUrl, ContentParts, Limits, LogKind, SourceId, Timestamp, UrlKey,
    WordDelta,
};

use super::plan::Text;

/// One recorded change. Its position is its index in the log.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) article: ArticleName,
    pub(crate) kind: LogKind,
    pub(crate) at: Timestamp,
    /// The revision that the change created or confirmed; for a repeated observation, the one that was in force.
    pub(crate) revision: Option<u32>,
    /// The content that an observation found.
    pub(crate) text: Option<Text>,
    pub(crate) rollback_of: Option<u32>,
    pub(crate) original: Option<u8>,
    /// The fetch of the page.
    pub(crate) fetch: Option<u8>,
    pub(crate) word_delta: Option<WordDelta>,
    /// The parts that a new revision changed; empty if nothing was in force before it.
    pub(crate) changed_parts: ContentParts,
    /// The URLs that lead to the article from the observe time on, each with the end of that period.
    pub(crate) urls: Vec<Bound>,
    /// The URL that no longer does, with the end of the period that it did.
    pub(crate) ended: Option<Bound>,
    /// The URL of a repeated move, and whether it ended.
    pub(crate) repeated_move: Option<(ArticleUrl, bool)>,
    /// The labels that the change adds and removes; `None` if it does neither.
    pub(crate) labels: Option<LabelEdit>,
    /// What a look found that found the page missing.
    pub(crate) absence: Option<AbsenceLook>,
    /// The run that this absence belongs to, as known with it.
    pub(crate) run: Option<Missing>,
    /// Whether this is, or repeats, the latest look, which found the page missing.
    pub(crate) is_latest_look: bool,
    /// The newest state of the article after the change, and the change that last altered it or was a state change.
    pub(crate) state: ArticleState,
    pub(crate) state_seq: Option<u64>,
    pub(crate) reason: String,
    pub(crate) request: Option<(u32, String)>,
    /// The reply to its writer.
    pub(crate) answer: Answer,
    /// The first position of its atomic batch.
    pub(crate) batch_first: u64,
    /// When it was committed. The archive assigns this time, and the model only checks that times are in order.
    pub(crate) archive_time: Option<Timestamp>,
}

/// A URL, with the end of the period over which a change says where it leads.
pub(crate) type Bound = (ArticleUrl, Option<Timestamp>);

/// What a change says about where a URL leads, over one period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) article: ArticleName,
    /// Whether it leads to that article; otherwise it no longer does, and leads nowhere.
    pub(crate) leads: bool,
    pub(crate) since: Timestamp,
    pub(crate) until: Option<Timestamp>,
    /// Whether the change is a move, and not an observation.
    pub(crate) by_move: bool,
}

impl Said {
    fn covers(&self, at: Timestamp) -> bool {
        self.since <= at && self.until.is_none_or(|until| at < until)
    }

    pub(crate) fn leads_to(&self, article: &ArticleName) -> bool {
        self.leads && self.article == *article
    }
}

/// What a URL says about an observation at an instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    Leads(ArticleName),
    /// It leads nowhere yet, and to this article next.
    Next(ArticleName),
    Ended,
    Unknown,
}

/// A URL of an article, with a period over which it leads there, and the article that it leads to afterwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Led {
    pub(crate) url: ArticleUrl,
    pub(crate) since: Timestamp,
    pub(crate) until: Option<Timestamp>,
    pub(crate) moved_to: Option<ArticleName>,
}

/// Labels that a change adds and removes, each list sorted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LabelEdit {
    pub(crate) added: Vec<String>,
    pub(crate) removed: Vec<String>,
}

/// The reply to a writer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) article: ArticleName,
    pub(crate) at: Timestamp,
    pub(crate) outcome: Outcome,
    /// The revision in force at `at`, and the position of the change that created it.
    pub(crate) revision: u32,
    pub(crate) made: u64,
    pub(crate) replayed: bool,
    /// URLs that stay with another article.
    pub(crate) foreign_urls: Vec<(String, ArticleName)>,
    /// The article that a URL was moved away from.
    pub(crate) moved_from: Option<ArticleName>,
}

/// An observation of one article.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sighted {
    pub(crate) at: Timestamp,
    pub(crate) seq: u64,
    pub(crate) revision: u32,
    pub(crate) text: Text,
}

/// A state change of one article.
#[derive(Clone, Debug)]
pub(crate) struct Marked {
    pub(crate) at: Timestamp,
    pub(crate) seq: u64,
    pub(crate) withdrawn: bool,
    pub(crate) reason: String,
}

/// A look at one article: an observation, or an absence with what it found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    pub(crate) at: Timestamp,
    pub(crate) seq: u64,
    pub(crate) missing: Option<AbsenceLook>,
}

/// Absences in a row, up to some instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Missing {
    pub(crate) last_seen: Timestamp,
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
    pub(crate) count: u32,
    /// The last of them.
    pub(crate) look: AbsenceLook,
    /// Whether they make the article gone, with those of the same run that follow.
    pub(crate) is_gone: bool,
}

/// A run: the interval over which one revision is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) revision: u32,
    pub(crate) from: Timestamp,
    pub(crate) until: Option<Timestamp>,
}

/// When a revision was observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) count: u32,
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
}

/// A part of the log: the changes that are known below a position.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known<'a>(pub(crate) &'a [Record]);

impl<'a> Known<'a> {
    /// The changes of an article, with their positions.
    pub(crate) fn of(self, article: &ArticleName) -> impl Iterator<Item = (u64, &'a Record)> + use<'a> {
        let article = article.clone();
        (0..).zip(self.0).filter(move |(_, record)| record.article == article)
    }

    pub(crate) fn has(self, article: &ArticleName) -> bool {
        self.of(article).next().is_some()
    }

    pub(crate) fn articles(self) -> BTreeSet<ArticleName> {
        self.0.iter().map(|record| record.article.clone()).collect()
    }

    /// An article's observations, by time; at the same instant, in the order in which they were recorded.
    pub(crate) fn observations(self, article: &ArticleName) -> Vec<Sighted> {
        let observed = self.of(article).filter(|(_, record)| is_observation(record.kind)).map(|(seq, record)| {
            Sighted { at: record.at, seq, revision: record.revision.unwrap(), text: record.text.unwrap() }
        });
        let mut observed: Vec<_> = observed.collect();
        observed.sort_by_key(|observed| (observed.at, observed.seq));
        observed
    }

    /// The last observation at or before `at`; `None` is the end of the axis.
    pub(crate) fn observed_at(self, article: &ArticleName, at: Option<Timestamp>) -> Option<Sighted> {
        let mut observed = self.observations(article);
        observed.retain(|observed| at.is_none_or(|at| observed.at <= at));
        observed.pop()
    }

    /// The run that contains `at`.
    pub(crate) fn run_at(self, article: &ArticleName, at: Option<Timestamp>) -> Option<Run> {
        let runs = self.runs(article);
        runs.into_iter().rfind(|run| at.is_none_or(|at| run.from <= at))
    }

    /// All runs of the article, in order.
    pub(crate) fn runs(self, article: &ArticleName) -> Vec<Run> {
        let mut in_force = BTreeMap::new();
        for observed in self.observations(article) {
            in_force.insert(observed.at, observed.revision); // The later one replaces it.
        }
        let mut runs: Vec<Run> = Vec::new();
        for (from, revision) in in_force {
            match runs.last_mut() {
                Some(last) if last.revision == revision => continue,
                Some(last) => last.until = Some(from),
                None => {}
            }
            runs.push(Run { revision, from, until: None });
        }
        runs
    }

    /// An article's state changes, by time; at the same instant, in the order in which they were recorded.
    pub(crate) fn marks(self, article: &ArticleName) -> Vec<Marked> {
        let marks = self.of(article).filter(|(_, record)| is_mark(record.kind)).map(|(seq, record)| Marked {
            at: record.at,
            seq,
            withdrawn: record.kind == LogKind::Withdrawn,
            reason: record.reason.clone(),
        });
        let mut marks: Vec<_> = marks.collect();
        marks.sort_by_key(|mark| (mark.at, mark.seq));
        marks
    }

    /// The state change that set the state in force: of consecutive ones to the same state, the first.
    pub(crate) fn mark_at(self, article: &ArticleName, at: Option<Timestamp>) -> Option<Marked> {
        let mut in_force = BTreeMap::new();
        for mark in self.marks(article) {
            in_force.insert(mark.at, mark); // The later one replaces it.
        }
        let mut set: Option<Marked> = None;
        for mark in in_force.into_values().filter(|mark| at.is_none_or(|at| mark.at <= at)) {
            if set.as_ref().is_none_or(|set| set.withdrawn != mark.withdrawn) {
                set = Some(mark);
            }
        }
        set
    }

    /// The looks at an article, by time; at the same instant, in the order in which they were recorded.
    pub(crate) fn looks(self, article: &ArticleName) -> Vec<Look> {
        let is_look = |record: &Record| is_observation(record.kind) || record.kind == LogKind::Absent;
        let looks = self.of(article).filter(|(_, record)| is_look(record));
        let mut looks: Vec<_> =
            looks.map(|(seq, record)| Look { at: record.at, seq, missing: record.absence }).collect();
        looks.sort_by_key(|look| (look.at, look.seq));
        looks
    }

    /// The absences in a row up to `at`; `None` if the last look at or before it is an observation.
    pub(crate) fn missing_at(self, article: &ArticleName, at: Option<Timestamp>) -> Option<Missing> {
        let looks = self.looks(article);
        let until = looks.iter().rposition(|look| at.is_none_or(|at| look.at <= at))?;
        let seen = looks[..=until].iter().rposition(|look| look.missing.is_none())?;
        let run = &looks[seen + 1..];
        let run = &run[..run.iter().position(|look| look.missing.is_none()).unwrap_or(run.len())];
        let count = until - seen;
        let last = *run[..count].last()?;
        let is_gone = (1..).zip(run).any(|(number, look)| look.missing.is_some_and(|look| look.gone_after <= number));
        Some(Missing {
            last_seen: looks[seen].at,
            first: run[0].at,
            last: last.at,
            count: u32::try_from(count).unwrap().min(Limits::GONE_AFTER_MAX),
            look: last.missing?,
            is_gone,
        })
    }

    /// The state in force at `at`.
    pub(crate) fn state_at(self, article: &ArticleName, at: Option<Timestamp>) -> ArticleState {
        if self.withdrawn_at(article, at) {
            return ArticleState::Withdrawn;
        }
        let is_gone = self.missing_at(article, at).is_some_and(|missing| missing.is_gone);
        if is_gone { ArticleState::Gone } else { ArticleState::Live }
    }

    /// Since when it is withdrawn or gone; if it is live, when it was reinstated.
    pub(crate) fn state_since(self, article: &ArticleName, at: Option<Timestamp>) -> Option<Timestamp> {
        let mark = self.mark_at(article, at).map(|mark| mark.at);
        if self.state_at(article, at) != ArticleState::Gone {
            return mark;
        }
        let missed = self.missing_at(article, at).map(|missing| missing.first);
        let ends_withdrawal =
            |mark: &Timestamp| self.withdrawn_at(article, Some(mark.saturating_add_micros(-1))) && missed < Some(*mark);
        mark.filter(ends_withdrawal).or(missed)
    }

    /// The latest change that altered the newest state, was a state change, or altered the labels.
    pub(crate) fn last_edit(self, article: &ArticleName) -> Option<u64> {
        let state_seq = self.of(article).last().and_then(|(_, latest)| latest.state_seq);
        state_seq.max(self.last_label_change(article))
    }

    /// The latest change that altered the labels.
    pub(crate) fn last_label_change(self, article: &ArticleName) -> Option<u64> {
        self.of(article).filter(|(_, record)| record.labels.is_some()).map(|(seq, _)| seq).last()
    }

    /// The labels of an article, sorted.
    pub(crate) fn labels(self, article: &ArticleName) -> Vec<String> {
        let mut labels = BTreeSet::new();
        for edit in self.of(article).filter_map(|(_, record)| record.labels.as_ref()) {
            labels.retain(|label| !edit.removed.contains(label));
            labels.extend(edit.added.iter().cloned());
        }
        labels.into_iter().collect()
    }

    pub(crate) fn withdrawn_at(self, article: &ArticleName, at: Option<Timestamp>) -> bool {
        self.mark_at(article, at).is_some_and(|mark| mark.withdrawn)
    }

    /// The latest fetch of the newest state: that of the latest change, if it found what is in force, the article is
    /// not withdrawn, and no later look found the page missing.
    pub(crate) fn latest_fetch(self, article: &ArticleName) -> Option<u8> {
        let (_, latest) = self.of(article).last()?;
        let newest = self.observed_at(article, None)?;
        let is_up = !self.withdrawn_at(article, None) && self.missing_at(article, None).is_none();
        latest.fetch.filter(|_| is_up && latest.revision == Some(newest.revision))
    }

    /// The change that created a revision.
    pub(crate) fn made(self, article: &ArticleName, number: u32) -> Option<(u64, &'a Record)> {
        self.of(article).find(|(_, record)| makes_revision(record.kind) && record.revision == Some(number))
    }

    pub(crate) fn revision_count(self, article: &ArticleName) -> u32 {
        u32::try_from(self.of(article).filter(|(_, record)| makes_revision(record.kind)).count()).unwrap()
    }

    /// The observations of a revision at or before `until`.
    pub(crate) fn seen(self, article: &ArticleName, number: u32, until: Option<Timestamp>) -> Option<Seen> {
        let mut times = self.observations(article);
        times.retain(|seen| seen.revision == number && until.is_none_or(|until| seen.at <= until));
        let (first, last) = (times.first()?.at, times.last()?.at);
        Some(Seen { count: u32::try_from(times.len()).unwrap(), first, last })
    }

    /// Everything said about a URL, in the order in which it was recorded.
    pub(crate) fn said(self, key: &UrlKey) -> Vec<Said> {
        let mut said = Vec::new();
        for record in self.0 {
            let bound = record.urls.iter().map(|bound| (bound, true));
            for ((url, until), leads) in bound.chain(record.ended.iter().map(|ended| (ended, false))) {
                if url.key == *key {
                    let by_move = matches!(record.kind, LogKind::UrlBound | LogKind::UrlEnded);
                    let (article, since) = (record.article.clone(), record.at);
                    said.push(Said { article, leads, since, until: *until, by_move });
                }
            }
        }
        said
    }

    /// What counts at an instant: what was said last about it. `None` before the first.
    pub(crate) fn said_at(self, key: &UrlKey, at: Timestamp) -> Option<Said> {
        self.said(key).into_iter().rfind(|said| said.covers(at))
    }

    /// Every instant at which something said of a URL begins or ends, in order, unless something said later covers
    /// the time before and after it.
    fn turns(self, key: &UrlKey) -> BTreeSet<Timestamp> {
        let said = self.said(key);
        let spans = |later: &Said, turn| later.since < turn && later.until.is_none_or(|until| turn < until);
        let turns = said.iter().enumerate().flat_map(|(index, one)| {
            let later = &said[index + 1..];
            let stays = |turn: &Timestamp| !later.iter().any(|later| spans(later, *turn));
            [Some(one.since), one.until].into_iter().flatten().filter(stays).collect::<Vec<_>>()
        });
        turns.collect()
    }

    /// The end of a period that begins at `at`, over which the URL leads to `article`.
    pub(crate) fn end_of(self, key: &UrlKey, article: &ArticleName, at: Timestamp) -> Option<Timestamp> {
        let mut later = self.turns(key).into_iter().filter(|turn| *turn > at);
        later.find(|turn| !self.said_at(key, *turn).is_some_and(|said| said.leads_to(article)))
    }

    pub(crate) fn claim(self, key: &UrlKey, at: Timestamp) -> Claim {
        match self.said_at(key, at) {
            Some(said) if said.leads => Claim::Leads(said.article),
            found => {
                let later = self.turns(key).into_iter().filter(|turn| *turn > at);
                let mut next = later.filter_map(|turn| self.said_at(key, turn)).filter(|said| said.leads);
                match (next.next(), found) {
                    (Some(next), _) => Claim::Next(next.article),
                    (None, Some(_)) => Claim::Ended,
                    (None, None) => Claim::Unknown,
                }
            }
        }
    }

    /// The article to which a URL leads at an instant (`None` is the end of the axis). Before the first time at which it
    /// leads somewhere, the one to which it leads first.
    pub(crate) fn looked_up(self, key: &UrlKey, at: Option<Timestamp>) -> Result<ArticleName, Option<ArticleName>> {
        let at = at.unwrap_or(Timestamp::MAX);
        match (self.said_at(key, at), self.claim(key, at)) {
            (Some(said), _) if said.leads => Ok(said.article),
            (Some(said), _) => Err(Some(said.article)),
            (None, Claim::Next(first)) => Ok(first),
            (None, _) => Err(None),
        }
    }

    /// The URLs of an article in the order in which they became known, each with the periods over which it leads there.
    pub(crate) fn urls(self, article: &ArticleName) -> Vec<Led> {
        let mut known: Vec<ArticleUrl> = Vec::new();
        for (_, record) in self.of(article) {
            for (url, _) in &record.urls {
                if known.iter().all(|known| known.key != url.key) {
                    known.push(url.clone());
                }
            }
        }
        let mut urls = Vec::new();
        for url in known {
            let leads_here = |at| self.said_at(&url.key, at).is_some_and(|said| said.leads_to(article));
            let mut before = false;
            for since in self.turns(&url.key) {
                let begins = leads_here(since) && !before;
                before = leads_here(since);
                if begins {
                    let until = self.end_of(&url.key, article, since);
                    let next = until.and_then(|until| self.said_at(&url.key, until));
                    let moved_to = next.filter(|next| next.leads).map(|next| next.article);
                    urls.push(Led { url: url.clone(), since, until, moved_to });
                }
            }
        }
        urls
    }

    /// The URLs that lead to an article at an instant (`None` is the end of the axis). One that leads there first after
    /// it counts too, unless it led elsewhere before.
    pub(crate) fn urls_at(self, article: &ArticleName, at: Option<Timestamp>) -> Vec<ArticleUrl> {
        let mut urls: Vec<ArticleUrl> = Vec::new();
        let all = self.urls(article);
        for led in &all {
            let begun = |other: &&Led| other.url.key == led.url.key && at.is_none_or(|at| other.since <= at);
            let leads = match all.iter().rfind(begun) {
                Some(last) => last.until.is_none_or(|until| at.is_some_and(|at| at < until)),
                None => self.looked_up(&led.url.key, at).as_ref() == Ok(article),
            };
            if leads && urls.iter().all(|known| known.key != led.url.key) {
                urls.push(led.url.clone());
            }
        }
        urls
    }

    /// Each source with its number of articles, its first change and its last.
    pub(crate) fn sources(self) -> BTreeMap<SourceId, (usize, &'a Record, &'a Record)> {
        let mut sources = BTreeMap::new();
        for record in self.0 {
            let figures = sources.entry(record.article.source.clone()).or_insert((0, record, record));
            figures.0 += usize::from(record.kind == LogKind::Created);
            figures.2 = record;
        }
        sources
    }
}

pub(crate) fn makes_revision(kind: LogKind) -> bool {
    matches!(kind, LogKind::Created | LogKind::Revised | LogKind::RolledBack)
}

pub(crate) fn is_mark(kind: LogKind) -> bool {
    matches!(kind, LogKind::Withdrawn | LogKind::Reinstated)
}

pub(crate) fn is_observation(kind: LogKind) -> bool {
    makes_revision(kind) || kind == LogKind::Sighted
}
