//! Who may do what: every method, for principals with every kind of grant, on sources that are granted and others.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use dateline::internals::access::audit::{AuditLine, files};
use dateline::internals::access::{Access, Permission};
use dateline::internals::client::{Client, ServerError};
use dateline::internals::clock::{Clock, ManualClock, SystemClock};
use dateline::internals::server::Options;
use dateline::internals::wire::pb;
use dateline::model::{PrincipalName, SourcePattern, Timestamp};
use prost::Message;
use tempfile::TempDir;
use tonic::client::Grpc;
use tonic::codec::Streaming;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

use crate::server::{TestServer, content};
use crate::support;

type Answer = Pin<Box<dyn Future<Output = Result<(), Status>> + Send>>;

/// A connection, and the token that its calls have.
#[derive(Clone)]
struct Caller {
    channel: Channel,
    token: Option<String>,
}

impl Caller {
    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(token) = &self.token {
            request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        }
        request
    }

    async fn unary<A: Message + 'static, B: Message + Default + 'static>(
        &self,
        path: &str,
        message: A,
    ) -> Result<B, Status> {
        let mut grpc = Grpc::new(self.channel.clone());
        grpc.ready().await.unwrap();
        let codec = ProstCodec::<A, B>::default();
        let path = path.parse().unwrap();
        Ok(grpc.unary(self.request(message), path, codec).await?.into_inner())
    }

    /// Calls a method that responds with a stream.
    async fn stream<A: Message + 'static, B: Message + Default + 'static>(
        &self,
        path: &str,
        message: A,
    ) -> Result<Streaming<B>, Status> {
        let mut grpc = Grpc::new(self.channel.clone());
        grpc.ready().await.unwrap();
        let codec = ProstCodec::<A, B>::default();
        let path = path.parse().unwrap();
        Ok(grpc.server_streaming(self.request(message), path, codec).await?.into_inner())
    }
}

/// A method, what it needs, and a call of it that is about a source.
struct Method {
    path: &'static str,
    needs: Option<Permission>,
    /// Whether it is about the whole archive.
    everywhere: bool,
    call: Box<dyn Fn(Caller, String) -> Answer>,
}

