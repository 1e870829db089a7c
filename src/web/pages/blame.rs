//! The words of an article by the revision that brought them.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::body::Body;
use axum::extract::{Path, State};
use http::Response;
use serde_json::{Value, json};
use unicode_segmentation::UnicodeSegmentation;

use super::super::Site;
use super::super::origins::{Origins, Place, Run};
use super::super::paths::{diff_of, path_of};
use super::super::problem::Problem;
use super::super::respond;
use super::super::shown::{When, count, text, when};
use super::super::visit::{Form, Visit};
use super::heading::{Heading, Note, Tab};
use super::history::known_with;
use super::{Frame, article, article_name};
use crate::model::ArticleName;
use crate::wire::pb::revision_selector::Selector;
use crate::wire::{instant, pb};

/// The revisions that words are followed through. Older words are those of the last of them, or earlier.
const REVISIONS_MAX: usize = 100;
/// The bytes of text that are compared for one page. A long article is followed through fewer revisions.
const COMPARED_BYTES_MAX: usize = 4 << 20;
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
    /// Whether there are words of the oldest revision.
    has_oldest: bool,
    /// The revisions that brought words, the newest first.
    revisions: Vec<RevisionWords>,
    headline: Vec<Words>,
    standfirst: Vec<Words>,
    blocks: Vec<Vec<Words>>,
}

/// How many words of the text a revision brought.
struct RevisionWords {
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

/// Which revision brought which words.
struct Blame {
    /// When each of the revisions compared was observed, in the order of their being in force.
    observed: Vec<(u32, Option<prost_types::Timestamp>)>,
    headline: Vec<Run>,
    standfirst: Vec<Run>,
    blocks: Vec<Vec<Run>>,
    is_cut_off: bool,
}

pub(super) async fn show(
    State(site): State<Arc<Site>>,
    Path((source, id)): Path<(String, String)>,
    visit: Visit,
) -> Result<Response<Body>, Problem> {
    let name = article_name(&source, &id)?;
    let point = visit.point(&site)?;
    if visit.query != point.query() {
        return Ok(respond::redirect_to_instants(&visit, &point));
    }
    let response = article::read(&site, &visit, &name, &point).await?;
    let article = response.article.unwrap_or_default();
    let revision = article.revision.clone().unwrap_or_default();
    let blame = follow(&site, &visit, &name, &revision, known_with(response.snapshot.as_ref())).await?;
    let path = format!("{}/blame{}", path_of(&name), point.query());
    let mut response = match visit.form {
        Form::Json => respond::json(blame.as_json(&name, revision.number)),
        Form::Page => {
            let heading = Heading::new(&name, &article, Tab::Blame).at(point);
            respond::html(&BlamePage::new(&name, heading, revision.number, blame, &path))
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
    newest: &pb::Revision,
    as_of: Option<pb::AsOf>,
) -> Result<Blame, Problem> {
    let (mut observed, mut target, mut origins) = (Vec::new(), newest.number, None::<Origins>);
    let mut compared = 0;
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
            // A text that was destroyed hides what came before it.
            Err(problem) if origins.is_some() && problem.status() == http::StatusCode::GONE => break true,
            Err(problem) => return Err(problem),
        };
        observed.push((target, diff.target.as_ref().and_then(|target| target.observe_time)));
        compared += diff.hunks.iter().flat_map(|hunk| &hunk.spans).map(|span| span.text.len()).sum::<usize>();
        let origins = origins.get_or_insert_with(|| {
            let content = newest.content.clone().unwrap_or_default();
            Origins::of(&content.headline, &content.standfirst, &diff)
        });
        if diff.base.is_some() {
            origins.follow(&diff);
        }
        match diff.base {
            None => break false,
            Some(_) if origins.is_known() => break false,
            Some(base) => {
                if observed.len() == REVISIONS_MAX || compared > COMPARED_BYTES_MAX {
                    break true;
                }
                target = base.number;
            }
        }
    };
    observed.reverse();
    let oldest = observed.first().map_or(newest.number, |(number, _)| *number);
    let mut blame = Blame { observed, headline: Vec::new(), standfirst: Vec::new(), blocks: Vec::new(), is_cut_off };
    for (place, runs) in origins.map(|origins| origins.runs(oldest)).unwrap_or_default() {
        match place {
            Place::Headline => blame.headline = runs,
            Place::Standfirst => blame.standfirst = runs,
            Place::Block(_) => blame.blocks.push(runs),
        }
    }
    Ok(blame)
}

impl Blame {
    /// The revisions that brought words, in the order of their being in force, with how many.
    fn revisions(&self) -> Vec<(u32, Option<&prost_types::Timestamp>, usize)> {
        let mut words = BTreeMap::<u32, usize>::new();
        let runs = self.headline.iter().chain(&self.standfirst).chain(self.blocks.iter().flatten());
        for run in runs {
            *words.entry(run.revision).or_default() += run.text.unicode_words().count();
        }
        let observed = self.observed.iter();
        observed.filter_map(|(number, time)| Some((*number, time.as_ref(), *words.get(number)?))).collect()
    }

