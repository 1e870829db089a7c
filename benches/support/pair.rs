//! Two servers that differ in one thing, measured alternately.

use std::path::Path;
use std::time::Duration;

use dateline::internals::wire::pb;

use super::callers::{Publisher, Reader, SOURCE, deal};
use super::load::{Load, load};
use super::running::Running;
use super::table::Table;

const CLIENTS: usize = 64;
const PUBLISHER_ARTICLES: usize = 16;
const ARTICLE_BYTES: usize = 4_000;
pub(crate) const WARM_UP: Duration = Duration::from_millis(400);

/// The publishers of two servers. Each remembers what it has published.
pub(crate) struct Pair {
    pub(crate) publishers: [Option<Vec<Publisher>>; 2],
}

/// The figures of each round, of the first server and of the second.
#[derive(Default)]
pub(crate) struct Compared {
    pub(crate) published: Vec<(f64, f64)>,
    pub(crate) published_time: Vec<(Duration, Duration)>,
    pub(crate) read: Vec<(f64, f64)>,
    pub(crate) read_time: Vec<(Duration, Duration)>,
}

impl Pair {
    pub(crate) async fn of(servers: &[Running; 2]) -> anyhow::Result<Self> {
        let mut publishers = [None, None];
        for (server, publishers) in servers.iter().zip(&mut publishers) {
            let clients = server.clients(CLIENTS).await?.into_iter().enumerate();
            let of_server = clients
                .map(|(number, client)| Publisher::new(client, number, PUBLISHER_ARTICLES, ARTICLE_BYTES))
                .collect::<Vec<_>>();
            *publishers = Some(of_server);
        }
        Ok(Self { publishers })
    }

    /// Measures publishes and cached reads. In each round both servers have both turns: the one that is measured first is
    /// slower by some percent, even if the servers do not differ.
    pub(crate) async fn compare(
        &mut self,
        servers: &[Running; 2],
        rounds: usize,
        length: Duration,
    ) -> anyhow::Result<Compared> {
        let mut compared = Compared::default();
        for _ in 0..rounds {
            let (mut publishes, mut reads) = ([Means::default(); 2], [Means::default(); 2]);
            for turn in [0, 1, 1, 0] {
                let (done, back) = load(self.publishers[turn].take().unwrap_or_default(), WARM_UP, length).await?;
                self.publishers[turn] = Some(back);
                publishes[turn].add(&done);
            }
            for turn in [0, 1, 1, 0] {
                let requests = newest(&servers[turn]).await?;
                let clients = servers[turn].clients(CLIENTS).await?.into_iter().zip(deal(&requests, CLIENTS));
                let readers = clients.map(|(client, requests)| Reader::new(client, requests)).collect();
                let (done, _) = load(readers, WARM_UP, length).await?;
                reads[turn].add(&done);
            }
            compared.published.push((publishes[0].rate, publishes[1].rate));
            compared.published_time.push((publishes[0].time, publishes[1].time));
            compared.read.push((reads[0].rate, reads[1].rate));
            compared.read_time.push((reads[0].time, reads[1].time));
        }
        Ok(compared)
    }
}

/// The means of the two turns of a server.
#[derive(Clone, Copy, Default)]
struct Means {
    rate: f64,
    time: Duration,
}

impl Means {
    fn add(&mut self, done: &Load) {
        self.rate += done.rate() / 2.0;
        self.time += done.processor_a_call() / 2;
    }
}

/// A request for the newest state of each article that a server has.
async fn newest(server: &Running) -> anyhow::Result<Vec<pb::GetArticleRequest>> {
    let mut client = server.clients(1).await?.remove(0);
    let request = pb::ListArticlesRequest { parent: SOURCE.to_owned(), page_size: 1_000, ..Default::default() };
    let listed = client.archive.list_articles(request).await?.into_inner().articles;
    let request = |article: pb::Article| pb::GetArticleRequest { name: article.name, ..Default::default() };
    Ok(listed.into_iter().map(request).collect())
}

/// Measures two servers that do not differ: what is left is the error of the other comparisons.
pub(crate) async fn control(folder: &Path, rounds: usize, length: Duration, table: &mut Table) -> anyhow::Result<()> {
    let servers = [Running::start(&folder.join("one")).await?, Running::start(&folder.join("other")).await?];
    let mut pair = Pair::of(&servers).await?;
    let Compared { published, published_time, read, read_time } = pair.compare(&servers, rounds, length).await?;
    table.rate("durable publish, 64 clients", &published, "an equal server", "100 %");
    table.time("durable publish, 64 clients: processor time per call, of equal servers", &published_time);
    table.rate("newest, 64 clients, cached", &read, "an equal server", "100 %");
    table.time("newest, 64 clients, cached: processor time per call, of equal servers", &read_time);
    drop(pair);
    for server in servers {
        server.stop().await?;
    }
    Ok(())
}
