//! Which content an article is expected to have once the operations that were prepared for it are carried out.
//!
//! An import sends the revisions of an article one after the other, and many of them before the first is durable. So
//! the durable head says little about what the next one follows:
//!
//! ```text
//!  durable │ queued          │ being prepared
//! ─────────┼─────────────────┼────────────────▶ order of arrival
//!  rev. 1  │ rev. 2   rev. 3 │ rev. 4: follows 3
//! ```
//!
//! A forecast is a guess. Operations may be rejected, or others may come between them; then the writer thread finds
//! that the content is another one, and does the work of [`super::prepare`] again. Forecasts are bounded in memory, and
//! any of them may be missing.

use bytes::Bytes;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use std::collections::HashMap;

use crate::archive::decide::decision::{Decision, ObservationCandidate, decide, digest_of};
use crate::archive::read::cache::HeadEntry;
use crate::archive::read::candidates;
use crate::archive::read::reader::{ReadError, Reader};
use crate::archive::request::PreparedContent;
use crate::archive::write::prepare::{Observed, Plan};
use crate::model::{ArticleName, ContentDigest, Seq, Timestamp};
use crate::store::base_choice::Candidate;
use crate::store::content::DEPTH_LIMIT;
use crate::store::head::RecentContent;

/// The memory that the forecasts of an archive may take, in bytes. The contents of queued imports are most of it, and
/// are shared with the queue.
const BYTES_MAX: u64 = 16 << 20;
/// The number of articles that this is enough for, at about 10 KB each.
const ARTICLES: usize = 1_600;

/// The forecasts of all imports of an archive, by article.
pub(crate) struct Forecasts(Cache<ArticleName, Forecast, ForecastWeighter>);

impl Default for Forecasts {
    fn default() -> Self {
        Self(Cache::with_weighter(ARTICLES, BYTES_MAX, ForecastWeighter))
    }
}

#[derive(Clone)]
struct ForecastWeighter;

impl Weighter<ArticleName, Forecast> for ForecastWeighter {
    fn weight(&self, _: &ArticleName, forecast: &Forecast) -> u64 {
        let contents =
            [&forecast.newest, &forecast.latest].into_iter().filter_map(|expected| expected.content.as_ref());
        400 + contents.map(|content| content.len() as u64).sum::<u64>()
    }
}

/// What is expected of an article.
#[derive(Clone)]
struct Forecast {
    /// The content in force at the end of the observe axis.
    newest: ExpectedContent,
    /// When that is observed last.
    newest_time: Timestamp,
    /// The content that is recorded last, which the next one is packed against.
    latest: ExpectedContent,
    /// The depth of `latest`.
    depth: u32,
}

#[derive(Clone)]
struct ExpectedContent {
    digest: ContentDigest,
    /// The change that it is stored with; `None` if it is queued.
    seq: Option<Seq>,
    /// `None` if it has not been read. A queued one has it.
    content: Option<Bytes>,
}

/// A content that was read, or is queued.
#[derive(Clone)]
pub(super) struct KnownContent {
    pub(super) seq: Option<Seq>,
    pub(super) content: Bytes,
}

impl From<KnownContent> for PreparedContent {
    fn from(known: KnownContent) -> Self {
        known.seq.map_or(Self::Queued(known.content), Self::Recorded)
    }
}

/// A content to pack another one against.
pub(super) struct PlannedBase {
    pub(super) known: KnownContent,
    /// How many contents must be read before it, as far as can be foreseen.
    pub(super) depth: u32,
}

/// Plans the preparation of operations that are about to be queued, in their order.
pub(super) struct Planner<'a> {
    reader: Reader<'a>,
    forecasts: Option<&'a Forecasts>,
    /// What the operations that are planned lead to.
    planned: HashMap<ArticleName, Forecast>,
}

impl<'a> Planner<'a> {
    pub(super) fn new(reader: Reader<'a>, forecasts: Option<&'a Forecasts>) -> Self {
        Self { reader, forecasts, planned: HashMap::new() }
    }

    /// Keeps what is expected after the planned operations.
    pub(super) fn finish(self) {
        let Some(forecasts) = self.forecasts else { return };
        for (name, forecast) in self.planned {
            forecasts.0.insert(name, forecast);
        }
    }

    /// Plans the next operation; `None` if nothing is to be prepared: the observation is expected to store no content,
    /// or what it follows is unknown.
    pub(super) fn plan(&mut self, observed: &Observed) -> Result<Option<Plan>, ReadError> {
        let own = ExpectedContent::of(observed);
        let mut forecast = match self.forecast(&observed.name)? {
            Expected::Nothing => {
                let newest_time = observed.observe_time;
                self.expect(observed, Forecast { newest: own.clone(), newest_time, latest: own, depth: 0 });
                return Ok(Some(Plan::new(observed, None, Vec::new(), None)));
            }
            Expected::Unknown => return Ok(None),
            Expected::Content(forecast) => forecast,
        };
        let is_newest = observed.observe_time >= forecast.newest_time;
        if is_newest && forecast.newest.digest == observed.digest {
            forecast.newest_time = observed.observe_time;
            self.expect(observed, forecast);
            return Ok(None); // It will be a sighting, which stores no content.
        }
        let is_tie_with_recorded = observed.observe_time == forecast.newest_time && forecast.newest.seq.is_some();
        let before = if is_newest && !is_tie_with_recorded {
            Some(self.load(&mut forecast.newest)?)
        } else {
            match self.late(observed)? {
                Late::StoresNothing => return Ok(None),
                Late::Follows(before) => before,
            }
        };
        if forecast.latest.digest == forecast.newest.digest && forecast.latest.seq == forecast.newest.seq {
            forecast.latest.content = forecast.newest.content.clone().or(forecast.latest.content);
        }
        let base = PlannedBase { known: self.load(&mut forecast.latest)?, depth: forecast.depth };
        forecast.depth = if forecast.depth + 1 < DEPTH_LIMIT { forecast.depth + 1 } else { 0 };
        forecast.latest = own.clone();
        if is_newest {
            (forecast.newest, forecast.newest_time) = (own, observed.observe_time);
        }
        self.expect(observed, forecast);
        let others = base.known.seq.map(|seq| self.before_latest(&observed.name, seq)).unwrap_or_default();
        Ok(Some(Plan::new(observed, Some(base), others, before)))
    }

