//! A typed client of a Dateline server, for the command line, for tests and for other Rust programs.
//!
//! [`Client`] has the generated clients of all services over one channel, with message limits that fit the server's.
//! [`Client::follow`] follows the change feed across broken connections. [`ServerError`] extracts the reason and
//! details from a status.

mod connect;
mod follow;
mod points;
mod trusted_log;

use std::collections::HashMap;
use std::error::Error;
use std::future::Future;
use std::io;
use std::path::PathBuf;

use tokio::net::UnixStream;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

pub use self::connect::{ClientCertificate, ConnectOptions, is_on_this_machine, is_safe_for_secrets};
pub use self::follow::{Followed, Following};
pub use self::points::{as_of, as_of_snapshot};
pub use self::trusted_log::{TrustError, TrustedLog};
use crate::wire::pb;
use crate::wire::pb::access_service_client::AccessServiceClient;
use crate::wire::pb::admin_service_client::AdminServiceClient;
use crate::wire::pb::archive_service_client::ArchiveServiceClient;
use crate::wire::pb::change_feed_service_client::ChangeFeedServiceClient;
use crate::wire::pb::integrity_service_client::IntegrityServiceClient;

/// The maximum size of a response. A response can be larger than any request, such as a page of whole articles.
const REPLY_BYTES_MAX: usize = 1 << 30;

/// The clients of all services over one channel. Cloning is cheap, and clones share the connection.
#[derive(Clone, Debug)]
pub struct Client {
    /// The client of `ArchiveService`: writes and reads of articles.
    pub archive: ArchiveServiceClient<Connection>,
    /// The client of `ChangeFeedService`: the change feed and durable subscriptions.
    pub feed: ChangeFeedServiceClient<Connection>,
    /// The client of `AdminService`: status, verification and backup.
    pub admin: AdminServiceClient<Connection>,
    /// The client of `IntegrityService`: checkpoints and proofs.
    pub integrity: IntegrityServiceClient<Connection>,
    /// The client of `AccessService`: who calls, and tokens.
    pub access: AccessServiceClient<Connection>,
    channel: Channel,
}

/// A channel, on which every call has the client's token, if it has one.
pub type Connection = InterceptedService<Channel, Bearer>;

/// Adds a token to calls.
#[derive(Clone, Debug, Default)]
pub struct Bearer(Option<MetadataValue<Ascii>>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert("authorization", token.clone());
        }
        Ok(request)
    }
}

/// A token has characters that cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the token has characters that no token has")]
pub struct InvalidToken;

impl Client {
    /// Connects to a server with the default [`ConnectOptions`]: at an address, such as `http://127.0.0.1:7411` or
    /// `https://news.example:7411`, or on a Unix socket, such as `unix:/srv/news/socket`. When the connection breaks, the
    /// next call connects again.
    pub async fn connect(url: &str) -> Result<Self, tonic::transport::Error> {
        ConnectOptions::default().connect(url).await
    }

    /// Connects to the server on the Unix socket at `path`, as [`Self::connect`] does for a URL of it.
    pub async fn connect_socket(path: PathBuf) -> Result<Self, tonic::transport::Error> {
        connect::socket(path).await
    }

    /// Connects over a Unix stream that `connect` opens, and over another one whenever the connection breaks.
    pub async fn connect_over<F>(
        connect: impl Fn() -> F + Send + Sync + 'static,
    ) -> Result<Self, tonic::transport::Error>
    where
        F: Future<Output = io::Result<UnixStream>> + Send + 'static,
    {
        connect::streams(connect).await
    }

    /// Creates the clients over an existing channel.
    pub fn over(channel: Channel) -> Self {
        Self::with(channel, Bearer::default())
    }

    /// The same connection, with a token in every call. Send it only where no one but the server can read it: over TLS, over a Unix
    /// socket, or to this machine.
    pub fn with_token(self, token: &str) -> Result<Self, InvalidToken> {
        let mut value: MetadataValue<Ascii> = format!("Bearer {token}").parse().map_err(|_| InvalidToken)?;
        value.set_sensitive(true);
        Ok(Self::with(self.channel, Bearer(Some(value))))
    }

