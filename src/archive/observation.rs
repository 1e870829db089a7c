//! An observation as a caller gives it, with everything that is optional, and the checks that turn it into an
//! operation. The gRPC service and programs that embed an archive both go through them.

use std::sync::Arc;
use std::time::Duration;

use crate::archive::request::{self, Action, ArticleTarget, LabelEdit, Operation, Precondition, Writer};
use crate::model::field_errors::{FieldError, FieldErrors, all};
use crate::model::{
    ArticleId, ArticleName, ArticleUrl, Content, Fetch, Limits, Original, RequestDigest, RevisionNumber, SourceId,
    Timestamp, check, slug,
};
use crate::store::content_encoding;

/// One look at an article that found some content: what [`Archive::record`](crate::Archive::record) records. Only the
/// content is required.
///
/// ```
/// use dateline::{Content, Observation};
///
/// let seen = Observation::new(Content::new("Bridge closes today").paragraph("Lorries cross by ferry."))
///     .observed_at("2026-05-21T07:30:00Z".parse()?)
///     .url("https://express.example/harbour")
///     .label("traffic")
///     .request_id("crawl-7/page-12");
/// # Ok::<(), dateline::model::TimeTextError>(())
/// ```
///
/// Nothing is checked before it is recorded. An invalid value is then [`ArchiveError::Invalid`], which names the
/// fields.
///
/// [`ArchiveError::Invalid`]: crate::ArchiveError::Invalid
#[derive(Clone, Debug)]
#[must_use]
pub struct Observation {
    // What arrives over the wire can be malformed in ways that these types cannot express. Then the error is in its
    // place, so that all errors of a request are reported together, in the order of its fields.
    pub(crate) content: Result<Content, FieldErrors>,
    pub(crate) urls: Vec<String>,
    pub(crate) observe_time: Result<Option<Timestamp>, FieldErrors>,
    pub(crate) original: Option<Original>,
    pub(crate) coalesce_within: Result<Duration, FieldErrors>,
    pub(crate) precondition: Result<Option<Precondition>, FieldErrors>,
    pub(crate) request_id: String,
    /// The digest of the request; `None` to compute it from the observation.
    pub(crate) request_digest: Option<RequestDigest>,
    pub(crate) fetch: Result<Option<Fetch>, FieldErrors>,
    pub(crate) labels: Vec<String>,
}

impl Observation {
    /// An observation of `content`, made now.
    pub fn new(content: Content) -> Self {
        Self {
            content: Ok(content),
            urls: Vec::new(),
            observe_time: Ok(None),
            original: None,
            coalesce_within: Ok(Duration::ZERO),
            precondition: Ok(None),
            request_id: String::new(),
            request_digest: None,
            fetch: Ok(None),
            labels: Vec::new(),
        }
    }

    /// When the content was seen: any time in the past, and at most one minute ahead of the clock. Default: now.
    pub fn observed_at(self, observe_time: Timestamp) -> Self {
        Self { observe_time: Ok(Some(observe_time)), ..self }
    }

