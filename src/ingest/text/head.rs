//! Reads the top of a page: masthead, page date, headline, standfirst and meta lines.

use jiff::civil::Date;

use super::super::words::{PRESS_WORDS, SMALL_IN_MASTHEADS};
use super::super::{IngestError, times};
use super::meta::{self, Meta};
use super::segments::TextSegment;

/// Maximum number of words in a headline. A longer first segment is running text.
const HEADLINE_WORDS_MAX: usize = 40;
/// Maximum number of words in a standfirst.
const STANDFIRST_WORDS_MAX: usize = 60;

/// The top of a page, in its parts.
#[derive(Clone, Debug, Default)]
pub(super) struct PageTop {
    pub(super) masthead: Option<Masthead>,
    pub(super) page_date: Option<Date>,
    pub(super) headline: String,
    pub(super) standfirst: String,
    pub(super) meta: Meta,
    /// Segments before the last meta line that belong to the body, such as the caption of the leading picture.
    pub(super) leading: Vec<TextSegment>,
}

/// The publication as printed at the top of the page.
#[derive(Clone, Debug)]
pub(super) struct Masthead {
    pub(super) name: String,
    /// How the name was recognised, in words for a person.
    pub(super) why: &'static str,
}

/// Separates the top of a page from its body.
pub(super) fn split(segments: &[TextSegment]) -> Result<(PageTop, &[TextSegment]), IngestError> {
    let mut head = PageTop::default();
    let rest = read_masthead(segments, &mut head);
    let rest = read_kicker(rest, &mut head);
    let (headline, rest) = rest.split_first().ok_or(IngestError::Empty)?;
    if headline.words() > HEADLINE_WORDS_MAX {
        return Err(IngestError::NoHeadline {
            reason: format!(
                "line {} has {} words; put the headline on a line of its own above the text",
                headline.line,
                headline.words()
            ),
        });
    }
    head.headline.clone_from(&headline.text);
    let rest = read_meta(rest, &mut head);
    Ok((head, rest))
}

/// Reads the logo, masthead and page date at the top, if present, and returns the segments after them.
///
/// A date near the top is the page's date if a headline follows it. Otherwise the headline is above the date, which is
/// then the article's.
fn read_masthead<'a>(segments: &'a [TextSegment], head: &mut PageTop) -> &'a [TextSegment] {
    const SEGMENTS_MAX: usize = 4;
    let dated = segments.iter().take(SEGMENTS_MAX).position(|segment| dated_line(&segment.text).is_some());
    if let Some((at, (before, [line, rest @ ..]))) = dated.map(|at| (at, segments.split_at(at)))
        && is_headline(rest)
        && before.iter().all(is_masthead_like)
        && let Some((date, name)) = dated_line(&line.text)
    {
        head.page_date = Some(date);
        let below =
            rest.split_first().filter(|(segment, after)| at == 0 && segment.follows_directly && is_headline(after));
        let below =
            below.filter(|(segment, _)| name.is_none() && is_masthead_like(segment) && has_press_word(&segment.text));
        let above = before.iter().filter(|segment| !is_logo(&segment.text)).max_by_key(|segment| segment.text.len());
        let name =
            name.or(above.map(|segment| segment.text.as_str())).or(below.map(|(segment, _)| segment.text.as_str()));
        head.masthead = name.map(|name| Masthead { name: name.to_owned(), why: "printed with the page's date" });
        return below.map_or(rest, |(_, after)| after);
    }
    undated_masthead(segments, head)
}

/// Recognises a masthead without a date, by a logo with the masthead's initials or by a word that is common in the
/// names of newspapers. Returns the segments after the masthead.
fn undated_masthead<'a>(segments: &'a [TextSegment], head: &mut PageTop) -> &'a [TextSegment] {
    let (logo, rest) = match segments {
        [logo, rest @ ..] if is_logo(&logo.text) && !rest.is_empty() => (Some(logo), rest),
        _ => (None, segments),
    };
    let Some((name, after)) = rest.split_first() else { return segments };
    let initialled = logo.is_some_and(|logo| is_initials(&logo.text, &name.text));
    if !(is_headline(after) && is_masthead_like(name) && (initialled || has_press_word(&name.text))) {
        // Initials are not the headline if a headline follows them, even if they do not stand for a name.
        return if logo.is_some() && is_headline(rest) { rest } else { segments };
    }
    let why = if initialled { "its initials are above it" } else { "a newspaper's name above the headline" };
    head.masthead = Some(Masthead { name: name.text.clone(), why });
    after
}

/// Reads a section name above the headline, if present, and returns the segments after it.
fn read_kicker<'a>(segments: &'a [TextSegment], head: &mut PageTop) -> &'a [TextSegment] {
    match segments {
        [kicker, rest @ ..] if meta::is_known_section(&kicker.text) && is_headline(rest) => {
            head.meta.section = Some(kicker.text.clone());
            rest
        }
        _ => segments,
    }
}

