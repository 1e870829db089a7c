//! `watch`: subscribes to the change feed, and prints a line or runs a command for each change.
//!
//! The client library maintains the connection. This module processes each change ([`lines`], [`exec`]) and decides
//! when it counts as done: a line when it is written, a command when it succeeds. Only then is it acknowledged to a
//! durable subscription ([`durable`]), so that unfinished changes are delivered again.

mod durable;
pub(super) mod exec;
pub(super) mod lines;
mod trusted_file;

use std::num::NonZeroU32;
use std::process::ExitStatus;

use tokio_util::sync::CancellationToken;

use self::durable::{Durable, Parked};
use self::exec::Executed;
use self::lines::Lines;
use self::trusted_file::TrustedFile;
use super::args::feed::{Kind, Start, View, WatchArgs};
use super::connect::Session;
use super::exit::{Exit, Failure};
use super::output::Output;
use super::signals::Signals;
use super::{count, style};
use crate::client::{Followed, Following, ServerError};
use crate::wire::pb;
use crate::wire::pb::feed_start::Position;
use crate::wire::pb::subscribe_response::Event;

/// Why a watch ended, if it did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Everything durable was shown, and the user asked for no more.
    CaughtUp,
    /// A signal asked it to stop.
    Stopped,
    /// The reader of standard output is gone.
    NoReader,
}

/// The state of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Connection {
    Opening,
    Open,
    Lost,
}

pub(super) async fn run(session: &Session, args: &WatchArgs, out: &mut Output) -> Result<(), Failure> {
    check(session, args, out)?;
    let trusted = args.checkpoints.as_deref().map(|path| TrustedFile::open(path, args.key.as_deref())).transpose()?;
    let (trusted_file, trusted) = trusted.unzip();
    let stopping = Signals::listen()?.token();
    let filter = filter(session, args).await?;
    let durable = match &args.durable {
        Some(id) => Some(Durable::find_or_create(session, id, args, &filter, out).await?),
        None => None,
    };
    let following = session.follow(request(args, filter, durable.as_ref()), trusted);
    let mut watch = Watch {
        following,
        trusted_file,
        durable,
        command: args.exec.as_deref(),
        park_after: args.park_after,
        lines: Lines::default(),
        stopping,
        reconnects: !session.is_embedded(),
        connection: Connection::Opening,
        holds_epoch: true,
        is_first_bookmark: false,
    };
    let ended = watch.follow(out).await;
    if let Ok(End::CaughtUp) = ended {
        watch.write_bookmark(out)?;
    }
    watch.print_resume_hint(&ended, out);
    ended.map(drop)
}

fn check(session: &Session, args: &WatchArgs, out: &Output) -> Result<(), Failure> {
    if args.view.is_some() && !out.json && args.exec.is_none() {
        return Err(Failure::new(Exit::Usage, "--view has an effect only with --json or --exec"));
    }
    if session.is_copy() && !args.until_caught_up {
        let message = "with --read-only, changes are read from a copy of the archive, and nothing is written to that, so \
                       there is nothing to wait for";
        return Err(Failure::new(Exit::Usage, message).hint("--until-caught-up shows what is already archived"));
    }
    Ok(())
}

async fn filter(session: &Session, args: &WatchArgs) -> Result<pb::ArticleFilter, Failure> {
    let mut filter = args.filter.to_pb();
    for article in &args.article {
        filter.articles.push(article.resolve(session, None, None).await?);
    }
    Ok(filter)
}

fn kinds(args: &WatchArgs) -> Vec<i32> {
    args.kind.iter().copied().map(Kind::to_pb).map(i32::from).collect()
}