    /// Adds a URL under which the article was found, besides the content's canonical one. At most
    /// [`Limits::urls_max`]. If it belongs to another article, it stays there, and the receipt has a warning.
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.urls.push(url.into());
        self
    }

    /// Adds a label to the article. At most [`Limits::labels_max`], each of 1 to 128 bytes.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.labels.push(label.into());
        self
    }

    /// Keeps the bytes that the content was extracted from. At most [`Limits::original_bytes_max`]. They are stored if
    /// the observation creates a revision.
    pub fn original(self, original: Original) -> Self {
        Self { original: Some(original), ..self }
    }

    /// The HTTP facts of the fetch, from which a conditional request can be built later.
    pub fn fetch(self, fetch: Fetch) -> Self {
        Self { fetch: Ok(Some(fetch)), ..self }
    }

    /// Does not record a sighting if it follows the previous sighting of the same content within this time. Default:
    /// zero, which records every sighting.
    pub fn coalesce_within(self, within: Duration) -> Self {
        Self { coalesce_within: Ok(within), ..self }
    }

    /// Records the observation only if the article does not exist yet; otherwise the error is a
    /// [`Conflict`](crate::Conflict).
    pub fn if_new(self) -> Self {
        self.precondition(Precondition::MustNotExist)
    }

    /// Records the observation only if the article's newest state still has this etag; otherwise the error is a
    /// [`Conflict`](crate::Conflict).
    pub fn if_etag(self, etag: impl Into<String>) -> Self {
        self.precondition(Precondition::Etag(etag.into()))
    }

    /// Records the observation only if the article's newest revision has this number; otherwise the error is a
    /// [`Conflict`](crate::Conflict).
    pub fn if_revision(self, number: RevisionNumber) -> Self {
        self.precondition(Precondition::Revision(number))
    }

    fn precondition(self, precondition: Precondition) -> Self {
        Self { precondition: Ok(Some(precondition)), ..self }
    }

    /// Identifies the request among all of its article, with 1 to 128 printable ASCII characters without spaces. The
    /// same request with the same id is carried out once and gets the same receipt each time, so that a caller which
    /// does not know whether a write succeeded can repeat it. The same id with another request is a
    /// [`Conflict`](crate::Conflict).
    pub fn request_id(self, id: impl Into<String>) -> Self {
        Self { request_id: id.into(), ..self }
    }

    /// Checks everything that can be checked without the archive, and names every invalid field.
    pub(crate) fn check(self, limits: &Limits, now: Timestamp) -> Result<Checked, FieldErrors> {
        let computed = match &self.content {
            Ok(content) if !self.request_id.is_empty() && self.request_digest.is_none() => Some(self.digest(content)),
            Ok(_) | Err(_) => self.request_digest,
        };
        let content = self.content.and_then(|content| check::content(content, limits));
        let urls = check::urls("urls", self.urls, limits);
        let observe_time = self.observe_time.and_then(|time| Ok(check::observe_time(time.unwrap_or(now), now)?));
        let original = self.original.map(|original| check::original(original, limits)).transpose();
        let coalesce = self.coalesce_within.and_then(|within| Ok(check::coalesce_within(within)?));
        let precondition = self.precondition;
        let id = match self.request_id.as_str() {
            "" => Ok(None),
            id => check::request_id(id).map(Some),
        };
        let fetch = self.fetch.and_then(|fetch| fetch.map(|fetch| check::fetch(fetch, limits)).transpose());
        let labels = check::labels("labels", self.labels, limits);
        let (content, urls, observe_time, original, coalesce_within_micros, precondition, id, fetch, labels) =
            all!(content, urls, observe_time, original, coalesce, precondition, id, fetch, labels)?;
        let urls = with_canonical(&content, urls, limits)?;
        let observation = request::Observation {
            original,
            fetch: fetch.map(Box::new),
            labels: LabelEdit::adding(labels, limits.labels_max),
            coalesce_within_micros,
            ..request::Observation::new(content, urls)
        };
        Ok(Checked { observation, observe_time, precondition, request: id.zip(computed) })
    }

    /// The digest that distinguishes this request from another with the same id. It covers what the caller gave, so it
    /// is the same when the request is repeated later.
    fn digest(&self, content: &Content) -> RequestDigest {
        let number = |number: usize| (number as u64).to_be_bytes().to_vec();
        let mut parts = vec![b"observation".to_vec(), content_encoding::to_bytes(content)];
        let time = self.observe_time.iter().flatten().map(|time| time.micros().to_be_bytes().to_vec());
        parts.push(time.flatten().collect());
        for texts in [&self.urls, &self.labels] {
            parts.push(number(texts.len()));
            parts.extend(texts.iter().map(|text| text.clone().into_bytes()));
        }
        let original = self.original.iter();
        parts.extend(original.flat_map(|kept| [kept.media_type.clone().into_bytes(), kept.data.to_vec()]));
        parts.push(number(parts.len()));
        let fetch = self.fetch.iter().flatten();
        let fetch = fetch.flat_map(|fetch| [&fetch.url, &fetch.etag, &fetch.last_modified]);
        parts.extend(fetch.map(|text| text.clone().into_bytes()));
        parts.push(number(parts.len()));
        parts.extend(self.coalesce_within.iter().map(|within| within.as_micros().to_be_bytes().to_vec()));
        parts.extend(self.precondition.iter().flatten().flat_map(Precondition::digest_parts));
        RequestDigest::of(&parts.iter().map(Vec::as_slice).collect::<Vec<_>>())
    }
}

/// An observation made now, without any options.
impl From<Content> for Observation {
    fn from(content: Content) -> Self {
        Self::new(content)
    }
}

/// An observation whose fields are valid.
pub(crate) struct Checked {
    observation: request::Observation,
    observe_time: Timestamp,
    precondition: Option<Precondition>,
    request: Option<(crate::model::RequestId, RequestDigest)>,
}

impl Checked {
    /// The content, in canonical form.
    pub(crate) fn content(&self) -> &Arc<Content> {
        &self.observation.content
    }

    /// When the content was seen.
    pub(crate) fn observe_time(&self) -> Timestamp {
        self.observe_time
    }

    /// The article of `source` that the observation is of. Without an id it is found by its URLs, or named after the
    /// first of them or after its headline.
    pub(crate) fn target(&self, source: SourceId, id: Option<ArticleId>) -> Result<ArticleTarget, FieldError> {
        if let Some(article) = id {
            return Ok(ArticleTarget::Named(ArticleName { source, article }));
        }
        let headline = &self.observation.content.headline;
        let derived = match self.observation.urls.first() {
            Some(url) => slug::article_id(url.key.as_str(), &slug::readable_from_url(&url.key)),
            None => slug::article_id(&headline_key(headline), headline),
        };
        let article = derived.map_err(|error| FieldError::invalid("article_id", error))?;
        Ok(ArticleTarget::ByUrl { derived: ArticleName { source: source.clone(), article }, source })
    }

    /// The operation that records the observation of `target`.
    pub(crate) fn into_operation(self, target: ArticleTarget) -> Operation {
        let Self { observation, observe_time, precondition, request } = self;
        Operation {
            target,
            observe_time,
            precondition,
            request,
            by: Writer::default(),
            action: Action::Observe(Box::new(observation)),
        }
    }
}

/// The article's URLs without duplicate keys, the canonical one first.
fn with_canonical(content: &Content, more: Vec<ArticleUrl>, limits: &Limits) -> Result<Vec<ArticleUrl>, FieldError> {
    let mut urls: Vec<ArticleUrl> = Vec::with_capacity(more.len() + 1);
    let original = &content.canonical_url;
    if !original.is_empty() {
        let key = check::url("content.canonical_url", original, limits)?;
        urls.push(ArticleUrl { original: original.clone(), key });
    }
    for url in more {
        if urls.iter().all(|other| other.key != url.key) {
            urls.push(url);
        }
    }
    Ok(urls)
}

/// The part of a headline that identifies an article, ignoring letter case and white space.
fn headline_key(headline: &str) -> String {
    headline.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ")
}
