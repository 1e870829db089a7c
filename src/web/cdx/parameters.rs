//! The parameters of the CDX server API.

use data_encoding::BASE64URL_NOPAD;

use super::lines::{FIELDS, Line};
use super::pattern::{Pattern, PatternError};
use crate::archive::read::capture_index::{IndexPlace, IndexRange};
use crate::model::{Timestamp, UrlKey};
use crate::web::memento::{Original, time};
use crate::web::problem::Problem;
use crate::web::visit::Visit;

/// Parameters of other servers that would change the response, and are not supported.
const UNSUPPORTED: [(&str, &str); 4] =
    [("showNumPages", "true"), ("showDupeCount", "true"), ("showSkipCount", "true"), ("sort", "reverse")];
/// The lines of a response, unless fewer are asked for.
const LIMIT_MAX: usize = 10_000;
/// The most conditions of each kind.
const CONDITIONS_MAX: usize = 8;

/// What a request asks for.
pub(super) struct Parameters {
    pub(super) range: IndexRange,
    pub(super) from: Timestamp,
    pub(super) until: Timestamp,
    pub(super) pick: Pick,
    pub(super) limit: usize,
    /// The number of the page, from 0.
    pub(super) page: usize,
    /// The lines that are left out at the beginning.
    pub(super) skipped: usize,
    /// The fields of a line, in order.
    pub(super) fields: Vec<&'static str>,
    pub(super) output: Output,
    pub(super) shows_resume_key: bool,
    pub(super) resume: Option<IndexPlace>,
    conditions: Vec<Condition>,
    collapsed: Vec<Collapsed>,
}

/// Which lines a response has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pick {
    First,
    Last,
    Closest(Timestamp),
}

/// The format of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Output {
    Text,
    Json,
    Cdxj,
}

/// A condition on a field: that it has a value, or does not.
struct Condition {
    field: &'static str,
    is_not: bool,
    value: Value,
}

/// What the value of a field must be.
enum Value {
    /// Exactly this.
    Text(String),
    /// What this matches.
    Pattern(Pattern),
}

/// A field of which repeated values in a row are left out: all of it, or its first characters.
#[derive(Clone, Copy)]
struct Collapsed {
    field: &'static str,
    length: Option<usize>,
}

/// Leaves out lines that repeat the one before.
pub(super) struct Collapse<'a> {
    collapsed: &'a [Collapsed],
    last: Option<Vec<String>>,
}

impl Parameters {
    pub(super) fn of(visit: &Visit) -> Result<Self, Problem> {
        let url = visit.parameter("url").ok_or_else(|| Problem::malformed("url is missing: the URL to look up."))?;
        let range = range(url.trim(), visit.parameter("matchType"))?;
        let resume = visit.parameter("resumeKey").map(place).transpose()?;
        if resume.as_ref().is_some_and(|place| !range.may_begin_at(place)) {
            return Err(Problem::malformed("resumeKey is of another request: its URL is not in the range."));
        }
        if let Some((name, value)) = UNSUPPORTED.iter().find(|(name, value)| visit.parameter(name) == Some(value)) {
            let detail =
                format!("{name}={value} is not supported. showResumeKey=true says where the next page begins.");
            return Err(Problem::malformed(detail));
        }
        let limit = visit.number::<i64>("limit")?.unwrap_or(LIMIT_MAX as i64);
        let (offset, page) = (visit.number("offset")?.unwrap_or(0_usize), visit.number("page")?.unwrap_or(0_usize));
        let closest = visit.parameter("closest").map(|text| digits("closest", text, time::last_second)).transpose()?;
        let pick = match closest {
            Some(at) => Pick::Closest(at),
            None if limit < 0 => Pick::Last,
            None => Pick::First,
        };
        if pick != Pick::First && !matches!(range, IndexRange::Exact(_)) {
            return Err(Problem::malformed("closest and a negative limit are for one URL, with matchType=exact."));
        }
        let until = visit.parameter("to").map(|text| digits("to", text, time::last_second)).transpose()?;
        let from = visit.parameter("from").map(|text| digits("from", text, time::first_second)).transpose()?;
        Ok(Self {
            range,
            from: from.unwrap_or(Timestamp::MIN),
            until: until.map_or(Timestamp::MAX, |until| until.saturating_add_micros(999_999)),
            pick,
            limit: usize::try_from(limit.unsigned_abs()).unwrap_or(LIMIT_MAX).min(LIMIT_MAX),
            page,
            skipped: offset.saturating_add(page.saturating_mul(LIMIT_MAX)),
            fields: match visit.parameter("fl").or_else(|| visit.parameter("fields")) {
                None => FIELDS.to_vec(),
                Some(named) => fields(named)?,
            },
            output: match visit.parameter("output").unwrap_or("text") {
                "text" => Output::Text,
                "json" => Output::Json,
                "cdxj" => Output::Cdxj,
                other => return Err(Problem::malformed(format!("output={other} is not text, json or cdxj."))),
            },
            shows_resume_key: visit.parameter("showResumeKey") == Some("true"),
            resume,
            conditions: few("filter", visit)?.into_iter().map(Condition::parse).collect::<Result<_, _>>()?,
            collapsed: few("collapse", visit)?.into_iter().map(Collapsed::parse).collect::<Result<_, _>>()?,
        })
    }

    /// Whether a line meets all conditions.
    pub(super) fn passes(&self, line: &Line) -> bool {
        self.conditions.iter().all(|condition| condition.is_met(line))
    }

    pub(super) fn collapse(&self) -> Collapse<'_> {
        Collapse { collapsed: &self.collapsed, last: None }
    }
}

