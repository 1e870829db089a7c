//! Pages of the web, archived: fetched, read and published, one address after the other or several at once.
//!
//! Where the archive knows an address, it is asked first what the server said of it the last time. A server that says that
//! nothing has changed since costs no page, and makes a sighting.

use url::Url;

use super::connect::Session;
use super::exit::{Exit, Failure};
use super::report::Archived;
use super::times;
use super::web_args::FetchArgs;
use crate::fetch::{FetchError, Fetched, Fetcher, NotModified, Options, Page, Redirect, Validators};
use crate::ingest::{self, Document, Format};
use crate::model::{ArticleName, SourceId, Timestamp};
use crate::wire::{content_to_pb, pb, timestamp_to_pb};

/// How pages become articles.
#[derive(Clone, Debug, Default)]
pub(super) struct Wishes {
    pub(super) source: Option<SourceId>,
    pub(super) article: Option<String>,
    pub(super) labels: Vec<String>,
    pub(super) language: Option<String>,
    pub(super) urls: Vec<String>,
    pub(super) keep_original: bool,
    pub(super) precondition: Option<pb::Precondition>,
    pub(super) request_id: String,
    pub(super) dry_run: bool,
}

/// Archives pages.
pub(super) struct Pages<'a> {
    session: &'a Session,
    fetcher: Fetcher,
    wishes: Wishes,
}

impl<'a> Pages<'a> {
    pub(super) fn new(session: &'a Session, args: &FetchArgs, wishes: Wishes) -> Self {
        Self { session, fetcher: fetcher(args), wishes }
    }

    pub(super) fn fetcher(&self) -> &Fetcher {
        &self.fetcher
    }

    /// Archives what is at `address` now. `before` is the article that it is known to be, should the archive not know the
    /// address.
    pub(super) async fn archive(&self, address: &Url, before: Option<&ArticleName>) -> Result<Archived, Failure> {
        let known = self.known(address).await?;
        let validators = known.as_ref().and_then(validators);
        match self.fetcher.fetch(address, validators.as_ref()).await? {
            Fetched::NotModified(unchanged) => {
                let known = known.unwrap_or_default();
                self.publish(sighting(known, &unchanged), Archived::default()).await
            }
            Fetched::Page(page) => {
                refuse_front_page(address, &page)?;
                let observed = times::now();
                let document = read(&page, observed)?;
                let name = known.and_then(|known| ArticleName::parse(&known.name).ok());
                let request = self.request(&page, &document, name.as_ref().or(before), observed)?;
                self.publish(request, Archived::of(&document)).await
            }
        }
    }

    /// Archives a document that was had elsewhere, with the wishes of this command. An article that was had as a page stays as
    /// it is: what a feed says of it is less, or other, than what the page says.
    pub(super) async fn archive_document(
        &self,
        document: Document,
        address: Option<&Url>,
        before: Option<&ArticleName>,
    ) -> Result<Archived, Failure> {
        let known = match address {
            Some(address) => self.known(address).await?,
            None => None,
        };
        let name = known.as_ref().and_then(|known| ArticleName::parse(&known.name).ok());
        if let Some(page) = known.filter(|known| known.latest_fetch.is_some()) {
            return Ok(had_as_page(page));
        }
        // What the archive knows of an address goes before what was remembered of an entry.
        let before = name.as_ref().or(before);
        let source = self.source(&document, before, address)?;
        let beside = Archived::of(&document);
        let request = pb::RecordObservationRequest {
            parent: source.to_string(),
            article_id: self.article_id(before),
            content: Some(content_to_pb(&document.content)),
            observe_time: document.observe_time.map(timestamp_to_pb),
            urls: address.map(Url::to_string).into_iter().chain(document.urls).collect(),
            ..pb::RecordObservationRequest::default()
        };
        self.publish(request, beside).await
    }

    /// The article that the archive has of an address, as it is now, in full.
    async fn known(&self, address: &Url) -> Result<Option<pb::Article>, Failure> {
        let request =
            pb::LookupArticleRequest { url: address.to_string(), view: FULL, ..pb::LookupArticleRequest::default() };
        let found = match self.session.archive().lookup_article(request).await {
            Ok(found) => found.into_inner(),
            Err(status) if status.code() == tonic::Code::NotFound => return Ok(None),
            Err(status) => return Err(status.into()),
        };
        Ok(found.article.filter(|article| self.is_wanted(&article.name)))
    }

    /// Whether an article is one that this command would write to.
    fn is_wanted(&self, name: &str) -> bool {
        let Ok(name) = ArticleName::parse(name) else { return false };
        self.wishes.source.as_ref().is_none_or(|source| *source == name.source)
            && self.wishes.article.as_ref().is_none_or(|article| article == name.article.as_str())
    }

