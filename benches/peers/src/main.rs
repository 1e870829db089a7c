//! Measures durable writes and newest reads of Dateline and of other stores, in one run.
//!
//! `cargo run --release --manifest-path benches/peers/Cargo.toml -- TARGET=ADDRESS@PID … [--clients N] [--seconds N]
//! [--bytes N] [--rounds N] [--batch N]`
//!
//! A target is `dateline`, `etcd`, `pg`, `redis` or `nats`; digits after the name tell several servers of one kind
//! apart. `benches/peers/peers.sh` installs and starts the others. Each client has a connection and sixteen articles of
//! its own, which it revises with small edits. Each write is acknowledged when it is synced. With `--batch`, a write is
//! that many revisions, recorded all or none: `BatchRecordObservations`, and `COPY` in PostgreSQL; others are left out.
//!
//! The targets take turns, so that a drift of the machine affects all of them. The table has medians of the rounds: calls
//! per second, the median and the 99th percentile of their time, and the server's processor time for each.

mod connection;
mod processor;
mod prose;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::connection::Connection;
use crate::prose::Article;

const ARTICLES: usize = 16;
/// How long a target runs before it is measured.
const WARM_UP: Duration = Duration::from_millis(500);

struct Options {
    targets: Vec<Target>,
    clients: usize,
    length: Duration,
    bytes: usize,
    rounds: usize,
    /// The revisions of a write.
    batch: usize,
}

#[derive(Clone)]
struct Target {
    name: String,
    address: String,
    pid: u32,
}

impl Options {
    fn parse(arguments: impl Iterator<Item = String>) -> Result<Self> {
        let (targets, length) = (Vec::new(), Duration::from_secs(3));
        let mut options = Self { targets, clients: 64, length, bytes: 4_000, rounds: 3, batch: 1 };
        let mut arguments = arguments.peekable();
        while let Some(argument) = arguments.next() {
            let Some(option) = argument.strip_prefix("--") else {
                options.targets.push(Target::parse(&argument)?);
                continue;
            };
            let number: usize = arguments.next().context("an option has no value")?.parse()?;
            match option {
                "clients" => options.clients = number,
                "seconds" => options.length = Duration::from_secs(number as u64),
                "bytes" => options.bytes = number,
                "rounds" => options.rounds = number,
                "batch" => options.batch = number,
                _ => bail!("--{option} is unknown"),
            }
        }
        Ok(options)
    }
}

impl Target {
    fn parse(argument: &str) -> Result<Self> {
        let (name, rest) = argument.split_once('=').context("a target is NAME=ADDRESS@PID")?;
        let (address, pid) = rest.split_once('@').context("a target is NAME=ADDRESS@PID")?;
        Ok(Self { name: name.to_owned(), address: address.to_owned(), pid: pid.parse()? })
    }
}

/// A client, with its articles.
struct Client {
    connection: Connection,
    articles: Vec<Article>,
    next: usize,
    batch: usize,
}

impl Client {
    async fn write(&mut self) -> Result<()> {
        let mut revisions = Vec::with_capacity(self.batch);
        for _ in 0..self.batch {
            let index = self.next % self.articles.len();
            self.next += 1;
            self.articles[index].edit();
            revisions.push((self.articles[index].id.clone(), self.articles[index].paragraphs.clone()));
        }
        self.connection.write(revisions).await
    }

    async fn read(&mut self) -> Result<()> {
        let index = self.next % self.articles.len();
        self.next += 1;
        self.connection.read(&self.articles[index].id).await
    }
}

#[derive(Clone, Copy)]
enum Call {
    Write,
    Read,
}

/// What one target did in one turn, for each call.
struct Measured {
    per_second: f64,
    median_ms: f64,
    p99_ms: f64,
    processor_us: f64,
}