fn methods() -> Vec<Method> {
    use Permission::{Admin, Expunge, Mark, Read, Subscribe, Write};
    let mut methods = Vec::new();
    macro_rules! method {
        ($kind:ident, $path:literal, $needs:expr, $everywhere:expr, $answer:ty, |$source:ident| $request:expr) => {
            methods.push(Method {
                path: $path,
                needs: $needs,
                everywhere: $everywhere,
                call: Box::new(|caller, $source| {
                    let request = $request;
                    Box::pin(async move {
                        caller.$kind::<_, $answer>(concat!("/dateline.v1.", $path), request).await.map(drop)
                    })
                }),
            });
        };
    }
    method!(unary, "ArchiveService/RecordObservation", Some(Write), false, pb::RecordObservationResponse, |source| {
        observation(&source)
    });
    method!(
        unary,
        "ArchiveService/BatchRecordObservations",
        Some(Write),
        false,
        pb::BatchRecordObservationsResponse,
        |source| { pb::BatchRecordObservationsRequest { requests: vec![observation(&source)] } }
    );
    method!(unary, "ArchiveService/RecordAbsence", Some(Write), false, pb::RecordAbsenceResponse, |source| {
        let target = Some(pb::record_absence_request::Target::Name(article(&source)));
        pb::RecordAbsenceRequest { target, reason: pb::AbsenceReason::Gone.into(), ..Default::default() }
    });
    method!(unary, "ArchiveService/WithdrawArticle", Some(Mark), false, pb::WithdrawArticleResponse, |source| {
        pb::WithdrawArticleRequest { name: article(&source), ..Default::default() }
    });
    method!(unary, "ArchiveService/ReinstateArticle", Some(Mark), false, pb::ReinstateArticleResponse, |source| {
        pb::ReinstateArticleRequest { name: article(&source), ..Default::default() }
    });
    method!(unary, "ArchiveService/RollbackArticle", Some(Mark), false, pb::RollbackArticleResponse, |source| {
        pb::RollbackArticleRequest { name: article(&source), revision_number: 1, ..Default::default() }
    });
    method!(unary, "ArchiveService/LabelArticle", Some(Mark), false, pb::LabelArticleResponse, |source| {
        pb::LabelArticleRequest { name: article(&source), add_labels: vec!["flood".to_owned()], ..Default::default() }
    });
    method!(unary, "ArchiveService/MoveUrl", Some(Mark), false, pb::MoveUrlResponse, |source| {
        let destination = Some(pb::move_url_request::Destination::Name(article(&source)));
        pb::MoveUrlRequest { url: format!("https://{source}.example/new"), destination, ..Default::default() }
    });
    method!(unary, "ArchiveService/GetArticle", Some(Read), false, pb::GetArticleResponse, |source| {
        pb::GetArticleRequest { name: article(&source), ..Default::default() }
    });
    method!(unary, "ArchiveService/GetRevision", Some(Read), false, pb::GetRevisionResponse, |source| {
        pb::GetRevisionRequest { name: format!("{}/revisions/1", article(&source)), ..Default::default() }
    });
    method!(stream, "ArchiveService/ReadOriginal", Some(Read), false, pb::ReadOriginalResponse, |source| {
        pb::ReadOriginalRequest { name: format!("{}/revisions/1", article(&source)), ..Default::default() }
    });
    method!(unary, "ArchiveService/BatchGetArticles", Some(Read), false, pb::BatchGetArticlesResponse, |source| {
        pb::BatchGetArticlesRequest { names: vec![article(&source)], ..Default::default() }
    });
    method!(unary, "ArchiveService/ListArticles", Some(Read), false, pb::ListArticlesResponse, |source| {
        pb::ListArticlesRequest { parent: format!("sources/{source}"), ..Default::default() }
    });
    method!(unary, "ArchiveService/ListRevisions", Some(Read), false, pb::ListRevisionsResponse, |source| {
        pb::ListRevisionsRequest { parent: article(&source), ..Default::default() }
    });
    method!(unary, "ArchiveService/DiffRevisions", Some(Read), false, pb::DiffRevisionsResponse, |source| {
        pb::DiffRevisionsRequest { name: article(&source), ..Default::default() }
    });
    method!(stream, "ChangeFeedService/Subscribe", Some(Read), false, pb::SubscribeResponse, |source| {
        pb::SubscribeRequest { filter: Some(only(&source)), end_when_caught_up: true, ..Default::default() }
    });
    method!(unary, "ChangeFeedService/ListChanges", Some(Read), false, pb::ListChangesResponse, |source| {
        pb::ListChangesRequest { filter: Some(only(&source)), ..Default::default() }
    });
    method!(
        unary,
        "ChangeFeedService/ListSubscriptions",
        Some(Subscribe),
        true,
        pb::ListSubscriptionsResponse,
        |_source| { pb::ListSubscriptionsRequest::default() }
    );
    method!(unary, "IntegrityService/GetInclusionProof", Some(Read), false, pb::GetInclusionProofResponse, |source| {
        let revision = pb::get_inclusion_proof_request::Change::Revision(format!("{}/revisions/1", article(&source)));
        pb::GetInclusionProofRequest { change: Some(revision), ..Default::default() }
    });
    method!(unary, "IntegrityService/GetConsistencyProof", None, true, pb::GetConsistencyProofResponse, |_source| {
        pb::GetConsistencyProofRequest::default()
    });
    method!(unary, "AdminService/GetStatus", None, true, pb::GetStatusResponse, |_source| pb::GetStatusRequest {});
    method!(stream, "AdminService/Verify", Some(Admin), true, pb::VerifyResponse, |_source| pb::VerifyRequest {});
    method!(stream, "AdminService/StreamBackup", Some(Admin), true, pb::StreamBackupResponse, |_source| {
        pb::StreamBackupRequest::default()
    });
    method!(unary, "AdminService/ExpungeRevisions", Some(Expunge), false, pb::ExpungeRevisionsResponse, |source| {
        pb::ExpungeRevisionsRequest {
            article: article(&source),
            scope: pb::ExpungeScope::Article.into(),
            reason: pb::ExpungeReason::CourtOrder.into(),
            validate_only: true,
            ..Default::default()
        }
    });
    method!(unary, "AccessService/GetCaller", None, true, pb::GetCallerResponse, |_source| pb::GetCallerRequest {});
    method!(unary, "AccessService/ListTokens", Some(Admin), true, pb::ListTokensResponse, |_source| {
        pb::ListTokensRequest::default()
    });
    methods
}

fn article(source: &str) -> String {
    format!("sources/{source}/articles/ferry")
}

fn observation(source: &str) -> pb::RecordObservationRequest {
    pb::RecordObservationRequest {
        parent: format!("sources/{source}"),
        article_id: "ferry".to_owned(),
        content: Some(content("Ferry returns", "It did.")),
        urls: vec![format!("https://{source}.example/ferry")],
        ..Default::default()
    }
}

fn only(source: &str) -> pb::ArticleFilter {
    pb::ArticleFilter { sources: vec![format!("sources/{source}")], ..Default::default() }
}

const SOURCES: [&str; 3] = ["courier", "gazette-north", "other"];

/// The principals, and what each may do where.
const GRANTS: [(&str, &[Permission], &[&str]); 8] = [
    ("crawler", &[Permission::Read, Permission::Write], &["courier", "gazette-*"]),
    ("drop-box", &[Permission::Write], &["other"]),
    ("desk", &[Permission::Read, Permission::Mark], &["gazette-*"]),
    ("index", &[Permission::Read, Permission::Subscribe], &["*"]),
    ("operator", &[Permission::Read, Permission::Admin], &["*"]),
    ("lawyer", &[Permission::Expunge, Permission::Admin], &["courier"]),
    ("mover", &[Permission::Read, Permission::Mark], &["*"]),
    ("nobody", &[], &[]),
];

