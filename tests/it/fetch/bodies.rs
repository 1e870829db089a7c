//! Response bodies: compressed, large, endless, and broken.

use async_compression::Level;
use async_compression::tokio::write::{BrotliEncoder, GzipEncoder, ZlibEncoder, ZstdEncoder};
use bytes::Bytes;
use dateline::internals::fetch::{FetchError, Fetcher, Options};
use tokio::io::AsyncWriteExt;

use super::server::{Answer, Server};
use super::web::Web;
use super::{error, fetcher, options, page};

/// `bytes`, compressed with the given Content-Encoding.
pub(super) async fn packed(encoding: &str, bytes: &[u8]) -> Vec<u8> {
    macro_rules! pack {
        ($encoder:expr) => {{
            let mut encoder = $encoder;
            encoder.write_all(bytes).await.unwrap();
            encoder.shutdown().await.unwrap();
            encoder.into_inner()
        }};
    }
    match encoding {
        "gzip" | "x-gzip" => pack!(GzipEncoder::new(Vec::new())),
        "br" => pack!(BrotliEncoder::with_quality(Vec::new(), Level::Fastest)),
        "zstd" => pack!(ZstdEncoder::new(Vec::new())),
        "deflate" => pack!(ZlibEncoder::new(Vec::new())),
        _ => panic!("{encoding}"),
    }
}

fn route(server: &Server, encoding: &'static str, body: Vec<u8>) {
    let body = Bytes::from(body);
    server.route("/", move |_| Answer::ok("text/html", body.clone()).header("Content-Encoding", encoding));
}

#[tokio::test]
async fn compressed_pages_are_decompressed() {
    let server = Server::start().await;
    let fetcher = fetcher(&Web::of(&server));
    let text = "<p>The death toll rose to 92.</p>\n".repeat(10_000);
    for encoding in ["gzip", "x-gzip", "br", "zstd", "deflate"] {
        let body = packed(encoding, text.as_bytes()).await;
        assert!(body.len() < text.len() / 10);
        route(&server, encoding, body);
        assert_eq!(page(&fetcher, "http://news.example/").await.body.as_ref(), text.as_bytes(), "{encoding}");
    }
    route(&server, "Identity", b"plain".to_vec());
    assert_eq!(page(&fetcher, "http://news.example/").await.body.as_ref(), b"plain");
    let members = [packed("gzip", b"in two ").await, packed("gzip", b"members").await].concat();
    route(&server, "GZIP", members);
    assert_eq!(page(&fetcher, "http://news.example/").await.body.as_ref(), b"in two members");
    assert_eq!(server.seen().opened, 1);
}

#[tokio::test]
async fn a_body_that_cannot_be_decompressed_is_reported() {
    let server = Server::start().await;
    let fetcher = fetcher(&Web::of(&server));
    let text = "Words that are not all the same: 1 2 3 4 5 6 7 8 9. ".repeat(50);
    for encoding in ["gzip", "br", "zstd", "deflate"] {
        let whole = packed(encoding, text.as_bytes()).await;
        let mut flipped = whole.clone();
        flipped[0] ^= 0xff;
        let bodies =
            [("cut", whole[..whole.len() - 1].to_vec()), ("flipped", flipped), ("not packed", text.clone().into())];
        for (what, body) in bodies {
            route(&server, encoding, body);
            let error = error(&fetcher, "http://news.example/").await;
            let FetchError::BadEncoding { encoding: told, .. } = &error else { panic!("{encoding} {what}: {error:?}") };
            assert_eq!(told, encoding);
            assert!(!error.is_transient());
        }
    }
    for encoding in ["compress", "gzip, br", "gzip2"] {
        route(&server, encoding, b"x".to_vec());
        let error = error(&fetcher, "http://news.example/").await;
        assert!(matches!(error, FetchError::BadEncoding { .. }), "{error:?}");
        assert!(error.to_string().contains(encoding), "{error}");
    }
}

