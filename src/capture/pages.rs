//! Archives web pages: fetches them, extracts their articles, and records the observations.
//!
//! If the archive knows a URL, the request to its server is conditional on what that server returned last time. A
//! response that nothing has changed saves the transfer of the page and is recorded as a sighting. If the page is
//! missing, that is recorded as an absence; the page of an article that the archive does not know is an error. If only
//! a further address of an article is missing, nothing is recorded: its page may be up.

use std::sync::Arc;

use http::StatusCode;
use url::Url;

use super::own_page::{is_own_page, own_page};
use super::{CaptureError, Captured, PageError, Recorded};
use crate::client::Client;
use crate::clock::Clock;
use crate::fetch::{FetchError, Fetched, Fetcher, NotModified, Page, Redirect, Validators};
use crate::ingest::{self, Document, Format};
use crate::model::{ArticleName, Limits, SourceId, Timestamp};
use crate::wire::{content_to_pb, pb, timestamp_to_pb};

/// Overrides applied to every page of a run, and options for recording it.
#[derive(Clone, Debug, Default)]
pub struct PageOverrides {
    /// The source of the articles; `None` to take that of the known article, of the document or of its site.
    pub source: Option<SourceId>,
    /// The id of the article; `None` to let the archive find it.
    pub article: Option<String>,
    /// Labels to add.
    pub labels: Vec<String>,
    /// The language of the articles, as a BCP 47 tag; `None` to take the one that the page states.
    pub language: Option<String>,
    /// Further URLs of the article.
    pub urls: Vec<String>,
    /// Whether the page's bytes become the revision's original.
    pub keep_original: bool,
    /// How many looks in a row that find the page missing make the article gone; `None` for 3, or 1 if the site says
    /// that the page was removed permanently.
    pub gone_after: Option<u32>,
    /// The condition under which the observation is recorded.
    pub precondition: Option<pb::Precondition>,
    /// The request id; empty for none.
    pub request_id: String,
    /// Whether the archive only validates, and records nothing.
    pub dry_run: bool,
}

/// Fetches and archives pages.
pub struct Pages<'a> {
    client: &'a Client,
    fetcher: Fetcher,
    overrides: PageOverrides,
    clock: Arc<dyn Clock>,
}

impl<'a> Pages<'a> {
    /// Applies `overrides` to every page. A page is observed at the time of `clock` when it was fetched.
    pub fn new(client: &'a Client, fetcher: Fetcher, overrides: PageOverrides, clock: Arc<dyn Clock>) -> Self {
        Self { client, fetcher, overrides, clock }
    }

    /// The fetcher of these pages, which limits the requests to one host.
    pub fn fetcher(&self) -> &Fetcher {
        &self.fetcher
    }

    /// Fetches and archives the page at `address`. `before` is the article that the URL is known to belong to, used if
    /// the archive does not know the URL.
    pub async fn archive(&self, address: &Url, before: Option<&ArticleName>) -> Result<Captured, CaptureError> {
        let known = self.known(address).await?;
        let validators = known.as_ref().and_then(validators);
        let fetched = match (self.fetcher.fetch(address, validators.as_ref()).await, &known) {
            (Ok(fetched), _) => fetched,
            (Err(error), Some(known)) => match MissingPage::of_error(&error) {
                Some(missing) => return self.miss(known, address, missing).await,
                None => return Err(error.into()),
            },
            (Err(error), None) => return Err(error.into()),
        };
        match fetched {
            Fetched::NotModified(unchanged) => {
                let known = known.unwrap_or_default();
                self.record(sighting(known, &unchanged, self.clock.now()), Captured::default()).await
            }
            Fetched::Page(page) => {
                if leads_to_front_page(address, &page) {
                    let known = known.filter(|_| ingest::site(address) == ingest::site(&page.url));
                    let front_page = || PageError::FrontPage { url: page.url.to_string() };
                    let missing = MissingPage::at_front_page(&page);
                    return self.miss(&known.ok_or_else(front_page)?, address, missing).await;
                }
                let observed = self.clock.now();
                let document = read(&page, observed)?;
                let name = known.and_then(|known| ArticleName::parse(&known.name).ok());
                let request = self.request(&page, &document, name.as_ref().or(before), observed)?;
                let notes =
                    page.redirects.iter().find(|hop| hop.is_downgrade()).map(downgrade_note).into_iter().collect();
                self.record(request, Captured { notes, ..Captured::of(&document) }).await
            }
        }
    }