/// A server with rules, and the tokens of its principals.
struct Guarded {
    directory: TempDir,
    server: TestServer,
    access: Arc<Access>,
    tokens: Vec<(&'static str, String)>,
}

impl Guarded {
    async fn new() -> Self {
        Self::with_clock(Arc::new(SystemClock)).await
    }

    async fn with_clock(clock: Arc<dyn Clock>) -> Self {
        let directory = TempDir::new().unwrap();
        // Without a principal that has no grant, which a token always has.
        let rules = "[[principal]]\nname = \"nobody\"\ntoken = \"sha256:".to_owned() + &"0".repeat(64) + "\"\n";
        write_rules(directory.path(), &rules);
        let access = Arc::new(Access::open(directory.path(), clock).unwrap());
        let mut tokens = Vec::new();
        for (name, permissions, sources) in GRANTS {
            if permissions.is_empty() {
                continue;
            }
            let sources: Vec<_> = sources.iter().map(|source| SourcePattern::parse(source).unwrap()).collect();
            let name_parsed = PrincipalName::parse(name).unwrap();
            tokens.push((name, access.create_token(&name_parsed, permissions, &sources, None).unwrap()));
        }
        let options = Options { access: Some(Arc::clone(&access)), allow_expunge: true, ..Options::default() };
        let archive = directory.path().join("archive");
        let server = TestServer::with_options(&archive, options).await;
        Self { directory, server, access, tokens }
    }

    fn token(&self, name: &str) -> String {
        self.tokens.iter().find(|(known, _)| *known == name).map(|(_, token)| token.clone()).unwrap()
    }

    async fn caller(&self, token: Option<String>) -> Caller {
        Caller { channel: self.server.channel().await, token }
    }

    async fn as_principal(&self, name: &str) -> Caller {
        self.caller(Some(self.token(name))).await
    }

