//! Addresses: which article an address belongs to at an observe time, and moving it to another one.
//!
//! An address leads to an article over a period of the observe axis. An observation of the article at the address
//! begins the period; moving the address to another article, or ending it, ends the period. A late observation
//! therefore goes to the article that had the address at its time:
//!
//! ```text
//!      A ├───────────────┤                 B ├──────────▶
//! ──?────┴───────?───────┴────────?──────────┴─────?────▶ observe time
//!   A            A       ended    B, from here     B
//! ```
//!
//! Where nothing is known of it yet, or it has ended, an address belongs to the article that it leads to next. If there
//! is no such article, an observation there is of a new one, although the name derived from the address may be in use.
//!
//! A change that moves an address says over which period, so that nothing has to be decided again when it is replayed.

use crate::archive::decide::decision::ALL;
use crate::archive::decide::{Decider, ExistingArticle, StagedChange, urls};
use crate::archive::error::{ArchiveError, Conflict, Missing};
use crate::archive::project::addresses::{self, LookedUp};
use crate::archive::project::timeline::TimelineReader;
use crate::archive::request::{Action, ArticleTarget, Operation, Outcome, Receipt, UrlMove, Warning};
use crate::model::{
    ArticleId, ArticleKey, ArticleName, ArticleUrl, BoundUrl, Change, ChangeEntry, Content, Limits, LogKind,
    RepeatedMove, RevisionRecord, Seq, SourceId, SourceScope, Timestamp, UrlKey, diff,
};
use crate::store::address::{AddressSteps, Lead, UrlEntry};
use crate::store::head::InForce;
use crate::store::record::created_revision;
use crate::store::{StoreError, content_encoding};

/// The addresses that an observation binds to its article, and those that it cannot bind.
#[derive(Debug, Default)]
pub(crate) struct UrlBindings {
    pub(crate) bound_urls: Vec<BoundUrl>,
    pub(crate) warnings: Vec<Warning>,
}

/// What an address says about an observation of an article at an instant.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Claim {
    /// It leads to this article.
    Leads(ArticleKey),
    /// It leads nowhere yet, and to this article next.
    Next(ArticleKey),
    /// It leads nowhere any more.
    Ended,
    /// Nothing is known of it.
    Unknown,
}

/// A text that an observation adds to an article.
#[derive(Clone, Copy)]
pub(crate) struct NewText<'a> {
    /// The revision that was in force before it at its observe time.
    pub(crate) before: Option<InForce>,
    pub(crate) record: &'a RevisionRecord,
    pub(crate) content: &'a Content,
}

