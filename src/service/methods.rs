//! The methods that a server has: those of the contract, health checks and reflection, as their descriptors list them.

use std::collections::HashMap;
use std::sync::LazyLock;

use prost::Message;
use prost_types::FileDescriptorSet;

use crate::wire::DESCRIPTOR;

/// Whether each method responds with a stream, by its path. A client cannot add to these.
static METHODS: LazyLock<HashMap<String, bool>> = LazyLock::new(|| {
    let health = tonic_health::pb::FILE_DESCRIPTOR_SET;
    let reflection = tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET;
    let described = [DESCRIPTOR, health, reflection, tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET];
    // They are compiled into this program, and can be decoded.
    let files = described.into_iter().filter_map(|bytes| FileDescriptorSet::decode(bytes).ok());
    let mut methods = HashMap::new();
    for file in files.flat_map(|set| set.file) {
        for service in &file.service {
            for method in &service.method {
                let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                methods.insert(path, method.server_streaming());
            }
        }
    }
    methods
});

/// The path of each method, such as `/dateline.v1.ArchiveService/GetArticle`, and whether it responds with a stream.
pub fn methods() -> impl Iterator<Item = (&'static str, bool)> {
    METHODS.iter().map(|(path, is_stream)| (path.as_str(), *is_stream))
}

/// Whether the method with this path responds with a stream. There may be no such method.
pub fn is_stream(path: &str) -> bool {
    METHODS.get(path).copied().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_told_from_other_methods() {
        assert!(methods().count() > 40);
        for (path, expected) in [
            ("/dateline.v1.ChangeFeedService/Subscribe", true),
            ("/dateline.v1.ArchiveService/ImportObservations", true),
            ("/grpc.health.v1.Health/Watch", true),
            ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", true),
            ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", true),
            ("/dateline.v1.ArchiveService/GetArticle", false),
            ("/grpc.health.v1.Health/Check", false),
            ("/dateline.v1.ArchiveService/DropEverything", false),
        ] {
            assert_eq!(is_stream(path), expected, "{path}");
        }
    }
}
