//! Splits a line into tokens, and recognises the names of months and weekdays.

use jiff::civil::Weekday;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// A piece of a line. White space and commas separate tokens and are dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TimeToken {
    /// Digits as written, including leading zeros.
    Number(String),
    /// Letters in lower case, without the dots of abbreviations: `p.m.` is `pm`.
    Word(String),
    /// Any other character. A dot becomes a token only between digits.
    Mark(char),
}

/// Splits a line into tokens.
pub(super) fn tokens(line: &str) -> Vec<TimeToken> {
    let mut tokens = Vec::new();
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let number = leading(rest, |c| c.is_ascii_digit());
        let word = leading(rest, char::is_alphabetic);
        let length = if let Some(digits) = number {
            tokens.push(TimeToken::Number(digits.to_owned()));
            digits.len()
        } else if let Some(letters) = word {
            let dotted = leading(rest, |c| c.is_alphabetic() || c == '.').unwrap_or(letters);
            tokens.push(TimeToken::Word(dotted.replace('.', "").to_lowercase()));
            dotted.len()
        } else {
            let after = rest.get(first.len_utf8()..).unwrap_or_default();
            let decimal =
                matches!(tokens.last(), Some(TimeToken::Number(_))) && after.starts_with(|c: char| c.is_ascii_digit());
            if !(first.is_whitespace() || first == ',' || first == '.' && !decimal) {
                tokens.push(TimeToken::Mark(first));
            }
            first.len_utf8()
        };
        rest = rest.get(length..).unwrap_or_default();
    }
    tokens
}

/// The longest prefix of `text` of which `belongs` accepts all characters; `None` if the prefix is empty.
fn leading(text: &str, belongs: impl Fn(char) -> bool) -> Option<&str> {
    let end = text.find(|c| !belongs(c)).unwrap_or(text.len());
    text.get(..end).filter(|start| !start.is_empty())
}

/// The English name of a month from 1 to 12.
pub(super) fn month_name(month: i8) -> &'static str {
    let index = usize::try_from(month).unwrap_or_default().saturating_sub(1);
    MONTHS.get(index).copied().unwrap_or("an unknown month")
}

/// The month, from 1 to 12, that a lower-case word names in full or abbreviated to three letters or more.
pub(super) fn month(word: &str) -> Option<i8> {
    let index = MONTHS.iter().position(|name| word.len() >= 3 && name.to_lowercase().starts_with(word))?;
    i8::try_from(index + 1).ok()
}

/// The weekday that a lower-case word names in full or abbreviated to three letters or more.
pub(super) fn weekday(word: &str) -> Option<Weekday> {
    let word = if word == "weds" { "wed" } else { word };
    let index = WEEKDAYS.iter().position(|name| word.len() >= 3 && name.starts_with(word))?;
    i8::try_from(index).ok().and_then(|offset| Weekday::from_monday_zero_offset(offset).ok())
}
