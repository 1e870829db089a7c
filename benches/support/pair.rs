//! Two servers that differ in one thing, measured alternately.

use std::time::Duration;

use dateline::internals::wire::pb;

use super::callers::{Publisher, Reader, SOURCE, deal};
use super::load::load;
use super::running::Running;

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

    /// Measures publishes and cached reads, with the other server first in every other round.
    pub(crate) async fn compare(
        &mut self,
        servers: &[Running; 2],
        rounds: usize,
        length: Duration,
    ) -> anyhow::Result<Compared> {
        let mut compared = Compared::default();
        for round in 0..rounds {
            let (mut rates, mut times) = ([[0.0; 2]; 2], [[Duration::ZERO; 2]; 2]);
            for turn in [round % 2, 1 - round % 2] {
                let (done, back) = load(self.publishers[turn].take().unwrap_or_default(), WARM_UP, length).await?;
                self.publishers[turn] = Some(back);
                (rates[0][turn], times[0][turn]) = (done.rate(), done.processor_a_call());
            }
            for turn in [round % 2, 1 - round % 2] {
                let requests = newest(&servers[turn]).await?;
                let clients = servers[turn].clients(CLIENTS).await?.into_iter().zip(deal(&requests, CLIENTS));
                let readers = clients.map(|(client, requests)| Reader::new(client, requests)).collect();
                let (done, _) = load(readers, WARM_UP, length).await?;
                (rates[1][turn], times[1][turn]) = (done.rate(), done.processor_a_call());
            }
            compared.published.push((rates[0][0], rates[0][1]));
            compared.published_time.push((times[0][0], times[0][1]));
            compared.read.push((rates[1][0], rates[1][1]));
            compared.read_time.push((times[1][0], times[1][1]));
        }
        Ok(compared)
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
