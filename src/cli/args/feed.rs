//! The arguments of `watch` and `subscriptions`: where the change feed begins, and which changes it delivers.

use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand, ValueEnum};

use super::super::article::ArticleRef;
use super::selection::FilterArgs;
use super::values;
use crate::model::{NameError, SubscriptionId, Timestamp};
use crate::wire::pb::feed_start::Position;
use crate::wire::{pb, timestamp_to_pb};

/// The arguments of `watch`.
#[derive(Debug, Args)]
pub(in crate::cli) struct WatchArgs {
    /// Begin here: beginning, now, the position of a change, or an archive time (a date means its start); with
    /// --durable, where a new subscription begins [default: now]
    #[arg(long, value_name = "beginning|now|SEQ|TIME", value_parser = start)]
    pub(in crate::cli) from: Option<Start>,
    /// Resume from the token that an earlier watch printed when it ended; needs the same filter and kinds
    #[arg(long, value_name = "TOKEN", conflicts_with = "from", allow_hyphen_values = true)]
    pub(in crate::cli) resume: Option<String>,
    /// Select this article; can be repeated
    #[arg(long, short, value_name = "ARTICLE")]
    pub(in crate::cli) article: Vec<ArticleRef>,
    #[command(flatten)]
    pub(in crate::cli) filter: FilterArgs,
    /// Select changes of this kind; can be repeated [default: all but sighted]
    #[arg(long, value_enum)]
    pub(in crate::cli) kind: Vec<Kind>,
    /// Exit after showing everything that is archived, and print a token to resume from; with --json it is also the
    /// last line
    #[arg(long)]
    pub(in crate::cli) until_caught_up: bool,
    /// Keep the position in the archive under this name; the next watch with the same name continues there
    #[arg(long, value_name = "NAME", value_parser = subscription_id, conflicts_with = "resume")]
    pub(in crate::cli) durable: Option<SubscriptionId>,
    /// Run this shell command for each change, with the change as a line of JSON on its standard input, and repeat it
    /// until it succeeds
    #[arg(long, value_name = "COMMAND", value_parser = NonEmptyStringValueParser::new())]
    pub(in crate::cli) exec: Option<String>,
    /// Park a change for which the command has failed this many times, and continue with the next one;
    /// `dateline subscriptions parked` lists them
    #[arg(long, value_name = "N", requires = "durable", requires = "exec")]
    pub(in crate::cli) park_after: Option<NonZeroU32>,
    /// Include this much of each change in --json and --exec [default: basic]
    #[arg(long, value_enum)]
    pub(in crate::cli) view: Option<View>,
    /// Check that the log is only added to: keep its last checkpoint in this file, and end if the log does not continue it
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) checkpoints: Option<PathBuf>,
    /// The log's verifier key, as `dateline key show` prints it, or a file that has it [default: that in FILE]
    #[arg(long, value_name = "KEY", requires = "checkpoints")]
    pub(in crate::cli) key: Option<String>,
}

/// The arguments of `subscriptions`.
#[derive(Debug, Args)]
pub(in crate::cli) struct SubscriptionsArgs {
    #[command(subcommand)]
    pub(in crate::cli) action: Option<SubscriptionsAction>,
}

/// What to do with a durable subscription; without an action, all of them are listed.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum SubscriptionsAction {
    /// Delete a subscription that no consumer is attached to
    Delete {
        /// The name of the subscription
        #[arg(value_name = "NAME", value_parser = subscription_id)]
        name: SubscriptionId,
    },
    /// Move a subscription that no consumer is attached to
    Seek {
        /// The name of the subscription
        #[arg(value_name = "NAME", value_parser = subscription_id)]
        name: SubscriptionId,
        /// Continue from here, as with watch
        #[arg(long, value_name = "beginning|now|SEQ|TIME", value_parser = start)]
        from: Start,
    },
    /// Change the filter or the kinds of a subscription that no consumer is attached to; its position stays
    Update(UpdateArgs),
    /// List the changes that a consumer could not process and has parked
    Parked {
        /// The name of the subscription
        #[arg(value_name = "NAME", value_parser = subscription_id)]
        name: SubscriptionId,
        /// Include this much of each change in --json [default: basic]
        #[arg(long, value_enum)]
        view: Option<View>,
    },
    /// Run a command once for each parked change, and resolve those for which it succeeds
    Retry {
        /// The name of the subscription
        #[arg(value_name = "NAME", value_parser = subscription_id)]
        name: SubscriptionId,
        /// The shell command, which receives the change as a line of JSON on its standard input
        #[arg(long, value_name = "COMMAND", value_parser = NonEmptyStringValueParser::new())]
        exec: String,
        /// Include this much of each change [default: basic]
        #[arg(long, value_enum)]
        view: Option<View>,
    },
    /// Remove parked changes that need no further processing
    Resolve {
        /// The name of the subscription
        #[arg(value_name = "NAME", value_parser = subscription_id)]
        name: SubscriptionId,
        /// The positions of the changes, as `parked` lists them
        #[arg(value_name = "SEQ", required = true, num_args = 1..=RESOLVED_AT_ONCE)]
        seqs: Vec<u64>,
    },
}