    /// Archives a document that did not come from a page of its own, such as a feed entry. An article that was fetched
    /// as a page before is left unchanged: what a feed says of it is shorter than the page, or different.
    pub async fn archive_document(
        &self,
        document: Document,
        address: Option<&Url>,
        before: Option<&ArticleName>,
    ) -> Result<Captured, CaptureError> {
        let known = match address {
            Some(address) => self.known(address).await?,
            None => None,
        };
        let name = known.as_ref().and_then(|known| ArticleName::parse(&known.name).ok());
        if let Some(page) = known.filter(was_fetched) {
            return Ok(unchanged_page(page));
        }
        // The archive takes precedence over the state file.
        let before = name.as_ref().or(before);
        let source = self.source(&document, before, address)?;
        let remarks = Captured::of(&document);
        let request = pb::RecordObservationRequest {
            parent: source.to_string(),
            article_id: self.article_id(before),
            content: Some(content_to_pb(&document.content)),
            observe_time: document.observe_time.map(timestamp_to_pb),
            urls: address.map(Url::to_string).into_iter().chain(document.urls).collect(),
            labels: document.labels,
            ..pb::RecordObservationRequest::default()
        };
        self.record(request, remarks).await
    }

    /// The newest state of the article that has this URL, with its text.
    async fn known(&self, address: &Url) -> Result<Option<pb::Article>, CaptureError> {
        let request =
            pb::LookupArticleRequest { url: address.to_string(), view: FULL, ..pb::LookupArticleRequest::default() };
        let found = match self.client.archive.clone().lookup_article(request).await {
            Ok(found) => found.into_inner(),
            Err(status) if status.code() == tonic::Code::NotFound => return Ok(None),
            Err(status) => return Err(status.into()),
        };
        Ok(found.article.filter(|article| self.is_wanted(&article.name)))
    }

    /// Whether this run may write to an article, given the source and the article id in the overrides.
    fn is_wanted(&self, name: &str) -> bool {
        let Ok(name) = ArticleName::parse(name) else { return false };
        self.overrides.source.as_ref().is_none_or(|source| *source == name.source)
            && self.overrides.article.as_ref().is_none_or(|article| article == name.article.as_str())
    }

    /// Builds the request that records a page.
    fn request(
        &self,
        page: &Page,
        document: &Document,
        known: Option<&ArticleName>,
        observed: Timestamp,
    ) -> Result<pb::RecordObservationRequest, CaptureError> {
        let source = self.source(document, known, Some(&page.url))?;
        let urls = each_once(addresses(&page.url, &page.redirects).chain(document.urls.iter().cloned()));
        let original = self.overrides.keep_original.then(|| pb::Original {
            media_type: media_type(page.content_type.as_deref(), page.charset.as_deref()),
            data: page.body.clone(),
            ..pb::Original::default()
        });
        Ok(pb::RecordObservationRequest {
            parent: source.to_string(),
            article_id: self.article_id(known),
            content: Some(content_to_pb(&document.content)),
            observe_time: Some(timestamp_to_pb(observed)),
            urls,
            original,
            fetch: Some(fetch(&page.url, page.validators.as_ref())),
            labels: document.labels.clone(),
            ..pb::RecordObservationRequest::default()
        })
    }

    /// The source of a document: the one given, that of the known article, the one that the document states, or the
    /// site.
    fn source(
        &self,
        document: &Document,
        known: Option<&ArticleName>,
        url: Option<&Url>,
    ) -> Result<SourceId, CaptureError> {
        let stated = self.overrides.source.clone().or_else(|| known.map(|known| known.source.clone()));
        Ok(source_of(stated, document, url)?)
    }

    /// The id of the article as given or known; empty to let the server find it.
    fn article_id(&self, known: Option<&ArticleName>) -> String {
        let known = known.map(|known| known.article.as_str().to_owned());
        self.overrides.article.clone().or(known).unwrap_or_default()
    }

    /// Applies the overrides, and records the observation. `remarks` are those on the document.
    async fn record(
        &self,
        mut request: pb::RecordObservationRequest,
        remarks: Captured,
    ) -> Result<Captured, CaptureError> {
        if let Some((content, language)) = request.content.as_mut().zip(self.overrides.language.as_ref()) {
            content.language.clone_from(language);
        }
        request.labels.extend(self.overrides.labels.iter().cloned());
        request.urls.extend(self.overrides.urls.iter().cloned());
        request.precondition = self.overrides.precondition.clone();
        request.request_id.clone_from(&self.overrides.request_id);
        request.validate_only = self.overrides.dry_run;
        let response = self.client.archive.clone().record_observation(request).await?.into_inner();
        Ok(Captured { recorded: Recorded::Observation(Box::new(response)), ..remarks })
    }