#[tokio::test]
async fn a_truncated_page_is_an_error() {
    let server = Server::start().await;
    let fetcher = fetcher(&Web::of(&server));
    let packed = packed("gzip", "x".repeat(1000).as_bytes()).await;
    let head = format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", packed.len());
    let packed_half = [head.as_bytes(), &packed[..packed.len() / 2]].concat();
    for (what, bytes) in [
        ("before the head", b"".to_vec()),
        ("in the head", b"HTTP/1.1 200 OK\r\nContent-".to_vec()),
        ("length", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart".to_vec()),
        ("before a piece", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n".to_vec()),
        ("in a piece", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\npart".to_vec()),
        ("no pieces", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\npart".to_vec()),
        ("packed", packed_half),
    ] {
        server.route("/", move |_| Answer::raw(bytes.clone()));
        let error = error(&fetcher, "http://news.example/").await;
        assert!(matches!(error, FetchError::CutOff { .. }), "{what}: {error:?}");
        assert!(error.is_transient());
    }
}

#[tokio::test]
async fn a_page_may_end_with_the_connection_or_be_chunked() {
    let server = Server::start().await;
    let fetcher = fetcher(&Web::of(&server));
    for answer in [
        "HTTP/1.1 200 OK\r\n\r\nwhole",
        "HTTP/1.0 200 OK\r\n\r\nwhole",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nwh\r\n3;x=y\r\nole\r\n0\r\nTrailer: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwhole and more",
    ] {
        server.route("/", move |_| Answer::raw(answer));
        assert_eq!(page(&fetcher, "http://news.example/").await.body.as_ref(), b"whole", "{answer}");
    }
    server.route("/", |_| Answer::ok("text/html", ""));
    assert_eq!(page(&fetcher, "http://news.example/").await.body.len(), 0);
}

#[tokio::test]
async fn a_page_of_exactly_the_limit_is_accepted() {
    let server = Server::start().await;
    let fetcher = Fetcher::new(Options { body_bytes_max: 1000, ..options(&Web::of(&server)) });
    for encoding in ["identity", "gzip", "br", "zstd", "deflate"] {
        for length in [1000, 1001] {
            let text = "x".repeat(length);
            let body = if encoding == "identity" { text.into_bytes() } else { packed(encoding, text.as_bytes()).await };
            route(&server, encoding, body);
            let url = super::url("http://news.example/");
            match fetcher.fetch(&url, None).await {
                Ok(_) => assert_eq!(length, 1000, "{encoding}"),
                Err(error) => {
                    assert_eq!(length, 1001, "{encoding}: {error}");
                    assert_eq!(error, FetchError::TooLarge { url: url.to_string(), limit: 1000 });
                }
            }
        }
    }
}

#[tokio::test]
async fn an_endless_page_is_aborted() {
    let server = Server::start().await;
    let fetcher = Fetcher::new(Options { body_bytes_max: 1 << 20, ..options(&Web::of(&server)) });
    let piece = Bytes::from(format!("10000\r\n{}\r\n", "x".repeat(0x10000)));
    server.route("/", move |_| {
        let piece = piece.clone();
        Answer::status(200).header("Transfer-Encoding", "chunked").pieces(std::iter::repeat_with(move || piece.clone()))
    });
    let error = error(&fetcher, "http://news.example/").await;
    assert!(matches!(error, FetchError::TooLarge { limit: 0x10_0000, .. }), "{error:?}");
    assert!(error.to_string().contains("more than 1048576 bytes"), "{error}");
    server.until(|seen| seen.closed == 1).await;
}

#[tokio::test]
async fn a_declared_length_over_the_limit_is_rejected_at_once() {
    let server = Server::start().await;
    let fetcher = fetcher(&Web::of(&server));
    server.route("/", |_| Answer::raw("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n").and_hold());
    assert!(matches!(error(&fetcher, "http://news.example/").await, FetchError::TooLarge { .. }));
    server.until(|seen| seen.closed == 1).await;
}

#[tokio::test]
async fn a_page_of_100_mb_is_fetched_if_the_limit_allows() {
    const BYTES: usize = 100_000_000;
    let server = Server::start().await;
    let body = Bytes::from(vec![b'x'; BYTES]);
    server.route("/", move |_| Answer::ok("text/html", body.clone()));
    let web = Web::of(&server);
    let large = Fetcher::new(Options { body_bytes_max: 100_000_000, ..options(&web) });
    let page = page(&large, "http://news.example/").await;
    assert!(page.body.len() == BYTES && page.body.iter().all(|byte| *byte == b'x'));
    assert!(matches!(error(&fetcher(&web), "http://news.example/").await, FetchError::TooLarge { .. }));
}