/// The addresses that are asked for. A `*` at an end means the same as a match type.
fn range(url: &str, match_type: Option<&str>) -> Result<IndexRange, Problem> {
    let (url, starred) = match (url.strip_suffix('*'), url.strip_prefix("*.")) {
        (Some(url), _) => (url, Some("prefix")),
        (None, Some(url)) => (url, Some("domain")),
        (None, None) => (url, None),
    };
    let key: UrlKey = Original::parse(url)?.key;
    Ok(match match_type.or(starred).unwrap_or("exact") {
        "exact" => IndexRange::Exact(key),
        "prefix" => IndexRange::Prefix(key),
        "host" => IndexRange::Host(key),
        "domain" => IndexRange::Domain(key),
        other => {
            return Err(Problem::malformed(format!("matchType={other} is not exact, prefix, host or domain.")));
        }
    })
}

fn digits(name: &str, text: &str, read: fn(&str) -> Option<Timestamp>) -> Result<Timestamp, Problem> {
    let malformed = || Problem::malformed(format!("{name}={text} is not a time, or the first digits of one."));
    read(text.trim()).ok_or_else(malformed)
}

fn field(name: &str) -> Result<&'static str, Problem> {
    let known = FIELDS.into_iter().find(|known| *known == name.trim());
    let unknown = || Problem::malformed(format!("{name} is not a field. The fields are {}.", FIELDS.join(", ")));
    known.ok_or_else(unknown)
}

/// The fields that a text names, each once.
fn fields(named: &str) -> Result<Vec<&'static str>, Problem> {
    let mut fields = Vec::new();
    for name in named.split(',') {
        let field = field(name)?;
        if fields.contains(&field) {
            return Err(Problem::malformed(format!("fl={named} names {field} more than once.")));
        }
        fields.push(field);
    }
    Ok(fields)
}

/// The values of a parameter, which may be given a few times.
fn few<'a>(name: &'a str, visit: &'a Visit) -> Result<Vec<&'a str>, Problem> {
    let given: Vec<&str> = visit.all(name).collect();
    match given.len() <= CONDITIONS_MAX {
        true => Ok(given),
        false => Err(Problem::malformed(format!("{name} may be given at most {CONDITIONS_MAX} times."))),
    }
}

/// The text that names a place: its time, and the key of its address. Some clients percent-encode it, and some do not, so it
/// has no character for which that makes a difference.
pub(super) fn resume_key(place: &IndexPlace) -> String {
    BASE64URL_NOPAD.encode(format!("{}{}", time::digits(place.from), place.url).as_bytes())
}

/// The place that a resume key names.
fn place(text: &str) -> Result<IndexPlace, Problem> {
    let malformed = || Problem::malformed("resumeKey is not one that a response has shown.");
    let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| malformed())?;
    let text = String::from_utf8(bytes).map_err(|_| malformed())?;
    let (digits, url) = text.split_at_checked(time::DIGITS).ok_or_else(malformed)?;
    Ok(IndexPlace { url: UrlKey::from_stored(url), from: time::first_second(digits).ok_or_else(malformed)? })
}

impl Condition {
    /// Reads `field:pattern` and `!field:pattern`, where the pattern is a regular expression for the whole value; `=` and `~`
    /// before the field are pywb's, for a text, and for a pattern that matches at the beginning of the value.
    fn parse(text: &str) -> Result<Self, Problem> {
        let (is_not, rest) = text.strip_prefix('!').map_or((false, text), |rest| (true, rest));
        let (mark, rest) = match rest.strip_prefix(['=', '~']) {
            Some(after) => (rest.chars().next(), after),
            None => (None, rest),
        };
        let malformed = || Problem::malformed(format!("filter={text} is not a field, a colon and a value."));
        let (name, value) = rest.split_once(':').ok_or_else(malformed)?;
        let value = match mark {
            Some('=') => Value::Text(value.to_owned()),
            Some(_) => Value::Pattern(Pattern::of_beginning(value).map_err(|error| unusable(text, &error))?),
            None => Value::Pattern(Pattern::of_whole(value).map_err(|error| unusable(text, &error))?),
        };
        Ok(Self { field: field(name)?, is_not, value })
    }

    fn is_met(&self, line: &Line) -> bool {
        let found = line.field(self.field);
        let is = match &self.value {
            Value::Text(value) => found == value,
            Value::Pattern(pattern) => pattern.matches(found),
        };
        is != self.is_not
    }
}

fn unusable(filter: &str, error: &PatternError) -> Problem {
    Problem::malformed(format!("filter={filter}: {error}."))
}

impl Collapsed {
    /// Reads `field` and `field:length`.
    fn parse(text: &str) -> Result<Self, Problem> {
        let (name, length) = text.split_once(':').map_or((text, None), |(name, length)| (name, Some(length)));
        let malformed = |_| Problem::malformed(format!("collapse={text} is not a field, or a field and a length."));
        Ok(Self { field: field(name)?, length: length.map(str::parse).transpose().map_err(malformed)? })
    }
}

impl Collapse<'_> {
    /// Whether a line differs from the one before it in a field that counts, or none does.
    pub(super) fn is_first(&mut self, line: &Line) -> bool {
        if self.collapsed.is_empty() {
            return true;
        }
        let value = |collapsed: &Collapsed| {
            line.field(collapsed.field).chars().take(collapsed.length.unwrap_or(usize::MAX)).collect::<String>()
        };
        let values: Vec<String> = self.collapsed.iter().map(value).collect();
        let is_first = self.last.as_ref() != Some(&values);
        self.last = Some(values);
        is_first
    }
}