fn request(args: &WatchArgs, filter: pb::ArticleFilter, durable: Option<&Durable>) -> pb::SubscribeRequest {
    let request = pb::SubscribeRequest {
        view: args.view.unwrap_or(View::Basic).to_pb().into(),
        end_when_caught_up: args.until_caught_up,
        consumer: format!("dateline watch (process {})", std::process::id()),
        ..pb::SubscribeRequest::default()
    };
    if let Some(durable) = durable {
        return pb::SubscribeRequest { subscription: durable.name().to_owned(), ..request };
    }
    let start = match &args.resume {
        Some(token) => pb::FeedStart { position: Some(Position::ResumeToken(token.clone())) },
        None => args.from.unwrap_or(Start::Now).to_pb(),
    };
    pb::SubscribeRequest { start: Some(start), filter: Some(filter), kinds: kinds(args), ..request }
}

struct Watch<'a> {
    following: Following,
    /// Where the checkpoint is kept up to which the log was checked.
    trusted_file: Option<TrustedFile>,
    durable: Option<Durable>,
    /// The command to run for each change; without one, a line is written.
    command: Option<&'a str>,
    /// After how many failures of the command a change is parked; `None` never.
    park_after: Option<NonZeroU32>,
    lines: Lines,
    stopping: CancellationToken,
    /// Whether a lost connection can be restored.
    reconnects: bool,
    connection: Connection,
    /// Whether the epoch of the durable subscription was current when it was last used.
    holds_epoch: bool,
    /// Whether the next bookmark is the first of its stream, which says where the stream begins.
    is_first_bookmark: bool,
}

