//! What counting and logging of calls costs: two servers, one of which counts, measured alternately. Also what a scrape
//! takes while writers are busy.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dateline::internals::metrics::{self, Sources};
use dateline::internals::server;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::load::load;
use super::pair::{Compared, Pair, WARM_UP};
use super::running::{Running, options};
use super::table::{Table, median, millis};

const SCRAPES: usize = 20;

/// Measures publishes and cached reads.
pub(crate) async fn measure(folder: &Path, rounds: usize, length: Duration, table: &mut Table) -> anyhow::Result<()> {
    let stats = Arc::default();
    let counting = server::Options { stats: Some(Arc::clone(&stats)), ..options()? };
    let servers = [
        Running::start_with(&folder.join("counted"), counting).await?,
        Running::start_with(&folder.join("uncounted"), options()?).await?,
    ];
    let mut pair = Pair::of(&servers).await?;
    let Compared { published, published_time, read, read_time } = pair.compare(&servers, rounds, length).await?;
    table.rate("durable publish, 64 clients, calls counted and logged", &published, "not counted", "≥ 97 %");
    table.time("durable publish, 64 clients: processor time per call, counted and not", &published_time);
    table.rate("newest, 64 clients, cached, calls counted and logged", &read, "not counted", "≥ 97 %");
    table.time("newest, 64 clients, cached: processor time per call, counted and not", &read_time);

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let sources =
        Sources { archive: Arc::clone(&servers[0].archive), stats, signer: None, webhooks: None, pages: None };
    let serving = tokio::spawn(async move { match metrics::serve(listener, sources).await {} });
    let busy = tokio::spawn(load(pair.publishers[0].take().unwrap_or_default(), WARM_UP, length));
    tokio::time::sleep(WARM_UP).await;
    let (mut took, mut bytes) = (Vec::new(), 0);
    for _ in 0..SCRAPES {
        let begun = Instant::now();
        let mut connection = TcpStream::connect(address).await?;
        connection.write_all(b"GET /metrics HTTP/1.1\r\nHost: bench\r\n\r\n").await?;
        let mut page = String::new();
        bytes = connection.read_to_string(&mut page).await?;
        took.push(begun.elapsed());
    }
    drop(busy.await??);
    let middle = Duration::from_secs_f64(median(took.iter().map(Duration::as_secs_f64)));
    let longest = took.iter().max().copied().unwrap_or_default();
    let shown = format!("{}, {}; {bytes} bytes", millis(middle), millis(longest));
    table.fact("a scrape while 64 clients publish: p50, longest", &shown, "");
    serving.abort();
    drop((serving.await, pair));
    for server in servers {
        server.stop().await?;
    }
    Ok(())
}