    /// Records an article in each source, as the owner.
    async fn fill(&self) {
        for source in SOURCES {
            for (name, permissions, sources) in GRANTS {
                let may = |pattern: &&str| SourcePattern::parse(pattern).unwrap().matches(&support_source(source));
                if permissions.contains(&Permission::Write) && sources.iter().any(may) {
                    let caller = self.as_principal(name).await;
                    let path = "/dateline.v1.ArchiveService/RecordObservation";
                    let done: Result<pb::RecordObservationResponse, _> = caller.unary(path, observation(source)).await;
                    done.unwrap();
                }
            }
        }
    }
}

fn support_source(id: &str) -> dateline::model::SourceId {
    dateline::model::SourceId::parse(id).unwrap()
}

fn write_rules(directory: &Path, rules: &str) {
    let path = directory.join("access.toml");
    fs::write(&path, rules).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
}

fn reason(status: &Status) -> String {
    ServerError::from(status.clone()).reason
}

#[tokio::test]
async fn each_principal_may_do_what_it_is_granted_where_it_is_granted_and_nothing_else() {
    let guarded = Guarded::new().await;
    guarded.fill().await;
    let mut outcomes = BTreeSet::new();
    for (name, permissions, sources) in GRANTS.iter().filter(|(_, permissions, _)| !permissions.is_empty()) {
        let caller = guarded.as_principal(name).await;
        for method in methods() {
            for source in SOURCES {
                let has = |pattern: &&str| SourcePattern::parse(pattern).unwrap().matches(&support_source(source));
                let is_granted = match (method.needs, method.everywhere) {
                    (None, _) => true,
                    // A list of what one may see needs the permission somewhere.
                    (Some(Permission::Subscribe), true) => permissions.contains(&Permission::Subscribe),
                    (Some(needed), true) => permissions.contains(&needed) && sources.contains(&"*"),
                    (Some(needed), false) => permissions.contains(&needed) && sources.iter().any(has),
                };
                let answered = (method.call)(caller.clone(), source.to_owned()).await;
                let denied = answered.as_ref().err().is_some_and(|status| status.code() == Code::PermissionDenied);
                assert_eq!(!denied, is_granted, "{name}: {} on {source}: {answered:?}", method.path);
                if let Err(status) = &answered {
                    assert_ne!(status.code(), Code::Unauthenticated, "{name}: {status:?}");
                    assert!(!denied || reason(status) == "PERMISSION_DENIED", "{status:?}");
                }
                outcomes.insert((method.path, is_granted));
            }
        }
    }
    // Each method that needs a permission was granted to one and denied to another.
    for method in methods().iter().filter(|method| method.needs.is_some()) {
        assert!(outcomes.contains(&(method.path, true)) && outcomes.contains(&(method.path, false)), "{}", method.path);
    }
    guarded.server.stop().await;
}

#[tokio::test]
async fn a_call_without_a_valid_token_is_nobodys() {
    let clock = Arc::new(ManualClock::new(support::now()));
    let guarded = Guarded::with_clock(Arc::clone(&clock) as _).await;
    let expires = clock.now().saturating_add_micros(60_000_000);
    let short = PrincipalName::parse("short").unwrap();
    let all = [SourcePattern::parse("*").unwrap()];
    let expiring = guarded.access.create_token(&short, &[Permission::Read], &all, Some(expires)).unwrap();
    let good = guarded.token("index");
    let secret = good.strip_prefix("dln_").unwrap();
    let altered = format!("dln_{}{}", if secret.starts_with('0') { '1' } else { '0' }, &secret[1..]);
    let cases = [
        (None, "CREDENTIALS_MISSING"),
        (Some("dln_".to_owned()), "CREDENTIALS_INVALID"),
        (Some(altered), "CREDENTIALS_INVALID"),
        (Some("x".repeat(4_000)), "CREDENTIALS_INVALID"),
    ];
    for (token, expected) in cases {
        let caller = guarded.caller(token.clone()).await;
        for method in methods() {
            let status = (method.call)(caller.clone(), "courier".to_owned()).await.unwrap_err();
            assert_eq!(
                (status.code(), reason(&status).as_str()),
                (Code::Unauthenticated, expected),
                "{token:?} {}",
                method.path
            );
        }
    }
    let who = "/dateline.v1.AccessService/GetCaller";
    let caller = guarded.caller(Some(expiring)).await;
    let me: pb::GetCallerResponse = caller.unary(who, pb::GetCallerRequest {}).await.unwrap();
    assert_eq!(me.caller.unwrap().name, "short");
    clock.set(expires);
    let expired: Status = caller.unary::<_, pb::GetCallerResponse>(who, pb::GetCallerRequest {}).await.unwrap_err();
    assert_eq!(reason(&expired), "CREDENTIALS_EXPIRED");
    guarded.access.revoke(&PrincipalName::parse("index").unwrap()).unwrap();
    let revoked = guarded.caller(Some(good)).await;
    let revoked = revoked.unary::<_, pb::GetCallerResponse>(who, pb::GetCallerRequest {}).await.unwrap_err();
    assert_eq!(reason(&revoked), "CREDENTIALS_INVALID");
    // Health checks come from load balancers, which have no token.
    let mut health = tonic_health::pb::health_client::HealthClient::new(guarded.server.channel().await);
    health.check(tonic_health::pb::HealthCheckRequest::default()).await.unwrap();
    guarded.server.stop().await;
}

#[tokio::test]
async fn what_is_not_granted_is_not_seen() {
    let guarded = Guarded::new().await;
    guarded.fill().await;
    let caller = guarded.as_principal("crawler").await;
    let archive = |method: &str| format!("/dateline.v1.ArchiveService/{method}");
    let (lookup, move_url) = (archive("LookupArticle"), archive("MoveUrl"));
    let listed: pb::ListArticlesResponse = caller
        .unary(
            &archive("ListArticles"),
            pb::ListArticlesRequest { parent: "sources/-".to_owned(), ..Default::default() },
        )
        .await
        .unwrap();
    let names: Vec<&str> = listed.articles.iter().map(|article| article.name.as_str()).collect();
    assert_eq!(names, ["sources/courier/articles/ferry", "sources/gazette-north/articles/ferry"]);
    let sources: pb::ListSourcesResponse =
        caller.unary(&archive("ListSources"), pb::ListSourcesRequest::default()).await.unwrap();
    assert_eq!(sources.sources.len(), 2);
    let look_up = |url: &str| pb::LookupArticleRequest { url: url.to_owned(), ..Default::default() };
    let found = caller.unary::<_, pb::LookupArticleResponse>(&lookup, look_up("https://courier.example/ferry"));
    found.await.unwrap();
    let hidden = caller.unary::<_, pb::LookupArticleResponse>(&lookup, look_up("https://other.example/ferry"));
    let hidden = hidden.await.unwrap_err();
    let unknown = caller.unary::<_, pb::LookupArticleResponse>(&lookup, look_up("https://other.example/none"));
    assert_eq!((hidden.code(), reason(&hidden)), (Code::NotFound, reason(&unknown.await.unwrap_err())));
    // A warning does not name an article that the caller may not write to.
    let foreign = pb::RecordObservationRequest {
        article_id: "boat".to_owned(),
        urls: vec!["https://other.example/ferry".to_owned()],
        ..observation("courier")
    };
    let recorded: pb::RecordObservationResponse = caller.unary(&archive("RecordObservation"), foreign).await.unwrap();
    let warning = recorded.warnings.iter().find(|warning| warning.reason == "URL_BELONGS_TO_OTHER_ARTICLE").unwrap();
    assert!(!warning.message.contains("sources/other"), "{}", warning.message);
    // Nor can its address be moved away.
    let destination = Some(pb::move_url_request::Destination::Name("sources/gazette-north/articles/ferry".to_owned()));
    let url = "https://courier.example/ferry".to_owned();
    let desk = guarded.as_principal("desk").await;
    let taken =
        desk.unary::<_, pb::MoveUrlResponse>(&move_url, pb::MoveUrlRequest { url, destination, ..Default::default() });
    assert_eq!(reason(&taken.await.unwrap_err()), "PERMISSION_DENIED");

    let changes: pb::ListChangesResponse = caller
        .unary(
            "/dateline.v1.ChangeFeedService/ListChanges",
            pb::ListChangesRequest { start: beginning(), ..Default::default() },
        )
        .await
        .unwrap();
    let writers: BTreeSet<_> =
        changes.changes.iter().map(|change| (change.article.clone(), change.principal.clone())).collect();
    assert!(
        writers.iter().all(|(article, principal)| !article.contains("other") && principal == "crawler"),
        "{writers:?}"
    );
    assert_eq!(changes.changes.len(), 3);

    // Nor is an article named to which an address has been moved.
    let destination = Some(pb::move_url_request::Destination::Name("sources/other/articles/ferry".to_owned()));
    let url = "https://courier.example/ferry".to_owned();
    let move_away = pb::MoveUrlRequest { url, destination, ..Default::default() };
    guarded.as_principal("mover").await.unary::<_, pb::MoveUrlResponse>(&move_url, move_away).await.unwrap();
    let get = pb::GetArticleRequest { name: "sources/courier/articles/ferry".to_owned(), ..Default::default() };
    for (name, expected) in [("crawler", ""), ("mover", "sources/other/articles/ferry")] {
        let reader = guarded.as_principal(name).await;
        let found: pb::GetArticleResponse = reader.unary(&archive("GetArticle"), get.clone()).await.unwrap();
        let moved = found.article.unwrap().urls.into_iter().find(|url| url.end_time.is_some()).unwrap();
        assert_eq!(moved.moved_to, expected, "{name}");
    }
    guarded.server.stop().await;
}

fn beginning() -> Option<pb::FeedStart> {
    Some(pb::FeedStart { position: Some(pb::feed_start::Position::Beginning(true)) })
}

/// The rules of `GRANTS` with other sources for one principal; its token stays.
fn regrant(guarded: &Guarded, name: &str, from: &str, to: &str) {
    let path = guarded.directory.path().join("access.toml");
    let text = fs::read_to_string(&path).unwrap();
    let at = text.find(&format!("name = \"{name}\"")).unwrap();
    let (before, rest) = text.split_at(at);
    write_rules(guarded.directory.path(), &format!("{before}{}", rest.replacen(from, to, 1)));
    guarded.access.refresh();
}

#[tokio::test]
async fn a_stream_ends_when_its_rights_change_and_its_token_says_so() {
    let guarded = Guarded::new().await;
    guarded.fill().await;
    let caller = guarded.as_principal("crawler").await;
    let path = "/dateline.v1.ChangeFeedService/Subscribe";
    let heartbeat_interval = Some(prost_types::Duration { seconds: 1, nanos: 0 });
    let request = pb::SubscribeRequest { start: beginning(), heartbeat_interval, ..Default::default() };
    let mut stream: Streaming<pb::SubscribeResponse> = caller.stream(path, request.clone()).await.unwrap();
    let mut token = String::new();
    let mut next = async |stream: &mut Streaming<pb::SubscribeResponse>| {
        let event = stream.message().await?.unwrap().event.unwrap();
        use pb::subscribe_response::Event;
        if let Event::Delivery(pb::Delivery { bookmark: Some(bookmark), .. })
        | Event::Started(pb::Started { bookmark: Some(bookmark), .. })
        | Event::Bookmark(bookmark) = event
        {
            token = bookmark.resume_token;
        }
        Ok::<_, Status>(())
    };
    next(&mut stream).await.unwrap();
    next(&mut stream).await.unwrap();
    regrant(&guarded, "crawler", "\"courier\", ", "");
    let ended = loop {
        if let Err(status) = next(&mut stream).await {
            break status;
        }
    };
    assert_eq!(reason(&ended), "SCOPE_CHANGED");
    let resume = Some(pb::FeedStart { position: Some(pb::feed_start::Position::ResumeToken(token)) });
    let resumed = caller
        .stream::<_, pb::SubscribeResponse>(path, pb::SubscribeRequest { start: resume.clone(), ..request.clone() });
    assert_eq!(reason(&resumed.await.map(drop).unwrap_err()), "SCOPE_CHANGED");
    // The token is good again once the rights are those that it was given under.
    regrant(&guarded, "crawler", "[\"gazette-*\"]", "[\"courier\", \"gazette-*\"]");
    let mut stream = caller
        .stream::<_, pb::SubscribeResponse>(path, pb::SubscribeRequest { start: resume, ..request })
        .await
        .unwrap();
    guarded.access.revoke(&PrincipalName::parse("crawler").unwrap()).unwrap();
    let ended = loop {
        if let Err(status) = stream.message().await {
            break status;
        }
    };
    assert_eq!(reason(&ended), "PERMISSION_DENIED");
    guarded.server.stop().await;
}

#[tokio::test]
async fn a_durable_subscription_is_its_owners() {
    let guarded = Guarded::new().await;
    guarded.fill().await;
    let feed = |method: &str| format!("/dateline.v1.ChangeFeedService/{method}");
    let owner = guarded.as_principal("index").await;
    let create = pb::CreateSubscriptionRequest {
        subscription_id: "mirror".to_owned(),
        start: beginning(),
        ..Default::default()
    };
    let created: pb::CreateSubscriptionResponse = owner.unary(&feed("CreateSubscription"), create).await.unwrap();
    assert_eq!(created.subscription.unwrap().owner, "index");
    let other = PrincipalName::parse("other-index").unwrap();
    let all = [SourcePattern::parse("*").unwrap()];
    let token = guarded.access.create_token(&other, &[Permission::Read, Permission::Subscribe], &all, None).unwrap();
    let stranger = guarded.caller(Some(token)).await;
    let name = "subscriptions/mirror".to_owned();
    let get = pb::GetSubscriptionRequest { name: name.clone() };
    let seen = stranger.unary::<_, pb::GetSubscriptionResponse>(&feed("GetSubscription"), get.clone()).await;
    assert_eq!(seen.unwrap_err().code(), Code::PermissionDenied);
    let listed: pb::ListSubscriptionsResponse =
        stranger.unary(&feed("ListSubscriptions"), pb::ListSubscriptionsRequest::default()).await.unwrap();
    assert_eq!(listed.subscriptions, []);
    let attach = pb::SubscribeRequest { subscription: name.clone(), ..Default::default() };
    let attached = stranger.stream::<_, pb::SubscribeResponse>(&feed("Subscribe"), attach.clone()).await;
    assert_eq!(attached.map(drop).unwrap_err().code(), Code::PermissionDenied);
    let test = pb::TestWebhookRequest { name: name.clone() };
    let tested = stranger.unary::<_, pb::TestWebhookResponse>(&feed("TestWebhook"), test).await;
    assert_eq!(tested.unwrap_err().code(), Code::PermissionDenied);
    let rotate = pb::RotateWebhookKeyRequest { name: name.clone(), overlap: None };
    let rotated = stranger.unary::<_, pb::RotateWebhookKeyResponse>(&feed("RotateWebhookKey"), rotate).await;
    assert_eq!(rotated.unwrap_err().code(), Code::PermissionDenied);
    let delete = pb::DeleteSubscriptionRequest { name: name.clone(), ..Default::default() };
    let deleted = stranger.unary::<_, pb::DeleteSubscriptionResponse>(&feed("DeleteSubscription"), delete).await;
    assert_eq!(deleted.unwrap_err().code(), Code::PermissionDenied);

    drop(owner.stream::<_, pb::SubscribeResponse>(&feed("Subscribe"), attach.clone()).await.unwrap());
    regrant(&guarded, "index", "[\"*\"]", "[\"courier\"]");
    let narrowed = owner.stream::<_, pb::SubscribeResponse>(&feed("Subscribe"), attach.clone()).await;
    assert_eq!(reason(&narrowed.map(drop).unwrap_err()), "SCOPE_CHANGED");
    let seek = pb::SeekSubscriptionRequest { name, start: beginning(), ..Default::default() };
    let mut moved = owner.unary::<_, pb::SeekSubscriptionResponse>(&feed("SeekSubscription"), seek.clone()).await;
    // The consumer that attached before may still be leaving.
    while let Err(status) = &moved
        && reason(status) == "SUBSCRIPTION_IN_USE"
    {
        tokio::task::yield_now().await;
        moved = owner.unary::<_, pb::SeekSubscriptionResponse>(&feed("SeekSubscription"), seek.clone()).await;
    }
    moved.unwrap();
    let mut stream = owner.stream::<_, pb::SubscribeResponse>(&feed("Subscribe"), attach).await.unwrap();
    let delivered = loop {
        let event = stream.message().await.unwrap().unwrap().event.unwrap();
        if let pb::subscribe_response::Event::Delivery(delivery) = event {
            break delivery;
        }
    };
    assert!(delivered.changes.iter().all(|change| change.article.starts_with("sources/courier/")));
    guarded.server.stop().await;
}

#[tokio::test]
async fn tokens_are_created_listed_and_revoked_over_the_service_and_all_of_it_is_written_down() {
    let guarded = Guarded::new().await;
    let operator = guarded.as_principal("operator").await;
    let access = |method: &str| format!("/dateline.v1.AccessService/{method}");
    let create = pb::CreateTokenRequest {
        name: "mirror".to_owned(),
        permissions: vec![pb::Permission::Read.into()],
        sources: vec!["gazette-*".to_owned()],
        expire_time: None,
    };
    let created: pb::CreateTokenResponse = operator.unary(&access("CreateToken"), create.clone()).await.unwrap();
    let again = operator.unary::<_, pb::CreateTokenResponse>(&access("CreateToken"), create.clone()).await.unwrap_err();
    assert_eq!((again.code(), reason(&again).as_str()), (Code::AlreadyExists, "PRINCIPAL_EXISTS"));
    let more = pb::CreateTokenRequest { permissions: vec![pb::Permission::Write.into()], ..create.clone() };
    let more = pb::CreateTokenRequest { name: "writer".to_owned(), ..more };
    let denied = operator.unary::<_, pb::CreateTokenResponse>(&access("CreateToken"), more).await.unwrap_err();
    assert_eq!(reason(&denied), "PERMISSION_DENIED", "what the administrator may not do itself is not passed on");
    for bad in [
        pb::CreateTokenRequest { name: "no spaces".to_owned(), ..create.clone() },
        pb::CreateTokenRequest { permissions: Vec::new(), ..create.clone() },
        pb::CreateTokenRequest { permissions: vec![99], ..create.clone() },
        pb::CreateTokenRequest { sources: vec!["a*b".to_owned()], ..create.clone() },
        pb::CreateTokenRequest { expire_time: Some(prost_types::Timestamp { seconds: 1, nanos: 0 }), ..create },
    ] {
        let refused = operator.unary::<_, pb::CreateTokenResponse>(&access("CreateToken"), bad).await.unwrap_err();
        assert_eq!(reason(&refused), "FIELD_INVALID");
    }
    let mirror = guarded.caller(Some(created.token.clone())).await;
    let me: pb::GetCallerResponse = mirror.unary(&access("GetCaller"), pb::GetCallerRequest {}).await.unwrap();
    let grants = me.caller.unwrap().grants;
    assert_eq!(
        grants,
        [pb::Grant { permissions: vec![pb::Permission::Read.into()], sources: vec!["gazette-*".to_owned()] }]
    );
    let mut names = Vec::new();
    let mut page = pb::ListTokensRequest { page_size: 3, page_token: String::new() };
    loop {
        let listed: pb::ListTokensResponse = operator.unary(&access("ListTokens"), page.clone()).await.unwrap();
        names.extend(listed.principals.into_iter().map(|principal| principal.name));
        page.page_token = listed.next_page_token;
        if page.page_token.is_empty() {
            break;
        }
    }
    let mut expected: Vec<_> =
        GRANTS.iter().map(|(name, ..)| (*name).to_owned()).chain(["mirror".to_owned()]).collect();
    expected.sort();
    assert_eq!(names, expected);
    let revoke = pb::RevokeTokenRequest { name: "mirror".to_owned() };
    operator.unary::<_, pb::RevokeTokenResponse>(&access("RevokeToken"), revoke.clone()).await.unwrap();
    let unknown = operator.unary::<_, pb::RevokeTokenResponse>(&access("RevokeToken"), revoke).await.unwrap_err();
    assert_eq!(reason(&unknown), "PRINCIPAL_UNKNOWN");
    let rules = fs::read_to_string(guarded.directory.path().join("access.toml")).unwrap();
    assert!(!rules.contains("dln_") && !rules.contains("mirror"), "only digests are kept: {rules}");

    let denied = guarded.as_principal("desk").await;
    let get = pb::GetArticleRequest { name: "sources/courier/articles/ferry".to_owned(), ..Default::default() };
    let path = "/dateline.v1.ArchiveService/GetArticle";
    denied.unary::<_, pb::GetArticleResponse>(path, get).await.unwrap_err();
    guarded.server.stop().await;
    let text = fs::read_to_string(files(guarded.directory.path()).pop().unwrap()).unwrap();
    let lines: Vec<AuditLine> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let has = |principal: &str, method: &str, code: &str, resource: &str| {
        lines.iter().any(|line| {
            line.principal == principal
                && line.method.ends_with(method)
                && line.code == code
                && line.resource == resource
        })
    };
    assert!(
        has("operator", "/CreateToken", "OK", "") && has("operator", "/CreateToken", "ALREADY_EXISTS", ""),
        "{text}"
    );
    assert!(
        has("operator", "/RevokeToken", "OK", "") && has("desk", "/GetArticle", "PERMISSION_DENIED", "sources/courier"),
        "{text}"
    );
    assert!(!text.contains("dln_"));
}

#[tokio::test]
async fn a_principal_makes_no_more_calls_than_it_may() {
    let guarded = Guarded::new().await;
    regrant(&guarded, "index", "name = \"index\"", "name = \"index\"\ncalls_per_second_max = 2");
    let caller = guarded.as_principal("index").await;
    let who = "/dateline.v1.AccessService/GetCaller";
    let mut limited = None;
    for _ in 0..50 {
        if let Err(status) = caller.unary::<_, pb::GetCallerResponse>(who, pb::GetCallerRequest {}).await {
            limited = Some(status);
            break;
        }
    }
    let limited = ServerError::from(limited.unwrap());
    assert_eq!((limited.code, limited.reason.as_str()), (Code::ResourceExhausted, "RATE_LIMITED"));
    let other = guarded.as_principal("crawler").await;
    other.unary::<_, pb::GetCallerResponse>(who, pb::GetCallerRequest {}).await.unwrap();
    guarded.server.stop().await;
}

#[tokio::test]
async fn a_principal_has_no_more_streams_than_it_may_and_they_end_when_it_is_revoked() {
    let guarded = Guarded::new().await;
    regrant(&guarded, "index", "name = \"index\"", "name = \"index\"\nstreams_max = 1");
    let path = "/dateline.v1.ChangeFeedService/Subscribe";
    let subscribe = async || {
        // A connection each.
        let caller = guarded.as_principal("index").await;
        let heartbeat_interval = Some(prost_types::Duration { seconds: 60, nanos: 0 });
        let request = pb::SubscribeRequest { start: beginning(), heartbeat_interval, ..Default::default() };
        caller.stream::<_, pb::SubscribeResponse>(path, request).await
    };
    let first = subscribe().await.unwrap();
    let refused = ServerError::from(subscribe().await.unwrap_err());
    assert_eq!((refused.code, refused.reason.as_str()), (Code::ResourceExhausted, "TOO_MANY_STREAMS"));
    assert!(refused.message.contains("index"), "{}", refused.message);
    drop(first);
    // The server learns of it a moment later.
    let mut second = loop {
        match subscribe().await {
            Ok(stream) => break stream,
            Err(status) => assert_eq!(reason(&status), "TOO_MANY_STREAMS"),
        }
    };
    // The next bookmark is due in a minute, but this ends the stream.
    guarded.access.revoke(&PrincipalName::parse("index").unwrap()).unwrap();
    let ended = loop {
        if let Err(status) = second.message().await {
            break status;
        }
    };
    assert_eq!(reason(&ended), "PERMISSION_DENIED");
    guarded.server.stop().await;
}

#[test]
fn a_file_with_a_mistake_keeps_the_old_rules_and_one_that_others_can_read_is_refused() {
    let directory = TempDir::new().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(Timestamp::from_micros(0).unwrap()));
    assert!(!Access::open(directory.path(), Arc::clone(&clock)).unwrap().has_rules());
    let rules = |name: &str| format!("# Ours.\n[[principal]]\nname = \"{name}\"\nsan = [\"{name}.example\"]\n");
    write_rules(directory.path(), &rules("one"));
    let access = Access::open(directory.path(), Arc::clone(&clock)).unwrap();
    let names = || access.list().iter().map(|listed| listed.principal.name.as_str().to_owned()).collect::<Vec<_>>();
    assert_eq!(names(), ["one"]);
    write_rules(directory.path(), "[[principal]]\nnmae = \"two\"\n");
    access.refresh();
    assert_eq!(names(), ["one"]);
    write_rules(directory.path(), &rules("three"));
    access.refresh();
    assert_eq!(names(), ["three"]);
    // What an operator wrote stays when a token is made.
    let name = PrincipalName::parse("four").unwrap();
    access.create_token(&name, &[Permission::Read], &[SourcePattern::parse("*").unwrap()], None).unwrap();
    assert!(fs::read_to_string(directory.path().join("access.toml")).unwrap().starts_with("# Ours.\n"));
    assert_eq!(names(), ["three", "four"]);
    let path = directory.path().join("access.toml");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    access.refresh();
    assert_eq!(names(), ["three", "four"]);
    let refused = Access::open(directory.path(), clock).unwrap_err();
    assert!(refused.to_string().contains("chmod 600"), "{refused}");
}