    fn with(channel: Channel, bearer: Bearer) -> Self {
        let connection = InterceptedService::new(channel.clone(), bearer);
        Self {
            archive: ArchiveServiceClient::new(connection.clone()).max_decoding_message_size(REPLY_BYTES_MAX),
            feed: ChangeFeedServiceClient::new(connection.clone()).max_decoding_message_size(REPLY_BYTES_MAX),
            admin: AdminServiceClient::new(connection.clone()),
            integrity: IntegrityServiceClient::new(connection.clone()).max_decoding_message_size(REPLY_BYTES_MAX),
            access: AccessServiceClient::new(connection),
            channel,
        }
    }

    /// Follows the change feed, and reconnects automatically when the connection breaks or the server restarts. Nothing
    /// is sent before the first event is awaited.
    pub fn follow(&self, request: pb::SubscribeRequest) -> Following {
        Following::new(self.feed.clone(), request, None)
    }

    /// Like [`Client::follow`], and checks that the server's log continues the one that is trusted: checkpoints come with
    /// the first bookmark and then every minute, if the log has grown. As soon as one does not pass, the feed ends with
    /// HISTORY_DIVERGED, and nothing that came with it or after it is handed out. [`Following::trusted`] is what to keep.
    ///
    /// It shows that the log is only added to. It does not show that a change of the feed is in the log: for that there
    /// are inclusion proofs.
    pub fn follow_checked(&self, request: pb::SubscribeRequest, log: TrustedLog) -> Following {
        Following::new(self.feed.clone(), request, Some(log))
    }
}

/// An error returned by a server, extracted from its status.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct ServerError {
    /// The gRPC status code.
    pub code: Code,
    /// The stable reason from `google.rpc.ErrorInfo`; empty if the status has none.
    pub reason: String,
    /// What happened and what to do about it, for people.
    pub message: String,
    /// The metadata from `google.rpc.ErrorInfo`.
    pub metadata: HashMap<String, String>,
    /// The invalid fields of the request, from `google.rpc.BadRequest`.
    pub field_violations: Vec<FieldViolation>,
}

/// An invalid field of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldViolation {
    /// The path of the field, such as `requests[2].labels[0]`.
    pub field: String,
    /// What is wrong with the value, and what would be valid.
    pub description: String,
}

impl From<Status> for ServerError {
    fn from(status: Status) -> Self {
        let info = status.get_details_error_info();
        let (reason, metadata) = info.map(|info| (info.reason, info.metadata)).unwrap_or_default();
        let listed = status.get_details_bad_request().map(|bad| bad.field_violations).unwrap_or_default();
        let violation =
            |bad: tonic_types::FieldViolation| FieldViolation { field: bad.field, description: bad.description };
        let field_violations = listed.into_iter().map(violation).collect();
        Self { code: status.code(), reason, message: message_of(&status), metadata, field_violations }
    }
}

/// The message of a status that the server sent. If the status was created on this side, such as for a broken
/// connection, the message of its innermost cause, since the outer messages say little ("transport error").
fn message_of(status: &Status) -> String {
    let Some(mut cause) = status.source() else { return status.message().to_owned() };
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

impl ServerError {
    /// The error of a server that does not show the log that is trusted.
    fn diverged(error: &TrustError) -> Self {
        let message = format!("the server does not show the log that is trusted: {error}");
        let (metadata, field_violations) = (HashMap::new(), Vec::new());
        Self {
            code: Code::FailedPrecondition,
            reason: "HISTORY_DIVERGED".to_owned(),
            message,
            metadata,
            field_violations,
        }
    }

    /// Whether the connection broke, or the peer is not a Dateline server. Every error of a Dateline server has a
    /// reason.
    pub fn is_of_transport(&self) -> bool {
        let broken = matches!(self.code, Code::Unavailable | Code::Unknown | Code::Cancelled | Code::Internal);
        broken && self.reason.is_empty()
    }

    /// Whether the same call may succeed later without any action by the caller.
    pub fn is_passing(&self) -> bool {
        let reason = self.reason.as_str();
        let has_no_room = matches!(
            reason,
            "REQUEST_STALLED"
                | "STREAM_STALLED"
                | "SUBSCRIBER_STALLED"
                | "TOO_MANY_STREAMS"
                | "TOO_MANY_WEBHOOK_TESTS"
                | "QUEUE_FULL"
                | "MESSAGES_IN_FLIGHT"
                | "STORAGE_FULL"
        );
        self.is_of_transport()
            || self.code == Code::Unavailable
            || (self.code == Code::ResourceExhausted && has_no_room)
    }
}
