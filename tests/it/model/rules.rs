//! How the model decides what a write does: the documented rules, in the plainest form.

use dateline::internals::archive::request::Outcome;
use dateline::model::diff::word_delta;
use dateline::model::{AbsenceLook, ArticleName, ArticleState, ArticleUrl, ContentParts, LogKind, SourceId, Timestamp};

use super::naive::{Answer, Claim, Known, LabelEdit, Record, Sighted, is_mark, is_observation, makes_revision};
use super::parts::changed_parts;
use super::plan::Text;
use crate::support;

/// An operation in the form that the model takes.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) to: Addressed,
    pub(crate) at: Timestamp,
    pub(crate) what: Asked,
    pub(crate) expected: Option<Expected>,
    /// The request id, and the whole request as text.
    pub(crate) request: Option<(u32, String)>,
}

#[derive(Clone, Debug)]
pub(crate) enum Addressed {
    Named(ArticleName),
    Found { source: SourceId, derived: ArticleName },
    Holder(ArticleUrl),
}

#[derive(Clone, Debug)]
pub(crate) enum Asked {
    Observe {
        text: Text,
        urls: Vec<ArticleUrl>,
        original: Option<u8>,
        fetch: Option<u8>,
        labels: Vec<String>,
        coalesce_within: i64,
    },
    Rollback(u32),
    Mark {
        withdrawn: bool,
        reason: String,
    },
    Miss {
        look: AbsenceLook,
        fetch: Option<u8>,
        coalesce_within: i64,
    },
    Label {
        add: Vec<String>,
        remove: Vec<String>,
        reason: String,
    },
    Move {
        url: ArticleUrl,
        from: Option<ArticleName>,
        reason: String,
    },
    End {
        url: ArticleUrl,
        /// Whether it is a part of a move.
        is_part: bool,
        reason: String,
    },
}

#[derive(Clone, Debug)]
pub(crate) enum Expected {
    Absent,
    /// The newest revision, and the latest change of state or labels, that an etag stood for; `None` for an etag that
    /// was never returned.
    State(Option<(u32, Option<u64>)>),
    Revision(u32),
}

/// Why a write is rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    UnknownArticle,
    UnknownRevision,
    ArticleExists,
    /// With the number of the newest revision.
    RevisionConflict(u32),
    /// With the time since when.
    Withdrawn(Timestamp),
    RequestIdReused,
    /// With the time of the article's first observation.
    StateTooEarly(Timestamp),
    /// With how many it would have.
    TooManyLabels(usize),
    UnknownUrl,
    /// With the time of the article's first observation.
    UrlTooEarly(Timestamp),
    /// With the article that it leads to.
    UrlElsewhere(Option<ArticleName>),
}

/// The model: everything that was recorded.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    pub(crate) log: Vec<Record>,
}

impl Model {
    pub(crate) fn tail(&self) -> u64 {
        self.log.len() as u64
    }

