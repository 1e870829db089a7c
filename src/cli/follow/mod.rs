//! `follow`: archives what feeds have, once or again and again.
//!
//! Each feed is a task of its own ([`feed`]), which remembers what of it is archived ([`memory`]); what comes of it is told
//! through one channel, so that one [`Report`] has it all. A feed or an entry that fails holds up none of the others.

mod feed;
mod memory;

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::{Semaphore, mpsc};

use self::feed::{Feed, Round};
use self::memory::Seen;
use super::args::Globals;
use super::connect::Session;
use super::exit::{Exit, Failure, interrupted};
use super::memory::{Memory, Place};
use super::output::Output;
use super::pages::{Pages, Wishes};
use super::report::{Archived, Report};
use super::signals::Signals;
use super::web_args::FollowArgs;

/// What tasks tell that nobody has read yet; they wait when there is more.
const TOLD_MAX: usize = 64;

/// What a feed's task tells.
enum Told {
    /// So many entries are to be archived.
    Expect(u64),
    /// So many entries are as they were.
    Unchanged(u64),
    /// What came of an entry, or of the feed itself.
    Done(String, Box<Result<Archived, Failure>>),
    /// So many entries were left, since an end was asked for.
    Left(u64),
    /// Something to know.
    Note(String),
}

pub(super) async fn run(
    session: &Session,
    args: &FollowArgs,
    globals: &Globals,
    out: &mut Output,
) -> Result<(), Failure> {
    let stopping = Signals::listen()?.token();
    let pages = Pages::new(session, &args.fetch, wishes(args));
    let at_once = Semaphore::new(args.fetch.at_once.get());
    let (tell, mut told) = mpsc::channel(TOLD_MAX);
    let feeds = FuturesUnordered::new();
    for (address, memory) in args.feeds.iter().zip(memories(session, args).await?) {
        let round = Round { pages: &pages, at_once: &at_once, stopping: &stopping, tell: tell.clone(), args };
        feeds.push(Feed::new(address.clone(), memory).follow(round));
    }
    drop(tell);
    let mut report = Report::new(globals, "entries", args.dry_run, out);
    if args.every.is_some() {
        report.goes_on();
    }
    let mut left = 0;
    let telling = async {
        let mut shown = Ok(());
        while let Some(told) = told.recv().await {
            match told {
                Told::Expect(more) => report.expect(more),
                Told::Unchanged(more) => report.unchanged(more),
                Told::Done(label, done) if shown.is_ok() => shown = report.take(&label, *done),
                Told::Done(..) => {}
                Told::Left(more) => left += more,
                Told::Note(note) => report.note(&note),
            }
            // Nobody can be told any more. What is under way is still waited for, and remembered.
            if shown.is_err() {
                stopping.cancel();
            }
        }
        shown
    };
    let following = feeds.for_each(|()| std::future::ready(()));
    let (told, ()) = tokio::join!(telling, following);
    told?;
    match (report.finish(), stopping.is_cancelled(), args.every) {
        // Whoever goes on until told to stop has ended well.
        (_, true, Some(_)) => Ok(()),
        (Ok(()), true, None) if left > 0 => {
            let entries = if left == 1 { "entry" } else { "entries" };
            Err(interrupted(&format!("{left} {entries} left; the same command goes on there")))
        }
        (done, _, _) => done,
    }
}

fn wishes(args: &FollowArgs) -> Wishes {
    Wishes {
        source: args.source.clone(),
        labels: args.label.clone(),
        keep_original: args.keep_original,
        dry_run: args.dry_run,
        ..Wishes::default()
    }
}

/// What is remembered of each feed.
async fn memories(session: &Session, args: &FollowArgs) -> Result<Vec<Memory<Seen>>, Failure> {
    let place = Place::of(session, args.memory.as_deref(), "follow").await?;
    let memory = |feed: &url::Url| {
        // With --pages its entries are other documents.
        let thing = if args.pages { format!("{feed} pages") } else { feed.to_string() };
        let mut memory: Memory<Seen> = Memory::of(&place, &thing).map_err(|error| unreadable(&place.folder, &error))?;
        memory.value.feed = feed.to_string();
        Ok(memory)
    };
    args.feeds.iter().map(memory).collect()
}

fn unreadable(folder: &std::path::Path, error: &std::io::Error) -> Failure {
    Failure::new(Exit::Failed, format!("what was archived of a feed can't be read in {}: {error}", folder.display()))
        .hint("--memory names another folder; without what is remembered, each entry is archived once more")
}
