//! The HTTP client: sends one request and reads the response up to its body. It follows no redirects.
//!
//! Only HTTP/1.1 is used, which every site supports. A connection then serves one page at a time, so that cancelling a
//! fetch closes the connection, and no limits of HTTP/2 have to be set.

use std::error::Error as _;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONNECTION, HeaderMap, HeaderName, LOCATION, USER_AGENT};
use http::{HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper_util::client::legacy::connect::capture_connection;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::Instant;
use url::Url;

use super::connect::{ConnectError, Connector};
use super::error::TimeoutPhase;
use super::{FetchError, Options, body, retry_after};

/// HTML comes first, because sites that check this header serve their normal page to clients that prefer HTML.
const ACCEPTED: HeaderValue = HeaderValue::from_static(
    "text/html, application/xhtml+xml, application/xml;q=0.9, application/json;q=0.9, */*;q=0.8",
);

/// How long an idle connection is kept for the next page. The time is short, because a request fails if the site closes
/// the connection just as we send it.
const IDLE_KEPT_FOR: Duration = Duration::from_secs(5);

/// Sends requests and sorts the responses.
pub(super) struct HttpClient {
    client: Client<Connector, Empty<Bytes>>,
    user_agent: HeaderValue,
    connect_timeout: Duration,
    idle_timeout: Duration,
    timeout: Duration,
}

/// A response that is not an error.
pub(super) enum HttpOutcome {
    /// A page; its body has not been read yet.
    Page(Response<Incoming>),
    /// The page has not changed (304), with the response's headers.
    NotModified(HeaderMap),
    /// A redirect: its status and its Location header. The header is empty if it is missing.
    Redirect(StatusCode, Vec<u8>),
}

impl HttpClient {
    pub(super) fn new(options: &Options) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_KEPT_FOR)
            .pool_max_idle_per_host(options.per_host_max)
            .http1_max_buf_size(options.head_bytes_max.max(HEAD_BYTES_MIN))
            .http1_max_headers(options.headers_max)
            // Browsers ignore malformed headers too, so there are sites that send them.
            .http1_ignore_invalid_headers_in_responses(true)
            .build(Connector::new(options));
        Self {
            client,
            user_agent: options.user_agent.clone(),
            connect_timeout: options.connect_timeout,
            idle_timeout: options.idle_timeout,
            timeout: options.timeout,
        }
    }

    /// Requests a page. The head of the response has to arrive by `deadline`, and within the idle timeout.
    pub(super) async fn request(
        &self,
        url: &Url,
        conditions: Vec<(HeaderName, HeaderValue)>,
        deadline: Instant,
    ) -> Result<HttpOutcome, FetchError> {
        let conditional = !conditions.is_empty();
        let mut request = self.build_request(url, conditions)?;
        let mut connection = capture_connection(&mut request);
        // The idle timeout starts once connected; the connector has its own time limit.
        let silence = async {
            drop(connection.wait_for_connection_metadata().await);
            tokio::time::sleep(self.idle_timeout).await;
        };
        let timeout = |after| Err(FetchError::Timeout { url: url.to_string(), phase: TimeoutPhase::Response, after });
        tokio::select! {
            response = self.client.request(request) => match response {
                Ok(response) => outcome(url, conditional, response),
                Err(error) => Err(error_of(url, &error, self.connect_timeout)),
            },
            () = silence => timeout(self.idle_timeout),
            () = tokio::time::sleep_until(deadline) => timeout(self.timeout),
        }
    }

    fn build_request(
        &self,
        url: &Url,
        conditions: Vec<(HeaderName, HeaderValue)>,
    ) -> Result<Request<Empty<Bytes>>, FetchError> {
        let uri = url.as_str().parse::<Uri>().map_err(|_| FetchError::NotHttp {
            url: url.to_string(),
            reason: "it is too long, or has characters that are not allowed in a request",
        })?;
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.insert(USER_AGENT, self.user_agent.clone());
        headers.insert(ACCEPT, ACCEPTED);
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(body::ACCEPT_ENCODING));
        headers.insert(CONNECTION, HeaderValue::from_static("keep-alive"));
        headers.extend(conditions);
        Ok(request)
    }
}

/// Why a request failed. `connect_timeout` is the time limit of the connector.
pub(super) fn error_of(url: &Url, error: &Error, connect_timeout: Duration) -> FetchError {
    let url = url.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<ConnectError>() {
            return connect_error(url, error.clone(), connect_timeout);
        }
        if let Some(error) = error.downcast_ref::<hyper::Error>()
            && (error.is_parse() || error.is_user())
        {
            return FetchError::Protocol { url, reason: error.to_string() };
        }
        source = error.source();
    }
    FetchError::CutOff { url, reason: body::cause(error) }
}

fn connect_error(url: String, error: ConnectError, connect_timeout: Duration) -> FetchError {
    match error {
        ConnectError::Private { host, address } => FetchError::PrivateAddress { url, host, address },
        ConnectError::Dns { host, reason } => FetchError::Dns { url, host, reason },
        ConnectError::Connect { host, reason } => FetchError::Connect { url, host, reason },
        ConnectError::Tls { host, reason } => FetchError::Tls { url, host, reason },
        ConnectError::Timeout => FetchError::Timeout { url, phase: TimeoutPhase::Connect, after: connect_timeout },
    }
}

/// hyper panics if the limit is lower.
pub(super) const HEAD_BYTES_MIN: usize = 8192;

fn outcome(url: &Url, conditional: bool, response: Response<Incoming>) -> Result<HttpOutcome, FetchError> {
    let code = response.status();
    match code.as_u16() {
        // 203 means that a proxy changed the page. Every visitor gets that version.
        200 | 203 => Ok(HttpOutcome::Page(response)),
        304 if conditional => Ok(HttpOutcome::NotModified(response.into_parts().0.headers)),
        304 => Err(FetchError::Protocol {
            url: url.to_string(),
            reason: "304 Not Modified in reply to an unconditional request".to_owned(),
        }),
        301 | 302 | 303 | 307 | 308 => {
            let location = response.headers().get(LOCATION).map(|value| value.as_bytes().to_vec());
            Ok(HttpOutcome::Redirect(code, location.unwrap_or_default()))
        }
        _ => Err(FetchError::Status { url: url.to_string(), code, retry_after: retry_after::read(response.headers()) }),
    }
}