/// Lets all clients call for `length`, and returns them.
async fn turn(clients: Vec<Client>, call: Call, length: Duration, pid: u32) -> Result<(Measured, Vec<Client>)> {
    let barrier = Arc::new(Barrier::new(clients.len() + 1));
    let mut calling = JoinSet::new();
    for mut client in clients {
        let barrier = Arc::clone(&barrier);
        calling.spawn(async move {
            barrier.wait().await;
            let start = Instant::now() + WARM_UP;
            let mut times = Vec::new();
            loop {
                let begun = Instant::now();
                if begun >= start + length {
                    return anyhow::Ok((times, client));
                }
                match call {
                    Call::Write => client.write().await?,
                    Call::Read => client.read().await?,
                }
                if begun >= start {
                    times.push(begun.elapsed().as_secs_f64() * 1e3);
                }
            }
        });
    }
    barrier.wait().await;
    tokio::time::sleep(WARM_UP).await;
    let (processor, begun) = (processor::time_us(pid), Instant::now());
    tokio::time::sleep(length).await;
    let (processor, seconds) = (processor::time_us(pid) - processor, begun.elapsed().as_secs_f64());
    let (mut times, mut clients) = (Vec::new(), Vec::new());
    while let Some(done) = calling.join_next().await {
        let (of_client, client) = done??;
        times.extend(of_client);
        clients.push(client);
    }
    times.sort_by(f64::total_cmp);
    let quantile = |part: f64| times.get((times.len() as f64 * part) as usize).copied().unwrap_or(0.0);
    let count = times.len().max(1) as f64;
    let measured = Measured {
        per_second: count / seconds,
        median_ms: quantile(0.5),
        p99_ms: quantile(0.99),
        processor_us: processor / count,
    };
    Ok((measured, clients))
}

async fn connect(target: &Target, options: &Options) -> Result<Vec<Client>> {
    let mut clients = Vec::with_capacity(options.clients);
    for number in 0..options.clients {
        let connection = Connection::open(&target.name, &target.address).await;
        let connection = connection.with_context(|| format!("{} at {}", target.name, target.address))?;
        let count = ARTICLES.max(options.batch);
        let articles = (0..count).map(|article| {
            let id = format!("c{}-{}-{number}-{article}", options.clients, options.batch);
            Article::new(id, (number * count + article) as u64, options.bytes)
        });
        clients.push(Client { connection, articles: articles.collect(), next: 0, batch: options.batch });
    }
    Ok(clients)
}

fn median(measured: &[Measured], of: fn(&Measured) -> f64) -> f64 {
    let mut values: Vec<f64> = measured.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

fn print(call: &str, target: &str, measured: &[Measured]) {
    if !measured.is_empty() {
        let [rate, middle, p99, processor] = [
            |m: &Measured| m.per_second,
            |m: &Measured| m.median_ms,
            |m: &Measured| m.p99_ms,
            |m: &Measured| m.processor_us,
        ]
        .map(|of| median(measured, of));
        println!("| {call} | {target} | {rate:.0} | {middle:.2} | {p99:.2} | {processor:.0} |");
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse(std::env::args().skip(1))?;
    let mut runs = Vec::new();
    for target in &options.targets {
        runs.push((target, connect(target, &options).await?, Vec::new(), Vec::new()));
    }
    for _ in 0..options.rounds {
        for call in [Call::Write, Call::Read] {
            for (target, clients, writes, reads) in &mut runs {
                let (measured, back) = turn(std::mem::take(clients), call, options.length, target.pid).await?;
                *clients = back;
                match call {
                    Call::Write => writes.push(measured),
                    Call::Read => reads.push(measured),
                }
            }
        }
    }
    let Options { clients, bytes, rounds, batch, length, .. } = &options;
    println!("{clients} clients, {bytes} B, {batch} a write, {rounds} rounds of {} s\n", length.as_secs());
    println!("| call | target | per second | median, ms | p99, ms | server's processor time, µs |");
    println!("| --- | --- | --- | --- | --- | --- |");
    for (target, _, writes, _) in &runs {
        print("write", &target.name, writes);
    }
    for (target, _, _, reads) in &runs {
        print("newest read", &target.name, reads);
    }
    Ok(())
}
