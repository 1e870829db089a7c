//! Converts messages between protobuf and JSON, by reflection on the contract.
//!
//! The JSON is that of the specification, since the clients of others read it: bytes are base64, also those that the
//! command line shows as hexadecimal digits. Source: <https://protobuf.dev/programming-guides/json/>.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use prost::Message;
use prost_reflect::{DescriptorPool, DeserializeOptions, DynamicMessage, MessageDescriptor, MethodDescriptor};
use tokio::sync::Semaphore;
use tonic::Status;

use super::SHORT_BYTES;
use crate::service::status::Refusal;
use crate::wire::request::RequestError;
use crate::wire::{DESCRIPTOR, in_plain_words};

/// The most values in a message that a client sends as JSON. Each takes up to a kilobyte until it is converted.
const VALUES_MAX: usize = 50_000;

static POOL: LazyLock<Option<DescriptorPool>> = LazyLock::new(|| {
    let mut pool = DescriptorPool::decode(DESCRIPTOR).ok()?;
    pool.decode_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET).ok()?;
    Some(pool)
});

/// The method with this path, such as `/dateline.v1.ArchiveService/GetArticle`; `None` if there is none.
pub(super) fn method(path: &str) -> Option<MethodDescriptor> {
    let (service, method) = path.strip_prefix('/')?.split_once('/')?;
    POOL.as_ref()?.get_service_by_name(service)?.methods().find(|described| described.name() == method)
}

/// Converts messages, long ones where they delay no other call, and only a few at once.
#[derive(Clone)]
pub(super) struct Converter(Arc<Semaphore>);

impl Default for Converter {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self(Arc::new(Semaphore::new(cores)))
    }
}

impl Converter {
    /// The protobuf of a message in JSON.
    pub(super) async fn read(&self, message: MessageDescriptor, json: Bytes) -> Result<Bytes, Status> {
        self.run(json.len(), move || read(message, &json)).await
    }

    /// The JSON of a message in protobuf, which the server wrote.
    pub(super) async fn write(&self, message: MessageDescriptor, proto: Bytes) -> Result<Bytes, Status> {
        self.run(proto.len(), move || write(message, &proto)).await
    }

    async fn run(
        &self,
        bytes: usize,
        convert: impl FnOnce() -> Result<Bytes, Status> + Send + 'static,
    ) -> Result<Bytes, Status> {
        if bytes <= SHORT_BYTES {
            return convert();
        }
        // It is never closed.
        let _slot = self.0.acquire().await;
        tokio::task::spawn_blocking(convert).await.unwrap_or_else(|_| Err(Refusal::internal().into()))
    }
}

pub(super) fn read(message: MessageDescriptor, json: &[u8]) -> Result<Bytes, Status> {
    // As many as commas and opening brackets, or fewer, if these are in texts.
    let values = json.iter().filter(|byte| matches!(byte, b',' | b'{' | b'[')).count();
    if values > VALUES_MAX {
        let what =
            format!("it has more than {VALUES_MAX} values; send it as protobuf (application/proto), or in parts");
        return Err(RequestError::Malformed(what).into());
    }
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let read = DynamicMessage::deserialize_with_options(message, &mut deserializer, &DeserializeOptions::new());
    let read = read.and_then(|message| deserializer.end().map(|()| message));
    let message = read.map_err(|error| RequestError::Malformed(in_plain_words(&error)))?;
    Ok(message.encode_to_vec().into())
}

pub(super) fn write(message: MessageDescriptor, proto: &[u8]) -> Result<Bytes, Status> {
    let written = DynamicMessage::decode(message, proto).ok().and_then(|message| serde_json::to_vec(&message).ok());
    written.map(Bytes::from).ok_or_else(|| Refusal::internal().into())
}

/// The JSON of what an `Any` with this type has in it; `None` if the type is not in the contract.
pub(super) fn of_any(type_name: &str, value: &[u8]) -> Option<serde_json::Value> {
    let message = POOL.as_ref()?.get_message_by_name(type_name)?;
    serde_json::to_value(DynamicMessage::decode(message, value).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_take_much_memory_is_refused_before_it_is_read() {
        let batch = method("/dateline.v1.ArchiveService/BatchRecordObservations").unwrap().input();
        let json = format!("{{\"requests\":[{}{{}}]}}", "{},".repeat(VALUES_MAX));
        assert_eq!(read(batch.clone(), json.as_bytes()).unwrap_err().code(), tonic::Code::InvalidArgument);
        // The depth is limited, too.
        let deep = "[".repeat(40_000);
        assert_eq!(read(batch, deep.as_bytes()).unwrap_err().code(), tonic::Code::InvalidArgument);
    }

    #[test]
    fn a_message_goes_through_json_and_back() {
        let get = method("/dateline.v1.ArchiveService/GetArticle").unwrap().input();
        let json = br#"{"name":"sources/courier/articles/ferry"}"#;
        let proto = read(get.clone(), json).unwrap();
        assert_eq!(write(get.clone(), &proto).unwrap(), json.as_slice());
        let unknown = read(get, br#"{"nmae":"sources/courier/articles/ferry"}"#).unwrap_err();
        assert!(unknown.message().contains("nmae"), "{}", unknown.message());
    }
}
