//! Tools that do not know the contract, such as grpcurl, learn it from the server.

use prost::Message;
use prost_types::FileDescriptorProto;
use tonic::transport::Channel;

use crate::server::TestServer;

const SERVICES: [&str; 5] = [
    "dateline.v1.AdminService",
    "dateline.v1.IntegrityService",
    "dateline.v1.ArchiveService",
    "dateline.v1.ChangeFeedService",
    "grpc.health.v1.Health",
];

async fn channel(server: &TestServer) -> Channel {
    Channel::from_shared(server.url.clone()).unwrap().connect().await.unwrap()
}

/// The services that the server lists, and the file that describes the first of ours.
macro_rules! reflected {
    ($version:ident, $channel:expr) => {{
        use tonic_reflection::pb::$version::ServerReflectionRequest;
        use tonic_reflection::pb::$version::server_reflection_client::ServerReflectionClient;
        use tonic_reflection::pb::$version::server_reflection_request::MessageRequest;
        use tonic_reflection::pb::$version::server_reflection_response::MessageResponse;
        let asked = [
            MessageRequest::ListServices(String::new()),
            MessageRequest::FileContainingSymbol("dateline.v1.ArchiveService".to_owned()),
        ];
        let asked = asked.map(|asked| ServerReflectionRequest { message_request: Some(asked), ..Default::default() });
        let answered = ServerReflectionClient::new($channel).server_reflection_info(tokio_stream::iter(asked)).await;
        let mut answered = answered.unwrap().into_inner();
        let Some(MessageResponse::ListServicesResponse(listed)) =
            answered.message().await.unwrap().unwrap().message_response
        else {
            panic!("expected a list of services");
        };
        let Some(MessageResponse::FileDescriptorResponse(files)) =
            answered.message().await.unwrap().unwrap().message_response
        else {
            panic!("expected a file");
        };
        let services: Vec<String> = listed.service.into_iter().map(|service| service.name).collect();
        (services, FileDescriptorProto::decode(files.file_descriptor_proto[0].as_slice()).unwrap())
    }};
}

#[tokio::test]
async fn both_versions_of_reflection_describe_every_service() {
    let directory = tempfile::tempdir().unwrap();
    let server = TestServer::on_directory(directory.path()).await;
    for (services, file) in [reflected!(v1, channel(&server).await), reflected!(v1alpha, channel(&server).await)] {
        for service in SERVICES {
            assert!(services.iter().any(|listed| listed == service), "{service} is not in {services:?}");
        }
        assert_eq!(file.name(), "dateline/v1/archive_service.proto");
        assert!(file.service[0].method.iter().any(|method| method.name() == "GetArticle"));
    }
}