    /// A page as a request to publish.
    fn request(
        &self,
        page: &Page,
        document: &Document,
        known: Option<&ArticleName>,
        observed: Timestamp,
    ) -> Result<pb::RecordObservationRequest, Failure> {
        let source = self.source(document, known, Some(&page.url))?;
        let urls = each_once(addresses(&page.url, &page.redirects).chain(document.urls.iter().cloned()));
        let original = self.wishes.keep_original.then(|| pb::Original {
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
            ..pb::RecordObservationRequest::default()
        })
    }

    /// The source of a document: as wished, that of the article it belongs to, what it says, or the site.
    fn source(&self, document: &Document, known: Option<&ArticleName>, url: Option<&Url>) -> Result<SourceId, Failure> {
        let stated = self.wishes.source.clone().or_else(|| known.map(|known| known.source.clone()));
        source_of(stated, document, url)
    }

    /// The id of the article as wished, or as known; empty for the server to find it.
    fn article_id(&self, known: Option<&ArticleName>) -> String {
        let known = known.map(|known| known.article.as_str().to_owned());
        self.wishes.article.clone().or(known).unwrap_or_default()
    }

    /// Publishes with what this command was told.
    async fn publish(&self, mut request: pb::RecordObservationRequest, beside: Archived) -> Result<Archived, Failure> {
        if let Some(content) = &mut request.content {
            content.labels.extend(self.wishes.labels.iter().cloned());
            if let Some(language) = &self.wishes.language {
                content.language.clone_from(language);
            }
        }
        request.urls.extend(self.wishes.urls.iter().cloned());
        request.precondition = self.wishes.precondition.clone();
        request.request_id.clone_from(&self.wishes.request_id);
        request.validate_only = self.wishes.dry_run;
        let published = self.session.archive().record_observation(request).await?.into_inner();
        Ok(Archived { published, ..beside })
    }
}

/// The source of a document: as stated, what it says, or the site that it is of.
pub(super) fn source_of(stated: Option<SourceId>, document: &Document, url: Option<&Url>) -> Result<SourceId, Failure> {
    let said = || SourceId::parse(document.source.as_deref()?).ok();
    let site = || SourceId::parse(&ingest::site(url?)?).ok();
    stated.or_else(said).or_else(site).ok_or_else(sourceless)
}

/// A document of which nobody says which source it belongs to.
pub(super) fn sourceless() -> Failure {
    Failure::new(Exit::Usage, "the document does not say which publication it is from")
        .hint("name it: --source express-gazette")
}

const FULL: i32 = pb::ArticleView::Full as i32;

fn fetcher(args: &FetchArgs) -> Fetcher {
    let default = Options::default();
    let options = Options {
        user_agent: args.user_agent.clone().unwrap_or(default.user_agent),
        timeout: args.timeout,
        allow_private: args.allow_private,
        obey_robots: !args.ignore_robots,
        ..default
    };
    Fetcher::new(options)
}

/// What to ask the server with: what it said with the page that is the newest that the archive has of the article.
fn validators(known: &pb::Article) -> Option<Validators> {
    let pb::Fetch { url, etag, last_modified } = known.latest_fetch.clone()?;
    let said = |text: String| Some(text).filter(|text| !text.is_empty());
    Some(Validators { url: Url::parse(&url).ok()?, etag: said(etag), last_modified: said(last_modified) })
}

/// Nothing was done to an article, since it is known better.
fn had_as_page(article: pb::Article) -> Archived {
    let published = pb::RecordObservationResponse {
        revision: article.revision,
        outcome: pb::ObservationOutcome::Unchanged.into(),
        ..pb::RecordObservationResponse::default()
    };
    Archived { published, ..Archived::default() }
}

/// The article was seen again as it is.
fn sighting(known: pb::Article, unchanged: &NotModified) -> pb::RecordObservationRequest {
    let (parent, article_id) = known.name.rsplit_once("/articles/").unwrap_or_default();
    pb::RecordObservationRequest {
        parent: parent.to_owned(),
        article_id: article_id.to_owned(),
        content: known.revision.and_then(|revision| revision.content),
        observe_time: Some(timestamp_to_pb(times::now())),
        urls: each_once(addresses(&unchanged.url, &unchanged.redirects)),
        fetch: Some(fetch(&unchanged.url, Some(&unchanged.validators))),
        ..pb::RecordObservationRequest::default()
    }
}

