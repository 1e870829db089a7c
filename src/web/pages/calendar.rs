//! A year of an article, day by day: how often it was looked at, and how much it had changed.

use std::sync::Arc;

use askama::Template;
use axum::body::Body;
use axum::extract::{Path, State};
use http::Response;
use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use serde_json::json;

use super::super::Site;
use super::super::paths::path_of;
use super::super::problem::Problem;
use super::super::respond;
use super::super::shown::count;
use super::super::visit::{Form, Visit};
use super::heading::{Heading, Note, Tab};
use super::history::known_with;
use super::{Frame, article_name};
use crate::archive::read::calendar::{Calendar, Day};
use crate::model::{ArticleName, AsOf, KnownAt, Seq, Timestamp};
use crate::wire::{instant, pb};

/// The years that have a calendar: those of [`Timestamp`], without the last, which is not whole.
const YEARS: std::ops::RangeInclusive<i16> = 1..=9_998;
/// From how many words on a change is shown as larger.
const WORDS: [u32; 3] = [1, 25, 200];
/// From how many looks on a day is shown as larger.
const LOOKS: [u32; 3] = [1, 3, 10];

#[derive(Template)]
#[template(path = "calendar.html")]
struct CalendarPage {
    frame: Frame,
    heading: Heading,
    year: i16,
    months: Vec<Month>,
    summary: String,
    /// The years with looks before and after this one that are nearest to it.
    earlier: Option<i16>,
    later: Option<i16>,
    /// The years of the first and of the last look, if others are nearer.
    first: Option<i16>,
    last: Option<i16>,
    is_cut_off: bool,
}

struct Month {
    name: String,
    /// The column of the first day, from 1 for Monday.
    first_column: i8,
    days: Vec<Cell>,
}

/// A day.
struct Cell {
    number: i8,
    /// The page of the article as it stood at the end of the day; `None` without a look.
    link: Option<String>,
    label: String,
    size: usize,
    shade: usize,
    is_missing: bool,
}

/// Redirects to the year of the newest look.
pub(super) async fn newest(
    State(site): State<Arc<Site>>,
    Path((source, article)): Path<(String, String)>,
    visit: Visit,
) -> Result<Response<Body>, Problem> {
    let name = article_name(&source, &article)?;
    let found = read(&site, &visit, &name).await?;
    let in_force_from = found.article.as_ref().and_then(|article| instant(article.valid_from.as_ref()));
    let year = in_force_from.ok_or_else(Problem::internal)?.day().year().min(*YEARS.end());
    let calendar = read_year(&site, &name, year, found.snapshot.as_ref()).await?;
    let year = calendar.looked.map_or(year, |(_, last)| last.day().year().min(*YEARS.end()));
    let end = visit.form.end();
    Ok(respond::redirect(&format!("{}/calendar/{year}{end}", path_of(&name))))
}

async fn read(site: &Site, visit: &Visit, name: &ArticleName) -> Result<pb::GetArticleResponse, Problem> {
    let request = pb::GetArticleRequest {
        name: name.to_string(),
        view: pb::ArticleView::Basic.into(),
        ..pb::GetArticleRequest::default()
    };
    site.reads.article(&visit.caller, request).await
}

/// The looks of a year, as known with a snapshot.
async fn read_year(
    site: &Site,
    name: &ArticleName,
    year: i16,
    snapshot: Option<&pb::Snapshot>,
) -> Result<Calendar, Problem> {
    let known = known_with(snapshot);
    let next_seq = match known.and_then(|known| known.known_at) {
        Some(pb::as_of::KnownAt::NextSeq(next_seq)) => Seq(next_seq),
        Some(pb::as_of::KnownAt::ArchiveTime(_)) | None => return Err(Problem::internal()),
    };
    let as_of = AsOf { observe_time: None, known_at: KnownAt::NextSeq { next_seq, log_digest: None } };
    let archive = site.reads.archive();
    let point = archive.read_point(as_of, Seq::ZERO).await?;
    let period = start_of(year)..start_of(year + 1);
    Ok(archive.calendar(point, name.clone(), period).await?)
}

