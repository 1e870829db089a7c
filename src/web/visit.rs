//! A request for a page: who asks, in which form, with which parameters.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequestParts, MatchedPath};
use data_encoding::HEXLOWER;
use http::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use url::form_urlencoded;

use super::Site;
use super::activity::minute_of;
use super::front::Peer;
use super::paths::point_query;
use super::problem::Problem;
use crate::model::Timestamp;
use crate::model::time_words::{TimeEnd, parse};
use crate::service::Caller;
use crate::wire::{pb, timestamp_to_pb};

/// The most bytes of a query.
const QUERY_BYTES_MAX: usize = 8 << 10;
/// The bytes of the log's digest in an entity tag.
const TAG_DIGEST_BYTES: usize = 8;
/// Caches ask whether a page is still the same, so that they do not show a text that was destroyed.
pub(super) const REVALIDATE: HeaderValue = HeaderValue::from_static("no-cache");

/// The routes of pages with the activity of sources.
const WITH_ACTIVITY: [&str; 5] = ["/", "/index", "/sources", "/s/{source}", "/s/{source}/"];

/// The form in which a page is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Form {
    /// HTML, for readers.
    #[default]
    Page,
    /// The message that the page shows, as JSON.
    Json,
}

impl Form {
    /// The end of its paths.
    pub(super) fn end(self) -> &'static str {
        match self {
            Self::Page => "",
            Self::Json => ".json",
        }
    }
}

/// A request for a page.
pub(super) struct Visit {
    /// Who makes the request, as limits count it.
    pub(super) peer: IpAddr,
    /// The version of the access rules, or an earlier one than those that `caller` is from.
    pub(super) epoch: u64,
    /// Who visitors are to the service.
    pub(super) caller: Caller,
    /// The form that is asked for.
    pub(super) form: Form,
    /// The path, without the end that asks for JSON.
    pub(super) path: String,
    /// The query as it was sent, from its question mark on; empty without one.
    pub(super) query: String,
    /// The parameters that are not empty, in order.
    parameters: Vec<(String, String)>,
    /// What the page is made from, as the value of its ETag.
    pub(super) tag: HeaderValue,
}

impl FromRequestParts<Arc<Site>> for Visit {
    type Rejection = Response<Body>;

    async fn from_request_parts(parts: &mut Parts, site: &Arc<Site>) -> Result<Self, Response<Body>> {
        let Peer(peer) = parts.extensions.get().copied().ok_or_else(|| Problem::internal().response())?;
        // Before the caller: if the rules change between the two, what the caller sees must not pass for what the new
        // rules show.
        let epoch = site.visitors.epoch();
        let caller = site.visitors.caller().ok_or_else(|| Problem::nothing_shown().response())?;
        let query = parts.uri.query().unwrap_or_default();
        if query.len() > QUERY_BYTES_MAX {
            let detail = format!("Its query has {} bytes; at most {QUERY_BYTES_MAX} are read.", query.len());
            return Err(Problem::malformed(detail).response());
        }
        let parameters = form_urlencoded::parse(query.as_bytes()).into_owned();
        let visit = Self {
            peer,
            epoch,
            caller,
            form: parts.extensions.get().copied().unwrap_or_default(),
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().map(|query| format!("?{query}")).unwrap_or_default(),
            parameters: parameters.filter(|(_, value)| !value.trim().is_empty()).collect(),
            tag: entity_tag(site, epoch, parts.extensions.get()),
        };
        if is_known(&parts.headers, &visit.tag) { Err(visit.unchanged()) } else { Ok(visit) }
    }
}