#[tokio::test]
async fn an_import_is_checked_item_by_item_and_ends_for_a_principal_that_is_revoked() {
    let guarded = Guarded::new().await;
    let caller = guarded.as_principal("crawler").await;
    let (sender, messages) = tokio::sync::mpsc::channel(1);
    let client = Client::over(caller.channel.clone());
    let request = caller.request(tokio_stream::wrappers::ReceiverStream::new(messages));
    let send = async |source: &str| {
        let requests = vec![observation(source)];
        sender.send(pb::ImportObservationsRequest { requests, ..Default::default() }).await.unwrap();
    };
    send("courier").await;
    let mut answers = client.archive.clone().import_observations(request).await.unwrap().into_inner();
    let code = |answer: pb::ImportObservationsResponse| match answer.result {
        Some(pb::import_observations_response::Result::Error(error)) => Code::from_i32(error.code),
        _ => Code::Ok,
    };
    assert_eq!(code(answers.message().await.unwrap().unwrap()), Code::Ok);
    send("other").await;
    assert_eq!(code(answers.message().await.unwrap().unwrap()), Code::PermissionDenied);
    let audited = fs::read_to_string(guarded.directory.path().join("audit.jsonl")).unwrap();
    let line: AuditLine = serde_json::from_str(audited.lines().last().unwrap()).unwrap();
    assert_eq!(
        (line.principal.as_str(), line.method.as_str(), line.resource.as_str()),
        ("crawler", "dateline.v1.ArchiveService/ImportObservations", "sources/other")
    );
    guarded.access.revoke(&PrincipalName::parse("crawler").unwrap()).unwrap();
    assert_eq!(reason(&answers.message().await.unwrap_err()), "PERMISSION_DENIED");
    guarded.server.stop().await;
}