impl Decider<'_> {
    fn claim(&self, url: &UrlKey, at: Timestamp, below: Seq) -> Result<Claim, StoreError> {
        let Some(entry) = self.tables.url_at(url, at, below)? else { return Ok(Claim::Unknown) };
        if entry.leads {
            return Ok(if entry.covers(at) { Claim::Leads(entry.article) } else { Claim::Next(entry.article) });
        }
        let steps = AddressSteps::of(&addresses::entries(&self.tables, url, below)?);
        Ok(match steps.next_lead(at) {
            Some(article) => Claim::Next(article),
            None if entry.covers(at) => Claim::Ended,
            None => Claim::Unknown,
        })
    }

    /// The article to which `url` leads at `at`, or leads next.
    fn claimed_by(&self, url: &UrlKey, at: Timestamp, below: Seq) -> Result<Option<ArticleKey>, StoreError> {
        Ok(match self.claim(url, at, below)? {
            Claim::Leads(article) | Claim::Next(article) => Some(article),
            Claim::Ended | Claim::Unknown => None,
        })
    }

    fn name_of(&self, article: ArticleKey) -> Result<ArticleName, StoreError> {
        Ok(self.tables.existing_head(article)?.name)
    }

    /// The article of `source` that an observation belongs to, by its URLs: see [`ArticleTarget::ByUrl`].
    pub(crate) fn found_by_url(
        &self,
        operation: &Operation,
        source: &SourceId,
        derived: &ArticleName,
    ) -> Result<ArticleName, ArchiveError> {
        let (urls, at) = (urls(operation), operation.observe_time);
        for url in urls {
            if let Some(name) = self.requested_before(operation, url)?
                && name.source == *source
            {
                return Ok(name);
            }
        }
        for url in urls {
            let Some(article) = self.claimed_by(&url.key, at, ALL)? else { continue };
            let name = self.name_of(article)?;
            if name.source == *source {
                return Ok(name);
            }
        }
        match urls.first() {
            Some(url) if self.claim(&url.key, at, ALL)? == Claim::Ended => self.free_name(derived),
            Some(_) | None => Ok(derived.clone()),
        }
    }

    /// The name, or the first of `name-2`, `name-3` and so on that no article has.
    fn free_name(&self, name: &ArticleName) -> Result<ArticleName, ArchiveError> {
        let mut free = name.clone();
        let mut number = 2_u64;
        while self.tables.article(&free, ALL)?.is_some() {
            let article = ArticleId::parse(&format!("{}-{number}", name.article.as_str()));
            free.article = article.map_err(|_| ArchiveError::Internal)?;
            number += 1;
        }
        Ok(free)
    }

    /// The article at which the same request was carried out before. It is one that the address led to at some time,
    /// but need not be the one that it leads to now.
    fn requested_before(&self, operation: &Operation, url: &ArticleUrl) -> Result<Option<ArticleName>, StoreError> {
        let Some((id, digest)) = &operation.request else { return Ok(None) };
        if self.tables.latest_url_entry(&url.key, ALL)?.is_none_or(|latest| latest.is_whole) {
            return Ok(None); // It never led to more than one article, which is found anyway.
        }
        let mut seen = Vec::new();
        for entry in addresses::entries(&self.tables, &url.key, ALL)? {
            if seen.contains(&entry.article) {
                continue;
            }
            seen.push(entry.article);
            let Some(seq) = self.tables.request(entry.article, id)? else { continue };
            let request = self.tables.change(seq)?.and_then(|change| change.entry.request);
            if request.is_some_and(|(_, recorded)| recorded == *digest) {
                return Ok(Some(self.name_of(entry.article)?));
            }
        }
        Ok(None)
    }

    /// The article to which an address leads at the operation's observe time, or led before it ended.
    pub(crate) fn found_by_address(
        &self,
        operation: &Operation,
        url: &ArticleUrl,
    ) -> Result<ArticleName, ArchiveError> {
        if let Some(name) = self.requested_before(operation, url)? {
            return Ok(name);
        }
        let entry = self.tables.url_at(&url.key, operation.observe_time, ALL)?;
        let unknown = || Missing::Url(url.original.clone());
        Ok(self.name_of(entry.ok_or_else(unknown)?.article)?)
    }

    /// The article to which an address leads at the operation's observe time, as a reader finds it.
    pub(crate) fn found_at_url(&self, operation: &Operation, url: &ArticleUrl) -> Result<ArticleName, ArchiveError> {
        if let Some(name) = self.requested_before(operation, url)? {
            return Ok(name);
        }
        let may_be_named = |name: &ArticleName| operation.by.within.has(&name.source);
        match addresses::look_up(&self.tables, &url.key, operation.observe_time, ALL)? {
            LookedUp::Article(article) => Ok(self.name_of(article)?),
            LookedUp::Ended(entry) => {
                let article = self.name_of(entry.article)?;
                if !may_be_named(&article) {
                    return Err(Missing::Url(url.original.clone()).into());
                }
                Err(Missing::UrlEnded { url: url.original.clone(), article, ended: entry.since }.into())
            }
            LookedUp::Unknown => Err(Missing::Url(url.original.clone()).into()),
        }
    }

    /// The URLs that an observation of `article` at `at` binds to it: those that do not lead there yet at that time,
    /// and belong to no other article. `url_count` is how many periods of URLs the article has already. Only articles
    /// within these sources are named.
    pub(crate) fn bind_urls(
        &self,
        article: ArticleKey,
        at: Timestamp,
        urls: &[ArticleUrl],
        mut url_count: u32,
        within: &SourceScope,
    ) -> Result<UrlBindings, StoreError> {
        let mut bindings = UrlBindings::default();
        for url in urls {
            match self.claim(&url.key, at, ALL)? {
                Claim::Leads(other) | Claim::Next(other) if other != article => {
                    let article = Some(self.name_of(other)?).filter(|article| within.has(&article.source));
                    bindings.warnings.push(Warning::UrlBelongsToOther { url: url.original.clone(), article });
                }
                Claim::Leads(_) => {}
                Claim::Next(_) | Claim::Ended | Claim::Unknown => {
                    let (bound, added) = self.binding(article, at, url)?;
                    if added > 0 && url_count >= Limits::ARTICLE_URLS_MAX {
                        bindings.warnings.push(Warning::TooManyUrls { url: url.original.clone() });
                        continue;
                    }
                    url_count += added;
                    bindings.bound_urls.push(bound);
                }
            }
        }
        Ok(bindings)
    }

    /// The binding of an address to `article` from `at` on, until it leads elsewhere, and the number of periods that
    /// this adds to those of the article.
    fn binding(&self, article: ArticleKey, at: Timestamp, url: &ArticleUrl) -> Result<(BoundUrl, u32), StoreError> {
        if self.tables.latest_url_entry(&url.key, ALL)?.is_none() {
            return Ok((BoundUrl { url: url.clone(), until: None, is_whole: true }, 1));
        }
        let until = addresses::end_of_period(&self.tables, &url.key, article, at, ALL)?;
        let seq = self.position.next_seq;
        let entry = UrlEntry { article, leads: true, since: at, until, is_whole: false, seq };
        let is_whole = addresses::is_whole(&self.tables, &url.key, &entry)?;
        let counts = addresses::count_periods(&self.tables, &url.key, &UrlEntry { is_whole, ..entry })?;
        let added = counts.after.saturating_sub(counts.before);
        Ok((BoundUrl { url: url.clone(), until, is_whole }, added))
    }

    /// Removes the URLs that led to another article at some time, or ended.
    pub(crate) fn leave_contested(&self, bound_urls: &mut Vec<BoundUrl>) -> Result<(), StoreError> {
        let mut own = Vec::with_capacity(bound_urls.len());
        for bound in bound_urls.drain(..) {
            if self.tables.latest_url_entry(&bound.url.key, ALL)?.is_none_or(|latest| latest.is_whole) {
                own.push(bound);
            }
        }
        *bound_urls = own;
        Ok(())
    }

    /// A warning for each URL of an observation of `article` that belonged to another one, as known below `below`.
    pub(crate) fn foreign_urls(
        &self,
        operation: &Operation,
        article: ArticleKey,
        below: Seq,
    ) -> Result<Vec<Warning>, StoreError> {
        let mut warnings = Vec::new();
        for url in urls(operation) {
            let claimed_by = self.claimed_by(&url.key, operation.observe_time, below)?;
            if let Some(other) = claimed_by.filter(|other| *other != article) {
                let article = Some(self.name_of(other)?).filter(|article| operation.by.within.has(&article.source));
                warnings.push(Warning::UrlBelongsToOther { url: url.original.clone(), article });
            }
        }
        Ok(warnings)
    }
}

