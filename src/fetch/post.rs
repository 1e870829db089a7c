//! Sends a body to a service by HTTP POST. Redirects are not followed.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue, USER_AGENT};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::body::{self, Excess};
use super::connect::Connector;
use super::error::TimeoutPhase;
use super::http_client::{HEAD_BYTES_MIN, error_of};
use super::{FetchError, Options, retry_after};

/// Sends bodies by HTTP POST. Cloning is cheap; clones share connections.
#[derive(Clone)]
pub struct Poster {
    client: Client<Connector, Full<Bytes>>,
    options: Options,
}

/// A reply, whatever its status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The body.
    pub body: Bytes,
}

/// The head of a reply, whatever its status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyHead {
    /// The status.
    pub status: StatusCode,
    /// How long the service asks to wait, counted from its reply.
    pub retry_after: Option<Duration>,
}

impl Poster {
    /// Of the options, those count that concern a single request.
    pub fn new(options: Options) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(options.idle_timeout)
            .pool_max_idle_per_host(1)
            .http1_max_buf_size(options.head_bytes_max.max(HEAD_BYTES_MIN))
            .http1_max_headers(options.headers_max)
            .build(Connector::new(&options));
        Self { client, options }
    }

    /// Sends `body` to `url`. All of the reply has to arrive within the timeout, and may have as many bytes as a page.
    pub async fn post(&self, url: &Url, content_type: &'static str, body: Vec<u8>) -> Result<Reply, FetchError> {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(content_type))]);
        let Options { idle_timeout, body_bytes_max, .. } = self.options;
        let exchange = async {
            let response = self.exchange(url, headers, body.into()).await?;
            let status = response.status();
            let body = body::read(url, response, body_bytes_max, Excess::Refuse, idle_timeout).await?;
            Ok(Reply { status, body })
        };
        self.in_time(url, exchange).await
    }

    /// Sends `body` with these headers to `url`, and returns the head of the reply. It has to arrive within the timeout.
    /// The body of the reply is not read, however long it is or however slowly it arrives.
    pub async fn deliver(&self, url: &Url, headers: HeaderMap, body: Bytes) -> Result<ReplyHead, FetchError> {
        let exchange = async {
            let response = self.exchange(url, headers, body).await?;
            Ok(ReplyHead { status: response.status(), retry_after: retry_after::read(response.headers()) })
        };
        self.in_time(url, exchange).await
    }

    async fn exchange(&self, url: &Url, headers: HeaderMap, body: Bytes) -> Result<Response<Incoming>, FetchError> {
        let uri = url.as_str().parse::<Uri>().map_err(|_| FetchError::NotHttp {
            url: url.to_string(),
            reason: "it is too long, or has characters that are not allowed in a request",
        })?;
        let mut request = Request::new(Full::new(body));
        (*request.method_mut(), *request.uri_mut(), *request.headers_mut()) = (Method::POST, uri, headers);
        request.headers_mut().insert(USER_AGENT, self.options.user_agent.clone());
        let response = self.client.request(request).await;
        response.map_err(|error| error_of(url, &error, self.options.connect_timeout))
    }

    async fn in_time<T>(
        &self,
        url: &Url,
        exchange: impl Future<Output = Result<T, FetchError>>,
    ) -> Result<T, FetchError> {
        let timeout = self.options.timeout;
        let late = FetchError::Timeout { url: url.to_string(), phase: TimeoutPhase::Response, after: timeout };
        timeout_at(Instant::now() + timeout, exchange).await.unwrap_or(Err(late))
    }
}