impl Watch<'_> {
    async fn follow(&mut self, out: &mut Output) -> Result<End, Failure> {
        loop {
            // Lines that have arrived are written before stopping, so that the last bookmark is exactly after them.
            let stop = self.command.is_some() || !self.following.has_arrived();
            let event = tokio::select! {
                biased;
                () = self.stopping.cancelled(), if stop => return Ok(End::Stopped),
                event = self.following.next() => event,
            };
            let ended = match event.transpose().map_err(Failure::of_call)? {
                None => Some(End::CaughtUp),
                Some(Followed::Change(change)) => self.process(&change, out).await?,
                Some(Followed::Bookmark(bookmark)) => {
                    if let Some((file, log)) = self.trusted_file.as_ref().zip(self.following.trusted())
                        && bookmark.checkpoint.is_some()
                    {
                        file.keep(log)?;
                    }
                    self.handle_bookmark(bookmark.next_seq).await?;
                    None
                }
                Some(Followed::Started { .. }) => {
                    self.handle_start(out);
                    None
                }
                Some(Followed::Lost { error, .. }) => self.handle_loss(error, out)?,
                Some(
                    Followed::Article(_) | Followed::SnapshotEnd | Followed::CaughtUp | Followed::FellBehind { .. },
                ) => None,
            };
            if let Some(ended) = ended {
                return Ok(ended);
            }
        }
    }

    async fn process(&mut self, change: &pb::Change, out: &mut Output) -> Result<Option<End>, Failure> {
        if self.durable.as_ref().is_some_and(|durable| !self.holds_epoch || !durable.is_new(change)) {
            return Ok(None);
        }
        if let Some(command) = self.command {
            match exec::until_done(command, change, self.park_after, &self.stopping, out).await? {
                Executed::Done => {}
                Executed::Stopped => return Ok(Some(End::Stopped)),
                Executed::Failed { attempts, status } => match self.park(change, attempts, status, out).await? {
                    Parked::Yes => {}
                    Parked::Fenced => {
                        self.holds_epoch = false;
                        return Ok(None);
                    }
                    Parked::Stopped => return Ok(Some(End::Stopped)),
                },
            }
            self.done(change);
            self.acknowledge(change.seq.saturating_add(1)).await?;
            return Ok(None);
        }
        if out.json {
            out.message(change)?;
        } else {
            let line = self.lines.line(change, out);
            out.line(line)?;
        }
        if out.is_closed() {
            // Ctrl-C reaches every process of a pipeline, and the reader may end first.
            let stopped = self.stopping.is_cancelled();
            return Ok(Some(if stopped { End::Stopped } else { End::NoReader }));
        }
        self.done(change);
        Ok(None)
    }

    /// Parks a change that the command failed to process.
    async fn park(
        &mut self,
        change: &pb::Change,
        attempts: NonZeroU32,
        status: ExitStatus,
        out: &Output,
    ) -> Result<Parked, Failure> {
        let Some(durable) = &mut self.durable else { return Ok(Parked::Fenced) };
        let request = pb::ParkChangeRequest {
            name: durable.name().to_owned(),
            epoch: self.following.epoch(),
            seq: Some(change.seq),
            reason: format!("the command failed ({status})"),
            attempts: attempts.get(),
        };
        let parked = durable.park(request, &self.stopping).await?;
        if parked == Parked::Yes {
            let (seq, times) = (change.seq, count(attempts.get().into(), "attempt"));
            out.note(format_args!("dateline: change {seq}: parked after {times}; the command failed ({status})"));
        }
        Ok(parked)
    }

    fn done(&mut self, change: &pb::Change) {
        if let Some(durable) = &mut self.durable {
            durable.done(change);
        }
    }

    async fn handle_bookmark(&mut self, next_seq: u64) -> Result<(), Failure> {
        if std::mem::take(&mut self.is_first_bookmark)
            && let Some(durable) = &mut self.durable
        {
            durable.begins_at(next_seq);
        }
        self.acknowledge(next_seq).await
    }

    /// Acknowledges all changes below `next_seq`. If the epoch is no longer current, another consumer has attached or
    /// the server has restarted. In the first case the stream ends, in the second it begins again with a new epoch.
    /// Until then, nothing more is processed.
    async fn acknowledge(&mut self, next_seq: u64) -> Result<(), Failure> {
        if let Some(durable) = self.durable.as_mut().filter(|_| self.holds_epoch) {
            self.holds_epoch = durable.acknowledge(next_seq, self.following.epoch()).await?;
        }
        Ok(())
    }

    fn handle_start(&mut self, out: &Output) {
        if self.connection == Connection::Lost {
            out.note("dateline: reconnected");
        }
        (self.connection, self.holds_epoch, self.is_first_bookmark) = (Connection::Open, true, true);
    }

    /// Handles a lost connection. If it was never established, that is an error at once: a wrong URL is more likely
    /// than a server that is just starting.
    fn handle_loss(&mut self, error: ServerError, out: &Output) -> Result<Option<End>, Failure> {
        let never_connected = self.connection == Connection::Opening && error.is_of_transport();
        if never_connected || !self.reconnects {
            return Err(Failure::of_call(error));
        }
        if self.connection != Connection::Lost {
            let why = style::safe_line(&error.message);
            out.note(format_args!("dateline: connection lost, reconnecting: {why}"));
        }
        self.connection = Connection::Lost;
        Ok(None)
    }

    /// With `--json`, writes the bookmark as the last line, unless the archive keeps the position.
    fn write_bookmark(&self, out: &mut Output) -> Result<(), Failure> {
        let bookmark =
            self.following.bookmark().filter(|_| out.json && self.durable.is_none() && self.command.is_none());
        let Some(bookmark) = bookmark.cloned() else { return Ok(()) };
        out.message(&pb::SubscribeResponse { event: Some(Event::Bookmark(bookmark)) })
    }

    /// Prints how to resume from here, if the user may want to.
    fn print_resume_hint(&self, ended: &Result<End, Failure>, out: &Output) {
        match (ended, &self.durable, self.following.resume_token()) {
            (Ok(End::NoReader), ..) | (_, None, None) => {}
            (Ok(End::CaughtUp | End::Stopped) | Err(_), None, Some(token)) => {
                out.note(format_args!("dateline: to resume from here: --resume {token}"));
            }
            (Ok(End::Stopped), Some(durable), _) => {
                out.note(format_args!("dateline: to resume from here: --durable {}", durable.id()));
            }
            // The message of a failure says where a durable subscription is and whether it can continue. A subscription
            // that has caught up continues with the same command.
            (Ok(End::CaughtUp) | Err(_), Some(_), _) => {}
        }
    }
}
