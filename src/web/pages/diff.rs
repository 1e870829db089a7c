//! What changed between two revisions, word by word: inline, or side by side.

use std::sync::Arc;

use askama::Template;
use axum::body::Body;
use axum::extract::{Path, State};
use http::Response;

use super::super::Site;
use super::super::paths::{diff_of, times_query};
use super::super::problem::Problem;
use super::super::respond;
use super::super::shown::{Delta, Runs, Side, When, field_runs, runs, text, when};
use super::super::visit::{Form, Point, Visit};
use super::heading::{Heading, Note, Tab};
use super::history::{in_force_at, known_with};
use super::{Frame, article_name, revision_number};
use crate::model::unseen::Sides;
use crate::model::{ArticleName, RevisionNumber, Timestamp};
use crate::wire::pb::revision_selector::Selector;
use crate::wire::{instant, pb, timestamp_to_pb};

/// Unchanged blocks in a row that are shown as they are; of more, the first and the last.
const UNCHANGED_MAX: usize = 3;

#[derive(Template)]
#[template(path = "diff.html")]
struct DiffPage {
    frame: Frame,
    heading: Heading,
    layout: Layout,
    /// The path of this page in the other layout.
    inline_path: String,
    side_path: String,
    /// The path of the comparison with what was in force before by all that is known now.
    newest_path: String,
    /// The instants that were asked for.
    known: Option<When>,
    from: Option<When>,
    to: Option<When>,
    base: Option<Compared>,
    target: Compared,
    delta: Option<Delta>,
    fields: Vec<Field>,
    parts: Vec<Part>,
    changes: usize,
    is_same: bool,
    earlier: Option<String>,
    later: Option<String>,
}

/// What changed, without a page around it, and without what did not change.
#[derive(Template)]
#[template(path = "brief_diff.html")]
pub(in crate::web) struct BriefDiff {
    delta: Option<Delta>,
    fields: Vec<Field>,
    parts: Vec<Part>,
}

impl BriefDiff {
    pub(in crate::web) fn of(diff: &pb::DiffRevisionsResponse) -> Self {
        let sides = sides(diff);
        Self {
            delta: diff.word_delta.map(Into::into),
            fields: diff.field_changes.iter().map(|change| Field::of(change, sides, 0)).collect(),
            parts: parts(&diff.hunks, sides, &mut || 0),
        }
    }
}

/// How both sides are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    Inline,
    Side,
}

/// A revision that is compared.
struct Compared {
    number: u32,
    observed: Option<When>,
}

/// A field other than the body that differs.
struct Field {
    name: String,
    runs: Runs,
    /// Its place among the changes, from 1.
    place: usize,
}

/// A part of the body.
enum Part {
    /// A block that differs.
    Changed(Changed),
    /// Blocks that are the same.
    Same { shown_first: Vec<Runs>, hidden: Vec<Runs>, shown_last: Vec<Runs> },
}

/// A block that differs.
struct Changed {
    place: usize,
    kind: &'static str,
    remark: Option<String>,
    runs: Runs,
    old: Runs,
    new: Runs,
}

