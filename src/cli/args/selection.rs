//! Arguments that select articles, and the point of both time axes at which they are read.

use std::collections::BTreeSet;

use clap::{Args, ValueEnum};

use super::super::times::Moment;
use super::values::{first_moment, moment, source_id, url_prefix};
use crate::model::{SourceId, Timestamp};
use crate::wire::pb;

/// The point of both time axes at which a command reads.
#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct AsOfArgs {
    /// Read the state at this time, without what was observed later
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(in crate::cli) at: Option<Moment>,
    /// Use only what the archive knew at this time
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(in crate::cli) known_at: Option<Moment>,
}

impl AsOfArgs {
    /// The observe time to read at; `None` means the end of that axis.
    pub(in crate::cli) fn at(&self) -> Option<Timestamp> {
        self.at.as_ref().map(|moment| moment.time)
    }

    /// The archive time to read at; `None` means the end of that axis.
    pub(in crate::cli) fn known_at(&self) -> Option<Timestamp> {
        self.known_at.as_ref().map(|moment| moment.time)
    }
}

/// Selects articles by attribute in `list`, `export` and `watch`. Different options are ANDed, the values of one are
/// ORed.
#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct FilterArgs {
    /// Select articles of this source; can be repeated
    #[arg(long, short, value_parser = source_id)]
    pub(in crate::cli) source: Vec<SourceId>,
    /// Select articles in this state
    #[arg(long, value_enum)]
    pub(in crate::cli) state: Option<ArticleState>,
    /// Select articles in this language, where en includes en-GB; can be repeated
    #[arg(long, value_name = "TAG")]
    pub(in crate::cli) language: Vec<String>,
    /// Select articles with this label; can be repeated
    #[arg(long)]
    pub(in crate::cli) label: Vec<String>,
    /// Select articles whose revision in force changed one of these parts, or whose first it is; in watch, leave out
    /// revisions that changed none of them; separated by commas
    #[arg(long, value_name = "PART", value_enum, value_delimiter = ',')]
    pub(in crate::cli) changed: Vec<ChangedPart>,
    /// Select articles with a URL that begins with this one
    #[arg(long, value_name = "URL", value_parser = url_prefix)]
    pub(in crate::cli) url_prefix: Option<String>,
}

impl FilterArgs {
    /// The filter as a message, without the time ranges.
    pub(in crate::cli) fn to_pb(&self) -> pb::ArticleFilter {
        let states = self.state.map(|state| match state {
            ArticleState::Live => pb::ArticleState::Live.into(),
            ArticleState::Withdrawn => pb::ArticleState::Withdrawn.into(),
            ArticleState::Gone => pb::ArticleState::Gone.into(),
        });
        pb::ArticleFilter {
            sources: self.source.iter().map(SourceId::to_string).collect(),
            states: states.into_iter().collect(),
            languages: self.language.clone(),
            labels: self.label.clone(),
            url_prefix: self.url_prefix.clone().unwrap_or_default(),
            changed_parts: changed_parts(&self.changed),
            ..pb::ArticleFilter::default()
        }
    }
}

/// Selects articles by time in `list` and `export`. Both ends of a range are included.
#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct RangeArgs {
    /// Select articles whose claimed publication time is at or after this time
    #[arg(long, value_name = "TIME", value_parser = first_moment)]
    pub(in crate::cli) published_from: Option<Moment>,
    /// Select articles whose claimed publication time is at or before this time
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(in crate::cli) published_to: Option<Moment>,
    /// Select articles whose revision in force took effect at or after this time
    #[arg(long, value_name = "TIME", value_parser = first_moment)]
    pub(in crate::cli) observed_from: Option<Moment>,
    /// Select articles whose revision in force took effect at or before this time
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(in crate::cli) observed_to: Option<Moment>,
}

/// The parts of a content that a revision may have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum ChangedPart {
    /// Headline, standfirst or body
    Text,
    /// The headline
    Headline,
    /// The sentence or two under the headline
    Standfirst,
    /// The words of the body, without captions
    Body,
    /// Captions, their credits and their pictures
    Captions,
    /// The authors
    Byline,
    /// The section
    Section,
    /// The publisher's keywords
    Keywords,
    /// The claimed times of publication and modification
    ClaimedTimes,
    /// The canonical URL
    Address,
    /// How the same words are divided into paragraphs, headings and lists, and what is embedded
    Markup,
    /// The language
    Language,
    /// Copyright and usage terms
    Rights,
}

impl ChangedPart {
    fn to_pb(self) -> Vec<pb::ContentPart> {
        let part = match self {
            Self::Text => {
                return vec![pb::ContentPart::Headline, pb::ContentPart::Standfirst, pb::ContentPart::Body];
            }
            Self::Headline => pb::ContentPart::Headline,
            Self::Standfirst => pb::ContentPart::Standfirst,
            Self::Body => pb::ContentPart::Body,
            Self::Captions => pb::ContentPart::Captions,
            Self::Byline => pb::ContentPart::Byline,
            Self::Section => pb::ContentPart::Section,
            Self::Keywords => pb::ContentPart::Keywords,
            Self::ClaimedTimes => pb::ContentPart::ClaimedTimes,
            Self::Address => pb::ContentPart::Address,
            Self::Markup => pb::ContentPart::Markup,
            Self::Language => pb::ContentPart::Language,
            Self::Rights => pb::ContentPart::Rights,
        };
        vec![part]
    }
}

/// The selected parts as the values of a message, each once.
pub(in crate::cli) fn changed_parts(selected: &[ChangedPart]) -> Vec<i32> {
    let parts: BTreeSet<i32> = selected.iter().flat_map(|part| part.to_pb()).map(i32::from).collect();
    parts.into_iter().collect()
}

/// The states of an article.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum ArticleState {
    /// Neither taken down nor gone
    Live,
    /// Taken down by the publisher
    Withdrawn,
    /// Its page was found missing, as often as required
    Gone,
}