/// Reads the standfirst and meta lines after the headline, and returns the segments after them.
///
/// Prose between the headline and a meta line is the standfirst. Without a meta line, prose is the first paragraph, or
/// the standfirst if no blank line separates it from the headline.
fn read_meta<'a>(segments: &'a [TextSegment], head: &mut PageTop) -> &'a [TextSegment] {
    const SEGMENTS_MAX: usize = 7;
    const PROSE_MAX: usize = 2;
    // The number of segments up to and including the last meta line.
    let mut meta_end = 0;
    // Prose before that line, and prose after it.
    let (mut between, mut prose) = (Vec::new(), Vec::new());
    for (at, segment) in segments.iter().take(SEGMENTS_MAX).enumerate() {
        // After prose, a lone weekday may be a subheading.
        let weekday = || meta::weekday(&segment.text).filter(|_| between.is_empty() && prose.is_empty());
        if let Some(found) = meta::read(&segment.text).or_else(weekday) {
            head.meta.absorb(found);
            between.append(&mut prose);
            meta_end = at + 1;
        } else if between.len() + prose.len() == PROSE_MAX || segment.words() > STANDFIRST_WORDS_MAX {
            break;
        } else {
            prose.push(segment);
        }
    }
    let rest = segments.get(meta_end..).unwrap_or_default();
    let mut between = between.into_iter().peekable();
    if let Some(standfirst) = between.next_if(|segment| is_standfirst(segment)) {
        head.standfirst.clone_from(&standfirst.text);
    }
    head.leading = between.cloned().collect();
    let direct = rest.split_first().filter(|(segment, after)| {
        meta_end == 0
            && segment.follows_directly
            && is_standfirst(segment)
            && after.first().is_some_and(|next| !next.follows_directly)
    });
    match direct {
        Some((segment, after)) => {
            head.standfirst.clone_from(&segment.text);
            after
        }
        None => rest,
    }
}

fn is_standfirst(segment: &TextSegment) -> bool {
    (8..=STANDFIRST_WORDS_MAX).contains(&segment.words())
        || ends_sentence(&segment.text) && segment.words() <= STANDFIRST_WORDS_MAX
}

/// The date of a line, alone or next to the masthead: `The Tidewater Post | 8 November 2025`.
fn dated_line(line: &str) -> Option<(Date, Option<&str>)> {
    if let Some(date) = times::page_date(line) {
        return Some((date, None));
    }
    match meta::parts(line).as_slice() {
        [name, date] | [date, name] if times::page_date(date).is_some() && !meta::is_known_section(name) => {
            has_press_word(name).then(|| times::page_date(date).map(|date| (date, Some(*name))))?
        }
        _ => None,
    }
}

/// Whether the first segment can be a headline: it is short, does not end in a full stop, colon or comma, is not a meta
/// line other than a section name, and is not the last segment.
fn is_headline(segments: &[TextSegment]) -> bool {
    match segments {
        [segment, _, ..] => {
            let short = segment.words() <= HEADLINE_WORDS_MAX;
            short
                && !segment.text.ends_with(['.', ':', ','])
                && (meta::is_known_section(&segment.text) || meta::read(&segment.text).is_none())
        }
        _ => false,
    }
}

fn is_masthead_like(segment: &TextSegment) -> bool {
    segment.words() <= 6
        && segment.text.chars().count() <= 60
        && !ends_sentence(&segment.text)
        && !meta::is_known_section(&segment.text)
}

/// Whether the text consists of one to five capitals, such as `TP` or `A&B`.
fn is_logo(text: &str) -> bool {
    (1..=5).contains(&text.chars().count()) && text.chars().all(|c| c.is_uppercase() || matches!(c, '&' | '.'))
}

fn is_initials(logo: &str, name: &str) -> bool {
    let initials: String = name.split_whitespace().filter_map(|word| word.chars().find(|c| c.is_uppercase())).collect();
    let logo: String = logo.chars().filter(|c| c.is_uppercase()).collect();
    let without_the = name.starts_with("The ").then(|| initials.strip_prefix('T')).flatten();
    logo == initials || without_the.is_some_and(|initials| initials == logo)
}

/// Whether a name is in title case and has a word that is common in newspaper names.
fn has_press_word(name: &str) -> bool {
    let is_title_case =
        name.split_whitespace().all(|word| word.starts_with(char::is_uppercase) || SMALL_IN_MASTHEADS.contains(&word));
    is_title_case && name.split_whitespace().any(|word| PRESS_WORDS.contains(&word.to_lowercase().as_str()))
}

/// Whether the text ends like a sentence, ignoring closing quotes and brackets.
pub(super) fn ends_sentence(text: &str) -> bool {
    text.trim_end_matches(['"', '\'', '”', '’', '»', ')', ']', '」', '）'])
        .ends_with(['.', '!', '?', '…', '。', '！', '？'])
}