    /// The oldest revision that was compared.
    fn oldest(&self) -> u32 {
        self.observed.first().map_or(0, |(number, _)| *number)
    }

    /// The same for programs. The contract has no such message.
    fn as_json(&self, name: &ArticleName, number: u32) -> String {
        let revisions = self.revisions().into_iter().map(|(number, observed, words)| {
            let observed = instant(observed).map(|time| time.to_string());
            json!({ "number": number, "observeTime": observed, "words": words })
        });
        let runs = |runs: &Vec<Run>| -> Value {
            runs.iter().map(|run| json!({ "text": run.text, "revision": run.revision })).collect()
        };
        let json = json!({
            "article": name.to_string(),
            "revision": number,
            "revisions": revisions.collect::<Value>(),
            "headline": runs(&self.headline),
            "standfirst": runs(&self.standfirst),
            "blocks": self.blocks.iter().map(runs).collect::<Value>(),
            "oldest": self.oldest(),
            "isCutOff": self.is_cut_off,
        });
        format!("{json:#}\n")
    }
}

impl BlamePage {
    fn new(name: &ArticleName, heading: Heading, number: u32, blame: Blame, path: &str) -> Self {
        let (brought, oldest) = (blame.revisions(), blame.oldest());
        let last = brought.len().saturating_sub(1).max(1);
        let shades: BTreeMap<u32, usize> =
            (0..).zip(&brought).map(|(place, (number, ..))| (*number, place * (SHADES - 1) / last)).collect();
        let shade = |number: u32| shades.get(&number).copied().unwrap_or(0);
        let revisions = brought.iter().rev().map(|(number, observed, words)| RevisionWords {
            number: *number,
            observed: when(*observed),
            words: count(*words as u64, "word"),
            diff: diff_of(name, None, *number),
            shade: shade(*number),
        });
        let (revisions, has_oldest) = (revisions.collect(), shades.contains_key(&oldest));
        let words = |run: Run| {
            let diff = || diff_of(name, None, run.revision);
            let mark = (run.revision != oldest).then(|| Mark { number: run.revision, diff: diff() });
            Words { text: text(&run.text), mark, shade: shade(run.revision) }
        };
        let all = |runs: Vec<Run>| runs.into_iter().map(words).collect::<Vec<_>>();
        Self {
            frame: Frame::at(format!("Age of words: {}", heading.headline), path),
            number,
            oldest,
            is_cut_off: blame.is_cut_off,
            has_oldest,
            revisions,
            headline: all(blame.headline),
            standfirst: all(blame.standfirst),
            blocks: blame.blocks.into_iter().map(all).collect(),
            heading,
        }
    }
}
