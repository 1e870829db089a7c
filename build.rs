//! Compiles the protobuf files with protox, so that no `protoc` is needed. No generated code is kept in git.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    #[cfg(feature = "wire")]
    contract::compile()?;
    Ok(())
}

#[cfg(feature = "wire")]
mod contract {
    use std::error::Error;
    use std::path::{Path, PathBuf};
    use std::{env, fs};

    use prost_types::{FileDescriptorSet, MethodDescriptorProto, ServiceDescriptorProto};
    use tonic_prost_build::manual;

    /// The public contract.
    const WIRE: [&str; 4] = [
        "dateline/v1/archive_service.proto",
        "dateline/v1/change_feed_service.proto",
        "dateline/v1/admin_service.proto",
        // No file imports it, but programs that read errors look its messages up.
        "google/rpc/error_details.proto",
    ];
    /// The messages that are stored on disk and in log files.
    const STORED: [&str; 2] = ["stored/v1/stored.proto", "stored/v1/logfile.proto"];

    /// The service whose responses are encoded once and shared by all subscribers.
    const FEED: &str = "ChangeFeedService";

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
        let feed = take_service(&mut wire, FEED).ok_or("there is no ChangeFeedService")?;
        generate_feed(&feed, &out)?;
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

    /// Generates the change feed's client and server separately. The client uses plain messages. The server responds
    /// with frames whose changes are already encoded; `wire/frame.rs` defines these frames and their codec.
    fn generate_feed(feed: &ServiceDescriptorProto, out: &Path) -> Result<(), Box<dyn Error>> {
        let message = |name: &str| format!("super::{}", name.rsplit('.').next().unwrap_or(name));
        let client = manual_service(feed, |method| (message(method.output_type()), MESSAGES));
        let server = manual_service(feed, |method| match method.name() {
            "Subscribe" => ("crate::wire::frame::EventFrame".to_owned(), "crate::wire::frame::FrameCodec"),
            "ListChanges" => ("crate::wire::frame::PageFrame".to_owned(), "crate::wire::frame::FrameCodec"),
            _ => (message(method.output_type()), REQUESTS),
        });
        for (side, service) in [("feed_client", client), ("feed_server", server)] {
            let out = out.join(side);
            fs::create_dir_all(&out)?;
            let (is_client, is_server) = (side == "feed_client", side == "feed_server");
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
            if method.server_streaming() { built.server_streaming().build() } else { built.build() }
        });
        methods.fold(built, manual::ServiceBuilder::method).build()
    }

    fn snake_case(name: &str) -> String {
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
