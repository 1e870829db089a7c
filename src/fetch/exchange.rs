//! One request and the head of its answer: no redirect is followed here.
//!
//! HTTP/1.1 only: every site speaks it, a connection is one page's at a time, so that giving a page up ends the
//! connection, and there is one protocol less whose limits have to be right.

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
use super::error::Phase;
use super::{FetchError, Options, body, retry_after};

/// What we are for, first. Sites that look at this give a browser's page to whoever asks for HTML first.
const ACCEPTED: HeaderValue = HeaderValue::from_static(
    "text/html, application/xhtml+xml, application/xml;q=0.9, application/json;q=0.9, */*;q=0.8",
);

/// How long a connection is kept for the next page. Short: a connection that the site closes as we send on it costs a
/// page.
const KEPT_FOR: Duration = Duration::from_secs(5);

/// Asks, and tells answers apart.
pub(super) struct Exchange {
    client: Client<Connector, Empty<Bytes>>,
    user_agent: HeaderValue,
    connect_timeout: Duration,
    idle_timeout: Duration,
    timeout: Duration,
}

/// An answer that is no error.
pub(super) enum Answer {
    /// The page, of which the body has not been read.
    Page(Response<Incoming>),
    /// The page is what the conditions say, with the answer's headers.
    NotModified(HeaderMap),
    /// The page is elsewhere.
    Redirect(StatusCode, Vec<u8>),
}

impl Exchange {
    pub(super) fn new(options: &Options) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(KEPT_FOR)
            .pool_max_idle_per_host(options.per_host_max)
            .http1_max_buf_size(options.head_bytes_max.max(HEAD_BYTES_MIN))
            .http1_max_headers(options.headers_max)
            // A header that no program can read is left out, as browsers do.
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

    /// Asks for a page, which has until `deadline`.
    pub(super) async fn ask(
        &self,
        url: &Url,
        conditions: Vec<(HeaderName, HeaderValue)>,
        deadline: Instant,
    ) -> Result<Answer, FetchError> {
        let conditional = !conditions.is_empty();
        let mut request = self.request(url, conditions)?;
        let mut connection = capture_connection(&mut request);
        // The connector has a limit of its own for what comes before.
        let silence = async {
            drop(connection.wait_for_connection_metadata().await);
            tokio::time::sleep(self.idle_timeout).await;
        };
        let late = |after| Err(FetchError::Timeout { url: url.to_string(), phase: Phase::Answer, after });
        tokio::select! {
            response = self.client.request(request) => match response {
                Ok(response) => answer(url, conditional, response),
                Err(error) => Err(self.error(url, &error)),
            },
            () = silence => late(self.idle_timeout),
            () = tokio::time::sleep_until(deadline) => late(self.timeout),
        }
    }

    fn request(
        &self,
        url: &Url,
        conditions: Vec<(HeaderName, HeaderValue)>,
    ) -> Result<Request<Empty<Bytes>>, FetchError> {
        let uri = url.as_str().parse::<Uri>().map_err(|_| FetchError::NotHttp {
            url: url.to_string(),
            reason: "it is too long, or has characters that no request can have",
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

    fn error(&self, url: &Url, error: &Error) -> FetchError {
        let url = url.to_string();
        let mut source = error.source();
        while let Some(error) = source {
            if let Some(error) = error.downcast_ref::<ConnectError>() {
                return self.connect_error(url, error.clone());
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

    fn connect_error(&self, url: String, error: ConnectError) -> FetchError {
        match error {
            ConnectError::Private { host, address } => FetchError::PrivateAddress { url, host, address },
            ConnectError::Dns { host, reason } => FetchError::Dns { url, host, reason },
            ConnectError::Connect { host, reason } => FetchError::Connect { url, host, reason },
            ConnectError::Tls { host, reason } => FetchError::Tls { url, host, reason },
            ConnectError::Timeout => FetchError::Timeout { url, phase: Phase::Connect, after: self.connect_timeout },
        }
    }
}

/// The least that hyper takes.
const HEAD_BYTES_MIN: usize = 8192;

fn answer(url: &Url, conditional: bool, response: Response<Incoming>) -> Result<Answer, FetchError> {
    let code = response.status();
    match code.as_u16() {
        // 203: by way of a proxy that changed it, which is what anybody gets.
        200 | 203 => Ok(Answer::Page(response)),
        304 if conditional => Ok(Answer::NotModified(response.into_parts().0.headers)),
        304 => Err(FetchError::Protocol {
            url: url.to_string(),
            reason: "it says that the page has not changed, which was not asked".to_owned(),
        }),
        301 | 302 | 303 | 307 | 308 => {
            let location = response.headers().get(LOCATION).map(|value| value.as_bytes().to_vec());
            Ok(Answer::Redirect(code, location.unwrap_or_default()))
        }
        _ => Err(FetchError::Status { url: url.to_string(), code, retry_after: retry_after::read(response.headers()) }),
    }
}
