//! Checks the headers of each request before any handler sees it: whether the request is gRPC, whether a web page sent
//! it, and when its deadline passes.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::header::{CONTENT_TYPE, ORIGIN};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tonic::Status;
use tonic::body::Body;
use tower::Layer;
use tower_service::Service;

use super::unread_responses::UnreadResponses;
use crate::service::status::Refusal;
use crate::service::{Caller, is_stream};

/// How long before a deadline the server responds that the deadline has passed. The response takes a while to arrive,
/// and tonic responds CANCELLED at the deadline itself.
const RESPOND_AHEAD: Duration = Duration::from_millis(5);

/// Applies [`Admission`] to a service.
#[derive(Clone)]
pub(super) struct AdmissionLayer {
    pub(super) responses: UnreadResponses,
    /// The origins whose web pages may call.
    pub(super) allow_origin: Arc<[HeaderValue]>,
}

impl<S> Layer<S> for AdmissionLayer {
    type Service = Admission<S>;

    fn layer(&self, inner: S) -> Admission<S> {
        Admission { inner, responses: self.responses.clone(), allow_origin: Arc::clone(&self.allow_origin) }
    }
}

/// Rejects requests that are not gRPC calls, and ends calls whose deadline has passed.
#[derive(Clone)]
pub(super) struct Admission<S> {
    inner: S,
    responses: UnreadResponses,
    allow_origin: Arc<[HeaderValue]>,
}

impl<S> Service<Request<Body>> for Admission<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match classify(&request, &self.allow_origin) {
            Ok((kind, within)) => {
                let responding = keep(kind, self.responses.clone(), self.inner.call(request));
                match within {
                    None => Box::pin(responding),
                    Some(within) => Box::pin(respond_within(responding, within)),
                }
            }
            Err(rejection) => Box::pin(std::future::ready(Ok(*rejection))),
        }
    }
}

/// The kind of response to a call.
enum ResponseKind {
    /// A stream, with its place among the streams of its connection.
    Stream(Option<OwnedSemaphorePermit>),
    One,
}

/// Determines the kind of response and how long the caller waits for it, or the error response.
fn classify(
    request: &Request<Body>,
    allow_origin: &[HeaderValue],
) -> Result<(ResponseKind, Option<Duration>), Box<Response<Body>>> {
    // HTTP/1.1 is for the Connect protocol alone.
    if is_grpc(request.headers()) && request.version() < Version::HTTP_2 {
        return Err(Box::new(plain(StatusCode::HTTP_VERSION_NOT_SUPPORTED)));
    }
    let within = check_headers(request.headers(), allow_origin)?;
    // The calls of streams last, so they count towards the limits on streams.
    if !is_stream(request.uri().path()) {
        return Ok((ResponseKind::One, within));
    }
    let place = request.extensions().get().map_or(Ok(None), Caller::stream);
    Ok((ResponseKind::Stream(place.map_err(|refusal| Box::new(Status::from(refusal).into_http()))?), within))
}

/// Holds a response until it has been read, and a stream's place until the stream has been sent.
async fn keep(
    kind: ResponseKind,
    responses: UnreadResponses,
    responding: impl Future<Output = Result<Response<Body>, Infallible>>,
) -> Result<Response<Body>, Infallible> {
    let response = responding.await?;
    Ok(match kind {
        ResponseKind::One => responses.keep(response).await,
        ResponseKind::Stream(place) => responses.keep_stream(response, place),
    })
}

fn check_headers(headers: &HeaderMap, allow_origin: &[HeaderValue]) -> Result<Option<Duration>, Box<Response<Body>>> {
    if !is_grpc(headers) {
        return Err(Box::new(plain(StatusCode::UNSUPPORTED_MEDIA_TYPE)));
    }
    // Only browsers send this header. A web page must not write to an archive that is reachable from the browser.
    if headers.get_all(ORIGIN).iter().any(|origin| !allow_origin.contains(origin)) {
        return Err(Box::new(plain(StatusCode::FORBIDDEN)));
    }
    let Some(value) = headers.get("grpc-timeout") else { return Ok(None) };
    let within = value.to_str().ok().and_then(parse_timeout);
    within.map(Some).ok_or_else(|| Box::new(Status::from(Refusal::timeout_malformed()).into_http()))
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    ["application/grpc", "application/grpc+proto"].iter().any(|accepted| essence.eq_ignore_ascii_case(accepted))
}