/// The addresses `…/diff?a=1&b=3` and `…/diff?from=2026-05-16&to=yesterday`, to which the forms of the history lead.
pub(super) async fn select(
    State(site): State<Arc<Site>>,
    Path((source, article)): Path<(String, String)>,
    visit: Visit,
) -> Result<Response<Body>, Problem> {
    let name = article_name(&source, &article)?;
    let (a, b) = (visit.number::<u32>("a")?, visit.number::<u32>("b")?);
    let (from, to) = (visit.instant(&site, "from")?, visit.instant(&site, "to")?);
    if (a.is_some() || b.is_some()) && (from.is_some() || to.is_some()) {
        return Err(Problem::malformed("Compare either two revisions, a and b, or two times, from and to."));
    }
    let (from, to) = match (from, to) {
        (Some(from), Some(to)) => (Some(from.min(to)), Some(from.max(to))),
        other => other,
    };
    let asked = Asked { known_at: visit.point(&site)?.known_at, from, to };
    let path = match (a, b) {
        (Some(a), Some(b)) => diff_of(&name, Some(a.min(b)), a.max(b)),
        (Some(only), None) | (None, Some(only)) => diff_of(&name, None, only),
        (None, None) => {
            let in_force =
                |time: Timestamp| pb::RevisionSelector { selector: Some(Selector::ObserveTime(timestamp_to_pb(time))) };
            let request = pb::DiffRevisionsRequest {
                name: name.to_string(),
                base: from.map(in_force),
                target: to.map(in_force),
                as_of: asked.known().as_of(),
                min_next_seq: 0,
            };
            let newest = site.reads.diff(&visit.caller, request).await?;
            path_of_diff(&name, &newest)
        }
    };
    Ok(respond::redirect(&format!("{path}{}{}", visit.form.end(), asked.query(Layout::Inline))))
}

/// What a comparison was asked for with, besides the revisions.
#[derive(Clone, Copy)]
struct Asked {
    /// The instant of the archive axis; `None` for its end.
    known_at: Option<Timestamp>,
    /// The instants of the observe axis by which the revisions were found.
    from: Option<Timestamp>,
    to: Option<Timestamp>,
}

impl Asked {
    fn known(&self) -> Point {
        Point { at: None, known_at: self.known_at }
    }

    /// The query that says so: empty, or from its question mark on.
    fn query(&self, layout: Layout) -> String {
        let times = times_query([("from", self.from), ("to", self.to), ("known_at", self.known_at)]);
        match layout {
            Layout::Inline => times,
            Layout::Side if times.is_empty() => "?view=side".to_owned(),
            Layout::Side => format!("{times}&view=side"),
        }
    }
}

/// The path of a comparison that was made.
fn path_of_diff(name: &ArticleName, diff: &pb::DiffRevisionsResponse) -> String {
    let number = |revision: &pb::Revision| revision.number;
    diff_of(name, diff.base.as_ref().map(number), diff.target.as_ref().map_or(0, number))
}

/// The two revisions in the range of a path: `2..3`, or `..3` for what was in force before 3.
fn revisions(range: &str) -> Result<(Option<RevisionNumber>, RevisionNumber), Problem> {
    let (base, target) = range.split_once("..").ok_or_else(Problem::not_found)?;
    let base = if base.is_empty() { None } else { Some(revision_number(base)?) };
    Ok((base, revision_number(target)?))
}

pub(super) async fn show(
    State(site): State<Arc<Site>>,
    Path((source, article, range)): Path<(String, String, String)>,
    visit: Visit,
) -> Result<Response<Body>, Problem> {
    let name = article_name(&source, &article)?;
    let (base, target) = revisions(&range)?;
    let (from, to) = (visit.instant(&site, "from")?, visit.instant(&site, "to")?);
    let asked = Asked { known_at: visit.point(&site)?.known_at, from, to };
    let layout = if visit.parameter("view") == Some("side") { Layout::Side } else { Layout::Inline };
    let has_times = ["from", "to", "known_at"].into_iter().any(|time| visit.parameter(time).is_some());
    if has_times && visit.query != asked.query(layout) {
        return Ok(respond::redirect(&format!("{}{}{}", visit.path, visit.form.end(), asked.query(layout))));
    }
    let selector =
        |number: RevisionNumber| pb::RevisionSelector { selector: Some(Selector::RevisionNumber(number.get())) };
    let request = pb::DiffRevisionsRequest {
        name: name.to_string(),
        base: base.map(selector),
        target: Some(selector(target)),
        as_of: asked.known().as_of(),
        min_next_seq: 0,
    };
    let diff = match recorded(&site, &visit, &name, &request, asked.known_at).await? {
        Some(diff) => diff,
        None => site.reads.diff(&visit.caller, request).await?,
    };
    let request = pb::GetArticleRequest {
        name: name.to_string(),
        as_of: asked.known().as_of().or_else(|| known_with(diff.snapshot.as_ref())),
        view: pb::ArticleView::Basic.into(),
        min_next_seq: 0,
    };
    let found = site.reads.article(&visit.caller, request).await?;
    let article = found.article.unwrap_or_default();
    let later = match visit.form {
        Form::Page => in_force_after(&site, &visit, &name, diff.target.as_ref(), found.snapshot.as_ref()).await?,
        Form::Json => None,
    };
    let path = path_of_diff(&name, &diff);
    let canonical = format!("{path}{}", asked.known().query());
    let heading = Heading::new(&name, &article, Tab::Diff).at(asked.known());
    let response =
        respond::page(&visit, diff, |diff| Ok(DiffPage::new(&name, heading, diff, &path, asked, layout, later)))?;
    Ok(respond::with_canonical(&site, response, &canonical))
}