/// The most parked changes that one command resolves by position.
const RESOLVED_AT_ONCE: usize = 1_000;

/// The arguments of `subscriptions update`.
#[derive(Debug, Args)]
pub(in crate::cli) struct UpdateArgs {
    /// The name of the subscription
    #[arg(value_name = "NAME", value_parser = subscription_id)]
    pub(in crate::cli) name: SubscriptionId,
    /// Select this article; can be repeated. All options that select articles together replace the filter
    #[arg(long, short)]
    pub(in crate::cli) article: Vec<ArticleRef>,
    #[command(flatten)]
    pub(in crate::cli) filter: FilterArgs,
    /// Select all articles
    #[arg(long, conflicts_with_all = ["article", "source", "state", "language", "label", "changed", "url_prefix"])]
    pub(in crate::cli) all_articles: bool,
    /// Select changes of this kind; can be repeated
    #[arg(long, value_enum)]
    pub(in crate::cli) kind: Vec<Kind>,
    /// Select changes of all kinds but sighted
    #[arg(long, conflicts_with = "kind")]
    pub(in crate::cli) default_kinds: bool,
}

/// Where the change feed begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Start {
    /// At the first change of the log.
    Beginning,
    /// After the last change.
    Now,
    /// At this position of the log.
    Seq(u64),
    /// At the first change archived at or after this time.
    Time(Timestamp),
}

impl Start {
    /// The start as a message.
    pub(in crate::cli) fn to_pb(self) -> pb::FeedStart {
        let position = match self {
            Self::Beginning => Position::Beginning(true),
            Self::Now => Position::Now(true),
            Self::Seq(seq) => Position::Seq(seq),
            Self::Time(time) => Position::ArchiveTime(timestamp_to_pb(time)),
        };
        pb::FeedStart { position: Some(position) }
    }
}

/// The kinds of change in the feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Kind {
    /// A new article
    Created,
    /// A new revision of an article
    Revised,
    /// An observation that confirmed a revision
    Sighted,
    /// The publisher took the article down
    Withdrawn,
    /// The publisher put the article up again
    Reinstated,
    /// An earlier revision's content was recorded again
    RolledBack,
    /// Another URL now leads to the article
    Aliased,
    /// Labels were put on the article or taken off
    Labelled,
    /// The page of the article was found missing
    Absent,
    /// An address was moved to the article or away from it
    UrlMoved,
    /// The text of revisions was destroyed; this kind is always delivered
    Expunged,
}

impl Kind {
    /// The kind as a message.
    pub(in crate::cli) fn to_pb(self) -> pb::ChangeKind {
        match self {
            Self::Created => pb::ChangeKind::Created,
            Self::Revised => pb::ChangeKind::Revised,
            Self::Sighted => pb::ChangeKind::Sighted,
            Self::Withdrawn => pb::ChangeKind::Withdrawn,
            Self::Reinstated => pb::ChangeKind::Reinstated,
            Self::RolledBack => pb::ChangeKind::RolledBack,
            Self::Aliased => pb::ChangeKind::Aliased,
            Self::Labelled => pb::ChangeKind::Labelled,
            Self::Absent => pb::ChangeKind::Absent,
            Self::UrlMoved => pb::ChangeKind::UrlMoved,
            Self::Expunged => pb::ChangeKind::Expunged,
        }
    }
}

/// How much of each change the feed delivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum View {
    /// Attributes, without the text
    Basic,
    /// Attributes and the whole content
    Full,
    /// Attributes and what changed, word by word
    Diff,
    /// Attributes and the request that would reproduce the change
    Request,
}

impl View {
    /// The view as a message.
    pub(in crate::cli) fn to_pb(self) -> pb::FeedView {
        match self {
            Self::Basic => pb::FeedView::Basic,
            Self::Full => pb::FeedView::Full,
            Self::Diff => pb::FeedView::Diff,
            Self::Request => pb::FeedView::Request,
        }
    }
}

/// Parses the start of a feed. Digits alone are a position, since no format of times has only digits.
pub(super) fn start(text: &str) -> Result<Start, String> {
    match text {
        "beginning" => return Ok(Start::Beginning),
        "now" => return Ok(Start::Now),
        _ => {}
    }
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().map(Start::Seq).map_err(|_| "no change has a position this high".to_owned());
    }
    values::start(text).map(Start::Time).map_err(|error| format!("{error}; or beginning, now, or a change's position"))
}

/// Parses `indexer` or `subscriptions/indexer`.
pub(super) fn subscription_id(text: &str) -> Result<SubscriptionId, NameError> {
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
