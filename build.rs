//! Compiles the protobuf files with protox, so that no `protoc` is needed. No generated code is kept in git.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    #[cfg(feature = "wire")]
    contract::compile()?;
    Ok(())
}

#[cfg(feature = "cli")]
#[path = "build/json.rs"]
mod json;

#[cfg(feature = "wire")]
mod contract {
    use std::error::Error;
    use std::path::{Path, PathBuf};
    use std::{env, fs};

    use prost_types::{FileDescriptorSet, MethodDescriptorProto, ServiceDescriptorProto};
    use tonic_prost_build::manual;

    /// The public contract.
    const WIRE: [&str; 6] = [
        "dateline/v1/archive_service.proto",
        "dateline/v1/change_feed_service.proto",
        "dateline/v1/admin_service.proto",
        "dateline/v1/integrity_service.proto",
        "dateline/v1/access_service.proto",
        // No file imports it, but programs that read errors look its messages up.
        "google/rpc/error_details.proto",
    ];
    /// The messages that are stored on disk and in log files.
    const STORED: [&str; 2] = ["stored/v1/stored.proto", "stored/v1/logfile.proto"];

    /// The services with methods whose responses contain what is encoded already.
    const WITH_FRAMES: [&str; 2] = ["ArchiveService", "ChangeFeedService"];

    /// The codec of clients. The next one is the server's, which limits the memory that a decoded request may use.
    const MESSAGES: &str = "tonic_prost::ProstCodec";
    const REQUESTS: &str = "crate::wire::request::RequestCodec";

    /// Compiles what the enabled features need.
    pub(super) fn compile() -> Result<(), Box<dyn Error>> {
        let (has_client, has_server) = (cfg!(feature = "client"), cfg!(feature = "archive"));
        let mut compiler = protox::Compiler::new(["proto"])?;
        compiler.include_imports(true).include_source_info(true).open_files(WIRE)?;
        let out = PathBuf::from(env::var("OUT_DIR")?);
        // Encoded by the compiler, because prost's types drop the options of google.api.
        fs::write(out.join("dateline_descriptor.bin"), compiler.encode_file_descriptor_set())?;
        let mut wire = compiler.file_descriptor_set();
        for name in WITH_FRAMES {
            let service = take_service(&mut wire, name).ok_or_else(|| format!("there is no {name}"))?;
            generate(&service, &out)?;
        }
        #[cfg(feature = "cli")]
        fs::write(out.join("dateline_json.rs"), super::json::generate(&wire)?)?;
        // JSON and reflection look messages up by their full names.
        let mut config = tonic_prost_build::Config::new();
        config.enable_type_names();
        tonic_prost_build::configure()
            .build_client(has_client)
            .build_server(has_server)
            .codec_path(if has_server { REQUESTS } else { MESSAGES })
            .extern_path(".google.rpc", "::tonic_types::pb")
            .bytes(".dateline.v1.Original.data")
            .bytes(".dateline.v1.BackupData.data")
            .bytes(".dateline.v1.ReadOriginalResponse.data")
            .compile_fds_with_config(wire, config)?;
        if has_server {
            tonic_prost_build::configure()
                .build_client(false)
                .build_server(false)
                .compile_fds(protox::compile(STORED, ["proto"])?)?;
        }
        Ok(())
    }

    /// Removes a service from the descriptor set and returns it. Its messages stay.
    fn take_service(files: &mut FileDescriptorSet, name: &str) -> Option<ServiceDescriptorProto> {
        files.file.iter_mut().find_map(|file| {
            let index = file.service.iter().position(|service| service.name() == name)?;
            Some(file.service.remove(index))
        })
    }

    /// Generates a service's client and server separately. The client uses plain messages. The server responds with
    /// frames, of which parts are encoded already; `wire/frame.rs` defines these frames and their codec.
    fn generate(service: &ServiceDescriptorProto, out: &Path) -> Result<(), Box<dyn Error>> {
        let message = |name: &str| format!("super::{}", name.rsplit('.').next().unwrap_or(name));
        let frame = |name: &str| (format!("crate::wire::frame::{name}"), "crate::wire::frame::FrameCodec");
        let client = manual_service(service, |method| (message(method.output_type()), MESSAGES));
        let server = manual_service(service, |method| match method.name() {
            "Subscribe" => frame("EventFrame"),
            "ListChanges" => frame("PageFrame"),
            "GetArticle" | "GetRevision" | "LookupArticle" | "BatchGetArticles" | "ListArticles" | "ListRevisions" => {
                frame(&format!("ResponseFrame<{}>", message(method.output_type())))
            }
            _ => (message(method.output_type()), REQUESTS),
        });
        for (side, service) in [("client", client), ("server", server)] {
            let out = out.join(side);
            fs::create_dir_all(&out)?;
            let (is_client, is_server) = (side == "client", side == "server");
            let builder = manual::Builder::new().build_client(is_client).build_server(is_server).out_dir(out);
            builder.compile(&[service]);
        }
        Ok(())
    }

    fn manual_service(
        service: &ServiceDescriptorProto,
        output: impl Fn(&MethodDescriptorProto) -> (String, &'static str),
    ) -> manual::Service {
        let built = manual::Service::builder().name(service.name()).package("dateline.v1");
        let methods = service.method.iter().map(|method| {
            let (output, codec) = output(method);
            let input = method.input_type().rsplit('.').next().unwrap_or_default();
            let built = manual::Method::builder()
                .name(snake_case(method.name()))
                .route_name(method.name())
                .input_type(format!("super::{input}"))
                .output_type(output)
                .codec_path(codec);
            let built = if method.client_streaming() { built.client_streaming() } else { built };
            if method.server_streaming() { built.server_streaming().build() } else { built.build() }
        });
        methods.fold(built, manual::ServiceBuilder::method).build()
    }

    pub(super) fn snake_case(name: &str) -> String {
        let mut snake = String::new();
        for character in name.chars() {
            if character.is_ascii_uppercase() && !snake.is_empty() {
                snake.push('_');
            }
            snake.push(character.to_ascii_lowercase());
        }
        snake
    }
}
