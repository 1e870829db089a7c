//! The words of an article by the revision that brought them.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::body::Body;
use axum::extract::{Path, State};
use http::Response;
use serde_json::json;
use unicode_segmentation::UnicodeSegmentation;

use super::super::Site;
use super::super::origins::{Origins, Run};
use super::super::paths::{diff_of, path_of, point_query};
use super::super::problem::Problem;
use super::super::respond;
use super::super::shown::{When, count, text, when};
use super::super::visit::{Form, Visit};
use super::Frame;
use super::article_name;
use super::heading::{Heading, Note, Tab};
use super::history::known_with;
use crate::model::ArticleName;
use crate::wire::pb::revision_selector::Selector;
use crate::wire::{instant, pb};

/// The revisions that words are followed through. Older words are those of the last of them, or earlier.
const REVISIONS_MAX: usize = 100;
/// The shades of words, from the oldest to the newest.
const SHADES: usize = 5;

#[derive(Template)]
#[template(path = "blame.html")]
struct BlamePage {
    frame: Frame,
    heading: Heading,
    number: u32,
    oldest: u32,
    is_cut_off: bool,
    /// The revisions that brought words, the newest first.
    revisions: Vec<Brought>,
    blocks: Vec<Vec<Words>>,
}

/// A revision that brought words.
struct Brought {
    number: u32,
    observed: Option<When>,
    words: String,
    diff: String,
    shade: usize,
}

/// Words of one revision.
struct Words {
    text: String,
    /// The revision, unless it is the oldest.
    mark: Option<Mark>,
    shade: usize,
}

struct Mark {
    number: u32,
    diff: String,
}

/// What was found out.
struct Found {
    /// When each of the revisions looked at was observed, in the order of their being in force.
    observed: Vec<(u32, Option<prost_types::Timestamp>)>,
    blocks: Vec<Vec<Run>>,
    is_cut_off: bool,
}

pub(super) async fn show(
    State(site): State<Arc<Site>>,
    Path((source, article)): Path<(String, String)>,
    visit: Visit,
) -> Result<Response<Body>, Problem> {
    let name = article_name(&source, &article)?;
    let point = visit.point(&site)?;
    let request = pb::GetArticleRequest {
        name: name.to_string(),
        as_of: point.as_of(site.reads.archive()),
        view: pb::ArticleView::Basic.into(),
        min_next_seq: 0,
    };
    let response = site.reads.article(&visit.caller, request).await?;
    let article = response.article.unwrap_or_default();
    let number = article.revision.as_ref().map_or(0, |revision| revision.number);
    let found = follow(&site, &visit, &name, number, known_with(response.snapshot.as_ref())).await?;
    let path = format!("{}/blame{}", path_of(&name), point_query(point.at, point.known_at));
    let mut response = match visit.form {
        Form::Json => respond::json(as_json(&name, number, &found)),
        Form::Page => {
            let heading = Heading::new(&name, &article, Tab::Blame);
            respond::html(&BlamePage::new(&name, heading, number, found, &path))
        }
    };
    visit.mark(response.headers_mut());
    Ok(respond::with_canonical(&site, response, &path))
}

/// Follows the words of a revision back through those that were in force before it.
async fn follow(
    site: &Site,
    visit: &Visit,
    name: &ArticleName,
    newest: u32,
    as_of: Option<pb::AsOf>,
) -> Result<Found, Problem> {
    let (mut observed, mut target, mut origins) = (Vec::new(), newest, None::<Origins>);
    let is_cut_off = loop {
        let selector = pb::RevisionSelector { selector: Some(Selector::RevisionNumber(target)) };
        let request = pb::DiffRevisionsRequest {
            name: name.to_string(),
            base: None,
            target: Some(selector),
            as_of: as_of.clone(),
            min_next_seq: 0,
        };
        let diff = match site.reads.diff(&visit.caller, request).await {
            Ok(diff) => diff,
            // A text that was destroyed, or is not this visitor's to read, hides what came before it.
            Err(_) if origins.is_some() => break true,
            Err(problem) => return Err(problem),
        };
        observed.push((target, diff.target.and_then(|target| target.observe_time)));
        let origins = origins.get_or_insert_with(|| Origins::of(&diff.hunks));
        origins.follow(&diff.hunks, target);
        match diff.base {
            None => break false,
            Some(_) if origins.is_known() => break false,
            Some(base) => {
                if observed.len() == REVISIONS_MAX {
                    break true;
                }
                target = base.number;
            }
        }
    };
    observed.reverse();
    let oldest = observed.first().map_or(newest, |(number, _)| *number);
    Ok(Found { blocks: origins.map(|origins| origins.runs(oldest)).unwrap_or_default(), observed, is_cut_off })
}

impl Found {
    /// The revisions that brought words, in the order of their being in force, with how many.
    fn brought(&self) -> Vec<(u32, Option<&prost_types::Timestamp>, usize)> {
        let mut words = BTreeMap::<u32, usize>::new();
        for run in self.blocks.iter().flatten() {
            *words.entry(run.revision).or_default() += run.text.unicode_words().count();
        }
        let observed = self.observed.iter();
        observed.filter_map(|(number, time)| Some((*number, time.as_ref(), *words.get(number)?))).collect()
    }

    /// The oldest revision that was looked at.
    fn oldest(&self) -> u32 {
        self.observed.first().map_or(0, |(number, _)| *number)
    }
}

impl BlamePage {
    fn new(name: &ArticleName, heading: Heading, number: u32, found: Found, path: &str) -> Self {
        let brought = found.brought();
        let last = brought.len().saturating_sub(1).max(1);
        let shades: BTreeMap<u32, usize> =
            (0..).zip(&brought).map(|(place, (number, ..))| (*number, place * (SHADES - 1) / last)).collect();
        let shade = |number: u32| shades.get(&number).copied().unwrap_or(0);
        let revisions = brought.iter().rev().map(|(number, observed, words)| Brought {
            number: *number,
            observed: when(*observed),
            words: count(*words as u64, "word"),
            diff: diff_of(name, None, *number),
            shade: shade(*number),
        });
        let (revisions, oldest) = (revisions.collect(), found.oldest());
        let words = |run: Run| {
            let diff = || diff_of(name, None, run.revision);
            let mark = (run.revision != oldest).then(|| Mark { number: run.revision, diff: diff() });
            Words { text: text(&run.text), mark, shade: shade(run.revision) }
        };
        Self {
            frame: Frame::at(format!("Age of words: {}", heading.headline), path),
            number,
            oldest,
            is_cut_off: found.is_cut_off,
            revisions,
            blocks: found.blocks.into_iter().map(|runs| runs.into_iter().map(words).collect()).collect(),
            heading,
        }
    }
}

/// The same for programs. The contract has no such message.
fn as_json(name: &ArticleName, number: u32, found: &Found) -> String {
    let revisions = found.brought().into_iter().map(|(number, observed, words)| {
        json!({ "number": number, "observeTime": instant(observed).map(|time| time.to_string()), "words": words })
    });
    let blocks = found.blocks.iter().map(|runs| {
        let runs = runs.iter().map(|run| json!({ "text": run.text, "revision": run.revision }));
        runs.collect::<Vec<_>>()
    });
    let json = json!({
        "article": name.to_string(),
        "revision": number,
        "revisions": revisions.collect::<Vec<_>>(),
        "blocks": blocks.collect::<Vec<_>>(),
        "oldest": found.oldest(),
        "isCutOff": found.is_cut_off,
    });
    format!("{json:#}\n")
}