    /// The recent contents before the latest one, which is stored with the change at `latest`.
    fn before_latest(&self, name: &ArticleName, latest: Seq) -> Vec<Candidate> {
        let head = self.reader.cached_head(name).map(|entry| entry.head);
        let head = head.filter(|head| head.recent.last().is_some_and(|recent| recent.seq == latest));
        head.map(|head| candidates::before_latest(&head, |seq| self.reader.cached_content(seq))).unwrap_or_default()
    }

    fn expect(&mut self, observed: &Observed, forecast: Forecast) {
        self.planned.insert(observed.name.clone(), forecast);
    }

    /// What is expected of an article before the next operation.
    fn forecast(&self, name: &ArticleName) -> Result<Expected, ReadError> {
        if let Some(planned) = self.planned.get(name) {
            return Ok(Expected::Content(planned.clone()));
        }
        if let Some(forecast) = self.forecasts.and_then(|forecasts| forecasts.0.get(name)) {
            // If the article has come this far, its head says more. It may have come there in another way.
            let head = self.reader.cached_head(name);
            if head.is_none_or(|entry| entry.head.latest_observe_time < forecast.newest_time) {
                return Ok(Expected::Content(forecast));
            }
        }
        match self.reader.head(name)? {
            None => Ok(Expected::Nothing),
            Some(entry) => self.recorded(&entry),
        }
    }

    /// What a durable head says.
    fn recorded(&self, entry: &HeadEntry) -> Result<Expected, ReadError> {
        let Some(RecentContent { seq: latest, depth, .. }) = entry.head.recent.last().copied() else {
            return Ok(Expected::Unknown);
        };
        let newest_time = entry.head.latest_observe_time;
        let Some(newest) = self.created(entry.head.newest.created_seq)? else { return Ok(Expected::Unknown) };
        let latest = if newest.seq == Some(latest) { Some(newest.clone()) } else { self.created(latest)? };
        let Some(latest) = latest else { return Ok(Expected::Unknown) };
        Ok(Expected::Content(Forecast { newest, newest_time, latest, depth }))
    }

    /// The content that a durable change created.
    fn created(&self, seq: Seq) -> Result<Option<ExpectedContent>, ReadError> {
        let change = self.reader.change(seq)?;
        let new_revision = change.entry.new_revision.as_ref();
        Ok(new_revision.map(|revision| ExpectedContent { digest: revision.digest, seq: Some(seq), content: None }))
    }

    fn load(&self, expected: &mut ExpectedContent) -> Result<KnownContent, ReadError> {
        let content = match (&expected.content, expected.seq) {
            (Some(content), _) => content.clone(),
            (None, seq) => self.reader.content(seq.unwrap_or_default(), expected.digest)?,
        };
        expected.content = Some(content.clone());
        Ok(KnownContent { seq: expected.seq, content })
    }

    /// What an observation between earlier ones does, judged by what the engine has now.
    fn late(&self, observed: &Observed) -> Result<Late, ReadError> {
        let tables = self.reader.tables()?;
        let Some(HeadEntry { article, head }) = self.reader.head(&observed.name)? else {
            return Ok(Late::Follows(None));
        };
        let candidate = ObservationCandidate {
            article,
            head: &head,
            observe_time: observed.observe_time,
            digest: observed.digest,
            coalesce_within_micros: observed.coalesce_within_micros,
        };
        // The engine may have a part of a commit that fails. What is damaged is for the writer thread to find.
        let before = match decide(&tables, &candidate) {
            Ok(Decision::New { before: Some(before) }) => before.created_seq,
            Ok(Decision::New { before: None }) | Err(_) => return Ok(Late::Follows(None)),
            Ok(_) => return Ok(Late::StoresNothing),
        };
        let Ok(digest) = digest_of(&tables, before) else { return Ok(Late::Follows(None)) };
        let content = self.reader.content(before, digest).ok();
        Ok(Late::Follows(content.map(|content| KnownContent { seq: Some(before), content })))
    }
}

impl ExpectedContent {
    fn of(observed: &Observed) -> Self {
        Self { digest: observed.digest, seq: None, content: Some(observed.bytes.clone()) }
    }
}

/// What is expected of an article before an operation.
enum Expected {
    /// It does not exist.
    Nothing,
    Content(Forecast),
    /// What it contains cannot be determined.
    Unknown,
}

/// What is expected of an observation between earlier ones.
enum Late {
    /// It stores no content.
    StoresNothing,
    /// It is a new revision after this content; `None` if it is the first on the observe axis, or what it follows is
    /// unknown.
    Follows(Option<KnownContent>),
}
