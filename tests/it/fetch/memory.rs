//! A page of a megabyte that decompresses to a gigabyte takes no more memory than the page limit allows.

#![cfg(target_os = "linux")]

use bytes::Bytes;
use dateline::internals::fetch::FetchError;

use super::bodies::packed;
use super::server::{Answer, Server};
use super::web::Web;
use super::{error, fetcher};

/// Set in the process that runs this test alone.
const ALONE: &str = "DATELINE_TEST_FETCH_ALONE";

/// The peak memory of this process so far, in bytes.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

#[tokio::test]
async fn a_decompression_bomb_is_contained() {
    if std::env::var_os(ALONE).is_none() {
        // Other tests run at the same time, so the memory is measured in a separate process.
        let own = std::env::current_exe().unwrap();
        let mut alone = tokio::process::Command::new(own);
        alone.args(["fetch::memory::a_decompression_bomb_is_contained", "--exact", "--nocapture"]).env(ALONE, "1");
        let output = alone.output().await.unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
        return;
    }
    let server = Server::start().await;
    let fetcher = fetcher(&Web::of(&server));
    for (encoding, members) in [("gzip", 128), ("zstd", 128), ("br", 1)] {
        let member = packed(encoding, &vec![0; (8 << 20).max((128 << 20) / members)]).await;
        let bomb = Bytes::from(member.repeat(members));
        assert!(bomb.len() < 2 << 20, "{}", bomb.len());
        server.route("/", move |_| Answer::ok("text/html", bomb.clone()).header("Content-Encoding", encoding));
        let before = peak();
        let error = error(&fetcher, "http://news.example/").await;
        assert!(matches!(error, FetchError::TooLarge { limit: 0x100_0000, .. }), "{error:?}");
        let taken = peak() - before;
        assert!(taken < 64 << 20, "{encoding}: {taken} bytes");
    }
}
