//! What counting and logging of calls costs: two servers, one of which counts, measured alternately. Also what a scrape
//! takes while writers are busy.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dateline::internals::metrics::{self, Sources};
use dateline::internals::server;
use dateline::internals::wire::pb;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::callers::{Publisher, Reader, SOURCE, deal};
use super::load::load;
use super::running::{Running, options};
use super::table::{Table, median, millis};

const CLIENTS: usize = 64;
const PUBLISHER_ARTICLES: usize = 16;
const ARTICLE_BYTES: usize = 4_000;
const WARM_UP: Duration = Duration::from_millis(400);
const SCRAPES: usize = 20;

/// Measures publishes and cached reads, with the server that counts first in every other round.
pub(crate) async fn measure(folder: &Path, rounds: usize, length: Duration, table: &mut Table) -> anyhow::Result<()> {
    let stats = Arc::default();
    let counting = server::Options { stats: Some(Arc::clone(&stats)), ..options()? };
    let servers = [
        Running::start_with(&folder.join("counted"), counting).await?,
        Running::start_with(&folder.join("uncounted"), options()?).await?,
    ];
    let mut publishers = Vec::new();
    for server in &servers {
        let clients = server.clients(CLIENTS).await?.into_iter().enumerate();
        let of_server = clients
            .map(|(number, client)| Publisher::new(client, number, PUBLISHER_ARTICLES, ARTICLE_BYTES))
            .collect::<Vec<_>>();
        publishers.push(Some(of_server));
    }
    let (mut published, mut published_time, mut read, mut read_time) = (vec![], vec![], vec![], vec![]);
    for round in 0..rounds {
        let (mut rates, mut times) = ([[0.0; 2]; 2], [[Duration::ZERO; 2]; 2]);
        for turn in [round % 2, 1 - round % 2] {
            let (done, back) = load(publishers[turn].take().unwrap_or_default(), WARM_UP, length).await?;
            publishers[turn] = Some(back);
            (rates[0][turn], times[0][turn]) = (done.rate(), done.processor_a_call());
        }
        for turn in [round % 2, 1 - round % 2] {
            let requests = newest(&servers[turn]).await?;
            let clients = servers[turn].clients(CLIENTS).await?.into_iter().zip(deal(&requests, CLIENTS));
            let readers = clients.map(|(client, requests)| Reader::new(client, requests)).collect();
            let (done, _) = load(readers, WARM_UP, length).await?;
            (rates[1][turn], times[1][turn]) = (done.rate(), done.processor_a_call());
        }
        published.push((rates[0][0], rates[0][1]));
        published_time.push((times[0][0], times[0][1]));
        read.push((rates[1][0], rates[1][1]));
        read_time.push((times[1][0], times[1][1]));
    }
    table.rate("durable publish, 64 clients, calls counted and logged", &published, "not counted", "≥ 97 %");
    table.time("durable publish, 64 clients: processor time per call, counted and not", &published_time);
    table.rate("newest, 64 clients, cached, calls counted and logged", &read, "not counted", "≥ 97 %");
    table.time("newest, 64 clients, cached: processor time per call, counted and not", &read_time);

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let sources = Sources { archive: Arc::clone(&servers[0].archive), stats, signer: None };
    let serving = tokio::spawn(async move { match metrics::serve(listener, sources).await {} });
    let busy = tokio::spawn(load(publishers[0].take().unwrap_or_default(), WARM_UP, length));
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
    drop((serving.await, publishers));
    for server in servers {
        server.stop().await?;
    }
    Ok(())
}

/// A request for the newest state of each article that a server has.
async fn newest(server: &Running) -> anyhow::Result<Vec<pb::GetArticleRequest>> {
    let mut client = server.clients(1).await?.remove(0);
    let request = pb::ListArticlesRequest { parent: SOURCE.to_owned(), page_size: 1_000, ..Default::default() };
    let listed = client.archive.list_articles(request).await?.into_inner().articles;
    let request = |article: pb::Article| pb::GetArticleRequest { name: article.name, ..Default::default() };
    Ok(listed.into_iter().map(request).collect())
}