    /// Everything that is known.
    pub(crate) fn all(&self) -> Known<'_> {
        Known(&self.log)
    }

    /// What is known below a position.
    pub(crate) fn below(&self, bound: u64) -> Known<'_> {
        Known(&self.log[..usize::try_from(bound).unwrap()])
    }

    /// The position, lowered to the start of the atomic batch around it.
    pub(crate) fn whole(&self, bound: u64) -> u64 {
        self.log.get(usize::try_from(bound).unwrap()).map_or(bound, |record| record.batch_first)
    }

    /// Carries out all of `requests`, or none; then returns which one is rejected, and why.
    pub(crate) fn write(&mut self, requests: &[Request]) -> Result<Vec<Answer>, (usize, Refusal)> {
        let batch_first = self.tail();
        let mut answers = Vec::new();
        for (index, request) in requests.iter().enumerate() {
            match self.judge_move(request, batch_first) {
                Ok(answer) => answers.push(answer),
                Err(refusal) => {
                    self.log.truncate(usize::try_from(batch_first).unwrap());
                    return Err((index, refusal));
                }
            }
        }
        Ok(answers)
    }

    /// Appends a change, and works out how it leaves the newest state of its article.
    fn push(&mut self, mut record: Record) {
        let article = record.article.clone();
        let before = self.all().of(&article).last().map(|(_, before)| (before.state, before.state_seq));
        let (state_before, state_seq) = before.unwrap_or((ArticleState::Live, None));
        let seq = self.tail();
        record.state_seq = state_seq;
        self.log.push(record);
        let (state, missing) = (self.all().state_at(&article, None), self.all().missing_at(&article, None));
        let at = self.log.last().map(|record| record.at);
        let run = self.all().missing_at(&article, at);
        let record = self.log.last_mut().expect("it was appended");
        record.state = state;
        record.is_latest_look = missing.is_some_and(|missing| record.at >= missing.last);
        record.run = run.filter(|_| record.kind == LogKind::Absent);
        if state != state_before || is_mark(record.kind) {
            record.state_seq = Some(seq);
        }
    }

    /// Carries out a request. If it moves a URL away from another article, the URL ends there first.
    fn judge_move(&mut self, request: &Request, batch_first: u64) -> Result<Answer, Refusal> {
        if let Some(end) = self.end_before(request)? {
            let (_, record) = self.judge(&end, batch_first)?;
            record.into_iter().for_each(|record| self.push(record));
        }
        let (mut answer, record) = self.judge(request, batch_first)?;
        if let Some(mut record) = record {
            if let (LogKind::UrlBound, Some(before)) = (record.kind, self.log.last()) {
                let is_end = before.batch_first == batch_first
                    && before.at == record.at
                    && before.ended.as_ref().is_some_and(|(url, _)| url.key == record.urls[0].0.key);
                record.answer.moved_from = is_end.then(|| before.article.clone());
                answer.moved_from.clone_from(&record.answer.moved_from);
            }
            self.push(record);
        }
        Ok(answer)
    }

    fn end_before(&self, request: &Request) -> Result<Option<Request>, Refusal> {
        let Asked::Move { url, from, reason } = &request.what else { return Ok(None) };
        let article = self.article_of(request)?;
        let is_known = |id: u32| {
            self.all().of(&article).any(|(_, record)| record.request.as_ref().is_some_and(|(known, _)| *known == id))
        };
        if !self.all().has(&article) || request.request.as_ref().is_some_and(|(id, _)| is_known(*id)) {
            return Ok(None);
        }
        let holder = self.all().said_at(&url.key, request.at).filter(|said| said.leads).map(|said| said.article);
        if holder.as_ref() == Some(&article) || self.is_said(url, &article, true, request.at) {
            return Ok(None);
        }
        if from.is_some() && *from != holder {
            return Err(Refusal::UrlElsewhere(holder));
        }
        Ok(holder.map(|holder| Request {
            to: Addressed::Named(holder),
            at: request.at,
            what: Asked::End { url: url.clone(), is_part: true, reason: reason.clone() },
            expected: None,
            request: None,
        }))
    }

    /// Whether a move at exactly this time said so before.
    fn is_said(&self, url: &ArticleUrl, article: &ArticleName, leads: bool, at: Timestamp) -> bool {
        let mut said = self.all().said(&url.key).into_iter();
        said.any(|said| said.by_move && said.leads == leads && said.since == at && said.article == *article)
    }

    fn judge(&self, request: &Request, batch_first: u64) -> Result<(Answer, Option<Record>), Refusal> {
        let article = self.article_of(request)?;
        if let Some(answer) = self.replayed(&article, request)? {
            return Ok((answer, None));
        }
        self.check_expected(&article, request)?;
        let mut record = Record {
            article: article.clone(),
            kind: LogKind::Aliased,
            at: request.at,
            revision: None,
            text: None,
            rollback_of: None,
            original: None,
            fetch: None,
            word_delta: None,
            changed_parts: ContentParts::NONE,
            urls: Vec::new(),
            ended: None,
            repeated_move: None,
            labels: None,
            absence: None,
            run: None,
            is_latest_look: false,
            state: ArticleState::Live,
            state_seq: None,
            reason: String::new(),
            request: request.request.clone(),
            answer: Answer {
                article: article.clone(),
                at: request.at,
                outcome: Outcome::Unchanged,
                revision: 0,
                made: self.tail(),
                replayed: false,
                foreign_urls: Vec::new(),
                moved_from: None,
            },
            batch_first,
            archive_time: None,
        };
        let written = match &request.what {
            Asked::Observe { text, urls, original, fetch, labels, coalesce_within } => {
                self.bind(urls, &mut record);
                let written = self.observe(*text, *coalesce_within, *original, &mut record)?;
                if !is_observation(record.kind) {
                    // It was recorded before, or is not recorded, and does not undo what was said of a URL since.
                    let known = self.all();
                    record.urls.retain(|(url, _)| {
                        known.said(&url.key).iter().all(|said| said.leads_to(&article) && said.until.is_none())
                    });
                }
                // A repeated observation keeps its own fetch, and a coalesced one is not recorded.
                record.fetch = fetch.filter(|_| is_observation(record.kind));
                record.labels = self.edit(labels, &[], &article)?;
                written || !record.urls.is_empty() || record.labels.is_some()
            }
            Asked::Rollback(number) => {
                self.existing(&article)?;
                let (_, made) = self.all().made(&article, *number).ok_or(Refusal::UnknownRevision)?;
                let written = self.observe(made.text.unwrap(), 0, None, &mut record)?;
                if makes_revision(record.kind) {
                    (record.kind, record.rollback_of) = (LogKind::RolledBack, Some(*number));
                }
                written
            }
            Asked::Mark { withdrawn, reason } => {
                self.existing(&article)?;
                self.mark(*withdrawn, reason, &mut record)?
            }
            Asked::Miss { look, fetch, coalesce_within } => {
                self.existing(&article)?;
                let written = self.miss(*look, *coalesce_within, &mut record)?;
                record.fetch = fetch.filter(|_| record.kind == LogKind::Absent);
                written
            }
            Asked::Move { url, reason, .. } => {
                self.existing(&article)?;
                let first = self.all().observations(&article)[0].at;
                if request.at < first {
                    return Err(Refusal::UrlTooEarly(first));
                }
                let is_here = self.all().said_at(&url.key, request.at).is_some_and(|said| said.leads_to(&article));
                let changes = !is_here && !self.is_said(url, &article, true, request.at);
                if changes {
                    let until = self.all().end_of(&url.key, &article, request.at);
                    (record.kind, record.urls) = (LogKind::UrlBound, vec![(url.clone(), until)]);
                }
                self.moved(changes, (url, false), reason, &mut record)
            }
            Asked::End { url, is_part, reason } => {
                self.existing(&article)?;
                let found = self.all().said_at(&url.key, request.at);
                let is_over = found.as_ref().is_some_and(|said| !said.leads && said.article == article);
                let changes = !is_over && (*is_part || !self.is_said(url, &article, false, request.at));
                if changes {
                    if !found.as_ref().is_some_and(|said| said.leads_to(&article)) {
                        let leads_to = found.filter(|said| said.leads).map(|said| said.article);
                        return Err(Refusal::UrlElsewhere(leads_to));
                    }
                    let until = self.all().end_of(&url.key, &article, request.at);
                    (record.kind, record.ended) = (LogKind::UrlEnded, Some((url.clone(), until)));
                }
                self.moved(changes, (url, true), reason, &mut record)
            }
            Asked::Label { add, remove, reason } => {
                self.existing(&article)?;
                record.at = self.newest_since(&article);
                record.answer.at = record.at;
                record.labels = self.edit(add, remove, &article)?;
                reason.clone_into(&mut record.reason);
                record.kind = LogKind::LabelsRepeated;
                if record.labels.is_some() {
                    record.kind = LogKind::Labelled;
                    record.answer.outcome = Outcome::Revised;
                }
                record.labels.is_some() || record.request.is_some()
            }
        };
        self.complete(&mut record);
        // Labels alone have no observe time, nor a revision.
        if record.kind == LogKind::Aliased && record.urls.is_empty() && record.labels.is_some() {
            (record.kind, record.at, record.revision) = (LogKind::Labelled, self.newest_since(&article), None);
        }
        Ok((record.answer.clone(), written.then_some(record)))
    }

    /// Completes a move. One that changes nothing is recorded for its request id, without its reason.
    fn moved(&self, changes: bool, (url, ended): (&ArticleUrl, bool), reason: &str, record: &mut Record) -> bool {
        if changes {
            reason.clone_into(&mut record.reason);
            record.answer.outcome = Outcome::Revised;
            return true;
        }
        (record.kind, record.repeated_move) = (LogKind::UrlsRepeated, Some((url.clone(), ended)));
        record.request.is_some()
    }

    /// Since when the newest revision of an article is in force.
    fn newest_since(&self, article: &ArticleName) -> Timestamp {
        self.all().run_at(article, None).expect("the article exists").from
    }

    /// The labels that are new, and those that are no longer there; `None` if there are neither.
    fn edit(&self, add: &[String], remove: &[String], article: &ArticleName) -> Result<Option<LabelEdit>, Refusal> {
        let before = self.all().labels(article);
        let mut edit = LabelEdit { added: add.to_vec(), removed: remove.to_vec() };
        edit.added.retain(|label| !before.contains(label));
        edit.removed.retain(|label| before.contains(label));
        let count = before.len() + edit.added.len() - edit.removed.len();
        if !edit.added.is_empty() && count > support::LABELS_MAX {
            return Err(Refusal::TooManyLabels(count));
        }
        Ok(Some(edit).filter(|edit| !(edit.added.is_empty() && edit.removed.is_empty())))
    }

    /// The article that is named, or to which a URL leads, or else a new name.
    fn article_of(&self, request: &Request) -> Result<ArticleName, Refusal> {
        let (source, derived) = match &request.to {
            Addressed::Named(name) => return Ok(name.clone()),
            Addressed::Holder(url) => return self.holder_of(url, request),
            Addressed::Found { source, derived } => (source, derived),
        };
        let urls: &[_] = if let Asked::Observe { urls, .. } = &request.what { urls } else { &[] };
        let mut requested = urls.iter().filter_map(|url| self.requested_before(url, request));
        if let Some(article) = requested.find(|article| article.source == *source) {
            return Ok(article);
        }
        let mut claims = urls.iter().map(|url| self.all().claim(&url.key, request.at));
        let found = claims.find_map(|claim| match claim {
            Claim::Leads(article) | Claim::Next(article) => Some(article).filter(|article| article.source == *source),
            Claim::Ended | Claim::Unknown => None,
        });
        let is_ended = urls.first().is_some_and(|url| self.all().claim(&url.key, request.at) == Claim::Ended);
        Ok(found.unwrap_or_else(|| if is_ended { self.free_name(derived) } else { derived.clone() }))
    }

    fn free_name(&self, derived: &ArticleName) -> ArticleName {
        let numbered = (2..).map(|number| {
            let article = format!("{}-{number}", derived.article.as_str());
            ArticleName { article: dateline::model::ArticleId::parse(&article).unwrap(), ..derived.clone() }
        });
        let mut names = std::iter::once(derived.clone()).chain(numbered);
        names.find(|name| !self.all().has(name)).expect("there is always another number")
    }

    fn holder_of(&self, url: &ArticleUrl, request: &Request) -> Result<ArticleName, Refusal> {
        if let Some(article) = self.requested_before(url, request) {
            return Ok(article);
        }
        let said = self.all().said_at(&url.key, request.at);
        let first = || self.all().said(&url.key).into_iter().rev().min_by_key(|said| said.since);
        said.or_else(first).map(|said| said.article).ok_or(Refusal::UnknownUrl)
    }

    /// The article at which the same request was carried out, of those to which the URL ever led.
    fn requested_before(&self, url: &ArticleUrl, request: &Request) -> Option<ArticleName> {
        let asked = request.request.as_ref()?;
        let said = self.all().said(&url.key);
        if said.iter().all(|other| other.leads && other.until.is_none() && other.article == said[0].article) {
            return None; // There is only one, which is found anyway.
        }
        let carried_out = |article: &ArticleName| {
            let mut records = self.all().of(article).map(|(_, record)| &record.request);
            records.any(|known| known.as_ref() == Some(asked))
        };
        said.into_iter().map(|said| said.article).find(carried_out)
    }

    /// The first reply to a request id that the article knows; an error if the request differs.
    fn replayed(&self, article: &ArticleName, request: &Request) -> Result<Option<Answer>, Refusal> {
        let Some((id, words)) = &request.request else { return Ok(None) };
        let mut known = self.all().of(article).map(|(_, record)| record);
        let before = known.find(|record| record.request.as_ref().is_some_and(|(known, _)| known == id));
        match before {
            None => Ok(None),
            Some(before) if before.request.as_ref().is_some_and(|(_, known)| known == words) => {
                Ok(Some(Answer { replayed: true, ..before.answer.clone() }))
            }
            Some(_) => Err(Refusal::RequestIdReused),
        }
    }

    fn check_expected(&self, article: &ArticleName, request: &Request) -> Result<(), Refusal> {
        let Some(expected) = &request.expected else { return Ok(()) };
        let newest = self.all().observed_at(article, None).map(|newest| newest.revision);
        let last_edit = self.all().last_edit(article);
        let holds = match (expected, newest) {
            (Expected::Absent, None) => true,
            (Expected::Absent, Some(_)) => return Err(Refusal::ArticleExists),
            (Expected::State(_) | Expected::Revision(_), None) => return Err(Refusal::UnknownArticle),
            (Expected::State(state), Some(newest)) => *state == Some((newest, last_edit)),
            (Expected::Revision(number), Some(newest)) => *number == newest,
        };
        if holds { Ok(()) } else { Err(Refusal::RevisionConflict(newest.unwrap_or_default())) }
    }

    fn existing(&self, article: &ArticleName) -> Result<(), Refusal> {
        if self.all().has(article) { Ok(()) } else { Err(Refusal::UnknownArticle) }
    }

    /// Decides what an observation does, apart from its URLs. Returns whether it is recorded.
    fn observe(
        &self,
        text: Text,
        coalesce_within: i64,
        original: Option<u8>,
        record: &mut Record,
    ) -> Result<bool, Refusal> {
        let (known, at) = (self.all(), record.at);
        let has_id = record.request.is_some();
        let observed = known.observations(&record.article);
        if let Some(recorded) = observed.iter().find(|observed| observed.at == at && observed.text == text) {
            record.revision = Some(recorded.revision);
            if has_id {
                record.kind = LogKind::Repeated;
            }
            return Ok(has_id);
        }
        if let Some(mark) = known.mark_at(&record.article, Some(at)).filter(|mark| mark.withdrawn) {
            return Err(Refusal::Withdrawn(mark.at));
        }
        let before: Option<&Sighted> = observed.iter().rfind(|observed| observed.at <= at);
        let next = observed.iter().map(|observed| observed.at).find(|next| *next > at);
        // Of several observations at that instant, the one in force.
        let after = next.and_then(|next| known.observed_at(&record.article, Some(next)));
        if let Some(before) = before.filter(|before| before.text == text)
            && !has_id
            && coalesce_within > 0
            && at.micros_since(before.at) <= coalesce_within
            && known.missing_at(&record.article, Some(at)).is_none()
        {
            return Ok(false);
        }
        let confirmed =
            before.filter(|before| before.text == text).or(after.as_ref().filter(|after| after.text == text));
        record.text = Some(text);
        if let Some(confirmed) = confirmed {
            record.kind = LogKind::Sighted;
            record.revision = Some(confirmed.revision);
            return Ok(true);
        }
        let count = known.revision_count(&record.article);
        record.kind = if count == 0 { LogKind::Created } else { LogKind::Revised };
        record.revision = Some(count + 1);
        record.original = original;
        if let Some(before) = before {
            let (base, target) = (support::content(before.text), support::content(text));
            record.word_delta = Some(word_delta(&base, &target));
            record.changed_parts = changed_parts(&base, &target);
        }
        record.answer.outcome = if count == 0 { Outcome::Created } else { Outcome::Revised };
        Ok(true)
    }

    /// A URL is recorded unless it leads to this article at that time, or belongs to another one.
    fn bind(&self, urls: &[ArticleUrl], record: &mut Record) {
        for url in urls {
            match self.all().claim(&url.key, record.at) {
                Claim::Leads(other) | Claim::Next(other) if other != record.article => {
                    record.answer.foreign_urls.push((url.original.clone(), other));
                }
                Claim::Leads(_) => {}
                Claim::Next(_) | Claim::Ended | Claim::Unknown => {
                    let until = self.all().end_of(&url.key, &record.article, record.at);
                    record.urls.push((url.clone(), until));
                }
            }
        }
    }

    /// A state change to a state that was set at exactly this time before is a repetition. A state change before
    /// the article's first observation is rejected.
    fn mark(&self, withdrawn: bool, reason: &str, record: &mut Record) -> Result<bool, Refusal> {
        let first = self.all().observations(&record.article).first().map(|first| first.at);
        if let Some(first) = first.filter(|first| record.at < *first) {
            return Err(Refusal::StateTooEarly(first));
        }
        let kind = if withdrawn { LogKind::Withdrawn } else { LogKind::Reinstated };
        let marks = self.all().marks(&record.article);
        let recorded = marks.iter().any(|mark| mark.at == record.at && mark.withdrawn == withdrawn);
        reason.clone_into(&mut record.reason);
        if recorded {
            record.kind = LogKind::StateRepeated;
            return Ok(record.request.is_some());
        }
        record.kind = kind;
        record.answer.outcome = Outcome::Revised;
        Ok(true)
    }

    /// An absence is a repetition if one with the same reason and status was recorded at exactly this time. It is
    /// coalesced only if the article is gone without it.
    fn miss(&self, look: AbsenceLook, coalesce_within: i64, record: &mut Record) -> Result<bool, Refusal> {
        let (known, at) = (self.all(), record.at);
        let first = known.observations(&record.article).first().map(|first| first.at);
        if let Some(first) = first.filter(|first| at < *first) {
            return Err(Refusal::StateTooEarly(first));
        }
        let has_id = record.request.is_some();
        let before = known.missing_at(&record.article, Some(at)).filter(|before| before.is_gone);
        if !has_id
            && coalesce_within > 0
            && before.is_some_and(|before| at.micros_since(before.last) <= coalesce_within)
        {
            return Ok(false);
        }
        record.absence = Some(look);
        let is_same = |other: AbsenceLook| (other.reason, other.http_status) == (look.reason, look.http_status);
        let looks = known.looks(&record.article);
        if looks.iter().any(|other| other.at == at && other.missing.is_some_and(is_same)) {
            record.kind = LogKind::AbsenceRepeated;
            return Ok(has_id);
        }
        record.kind = LogKind::Absent;
        record.answer.outcome = Outcome::Revised;
        Ok(true)
    }

    /// Completes the reply with the revision in force at the observe time of the write.
    fn complete(&self, record: &mut Record) {
        let in_force = self.all().observed_at(&record.article, Some(record.at)).map(|observed| observed.revision);
        let revision = record.text.and(record.revision).or(in_force).unwrap();
        record.answer.revision = revision;
        if let Some((seq, _)) = self.all().made(&record.article, revision) {
            record.answer.made = seq;
        }
    }
}
