//! `follow`: archives the entries of syndication feeds, once or repeatedly.
//!
//! Each feed is a task of its own ([`feed`]) and keeps in a state file which entries are archived ([`state_file`]). All
//! tasks send their outcomes through one channel to a single [`Report`]. A feed or an entry that fails does not delay
//! the others.

mod feed;
mod state_file;

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::{Semaphore, mpsc};

use self::feed::{Feed, Round};
use self::state_file::Seen;
use super::args::globals::Globals;
use super::args::web::FollowArgs;
use super::connect::Session;
use super::exit::{Exit, Failure, interrupted};
use super::output::Output;
use super::pages::{PageOverrides, Pages};
use super::report::{Archived, Report};
use super::signals::Signals;
use super::state_file::{Place, StateFile};

/// Capacity of the channel; tasks wait while it is full.
const TOLD_MAX: usize = 64;

/// A message from the task of a feed.
enum Told {
    /// This many entries will be archived.
    Expect(u64),
    /// This many entries are unchanged.
    Unchanged(u64),
    /// The outcome of an entry, or of the feed itself, with a label for it.
    Done(String, Box<Result<Archived, Failure>>),
    /// This many entries were skipped because a signal asked the command to stop.
    Left(u64),
    /// A note for the user.
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
    let at_once = Semaphore::new(args.fetch.jobs.get());
    let (tell, mut told) = mpsc::channel(TOLD_MAX);
    let feeds = FuturesUnordered::new();
    for (address, state_file) in args.feeds.iter().zip(memories(session, args).await?) {
        let round = Round { pages: &pages, at_once: &at_once, stopping: &stopping, tell: tell.clone(), args };
        feeds.push(Feed::new(address.clone(), state_file).follow(round));
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
            // The output is gone. Work in progress is still waited for, and recorded in the state file.
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
        // A command that runs until it is stopped has succeeded.
        (_, true, Some(_)) => Ok(()),
        (Ok(()), true, None) if left > 0 => {
            let entries = if left == 1 { "entry" } else { "entries" };
            Err(interrupted(&format!("{left} {entries} left; the same command continues there")))
        }
        (done, _, _) => done,
    }
}

fn wishes(args: &FollowArgs) -> PageOverrides {
    PageOverrides {
        source: args.source.clone(),
        labels: args.label.clone(),
        keep_original: args.keep_original,
        dry_run: args.dry_run,
        ..PageOverrides::default()
    }
}

/// Reads the state file of each feed.
async fn memories(session: &Session, args: &FollowArgs) -> Result<Vec<StateFile<Seen>>, Failure> {
    let place = Place::of(session, args.state_dir.as_deref(), "follow").await?;
    let state_file = |feed: &url::Url| {
        // With --pages, the entries of a feed are different documents.
        let thing = if args.pages { format!("{feed} pages") } else { feed.to_string() };
        let mut state_file: StateFile<Seen> =
            StateFile::of(&place, &thing).map_err(|error| unreadable(&place.folder, &error))?;
        state_file.value.feed = feed.to_string();
        Ok(state_file)
    };
    args.feeds.iter().map(state_file).collect()
}

fn unreadable(folder: &std::path::Path, error: &std::io::Error) -> Failure {
    Failure::new(Exit::Failed, format!("the state of a feed can't be read in {}: {error}", folder.display()))
        .hint("--state-dir names another directory; without the state, each entry is archived once more")
}