pub(super) async fn show(
    State(site): State<Arc<Site>>,
    Path((source, article, year)): Path<(String, String, String)>,
    visit: Visit,
) -> Result<Response<Body>, Problem> {
    let name = article_name(&source, &article)?;
    let spelled = year;
    let year = spelled.parse().ok().filter(|year| YEARS.contains(year)).ok_or_else(Problem::not_found)?;
    if spelled != year.to_string() {
        // As dates write it: 0500.
        let end = visit.form.end();
        let is_padded = spelled == format!("{year:04}");
        return if is_padded {
            Ok(respond::redirect(&format!("{}/calendar/{year}{end}", path_of(&name))))
        } else {
            Err(Problem::not_found())
        };
    }
    // Whether the visitor may see the article is the service's to say.
    let found = read(&site, &visit, &name).await?;
    let calendar = read_year(&site, &name, year, found.snapshot.as_ref()).await?;
    let path = format!("{}/calendar/{year}", path_of(&name));
    let mut response = match visit.form {
        Form::Json => respond::json(as_json(&name, year, &calendar)),
        Form::Page => {
            let heading = Heading::new(&name, &found.article.unwrap_or_default(), Tab::Calendar);
            respond::html(&CalendarPage::new(heading, year, &calendar, &path))
        }
    };
    visit.mark(response.headers_mut());
    Ok(respond::with_canonical(&site, response, &path))
}

/// The first instant of a year.
fn start_of(year: i16) -> Timestamp {
    let first = date(year, 1, 1).to_zoned(TimeZone::UTC);
    first.map_or(Timestamp::MAX, |first| first.timestamp().into())
}

/// The calendar for programs. The contract has no such message.
fn as_json(name: &ArticleName, year: i16, calendar: &Calendar) -> String {
    let days = calendar.days.iter().map(|(date, day)| {
        json!({
            "date": date.to_string(),
            "revisions": day.revisions,
            "sightings": day.sightings,
            "absences": day.absences,
            "wordsChanged": day.words_changed,
        })
    });
    let json = json!({
        "article": name.to_string(),
        "year": year,
        "days": days.collect::<Vec<_>>(),
        "isCutOff": calendar.is_cut_off,
    });
    format!("{json:#}\n")
}

impl CalendarPage {
    fn new(heading: Heading, year: i16, calendar: &Calendar, path: &str) -> Self {
        let total = calendar.days.values().fold(Day::default(), |total, day| Day {
            revisions: total.revisions + day.revisions,
            sightings: total.sightings + day.sightings,
            absences: total.absences + day.absences,
            words_changed: total.words_changed.saturating_add(day.words_changed),
        });
        let year_of = |look: Option<Timestamp>| look.map(|look| look.day().year()).filter(|year| YEARS.contains(year));
        let (earlier, later) = (year_of(calendar.looked_before), year_of(calendar.looked_after));
        let (first, last) =
            calendar.looked.map_or((None, None), |(first, last)| (year_of(Some(first)), year_of(Some(last))));
        Self {
            frame: Frame::at(format!("{year}: {}", heading.headline), path),
            months: (1..=12).map(|month| Month::of(&heading.path, year, month, calendar)).collect(),
            summary: summary(&total),
            first: first.filter(|first| earlier.is_some_and(|earlier| *first < earlier)),
            last: last.filter(|last| later.is_some_and(|later| *last > later)),
            earlier,
            later,
            is_cut_off: calendar.is_cut_off,
            heading,
            year,
        }
    }
}

impl Month {
    fn of(article: &str, year: i16, month: i8, calendar: &Calendar) -> Self {
        let first = date(year, month, 1);
        let days = (1..=first.days_in_month()).map(|day| date(year, month, day));
        Self {
            name: first.strftime("%B").to_string(),
            first_column: first.weekday().to_monday_one_offset(),
            days: days.map(|date| Cell::of(article, date, calendar.days.get(&date))).collect(),
        }
    }
}

impl Cell {
    fn of(article: &str, date: Date, day: Option<&Day>) -> Self {
        let looks = day.map_or(0, |day| day.revisions + day.sightings + day.absences);
        let step = |steps: [u32; 3], value: u32| steps.iter().filter(|step| value >= **step).count();
        let long = date.strftime("%-d %B").to_string();
        let is_new = day.is_some_and(|day| day.revisions > 0);
        Self {
            number: date.day(),
            link: day.map(|_| format!("{article}?at={date}")),
            label: day.map_or_else(|| long.clone(), |day| format!("{long}: {}", summary(day))),
            size: step(LOOKS, looks),
            // A first revision has changed no words, and is still more than a sighting.
            shade: if is_new { day.map_or(0, |day| step(WORDS, day.words_changed)).max(1) } else { 0 },
            is_missing: day.is_some_and(|day| day.revisions + day.sightings == 0),
        }
    }
}

/// What looks found, in words.
fn summary(day: &Day) -> String {
    let found = [
        (day.revisions, "revision"),
        (day.sightings, "sighting"),
        (day.absences, "absence"),
        (day.words_changed, "changed word"),
    ];
    let found = found.into_iter().filter(|(number, _)| *number > 0).map(|(number, noun)| count(number.into(), noun));
    let found: Vec<_> = found.collect();
    if found.is_empty() { "no looks".to_owned() } else { found.join(", ") }
}
