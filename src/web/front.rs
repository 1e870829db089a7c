//! What every request passes before its page, and every response after it: the host, which form is asked for, the rate
//! of its route, the method, its turn, errors, and the headers that all responses have.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{MatchedPath, State};
use axum::middleware::Next;
use axum::{Extension, Router};
use http::header::{CONTENT_SECURITY_POLICY, HOST, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use hyper::body::Incoming;
use tower_service::Service;

use super::problem::Problem;
use super::visit::Form;
use super::{Site, memento, pages};

/// The policy of all pages: nothing from elsewhere, nothing inline, no frames.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; form-action 'self'; \
     frame-ancestors 'none'; base-uri 'none'",
);
const NO_SNIFFING: HeaderValue = HeaderValue::from_static("nosniff");
const NO_REFERRER: HeaderValue = HeaderValue::from_static("no-referrer");
const SAME_ORIGIN: HeaderValue = HeaderValue::from_static("same-origin");

/// Who makes a request, as limits count it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) IpAddr);

/// Answers requests.
#[derive(Clone)]
pub(super) struct Front {
    site: Arc<Site>,
    routes: Router,
}

impl Front {
    pub(super) fn new(site: Arc<Site>) -> Self {
        Self { routes: pages::routes(&site), site }
    }

    /// Answers a request.
    pub(super) async fn answer(&self, mut request: Request<Incoming>, peer: IpAddr) -> Response<Body> {
        let begun = Instant::now();
        let peer = self.site.options.trusted_proxies.client(peer, request.headers());
        let (form, is_head) = (Form::of(request.uri().path()), request.method() == Method::HEAD);
        let problem_form = if is_for_programs(request.uri().path()) { Form::Json } else { form };
        request.extensions_mut().insert(Peer(peer));
        let mut response = match self.is_for_this_site(&request) {
            false => Problem::misdirected().response(),
            true => self.route(request, form).await,
        };
        let route = response.extensions_mut().remove::<MatchedPath>();
        if let Some(problem) = response.extensions_mut().remove::<Problem>() {
            response = problem.written(problem_form);
        }
        if is_head {
            *response.body_mut() = Body::empty();
        }
        response = self.site.budget.counted(response, peer, || Problem::busy().written(problem_form));
        // A client that has the page keeps the policy with which it came, which is stricter for an original.
        if response.status() != StatusCode::NOT_MODIFIED {
            response.headers_mut().entry(CONTENT_SECURITY_POLICY).or_insert(POLICY);
        }
        let headers = response.headers_mut();
        headers.insert(X_CONTENT_TYPE_OPTIONS, NO_SNIFFING);
        headers.insert(REFERRER_POLICY, NO_REFERRER);
        headers.insert(HeaderName::from_static("cross-origin-opener-policy"), SAME_ORIGIN);
        headers.insert(HeaderName::from_static("cross-origin-resource-policy"), SAME_ORIGIN);
        self.site.options.stats.count(route.as_ref().map(MatchedPath::as_str), response.status(), begun.elapsed());
        response
    }

    fn is_for_this_site(&self, request: &Request<Incoming>) -> bool {
        self.site.hosts.is_empty() || host(request).is_some_and(|host| self.is_known(&host))
    }

    fn is_known(&self, host: &str) -> bool {
        self.site.hosts.iter().any(|known| known.eq_ignore_ascii_case(host))
    }

    async fn route(&self, request: Request<Incoming>, form: Form) -> Response<Body> {
        let (mut parts, body) = request.into_parts();
        parts.extensions.insert(form);
        if form == Form::Json
            && let Some(uri) = without_twin(&parts.uri)
        {
            parts.uri = uri;
        }
        let mut routes = self.routes.clone();
        // The router is always ready, and cannot fail.
        let Ok(response) = routes.call(Request::from_parts(parts, Body::new(body))).await;
        response
    }
}

/// Passes a request on to the page of its route when it is its turn, and notes the route at the response. Fails if the
/// request is one too many, or does more than read.
pub(super) async fn admit(
    State((site, weight)): State<(Arc<Site>, NonZeroU32)>,
    Extension(Peer(peer)): Extension<Peer>,
    route: Option<MatchedPath>,
    request: Request<Body>,
    next: Next,
) -> Result<Response<Body>, Problem> {
    site.rates.count(peer, weight, site.visitors.calls_per_second_max())?;
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err(Problem::read_only());
    }
    let _turn = site.turns.wait(peer).await?;
    let mut response = next.run(request).await;
    if let Some(route) = route {
        response.extensions_mut().insert(route);
    }
    Ok(response)
}

impl Form {
    /// The form that a path asks for. The address of a page of the web has its own end.
    fn of(path: &str) -> Self {
        if path.ends_with(Form::Json.end()) && !path.starts_with(memento::ROOT) { Self::Json } else { Self::Page }
    }
}

/// Whether what is at a path is for programs, which cannot read a page that says what went wrong.
fn is_for_programs(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let beginnings = ["/cdx", "/web/timemap/", "/changes/events", "/sitemap"];
    beginnings.iter().any(|beginning| path.starts_with(beginning)) || matches!(name, "feed.atom" | "feed.json")
}

/// The host that a request names, without its port.
fn host(request: &Request<Incoming>) -> Option<String> {
    let named = match request.uri().authority() {
        Some(authority) => authority.as_str(),
        None => request.headers().get(HOST)?.to_str().ok()?,
    };
    let authority: http::uri::Authority = named.parse().ok()?;
    Some(authority.host().trim_end_matches('.').to_owned())
}

/// The address of the page whose JSON is asked for.
fn without_twin(uri: &Uri) -> Option<Uri> {
    let path = uri.path().strip_suffix(Form::Json.end())?;
    let path = if path.is_empty() { "/" } else { path };
    let text = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(text).ok()?);
    Uri::from_parts(parts).ok()
}

impl Problem {
    /// A response that [`Front::answer`] writes in the form that was asked for.
    pub(super) fn response(self) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status();
        response.extensions_mut().insert(self);
        response
    }
}