/// All addresses that led to a page: its own, and those that redirect to it.
fn addresses(url: &Url, redirects: &[Redirect]) -> impl Iterator<Item = String> {
    [url.to_string()].into_iter().chain(redirects.iter().map(|hop| hop.from.to_string()))
}

/// A site that sends a page that is gone to its front page says that it is gone. Archived, the front page would be that
/// article from then on.
fn refuse_front_page(address: &Url, page: &Page) -> Result<(), Failure> {
    if ingest::is_front_page(&page.url) && !ingest::is_front_page(address) {
        let message = format!("the site leads to its front page, {}, in place of this page", page.url);
        return Err(Failure::new(Exit::NotFound, message)
            .kind("FRONT_PAGE")
            .hint("the page is probably gone; `dateline withdraw` marks that"));
    }
    Ok(())
}

/// Reads a page.
fn read(page: &Page, observed: Timestamp) -> Result<Document, Failure> {
    let options = ingest::Options {
        format: format_of(page)?,
        reference_date: Some(times::day_of(observed)),
        url: Some(page.url.clone()),
        charset: page.charset.clone(),
        ..ingest::Options::default()
    };
    ingest::read(&page.body, &options).map_err(|error| Failure::new(Exit::Failed, error).kind("UNREADABLE"))
}

/// The format that the server states, where it is one that is read; otherwise the content tells.
fn format_of(page: &Page) -> Result<Option<Format>, Failure> {
    match page.content_type.as_deref().unwrap_or_default() {
        "text/html" | "application/xhtml+xml" => Ok(Some(Format::Html)),
        "text/markdown" => Ok(Some(Format::Markdown)),
        "application/rss+xml" | "application/atom+xml" | "application/feed+json" => {
            Err(Failure::new(Exit::Usage, "this is a feed")
                .kind("NOT_A_PAGE")
                .hint(format!("`dateline follow {}` archives its entries", page.url)))
        }
        other if ["image/", "video/", "audio/", "font/"].iter().any(|kind| other.starts_with(kind)) => {
            Err(Failure::new(Exit::Failed, format!("this is {other}, not a page")).kind("NOT_A_PAGE"))
        }
        _ => Ok(None),
    }
}

fn fetch(url: &Url, validators: Option<&Validators>) -> pb::Fetch {
    let etag = validators.and_then(|validators| validators.etag.clone());
    let last_modified = validators.and_then(|validators| validators.last_modified.clone());
    pb::Fetch { url: url.to_string(), etag: etag.unwrap_or_default(), last_modified: last_modified.unwrap_or_default() }
}

/// The media type of a page's bytes, as the server stated it.
pub(super) fn media_type(essence: Option<&str>, charset: Option<&str>) -> String {
    let essence = essence.unwrap_or("text/html");
    match charset {
        Some(charset) => format!("{essence}; charset={charset}"),
        None => essence.to_owned(),
    }
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

impl From<FetchError> for Failure {
    fn from(error: FetchError) -> Self {
        let (exit, kind) = match &error {
            FetchError::NotHttp { .. } => (Exit::Usage, "NOT_HTTP"),
            FetchError::PrivateAddress { .. } => (Exit::Usage, "PRIVATE_ADDRESS"),
            FetchError::Dns { .. } => (Exit::Unreachable, "NAME_NOT_FOUND"),
            FetchError::Connect { .. } => (Exit::Unreachable, "NO_CONNECTION"),
            FetchError::Timeout { .. } => (Exit::Unreachable, "TIMEOUT"),
            FetchError::CutOff { .. } => (Exit::Unreachable, "CUT_OFF"),
            FetchError::Status { code, .. } if matches!(code.as_u16(), 404 | 410) => (Exit::NotFound, "NOT_FOUND"),
            FetchError::Status { .. } if error.is_transient() => (Exit::Unreachable, "STATUS"),
            FetchError::Status { .. } => (Exit::Failed, "STATUS"),
            FetchError::Robots { .. } if error.is_transient() => (Exit::Unreachable, "ROBOTS"),
            FetchError::Robots { .. } => (Exit::Failed, "ROBOTS"),
            FetchError::Tls { .. } => (Exit::Failed, "TLS"),
            FetchError::TooLarge { .. } => (Exit::Failed, "TOO_LARGE"),
            FetchError::RedirectLoop { .. }
            | FetchError::TooManyRedirects { .. }
            | FetchError::RedirectInvalid { .. } => (Exit::Failed, "REDIRECTS"),
            FetchError::BadEncoding { .. } | FetchError::Protocol { .. } => (Exit::Failed, "PROTOCOL"),
        };
        Self::new(exit, error).kind(kind)
    }
}