/// The comparison of a revision with what was in force before it when it was archived, if it is asked for as known at its
/// archive time. Changes of one commit share that time, so what was known is what is below its position.
async fn recorded(
    site: &Site,
    visit: &Visit,
    name: &ArticleName,
    request: &pb::DiffRevisionsRequest,
    known_at: Option<Timestamp>,
) -> Result<Option<pb::DiffRevisionsResponse>, Problem> {
    let target = request.target.as_ref().and_then(|target| target.selector);
    let (None, Some(known_at), Some(Selector::RevisionNumber(number))) = (&request.base, known_at, target) else {
        return Ok(None);
    };
    let wanted = pb::GetRevisionRequest {
        name: format!("{name}/revisions/{number}"),
        view: pb::ArticleView::Basic.into(),
        ..pb::GetRevisionRequest::default()
    };
    let revision = site.reads.revision(&visit.caller, wanted).await?.revision.unwrap_or_default();
    if instant(revision.archive_time.as_ref()) != Some(known_at) {
        return Ok(None);
    }
    site.reads.recorded_diff(&visit.caller, name.to_string(), &revision).await.map(Some)
}

/// The number of the revision that came into force after another, as known with a snapshot; `None` if that is the last.
async fn in_force_after(
    site: &Site,
    visit: &Visit,
    name: &ArticleName,
    target: Option<&pb::Revision>,
    snapshot: Option<&pb::Snapshot>,
) -> Result<Option<u32>, Problem> {
    let observed = target.and_then(|target| instant(target.observe_time.as_ref()));
    let Some(observed) = observed else { return Ok(None) };
    let then = in_force_at(site, visit, name, observed, snapshot).await?;
    let Some(until) = instant(then.valid_until.as_ref()) else { return Ok(None) };
    let next = in_force_at(site, visit, name, until, snapshot).await?;
    Ok(next.revision.map(|revision| revision.number))
}

impl DiffPage {
    fn new(
        name: &ArticleName,
        heading: Heading,
        diff: pb::DiffRevisionsResponse,
        path: &str,
        asked: Asked,
        layout: Layout,
        later: Option<u32>,
    ) -> Self {
        let sides = sides(&diff);
        let mut place = 0;
        let mut next = || {
            place += 1;
            place
        };
        let fields: Vec<Field> = diff.field_changes.iter().map(|change| Field::of(change, sides, next())).collect();
        let parts = parts(&diff.hunks, sides, &mut next);
        let state = |revision: &pb::Revision| Compared {
            number: revision.number,
            observed: when(revision.observe_time.as_ref()),
        };
        let target = diff.target.as_ref().map_or(Compared { number: 0, observed: None }, state);
        let base = diff.base.as_ref().map(state);
        let title = match &base {
            Some(base) => format!("{}: revisions {} and {}", heading.headline, base.number, target.number),
            None => format!("{}: revision {}", heading.headline, target.number),
        };
        let known = asked.known().query();
        let step = |base: Option<u32>, target: u32| format!("{}{known}", diff_of(name, base, target));
        Self {
            frame: Frame::at(title, &format!("{path}{known}")),
            layout,
            inline_path: format!("{path}{}", asked.query(Layout::Inline)),
            side_path: format!("{path}{}", asked.query(Layout::Side)),
            newest_path: diff_of(name, None, target.number),
            earlier: base.as_ref().map(|base| step(None, base.number)),
            later: later.map(|later| step(Some(target.number), later)),
            known: asked.known_at.map(When::exact),
            from: asked.from.map(When::exact),
            to: asked.to.map(When::exact),
            delta: diff.word_delta.map(Into::into),
            is_same: place == 0,
            changes: place,
            fields,
            parts,
            base,
            target,
            heading,
        }
    }
}