impl Visit {
    /// The response to a client that has the page already.
    fn unchanged(&self) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        self.mark(response.headers_mut());
        response
    }

    /// Says what a response was made from.
    pub(super) fn mark(&self, headers: &mut HeaderMap) {
        headers.insert(ETAG, self.tag.clone());
        headers.insert(CACHE_CONTROL, REVALIDATE);
    }

    /// The value of a parameter; `None` if it is not given, or empty.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The values of a parameter that may be given several times, in order.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.parameters.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A parameter that is a number.
    pub(super) fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, Problem> {
        let malformed = |text| Problem::malformed(format!("{name}={text} is not a number that it can be."));
        self.parameter(name).map(|text| text.trim().parse().map_err(|_| malformed(text))).transpose()
    }

    /// A parameter that is a time, in any of the words that the command line reads. Pages show all times in UTC, so a time of
    /// day without a zone is one, too.
    pub(super) fn instant(&self, site: &Site, name: &str) -> Result<Option<Timestamp>, Problem> {
        self.instant_at(site.reads.archive().now(), name)
    }

    /// The same, where words such as `now` and `yesterday` are those of an instant.
    fn instant_at(&self, now: Timestamp, name: &str) -> Result<Option<Timestamp>, Problem> {
        let Some(text) = self.parameter(name) else { return Ok(None) };
        let read = |text: &str| parse(text, now, TimeEnd::Last);
        let parsed = read(text).or_else(|error| read(&format!("{text}Z")).map_err(|_| error));
        let problem = |error| {
            // A form reads a plus sign as a space.
            let plus = match text.rsplit_once(' ').map(|(time, offset)| read(&format!("{time}+{offset}"))) {
                Some(Ok(_)) => " In an address, write + as %2B.",
                Some(Err(_)) | None => "",
            };
            Problem::malformed(format!("{name}: {error}.{plus}")).leading_to(self.article_path(), "The article")
        };
        parsed.map(Some).map_err(problem)
    }

    /// The path of the article whose page is asked for; `None` on other pages.
    fn article_path(&self) -> Option<String> {
        let mut segments = self.path.split('/').skip(1);
        let (Some("a"), Some(source), Some(article)) = (segments.next(), segments.next(), segments.next()) else {
            return None;
        };
        Some(format!("/a/{source}/{article}"))
    }

    /// The point of both time axes that the parameters name.
    ///
    /// What is known at a time after the last change is known with that change, and the point has its time: a commit
    /// that is being written may already have an earlier one than the time that is asked for. The archive could make sure
    /// that none does, but would have to store that; and visitors write nothing.
    pub(super) fn point(&self, site: &Site) -> Result<Point, Problem> {
        let archive = site.reads.archive();
        let (last, now) = (archive.tail().archive_time, archive.now());
        let known_at = self.instant_at(now, "known_at")?;
        // The log is ahead of the clock if the clock was set back.
        if let Some(at) = known_at.filter(|at| *at > now.max(last.unwrap_or(now))) {
            let problem = Problem::malformed(format!("known_at: {at} is still to come; it is {now}."));
            return Err(problem.leading_to(self.article_path(), "The article"));
        }
        let known_at = known_at.zip(last).map(|(at, last)| at.min(last));
        Ok(Point { at: self.instant_at(now, "at")?, known_at })
    }
}

/// A point of both time axes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Point {
    /// The instant of the observe axis; `None` for its end.
    pub(super) at: Option<Timestamp>,
    /// The instant of the archive axis; `None` for its end.
    pub(super) known_at: Option<Timestamp>,
}

impl Point {
    /// The point as the contract has it.
    pub(super) fn as_of(&self) -> Option<pb::AsOf> {
        let known_at = self.known_at.map(|at| pb::as_of::KnownAt::ArchiveTime(timestamp_to_pb(at)));
        let observe_time = self.at.map(timestamp_to_pb);
        (self.at.is_some() || known_at.is_some()).then(|| pb::AsOf { observe_time, known_at, log_digest: Vec::new() })
    }

    /// The query that names the point: empty, or from its question mark on.
    pub(super) fn query(&self) -> String {
        point_query(self.at, self.known_at)
    }
}

/// What all pages are made from: the log up to here, the rules, and this run of the program; and for pages with the activity
/// of sources, the minute of that.
fn entity_tag(site: &Site, epoch: u64, route: Option<&MatchedPath>) -> HeaderValue {
    let archive = site.reads.archive();
    let tail = archive.tail();
    let digest = HEXLOWER.encode(tail.log_digest.0.get(..TAG_DIGEST_BYTES).unwrap_or_default());
    let run = archive.info().opened.micros();
    let has_activity = route.is_some_and(|route| WITH_ACTIVITY.contains(&route.as_str()));
    let minute = if has_activity { format!("-{}", minute_of(archive)) } else { String::new() };
    let tag = format!("\"{}-{digest}-{epoch}-{run:x}{minute}\"", tail.next_seq);
    HeaderValue::try_from(tag).unwrap_or(HeaderValue::from_static("\"\""))
}

/// Whether a client has the page with this tag (RFC 9110, section 13.1.2).
fn is_known(headers: &HeaderMap, current: &HeaderValue) -> bool {
    let values = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut tags = values.flat_map(|value| value.split(',')).map(|tag| tag.trim().trim_start_matches("W/"));
    current.to_str().is_ok_and(|current| tags.any(|tag| tag == current))
}
