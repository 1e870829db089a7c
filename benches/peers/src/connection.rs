//! Connections to Dateline and to the other stores: a durable write of revisions, and a read of the newest one.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use async_nats::jetstream;
use bytes::Bytes;
use dateline::{Client, pb};
use futures_util::{SinkExt, pin_mut};
use tokio_postgres::{NoTls, Statement};

/// How long NATS may take for an answer. Its default is too short for a busy machine.
const NATS_TIMEOUT: Duration = Duration::from_secs(60);

/// A revision to write: the article's id, and its paragraphs.
pub type Revision = (String, Vec<String>);

/// A connection of its own to one of the stores.
pub enum Connection {
    Dateline(Client),
    Etcd(etcd_client::KvClient),
    Postgres { client: tokio_postgres::Client, insert: Statement, select: Statement },
    Redis(redis::aio::MultiplexedConnection),
    Nats(jetstream::Context, jetstream::stream::Stream),
}

impl Connection {
    /// Connects to the store that `name` begins with.
    pub async fn open(name: &str, address: &str) -> Result<Self> {
        Ok(match name.trim_end_matches(|character: char| character.is_ascii_digit()) {
            "dateline" => Self::Dateline(Client::connect(&format!("http://{address}")).await?),
            "etcd" => Self::Etcd(etcd_client::Client::connect([format!("http://{address}")], None).await?.kv_client()),
            "pg" => Self::postgres(address).await?,
            "redis" => {
                let client = redis::Client::open(format!("redis://{address}"))?;
                Self::Redis(client.get_multiplexed_async_connection().await?)
            }
            "nats" => {
                let options = async_nats::ConnectOptions::new().request_timeout(Some(NATS_TIMEOUT));
                let mut context = jetstream::new(options.connect(address).await?);
                context.set_timeout(NATS_TIMEOUT);
                let stream = jetstream::stream::Config {
                    name: "revisions".to_owned(),
                    subjects: vec!["revisions.>".to_owned()],
                    allow_direct: true,
                    ..Default::default()
                };
                let stream = context.get_or_create_stream(stream).await?;
                Self::Nats(context, stream)
            }
            other => bail!("{other} is unknown; dateline, etcd, pg, redis and nats are known"),
        })
    }

    async fn postgres(address: &str) -> Result<Self> {
        let (host, port) = address.split_once(':').context("an address is HOST:PORT")?;
        let settings = format!("host={host} port={port} user=postgres dbname=postgres");
        let (client, connection) = tokio_postgres::connect(&settings, NoTls).await?;
        tokio::spawn(connection);
        // Several clients may create it at once; then all but one fail.
        let _ = client
            .batch_execute(
                "create table if not exists revision(article text, number bigserial, at timestamptz default now(), \
                 body text, primary key (article, number)); alter table revision alter body set compression lz4",
            )
            .await;
        let insert = client.prepare("insert into revision(article, body) values ($1, $2)").await?;
        let select =
            client.prepare("select body from revision where article = $1 order by number desc limit 1").await?;
        Ok(Self::Postgres { client, insert, select })
    }

    /// Writes revisions durably, all or none.
    pub async fn write(&mut self, mut revisions: Vec<Revision>) -> Result<()> {
        if revisions.len() > 1 {
            return self.write_batch(revisions).await;
        }
        let (id, paragraphs) = revisions.pop().context("there is nothing to write")?;
        match self {
            Self::Dateline(client) => drop(client.archive.record_observation(observation(id, paragraphs)).await?),
            Self::Etcd(client) => drop(client.put(id, paragraphs.join("\n"), None).await?),
            Self::Postgres { client, insert, .. } => {
                client.execute(&*insert, &[&id, &paragraphs.join("\n")]).await?;
            }
            Self::Redis(client) => {
                let mut add = redis::cmd("XADD");
                let _: String = add.arg(id).arg("*").arg("body").arg(paragraphs.join("\n")).query_async(client).await?;
            }
            Self::Nats(context, _) => {
                context.publish(format!("revisions.{id}"), paragraphs.join("\n").into()).await?.await?;
            }
        }
        Ok(())
    }

    async fn write_batch(&mut self, revisions: Vec<Revision>) -> Result<()> {
        match self {
            Self::Dateline(client) => {
                let requests = revisions.into_iter().map(|(id, paragraphs)| observation(id, paragraphs)).collect();
                client.archive.batch_record_observations(pb::BatchRecordObservationsRequest { requests }).await?;
            }
            Self::Postgres { client, .. } => {
                let lines: String =
                    revisions.iter().map(|(id, paragraphs)| format!("{id}\t{}\n", paragraphs.join("\\n"))).collect();
                let sink = client.copy_in::<_, Bytes>("copy revision(article, body) from stdin").await?;
                pin_mut!(sink);
                sink.send(lines.into_bytes().into()).await?;
                sink.finish().await?;
            }
            Self::Etcd(_) | Self::Redis(_) | Self::Nats(..) => bail!("only dateline and pg write batches here"),
        }
        Ok(())
    }

    /// Reads the newest revision of an article.
    pub async fn read(&mut self, id: &str) -> Result<()> {
        match self {
            Self::Dateline(client) => {
                let name = format!("sources/peers/articles/{id}");
                let request = pb::GetArticleRequest { name, ..Default::default() };
                ensure!(client.archive.get_article(request).await?.into_inner().article.is_some());
            }
            Self::Etcd(client) => ensure!(client.get(id, None).await?.count() == 1),
            Self::Postgres { client, select, .. } => {
                let row = client.query_one(&*select, &[&id]).await?;
                ensure!(!row.get::<_, &str>(0).is_empty());
            }
            Self::Redis(client) => {
                let mut range = redis::cmd("XREVRANGE");
                let found: redis::Value =
                    range.arg(id).arg("+").arg("-").arg("COUNT").arg(1).query_async(client).await?;
                ensure!(found != redis::Value::Nil);
            }
            Self::Nats(_, stream) => drop(stream.direct_get_last_for_subject(format!("revisions.{id}")).await?),
        }
        Ok(())
    }
}

fn observation(id: String, paragraphs: Vec<String>) -> pb::RecordObservationRequest {
    let block =
        |text| pb::Block { kind: Some(pb::block::Kind::Paragraph(pb::Paragraph { text })), ..Default::default() };
    let blocks = paragraphs.into_iter().map(block).collect();
    let content = pb::Content { headline: format!("Harbour bridge {id}"), blocks, ..Default::default() };
    pb::RecordObservationRequest {
        parent: "sources/peers".to_owned(),
        article_id: id,
        content: Some(content),
        ..Default::default()
    }
}