/// Whether the diff both adds and removes, or only does one of the two.
fn sides(diff: &pb::DiffRevisionsResponse) -> Sides {
    let spans = diff.field_changes.iter().map(|change| &change.spans).chain(diff.hunks.iter().map(|hunk| &hunk.spans));
    let of = |kind| spans.clone().flatten().filter(move |span| span.kind() == kind).map(|span| span.text.as_str());
    Sides::of(of(pb::SpanKind::Delete), of(pb::SpanKind::Insert))
}

impl Field {
    fn of(change: &pb::FieldChange, sides: Sides, place: usize) -> Self {
        Self { name: text(&change.field.replace('_', " ")), runs: field_runs(change, sides), place }
    }
}

/// The body: blocks that differ, and runs of those that do not.
fn parts(hunks: &[pb::Hunk], sides: Sides, next: &mut impl FnMut() -> usize) -> Vec<Part> {
    let (mut parts, mut same) = (Vec::new(), Vec::new());
    for hunk in hunks {
        if hunk.kind() == pb::HunkKind::Equal {
            same.push(runs(&hunk.spans, sides));
            continue;
        }
        parts.extend(Part::same(std::mem::take(&mut same)));
        parts.push(Part::Changed(Changed::of(hunk, sides, next())));
    }
    parts.extend(Part::same(same));
    parts
}

impl Part {
    fn same(mut blocks: Vec<Runs>) -> Option<Self> {
        if blocks.is_empty() {
            return None;
        }
        if blocks.len() <= UNCHANGED_MAX {
            return Some(Self::Same { shown_first: blocks, hidden: Vec::new(), shown_last: Vec::new() });
        }
        let shown_last = blocks.split_off(blocks.len() - 1);
        let hidden = blocks.split_off(1);
        Some(Self::Same { shown_first: blocks, hidden, shown_last })
    }
}

impl Changed {
    fn of(hunk: &pb::Hunk, sides: Sides, place: usize) -> Self {
        let runs = runs(&hunk.spans, sides);
        // People count blocks from 1.
        let shown = |index: Option<u32>| index.map_or(0, |index| index + 1);
        let same_words = hunk.spans.iter().all(|span| span.kind() == pb::SpanKind::Equal);
        let (kind, remark) = match hunk.kind() {
            pb::HunkKind::Insert => ("insert", None),
            pb::HunkKind::Delete => ("delete", None),
            pb::HunkKind::Move => {
                let (from, to) = (shown(hunk.base_block), shown(hunk.target_block));
                ("move", Some(format!("Moved from place {from} to place {to}")))
            }
            pb::HunkKind::Modify if same_words => ("modify", Some("Same words, another kind of paragraph".to_owned())),
            pb::HunkKind::Modify | pb::HunkKind::Equal | pb::HunkKind::Unspecified => ("modify", None),
        };
        let (old, new) = match hunk.kind() {
            pb::HunkKind::Insert => (Runs::default(), runs.on(Side::New)),
            pb::HunkKind::Delete => (runs.on(Side::Old), Runs::default()),
            pb::HunkKind::Move | pb::HunkKind::Modify | pb::HunkKind::Equal | pb::HunkKind::Unspecified => {
                (runs.on(Side::Old), runs.on(Side::New))
            }
        };
        Self { place, kind, remark, runs, old, new }
    }
}