/// Moves of addresses.
impl Decider<'_> {
    /// The operation that must be decided before this one, in the same batch: if it moves an address away from another
    /// article, the end of the address there.
    pub(crate) fn end_before(&self, operation: &Operation) -> Result<Option<Operation>, ArchiveError> {
        let Action::BindUrl(url_move) = &operation.action else { return Ok(None) };
        let (_, Some(ExistingArticle { key: article, .. })) = self.resolve(operation)? else { return Ok(None) };
        if let Some((id, _)) = &operation.request
            && self.tables.request(article, id)?.is_some()
        {
            return Ok(None);
        }
        let (url, at) = (&url_move.url, operation.observe_time);
        let found = self.tables.url_at(&url.key, at, ALL)?.filter(|entry| entry.covers(at) && entry.leads);
        let is_here = found.is_some_and(|entry| entry.article == article);
        if is_here || self.is_move_recorded(&url.key, Lead { article, leads: true }, at)? {
            return Ok(None);
        }
        let leads_to = found.map(|entry| self.name_of(entry.article)).transpose()?;
        if url_move.from.is_some() && url_move.from != leads_to {
            let leads_to = leads_to.filter(|holder| operation.by.within.has(&holder.source));
            return Err(Conflict::UrlElsewhere { url: url.original.clone(), at, leads_to }.into());
        }
        Ok(leads_to.map(|holder| Operation {
            target: ArticleTarget::Named(holder.clone()),
            precondition: None,
            request: None,
            by: operation.by.clone(),
            action: Action::EndUrl(UrlMove { from: Some(holder), ..url_move.clone() }),
            ..*operation
        }))
    }

    /// Lets an address lead to the article from the observe time on. It does not lead elsewhere then:
    /// [`Self::end_before`] was decided before.
    pub(crate) fn bind_url(
        &self,
        operation: &Operation,
        existing: ExistingArticle,
        url_move: &UrlMove,
    ) -> Result<(Receipt, Option<StagedChange>), ArchiveError> {
        let ExistingArticle { key, head } = &existing;
        let (url, at) = (&url_move.url, operation.observe_time);
        if at < head.first_observe_time {
            return Err(Conflict::UrlTooEarly { article: head.name.clone(), first: head.first_observe_time }.into());
        }
        let here = Lead { article: *key, leads: true };
        let found = self.tables.url_at(&url.key, at, ALL)?.filter(|entry| entry.covers(at));
        let is_here = found.is_some_and(|entry| entry.lead() == here);
        if is_here || self.is_move_recorded(&url.key, here, at)? {
            return self.repeat_move(operation, existing, RepeatedMove { url: url.clone(), ended: false });
        }
        if found.is_some_and(|entry| entry.leads) {
            tracing::error!(url = url.original, "an address was to be moved that still leads to another article");
            return Err(ArchiveError::Internal);
        }
        self.check_moves(url)?;
        let (bound, added) = self.binding(*key, at, url)?;
        if added > 0 && head.url_count >= Limits::ARTICLE_URLS_MAX {
            return Err(Conflict::TooManyUrls { article: head.name.clone() }.into());
        }
        let entry = self.entry(operation, *key, &head.name, LogKind::UrlBound, Some(head.latest_seq));
        let entry = ChangeEntry { bound_urls: vec![bound], reason: url_move.reason.clone(), ..entry };
        self.stage_move(operation, existing, entry, Outcome::Revised)
    }

    /// Ends an address that leads to the article at the observe time. If it led there until it ended, and still leads
    /// nowhere then, there is nothing to do.
    pub(crate) fn end_url(
        &self,
        operation: &Operation,
        existing: ExistingArticle,
        url_move: &UrlMove,
    ) -> Result<(Receipt, Option<StagedChange>), ArchiveError> {
        let ExistingArticle { key, head } = &existing;
        let (url, at) = (&url_move.url, operation.observe_time);
        let found = self.tables.url_at(&url.key, at, ALL)?.filter(|entry| entry.covers(at));
        let ended = Lead { article: *key, leads: false };
        let is_over = found.is_some_and(|entry| entry.lead() == ended);
        if is_over || (url_move.from.is_none() && self.is_move_recorded(&url.key, ended, at)?) {
            return self.repeat_move(operation, existing, RepeatedMove { url: url.clone(), ended: true });
        }
        let leads = found.filter(|entry| entry.leads);
        if leads.is_none_or(|entry| entry.article != *key) {
            let leads_to = leads.map(|entry| self.name_of(entry.article)).transpose()?;
            let leads_to = leads_to.filter(|holder| operation.by.within.has(&holder.source));
            return Err(Conflict::UrlElsewhere { url: url.original.clone(), at, leads_to }.into());
        }
        self.check_moves(url)?;
        let until = addresses::end_of_period(&self.tables, &url.key, *key, at, ALL)?;
        let ended_urls = vec![BoundUrl { url: url.clone(), until, is_whole: false }];
        let entry = self.entry(operation, *key, &head.name, LogKind::UrlEnded, Some(head.latest_seq));
        let entry = ChangeEntry { ended_urls, reason: url_move.reason.clone(), ..entry };
        self.stage_move(operation, existing, entry, Outcome::Revised)
    }

    /// Rejects a change of an address that was moved as often as is allowed: each move reads all that is known of it.
    fn check_moves(&self, url: &ArticleUrl) -> Result<(), ArchiveError> {
        let entries = addresses::entries(&self.tables, &url.key, ALL)?;
        if addresses::count_changes(&entries) >= Limits::URL_CHANGES_MAX {
            return Err(Conflict::TooManyMoves { url: url.original.clone() }.into());
        }
        Ok(())
    }

    /// A move that had been made. Logged only for its request id.
    fn repeat_move(
        &self,
        operation: &Operation,
        existing: ExistingArticle,
        repeated: RepeatedMove,
    ) -> Result<(Receipt, Option<StagedChange>), ArchiveError> {
        let ExistingArticle { key, head } = &existing;
        let entry = self.entry(operation, *key, &head.name, LogKind::UrlsRepeated, Some(head.latest_seq));
        let entry = ChangeEntry { repeated_move: Some(Box::new(repeated)), ..entry };
        self.stage_move(operation, existing, entry, Outcome::Unchanged)
    }

    fn stage_move(
        &self,
        operation: &Operation,
        ExistingArticle { key, head }: ExistingArticle,
        entry: ChangeEntry,
        outcome: Outcome,
    ) -> Result<(Receipt, Option<StagedChange>), ArchiveError> {
        let step = self.revision_at(key, operation.observe_time)?;
        let created_by = self.tables.creating_change(step.created_seq)?;
        let name = head.name.clone();
        let receipt = self.receipt(operation, name, outcome, &created_by, step.revision, Vec::new());
        if outcome == Outcome::Unchanged && operation.request.is_none() {
            return Ok((receipt, None));
        }
        let staged = self.staged(Some(head), entry, None)?;
        let moved_from = self.moved_from(&staged.change)?;
        Ok((Receipt { moved_from, ..receipt }, Some(staged)))
    }

    /// Whether a move at exactly this time said so before, even if another one said something else there later: as with
    /// contents and states, importing the same changes twice must change nothing.
    fn is_move_recorded(&self, url: &UrlKey, lead: Lead, at: Timestamp) -> Result<bool, StoreError> {
        for entry in addresses::entries(&self.tables, url, ALL)? {
            if entry.lead() != lead || entry.since != at {
                continue;
            }
            // Observations bind addresses too.
            let change = self.tables.change(entry.seq)?;
            if change.is_some_and(|change| matches!(change.entry.kind, LogKind::UrlBound | LogKind::UrlEnded)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The article from which `change` moved an address away. If it did, the change before it, in the same batch, is
    /// the end there.
    pub(crate) fn moved_from(&self, change: &Change) -> Result<Option<ArticleName>, StoreError> {
        let (LogKind::UrlBound, Some(before)) = (change.entry.kind, change.seq.previous()) else { return Ok(None) };
        let Some(bound) = change.entry.bound_urls.first() else { return Ok(None) };
        let before = self.tables.change(before)?.map(|before| before.entry).filter(|before| {
            let mut ended = before.ended_urls.iter();
            let is_of_batch = before.batch_first == change.entry.batch_first;
            let is_same_time = before.observe_time == change.entry.observe_time;
            is_of_batch && is_same_time && ended.any(|ended| ended.url.key == bound.url.key)
        });
        Ok(before.map(|before| before.name))
    }
}

/// Addresses that publishers use again for another text.
impl Decider<'_> {
    /// A warning if an observation that found `article` by a URL brings a text that is wholly different from the one
    /// before, while the article's own address is another one. Everything is taken as known below `below`.
    pub(crate) fn reused_url(
        &self,
        operation: &Operation,
        article: ArticleKey,
        found: NewText<'_>,
        below: Seq,
    ) -> Result<Option<Warning>, ArchiveError> {
        let (Some(before), Some(delta)) = (found.before, found.record.word_delta) else { return Ok(None) };
        let Some(url) = self.found_url(operation, article, below)? else { return Ok(None) };
        if self.is_own_address(article, &url.key, below)? {
            return Ok(None);
        }
        let bytes = self.content_bytes(before.created_seq)?;
        let unreadable = || StoreError::damaged_at(before.created_seq, "a content cannot be read");
        let base = content_encoding::from_bytes(&bytes).ok_or_else(unreadable)?;
        if !diff::is_wholly_different(&base, found.content, delta) {
            return Ok(None);
        }
        Ok(Some(Warning::UrlReused { url: url.original.clone(), article: self.name_of(article)? }))
    }

    /// The URL by which the operation found the article; `None` if the operation names it.
    fn found_url<'a>(
        &self,
        operation: &'a Operation,
        article: ArticleKey,
        below: Seq,
    ) -> Result<Option<&'a ArticleUrl>, StoreError> {
        if !matches!(operation.target, ArticleTarget::ByUrl { .. }) {
            return Ok(None);
        }
        for url in urls(operation) {
            if self.claimed_by(&url.key, operation.observe_time, below)? == Some(article) {
                return Ok(Some(url));
            }
        }
        Ok(None)
    }

    /// Whether an address is the article's own: the one that the newest revision declares or, if it declares none, the
    /// first that was recorded.
    fn is_own_address(&self, article: ArticleKey, url: &UrlKey, below: Seq) -> Result<bool, StoreError> {
        let newest = TimelineReader::Stored(self.tables, article).in_force(None, below)?;
        if let Some(newest) = newest {
            let created_by = self.tables.creating_change(newest.created_seq)?;
            let declared = &created_revision(&created_by)?.canonical_url;
            if !declared.is_empty() {
                return Ok(UrlKey::of(declared).is_ok_and(|declared| declared == *url));
            }
        }
        let Some(first) = self.tables.url_changes(article, below).next().transpose()? else { return Ok(false) };
        let first = self.tables.change(first)?;
        Ok(first.is_some_and(|first| first.entry.bound_urls.first().is_some_and(|first| first.url.key == *url)))
    }
}
