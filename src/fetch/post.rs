//! Sends a small body to a service that the operator named, such as a witness, and reads the reply.
//!
//! Unlike a page's, the address is not a stranger's, so it may be of a private network. Redirects are not followed.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue, USER_AGENT};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::body::{self, Excess};
use super::connect::Connector;
use super::error::TimeoutPhase;
use super::http_client::error_of;
use super::{FetchError, Options};

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

impl Poster {
    /// Of the options, those count that concern a single request.
    pub fn new(options: Options) -> Self {
        let options = Options { allow_private: true, ..options };
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(options.idle_timeout)
            .pool_max_idle_per_host(1)
            .http1_max_headers(options.headers_max)
            .build(Connector::new(&options));
        Self { client, options }
    }

    /// Sends `body` to `url`. All of the reply has to arrive within the timeout, and may have as many bytes as a page.
    pub async fn post(&self, url: &Url, content_type: &'static str, body: Vec<u8>) -> Result<Reply, FetchError> {
        let uri = url.as_str().parse::<Uri>().map_err(|_| FetchError::NotHttp {
            url: url.to_string(),
            reason: "it is too long, or has characters that are not allowed in a request",
        })?;
        let mut request = Request::new(Full::new(Bytes::from(body)));
        (*request.method_mut(), *request.uri_mut()) = (Method::POST, uri);
        request.headers_mut().insert(USER_AGENT, self.options.user_agent.clone());
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        let Options { timeout, idle_timeout, connect_timeout, body_bytes_max, .. } = self.options;
        let exchange = async {
            let response = self.client.request(request).await;
            let response = response.map_err(|error| error_of(url, &error, connect_timeout))?;
            let status = response.status();
            let body = body::read(url, response, body_bytes_max, Excess::Refuse, idle_timeout).await?;
            Ok(Reply { status, body })
        };
        let late = FetchError::Timeout { url: url.to_string(), phase: TimeoutPhase::Response, after: timeout };
        timeout_at(Instant::now() + timeout, exchange).await.unwrap_or(Err(late))
    }
}
