//! `follow`: archives the entries of syndication feeds, once or repeatedly.

use tokio::sync::mpsc;

use super::args::globals::Globals;
use super::args::web::FollowArgs;
use super::connect::Session;
use super::exit::{Failure, interrupted};
use super::folders::state_dir;
use super::output::Output;
use super::report::Report;
use super::signals::Signals;
use super::{count, times};
use crate::capture::follow::{Feed, FeedEvent, FollowOptions, follow};
use crate::capture::pages::{PageOverrides, Pages};

/// Capacity of the channel of events; feeds wait while it is full.
const EVENTS_MAX: usize = 64;

pub(super) async fn run(
    session: &Session,
    args: &FollowArgs,
    globals: &Globals,
    out: &mut Output,
) -> Result<(), Failure> {
    let stopping = Signals::listen()?.token();
    let options =
        FollowOptions { pages: args.pages, every: args.every, jobs: args.fetch.jobs.get(), dry_run: args.dry_run };
    let pages = Pages::new(session.client(), args.fetch.fetcher(), overrides(args), times::clock());
    let state_dir = state_dir(session, args.state_dir.as_deref(), "follow").await?;
    let feeds = args.feeds.iter().map(|url| Feed::open(url.clone(), &options, &state_dir));
    let feeds: Vec<_> = feeds.collect::<Result<_, _>>()?;
    let (sender, mut events) = mpsc::channel(EVENTS_MAX);
    let mut report = Report::new(globals, "entries", args.dry_run, out);
    if args.every.is_some() {
        report.hide_progress();
    }
    let mut remaining = 0;
    let reporting = async {
        let mut shown = Ok(());
        while let Some(event) = events.recv().await {
            match event {
                FeedEvent::Expect(more) => report.expect(more),
                FeedEvent::Unchanged(more) => report.unchanged(more),
                FeedEvent::Done(label, done) if shown.is_ok() => {
                    shown = report.take(&label, done.map_err(Failure::from));
                }
                FeedEvent::Done(..) => {}
                FeedEvent::Remaining(more) => remaining += more,
                FeedEvent::Note(note) => report.note(&note),
            }
            // Nothing more can be printed. Entries in progress are still finished, and recorded in the state file.
            if shown.is_err() {
                stopping.cancel();
            }
        }
        shown
    };
    let (reported, ()) = tokio::join!(reporting, follow(feeds, &pages, &options, &stopping, sender));
    reported?;
    match (report.finish(), stopping.is_cancelled(), args.every) {
        // A command that runs until it is stopped has succeeded.
        (_, true, Some(_)) => Ok(()),
        (Ok(()), true, None) if remaining > 0 => {
            Err(interrupted(&format!("{} left; the same command continues there", count(remaining, "entry"))))
        }
        (done, _, _) => done,
    }
}

fn overrides(args: &FollowArgs) -> PageOverrides {
    PageOverrides {
        source: args.source.clone(),
        labels: args.label.clone(),
        keep_original: !args.no_keep_original,
        gone_after: args.fetch.gone_after,
        dry_run: args.dry_run,
        ..PageOverrides::default()
    }
}