    /// Records that the page at `address` is missing, if it is that of the archived article `known`, which has this
    /// URL.
    async fn miss(&self, known: &pb::Article, address: &Url, missing: MissingPage) -> Result<Captured, CaptureError> {
        let now = self.clock.now();
        // An address that redirects to the page finds what is there.
        let end = Some(missing.fetch.url.as_str()).filter(|_| missing.reason != pb::AbsenceReason::Redirected);
        if is_own_page(known, &[address.as_str(), end.unwrap_or_default()], now) {
            return self.record_absence(known, missing).await;
        }
        let mut article = known.clone();
        if let Some(content) = article.revision.as_mut().and_then(|revision| revision.content.as_mut()) {
            content.blocks.clear();
        }
        let note = further_address_note(own_page(known, now));
        Ok(Captured { recorded: Recorded::Nothing(Box::new(article)), notes: vec![note], ..Captured::default() })
    }

    /// Records that the page of an archived article is missing.
    async fn record_absence(&self, known: &pb::Article, missing: MissingPage) -> Result<Captured, CaptureError> {
        let default = u32::from(missing.reason == pb::AbsenceReason::Gone);
        let request = pb::RecordAbsenceRequest {
            target: Some(pb::record_absence_request::Target::Name(known.name.clone())),
            observe_time: Some(timestamp_to_pb(self.clock.now())),
            reason: missing.reason.into(),
            http_status: missing.http_status,
            fetch: Some(missing.fetch),
            // 0 lets the archive choose.
            gone_after: self.overrides.gone_after.unwrap_or(default),
            precondition: self.overrides.precondition.clone(),
            request_id: self.overrides.request_id.clone(),
            validate_only: self.overrides.dry_run,
            ..pb::RecordAbsenceRequest::default()
        };
        let response = self.client.archive.clone().record_absence(request).await?.into_inner();
        Ok(Captured { recorded: Recorded::Absence(Box::new(response)), ..Captured::default() })
    }
}

/// A response that says that a page is missing.
struct MissingPage {
    reason: pb::AbsenceReason,
    http_status: u32,
    fetch: pb::Fetch,
}

impl MissingPage {
    /// `None` if the error says nothing about whether there is a page.
    fn of_error(error: &FetchError) -> Option<Self> {
        let FetchError::Status { url, code, .. } = error else { return None };
        let reason = match *code {
            StatusCode::NOT_FOUND => pb::AbsenceReason::NotFound,
            StatusCode::GONE => pb::AbsenceReason::Gone,
            _ => return None,
        };
        let fetch = pb::Fetch { url: url.clone(), ..pb::Fetch::default() };
        Some(Self { reason, http_status: code.as_u16().into(), fetch })
    }

    /// The page leads to the front page of its site. The status is that of the first redirect.
    fn at_front_page(page: &Page) -> Self {
        let http_status = page.redirects.first().map_or(0, |hop| hop.status.as_u16().into());
        let fetch = pb::Fetch { url: page.url.to_string(), ..pb::Fetch::default() };
        Self { reason: pb::AbsenceReason::Redirected, http_status, fetch }
    }
}

/// The source of a document: `stated`, or what the document states, or the site of its URL.
pub(super) fn source_of(
    stated: Option<SourceId>,
    document: &Document,
    url: Option<&Url>,
) -> Result<SourceId, PageError> {
    let said = || SourceId::parse(document.source.as_deref()?).ok();
    let site = || SourceId::parse(&ingest::site(url?)?).ok();
    stated.or_else(said).or_else(site).ok_or(PageError::NoSource)
}

const FULL: i32 = pb::ArticleView::Full as i32;

/// The validators for a conditional request: those that came with the newest content in the archive.
fn validators(known: &pb::Article) -> Option<Validators> {
    let pb::Fetch { url, etag, last_modified } = known.latest_fetch.clone()?;
    let said = |text: String| Some(text).filter(|text| !text.is_empty());
    Some(Validators { url: Url::parse(&url).ok()?, etag: said(etag), last_modified: said(last_modified) })
}

/// Whether the text in force was fetched as a page. A change of labels or URLs after that has no fetch of its own.
fn was_fetched(known: &pb::Article) -> bool {
    known.latest_fetch.is_some() || known.revision.as_ref().is_some_and(|revision| revision.fetch.is_some())
}

