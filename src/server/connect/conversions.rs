//! What the protocol converts, without a server: for the fuzz targets of `tests/fuzz`.

use bytes::Bytes;
use http::Uri;
use tonic::Status;

use super::{get, json, request};

/// The protobuf of a message that is sent to the method with this path, as JSON; `None` if there is no such method.
pub fn proto_of_json(path: &str, json: &[u8]) -> Option<Result<Bytes, Status>> {
    json::method(path).map(|method| json::read(method.input(), json))
}

/// The JSON of a message in protobuf that is sent to the method with this path; `None` if there is no such method.
pub fn json_of_proto(path: &str, proto: &[u8]) -> Option<Result<Bytes, Status>> {
    json::method(path).map(|method| json::write(method.input(), proto))
}

/// The message of a GET request; `None` if it is not one to a method.
pub fn message_of_get(uri: &Uri) -> Option<Result<Bytes, Status>> {
    get::encoding(uri)?;
    json::method(uri.path()).map(|method| get::message(uri, &method))
}

/// The message of a request for a stream.
pub fn message_of_stream(body: Bytes) -> Result<Bytes, Status> {
    request::only_message(body)
}
