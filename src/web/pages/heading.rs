//! What the pages of one article have in common: its name, its headline, its state, and the way to the other pages.

use super::super::paths::{page_of, path_of, path_of_source, point_query, times_query};
use super::super::shown::{Tongue, When, some_text, text, when};
use super::super::visit::Point;
use crate::model::ArticleName;
use crate::wire::pb;

/// From how many characters on a headline is set smaller.
const LONG_HEADLINE: usize = 200;

/// The top of an article's pages.
pub(super) struct Heading {
    pub(super) source: String,
    pub(super) source_path: String,
    pub(super) article: String,
    /// The path of the article's page, without a slash at its end.
    pub(super) path: String,
    /// The path of the article's page, with what its id needs.
    pub(super) home: String,
    pub(super) headline: String,
    pub(super) tongue: Tongue,
    pub(super) revision_count: u32,
    pub(super) labels: Vec<String>,
    pub(super) note: Option<Note>,
    /// The point at which the page shows the article, which the tabs keep.
    pub(super) point: Point,
    /// The page that is shown.
    pub(super) tab: Tab,
}

/// A page of an article.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tab {
    Article,
    History,
    Revision,
    Diff,
    Blame,
    Calendar,
}

/// That an article is not simply there.
pub(super) enum Note {
    Withdrawn {
        since: Option<When>,
        reason: Option<String>,
    },
    /// Gone, or missing so far.
    Missing {
        is_gone: bool,
        last_seen: Option<When>,
        first_missed: Option<When>,
        looks: u32,
        how: &'static str,
    },
}

impl Heading {
    pub(super) fn new(name: &ArticleName, article: &pb::Article, tab: Tab) -> Self {
        let revision = article.revision.clone().unwrap_or_default();
        let content = revision.content.unwrap_or_default();
        let path = path_of(name);
        let headline = match &revision.expunged {
            Some(_) => "Expunged".to_owned(),
            None => text(&content.headline),
        };
        Self {
            source: name.source.as_str().to_owned(),
            source_path: path_of_source(&name.source),
            article: name.article.as_str().to_owned(),
            home: page_of(name),
            path,
            headline,
            tongue: Tongue::of(&content.language),
            revision_count: article.revision_count,
            labels: article.labels.iter().map(|label| text(label)).collect(),
            note: Note::of(article),
            point: Point::default(),
            tab,
        }
    }

    /// The same at a point.
    pub(super) fn at(self, point: Point) -> Self {
        Self { point, ..self }
    }

    /// The query of the history, which shows all of the observe axis.
    pub(super) fn known_query(&self) -> String {
        point_query(None, self.point.known_at)
    }

    /// The query of what changed last.
    pub(super) fn change_query(&self) -> String {
        let given = [("to", self.point.at), ("known_at", self.point.known_at)];
        times_query(given)
    }

    /// Whether a headline has to be set smaller because of its length.
    pub(super) fn is_long(&self) -> bool {
        self.headline.chars().count() > LONG_HEADLINE
    }
}

impl Note {
    fn of(article: &pb::Article) -> Option<Self> {
        if article.state() == pb::ArticleState::Withdrawn {
            let (since, reason) = (when(article.state_time.as_ref()), some_text(&article.state_reason));
            return Some(Self::Withdrawn { since, reason });
        }
        let absence = article.absence.as_ref()?;
        let how = match absence.reason() {
            pb::AbsenceReason::NotFound => "the site said that there is no such page",
            pb::AbsenceReason::Gone => "the site said that the page was removed",
            pb::AbsenceReason::Redirected => "the address led to the front page",
            pb::AbsenceReason::Unspecified => "the page was missing",
        };
        Some(Self::Missing {
            is_gone: article.state() == pb::ArticleState::Gone,
            last_seen: when(absence.last_seen_time.as_ref()),
            first_missed: when(absence.first_missed_time.as_ref()),
            looks: absence.count,
            how,
        })
    }
}