/// The outcome for an article that was fetched as a page before: unchanged.
fn unchanged_page(article: pb::Article) -> Captured {
    let response = pb::RecordObservationResponse {
        revision: article.revision,
        outcome: pb::ObservationOutcome::Unchanged.into(),
        ..pb::RecordObservationResponse::default()
    };
    Captured { recorded: Recorded::Observation(Box::new(response)), ..Captured::default() }
}

/// Builds the request that records a sighting of the unchanged page.
fn sighting(known: pb::Article, unchanged: &NotModified, observed: Timestamp) -> pb::RecordObservationRequest {
    let (parent, article_id) = known.name.rsplit_once("/articles/").unwrap_or_default();
    pb::RecordObservationRequest {
        parent: parent.to_owned(),
        article_id: article_id.to_owned(),
        content: known.revision.and_then(|revision| revision.content),
        observe_time: Some(timestamp_to_pb(observed)),
        urls: each_once(addresses(&unchanged.url, &unchanged.redirects)),
        fetch: Some(fetch(&unchanged.url, Some(&unchanged.validators))),
        ..pb::RecordObservationRequest::default()
    }
}

/// All URLs of a page: its own, and those that redirected to it.
fn addresses(url: &Url, redirects: &[Redirect]) -> impl Iterator<Item = String> {
    [url.to_string()].into_iter().chain(redirects.iter().map(|hop| hop.from.to_string()))
}

/// Anyone on the network path may have changed a page that came without TLS.
fn downgrade_note(hop: &Redirect) -> String {
    format!("{} redirects from https to http; the page was fetched without encryption", hop.from)
}

fn further_address_note(own: Option<&pb::ArticleUrl>) -> String {
    let missing = "it is missing, but it is not the address of the article's page, so nothing was recorded";
    match own {
        Some(own) => format!("{missing}; look at {}", own.url),
        None => missing.to_owned(),
    }
}

/// Whether the page redirects to the front page of a site, which usually means that the article is gone. The front page
/// must not become the article's next revision.
fn leads_to_front_page(address: &Url, page: &Page) -> bool {
    ingest::is_front_page(&page.url) && !ingest::is_front_page(address)
}

/// Extracts the document of a page; relative times in it count from the day of `observed`.
fn read(page: &Page, observed: Timestamp) -> Result<Document, CaptureError> {
    let options = ingest::Options {
        format: format_of(page)?,
        reference_date: Some(observed.day()),
        url: Some(page.url.clone()),
        charset: page.charset.clone(),
        ..ingest::Options::default()
    };
    Ok(ingest::read(&page.body, &options)?)
}

/// The format that the server states if it can be read; `None` to detect it from the content.
fn format_of(page: &Page) -> Result<Option<Format>, PageError> {
    match page.content_type.as_deref().unwrap_or_default() {
        "text/html" | "application/xhtml+xml" => Ok(Some(Format::Html)),
        "text/markdown" => Ok(Some(Format::Markdown)),
        "application/rss+xml" | "application/atom+xml" | "application/feed+json" => {
            Err(PageError::Feed { url: page.url.to_string() })
        }
        other if ["image/", "video/", "audio/", "font/"].iter().any(|kind| other.starts_with(kind)) => {
            Err(PageError::NotAPage { media_type: other.to_owned() })
        }
        _ => Ok(None),
    }
}

fn fetch(url: &Url, validators: Option<&Validators>) -> pb::Fetch {
    let etag = validators.and_then(|validators| validators.etag.clone());
    let last_modified = validators.and_then(|validators| validators.last_modified.clone());
    pb::Fetch { url: url.to_string(), etag: etag.unwrap_or_default(), last_modified: last_modified.unwrap_or_default() }
}

/// The media type of a page as the server stated it, with its charset; `text/html` if it stated none.
pub(super) fn media_type(essence: Option<&str>, charset: Option<&str>) -> String {
    let essence = essence.unwrap_or("text/html");
    let text = match charset {
        Some(charset) => format!("{essence}; charset={charset}"),
        None => essence.to_owned(),
    };
    // A header that no archive accepts must not cost the page.
    if text.len() <= Limits::NAME_BYTES_MAX { text } else { "text/html".to_owned() }
}

fn each_once(urls: impl Iterator<Item = String>) -> Vec<String> {
    let mut once = Vec::new();
    urls.for_each(|url| {
        if !once.contains(&url) {
            once.push(url);
        }
    });
    once
}