fn plain(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// Parses a `grpc-timeout`: up to eight digits and a unit.
fn parse_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(count * 3_600)),
        "M" => Some(Duration::from_secs(count * 60)),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

/// Returns the response, or the error that the deadline has passed. A stream counts as answered when it begins; its
/// caller ends it at the deadline.
async fn respond_within(
    responding: impl Future<Output = Result<Response<Body>, Infallible>>,
    within: Duration,
) -> Result<Response<Body>, Infallible> {
    let deadline = Instant::now() + within - RESPOND_AHEAD.min(within / 2);
    let mut responding = pin!(responding);
    let mut timer = pin!(tokio::time::sleep_until(deadline));
    poll_fn(|cx| {
        if let Poll::Ready(response) = responding.as_mut().poll(cx) {
            return Poll::Ready(response);
        }
        // The clock is checked as well: tonic's own timer may have woken this task just before ours fires.
        if Instant::now() < deadline {
            ready!(timer.as_mut().poll(cx));
        }
        Poll::Ready(Ok(Status::from(Refusal::deadline_passed()).into_http()))
    })
    .await
}

#[cfg(test)]
mod tests {
    use tower::service_fn;

    use super::*;

    fn layer_of_tests() -> AdmissionLayer {
        AdmissionLayer { responses: UnreadResponses::new(Duration::MAX), allow_origin: Arc::default() }
    }

    fn request(timeout: &str) -> Request<Body> {
        let builder = Request::post("/")
            .version(Version::HTTP_2)
            .header(CONTENT_TYPE, "application/grpc")
            .header("grpc-timeout", timeout);
        builder.body(Body::empty()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_passed_deadline_is_reported_before_the_transport_reports_a_cancellation() {
        for milliseconds in [1, 20, 300, 60_000] {
            let begun = Instant::now();
            let never = service_fn(|_| std::future::pending::<Result<Response<Body>, Infallible>>());
            let response = layer_of_tests().layer(never).call(request(&format!("{milliseconds}m"))).await.unwrap();
            assert!(begun.elapsed() <= Duration::from_millis(milliseconds), "{milliseconds} ms: {:?}", begun.elapsed());
            let status = Status::from_header_map(response.headers()).unwrap();
            assert_eq!(status.code(), tonic::Code::DeadlineExceeded);
            assert_eq!(tonic_types::StatusExt::get_details_error_info(&status).unwrap().reason, "DEADLINE_PASSED");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_response_in_time_is_returned() {
        let slow = service_fn(|_| async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            Ok(plain(StatusCode::OK))
        });
        let response = layer_of_tests().layer(slow).call(request("300m")).await.unwrap();
        assert!(response.headers().is_empty());
    }

    #[test]
    fn a_timeout_is_up_to_eight_digits_and_a_unit() {
        for (text, expected) in [
            ("300m", Some(Duration::from_millis(300))),
            ("1S", Some(Duration::from_secs(1))),
            ("99999999H", Some(Duration::from_secs(99_999_999 * 3_600))),
            ("20u", Some(Duration::from_micros(20))),
            ("7n", Some(Duration::from_nanos(7))),
            ("2M", Some(Duration::from_secs(120))),
            ("", None),
            ("m", None),
            ("999999999m", None),
            ("-1S", None),
            ("+1S", None),
            ("1", None),
            ("1s", None),
            ("1é", None),
        ] {
            assert_eq!(parse_timeout(text), expected, "{text:?}");
        }
    }
}
