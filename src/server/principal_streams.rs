//! The streams of a principal: how many it may have open, and that they end once it may not have them any more.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;
use http::{HeaderMap, Response};
use hyper::body::{Body as HttpBody, Frame};
use tokio_stream::wrappers::WatchStream;
use tonic::Status;
use tonic::body::Body;

use crate::access::{Access, Principal};
use crate::service::status::Refusal;
use crate::service::{Caller, Required};

/// How many streams a principal has open, over all its connections.
#[derive(Clone, Debug, Default)]
pub(super) struct PrincipalStreams(Arc<AtomicU32>);

/// A place among the streams of a principal. Dropping this releases the place.
#[derive(Debug)]
struct StreamPlace(PrincipalStreams);

impl PrincipalStreams {
    /// Takes a place for one more stream. Fails if the principal has as many as its rules allow.
    fn take(&self, principal: &Principal) -> Result<StreamPlace, Refusal> {
        let max = principal.streams_max.unwrap_or(u32::MAX);
        let taken = self.0.try_update(Ordering::Relaxed, Ordering::Relaxed, |open| (open < max).then_some(open + 1));
        match taken {
            Ok(_) => Ok(StreamPlace(self.clone())),
            Err(_) => Err(Refusal::too_many_streams_of_principal(principal.name.as_str(), max)),
        }
    }
}

impl Drop for StreamPlace {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a principal needs to have a stream open: a place for it, and the permission that the method requires, as long as
/// the stream lasts.
pub(super) struct StreamGrant {
    caller: Caller,
    required: Required,
    rules_changed: WatchStream<u64>,
    _place: StreamPlace,
}

impl StreamGrant {
    /// Takes a place among the `streams` of the caller's principal.
    pub(super) fn new(
        caller: Caller,
        principal: &Principal,
        required: Required,
        access: &Access,
        streams: &PrincipalStreams,
    ) -> Result<Self, Refusal> {
        let _place = streams.take(principal)?;
        Ok(Self { caller, required, rules_changed: WatchStream::from_changes(access.watch()), _place })
    }

    /// Ends the stream in `response` once the principal may not have it any more.
    pub(super) fn guard(self, response: Response<Body>) -> Response<Body> {
        if response.body().is_end_stream() {
            return response;
        }
        response.map(|body| Body::new(GuardedBody { body, grant: Some(self) }))
    }

    /// Fails if the principal may not have the stream any more. Otherwise the task is woken by the next change of the rules;
    /// none announces that a principal expires, so this is called for each frame, too.
    fn poll_check(&mut self, cx: &mut Context<'_>) -> Result<(), Refusal> {
        while let Poll::Ready(Some(_)) = Pin::new(&mut self.rules_changed).poll_next(cx) {}
        self.caller.still_may(self.required)
    }
}

/// The body of a stream that ends with PERMISSION_DENIED once its principal may not have it any more.
struct GuardedBody {
    body: Body,
    /// `None` once the stream was ended.
    grant: Option<StreamGrant>,
}

impl HttpBody for GuardedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Some(grant) = &mut self.grant else { return Poll::Ready(None) };
        if let Err(refusal) = grant.poll_check(cx) {
            // What produces the stream notices that its reader is gone.
            (self.grant, self.body) = (None, Body::empty());
            let mut trailers = HeaderMap::new();
            return Poll::Ready(match Status::from(refusal).add_header(&mut trailers) {
                Ok(()) => Some(Ok(Frame::trailers(trailers))),
                Err(status) => Some(Err(status)),
            });
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.grant.is_none() || self.body.is_end_stream()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use http_body_util::BodyExt;
    use tonic::Code;

    use super::*;
    use crate::access::{Credentials, FILE, Permission};
    use crate::clock::{Clock, ManualClock};
    use crate::model::Timestamp;

    /// Rules with one principal, which may do everything until 1970-01-02.
    fn rules(directory: &std::path::Path, clock: &Arc<ManualClock>) -> (Arc<Access>, Arc<Principal>) {
        let path = directory.join(FILE);
        let rules = "[[principal]]\nname = \"operator\"\nsan = [\"operator.example\"]\nexpires = 1970-01-02\nstreams_max = 2\n\
                     grant = [{ may = [\"admin\", \"read\"], sources = [\"*\"] }]\n";
        std::fs::write(&path, rules).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let access = Access::open(directory, Arc::clone(clock) as Arc<dyn Clock>).unwrap();
        let sans = ["operator.example".to_owned()];
        let principal = access.authenticate(Credentials { token: None, sans: &sans, is_owner: false }).unwrap();
        (Arc::new(access), principal)
    }

    async fn end_of(mut response: Response<Body>) -> Code {
        let trailers = response.body_mut().frame().await.unwrap().unwrap().into_trailers().unwrap();
        assert!(response.body_mut().frame().await.is_none());
        Status::from_header_map(&trailers).unwrap().code()
    }

    #[tokio::test]
    async fn a_stream_in_which_nothing_happens_ends_when_its_principal_is_revoked() {
        let directory = tempfile::TempDir::new().unwrap();
        let clock = Arc::new(ManualClock::new(Timestamp::from_micros(0).unwrap()));
        let (access, principal) = rules(directory.path(), &clock);
        let caller = Caller::default().authenticated(Arc::clone(&principal), Arc::clone(&access), Arc::default());
        let streams = PrincipalStreams::default();
        let required = Required::Everywhere(Permission::Admin);
        let grant = || StreamGrant::new(caller.clone(), &principal, required, &access, &streams);
        let silent =
            || Response::new(Body::new(http_body_util::StreamBody::new(tokio_stream::pending::<Result<_, Status>>())));
        let ending = tokio::spawn(end_of(grant().unwrap().guard(silent())));
        let held = grant().unwrap();
        let refused = Status::from(grant().err().unwrap());
        assert_eq!(refused.code(), Code::ResourceExhausted);
        let quota = tonic_types::StatusExt::get_details_quota_failure(&refused).unwrap();
        assert_eq!(quota.violations[0].subject, "principals/operator");
        // The task that reads the stream waits in it by now, or will see the change when it begins.
        tokio::task::yield_now().await;
        access.revoke(&principal.name).unwrap();
        assert_eq!(ending.await.unwrap(), Code::PermissionDenied);
        drop(held);
        assert_eq!(streams.0.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn a_stream_ends_with_its_next_frame_when_its_principal_has_expired() {
        let directory = tempfile::TempDir::new().unwrap();
        let clock = Arc::new(ManualClock::new(Timestamp::from_micros(0).unwrap()));
        let (access, principal) = rules(directory.path(), &clock);
        let caller = Caller::default().authenticated(Arc::clone(&principal), Arc::clone(&access), Arc::default());
        let required = Required::On(Permission::Read);
        let grant = StreamGrant::new(caller, &principal, required, &access, &PrincipalStreams::default()).unwrap();
        let frames = std::iter::repeat_with(|| Ok::<_, Status>(Frame::data(Bytes::from_static(b"more"))));
        let body = Body::new(http_body_util::StreamBody::new(tokio_stream::iter(frames)));
        let mut response = grant.guard(Response::new(body));
        for _ in 0..3 {
            assert!(response.body_mut().frame().await.unwrap().unwrap().is_data());
        }
        clock.set(Timestamp::from_micros(24 * 60 * 60 * 1_000_000).unwrap());
        assert_eq!(end_of(response).await, Code::PermissionDenied);
    }
}
