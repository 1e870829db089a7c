//! The arguments of the commands that follow changes: where a feed begins, and what is followed.

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand, ValueEnum};

use super::args::{self, FilterArgs};
use super::article::ArticleRef;
use crate::model::{NameError, SubscriptionId, Timestamp};
use crate::wire::pb::feed_start::Position;
use crate::wire::{pb, timestamp_to_pb};

/// The arguments of `watch`.
#[derive(Debug, Args)]
pub(super) struct WatchArgs {
    /// Begin here: beginning, now, the position of a change, or the time when it was archived (of a date, its start);
    /// with --durable, where a new subscription begins [default: now]
    #[arg(long, value_name = "beginning|now|SEQ|TIME", value_parser = start)]
    pub(super) from: Option<Start>,
    /// Go on where an earlier watch with the same filter and kinds ended: it prints the token when it ends
    #[arg(long, value_name = "TOKEN", conflicts_with = "from")]
    pub(super) resume: Option<String>,
    /// This article; can be repeated
    #[arg(long, short, value_name = "ARTICLE")]
    pub(super) article: Vec<ArticleRef>,
    #[command(flatten)]
    pub(super) filter: FilterArgs,
    /// Changes of this kind; can be repeated [default: all but observed]
    #[arg(long, value_enum)]
    pub(super) kind: Vec<Kind>,
    /// End when all that is archived by then was shown, and print the token to go on with; with --json as the last line too
    #[arg(long)]
    pub(super) until_caught_up: bool,
    /// Keep the place in the archive, under this name: the next watch with it goes on where this one ended
    #[arg(long, value_name = "NAME", value_parser = subscription_id, conflicts_with = "resume")]
    pub(super) durable: Option<SubscriptionId>,
    /// Run this shell command for each change, with the change as a line of JSON on its standard input, and again
    /// until it succeeds
    #[arg(long, value_name = "COMMAND", value_parser = NonEmptyStringValueParser::new())]
    pub(super) exec: Option<String>,
    /// How much of a change --json and --exec tell [default: basic]
    #[arg(long, value_enum)]
    pub(super) view: Option<View>,
}

/// The arguments of `subscriptions`.
#[derive(Debug, Args)]
pub(super) struct SubscriptionsArgs {
    #[command(subcommand)]
    pub(super) action: Option<SubscriptionsAction>,
}

/// What to do with a subscription.
#[derive(Debug, Subcommand)]
pub(super) enum SubscriptionsAction {
    /// Delete a subscription that nobody is attached to
    Delete {
        /// Its name
        #[arg(value_name = "NAME", value_parser = subscription_id)]
        name: SubscriptionId,
    },
    /// Move a subscription that nobody is attached to
    Seek {
        /// Its name
        #[arg(value_name = "NAME", value_parser = subscription_id)]
        name: SubscriptionId,
        /// Where it goes on: as with watch
        #[arg(long, value_name = "beginning|now|SEQ|TIME", value_parser = start)]
        from: Start,
    },
}

/// Where a feed begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// At the first change of all.
    Beginning,
    /// Behind the last one.
    Now,
    /// At this position.
    Seq(u64),
    /// At the first change archived at or after this time.
    Time(Timestamp),
}

impl Start {
    /// As the contract has it.
    pub(super) fn to_pb(self) -> pb::FeedStart {
        let position = match self {
            Self::Beginning => Position::Beginning(true),
            Self::Now => Position::Now(true),
            Self::Seq(seq) => Position::Seq(seq),
            Self::Time(time) => Position::ArchiveTime(timestamp_to_pb(time)),
        };
        pb::FeedStart { position: Some(position) }
    }
}

/// Kinds of change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Kind {
    /// A new article
    Created,
    /// A further revision
    Revised,
    /// A revision was seen once more
    Observed,
    /// The publisher took the article down
    Withdrawn,
    /// The publisher put it up again
    Reinstated,
    /// An earlier revision's content was published again
    RolledBack,
    /// Another address leads to the article
    Aliased,
}

impl Kind {
    /// As the contract has it.
    pub(super) fn to_pb(self) -> pb::ChangeKind {
        match self {
            Self::Created => pb::ChangeKind::Created,
            Self::Revised => pb::ChangeKind::Revised,
            Self::Observed => pb::ChangeKind::Observed,
            Self::Withdrawn => pb::ChangeKind::Withdrawn,
            Self::Reinstated => pb::ChangeKind::Reinstated,
            Self::RolledBack => pb::ChangeKind::RolledBack,
            Self::Aliased => pb::ChangeKind::Aliased,
        }
    }
}

/// How much of a change is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum View {
    /// Attributes, without the text
    Basic,
    /// The whole content too
    Full,
    /// Attributes, and what changed word by word
    Diff,
    /// Attributes, and the request that makes the change again
    Request,
}

impl View {
    /// As the contract has it.
    pub(super) fn to_pb(self) -> pb::FeedView {
        match self {
            Self::Basic => pb::FeedView::Basic,
            Self::Full => pb::FeedView::Full,
            Self::Diff => pb::FeedView::Diff,
            Self::Request => pb::FeedView::Request,
        }
    }
}

/// Digits alone are a position: no time is written so.
fn start(text: &str) -> Result<Start, String> {
    match text {
        "beginning" => return Ok(Start::Beginning),
        "now" => return Ok(Start::Now),
        _ => {}
    }
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().map(Start::Seq).map_err(|_| "no change has a position so high".to_owned());
    }
    args::start(text).map(Start::Time).map_err(|error| format!("{error}; or beginning, now, or a change's position"))
}

/// `indexer`, or `subscriptions/indexer`.
fn subscription_id(text: &str) -> Result<SubscriptionId, NameError> {
    SubscriptionId::parse(text.strip_prefix("subscriptions/").unwrap_or(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feed_begins_where_a_person_says() {
        assert_eq!(start("beginning"), Ok(Start::Beginning));
        assert_eq!(start("now"), Ok(Start::Now));
        assert_eq!(start("0"), Ok(Start::Seq(0)));
        assert_eq!(start("18446744073709551615"), Ok(Start::Seq(u64::MAX)));
        let Ok(Start::Time(time)) = start("2026-05-16") else { panic!("a date is a time") };
        assert_eq!(time.to_string(), "2026-05-16T00:00:00Z", "a date is its start");
        for (text, words) in [("18446744073709551616", "no change"), ("-1", "expected a time"), ("", "beginning, now")]
        {
            assert!(start(text).unwrap_err().contains(words), "{text:?}");
        }
    }
}
